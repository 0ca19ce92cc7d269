package browsertest_test

import (
	"testing"

	"github.com/chromedp/cdproto/security"

	"postern/server/console/oidctest"
	"postern/server/servertest"
)

// The browser comes back from the identity provider, another site, and keeps the
// strict cookie of the session back on what that leads to: the page in between
// brings people in all the same, and without script it is one click more.
func TestSignInByTheProvider(t *testing.T) {
	p := oidctest.Start(t)
	w := &world{servertest.Start(t, p.Use)}
	p.Serve(t, w.URL, map[string]oidctest.Claims{"s-1": {"preferred_username": "ann"}})
	w.invite(t, "ann")
	w.Post(t, "/accounts/ann/adopt", map[string]string{"user_name": "ann"}, nil)
	each(t, func(t *testing.T, tab *tab) {
		tab.do("believe the provider", call(security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true}))
		tab.open(w.URL + "/console/sign-in?next=/console/password")
		tab.axe()
		tab.click("Sign in by 127.0.0.1")
		tab.fill("Who are you?", "s-1")
		tab.click("Sign in")
		if tab.scriptless {
			tab.axe()
			tab.click("Go on to the page")
		}
		tab.see("Change your password")
		// The provider remembers her: it is one click now.
		tab.open(w.URL + "/console/oidc/start?next=/console/password")
		if tab.scriptless {
			tab.click("Go on to the page")
		}
		tab.see("Change your password")
	})
}
