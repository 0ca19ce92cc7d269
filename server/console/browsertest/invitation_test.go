package browsertest_test

import "testing"

func TestInvitation(t *testing.T) {
	w := start(t)
	each(t, func(t *testing.T, tab *tab) {
		tab.open(w.invite(t, "ann-"+tab.name))
		tab.see("Choose your password")
		tab.axe()
		tab.screenshot("console-invitation")
		tab.fill("Password", good)
		tab.fill("The same again", good+"!")
		tab.click("Set the password")
		tab.see("not the same as the password")
		tab.axe()
		tab.fill("Password", good)
		tab.fill("The same again", good)
		tab.click("Set the password")
		tab.see("You can sign in as ann-" + tab.name)
		tab.dontSee("Choose your password")
		tab.axe()
		tab.open(w.URL + "/console/invitation")
		tab.see("This link is not whole")
		tab.axe()
	})
}

func TestInvitationByKeyboard(t *testing.T) {
	w := start(t)
	each(t, func(t *testing.T, tab *tab) {
		tab.open(w.invite(t, "ann-"+tab.name))
		if got := tab.focused(); got != "Password" {
			t.Errorf("the focus begins at %q", got)
		}
		tab.write(good)
		tab.tabTo("The same again")
		tab.write(good)
		tab.tabTo("Set the password")
		tab.key("Enter")
		tab.see("The password is set")
	})
}
