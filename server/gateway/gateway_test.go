package gateway_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/server/gateway"
	"postern/server/gateway/gatewaytest"
	"postern/server/token"
	"postern/store"
)

func TestG00AllowDenyNoTokenBadToken(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		tok := w.Token(t, gatewaytest.Machine)
		ask(w, binding, "GET", "/files/open", tok).gives(t, 200)
		ask(w, binding, "GET", "/files/secret", tok).gives(t, 403)
		plain := ask(w, binding, "GET", "/files/open", "").gives(t, 401)
		bad := ask(w, binding, "GET", "/files/open", tok+"x").gives(t, 401)
		if got, want := plain.Header().Get("WWW-Authenticate"), `Bearer realm="postern"`; got != want {
			t.Errorf("without a token: challenge %q, want %q", got, want)
		}
		if got, want := bad.Header().Get("WWW-Authenticate"), `Bearer realm="postern", error="invalid_token"`; got != want {
			t.Errorf("with a bad token: challenge %q, want %q", got, want)
		}
		for outcome, want := range map[string]int{"allowed": 1, "denied": 1, "unauthenticated": 2} {
			if got := w.Observed("shop", outcome); got != want {
				t.Errorf("observed %s %d times, want %d", outcome, got, want)
			}
		}
	})
}

func TestOnlyDecisionsAreServed(t *testing.T) {
	w := gatewaytest.New(t)
	for _, path := range []string{"/", "/decide", "/decide/", "/decide/nginx", "/decide/nginx/", "/decide/nginx/shop/", "/decide/nginx/shop/x", "/decide/Nginx/shop", "/decide/envoy/shop", "//decide/nginx/shop", "/oauth2/token", "/metrics"} {
		q := ask(w, "nginx", "GET", "/files/open", w.Token(t, gatewaytest.Machine))
		q.URL.Path = path
		if got := q.answer().Code; got != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, got)
		}
	}
}

// G02: methods are case-sensitive, and only the binding's header says which.
func TestG02OnlyTheBindingSaysTheMethod(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		tok := w.Token(t, gatewaytest.Machine)
		for method, status := range map[string]int{
			"GET": 200, "HEAD": 403, "POST": 403, "OPTIONS": 403, "TRACE": 403, "BREW": 403,
			"get": 403, "Get": 403, "GET ": 403, "GET HEAD": 403, "GET,POST": 403, "*": 403, "G\x00T": 403,
		} {
			if got := ask(w, binding, method, "/files/open", tok).answer().Code; got != status {
				t.Errorf("%q: got %d, want %d", method, got, status)
			}
		}
		// Where any method is allowed, an unknown one is, and one that some take for another is not.
		ask(w, binding, "BREW", "/any", tok).gives(t, 200)
		ask(w, binding, "delete", "/any", tok).gives(t, 403)
		ask(w, binding, "GET HEAD", "/any", tok).gives(t, 403)
		if binding != "envoy" { // of the others, the method of the question is the gateway's affair
			q := ask(w, binding, "GET", "/files/open", tok)
			q.Method = http.MethodPost
			q.gives(t, 200)
		}
		for _, name := range []string{"X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"} {
			ask(w, binding, "POST", "/files/open", tok).with(name, "GET").gives(t, 403)
			ask(w, binding, "GET", "/files/open", tok).with(name, "POST").gives(t, 200)
		}
	})
}

// G03, CVE-2026-35051, CVE-2026-34457
func TestG03OnlyTheBindingsHeadersCount(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		tok := w.Token(t, gatewaytest.Machine)
		other := bindings["forward"]
		if binding == "forward" {
			other = bindings["nginx"]
		}
		denied := func() question { return ask(w, binding, "GET", "/files/secret", tok) }
		for name, value := range map[string]string{
			"X-Rewrite-URL": "/files/open", "X-Forwarded-Prefix": "/files/open", "X-Forwarded-Path": "/files/open",
			"Forwarded": "host=shop.example", "User-Agent": "kube-probe/1.30", "X-Auth-Subject": "root", "Host": "localhost",
		} {
			denied().with(name, value).gives(t, 403)
			ask(w, binding, "GET", "/files/open", "").with(name, value).gives(t, 401)
		}
		q := denied()
		other.call(q.Request, "GET", "/files/open")
		q.gives(t, 403)
		q = denied()
		q.URL.RawQuery = "uri=/files/open&method=GET"
		q.gives(t, 403)

		for _, name := range bindings[binding].names {
			allowed := func() question { return ask(w, binding, "GET", "/files/open", tok) }
			value := allowed().Header.Get(name)
			allowed().without(name).gives(t, 403)
			allowed().with(name, "").gives(t, 403)
			allowed().with(name, value, value).gives(t, 403)
			allowed().with(name, value, "x").gives(t, 403)
			// It is found before the token.
			ask(w, binding, "GET", "/files/open", "").without(name).gives(t, 403)
			// And the other binding's in its place are none.
			q := allowed().without(name)
			other.call(q.Request, "GET", "/files/open")
			q.gives(t, 403)
		}
	})
}

