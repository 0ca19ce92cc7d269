package console

import (
	"net/http"
	"net/url"
	"strings"

	"postern/server/admin"
	"postern/server/notify"
	"postern/server/secret"
	"postern/store"
)

// webhookRow is a webhook as people read it.
type webhookRow struct {
	*store.Webhook

	Where string // whose events: a workspace, or empty for every one
}

// Title is what people call it.
func (r webhookRow) Title() string {
	if r.Name != "" {
		return r.Name
	}
	return r.Host()
}

// Host is where it sends to. The rest of its address may hold a secret, and is
// for those who edit it.
func (r webhookRow) Host() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// Path is its page, or one below it.
func (r webhookRow) Path(below string) string {
	return "/console/webhooks/" + url.PathEscape(string(r.ID)) + below
}

func (v *visit) webhookRow(w *store.Webhook) webhookRow {
	row := webhookRow{Webhook: w}
	if w.Workspace != "" {
		row.Where = v.console.Admin.WorkspaceName(w.Workspace)
	}
	return row
}

// mayWebhook reports whether the rules let the person do an operation to a webhook.
func (v *visit) mayWebhook(operation string, row webhookRow) bool {
	if row.Workspace == "" {
		return v.maySystem(operation)
	}
	return v.console.Admin.May(v.by, operation, row.Workspace)
}

func webhookCrumbs(more ...crumb) []crumb {
	return append([]crumb{{"Webhooks", "/console/webhooks"}}, more...)
}

type webhooksPage struct{ Rows []webhookRow }

func webhooks(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	found, err := v.console.Admin.Webhooks(v.Request.Context(), v.by, v.workspace.Name)
	if err != nil {
		return err
	}
	var p webhooksPage
	for _, w := range found {
		p.Rows = append(p.Rows, v.webhookRow(w))
	}
	return v.show("webhooks", http.StatusOK, page{Title: "Webhooks", Section: "webhooks", Data: p})
}

// webhookPage is a webhook with what was sent to it.
type webhookPage struct {
	webhookRow

	Edit, Test, Rotate, Delete, Retry bool
	Visible                           bool // the person may see what was sent
	Deliveries                        []*store.Delivery
	Next                              string
}

func (v *visit) webhookOf() (webhookRow, error) {
	w, err := v.console.Admin.Webhook(v.Request.Context(), v.by, v.Param("webhook"))
	if err != nil {
		return webhookRow{}, err
	}
	return v.webhookRow(w), nil
}

// deliveriesShown is how many deliveries a page has.
const deliveriesShown = 50

func webhook(v *visit) error {
	row, err := v.webhookOf()
	if err != nil {
		return err
	}
	p := webhookPage{
		webhookRow: row, Edit: v.mayWebhook("webhook.edit", row), Test: v.mayWebhook("webhook.test", row) && !row.Disabled,
		Rotate: v.mayWebhook("webhook.rotate", row), Delete: v.mayWebhook("webhook.delete", row), Retry: v.mayWebhook("delivery.retry", row) && !row.Disabled,
	}
	found, err := v.console.Admin.Deliveries(v.Request.Context(), v.by, string(row.ID), store.DeliveryQuery{After: store.DeliveryID(v.Query("after")), Limit: deliveriesShown + 1})
	if p.Visible, err = allowed(err); err != nil {
		return err
	}
	if len(found) > deliveriesShown {
		found = found[:deliveriesShown]
		p.Next = row.Path("?" + url.Values{"after": {string(found[deliveriesShown-1].ID)}}.Encode() + "#deliveries")
	}
	p.Deliveries = found
	return v.show("webhook", http.StatusOK, page{Title: row.Title(), Section: "webhooks", Crumbs: webhookCrumbs(), Data: p})
}

// webhookForm is the form that makes or edits a webhook.
type webhookForm struct {
	Form   form
	Row    *webhookRow // nil for a new one
	Action string
	Back   string
	Events []option
	Scopes []option
}

func (v *visit) webhookFormPage(status int, f form, row *webhookRow) error {
	p := webhookForm{Form: f, Row: row, Action: "/console/webhooks/new", Back: "/console/webhooks"}
	for _, e := range notify.Events() {
		p.Events = append(p.Events, option{Value: e.Name, Label: e.Name, Note: e.Text})
	}
	title, crumbs := "New webhook", webhookCrumbs()
	if row != nil {
		p.Action, p.Back, title, crumbs = row.Path("/edit"), row.Path(""), "Edit "+row.Title(), webhookCrumbs(crumb{row.Title(), row.Path("")})
	} else {
		p.Scopes = []option{{Value: v.workspace.Name, Label: "Workspace " + v.workspace.Name}}
		if v.maySystem("webhook.create") {
			p.Scopes = append(p.Scopes, option{Value: "", Label: "Every workspace, and the installation"})
		}
	}
	return v.show("webhook-form", status, page{Title: title, Section: "webhooks", Crumbs: crumbs, Data: p})
}

func (r webhookRow) values() url.Values {
	out := url.Values{"name": {r.Name}, "url": {r.URL}, "events": r.Events, "revision": {revisionOf(r.Revision)}}
	if r.Disabled {
		out.Set("disabled", "on")
	}
	return out
}

