package browsertest_test

import (
	"net/http"
	"testing"
)

// A token whose access tokens are bound says so on its page, and an API says where
// its gateways put the certificate.
func TestBoundTokensAreShown(t *testing.T) {
	each(t, func(t *testing.T, tab *tab) {
		w := start(t)
		client := "/clients/" + string(w.Example.Client.ID)
		w.Send(t, http.MethodPatch, client, map[string]any{"binding": "certificate", "profile": "fapi2"}, nil)
		w.Post(t, client+"/secrets", map[string]any{"certificate_name": "dns:ci.example.com", "keep": true, "label": "CI runner"}, nil)
		w.signIn(tab)
		tab.open(w.URL + "/console" + client)
		tab.see("Its certificate")
		tab.see("FAPI 2.0")
		tab.see("dns:ci.example.com")
		tab.axe()
		tab.screenshot("console-bound")
		tab.open(w.URL + "/console/endpoints")
		tab.click("example")
		tab.click("Edit")
		tab.click("More: its access tokens, odd paths, workspaces by path")
		tab.fill("Header with the client’s certificate (optional)", "X-Client-Cert")
		tab.axe()
		tab.screenshot("console-api-certificate")
		tab.click("Save")
		tab.see("The API is saved.")
	})
}
