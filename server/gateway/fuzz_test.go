package gateway_test

import (
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"postern/policy"
	"postern/server/gateway/gatewaytest"
)

// FuzzDecide holds decisions to these laws: 200 only for what the policy allows,
// by the path that it is spelled as and by the path that it means to a server
// that decodes and cleans whatever it is sent; otherwise 401 or 403; and nothing
// of the question in the answer.
func FuzzDecide(f *testing.F) {
	w := gatewaytest.New(f)
	good := "Bearer " + w.Token(f, gatewaytest.Machine)
	for _, s := range gatewaytest.Spellings() {
		for _, last := range []string{"open", "secret"} {
			f.Add(uint8(0), "GET", strings.ReplaceAll(s, "X", last), "shop.example", "192.0.2.1", "")
		}
	}
	f.Add(uint8(1), "GET", "/health?x", "shop.example:443", "::1", "Bearer x")
	f.Add(uint8(2), "OPTIONS", "/orders/", "[::1]", "a, 192.0.2.1", "bearer a,b")
	f.Add(uint8(3), "get", "/any", "", "", "")

	api := w.APIByName("shop")
	holder, err := w.Holder(f.Context(), gatewaytest.Account)
	if err != nil {
		f.Fatal(err)
	}
	who := &policy.Caller{Holder: holder, Scopes: []string{"orders:write"}}

	f.Fuzz(func(t *testing.T, which uint8, method, target, host, address, authorization string) {
		names := slices.Sorted(maps.Keys(bindings))
		binding := names[int(which)%len(names)]
		if binding == "ingress-nginx" && !strings.HasPrefix(target, "/") {
			return // nginx has no such $request_uri, which would change the host before it
		}
		q := ask(w, binding, method, target, "")
		q.with("X-Original-Host", host).with("X-Forwarded-Host", host).with("X-Real-Ip", address).with("X-Forwarded-For", address)
		if authorization == "" {
			authorization = good
		}
		rec := q.with("Authorization", authorization).answer()
		switch rec.Code {
		case 200, 401, 403:
		default:
			t.Fatalf("status %d", rec.Code)
		}
		if rec.Body.Len() > 0 || rec.Header().Get("Location") != "" {
			t.Fatalf("an answer with a body or a redirect")
		}
		if rec.Code != 200 {
			return
		}
		canonical, err := policy.Canonical(target, policy.RelaxedFor(api))
		if err != nil {
			t.Fatalf("%q is allowed, and is %v", target, err)
		}
		public := w.Engine.Endpoint(api.ID, method, canonical).Public
		d := w.Engine.Decide(who, &policy.Request{Workspace: gatewaytest.Acme, API: api.Name, Method: method, Path: canonical})
		if !public && (!d.Allowed || authorization != good) {
			t.Errorf("%q %q is allowed, and the policy says: %s", method, target, d.Reason)
		}
		if meant := meaning(target); meant == "/files/secret" || strings.HasPrefix(meant, "/files/secret/") {
			t.Errorf("%q is allowed, and means %s", target, meant)
		}
		for name, values := range rec.Header() {
			if len(values) != 1 || values[0] == "" || strings.ContainsAny(values[0], "\r\n\x00") {
				t.Errorf("%s: %q", name, values)
			}
		}
		if rec.Header().Get("X-Auth-Client") != string(gatewaytest.Machine) && !public {
			t.Errorf("the client is %q", rec.Header().Get("X-Auth-Client"))
		}
	})
}

// meaning is the path that a server sees which decodes as long as there is
// something to decode, takes every sort of slash for one, drops parameters of
// segments, and cleans the rest.
func meaning(target string) string {
	target, _, _ = strings.Cut(target, "?")
	for {
		decoded, err := url.PathUnescape(target)
		if err != nil || decoded == target {
			break
		}
		target = decoded
	}
	target = strings.NewReplacer(`\`, "/", "\uff0f", "/", "\uff0e", ".", "\x00", "").Replace(target)
	segments := strings.Split(target, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return path.Clean("/" + strings.Join(segments, "/"))
}
