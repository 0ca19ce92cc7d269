package browsertest_test

import "testing"

// A team is made, and somebody is found and put into it.
func TestDG5Teams(t *testing.T) {
	w, tab := start(t), desktop(t)
	w.signIn(tab)
	tab.click("Teams")
	tab.see("No teams yet")
	tab.axe()
	tab.open(w.URL + "/console/teams/new")
	tab.axe()
	tab.fill("Name", "field")
	tab.click("Create")
	tab.see("The team is created.")
	tab.fill("Find somebody to add", "Example client")
	tab.click("Find")
	tab.axe()
	tab.click("Add example-client")
	tab.see("Added to the team.")
	tab.see("Take out")
	tab.axe()
	tab.click("More")
	tab.click("Delete…")
	tab.see("Member example-client")
	tab.axe()
	tab.click("Delete with all of these")
	tab.see("The team is deleted.")
}

// API access of a workspace is switched off, after a warning of what dies.
func TestDP8Workspaces(t *testing.T) {
	w, tab := start(t), desktop(t)
	w.signIn(tab)
	tab.click("Workspaces")
	tab.see("The first workspace.")
	tab.axe()
	tab.click("View default")
	tab.see("owners first")
	tab.axe()
	tab.click("Settings")
	tab.axe()
	tab.click("API access")
	tab.click("Save")
	tab.see("Switch API access of “default” off?")
	tab.see("Token “Example client”")
	tab.axe()
	tab.click("Switch off and save")
	tab.see("The settings are saved.")
	tab.see("API access is off.")
	tab.axe()
	tab.click("More")
	tab.click("Transfer the ownership…")
	tab.axe()
}
