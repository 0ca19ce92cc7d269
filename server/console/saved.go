package console

import (
	"encoding/json"
	"net/http"

	"postern/server/admin"
	"postern/store"
)

// savePage is the page of a new secret: with it in the one answer that has it,
// and without it from then on.
type savePage struct {
	admin.ClientView
	Form     form
	Secret   string // empty once it was shown
	Pending  bool   // the token waits for it to be saved
	Env      string // both as files
	JSON     string
	Snippets []snippet
	Resource string // that the snippets ask a token for
	Warnings []string
	Until    store.Time // it waits no longer
}

// showSecret answers with a new secret: this page and no other ever holds it.
func (v *visit) showSecret(made *admin.Created) error {
	view := v.console.Admin.DescribeNew(v.Request.Context(), made.Client)
	if made.Client.Revision > 1 {
		// Its use is beside the point, and an outage must not swallow the secret.
		if views, err := v.console.Admin.Describe(v.Request.Context(), made.Client); err == nil {
			view = views[0]
		}
	}
	p := savePage{ClientView: view, Secret: made.Secret.Reveal(), Warnings: made.Warnings}
	p.Pending, p.Until = view.State == store.ClientPending, view.Client.ConfirmBy
	if !view.Client.SCIMOnly {
		p.Resource = v.console.Admin.ResourceOf(v.Request.Context(), made.Client)
	}
	c := credentials{
		Issuer: v.console.Issuer, ID: string(view.Client.ID), Secret: p.Secret, Resource: p.Resource,
	}
	p.Env, p.JSON, p.Snippets = c.env(), c.json(), c.snippets(view.Client.SCIMOnly)
	return v.showSave(http.StatusOK, p)
}

func (v *visit) showSave(status int, p savePage) error {
	return v.show("save", status, page{
		Title: "Save the secret key of “" + p.Client.Name + "”", Section: "clients", Data: p,
		Crumbs: []crumb{{"Tokens", "/console/clients"}, {p.Client.Name, clientPath(p.Client.ID)}},
	})
}

// wasShown is the page of a secret that was shown: what can be done now.
func wasShown(v *visit) error {
	c, err := v.clientOf()
	if err != nil {
		return err
	}
	return v.showSave(http.StatusOK, v.withoutSecret(c))
}

func (v *visit) withoutSecret(c *admin.ClientView) savePage {
	return savePage{ClientView: *c, Pending: c.State == store.ClientPending, Until: c.Client.ConfirmBy}
}

// saveToken says that the secret is saved: from now on the token works.
func saveToken(v *visit) error {
	c, err := v.clientOf()
	if err != nil {
		return err
	}
	p := v.withoutSecret(c)
	if !on(v.form, "saved") {
		p.Form.fault("saved", "must be ticked: the secret key cannot be shown again")
		return v.showSave(http.StatusUnprocessableEntity, p)
	}
	if p.Pending {
		if _, err := v.console.Admin.ConfirmClient(v.Request.Context(), v.by, c.Client.ID); err != nil {
			return err
		}
	}
	if v.GetHeader("HX-Request") != "" { // the page goes on to show the secret, to try it
		p.Pending, p.Resource = false, v.console.Admin.ResourceOf(v.Request.Context(), c.Client)
		return v.show("saved", http.StatusOK, page{Title: "The token is saved", Section: "clients", Data: p})
	}
	return v.done("client saved", "/console/clients")
}

// discardToken deletes a token whose secret nobody saved.
func discardToken(v *visit) error {
	c, err := v.clientOf()
	if err != nil {
		return err
	}
	if c.State != store.ClientPending {
		return &admin.Error{Kind: admin.Conflict, Message: "the token is saved by now; revoke it, and then delete it"}
	}
	if err := v.console.Admin.DeleteClient(v.Request.Context(), v.by, c.Client.ID); err != nil {
		return err
	}
	return v.done("client discarded", "/console/clients")
}

// credentials are what somebody takes away.
type credentials struct{ Issuer, ID, Secret, Resource string }

func (c credentials) tokenURL() string { return c.Issuer + "/oauth2/token" }

// env is a file for shells and containers. Nothing in it needs quotes: ids and
// secrets are of letters, digits and underscores, and the rest are URIs.
func (c credentials) env() string {
	out := "POSTERN_URL=" + c.Issuer + "\nPOSTERN_CLIENT_ID=" + c.ID + "\nPOSTERN_CLIENT_SECRET=" + c.Secret + "\n"
	if c.Resource != "" {
		out += "POSTERN_RESOURCE=" + c.Resource + "\n"
	}
	return out
}

// json is a file with the names of RFC 7591 section 3.2.1.
func (c credentials) json() string {
	fields := map[string]string{"client_id": c.ID, "client_secret": c.Secret, "token_endpoint": c.tokenURL()}
	if c.Resource != "" {
		fields["resource"] = c.Resource
	}
	text, err := json.MarshalIndent(fields, "", "  ")
	if err != nil {
		panic(err) // there is nothing in it that cannot be written
	}
	return string(text) + "\n"
}
