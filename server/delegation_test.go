package server_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"postern/server/gateway/gatewaytest"
)

// relay is a service that is called with tokens for the example API, and calls
// another one, the stock, in the place of its callers.
type relay struct {
	*node
	service, warden as // the second introspects for the stock
	caller          as
	account         string // of the caller
}

const stock = "https://stock.example"

func startRelay(t testing.TB, starting ...func(testing.TB) *node) *relay {
	t.Helper()
	r := &relay{}
	if len(starting) > 0 {
		r.node = starting[0](t)
	} else {
		r.node = start(t)
	}
	r.want(t, 201, "POST", "/roles", map[string]any{"workspace": "default", "name": "nothing-yet"})
	warden, _ := r.client(t, map[string]any{"name": "warden", "bearer": false})
	r.warden = warden
	r.want(t, 201, "POST", "/apis", map[string]any{
		"workspace": "default", "name": "stock", "audience": stock, "delegation": true, "introspectors": []string{r.warden.id},
		"endpoints": []any{map[string]any{"methods": "GET", "path": "/items/{id}"}, map[string]any{"methods": "DELETE", "path": "/items/{id}"}},
	})
	for name, rules := range map[string][]any{
		"stock-all": {
			map[string]any{"api": "stock", "methods": "GET", "path": "/items/{id}", "scope": "stock:read"},
			map[string]any{"api": "stock", "methods": "DELETE", "path": "/items/{id}", "scope": "stock:write"},
		},
		"stock-reader": {map[string]any{"api": "stock", "methods": "GET", "path": "/items/{id}", "scope": "stock:read"}},
	} {
		r.want(t, 201, "POST", "/roles", map[string]any{"workspace": "default", "name": name, "rules": rules})
	}
	r.service, _ = r.client(t, map[string]any{"name": "relay", "bearer": false, "roles": roles("stock-reader")})
	r.caller, r.account = r.client(t, map[string]any{"name": "caller", "bearer": false, "roles": roles("example-reader", "stock-all")})
	api := r.want(t, 200, "GET", "/apis/example", nil)
	r.want(t, 200, "PATCH", "/apis/example", map[string]any{"introspectors": []string{string(r.Gateway.Client.ID), r.service.id}}, "If-Match", api.header.Get("ETag"))
	return r
}

// delegated asks for a token of the service's in the place of a token's client.
func (r *relay) delegated(t testing.TB, by as, subject string, more ...string) answer {
	t.Helper()
	return r.form(t, "/oauth2/token", by, append(more, wantExchange, isAccess, "subject_token="+url.QueryEscape(subject))...)
}

// stocked asks for a decision about an item of the stock.
func (r *relay) stocked(t testing.TB, token, method string) int {
	t.Helper()
	q, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.decide+"/decide/nginx/stock", http.NoBody)
	q.Header = http.Header{"Authorization": {"Bearer " + token}, "X-Original-Method": {method}, "X-Original-Uri": {"/items/7"}}
	return do(t, q).status
}

var ofStock = "resource=" + url.QueryEscape(stock)

// RFC 8693 sections 2.1, 4.1: an API's service acts for who called it.
func TestDelegationServiceActsForItsCaller(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		t.Run(format, func(t *testing.T) {
			r := startRelay(t)
			subject := r.issue(t, r.caller, "resource="+url.QueryEscape(r.API.Audience))
			etag := r.want(t, 200, "GET", "/apis/stock", nil).header.Get("ETag")
			r.want(t, 200, "PATCH", "/apis/stock", map[string]any{"format": format}, "If-Match", etag)
			got := r.delegated(t, r.service, subject, ofStock)
			if got.status != 200 || got.json(t)["scope"] != "stock:read" {
				t.Fatalf("got %d %s", got.status, got.body)
			}
			text := textOf(t, got)
			seen := r.introspect(t, r.warden, text)
			act, _ := seen["act"].(map[string]any)
			if seen["sub"] != r.account || act["client_id"] != r.service.id || act["sub"] == nil || act["gen"] != nil || seen["scope"] != "stock:read" {
				t.Errorf("introspection says %v", seen)
			}
			// Both may read; the caller may delete, and the service may not.
			direct := r.issue(t, r.caller, ofStock)
			for call, want := range map[string][2]int{"GET": {200, 200}, "DELETE": {200, 403}} {
				if got := [2]int{r.stocked(t, direct, call), r.stocked(t, text, call)}; got != want {
					t.Errorf("%s by the caller and for it: %v, want %v", call, got, want)
				}
			}
			if got := r.decided(t, text, "GET", "/orders/7"); got != 401 {
				t.Errorf("the token is good for another API: %d", got)
			}
			// With its own token to show who acts it is the same.
			own := r.issue(t, r.service, ofStock)
			if got := r.delegated(t, r.service, subject, ofStock, "actor_token="+own, "actor_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"); got.status != 200 {
				t.Errorf("with an actor_token: got %d %s", got.status, got.body)
			}
		})
	}
}

