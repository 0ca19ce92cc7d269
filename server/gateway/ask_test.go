package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"postern/server/gateway/gatewaytest"
)

// The bindings under test, and how their gateways describe a call.
var bindings = map[string]func(h http.Header, method, target string){
	"nginx": func(h http.Header, method, target string) {
		h["X-Original-Method"], h["X-Original-Uri"] = []string{method}, []string{target}
		h["X-Original-Host"], h["X-Real-Ip"] = []string{"shop.example:8443"}, []string{"192.0.2.7"}
	},
	"forward": func(h http.Header, method, target string) {
		h["X-Forwarded-Method"], h["X-Forwarded-Uri"] = []string{method}, []string{target}
		h["X-Forwarded-Host"], h["X-Forwarded-For"] = []string{"shop.example:8443"}, []string{"203.0.113.9, 192.0.2.7"}
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
	bindings[binding](r.Header, method, target)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return question{r, w}
}

func (q question) with(name string, values ...string) question {
	q.Header[http.CanonicalHeaderKey(name)] = values
	return q
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

// both runs a test with each binding.
func both(t *testing.T, test func(t *testing.T, w *gatewaytest.World, binding string)) {
	t.Helper()
	for binding := range bindings {
		t.Run(binding, func(t *testing.T) { test(t, gatewaytest.New(t), binding) })
	}
}