// What ingress-nginx makes of a request is a URL, of which its host and its path
// are told apart in one way only.
func TestG03TheURLOfIngressNginx(t *testing.T) {
	w := gatewaytest.New(t)
	tok := w.Token(t, gatewaytest.Machine)
	for address, status := range map[string]int{
		"http://shop.example/files/open": 200, "https://shop.example:443/files/open?x=http://a/": 200, "http://[::1]:80/files/open": 200,
		"/files/open": 403, "ftp://shop.example/files/open": 403, "HTTP://shop.example/files/open": 403, "http:///files/open": 403,
		"http://shop.example": 403, "http://shop.example*": 403, "http://shop.examplehttp://shop.example/files/open": 403,
		"http://shop.example?/files/open": 403, "http://shop.example#/files/open": 403, "http://a@shop.example/files/open": 403,
		"http://shop.example:/files/open": 403, `http://shop.example\/files/open`: 403, "http://shop.example/files/secret": 403,
	} {
		if got := ask(w, "ingress-nginx", "GET", "", tok).with("X-Original-Url", address).answer().Code; got != status {
			t.Errorf("%q: got %d, want %d", address, got, status)
		}
	}
}

// Envoy's question is the client's own request line behind a prefix: as it was sent.
func TestG03TheTargetOfEnvoy(t *testing.T) {
	w := gatewaytest.New(t)
	tok := w.Token(t, gatewaytest.Machine)
	for target, status := range map[string]int{
		"/decide/envoy/shop/files/open":         200,
		"/decide/envoy/shop/files/open?a=//b":   200,
		"/decide/envoy/shop/files/secret":       403,
		"/decide/envoy/shop":                    403,
		"/decide/envoy/shop?/files/open":        403,
		"/decide/envoy/shop*":                   403,
		"/decide/envoy//files/open":             403,
		"/decide/envoy/sho%70/files/open":       403, // an API has one spelling
		"/decide/envoy/shop/../shop/files/open": 403,
		"/decide%2fenvoy/shop/files/open":       404,
		"/decide/%65nvoy/shop/files/open":       404,
		"/decide/./envoy/shop/files/open":       404,
	} {
		q := ask(w, "envoy", "GET", "", tok)
		q.RequestURI = target
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatal(err)
		}
		q.URL = u
		if got := q.answer().Code; got != status {
			t.Errorf("%s: got %d, want %d", target, got, status)
		}
	}
}

func TestG04ATokenComesInOneHeaderOnly(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		tok := w.Token(t, gatewaytest.Machine)
		for _, values := range [][]string{
			{"Bearer " + tok, "Bearer " + tok},
			{"Bearer " + tok, "Basic eDp5"},
			{"Basic eDp5", "Bearer " + tok},
			{"Bearer " + tok + ", Bearer " + tok},
			{"Bearer " + tok + ","},
			{"Bearer " + tok + " " + tok},
			{"Bearer " + tok + "\t"},
			{"Bearer"},
			{"Bearer "},
			{"Bearer  "},
			{""},
			{tok},
			{"Basic " + tok},
			{"DPoP " + tok},
			{"Bearer=" + tok},
			{"Bearer\t" + tok},
			{"Token " + tok},
		} {
			ask(w, binding, "GET", "/files/open", "").with("Authorization", values...).gives(t, 401)
		}
		for _, value := range []string{"bearer " + tok, "BEARER " + tok, "Bearer  " + tok} {
			ask(w, binding, "GET", "/files/open", "").with("Authorization", value).gives(t, 200)
		}
		q := ask(w, binding, "GET", "/files/open?access_token="+tok, "").with("Cookie", "access_token="+tok).with("X-Access-Token", tok)
		q.URL.RawQuery = "access_token=" + tok
		q.gives(t, 401)
	})
}

func TestG05ARevokedTokenIsRefused(t *testing.T) {
	w := gatewaytest.New(t)
	tok := w.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.ID = "one" })
	ask(w, "nginx", "GET", "/files/open", tok).gives(t, 200)
	w.Revoke("one")
	ask(w, "nginx", "GET", "/files/open", tok).gives(t, 401)
}

