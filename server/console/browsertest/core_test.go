package browsertest_test

import "testing"

// The core flows by the keyboard alone: sign in, generate a token and save its
// secret, find it, revoke and restore it, sign out.
func TestCoreFlowsByKeyboard(t *testing.T) {
	each(t, func(t *testing.T, tab *tab) {
		w := start(t)
		tab.open(w.URL + "/console/clients/new")
		if got := tab.focused(); got != "Name" {
			t.Errorf("the focus of sign-in begins at %q", got)
		}
		tab.write("admin")
		tab.tabTo("Password")
		tab.write(good)
		tab.key("Enter")
		tab.see("Step 1 of 2.") // the page that was asked for
		if got := tab.focused(); got != "Name" {
			t.Errorf("the focus of the form begins at %q", got)
		}
		tab.write("by-keyboard")
		tab.tabTo("Description (optional)")
		tab.key("Enter")
		tab.see("This is the only time the secret key is shown.")
		tab.tabTo("I have saved the secret key in a safe place")
		tab.key("Space")
		tab.tabTo("Save token")
		tab.key("Enter")
		if tab.scriptless {
			tab.see("The token is saved, and works now.")
		} else {
			tab.see("The token is active.")
		}
		tab.open(w.URL + "/console/clients")
		tab.tabTo("Skip to the content")
		tab.key("Enter")
		tab.tabTo("Revoke by-keyboard")
		tab.key("Enter")
		tab.see("Revoke “by-keyboard”?")
		tab.tabTo("Revoke")
		tab.key("Enter")
		tab.see("The token has been successfully revoked.")
		tab.tabTo("Restore by-keyboard")
		tab.key("Enter")
		tab.see("The token has been successfully restored.")
		tab.tabTo("Sign out")
		tab.key("Enter")
		tab.see("You are signed out.")
	})
}

// What a page says when there is nothing, or nothing that the person may see, is
// for everybody, too.
func TestEmptyAndForbiddenPages(t *testing.T) {
	w := start(t)
	w.person(t, "ann")
	w.Post(t, "/workspaces", map[string]string{"name": "bare"}, nil)
	each(t, func(t *testing.T, tab *tab) {
		w.signInAsAnn(tab)
		for _, p := range []struct{ path, text string }{
			{"/console/profile", "Your profile"},
			{"/console/clients", "You may not do this"},
			{"/console/roles", "You may not do this"},
			{"/console/system", "You may not do this"},
			{"/console/nothing", "There is nothing here"},
		} {
			tab.open(w.URL + p.path)
			tab.see(p.text)
			tab.axe()
			tab.screenshot("state-of-a-stranger" + map[bool]string{true: "", false: "-forbidden"}[p.path == "/console/profile"])
		}
		tab.click("Sign out")
		w.signIn(tab)
		tab.see("bare") // the first of the workspaces
		for _, p := range []struct{ path, text string }{
			{"/console", "First steps"},
			{"/console/clients", "No tokens yet"},
			{"/console/clients?search=nothing", "No token is like this"},
			{"/console/usage", "Nothing was used"},
			{"/console/audit?operation=nothing", "No entry"},
			{"/console/webhooks", "No webhooks yet"},
			{"/console/endpoints?search=nothing", "No API is like this"},
			{"/console/api-reference?search=nothing+such", "No operation is like this"},
		} {
			tab.open(w.URL + p.path)
			tab.see(p.text)
			tab.axe()
		}
		tab.click("bare Workspace")
		tab.click("default")
		tab.see("Made at the first start")
	})
}
