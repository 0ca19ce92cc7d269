package server_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// member returns the browser of a new person of the workspace default, who may
// have personal tokens there.
func (n *node) member(t testing.TB, name string) *browser {
	t.Helper()
	revision := n.want(t, http.StatusOK, http.MethodGet, "/workspaces/default", nil).header.Get("ETag")
	n.want(t, http.StatusOK, http.MethodPatch, "/workspaces/default", map[string]any{"who_may_create": "everyone"}, "If-Match", revision)
	b := n.person(t, name)
	n.want(t, http.StatusOK, http.MethodPut, "/grants/default/"+name, map[string]any{"roles": []any{map[string]any{"role": "member"}}})
	return b
}

// hers makes a personal token of ann by REST, and returns its id.
func (n *node) hers(t testing.TB, body map[string]any) string {
	t.Helper()
	id, _ := n.asPerson(t, "ann", http.MethodPost, "/me/clients", body)["client_id"].(string)
	if id == "" {
		t.Fatal("no token was made")
	}
	return id
}

// asPerson asks the administration API by name and password.
func (n *node) asPerson(t testing.TB, name, method, path string, body any) map[string]any {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, n.url+"/api/v1"+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(name, adminPassword)
	r.Header.Set("Content-Type", "application/json")
	got := do(t, r)
	if got.status/100 != 2 {
		t.Fatalf("%s %s as %s: got %d %s", method, path, name, got.status, got.body)
	}
	return got.json(t)
}

var (
	onceIn   = regexp.MustCompile(`name="once" value="([^"]+)"`)
	secretIn = regexp.MustCompile(`pst_[0-9a-z]+_[0-9A-Za-z]+`)
)

// once reads a page with a form that shows something once, and returns its key.
func (b *browser) once(t testing.TB, path string) string {
	t.Helper()
	found := onceIn.FindStringSubmatch(b.want(t, http.StatusOK, path, nil).body)
	if found == nil {
		t.Fatalf("%s has no field once", path)
	}
	return found[1]
}

// QU1, QU6, DG2, DC7, DP6: one's own tokens, on one's profile.
func TestQU1ProfileShowsOnesOwnTokens(t *testing.T) {
	n := start(t)
	nobody, ann, bob := n.person(t, "nobody"), n.member(t, "ann"), n.member(t, "bob")
	if to := nobody.want(t, http.StatusSeeOther, "/console", nil).header.Get("Location"); to != "/console/profile" {
		t.Errorf("a person without rights is led to %q", to)
	}
	says(t, nobody.want(t, http.StatusOK, "/console/profile", nil), "Not activated", "You may not have personal tokens in any workspace", "No workspace yet")
	says(t, ann.want(t, http.StatusOK, "/console/profile", nil), "Not activated", "Generate your first token", "never share it", "default/member")
	hers := n.hers(t, map[string]any{"name": `<img src=x onerror=alert(1)>`})
	for range 20 {
		n.hers(t, map[string]any{"name": "laptop"})
	}
	page := ann.want(t, http.StatusOK, "/console/profile", nil)
	says(t, page, hers, `href="/console/clients/`+hers+`/revoke?next=/console/profile"`, "Never share a personal token", "Not used", "21 tokens", "&lt;img src=x")
	if strings.Contains(page.body, "<img") {
		t.Error("a name became a part of the page")
	}
	if got := bob.want(t, http.StatusOK, "/console/profile", nil); strings.Contains(got.body, hers) {
		t.Error("bob sees a token of ann")
	}
	// Each of its steps leads back here.
	for _, step := range []struct {
		path, back string
		form       url.Values
	}{
		{"/console/clients/" + hers + "/revoke", "/console/profile", url.Values{"next": {"/console/profile"}}},
		{"/console/clients/" + hers + "/restore", "/console/profile", url.Values{"next": {"/console/profile"}}},
		{"/console/clients/" + hers + "/delete", "/console/profile", url.Values{"next": {"/console/profile"}, "revoke": {"on"}}},
	} {
		if got := bob.send(t, step.path, step.form); got.status != http.StatusNotFound {
			t.Errorf("%s by bob: got %d, want 404", step.path, got.status)
		}
		if to := ann.want(t, http.StatusSeeOther, step.path, step.form).header.Get("Location"); to != step.back {
			t.Errorf("%s leads to %q", step.path, to)
		}
	}
	says(t, ann.want(t, http.StatusOK, "/console/profile", nil), "20 tokens", "User token successfully deleted.")
	path := "/console/clients/" + n.hers(t, map[string]any{"name": "x"}) + "/revoke?next="
	says(t, ann.want(t, http.StatusOK, path+"/console/profile", nil), `name="next" value="/console/profile"`, `href="/console/profile" data-close`)
	if asked := ann.want(t, http.StatusOK, path+"//evil.example", nil); strings.Contains(asked.body, `href="//evil`) {
		t.Error("a page leads elsewhere")
	}
}

