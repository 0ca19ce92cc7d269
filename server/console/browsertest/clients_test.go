package browsertest_test

import "testing"

func TestSignIn(t *testing.T) {
	w := start(t)
	each(t, func(t *testing.T, tab *tab) {
		tab.open(w.URL + "/console/clients")
		tab.see("Sign in")
		tab.axe()
		tab.screenshot("console-sign-in")
		tab.fill("Name", "admin")
		tab.fill("Password", good+"!")
		tab.click("Sign in")
		tab.see("Name or password is wrong.")
		tab.axe()
		tab.fill("Name", "admin")
		tab.fill("Password", good)
		tab.click("Sign in")
		tab.see("Example client") // the page that was asked for
		tab.click("Sign out")
		tab.see("You are signed out.")
		tab.open(w.URL + "/console/clients")
		tab.see("Password")
	})
}

// TestSB1Tokens: QU7 to QU9, too.
func TestSB1Tokens(t *testing.T) {
	each(t, func(t *testing.T, tab *tab) {
		w := start(t)
		w.signIn(tab)
		tab.open(w.URL + "/console/clients")
		tab.see("Example client")
		tab.axe()
		tab.screenshot("console-tokens")
		tab.click("Revoke Example client")
		tab.see("Revoke “Example client”?")
		tab.axe()
		tab.click("Revoke")
		tab.see("The token has been successfully revoked.")
		tab.see("Revoked")
		tab.click("Restore Example client")
		tab.see("The token has been successfully restored.")
	})
}

func (w *world) signIn(tab *tab) {
	tab.Helper()
	tab.open(w.URL + "/console/sign-in")
	tab.fill("Name", "admin")
	tab.fill("Password", good)
	tab.click("Sign in")
	tab.see("Overview")
}