// T25, on the road of decisions.
func TestT25WhatIsUnusableIsRefusedAtOnce(t *testing.T) {
	machine, account := string(gatewaytest.Machine), string(gatewaytest.Account)
	past := store.At(time.Date(2026, 5, 4, 11, 59, 59, 0, time.UTC))
	for name, spoil := range map[string]func(*testing.T, *gatewaytest.World){
		"client revoked": func(t *testing.T, w *gatewaytest.World) {
			gatewaytest.Change(t, w, machine, func(c *store.Client) { c.Status = store.ClientRevoked })
		},
		"client expired": func(t *testing.T, w *gatewaytest.World) {
			gatewaytest.Change(t, w, machine, func(c *store.Client) { c.ExpiresAt = past })
		},
		"client deleted": func(t *testing.T, w *gatewaytest.World) {
			gatewaytest.Change(t, w, machine, func(c *store.Client) { c.Status = store.ClientDeleted })
		},
		"client gone": func(t *testing.T, w *gatewaytest.World) { w.Remove(t, store.KindClient, machine) },
		"client restored": func(t *testing.T, w *gatewaytest.World) {
			gatewaytest.Change(t, w, machine, func(c *store.Client) { c.Generation++ })
		},
		"secret revoked": func(t *testing.T, w *gatewaytest.World) {
			gatewaytest.Change(t, w, machine, func(c *store.Client) {
				c.Secrets = []store.ClientSecret{c.Secrets[0]}
				c.Secrets[0].RevokedAt = past
			})
		},
		"account deactivated": func(t *testing.T, w *gatewaytest.World) {
			gatewaytest.Change(t, w, account, func(a *store.Account) { a.Status = store.AccountDeactivated })
		},
		"workspace deleted": func(t *testing.T, w *gatewaytest.World) { w.Remove(t, store.KindWorkspace, string(gatewaytest.Acme)) },
		"token expired":     func(_ *testing.T, w *gatewaytest.World) { w.Move(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			w := gatewaytest.New(t, func(o *gateway.Options) { o.RequireCredential = false })
			tok := w.Token(t, gatewaytest.Machine)
			q := ask(w, "nginx", "GET", "/files/open", tok).without("X-Postern-Gateway")
			q.gives(t, 200)
			spoil(t, w)
			q.gives(t, 401)
		})
	}
}

func TestATokenForAnotherAudienceIsInvalid(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		for audience, status := range map[string]int{
			"https://other.example": 401, "shop": 401, "https://shop.example/": 401, "HTTPS://shop.example": 401, "https://shop.example": 200,
		} {
			tok := w.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Audience = []string{audience} })
			rec := ask(w, binding, "GET", "/files/open", tok).gives(t, status)
			if status == 401 && !strings.Contains(rec.Header().Get("WWW-Authenticate"), "invalid_token") {
				t.Errorf("%s: challenge %q", audience, rec.Header().Get("WWW-Authenticate"))
			}
		}
		both := w.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Audience = []string{"https://other.example", "https://shop.example"} })
		ask(w, binding, "GET", "/files/open", both).gives(t, 200)
	})
}

// G11: nothing about one decision leaks into another. All of these questions are
// asked in turn, over and over, of one handler.
func TestG11EveryInputCounts(t *testing.T) {
	w := gatewaytest.New(t)
	gatewaytest.Change(t, w, string(gatewaytest.Shop), func(a *store.API) {
		a.Hosts, a.SharedWith = []string{"shop.example"}, []store.Share{{Workspace: gatewaytest.Globex}}
	})
	in := func(ws store.WorkspaceID) func(*token.Claims) {
		return func(c *token.Claims) {
			c.Workspace = ws
			c.Gen = "1.1.0.1.1"
		}
	}
	gatewaytest.Change(t, w, string(gatewaytest.Account), func(a *store.Account) { a.Generation = 0 })
	machine, scopeless := w.Token(t, gatewaytest.Machine), w.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Scope = "" })
	acme, globex := w.Token(t, gatewaytest.Roaming, in(gatewaytest.Acme)), w.Token(t, gatewaytest.Roaming, in(gatewaytest.Globex))
	for range 3 {
		for _, tt := range []struct {
			name, binding, tok, method, target, host string
			status                                   int
		}{
			{"workspace acme", "nginx", acme, "GET", "/files/secret", "shop.example", 403},
			{"workspace globex", "nginx", globex, "GET", "/files/secret", "shop.example", 200},
			{"method", "nginx", machine, "GET", "/orders", "shop.example", 200},
			{"another method", "nginx", machine, "PUT", "/orders", "shop.example", 403},
			{"with the scope", "nginx", machine, "POST", "/orders", "shop.example", 200},
			{"without the scope", "nginx", scopeless, "POST", "/orders", "shop.example", 403},
			{"path", "forward", machine, "GET", "/files/open", "shop.example", 200},
			{"another path", "forward", machine, "GET", "/files/secret", "shop.example", 403},
			{"another host", "forward", machine, "GET", "/files/open", "evil.example", 403},
			{"another binding's host", "nginx", machine, "GET", "/files/open", "evil.example", 403},
		} {
			if got := ask(w, tt.binding, tt.method, tt.target, tt.tok).to(tt.binding, tt.host).answer().Code; got != tt.status {
				t.Errorf("%s: got %d, want %d", tt.name, got, tt.status)
			}
		}
	}
}

