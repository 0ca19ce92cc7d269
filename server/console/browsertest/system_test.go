package browsertest_test

import "testing"

func TestHealthAndKeys(t *testing.T) {
	each(t, func(t *testing.T, tab *tab) {
		w := start(t)
		w.signIn(tab)
		tab.open(w.URL + "/console/system")
		tab.see("Health and keys")
		tab.axe()
		tab.click("Rotate ES256…")
		tab.see("Rotate the key of ES256?")
		tab.axe()
		tab.click("Rotate")
		tab.see("A new key is published.")
		tab.axe()
		tab.screenshot("console-system")
	})
}

func TestWebhooks(t *testing.T) {
	each(t, func(t *testing.T, tab *tab) {
		w := start(t)
		w.signIn(tab)
		tab.open(w.URL + "/console/webhooks")
		tab.see("No webhooks yet")
		tab.axe()
		tab.click("New webhook")
		tab.axe()
		tab.fill("Address", "https://hooks.example.com/postern")
		tab.fill("Name (optional)", "Pager")
		tab.click("Make the webhook")
		tab.see("The signing key is shown this once.")
		tab.axe()
		key := tab.content("signing-key")
		tab.click("Done")
		tab.dontSee(key)
		tab.see("Nothing was sent yet")
		tab.click("Send a test")
		tab.see("A test event is on its way.")
		tab.see("webhook.test")
		tab.axe()
		tab.screenshot("console-webhook")
		tab.click("More")
		tab.click("Delete…")
		tab.see("Delete the webhook “Pager”?")
		tab.click("Delete")
		tab.see("The webhook is deleted.")
	})
}
