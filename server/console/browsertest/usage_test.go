package browsertest_test

import "testing"

// TestUsageAndAudit: what was done is counted and noted, in tables and drawings
// that everybody can read.
func TestUsageAndAudit(t *testing.T) {
	each(t, func(t *testing.T, tab *tab) {
		w := start(t)
		w.Post(t, "/roles", map[string]any{"workspace": "default", "name": "clerk", "description": "Reads orders."}, nil)
		w.signIn(tab)
		tab.open(w.URL + "/console/usage")
		tab.see("Access tokens issued and calls denied, per hour")
		tab.axe()
		tab.screenshot("console-usage")
		tab.click("30 days")
		tab.see("per day")
		tab.click("The numbers as a table")
		tab.see("Day (UTC)")
		tab.axe()
		tab.open(w.URL + "/console/audit?operation=role.create")
		tab.see("default/clerk")
		tab.screenshot("console-audit")
		tab.in("listitem", "role.create").click("Done role.create default/clerk by admin just now")
		tab.see("Place in the chain")
		tab.see("Reads orders.")
		tab.axe()
		tab.click("Check the chain")
		tab.see("Verified.")
		tab.axe()
		tab.fill("Operation", "key.rotate")
		tab.click("Apply")
		tab.see("No entry is like this")
		tab.axe()
	})
}
