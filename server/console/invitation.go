package console

import (
	"net/http"

	"postern/server/secret"
	"postern/server/telemetry"
)

// invitationPage is what the page of an invitation shows.
type invitationPage struct {
	Form  form
	Token string // of the link; empty when it is of no use
	Done  string // the name to sign in with, once the password is set
}

func invitation(v *visit) error {
	return v.show("invitation", http.StatusOK, page{Title: "Your invitation", Data: invitationPage{Token: v.Query("token")}})
}

// acceptInvitation sets the password. It needs no session and believes none: who
// has the token may do this, and nobody else.
func acceptInvitation(v *visit) error {
	p := invitationPage{Token: v.form.Get("token")}
	if v.form.Get("password") != v.form.Get("again") {
		p.Form.fault("again", "is not the same as the password")
		return v.show("invitation", http.StatusUnprocessableEntity, page{Title: "Your invitation", Data: p})
	}
	ctx := v.Request.Context()
	acc, _, err := v.console.Admin.AcceptInvitation(ctx, secret.Of(p.Token), secret.Of(v.form.Get("password")),
		v.console.Address(v.Request), telemetry.RequestID(ctx))
	if err == nil {
		p.Done = acc.Name
		return v.show("invitation", http.StatusOK, page{Title: "The password is set", Data: p})
	}
	if !p.Form.take(err) {
		return err
	}
	v.limited(err)
	return v.show("invitation", statusOf(err), page{Title: "Your invitation", Data: p})
}
