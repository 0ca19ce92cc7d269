package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// generated is what the page of a new secret shows.
type generated struct{ id, secret, body string }

var (
	hiddenOnce = regexp.MustCompile(`name="once" value="([^"]+)"`)
	shownID    = regexp.MustCompile(`<code id="client-id"[^>]*>([^<]+)</code>`)
	shownKey   = regexp.MustCompile(`<code id="client-secret"[^>]*>([^<]+)</code>`)
	anySecret  = regexp.MustCompile(`pst_[A-Za-z0-9_]{40,}`)
)

// onceOf is the hidden field of the form on a page.
func onceOf(t testing.TB, body string) string {
	t.Helper()
	found := hiddenOnce.FindStringSubmatch(body)
	if found == nil {
		t.Fatalf("the page has no field once:\n%s", main(body))
	}
	return found[1]
}

func shown(t testing.TB, got answer) generated {
	t.Helper()
	id, key := shownID.FindStringSubmatch(got.body), shownKey.FindStringSubmatch(got.body)
	if got.status != http.StatusOK || id == nil || key == nil {
		t.Fatalf("got %d without id and secret:\n%s", got.status, main(got.body))
	}
	return generated{id[1], key[1], got.body}
}

// tokenForm is a form of /console/clients/new as it is sent.
func tokenForm(t testing.TB, b *browser, edit url.Values) url.Values {
	t.Helper()
	form := url.Values{
		"once": {onceOf(t, b.want(t, http.StatusOK, "/console/clients/new", nil).body)}, "kind": {"service"}, "name": {"nightly"},
		"description": {"reads at night"}, "roles": {"default/example-reader"}, "expires_in": {"2160h0m0s"},
	}
	maps.Copy(form, edit)
	return form
}

func (n *node) generate(t testing.TB, b *browser, edit url.Values) generated {
	t.Helper()
	return shown(t, b.want(t, http.StatusOK, "/console/clients/new", tokenForm(t, b, edit)))
}

// issues reports whether the token endpoint takes the credentials.
func (n *node) issues(t testing.TB, id, secret string) bool {
	t.Helper()
	return n.form(t, "/oauth2/token", as{id, secret}, wantToken).status == http.StatusOK
}

// TestSB2GenerateInTheConsole: SB3, QU3 and DG3, too.
func TestSB2GenerateInTheConsole(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	page := admin.want(t, http.StatusOK, "/console/clients/new", nil).body
	for _, part := range []string{
		"example-reader: ", "90 days", "1 year", "Custom date", "Never", "A token that never expires is a risk.", "This workspace suggests 90 days", "What each role opens",
	} {
		if !strings.Contains(page, part) {
			t.Errorf("the form has no %q:\n%s", part, main(page))
		}
	}
	form := tokenForm(t, admin, nil)
	made := shown(t, admin.want(t, http.StatusOK, "/console/clients/new", form))
	if !strings.HasPrefix(made.secret, "pst_") || !strings.Contains(made.body, `data-address="/console/clients/`+made.id+`/save"`) {
		t.Fatalf("the page shows\n%s", main(made.body))
	}
	view := n.want(t, http.StatusOK, http.MethodGet, "/clients/"+made.id, nil).json(t)
	if view["description"] != "reads at night" || view["status"] != "pending" || !strings.Contains(strings.Join(texts(view["roles"]), " "), "example-reader") {
		t.Errorf("it is %v", view)
	}
	if n.issues(t, made.id, made.secret) {
		t.Error("it works before it was saved")
	}

	// The same form again makes nothing and shows nothing.
	again := admin.want(t, http.StatusSeeOther, "/console/clients/new", form)
	if to := again.header.Get("Location"); to != "/console/clients/"+made.id+"/save" || anySecret.MatchString(again.body) {
		t.Errorf("a repeat leads to %q with %s", to, again.body)
	}
	form.Set("name", "another")
	other := admin.want(t, http.StatusConflict, "/console/clients/new", form)
	if anySecret.MatchString(other.body) || !strings.Contains(other.body, "sent before") {
		t.Errorf("another form with the same once:\n%s", main(other.body))
	}
	if got := n.want(t, http.StatusOK, http.MethodGet, "/clients?search=reads+at+night", nil).json(t); got["total"] != 1.0 {
		t.Errorf("there are %v tokens, want 1", got["total"])
	}

	at := "/console/clients/" + made.id
	for _, path := range []string{at + "/save", "/console/clients"} {
		if got := admin.want(t, http.StatusOK, path, nil); strings.Contains(got.body, made.secret) || anySecret.MatchString(got.body) {
			t.Errorf("%s shows a secret", path)
		}
	}
	unticked := admin.want(t, http.StatusUnprocessableEntity, at+"/save", url.Values{})
	if !strings.Contains(unticked.body, "must be ticked") || n.issues(t, made.id, made.secret) {
		t.Errorf("saved without a tick:\n%s", main(unticked.body))
	}
	admin.want(t, http.StatusSeeOther, at+"/save", url.Values{"saved": {"on"}})
	if !n.issues(t, made.id, made.secret) {
		t.Error("it does not work though it was saved")
	}
	admin.want(t, http.StatusConflict, at+"/discard", url.Values{})
}