// webhookInput is what a form says.
func webhookInput(f url.Values) admin.WebhookInput {
	events := append([]string{}, f["events"]...)
	return admin.WebhookInput{
		Name: new(strings.TrimSpace(f.Get("name"))), URL: new(strings.TrimSpace(f.Get("url"))), Events: &events, Disabled: new(on(f, "disabled")),
	}
}

func newWebhookPage(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	if !v.may("webhook.create") {
		return &admin.Error{Kind: admin.Forbidden, Message: "you may not make webhooks in workspace " + v.workspace.Name + "; ask an owner or admin of it"}
	}
	return v.webhookFormPage(http.StatusOK, form{Values: url.Values{}}, nil)
}

func createWebhook(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	by, err := v.once()
	if err != nil {
		return err
	}
	in := webhookInput(v.form)
	if in.Workspace = v.workspace.Name; v.form.Has("workspace") {
		in.Workspace = v.form.Get("workspace")
	}
	made, key, err := v.console.Admin.CreateWebhook(v.Request.Context(), by, in)
	if id, before := madeBefore(err); before {
		return v.done("key shown", "/console/webhooks/"+url.PathEscape(id))
	}
	if err != nil {
		f := form{Values: v.form}
		if !f.take(err) {
			return err
		}
		return v.webhookFormPage(statusOf(err), f, nil)
	}
	return v.showSigningKey(made, key, "The webhook is made")
}

// signingKey is the one page that shows the key that signs for a webhook.
type signingKey struct {
	webhookRow

	Secret string
}

func (v *visit) showSigningKey(w *store.Webhook, key secret.Secret, title string) error {
	row := v.webhookRow(w)
	return v.show("signing-key", http.StatusOK, page{
		Title: title, Section: "webhooks", Crumbs: webhookCrumbs(crumb{row.Title(), row.Path("")}), Data: signingKey{row, key.Reveal()},
	})
}

func editWebhookPage(v *visit) error {
	row, err := v.webhookOf()
	if err != nil {
		return err
	}
	if !v.mayWebhook("webhook.edit", row) { // the address may hold a secret
		return &admin.Error{Kind: admin.Forbidden, Message: "you may not edit this webhook; ask an owner or admin of its workspace"}
	}
	return v.webhookFormPage(http.StatusOK, form{Values: row.values()}, &row)
}

func editWebhook(v *visit) error {
	_, err := v.console.Admin.EditWebhook(v.Request.Context(), v.by, v.Param("webhook"), webhookInput(v.form), formRevision(v.form))
	row, lost := v.webhookOf()
	if err == nil && lost == nil {
		return v.done("webhook saved", row.Path(""))
	}
	f := form{Values: v.form}
	if lost != nil || !f.take(err) {
		return err
	}
	if isStale(err) {
		f.overtaken(row.values(), [2]string{"name", "Name"}, [2]string{"url", "Address"}, [2]string{"events", "Events"})
	}
	return v.webhookFormPage(statusOf(err), f, &row)
}

func testWebhook(v *visit) error {
	id := v.Param("webhook")
	if _, err := v.console.Admin.TestWebhook(v.Request.Context(), v.by, id); err != nil {
		return err
	}
	return v.done("webhook tested", "/console/webhooks/"+url.PathEscape(id)+"#deliveries")
}

func retryDelivery(v *visit) error {
	id := v.Param("webhook")
	if _, err := v.console.Admin.RetryDelivery(v.Request.Context(), v.by, id, v.form.Get("delivery")); err != nil {
		return err
	}
	return v.done("delivery again", "/console/webhooks/"+url.PathEscape(id)+"#deliveries")
}

func confirmRotateWebhook(v *visit) error {
	row, err := v.webhookOf()
	if err != nil {
		return err
	}
	return v.confirm("Make a new signing key for “"+row.Title()+"”?", confirmation{
		Text:   "It is shown once, on the next page. For a day both keys sign, so that the receiver can change over.",
		Action: row.Path("/rotate"), Button: "Make the key", Back: row.Path(""), Section: "webhooks",
	}, webhookCrumbs(crumb{row.Title(), row.Path("")})...)
}

func rotateWebhook(v *visit) error {
	w, key, err := v.console.Admin.RotateWebhook(v.Request.Context(), v.by, v.Param("webhook"))
	if err != nil {
		return err
	}
	return v.showSigningKey(w, key, "A new signing key")
}

func confirmDeleteWebhook(v *visit) error {
	row, err := v.webhookOf()
	if err != nil {
		return err
	}
	return v.confirm("Delete the webhook “"+row.Title()+"”?", confirmation{
		Text:   "Nothing is sent to it any more, and what was sent is no longer listed.",
		Action: row.Path("/delete"), Button: "Delete", Danger: true, Back: row.Path(""), Section: "webhooks",
	}, webhookCrumbs(crumb{row.Title(), row.Path("")})...)
}

func deleteWebhook(v *visit) error {
	if err := v.console.Admin.DeleteWebhook(v.Request.Context(), v.by, v.Param("webhook")); err != nil {
		return err
	}
	return v.done("webhook deleted", "/console/webhooks")
}