func TestHostsOfAnAPI(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		tok := w.Token(t, gatewaytest.Machine)
		gatewaytest.Change(t, w, string(gatewaytest.Shop), func(a *store.API) { a.Hosts = []string{"shop.example", "[2001:db8::1]", "localhost"} })
		for host, status := range map[string]int{
			"shop.example": 200, "SHOP.Example": 200, "shop.example:443": 200, "shop.example.": 200, "shop.example.:443": 200, "[2001:DB8::1]:80": 200, "localhost": 200,
			"shop.example.evil": 403, "evil.shop.example": 403, "evil": 403, "shop.example:x": 403, "shop.example, shop.example": 403, "shop.example/": 403,
			"shop.example..": 403, ":443": 403, ".": 403, "shop.example:443:443": 403, "[2001:db8::1]x": 403, "[": 403, "user@shop.example": 403,
			"\u017fhop.example": 403, "loca\u017fhost": 403,
		} {
			if got := ask(w, binding, "GET", "/files/open", tok).to(binding, host).answer().Code; got != status {
				t.Errorf("%q: got %d, want %d", host, got, status)
			}
		}
		ask(w, binding, "GET", "/files/open", tok).to(binding).gives(t, 403)
		ask(w, binding, "GET", "/files/open", tok).to(binding, "shop.example", "shop.example").gives(t, 403)
		ask(w, binding, "GET", "/health", "").to(binding, "evil.example").gives(t, 401) // public, but not there
		ask(w, binding, "GET", "/health", "").gives(t, 200)
	})
}

func TestIdentityHeadersAreAlwaysThere(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		gatewaytest.Change(t, w, string(gatewaytest.Shop), func(a *store.API) { a.SharedWith = []store.Share{{Workspace: gatewaytest.Globex}} })
		names := []string{"X-Auth-Subject", "X-Auth-Client", "X-Auth-Workspace", "X-Auth-Roles", "X-Auth-Scope"}
		check := func(name string, rec *httptest.ResponseRecorder, want ...string) {
			t.Helper()
			for i, header := range names {
				if got := rec.Header()[header]; len(got) != 1 || got[0] != want[i] {
					t.Errorf("%s: %s is %q, want %q", name, header, got, want[i])
				}
			}
		}
		spoofed := func(q question) question {
			for _, name := range append(names, "X-Auth-Token") {
				q.with(name, "root")
			}
			return q
		}
		account := string(gatewaytest.Account)
		tok := w.Token(t, gatewaytest.Machine)
		check("a token", spoofed(ask(w, binding, "GET", "/files/open", tok)).gives(t, 200), account, string(gatewaytest.Machine), "wspacme", "acme/clerk", "orders:write")
		tok = w.Token(t, gatewaytest.Roaming, func(c *token.Claims) { c.Scope = "" })
		rec := spoofed(ask(w, binding, "GET", "/files/open", tok)).gives(t, 200)
		check("no scope", rec, account, string(gatewaytest.Roaming), "wspacme", "acme/clerk", "-")
		if got := rec.Header()["X-Auth-Token"]; got != nil {
			t.Errorf("a token was exchanged for a token: %q", got)
		}
		check("public", spoofed(ask(w, binding, "GET", "/health", tok)).gives(t, 200), "anonymous", "-", "-", "-", "-")
	})
}

func TestASecretSentAsBearerIsExchanged(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		bearer := w.Secret(gatewaytest.Bearer)
		first := ask(w, binding, "GET", "/files/open", bearer).gives(t, 200).Header().Get("X-Auth-Token")
		if strings.Count(first, ".") != 2 || strings.Contains(first, bearer) {
			t.Fatalf("X-Auth-Token is %q, no JWT", first)
		}
		// It stands for the secret, for as long as it lives.
		ask(w, binding, "POST", "/orders", first).gives(t, 200)
		ask(w, binding, "GET", "/files/secret", first).gives(t, 403)
		w.Move(29 * time.Second)
		if again := ask(w, binding, "GET", "/files/open", bearer).answer().Header().Get("X-Auth-Token"); again != first {
			t.Error("after 29 s it was not the same token")
		}
		w.Move(2 * time.Second)
		if again := ask(w, binding, "GET", "/files/open", bearer).answer().Header().Get("X-Auth-Token"); again == first || again == "" {
			t.Error("after 31 s it was the same token, or none")
		}
		w.Move(29 * time.Second)
		ask(w, binding, "GET", "/files/open", first).gives(t, 401)

		ask(w, binding, "GET", "/files/open", w.Secret(gatewaytest.Machine)).gives(t, 401) // not a bearer
		ask(w, binding, "GET", "/files/open", bearer[:len(bearer)-1]+"~").gives(t, 401)

		// What the exchanged token says changes with what it is made of.
		before := ask(w, binding, "GET", "/files/open", bearer).answer().Header().Get("X-Auth-Token")
		gatewaytest.Change(t, w, string(gatewaytest.Clerk), func(r *store.Role) { r.Rules = r.Rules[:3] })
		rec := ask(w, binding, "GET", "/files/open", bearer).gives(t, 200)
		if rec.Header().Get("X-Auth-Token") == before || rec.Header().Get("X-Auth-Scope") != "-" {
			t.Errorf("after a change of the role: the same token, or the scope %q", rec.Header().Get("X-Auth-Scope"))
		}
	})
}