// What either loses, the token loses.
func TestDelegationEndsWithEither(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, r *relay){
		"the caller revoked":  func(t *testing.T, r *relay) { r.want(t, 200, "POST", "/clients/"+r.caller.id+"/revoke", nil) },
		"the service revoked": func(t *testing.T, r *relay) { r.want(t, 200, "POST", "/clients/"+r.service.id+"/revoke", nil) },
		"the service's secret rotated": func(t *testing.T, r *relay) {
			r.want(t, 201, "POST", "/clients/"+r.service.id+"/secrets", map[string]any{})
		},
	} {
		r := startRelay(t)
		subject := r.issue(t, r.caller, "resource="+url.QueryEscape(r.API.Audience))
		text := textOf(t, r.delegated(t, r.service, subject, ofStock))
		if got := r.stocked(t, text, "GET"); got != 200 {
			t.Fatalf("%s, before: %d", name, got)
		}
		end(t, r)
		if got := r.stocked(t, text, "GET"); got != 401 {
			t.Errorf("%s: the token got %d", name, got)
		}
		if seen := r.introspect(t, r.warden, text); seen["active"] != false {
			t.Errorf("%s: introspection says %v", name, seen)
		}
	}
	// A grant that the service loses counts at once, too.
	r := startRelay(t)
	text := textOf(t, r.delegated(t, r.service, r.issue(t, r.caller, "resource="+url.QueryEscape(r.API.Audience)), ofStock))
	account := r.want(t, 200, "GET", "/clients/"+r.service.id, nil).json(t)["account"].(map[string]any)["name"].(string)
	before := r.introspect(t, r.warden, text)["active"]
	r.want(t, 200, "PUT", "/grants/default/"+account, map[string]any{"roles": []any{map[string]any{"role": "nothing-yet"}}})
	if got := r.stocked(t, text, "GET"); before != true || got != 403 {
		t.Errorf("without its grant: %d, and introspection said %v before", got, before)
	}
	if seen := r.introspect(t, r.warden, text); seen["active"] != false {
		t.Errorf("without its grant introspection says %v", seen)
	}
}

// Nobody acts for who did not send them a token, nor where the API does not take it.
func TestDelegationIsRefused(t *testing.T) {
	r := startRelay(t)
	subject := r.issue(t, r.caller, "resource="+url.QueryEscape(r.API.Audience))
	stranger, _ := r.client(t, map[string]any{"name": "stranger", "bearer": false, "roles": roles("stock-reader")})
	const isActor = "actor_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
	for name, tt := range map[string]struct {
		by   as
		with []string
		want int
		code string
	}{
		"a stranger":                   {stranger, []string{"subject_token=" + subject, ofStock}, 400, "invalid_request"},
		"nobody":                       {as{}, []string{"subject_token=" + subject, ofStock}, 400, "invalid_request"},
		"a wrong secret":               {as{r.service.id, r.caller.secret}, []string{"subject_token=" + subject, ofStock}, 401, "invalid_client"},
		"a token for another API":      {r.service, []string{"subject_token=" + r.issue(t, r.caller, ofStock), ofStock}, 400, "invalid_request"},
		"no token":                     {r.service, []string{"subject_token=hello", ofStock}, 400, "invalid_request"},
		"a scope beyond the service's": {r.service, []string{"subject_token=" + subject, ofStock, "scope=stock%3Awrite"}, 400, "invalid_scope"},
		"an API that takes none":       {r.service, []string{"subject_token=" + subject, "resource=" + url.QueryEscape(r.API.Audience)}, 400, "invalid_target"},
		"another's actor_token":        {r.service, []string{"subject_token=" + subject, ofStock, "actor_token=" + r.issue(t, stranger, ofStock), isActor}, 400, "invalid_request"},
		"no actor_token_type":          {r.service, []string{"subject_token=" + subject, ofStock, "actor_token=" + r.issue(t, r.service, ofStock)}, 400, "invalid_request"},
		"a secret":                     {r.service, []string{"subject_token=" + r.caller.secret, ofStock}, 400, "invalid_request"},
	} {
		got := r.form(t, "/oauth2/token", tt.by, append(tt.with, wantExchange, isAccess)...)
		if got.status != tt.want || got.error() != tt.code {
			t.Errorf("%s: got %d %s; want %d %s", name, got.status, got.body, tt.want, tt.code)
		}
	}
	// It lives no longer than what it was made from.
	r.clock.advance(50 * time.Minute)
	if got := r.delegated(t, r.service, subject, ofStock); got.status != 200 || got.json(t)["expires_in"].(float64) > 600 {
		t.Errorf("after 50 minutes: got %d %s", got.status, got.body)
	}
	r.clock.advance(11 * time.Minute)
	if got := r.delegated(t, r.service, subject, ofStock); got.status != 400 {
		t.Errorf("of an expired token: got %d %s", got.status, got.body)
	}
}

