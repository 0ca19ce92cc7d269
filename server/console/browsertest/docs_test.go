package browsertest_test

import "testing"

func TestDocs(t *testing.T) {
	each(t, func(t *testing.T, tab *tab) {
		w := start(t)
		w.signIn(tab)
		tab.open(w.URL + "/console/docs")
		tab.see("Rotate without an outage")
		tab.axe()
		tab.screenshot("console-docs")
		tab.click("Operations")
		tab.see("What to keep, and where")
		tab.axe()
		tab.screenshot("console-guide")
		tab.open(w.URL + "/console/docs/features")
		tab.axe()
	})
}