// Where a gateway copies Authorization from the answer, it is what the upstream
// shall get: never a secret.
func TestAuthorizationOfTheAnswer(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		copies := binding == "forward" || binding == "envoy"
		check := func(name string, rec *httptest.ResponseRecorder, authorization, removed string) {
			t.Helper()
			if !copies {
				authorization, removed = "", ""
			}
			if got := rec.Header().Get("Authorization"); got != authorization {
				t.Errorf("%s: Authorization %q, want %q", name, got, authorization)
			}
			if got := rec.Header().Get("X-Envoy-Auth-Headers-To-Remove"); got != removed {
				t.Errorf("%s: removed is %q, want %q", name, got, removed)
			}
		}
		tok, bearer := w.Token(t, gatewaytest.Machine), w.Secret(gatewaytest.Bearer)
		check("a token", ask(w, binding, "GET", "/files/open", tok).gives(t, 200), "Bearer "+tok, "")
		rec := ask(w, binding, "GET", "/files/open", bearer).gives(t, 200)
		check("a secret", rec, "Bearer "+rec.Header().Get("X-Auth-Token"), "")
		check("a public call", ask(w, binding, "GET", "/health", bearer).gives(t, 200), "", "authorization")
		check("a refusal", ask(w, binding, "GET", "/files/secret", tok).gives(t, 403), "", "")
	})
}

// G06
func TestG06AStrangerNeedsACredential(t *testing.T) {
	gw := string(gatewaytest.Gateway)
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		tok := w.Token(t, gatewaytest.Machine)
		good := w.Basic(gatewaytest.Gateway)
		for name, values := range map[string][]string{
			"none": nil, "empty": {""}, "a stranger's": {w.Basic(gatewaytest.Stranger)}, "twice": {good, good}, "not base64": {"Basic !!!"},
			"no colon": {"Basic eHl6"}, "bearer": {"Bearer " + w.Secret(gatewaytest.Gateway)}, "no scheme": {good[len("Basic "):]},
			"cut": {good[:len(good)-4]}, "long": {"Basic " + strings.Repeat("eHl6", 1000)}, "unknown": {"Basic eDp5"}, "no secret": {"Basic eDo="},
		} {
			q := ask(w, binding, "GET", "/files/open", tok).with("X-Postern-Gateway", values...)
			if values == nil {
				q.without("X-Postern-Gateway")
			}
			if rec := q.gives(t, 401); !strings.HasPrefix(rec.Header().Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("%s: challenge %q", name, rec.Header().Get("WWW-Authenticate"))
			}
			// It comes first: nothing else is said.
			ask(w, binding, "GET", "//", "").with("X-Postern-Gateway", values...).gives(t, 401)
			ask(w, binding, "GET", "/health", "").with("X-Postern-Gateway", values...).gives(t, 401)
		}
		q := ask(w, binding, "GET", "/files/open", tok)
		q.URL.Path = "/decide/" + binding + "/nothing"
		if binding == "envoy" {
			q.RequestURI = "/decide/envoy/nothing/files/open"
		}
		q.gives(t, 403)
		q.with("X-Postern-Gateway", "Basic eDp5").gives(t, 401)
		q = ask(w, binding, "GET", "/files/open", tok).with("X-Postern-Gateway", "basic"+good[len("Basic"):])
		q.gives(t, 200)

		for name, change := range map[string]func(*store.Client){
			"revoked":        func(c *store.Client) { c.Status = store.ClientRevoked },
			"pending":        func(c *store.Client) { c.Status = store.ClientPending },
			"expired":        func(c *store.Client) { c.ExpiresAt = 1 },
			"secret revoked": func(c *store.Client) { c.Secrets[0].RevokedAt = 1 },
			"other method":   func(c *store.Client) { c.AuthMethods = []string{"private_key_jwt"} },
			"elsewhere":      func(c *store.Client) { c.Addresses = []string{"198.51.100.0/24"} },
			"no hash":        func(c *store.Client) { c.Secrets[0].Hash = nil },
			"no workspace":   func(c *store.Client) { c.Workspace = "wspgone" },
			"no account":     func(c *store.Client) { c.Account = "svcgone" },
		} {
			w := gatewaytest.New(t)
			gatewaytest.Change(t, w, gw, func(c *store.Client) {
				c.Secrets = []store.ClientSecret{c.Secrets[0]}
				change(c)
			})
			if got := ask(w, binding, "GET", "/files/open", w.Token(t, gatewaytest.Machine)).answer().Code; got != 401 {
				t.Errorf("%s: got %d, want 401", name, got)
			}
		}
		gatewaytest.Change(t, w, gw, func(c *store.Client) { c.Addresses = []string{"192.0.2.0/24"} }) // httptest's own
		ask(w, binding, "GET", "/files/open", tok).gives(t, 200)
		gatewaytest.Change(t, w, string(gatewaytest.GatewayAccount), func(a *store.Account) { a.Status = store.AccountDeactivated })
		ask(w, binding, "GET", "/files/open", tok).gives(t, 401)
	})
}