func TestSB3DiscardedAndForgottenInTheConsole(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	made := n.generate(t, admin, nil)
	at := "/console/clients/" + made.id
	// A new secret in place of the one that was lost; it waits all the same.
	asked := admin.want(t, http.StatusOK, at+"/save", nil)
	next := shown(t, admin.want(t, http.StatusOK, at+"/rotate", url.Values{"once": {onceOf(t, asked.body)}}))
	if next.id != made.id || next.secret == made.secret || n.issues(t, next.id, next.secret) {
		t.Errorf("the new secret is %t the same, or works already", next.secret == made.secret)
	}
	admin.want(t, http.StatusSeeOther, at+"/discard", url.Values{})
	admin.want(t, http.StatusNotFound, at+"/save", nil)
	admin.want(t, http.StatusNotFound, at+"/save", url.Values{"saved": {"on"}})
	if got := n.want(t, http.StatusOK, http.MethodGet, "/accounts?search=nightly", nil).json(t); len(texts(got["items"])) != 0 {
		t.Errorf("its technical user is there: %v", got)
	}
}

// What is wrong stands beside its field, and what was typed is kept.
func TestQU3FaultsOfTheFormInTheConsole(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	for name, tt := range map[string]struct {
		edit   url.Values
		status int
		says   string
	}{
		"no name":        {url.Values{"name": {" "}}, 422, "Is required."},
		"a long name":    {url.Values{"name": {strings.Repeat("n", 201)}}, 422, "more than 200"},
		"no date":        {url.Values{"expires_in": {"custom"}}, 422, "Needs a date"},
		"a date of past": {url.Values{"expires_in": {"custom"}, "last_day": {"2020-01-01"}}, 422, "This end is over"},
		"another life":   {url.Values{"expires_in": {"soon"}}, 422, "none of those"},
		"a life of ages": {url.Values{"expires_in": {"custom"}, "last_day": {"2190-01-01"}}, 422, "10 years at most"},
		"an address":     {url.Values{"addresses": {"10.0.0.0/8, nonsense"}}, 422, "nonsense"},
		"a role":         {url.Values{"roles": {"default/none"}}, 422, "there is no role"},
		"an account":     {url.Values{"roles": {""}, "account": {"nobody"}}, 422, "nobody"},
	} {
		form := tokenForm(t, admin, tt.edit)
		got := admin.send(t, "/console/clients/new", form)
		if got.status != tt.status && got.status != http.StatusNotFound || !strings.Contains(got.body, tt.says) || !strings.Contains(got.body, `value="`+form.Get("once")+`"`) ||
			!strings.Contains(got.body, "reads at night") || anySecret.MatchString(got.body) {
			t.Errorf("%s: got %d\n%s", name, got.status, main(got.body))
		}
	}
	for what, ends := range map[string]url.Values{
		"never":    {"expires_in": {"never"}},
		"a custom": {"expires_in": {"custom"}, "last_day": {"2030-05-31"}},
	} {
		made := n.generate(t, admin, ends)
		view := n.want(t, http.StatusOK, http.MethodGet, "/clients/"+made.id, nil).json(t)
		switch {
		case what == "never" && (view["expires_at"] != nil || !strings.Contains(made.body, "never expires")):
			t.Errorf("never: expires at %v", view["expires_at"])
		case what == "a custom" && view["expires_at"] != "2030-06-01T00:00:00.000Z" && view["expires_at"] != "2030-06-01T00:00:00Z":
			t.Errorf("a custom end is %v", view["expires_at"])
		}
	}
}

