package browsertest_test

import "testing"

// TestOverview goes from what there is to the lists that it counts.
func TestOverview(t *testing.T) {
	each(t, func(t *testing.T, tab *tab) {
		w := start(t)
		w.Post(t, "/clients", map[string]any{"name": "nightly", "workspace": "default", "expires_in": "8d"}, nil)
		w.signIn(tab)
		tab.see("First steps")
		tab.see("Expires in 7 days")
		tab.axe()
		tab.screenshot("console-overview")
		tab.click("The numbers as a table")
		tab.see("Hour from (UTC)")
		tab.axe()
		tab.click("Expiring within 14 days 1 None was used today")
		tab.see("nightly")
		tab.dontSee("Example client")
		tab.axe()
	})
}