func TestG06OnLoopbackACredentialMayBeLeftOut(t *testing.T) {
	w := gatewaytest.New(t, func(o *gateway.Options) { o.RequireCredential = false })
	tok := w.Token(t, gatewaytest.Machine)
	ask(w, "nginx", "GET", "/files/open", tok).without("X-Postern-Gateway").gives(t, 200)
	ask(w, "nginx", "GET", "/files/open", tok).with("X-Postern-Gateway", "").gives(t, 401)
	ask(w, "nginx", "GET", "/files/open", tok).with("X-Postern-Gateway", w.Basic(gatewaytest.Stranger)).gives(t, 401)
	q := ask(w, "nginx", "GET", "/files/open", tok).without("X-Postern-Gateway")
	q.URL.Path = "/decide/nginx/postern"
	q.gives(t, 403)
}

// G08, on the road of decisions: what is broken is not an answer to the question.
func TestG08AnOutageIsNoAnswer(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		tok := w.Token(t, gatewaytest.Machine)
		ask(w, binding, "GET", "/files/open", tok).gives(t, 200)
		for _, err := range []error{&store.Unavailable{Err: errors.New("no primary")}, errors.New("unknown trouble")} {
			w.Break(err)
			rec := ask(w, binding, "GET", "/files/open", tok).gives(t, 503)
			if rec.Header().Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
		}
		w.Break(nil)
		ask(w, binding, "GET", "/files/open", tok).gives(t, 200)
		if got := w.Observed("shop", "unavailable"); got != 2 {
			t.Errorf("observed unavailable %d times, want 2", got)
		}
	})
	t.Run("no credential, token unknown", func(t *testing.T) {
		w := gatewaytest.New(t, func(o *gateway.Options) { o.RequireCredential = false })
		tok := w.Token(t, gatewaytest.Machine)
		w.Break(&store.Unavailable{})
		ask(w, "nginx", "GET", "/files/open", tok).without("X-Postern-Gateway").gives(t, 503)
		ask(w, "nginx", "GET", "/files/open", "nonsense").without("X-Postern-Gateway").gives(t, 401)
	})
}

func TestOldStateIsToldAndThenRefused(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		tok := w.Token(t, gatewaytest.Machine)
		for _, tt := range []struct {
			age    time.Duration
			told   string
			status int
		}{{time.Second, "", 200}, {5 * time.Second, "", 200}, {7500 * time.Millisecond, "7s", 200}, {time.Minute, "1m0s", 200}, {61 * time.Second, "1m1s", 503}} {
			w.SetAge(tt.age)
			rec := ask(w, binding, "GET", "/files/open", tok).gives(t, tt.status)
			if got := rec.Header().Get("Postern-State-Age"); got != tt.told {
				t.Errorf("at %v: told %q, want %q", tt.age, got, tt.told)
			}
		}
		w.SetAge(11 * time.Second)
		gatewaytest.Change(t, w, string(gatewaytest.Shop), func(a *store.API) { a.MaxStaleness = 10 })
		ask(w, binding, "GET", "/files/open", tok).gives(t, 503)
		ask(w, binding, "GET", "/health", "").gives(t, 503)
		w.SetAge(10 * time.Second)
		ask(w, binding, "GET", "/files/open", tok).gives(t, 200)
	})
}

func TestPublicCallsNeedNoToken(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		ask(w, binding, "GET", "/health", "").gives(t, 200)
		ask(w, binding, "GET", "/health", "nonsense").gives(t, 200)
		ask(w, binding, "OPTIONS", "/orders", "").gives(t, 200) // a preflight
		ask(w, binding, "OPTIONS", "/orders/1", "").gives(t, 401)
		ask(w, binding, "HEAD", "/health", "").gives(t, 401)
		ask(w, binding, "POST", "/health", "").gives(t, 401)
		ask(w, binding, "GET", "/health/x", "").gives(t, 401)
		ask(w, binding, "GET", "/health/../files/open", "").gives(t, 401)
		ask(w, binding, "GET", "/files/secret?/health", "").gives(t, 401)
		if rows, _ := w.Used(t); len(rows) > 0 {
			t.Errorf("calls without a token were counted: %+v", rows)
		}
		ask(w, binding, "OPTIONS", "/files/open", w.Token(t, gatewaytest.Machine)).gives(t, 403)
	})
}