// RFC 8693 section 1.1: for itself a client gets less, and never more.
func TestExchangeOfAnAccessTokenNarrows(t *testing.T) {
	r := startRelay(t)
	who, _ := r.client(t, map[string]any{"name": "two", "bearer": false, "roles": roles("stock-all", "example-reader")})
	wide := r.issue(t, who, ofStock, "resource="+url.QueryEscape(r.API.Audience), "scope=stock%3Aread+stock%3Awrite")
	got := r.delegated(t, who, wide, ofStock, "scope=stock%3Aread")
	text := textOf(t, got)
	if c := claims(t, text); c["aud"] != stock || c["scope"] != "stock:read" || c["act"] != nil {
		t.Errorf("claims %v", c)
	}
	if read, drop := r.stocked(t, text, "GET"), r.stocked(t, text, "DELETE"); read != 200 || drop != 403 {
		t.Errorf("decisions %d and %d, want 200 and 403", read, drop)
	}
	// From there nothing leads back.
	if got := r.delegated(t, who, text, ofStock, "scope=stock%3Awrite"); got.status != 400 || got.error() != "invalid_scope" {
		t.Errorf("a scope more: got %d %s", got.status, got.body)
	}
	if got := r.delegated(t, who, text, "resource="+url.QueryEscape(r.API.Audience)); got.status != 400 || got.error() != "invalid_target" {
		t.Errorf("another audience: got %d %s", got.status, got.body)
	}
	if got := r.delegated(t, who, text); got.status != 200 || claims(t, textOf(t, got))["aud"] != stock {
		t.Errorf("without a resource it is for the same: got %d %s", got.status, got.body)
	}
	// What acts is bound to keys as its own tokens are.
	prover := gatewaytest.NewProver(t)
	r.want(t, 200, "PATCH", "/clients/"+r.service.id, map[string]any{"binding": "dpop"})
	subject := r.issue(t, r.caller, "resource="+url.QueryEscape(r.API.Audience))
	if got := r.delegated(t, r.service, subject, ofStock); got.status != 400 || got.error() != "invalid_dpop_proof" {
		t.Errorf("without a proof: got %d %s", got.status, got.body)
	}
	q := r.formRequest(t, "/oauth2/token", wantExchange+"&"+isAccess+"&subject_token="+subject+"&"+ofStock)
	q.SetBasicAuth(r.service.id, r.service.secret)
	q.Header.Set("DPoP", prover.Proof("POST", tokenEndpoint, r.clock.now(), nil))
	if got := do(t, q); got.status != 200 || got.json(t)["token_type"] != "DPoP" {
		t.Errorf("with one: got %d %s", got.status, got.body)
	}
}

// A service that has no secret acts by its certificate.
func TestDelegationByCertificate(t *testing.T) {
	var d *door
	r := startRelay(t, func(t testing.TB) *node { d = startMTLS(t); return d.node })
	own := certify(t, nil, nil)
	r.register(t, r.service.id, map[string]any{"certificate": own.pem()})
	subject := r.issue(t, r.caller, "resource="+url.QueryEscape(r.API.Audience))
	cert := own.tls()
	q := r.formRequest(t, "/oauth2/token", wantExchange+"&"+isAccess+"&subject_token="+subject+"&"+ofStock+"&client_id="+r.service.id)
	if got := d.present(t, q, &cert); got.status != 200 || r.stocked(t, textOf(t, got), "GET") != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// Nobody administers in the place of another, whatever Postern's own API is set to;
// and whoever has a token may revoke it.
func TestDelegationEndsAtPosternItself(t *testing.T) {
	r := startRelay(t)
	etag := r.want(t, 200, "GET", "/apis/postern", nil).header.Get("ETag")
	if got := r.rest(t, "PATCH", "/apis/postern", map[string]any{"delegation": true}, "If-Match", etag); got.status != 200 && got.status != 409 && got.status != 403 {
		t.Errorf("the switch: got %d %s", got.status, got.body)
	}
	subject := r.issue(t, r.caller, "resource="+url.QueryEscape(r.API.Audience))
	if got := r.delegated(t, r.service, subject, "resource=postern"); got.status != 400 || got.error() != "invalid_target" {
		t.Errorf("a token for Postern's own API: got %d %s", got.status, got.body)
	}
	for _, by := range []as{r.service, r.caller} {
		text := textOf(t, r.delegated(t, r.service, subject, ofStock))
		if got := r.form(t, "/oauth2/revoke", r.warden, "token="+text); got.status != 200 || r.stocked(t, text, "GET") != 200 {
			t.Errorf("a stranger's revoke: got %d", got.status)
		}
		if got := r.form(t, "/oauth2/revoke", by, "token="+text); got.status != 200 || r.stocked(t, text, "GET") != 401 {
			t.Errorf("%s could not revoke it: %d", by.id, got.status)
		}
	}
}
