package browsertest_test

import "testing"

func TestSB4Simulator(t *testing.T) {
	each(t, func(t *testing.T, tab *tab) {
		w := start(t)
		w.signIn(tab)
		tab.open(w.URL + "/console/clients")
		tab.click("Example client")
		tab.click("Simulate a call")
		tab.see("May this token make this call?")
		tab.axe()
		tab.fill("Method", "POST")
		tab.fill("Path", "/orders")
		tab.click("Ask")
		tab.see("What is missing, and no more")
		tab.axe()
		tab.screenshot("console-simulator-denied")
		tab.click("Give the role default/example-writer")
		tab.see("The role is given.")
		tab.see("What it is allowed by")
		tab.axe()
		tab.screenshot("console-simulator")
	})
}
