package oidctest_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"postern/server"
	"postern/server/console/oidctest"
	"postern/server/servertest"
)

// browser keeps cookies and goes where it is sent, one step at a time.
type browser struct {
	http *http.Client
	t    *testing.T
}

func newBrowser(t *testing.T, p *oidctest.Provider) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.Roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: t, http: &http.Client{
		Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type page struct {
	at     *url.URL
	status int
	body   string
	header http.Header
	cookie map[string]*http.Cookie // that it set
}

// get opens a page and, with a form, sends that.
func (b *browser) get(at string, form ...url.Values) page {
	b.t.Helper()
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if len(form) > 0 {
		method, body = http.MethodPost, strings.NewReader(form[0].Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, at, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if len(form) > 0 {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	got, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	p := page{r.URL, got.StatusCode, string(text), got.Header, map[string]*http.Cookie{}}
	for _, c := range got.Cookies() {
		p.cookie[c.Name] = c
	}
	return p
}

// follow goes on until a page sends nowhere else.
func (b *browser) follow(p page, until ...string) page {
	b.t.Helper()
	for range 20 {
		to, err := p.at.Parse(p.header.Get("Location"))
		if p.status/100 != 3 || err != nil {
			return p
		}
		for _, stop := range until {
			if strings.Contains(to.Path, stop) {
				return p
			}
		}
		p = b.get(to.String())
	}
	b.t.Fatalf("%s sends in circles", p.at)
	return p
}

// signIn goes by the provider as somebody, as far as the page after the callback.
func (b *browser) signIn(s *servertest.Server, login, next string) page {
	b.t.Helper()
	asked := b.follow(b.get(s.URL + "/console/oidc/start?" + url.Values{"next": {next}}.Encode()))
	if !strings.HasPrefix(asked.at.Path, "/interaction/") {
		b.t.Fatalf("the provider does not ask who it is: %s %d %s", asked.at, asked.status, asked.body)
	}
	return b.follow(b.get(asked.at.String(), url.Values{"login": {login}}))
}

func people() map[string]oidctest.Claims {
	return map[string]oidctest.Claims{
		"s-1": {"preferred_username": "ann", "name": "Ann A.", "email": "ann@example.com", "email_verified": true, "groups": []string{"ops", "nothing"}},
		"s-2": {"preferred_username": "eve", "name": "Eve", "email": "ann@example.com", "email_verified": false},
	}
}

func start(t *testing.T, edit ...func(*server.Options)) (*servertest.Server, *oidctest.Provider) {
	t.Helper()
	p := oidctest.Start(t)
	s := servertest.Start(t, append([]func(*server.Options){p.Use}, edit...)...)
	p.Serve(t, s.URL, people())
	return s, p
}

var bounced = regexp.MustCompile(`<a href="([^"]*)" data-go>`)

// Who is known signs in by a provider that knows nothing of us, gets the teams of
// its groups, and goes on to the page that was asked for by a page of ours.
func TestSignInByAProvider(t *testing.T) {
	s, p := start(t)
	s.Post(t, "/teams", map[string]any{"name": "ops"}, nil)
	b := newBrowser(t, p)
	if got := b.get(s.URL + "/console/sign-in?next=/console/clients"); !strings.Contains(got.body, `href="/console/oidc/start?next=%2fconsole%2fclients"`) {
		t.Errorf("the page to sign in does not offer it: %s", got.body)
	}
	if got := b.signIn(s, "s-1", "/console"); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "ask an administrator to adopt") || got.cookie["postern-session"] != nil {
		t.Errorf("somebody unknown: got %d %s", got.status, got.body)
	}
	var made struct{ Account struct{ ID string } }
	s.Post(t, "/accounts", map[string]any{"name": "ann"}, &made)
	s.Post(t, "/accounts/ann/adopt", map[string]any{"user_name": "ann"}, nil)

	b = newBrowser(t, p)
	begun := b.get(s.URL + "/console/oidc/start?next=/console/clients%3Fstate%3Dactive")
	sent, err := url.Parse(begun.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	q := sent.Query()
	if begun.status != http.StatusSeeOther || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 ||
		len(q.Get("state")) != 43 || len(q.Get("nonce")) != 43 || q.Get("redirect_uri") != s.URL+"/console/oidc/callback" || begun.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the browser is sent to %s", sent)
	}
	cookie := begun.cookie["postern-oidc"]
	if cookie == nil || cookie.SameSite != http.SameSiteLaxMode || !cookie.HttpOnly || cookie.MaxAge != 600 || strings.Contains(cookie.Value, q.Get("state")) {
		t.Errorf("the cookie is %v", cookie)
	}
	asked := b.follow(begun)
	got := b.follow(b.get(asked.at.String(), url.Values{"login": {"s-1"}}))
	session := got.cookie["postern-session"]
	if got.status != http.StatusOK || session == nil || session.SameSite != http.SameSiteStrictMode || !session.HttpOnly || got.cookie["postern-oidc"] == nil || got.cookie["postern-oidc"].MaxAge >= 0 {
		t.Fatalf("the callback: got %d %v %s", got.status, got.cookie, got.body)
	}
	to := bounced.FindStringSubmatch(got.body)
	if to == nil || to[1] != "/console/clients?state=active" {
		t.Fatalf("the browser does not go on to the page: %s", got.body)
	}
	if got := b.get(s.URL + "/console/password"); got.status != http.StatusOK || !strings.Contains(got.body, "Change your password") {
		t.Errorf("a page that wants a session: got %d %s", got.status, got.body)
	}
	var members struct{ Items []struct{ Name string } }
	s.Send(t, http.MethodGet, "/teams/ops/members", nil, &members)
	if len(members.Items) != 1 || members.Items[0].Name != "ann" {
		t.Errorf("the team of the group has %v", members.Items)
	}
	var ann struct{ Provider string }
	if s.Send(t, http.MethodGet, "/accounts/ann", nil, &ann); ann.Provider != p.Issuer {
		t.Errorf("the account says it signs in by %q", ann.Provider)
	}
	// Another browser, another person, who says Ann's mail address of herself.
	if got := newBrowser(t, p).signIn(s, "s-2", "/console"); got.status != http.StatusUnprocessableEntity || got.cookie["postern-session"] != nil {
		t.Errorf("somebody else with the address: got %d %s", got.status, got.body)
	}
	for _, secret := range []string{session.Value, q.Get("state"), q.Get("nonce"), "a secret of the provider's"} {
		if strings.Contains(s.Log.String(), secret) {
			t.Error("the log holds a secret of the sign-in")
		}
	}
}

// W19: what is next is a page of ours, whatever the link says.
func TestW19AfterTheProviderIsLocal(t *testing.T) {
	s, p := start(t, func(o *server.Options) { o.CreateAccounts = true })
	for _, next := range []string{"//evil.example", `/\evil.example`, "https://evil.example/console", "javascript:alert(1)", "/console/../evil", ""} {
		got := newBrowser(t, p).signIn(s, "s-1", next)
		if to := bounced.FindStringSubmatch(got.body); to == nil || to[1] != "/console" {
			t.Errorf("next=%q: got %d %v, want /console", next, got.status, to)
		}
	}
}

// An answer is good once, in the browser that began the sign-in, and for that one.
func TestProvidersAnswerIsGoodOnceAndWhereItWasBegun(t *testing.T) {
	s, p := start(t, func(o *server.Options) { o.CreateAccounts = true })
	refused := func(name string, got page) {
		t.Helper()
		if got.status != http.StatusUnprocessableEntity || got.cookie["postern-session"] != nil || bounced.MatchString(got.body) {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	// answered is the address that the provider sends a browser back to.
	answered := func(b *browser) *url.URL {
		t.Helper()
		asked := b.follow(b.get(s.URL + "/console/oidc/start"))
		got := b.follow(b.get(asked.at.String(), url.Values{"login": {"s-1"}}), "/console/oidc/callback")
		to, err := url.Parse(got.header.Get("Location"))
		if err != nil || to.Query().Get("code") == "" {
			t.Fatalf("the provider answers %s", got.header.Get("Location"))
		}
		return to
	}
	edited := func(u *url.URL, name, value string) string {
		q := u.Query()
		q.Set(name, value)
		v := *u
		v.RawQuery = q.Encode()
		return v.String()
	}
	b := newBrowser(t, p)
	refused("in another browser", newBrowser(t, p).get(answered(b).String()))
	refused("with another state", b.get(edited(answered(newBrowser(t, p)), "state", "x")))
	b = newBrowser(t, p)
	b.get(s.URL + "/console/oidc/start")
	refused("somebody else's answer", b.get(answered(newBrowser(t, p)).String()))
	b = newBrowser(t, p)
	refused("of another provider", b.get(edited(answered(b), "iss", "https://evil.example")))
	b = newBrowser(t, p)
	refused("with another code", b.get(edited(answered(b), "code", "x")))
	b = newBrowser(t, p)
	good := answered(b)
	if got := b.get(good.String()); got.status != http.StatusOK {
		t.Fatalf("the answer itself: got %d %s", got.status, got.body)
	}
	refused("again", b.get(good.String()))
	b = newBrowser(t, p)
	asked := b.follow(b.get(s.URL + "/console/oidc/start"))
	got := b.follow(b.get(asked.at.String(), url.Values{"refuse": {""}}))
	refused("refused there", got)
	if !strings.Contains(got.body, "access_denied") {
		t.Errorf("refused there: it says %s", got.body)
	}
	if got := b.get(s.URL + "/console/oidc/callback?error=%3Cimg+src=x%3E&state=x"); strings.Contains(got.body, "<img src") {
		t.Error("an error of a stranger's is in the page as it is")
	}
}

// The provider remembers who signed in there, but not when somebody has to prove
// who they are.
func TestProviderIsAskedAnew(t *testing.T) {
	s, p := start(t, func(o *server.Options) { o.CreateAccounts = true })
	b := newBrowser(t, p)
	first := b.signIn(s, "s-1", "/console").cookie["postern-session"]
	if first == nil {
		t.Fatal("nobody is signed in")
	}
	second := b.follow(b.get(s.URL + "/console/oidc/start"))
	if second.status != http.StatusOK || second.cookie["postern-session"] == nil || second.cookie["postern-session"].Value == first.Value {
		t.Fatalf("a second time: got %d %s, want a new session without a question", second.status, second.body)
	}
	old := newBrowser(t, p)
	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	old.http.Jar.SetCookies(at, []*http.Cookie{{Name: "postern-session", Value: first.Value}})
	if got := old.get(s.URL + "/console"); got.status != http.StatusSeeOther {
		t.Errorf("the session before is good: got %d", got.status)
	}
	asked := b.follow(b.get(s.URL + "/console/oidc/start?again=1&next=/console/clients"))
	if !strings.HasPrefix(asked.at.Path, "/interaction/") {
		t.Fatalf("to prove it again: got %s %d", asked.at, asked.status)
	}
	if got := b.follow(b.get(asked.at.String(), url.Values{"login": {"s-1"}})); got.status != http.StatusOK || got.cookie["postern-session"] == nil {
		t.Errorf("it is proved again: got %d %s", got.status, got.body)
	}
}

// With console.password_sign_in off there is one way in.
func TestNobodySignsInByPassword(t *testing.T) {
	s, p := start(t, func(o *server.Options) { o.OIDC.Only = true })
	b := newBrowser(t, p)
	if got := b.get(s.URL + "/console/sign-in"); strings.Contains(got.body, `type="password"`) || !strings.Contains(got.body, "/console/oidc/start") {
		t.Errorf("the page to sign in: %s", got.body)
	}
	got := b.get(s.URL+"/console/sign-in", url.Values{"name": {s.AdminUser}, "password": {s.AdminPassword}})
	if got.status != http.StatusForbidden || got.cookie["postern-session"] != nil {
		t.Errorf("by password: got %d %s", got.status, got.body)
	}
}
