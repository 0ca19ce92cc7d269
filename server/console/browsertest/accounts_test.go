package browsertest_test

import "testing"

// An administrator invites somebody, edits the account and deactivates it.
func TestAccounts(t *testing.T) {
	each(t, func(t *testing.T, tab *tab) {
		w := start(t)
		w.signIn(tab)
		tab.click("Users")
		tab.see("Example client")
		tab.see("not editable by hand")
		tab.axe()
		tab.screenshot("console-users")
		tab.click("Invite a person")
		tab.axe()
		tab.fill("Name", "Ann")
		tab.click("Invite")
		tab.see("The field “name”")
		tab.axe()
		tab.fill("Name", "ann")
		tab.fill("Display name (optional)", "Ann Smith")
		tab.click("Invite")
		tab.see("The link is shown this once.")
		tab.axe()
		tab.screenshot("console-invited")
		tab.click("Done")
		tab.see("Invited")
		tab.axe()
		tab.click("Edit")
		tab.fill("Mail address (optional)", "ann@example.com")
		tab.axe()
		tab.click("Save")
		tab.see("The account is saved.")
		tab.see("ann@example.com")
		tab.click("More")
		tab.click("Deactivate…")
		tab.see("Sign-in, and all open sessions")
		tab.axe()
		tab.click("Deactivate")
		tab.see("Reactivate")
		tab.screenshot("console-user")
	})
}
