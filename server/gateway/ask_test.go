package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"postern/server/gateway/gatewaytest"
)

// described is how a gateway describes a call in its question.
type described struct {
	call func(r *http.Request, method, target string)
	// The headers that say which call, where it went, and who sent it.
	names         []string
	host, address string
	// forwarded says that the last of several addresses is meant.
	forwarded bool
}

// bindings are those under test. The call comes from 192.0.2.7 to the shop.
var bindings = map[string]described{
	"nginx": {
		func(r *http.Request, method, target string) {
			h := r.Header
			h["X-Original-Method"], h["X-Original-Uri"] = []string{method}, []string{target}
			h["X-Original-Host"], h["X-Real-Ip"] = []string{"shop.example:8443"}, []string{"192.0.2.7"}
		},
		[]string{"X-Original-Method", "X-Original-Uri"},
		"X-Original-Host", "X-Real-Ip", false,
	},
	"haproxy": {
		func(r *http.Request, method, target string) {
			h := r.Header
			h["X-Original-Method"], h["X-Original-Uri"] = []string{method}, []string{target}
			h["X-Original-Host"], h["X-Real-Ip"] = []string{"shop.example:8443"}, []string{"192.0.2.7"}
		},
		[]string{"X-Original-Method", "X-Original-Uri"},
		"X-Original-Host", "X-Real-Ip", false,
	},
	"ingress-nginx": {
		func(r *http.Request, method, target string) {
			h := r.Header
			h["X-Original-Method"], h["X-Original-Url"] = []string{method}, []string{"https://shop.example:8443" + target}
			h["X-Real-Ip"], h["X-Auth-Request-Redirect"] = []string{"192.0.2.7"}, []string{target}
		},
		[]string{"X-Original-Method", "X-Original-Url"},
		"", "X-Real-Ip", false,
	},
	"forward": {
		func(r *http.Request, method, target string) {
			h := r.Header
			h["X-Forwarded-Method"], h["X-Forwarded-Uri"] = []string{method}, []string{target}
			h["X-Forwarded-Host"], h["X-Forwarded-For"] = []string{"shop.example:8443"}, []string{"203.0.113.9, 192.0.2.7"}
		},
		[]string{"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host"},
		"X-Forwarded-Host", "X-Forwarded-For", true,
	},
	"envoy": {
		func(r *http.Request, method, target string) {
			r.Method, r.RequestURI, r.Host = method, "/decide/envoy/shop"+target, "shop.example:8443"
			r.Header["X-Real-Ip"] = []string{"192.0.2.7"}
		},
		nil,
		"Host", "X-Real-Ip", false,
	},
}

// question is a request for a decision about the shop by its gateway. Its header
// may be changed before it is asked.
type question struct {
	*http.Request

	w *gatewaytest.World
}

func ask(w *gatewaytest.World, binding, method, target, bearer string) question {
	r := httptest.NewRequest(http.MethodGet, "/decide/"+binding+"/shop", nil)
	r.Header.Set("X-Postern-Gateway", w.Basic(gatewaytest.Gateway))
	bindings[binding].call(r, method, target)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return question{r, w}
}

func (q question) with(name string, values ...string) question {
	q.Header[http.CanonicalHeaderKey(name)] = values
	return q
}

// to says which host the call went to: none, one or several.
func (q question) to(binding string, hosts ...string) question {
	switch binding {
	case "envoy":
		q.Host = strings.Join(hosts, ", ") // one of them is left by any server
		return q
	case "ingress-nginx":
		var urls []string
		for _, h := range hosts {
			urls = append(urls, "https://"+h+"/files/open")
		}
		return q.with("X-Original-Url", urls...)
	}
	return q.with(bindings[binding].host, hosts...)
}

func (q question) without(name string) question {
	q.Header.Del(name)
	return q
}

func (q question) answer() *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	q.w.Handler.ServeHTTP(rec, q.Request)
	return rec
}

// gives checks the status of the answer, and what holds of every answer.
func (q question) gives(t *testing.T, status int) *httptest.ResponseRecorder {
	t.Helper()
	rec := q.answer()
	if rec.Code != status {
		t.Errorf("%s: got %d, want %d", q.URL.Path, rec.Code, status)
	}
	if rec.Body.Len() > 0 || rec.Header().Get("Location") != "" {
		t.Errorf("%s: an answer with a body or a redirect: %q", q.URL.Path, rec.Body)
	}
	if challenge := rec.Header().Get("WWW-Authenticate"); (challenge != "") != (status == http.StatusUnauthorized) {
		t.Errorf("%s: %d with the challenge %q", q.URL.Path, rec.Code, challenge)
	}
	if identity := rec.Header()["X-Auth-Subject"]; (len(identity) == 1) != (status == http.StatusOK) {
		t.Errorf("%s: %d with the subject %q", q.URL.Path, rec.Code, identity)
	}
	return rec
}

// each runs a test with each binding.
func each(t *testing.T, test func(t *testing.T, w *gatewaytest.World, binding string)) {
	t.Helper()
	for binding := range bindings {
		t.Run(binding, func(t *testing.T) { test(t, gatewaytest.New(t), binding) })
	}
}