// TestDP9AListOfLifetimesLeavesNoOthers: what the workspace allows is all that is
// offered.
func TestDP9AListOfLifetimesLeavesNoOthers(t *testing.T) {
	n := start(t)
	n.settings(t, map[string]any{"lifetimes": []string{"30d", "7d"}})
	admin := n.console(t)
	page := main(admin.want(t, http.StatusOK, "/console/clients/new", nil).body)
	for text, want := range map[string]bool{"30 days": true, "7 days": true, "90 days": false, "Custom date": false, ">Never<": false} {
		if got := strings.Contains(page, text); got != want {
			t.Errorf("%q is offered: %t, want %t\n%s", text, got, want, page)
		}
	}
	got := admin.want(t, http.StatusUnprocessableEntity, "/console/clients/new", tokenForm(t, admin, nil))
	if !strings.Contains(got.body, "lifetimes on its list alone") {
		t.Errorf("a life that is not listed:\n%s", main(got.body))
	}
}

// TestQU2WhoMayMakeWhat: a person makes personal tokens where that is allowed, and
// no service tokens.
func TestQU2WhoMayMakeWhat(t *testing.T) {
	n := start(t)
	n.console(t)
	ann := n.person(t, "ann")
	ann.want(t, http.StatusForbidden, "/console/clients/new", nil)
	n.want(t, http.StatusOK, http.MethodPut, "/grants/default/ann", map[string]any{"roles": []map[string]any{{"role": "member"}, {"role": "example-reader"}}})
	n.settings(t, map[string]any{"who_may_create": "everyone"})
	page := main(ann.want(t, http.StatusOK, "/console/clients/new", nil).body)
	if !strings.Contains(page, `value="personal"`) || strings.Contains(page, `value="service"`) {
		t.Fatalf("a member is offered\n%s", page)
	}
	refused := ann.want(t, http.StatusForbidden, "/console/clients/new", tokenForm(t, ann, nil))
	if !strings.Contains(refused.body, "made by the administrators") {
		t.Errorf("the reason is missing:\n%s", main(refused.body))
	}
	made := n.generate(t, ann, url.Values{"kind": {"personal"}, "workspace": {"default"}, "roles": {""}})
	bob := n.person(t, "bob")
	bob.want(t, http.StatusNotFound, "/console/clients/"+made.id+"/save", url.Values{"saved": {"on"}})
	ann.want(t, http.StatusSeeOther, "/console/clients/"+made.id+"/save", url.Values{"saved": {"on"}})
	if got := n.restAs(t, made.secret, http.MethodGet, "/me", nil); got.status != http.StatusOK {
		t.Errorf("the personal token: got %d %s", got.status, got.body)
	}
}

// TestQU5ProvisioningInTheConsole: the token is good for SCIM alone, and its page
// says how.
func TestQU5ProvisioningInTheConsole(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	made := n.generate(t, admin, url.Values{"scim_only": {"on"}, "roles": {""}})
	if !strings.Contains(made.body, "/scim/v2/Users") || strings.Contains(made.body, "grant_type=client_credentials") {
		t.Errorf("the page says\n%s", main(made.body))
	}
	admin.want(t, http.StatusSeeOther, "/console/clients/"+made.id+"/save", url.Values{"saved": {"on"}})
	if n.issues(t, made.id, made.secret) {
		t.Error("it gets access tokens")
	}
}

// Whatever somebody types is text on each page that shows it.
func TestW05NamesAreTextOnTheSecretPage(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	for _, name := range []string{`<img src=x onerror=alert(1)>`, `"><script>alert(1)</script>`, "{{.}}", "\u202eabc"} {
		made := n.generate(t, admin, url.Values{"name": {name}, "description": {name}, "label": {name}})
		for _, body := range []string{made.body, admin.want(t, http.StatusOK, "/console/clients/"+made.id+"/save", nil).body} {
			if strings.Contains(body, "<img src=x") || strings.Contains(body, "<script>alert") {
				t.Errorf("%q is not text:\n%s", name, main(body))
			}
		}
	}
}

// settings changes the workspace default.
func (n *node) settings(t testing.TB, edit map[string]any) {
	t.Helper()
	etag := n.want(t, http.StatusOK, http.MethodGet, "/workspaces/default", nil).header.Get("ETag")
	n.want(t, http.StatusOK, http.MethodPatch, "/workspaces/default", edit, "If-Match", etag)
}

// texts are the texts of a list in JSON, or as many empty ones.
func texts(list any) (out []string) {
	all, _ := list.([]any)
	for _, one := range all {
		text, _ := one.(string)
		out = append(out, text)
	}
	return out
}
