package browsertest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// QU1, QU6 to QU9, DG2 and DC7 by a person who has no rights but to be here.
func TestQU1Profile(t *testing.T) {
	each(t, func(t *testing.T, tab *tab) {
		w := start(t)
		w.person(t, "ann")
		w.signInAsAnn(tab)
		tab.see("Your profile")
		tab.see("Not activated")
		tab.see("You may not have personal tokens in any workspace")
		tab.axe()
		w.enable(t, "ann")
		tab.open(w.URL + "/console/profile")
		tab.see("Generate your first token")
		tab.see("never share it")
		tab.axe()
		w.PostAs(t, "ann", good, "/me/clients", map[string]string{"name": `<b>lap</b>top`}, nil)
		tab.open(w.URL + "/console/profile")
		tab.see("Never share a personal token.")
		tab.see("Not used")
		tab.axe()
		tab.screenshot("console-profile")
		tab.click("Revoke <b>lap</b>top")
		tab.see("Revoke “<b>lap</b>top”?")
		tab.click("Revoke")
		tab.see("The token has been successfully revoked.")
		tab.click("Restore <b>lap</b>top")
		tab.see("The token has been successfully restored.")
		tab.click("More for <b>lap</b>top")
		tab.click("New secret…")
		tab.see("New secret of “<b>lap</b>top”")
		tab.axe()
		tab.click("In an hour")
		tab.click("Make the secret")
		tab.see("This is the only time the secret is shown.")
		tab.see("pst_cli")
		tab.axe()
		tab.click("I have saved it")
		tab.see("Your personal tokens")
		tab.dontSee("pst_cli")
		tab.click("More for <b>lap</b>top")
		tab.click("Renew…")
		tab.click("Make its successor")
		tab.see("pst_cli")
		tab.click("I have saved it")
		tab.see("2 tokens")
	})
}

// DC1: what was made at the registration waits for its owner. DP4: a new password
// leaves it as it is.
func TestDC1Profile(t *testing.T) {
	tab := desktop(t)
	w := start(t)
	w.Send(t, "PATCH", "/workspaces/default", map[string]any{"who_may_create": "everyone", "personal_auto": true}, nil)
	var invited struct{ Token string }
	w.Post(t, "/accounts", map[string]any{"name": "ann", "workspace": "default", "roles": []any{map[string]string{"role": "member"}}}, &invited)
	w.Post(t, "/invitations/accept", map[string]string{"token": invited.Token, "password": good}, nil)
	w.signInAsAnn(tab)
	tab.open(w.URL + "/console/profile")
	tab.see("A token was made for you")
	tab.axe()
	tab.tabTo("Make its secret")
	tab.key("Enter")
	tab.see("New secret of “Personal token”")
	tab.tabTo("Make the secret")
	tab.key("Enter")
	tab.see("pst_cli")
	tab.tabTo("I have saved it")
	tab.key("Enter")
	tab.see("Active")
	tab.dontSee("A token was made for you")
	tab.click("Change password")
	tab.fill("Current password", good)
	tab.fill("New password", good+" staple")
	tab.fill("The new one again", good+" staple")
	tab.click("Change the password")
	tab.see("your tokens go on")
	tab.see("Active")
}

func TestSecondFactorByPages(t *testing.T) {
	tab := desktop(t)
	w := start(t)
	w.person(t, "ann")
	w.signInAsAnn(tab)
	tab.click("Set up")
	tab.fill("Your password", good)
	tab.axe()
	tab.click("Show the secret")
	tab.see("It is shown this once.")
	tab.axe()
	tab.screenshot("console-second-factor")
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	text, err := evaluate[string](ctx, `document.getElementById("totp-secret").textContent`)
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(strings.ReplaceAll(text, " ", ""), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tab.fill("Code", code)
	tab.click("Confirm")
	tab.see("This is the only time these codes are shown.")
	tab.axe()
	tab.click("I have saved them")
	tab.see("10 recovery codes are left")
	tab.click("Remove it…")
	tab.fill("Your password", good)
	tab.axe()
	tab.click("Remove it")
	tab.see("Your second factor is removed.")
}

// person makes an account whose password is good, with no rights anywhere.
func (w *world) person(t *testing.T, name string) {
	t.Helper()
	var invited struct{ Token string }
	w.Post(t, "/accounts", map[string]string{"name": name}, &invited)
	w.Post(t, "/invitations/accept", map[string]string{"token": invited.Token, "password": good}, nil)
}

// enable makes a person a member of the workspace default who may have personal
// tokens there.
func (w *world) enable(t *testing.T, name string) {
	t.Helper()
	w.Send(t, "PATCH", "/workspaces/default", map[string]any{"who_may_create": "everyone"}, nil)
	w.Send(t, "PUT", "/grants/default/"+name, map[string]any{"roles": []any{map[string]string{"role": "member"}}}, nil)
}

// signInAsAnn is signIn for a person who gets to the profile.
func (w *world) signInAsAnn(tab *tab) {
	tab.Helper()
	tab.open(w.URL + "/console/sign-in")
	tab.fill("Name", "ann")
	tab.fill("Password", good)
	tab.click("Sign in")
	tab.see("Sign out")
}
