package console

import (
	"net/http"
	"time"

	"postern/server/admin"
	"postern/store"
)

// ownChange is the page that asks before a personal token gets a secret, or one
// that takes its place is made.
type ownChange struct {
	Form     form
	Text     string
	Action   string
	Button   string
	Overlaps []option // of a secret that takes the place of others
}

// madeSecret is the page that shows a secret, once.
type madeSecret struct {
	Client   *store.Client
	Secret   string
	Warnings []string
	Issuer   string
	Back     string
}

// overlaps are how long old secrets may go on.
func overlaps() []option {
	return []option{
		{Value: "0s", Label: "At once"}, {Value: "1h", Label: "In an hour"}, {Value: "24h", Label: "In a day"}, {Value: "168h", Label: "In a week"},
	}
}

func (v *visit) own() (*store.Client, error) {
	return v.console.Admin.MyClient(v.Request.Context(), v.by, store.ClientID(v.Param("own")))
}

func (v *visit) showOwn(c *store.Client, status int, title string, o ownChange) error {
	crumbs := []crumb{{"Your profile", profilePath}}
	return v.show("own", status, page{Title: title + " “" + c.Name + "”", Section: "profile", Crumbs: crumbs, Data: o})
}

func ownSecretPage(v *visit) error {
	c, err := v.own()
	if err != nil {
		return err
	}
	return v.ownSecretForm(c, http.StatusOK, form{})
}

func (v *visit) ownSecretForm(c *store.Client, status int, f form) error {
	ask := ownChange{
		Form: f, Action: ownPath(c.ID) + "/secret", Button: "Make the secret",
		Text: "The token is active from then on. Its secret is shown once, on the next page, and nobody can read it again.",
	}
	if len(c.Secrets) > 0 {
		ask.Text = "The new secret is shown once, on the next page. The old one goes on as long as you choose here, so that nothing stops before you have replaced it."
		ask.Overlaps = overlaps()
	}
	return v.showOwn(c, status, "New secret of", ask)
}

func makeOwnSecret(v *visit) error {
	c, err := v.own()
	if err != nil {
		return err
	}
	by, err := v.once()
	if err != nil {
		return err
	}
	overlap, err := time.ParseDuration(v.form.Get("overlap"))
	if err != nil && v.form.Has("overlap") {
		f := form{Values: v.form}
		f.fault("overlap", "is none of these")
		return v.ownSecretForm(c, http.StatusUnprocessableEntity, f)
	}
	made, err := v.console.Admin.RotateSecret(v.Request.Context(), by, c.ID, admin.Rotation{Overlap: overlap})
	return v.showMade(made, err)
}

func renewPage(v *visit) error {
	c, err := v.own()
	if err != nil {
		return err
	}
	return v.showOwn(c, http.StatusOK, "Renew", ownChange{
		Action: ownPath(c.ID) + "/renew", Button: "Make its successor",
		Text: "This makes a new token like it: the same name, workspace, roles and addresses, for as long as this one was made for. This one goes on until it expires or you revoke it.",
	})
}

// renew makes a token that reaches what an old one does, for as long as that was
// made for.
func renew(v *visit) error {
	old, err := v.own()
	if err != nil {
		return err
	}
	by, err := v.once()
	if err != nil {
		return err
	}
	view := v.console.Admin.DescribeNew(v.Request.Context(), old)
	in := admin.NewPersonal{
		Name: old.Name, Description: old.Description, Workspace: string(old.Workspace), DefaultAPI: view.DefaultAPI,
		Narrowed: old.Narrowed, Narrow: view.NarrowedTo, Addresses: old.Addresses, AdminAccess: old.AdminAccess, Expiry: admin.Expiry{Never: true},
	}
	if old.ExpiresAt != 0 {
		in.Expiry = admin.Expiry{For: old.ExpiresAt.Sub(old.CreatedAt)}
	}
	made, err := v.console.Admin.CreatePersonal(v.Request.Context(), by, in)
	return v.showMade(made, err)
}

// showMade shows a secret of a personal token, which this answer alone holds.
func (v *visit) showMade(made *admin.Created, err error) error {
	if err != nil {
		return err
	}
	return v.show("made", http.StatusOK, page{
		Title: "Save the secret of “" + made.Client.Name + "”", Section: "profile", Crumbs: []crumb{{"Your profile", profilePath}},
		Data: madeSecret{made.Client, made.Secret.Reveal(), made.Warnings, v.console.Issuer, profilePath},
	})
}
