package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// DG2: nobody has a personal token before they make one.
func TestDG2NobodyHasATokenBeforeTheyMakeOne(t *testing.T) {
	w := start(t)
	w.everyone("default")
	ann := w.person("ann", "default", "member")
	if got := w.as("ann", ann.password, "GET", "/me/clients", nil); got.status != http.StatusOK || len(got.list("items")) != 0 {
		t.Errorf("at first: got %d %s, want none", got.status, got.body)
	}
	made := w.personal(ann, object{"name": "laptop"})
	if got := w.as("ann", ann.password, "GET", "/me/clients", nil); len(got.list("items")) != 1 || got.text("items.0.id") != made.id || got.text("items.0.status") != "active" {
		t.Errorf("after it was made: %s", got.body)
	}
}

// DC7: people find their token where their account is.
func TestDC7PeopleFindTheirTokenWithTheirAccount(t *testing.T) {
	w := start(t)
	w.everyone("default")
	ann := w.person("ann", "default", "member")
	made := w.personal(ann, object{"name": "laptop", "expires_in": "never"})
	if got := w.as("ann", ann.password, "GET", "/me", nil); got.text("account.id") != ann.id {
		t.Errorf("the account: %s", got.body)
	}
	got := w.as("ann", ann.password, "GET", "/me/clients/"+made.id, nil)
	if got.text("id") != made.id || len(got.list("warnings")) == 0 || strings.Contains(got.body, made.secret) {
		t.Errorf("the token: %s, want it with a warning and without its secret", got.body)
	}
}