func TestAClientWithAnAddressListCallsFromThere(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		header := bindings[binding].address
		gatewaytest.Change(t, w, string(gatewaytest.Machine), func(c *store.Client) { c.Addresses = []string{"192.0.2.0/24", "2001:db8::/32"} })
		tok := w.Token(t, gatewaytest.Machine)
		from := func(values ...string) question {
			return ask(w, binding, "GET", "/files/open", tok).with(header, values...)
		}
		from("192.0.2.200").gives(t, 200)
		from("::ffff:192.0.2.1").gives(t, 200)
		from("2001:db8::7").gives(t, 200)
		from("198.51.100.1").gives(t, 403)
		from("192.0.2").gives(t, 403)
		from("").gives(t, 403)
		from("unknown").gives(t, 403)
		ask(w, binding, "GET", "/files/open", tok).without(header).gives(t, 403)
		if bindings[binding].forwarded { // the last one is the gateway's, the others are whoever's
			from("198.51.100.1, 192.0.2.1").gives(t, 200)
			from("192.0.2.1, 198.51.100.1").gives(t, 403)
			from("192.0.2.1", "198.51.100.1").gives(t, 403)
			from("192.0.2.1,").gives(t, 403)
		} else {
			from("192.0.2.1", "192.0.2.1").gives(t, 403)
			from("192.0.2.1, 192.0.2.1").gives(t, 403)
			ask(w, binding, "GET", "/files/open", tok).without(header).with("X-Forwarded-For", "192.0.2.1").gives(t, 403)
		}
	})
}

func TestTheWorkspaceOfADecision(t *testing.T) {
	acme, globex := string(gatewaytest.Acme), string(gatewaytest.Globex)
	for _, tt := range []struct {
		name, from, target string
		client             store.ClientID
		tags               []string
		unshared           bool
		status             int
		in                 string
	}{
		{name: "the token's", client: gatewaytest.Machine, target: "/files/open", status: 200, in: acme},
		{name: "the API's owner, where the token has none", client: gatewaytest.Roaming, target: "/files/open", status: 200, in: acme},
		{name: "fixed", from: "fixed", client: gatewaytest.Roaming, target: "/files/secret", status: 403},
		{name: "a parameter with a name", from: "param:workspace", client: gatewaytest.Roaming, target: "/w/globex/orders", status: 200, in: globex},
		{name: "a parameter with an id", from: "param:workspace", client: gatewaytest.Roaming, target: "/w/wspglobex/orders", status: 200, in: globex},
		{name: "a parameter with the owner", from: "param:workspace", client: gatewaytest.Roaming, target: "/w/acme/orders", status: 200, in: acme},
		{name: "a parameter with nothing known", from: "param:workspace", client: gatewaytest.Roaming, target: "/w/initech/orders", status: 403},
		{name: "an endpoint without the parameter", from: "param:workspace", client: gatewaytest.Roaming, target: "/orders/1", status: 403},
		{name: "no endpoint", from: "param:workspace", client: gatewaytest.Roaming, target: "/files/open", status: 403},
		{name: "another parameter", from: "param:other", client: gatewaytest.Roaming, target: "/w/globex/orders", status: 403},
		{name: "unreadable", from: "header:x", client: gatewaytest.Roaming, target: "/orders/1", status: 403},
		{name: "the token's, where the path names it", from: "param:workspace", client: gatewaytest.Machine, target: "/w/acme/orders", status: 200, in: acme},
		{name: "the token's, where the path names another", from: "param:workspace", client: gatewaytest.Machine, target: "/w/globex/orders", status: 403},
		{name: "the token's, where the path names none", from: "param:workspace", client: gatewaytest.Machine, target: "/files/open", status: 200, in: acme},
		{name: "not shared with it", from: "param:workspace", client: gatewaytest.Roaming, target: "/w/globex/orders", unshared: true, status: 403},
		{name: "shared by a tag it lacks", from: "param:workspace", client: gatewaytest.Roaming, target: "/w/globex/orders", tags: []string{"orders"}, status: 403},
		{name: "a tag is nothing to the owner", client: gatewaytest.Machine, target: "/files/open", tags: []string{"orders"}, status: 200, in: acme},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
				gatewaytest.Change(t, w, string(gatewaytest.Shop), func(a *store.API) {
					if a.WorkspaceFrom = tt.from; !tt.unshared {
						a.SharedWith = []store.Share{{Workspace: gatewaytest.Globex, Tags: tt.tags}}
					}
				})
				rec := ask(w, binding, "GET", tt.target, w.Token(t, tt.client)).gives(t, tt.status)
				if got := rec.Header().Get("X-Auth-Workspace"); got != tt.in {
					t.Errorf("decided in %q, want %q", got, tt.in)
				}
			})
		})
	}
}

func TestAnAPIIsSharedByTags(t *testing.T) {
	w := gatewaytest.New(t)
	gatewaytest.Change(t, w, string(gatewaytest.Shop), func(a *store.API) {
		a.SharedWith = []store.Share{{Workspace: gatewaytest.Globex, Tags: []string{"billing", "orders"}}}
	})
	tok := w.Token(t, gatewaytest.Roaming, func(c *token.Claims) { c.Workspace, c.Gen = gatewaytest.Globex, "1.1.1.1.1" })
	for target, status := range map[string]int{"/orders/1": 200, "/orders": 200, "/orders/1/lines": 403, "/files/open": 403, "/w/globex/orders": 403} {
		if got := ask(w, "nginx", "GET", target, tok).answer().Code; got != status {
			t.Errorf("%s: got %d, want %d", target, got, status)
		}
	}
}