// DC1: what was made at the registration waits for its owner, who sees the secret
// once; a page that is loaded again makes no other one.
func TestDC1ProfileMakesTheFirstSecret(t *testing.T) {
	n := start(t)
	n.member(t, "first")
	revision := n.want(t, http.StatusOK, http.MethodGet, "/workspaces/default", nil).header.Get("ETag")
	n.want(t, http.StatusOK, http.MethodPatch, "/workspaces/default", map[string]any{"personal_auto": true}, "If-Match", revision)
	made := n.want(t, http.StatusCreated, http.MethodPost, "/accounts", map[string]any{
		"name": "ann", "workspace": "default", "roles": []any{map[string]any{"role": "member"}},
	}).json(t)
	ann := &browser{n, map[string]string{}}
	ann.want(t, http.StatusOK, "/console/invitation", url.Values{"token": {made["token"].(string)}, "password": {adminPassword}, "again": {adminPassword}})
	ann.want(t, http.StatusSeeOther, "/console/sign-in", url.Values{"name": {"ann"}, "password": {adminPassword}})
	page := ann.want(t, http.StatusOK, "/console/profile", nil)
	says(t, page, "A token was made for you")
	path := regexp.MustCompile(`/console/profile/tokens/[^"/]+/secret`).FindString(page.body)
	form := url.Values{"once": {ann.once(t, path)}}
	shown := ann.want(t, http.StatusOK, path, form)
	text := secretIn.FindString(shown.body)
	if text == "" || shown.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("no secret is shown:\n%s", main(shown.body))
	}
	says(t, shown, "Never share it", "--token-file token", "Authorization: Bearer")
	if got := n.restAs(t, text, http.MethodGet, "/me", nil); got.status != http.StatusOK {
		t.Errorf("QU11: it opens nothing: %d", got.status)
	}
	if again := ann.want(t, http.StatusConflict, path, form); secretIn.MatchString(again.body) {
		t.Error("the page loaded again shows a secret")
	}
	if got := n.restAs(t, text, http.MethodGet, "/me", nil); got.status != http.StatusOK {
		t.Error("the page loaded again has ended the secret")
	}
	if page := ann.want(t, http.StatusOK, "/console/profile", nil); strings.Contains(page.body, text) || strings.Contains(page.body, "A token was made for you") {
		t.Error("the profile still offers the first secret, or shows it")
	}
	if strings.Contains(n.log.String(), text) {
		t.Error("the log holds the secret")
	}
}

