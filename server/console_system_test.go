package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"postern/server"
)

var shownSigning = regexp.MustCompile(`<code id="signing-key"[^>]*>([^<]+)</code>`)

// kid is the key that signs access tokens.
func (n *node) kid(t testing.TB) string {
	t.Helper()
	n.issue(t, as{string(n.Example.Client.ID), n.Example.Secret.Reveal()})
	items, _ := n.want(t, http.StatusOK, http.MethodGet, "/keys", nil).json(t)["items"].([]any)
	for _, item := range items {
		if k, ok := item.(map[string]any); ok && k["algorithm"] == "ES256" {
			kid, _ := k["kid"].(string)
			return kid
		}
	}
	t.Fatal("there is no key")
	return ""
}

// How the node is, and its keys, are for who may know them; nothing of the
// configuration that is secret is there.
func TestSystemInTheConsole(t *testing.T) {
	n := start(t, func(o *server.Options) {
		o.Version, o.Driver, o.Config = "1.2.3", "mongodb", "store:\n  mongodb:\n    uri: \"[secret]\"\n"
	})
	admin := n.console(t)
	kid := n.kid(t)
	page := admin.want(t, http.StatusOK, "/console/system", nil)
	page.has(t, "1.2.3", "MongoDB", "Up to date", kid, "ES256", "[secret]")
	got := n.want(t, http.StatusOK, http.MethodGet, "/system", nil).json(t)
	if got["version"] != "1.2.3" || got["store"] != "mongodb" || got["node"] == "" || got["store_latency_ms"].(float64) <= 0 {
		t.Errorf("the API says %v", got)
	}
	person := n.person(t, "ann")
	person.want(t, http.StatusForbidden, "/console/system", nil).hasNot(t, kid, "1.2.3")
	person.want(t, http.StatusForbidden, "/console/system/keys/rotate", url.Values{})

	admin.want(t, http.StatusOK, "/console/system/keys/rotate", nil).has(t, "Rotate the key of ES256?", "Nothing stops")
	admin.want(t, http.StatusSeeOther, "/console/system/keys/rotate", url.Values{"algorithm": {"ES256"}})
	admin.want(t, http.StatusOK, "/console/system", nil).has(t, ">next<")
	admin.want(t, http.StatusConflict, "/console/system/keys/rotate", url.Values{"algorithm": {"ES256"}}).has(t, "published already")
	admin.want(t, http.StatusUnprocessableEntity, "/console/system/keys/rotate", url.Values{"algorithm": {"none"}})
	token := n.issue(t, as{string(n.Example.Client.ID), n.Example.Secret.Reveal()})
	admin.want(t, http.StatusOK, "/console/system/keys/"+kid+"/revoke", nil).has(t, "is dead at once")
	admin.want(t, http.StatusSeeOther, "/console/system/keys/"+kid+"/revoke", url.Values{})
	if n.active(t, token) {
		t.Error("a token of the revoked key is active")
	}
	admin.want(t, http.StatusNotFound, "/console/system/keys/nothing/revoke", url.Values{})
}

func TestWebhooksInTheConsole(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	admin.want(t, http.StatusOK, "/console/webhooks", nil).has(t, "No webhooks yet")
	page := admin.want(t, http.StatusOK, "/console/webhooks/new", nil)
	page.has(t, "client.expiring", "Every workspace")
	form := url.Values{"once": {onceOf(t, page.body)}, "url": {"http://insecure.example.com/"}, "name": {"Pager"}, "events": {"client.expiring", "client.leaked"}, "workspace": {"default"}}
	admin.want(t, http.StatusUnprocessableEntity, "/console/webhooks/new", form).has(t, `value="Pager"`, `id="e-url"`)
	form.Set("url", "https://hooks.example.com/path-secret")
	made := admin.want(t, http.StatusOK, "/console/webhooks/new", form)
	key := shownSigning.FindStringSubmatch(made.body)
	if key == nil || !strings.HasPrefix(key[1], "whsec_") {
		t.Fatalf("no signing key:\n%s", main(made.body))
	}
	again := admin.want(t, http.StatusSeeOther, "/console/webhooks/new", form)
	at := again.header.Get("Location")
	detail := admin.want(t, http.StatusOK, at, nil)
	detail.has(t, "Pager", "client.leaked", "shown once, and is not shown again", "Nothing was sent yet")
	detail.hasNot(t, key[1], "path-secret")
	admin.want(t, http.StatusOK, "/console/webhooks", nil).has(t, "Pager", "2 kinds", "hooks.example.com")

	admin.want(t, http.StatusSeeOther, at+"/test", url.Values{})
	sent := admin.want(t, http.StatusOK, at, nil)
	sent.has(t, "webhook.test")
	edit := admin.want(t, http.StatusOK, at+"/edit", nil)
	edit.has(t, "path-secret", `value="client.leaked" checked`)
	saved := url.Values{"revision": {edit.hidden(t, "revision")}, "url": {"https://hooks.example.com/path-secret"}, "name": {"Other"}, "disabled": {"on"}}
	admin.want(t, http.StatusSeeOther, at+"/edit", saved)
	admin.want(t, http.StatusPreconditionFailed, at+"/edit", saved).has(t, "Somebody else changed this")
	admin.want(t, http.StatusOK, at, nil).has(t, "Disabled", "Other")
	admin.want(t, http.StatusConflict, at+"/test", url.Values{}).has(t, "enable it first")
	rotated := admin.want(t, http.StatusOK, at+"/rotate", url.Values{})
	if next := shownSigning.FindStringSubmatch(rotated.body); next == nil || next[1] == key[1] {
		t.Errorf("the new key is none, or the old one:\n%s", main(rotated.body))
	}
	admin.want(t, http.StatusNotFound, at+"/retry", url.Values{"delivery": {"nothing"}})
	admin.want(t, http.StatusSeeOther, at+"/delete", url.Values{})
	admin.want(t, http.StatusNotFound, at, nil)
	n.person(t, "bob").want(t, http.StatusForbidden, "/console/webhooks", nil)
}
