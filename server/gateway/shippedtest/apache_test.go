package shippedtest_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/server/gateway/gatewaytest"
	"postern/server/gateway/shipped"
	"postern/server/servertest"
)

// apache is how Apache is run. It asks no decision: it introspects.
func apache() gatewayKind {
	return gatewayKind{
		name: "Apache", program: "apache2", version: []string{"-v"}, files: []string{"apache"},
		args: []string{"-d", "DIR", "-f", "DIR/apache.conf", "-D", "FOREGROUND"},
	}
}

// module finds mod_oauth2, beside which Apache's other modules are.
func module(t *testing.T) string {
	t.Helper()
	for _, path := range []string{os.Getenv("MOD_OAUTH2"), "/usr/lib/apache2/modules/mod_oauth2.so"} {
		if _, err := os.Stat(path); path != "" && err == nil {
			return path
		}
	}
	t.Fatal("there is no mod_oauth2.so, neither as $MOD_OAUTH2 nor where Debian has it; get it by: make tools")
	return ""
}

// introspector is a whole server behind something that hangs and is gone as
// decisions do.
type introspector struct {
	*servertest.Server
	*upstream

	front     *decisions
	frontStop func()
	address   string
}

func startApache(t *testing.T, scope string) *introspector {
	t.Helper()
	s := &introspector{Server: servertest.Start(t), upstream: &upstream{}}
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	s.front = &decisions{Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, Transport: transport, ErrorLog: log.New(io.Discard, "", 0)}}
	front := httptest.NewServer(s.front)
	s.frontStop = front.Close
	t.Cleanup(front.Close)
	application := httptest.NewServer(s.upstream)
	t.Cleanup(application.Close)

	g := apache()
	program := binary(t, g)
	facts := shipped.Facts{
		API: "example", Decisions: "127.0.0.1:1", Upstream: application.Listener.Addr().String(), Issuer: front.URL, Scope: scope,
		Modules: filepath.Dir(module(t)),
	}
	g.env = []string{"POSTERN_GATEWAY_ID=" + string(s.Gateway.Client.ID), "POSTERN_GATEWAY_SECRET=" + s.Gateway.Secret.Reveal()}
	g.ready = http.StatusUnauthorized
	for attempt := 1; ; attempt++ {
		facts.Listen = freeAddress(t)
		s.address = facts.Listen
		err := run(t, g, program, facts, "")
		if err == nil {
			return s
		}
		if attempt == 3 { // somebody else may have taken the port meanwhile
			t.Fatal(err)
		}
		t.Log(err)
	}
}

func (s *introspector) get(t *testing.T, target string, headers ...string) int {
	t.Helper()
	return (&site{address: s.address}).send(t, http.MethodGet, target, headers...)
}

func (s *introspector) refused(t *testing.T, what string, status int, want ...int) {
	t.Helper()
	(&site{upstream: s.upstream}).refused(t, what, status, want...)
}

func (s *introspector) passed(t *testing.T, what string, status int) seen {
	t.Helper()
	return (&site{upstream: s.upstream}).passed(t, what, status)
}

func TestG12ApacheIntrospects(t *testing.T) {
	t.Parallel()
	s := startApache(t, "")
	tok := s.Token(t, s.Example)
	got := s.passed(t, "a token", s.get(t, "/orders/7?a=%2F", bearer(tok)))
	for name, want := range map[string]string{
		"X-Auth-Subject": string(s.Example.Account.ID), "X-Auth-Client": string(s.Example.Client.ID), "X-Auth-Scope": "orders:read", "X-Auth-Roles": "-",
		"X-Auth-Workspace": string(s.Example.Client.Workspace), "Authorization": "",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if got.RequestURI != "/orders/7?a=%2F" {
		t.Errorf("the upstream got %s", got.RequestURI)
	}
	s.refused(t, "no token", s.get(t, "/orders/7"), 401)
	s.refused(t, "a bad token", s.get(t, "/orders/7", bearer(tok+"x")), 401)
	s.refused(t, "a secret that is no bearer", s.get(t, "/orders/7", bearer(s.Example.Secret.Reveal())), 401)
	s.refused(t, "in the query", s.get(t, "/orders/7?access_token="+tok), 401)
	s.refused(t, "in a cookie", s.get(t, "/orders/7", "Cookie: access_token="+tok), 401)
	s.refused(t, "two tokens", s.get(t, "/orders/7", bearer(tok), bearer(tok)), 401, 400)
	s.refused(t, "a bad one first", s.get(t, "/orders/7", bearer("x"), bearer(tok)), 401, 400)
	s.refused(t, "a bad one last", s.get(t, "/orders/7", bearer(tok), bearer("x")), 401, 400)
	s.refused(t, "forged, without a token", s.get(t, "/orders/7", "X-Auth-Client: root", "OAUTH2_CLAIM_sub: root"), 401)

	var forged []string
	for _, name := range append(slices.Clone(identityNames), "X-Auth-Token") {
		forged = append(forged, name+": root", strings.ToLower(name)+": root")
	}
	got = s.passed(t, "forged", s.get(t, "/orders/7", append(forged, bearer(tok))...))
	for name, values := range got.Header {
		if strings.Contains(strings.Join(values, " "), "root") {
			t.Errorf("the upstream got the forged %s: %q", name, values)
		}
	}
	for _, name := range identityNames {
		status := s.get(t, "/orders/7", bearer(tok), "Connection: close, "+name)
		for _, got := range s.take() {
			if len(got.Header[name]) != 1 {
				t.Errorf("Connection: %s: status %d, and the upstream got %q", name, status, got.Header[name])
			}
		}
	}
	// Without a token no spelling of a path reaches the upstream, and with one the
	// upstream gets what Apache matched.
	for _, spelling := range gatewaytest.Spellings() {
		target := strings.ReplaceAll(spelling, "X", "open")
		status := s.get(t, target)
		s.refused(t, target, status, 401, 400, 403, 404, 0)
	}
}

func TestApacheAsksForAScope(t *testing.T) {
	t.Parallel()
	s := startApache(t, "orders:write")
	s.refused(t, "another scope", s.get(t, "/orders/7", bearer(s.Token(t, s.Example))), 403)
	s.refused(t, "no token", s.get(t, "/orders/7"), 401)
	s = startApache(t, "orders:read")
	s.passed(t, "the scope", s.get(t, "/orders/7", bearer(s.Token(t, s.Example))))
}

// G05, and a Postern that hangs or is gone.
func TestG05ApacheRefusesWhatIsRevokedAndWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	s := startApache(t, "")
	tok := s.Token(t, s.Example)
	s.passed(t, "before", s.get(t, "/orders/7", bearer(tok)))
	release := s.front.hang()
	fresh := s.Token(t, s.Example)
	s.refused(t, "hung", s.get(t, "/orders/7", bearer(fresh)), 401, 500, 502, 503)
	release()
	s.passed(t, "afterwards", s.get(t, "/orders/7", bearer(fresh)))

	s.Post(t, "/clients/"+string(s.Example.Client.ID)+"/revoke", map[string]any{}, nil)
	// It believes what it found out for a second, and no more than it says.
	deadline := time.Now().Add(10 * time.Second)
	for status := 200; status == 200; status = s.get(t, "/orders/7", bearer(fresh)) {
		if time.Now().After(deadline) {
			t.Fatal("a revoked token went on for ten seconds")
		}
	}
	s.take()
	s.refused(t, "revoked", s.get(t, "/orders/7", bearer(tok)), 401)
	s.frontStop()
	s.refused(t, "gone", s.get(t, "/orders/7", bearer(tok+"y")), 401, 500, 502, 503)
}
