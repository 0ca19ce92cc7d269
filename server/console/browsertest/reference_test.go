package browsertest_test

import "testing"

func TestAPIReference(t *testing.T) {
	each(t, func(t *testing.T, tab *tab) {
		w := start(t)
		w.signIn(tab)
		tab.open(w.URL + "/console/api-reference")
		tab.see("Everything that this console does, and more, over HTTP.")
		tab.axe()
		tab.screenshot("console-reference")
		tab.fill("Search operations", "rotate")
		if tab.scriptless {
			tab.in("main", "").click("Search")
		}
		tab.see("/api/v1/keys/rotate")
		tab.open(w.URL + "/console/api-reference/client.create")
		tab.see("Create a client and its first secret")
		tab.axe()
		tab.screenshot("console-operation")
	})
}