// DP2: nobody makes a secret of another's token. DP11: a successor is no wider
// and lives no longer.
func TestDP2ProfileMakesSecretsOfOnesOwnTokensAlone(t *testing.T) {
	n := start(t)
	admin, ann := n.console(t), n.member(t, "ann")
	id := n.hers(t, map[string]any{"name": "laptop", "workspace": "default", "expires_in": "30d", "addresses": []any{"127.0.0.0/8"}})
	for _, what := range []string{"secret", "renew"} {
		path := "/console/profile/tokens/" + id + "/" + what
		form := url.Values{"once": {ann.once(t, path)}, "overlap": {"1h"}}
		admin.want(t, http.StatusNotFound, path, nil)
		if got := admin.want(t, http.StatusNotFound, path, form); secretIn.MatchString(got.body) {
			t.Errorf("DP2: an administrator gets a secret by %s", what)
		}
		if got := ann.want(t, http.StatusUnprocessableEntity, path, url.Values{"overlap": {"1h"}}); secretIn.MatchString(got.body) {
			t.Error("a form without its key makes a secret")
		}
		shown := ann.want(t, http.StatusOK, path, form)
		if !secretIn.MatchString(shown.body) {
			t.Errorf("%s shows no secret:\n%s", what, main(shown.body))
		}
	}
	list := n.asPerson(t, "ann", http.MethodGet, "/me/clients", nil)["items"].([]any)
	if len(list) != 2 {
		t.Fatalf("there are %d tokens, want the old one and its successor", len(list))
	}
	for _, one := range list {
		c := one.(map[string]any)
		created, _ := time.Parse(time.RFC3339, c["created_at"].(string))
		ends, _ := time.Parse(time.RFC3339, c["expires_at"].(string))
		addresses, _ := c["addresses"].([]any)
		if c["name"] != "laptop" || ends.Sub(created) != 30*24*time.Hour || len(addresses) != 1 || c["workspace"] != "default" {
			t.Errorf("DP11: the token is %v", c)
		}
	}
	// DP4: a new password leaves them alone.
	const next = "tortoise rabbit heron wren"
	ann.want(t, http.StatusSeeOther, "/console/password", url.Values{"current": {adminPassword}, "new": {next}, "again": {next}})
	if got := ann.want(t, http.StatusOK, "/console/profile", nil); strings.Count(got.body, ">Active<") != 2 {
		t.Errorf("DP4: after a new password:\n%s", main(got.body))
	}
	// Whoever signed in a while ago gives the password again, and goes on from there.
	n.clock.advance(11 * time.Minute)
	path := "/console/profile/tokens/" + id + "/secret"
	form := url.Values{"once": {ann.once(t, path)}, "overlap": {"0s"}}
	says(t, ann.want(t, http.StatusOK, path, form), "Confirm that it is you")
	form.Set("_password", next)
	if shown := ann.want(t, http.StatusOK, path, form); !secretIn.MatchString(shown.body) {
		t.Errorf("after the password: %s", main(shown.body))
	}
}

// The second factor by pages: its secret and the recovery codes are shown once.
func TestSecondFactorOnTheProfile(t *testing.T) {
	n := start(t)
	ann := n.person(t, "ann")
	const page = "/console/profile/second-factor"
	says(t, ann.want(t, http.StatusOK, page, nil), "Set up a second factor")
	says(t, ann.want(t, http.StatusUnprocessableEntity, page, url.Values{"password": {"wrong wrong wrong"}}), "Set up a second factor", `class="fault"`)
	shown := ann.want(t, http.StatusOK, page, url.Values{"password": {adminPassword}})
	says(t, shown, "<svg class=\"qr\"", "shown this once")
	found := regexp.MustCompile(`<code id="totp-secret"[^>]*>([A-Z2-7 ]+)</code>`).FindStringSubmatch(shown.body)
	if found == nil {
		t.Fatalf("no secret is shown:\n%s", main(shown.body))
	}
	text := strings.ReplaceAll(found[1], " ", "")
	code := func() string {
		t.Helper()
		got, err := totp.GenerateCode(text, n.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	wrong := ann.want(t, http.StatusUnprocessableEntity, page+"/confirm", url.Values{"code": {"000000"}})
	says(t, wrong, "Your app has the secret already")
	if strings.Contains(wrong.body, found[1]) {
		t.Error("the secret is shown again")
	}
	codes := ann.want(t, http.StatusOK, page+"/confirm", url.Values{"code": {code()}})
	says(t, codes, "Save your recovery codes")
	if got := regexp.MustCompile(`(?m)^[a-z]{4}(-[a-z]{4}){3}`).FindAllString(strings.ReplaceAll(codes.body, "<pre class=\"code\" id=\"codes\" tabindex=\"0\">", "\n"), -1); len(got) != 10 {
		t.Errorf("there are %d recovery codes:\n%s", len(got), main(codes.body))
	}
	ann.want(t, http.StatusConflict, page+"/confirm", url.Values{"code": {code()}})
	says(t, ann.want(t, http.StatusOK, "/console/profile", nil), "10 recovery codes are left")
	other := &browser{n, map[string]string{}}
	other.want(t, http.StatusSeeOther, "/console/sign-in", url.Values{"name": {"ann"}, "password": {adminPassword}})
	if to := other.want(t, http.StatusSeeOther, "/console/profile", nil).header.Get("Location"); !strings.HasPrefix(to, "/console/code") {
		t.Errorf("the password alone leads to %q", to)
	}
	ann.want(t, http.StatusUnprocessableEntity, page+"/remove", url.Values{"password": {"wrong wrong wrong"}})
	ann.want(t, http.StatusSeeOther, page+"/remove", url.Values{"password": {adminPassword}})
	says(t, ann.want(t, http.StatusOK, "/console/profile", nil), "Your second factor is removed", "Set up")
	if strings.Contains(n.log.String(), text) {
		t.Error("the log holds the secret")
	}
}
