package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestATechnicalUserGetsTheNameThatIsAskedFor: files name who holds what, so the
// name must not be chance.
func TestATechnicalUserGetsTheNameThatIsAskedFor(t *testing.T) {
	w := start(t)
	got := w.want(http.StatusCreated, "POST", "/clients", object{"name": "CI", "workspace": "default", "new_account": "ci-runner"})
	if name := got.text("client.account.name"); name != "ci-runner" {
		t.Errorf("its account is %q", name)
	}
	taken := w.want(http.StatusConflict, "POST", "/clients", object{"name": "other", "workspace": "default", "new_account": "ci-runner"})
	if !strings.Contains(taken.text("detail"), "taken") {
		t.Error(taken.body)
	}
	for name, body := range map[string]object{
		"no slug":          {"name": "x", "workspace": "default", "new_account": "CI Runner"},
		"one that is, too": {"name": "x", "workspace": "default", "new_account": "x", "account": "ci-runner"},
	} {
		if got := w.want(http.StatusUnprocessableEntity, "POST", "/clients", body); got.text("errors.0.location") != "body.new_account" {
			t.Errorf("%s: %s", name, got.body)
		}
	}
}