func TestAWorkspaceNamedAsAnotherOnesIDIsNeither(t *testing.T) {
	w := gatewaytest.New(t)
	w.Set(t, &store.Workspace{ID: "wspevil", Name: "wspglobex", APIAccess: true})
	gatewaytest.Change(t, w, string(gatewaytest.Shop), func(a *store.API) {
		a.WorkspaceFrom, a.SharedWith = "param:workspace", []store.Share{{Workspace: gatewaytest.Globex}, {Workspace: "wspevil"}}
	})
	ask(w, "nginx", "GET", "/w/wspglobex/orders", w.Token(t, gatewaytest.Roaming)).gives(t, 403)
	ask(w, "nginx", "GET", "/w/globex/orders", w.Token(t, gatewaytest.Roaming)).gives(t, 200)
}

// DP8
func TestNothingIsAllowedWhereAPIAccessIsOff(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		roaming, bound := w.Token(t, gatewaytest.Roaming), w.Token(t, gatewaytest.Machine)
		gatewaytest.Change(t, w, string(gatewaytest.Acme), func(ws *store.Workspace) { ws.APIAccess = false })
		ask(w, binding, "GET", "/files/open", roaming).gives(t, 403)
		if got := ask(w, binding, "GET", "/files/open", bound).answer().Code; got != 401 && got != 403 {
			t.Errorf("a token of that workspace: got %d", got)
		}
		ask(w, binding, "GET", "/files/open", w.Secret(gatewaytest.Bearer)).gives(t, 401)
	})
}

func TestACredentialForProvisioningCallsNoAPI(t *testing.T) {
	w := gatewaytest.New(t)
	gatewaytest.Change(t, w, string(gatewaytest.Bearer), func(c *store.Client) { c.SCIMOnly = true })
	ask(w, "nginx", "GET", "/files/open", w.Secret(gatewaytest.Bearer)).gives(t, 403)
	ask(w, "nginx", "GET", "/files/open", w.Token(t, gatewaytest.Bearer)).gives(t, 403)
}

func TestDecisionsAreCountedByPatternNeverByPath(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		tok := w.Token(t, gatewaytest.Machine)
		for _, target := range []string{"/orders/1", "/orders/2", "/files/secret/plan", "/nowhere", "/files/..", "/files/a/b?c=d"} {
			ask(w, binding, "GET", target, tok).answer()
			w.Move(time.Second)
			_, uses := w.Used(t)
			for _, u := range uses {
				if s := u.SuccessEndpoint + u.RefusalEndpoint; strings.ContainsAny(s, "12?") || strings.Contains(s, "plan") || strings.Contains(s, "nowhere") {
					t.Errorf("an endpoint with a raw path: %q", s)
				}
			}
		}
		rows, uses := w.Used(t)
		got := map[string]int64{}
		for _, r := range rows {
			got[fmt.Sprintf("%s %s %s", r.Client, r.Outcome, r.Rule)] = r.Count
		}
		machine := string(gatewaytest.Machine)
		for key, want := range map[string]int64{
			machine + " allowed acme/clerk#3": 2, machine + " allowed acme/clerk#1": 1, machine + " denied acme/clerk#2": 1, machine + " denied ": 2,
		} {
			if got[key] != want {
				t.Errorf("%s: counted %d, want %d (%v)", key, got[key], want, got)
			}
		}
		last := uses[len(uses)-1]
		if last.SuccessEndpoint != "GET /files/**" || last.SuccessAddress != "192.0.2.7" || last.RefusalEndpoint != "GET -" {
			t.Errorf("last use: %+v", last)
		}
	})
}

// DP8: who is taken off the people who may use personal tokens of a workspace
// loses them there at once, a token that was minted from one included.
func TestDP8APersonalTokenCountsWhereItsOwnerMayUseOne(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		bearer := w.Secret(gatewaytest.Bearer)
		first := ask(w, binding, "GET", "/files/open", bearer).gives(t, 200).Header().Get("X-Auth-Token")
		for _, tt := range []struct {
			who    store.WhoMayCreate
			people []store.AccountID
			want   int
		}{
			{store.CreateAdministrators, nil, 403},
			{store.CreateNamed, []store.AccountID{gatewaytest.Account}, 200},
			{store.CreateNamed, []store.AccountID{"usr-another"}, 403},
			{store.CreateEveryone, nil, 200},
		} {
			gatewaytest.Change(t, w, string(gatewaytest.Acme), func(ws *store.Workspace) { ws.WhoMayCreate, ws.PersonalPeople = tt.who, tt.people })
			ask(w, binding, "GET", "/files/open", bearer).gives(t, tt.want)
			ask(w, binding, "POST", "/orders", first).gives(t, tt.want)
		}
	})
}
