// Package browsertest tests the console as a person meets it: in a real Chromium,
// against a whole server. It needs Chromium and axe-core, as `make tools` gets
// them.
//
// A test opens pages in a tab and acts by what can be seen: a control is found by
// its label, and text is waited for. Whatever a page complains about along the
// way fails the test, whether it asked or not: a violated Content-Security-Policy,
// an uncaught exception, an error on the console, a sub-request that failed.
//
//	each(t, func(t *testing.T, tab *tab) {
//		s := start(t)
//		tab.open(s.link(t, "ann"))
//		tab.fill("Password", good)
//		tab.click("Set the password")
//		tab.see("The password is set")
//		tab.axe()
//	})
package browsertest
