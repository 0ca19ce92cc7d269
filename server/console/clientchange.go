package console

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/server/admin"
	"postern/store"
)

// clientForm is the page that edits a client, or makes it a secret.
type clientForm struct {
	admin.ClientView

	Form     form
	Roles    []option // that it can be narrowed to
	Overlaps []option
	Max      string // the latest a new secret may end, where the client has an end
}

// Path is the page of the client, or one below it.
func (f clientForm) Path(below string) string { return clientPath(f.Client.ID) + below }

// clientValues are what the form shows of a client at first.
func clientValues(c *admin.ClientView) url.Values {
	out := url.Values{
		"name": {c.Client.Name}, "description": {c.Client.Description}, "addresses": {strings.Join(c.Client.Addresses, "\n")},
		"default_api": {c.DefaultAPI}, "narrowed_to": c.NarrowedTo, "revision": {revisionOf(c.Client.Revision)},
	}
	for name, is := range map[string]bool{
		"bearer": c.Client.Bearer, "narrowed": c.Client.Narrowed, "scim_only": c.Client.SCIMOnly, "admin_access": c.Client.AdminAccess,
	} {
		if is {
			out.Set(name, "on")
		}
	}
	return out
}

// showClientForm shows a page of a form about a client.
func (v *visit) showClientForm(name string, status int, c *admin.ClientView, title string, p clientForm) error {
	p.ClientView = *c
	return v.show(name, status, page{
		Title: title, Section: "clients", Data: p,
		Crumbs: []crumb{{"Tokens", "/console/clients"}, {c.Client.Name, clientPath(c.Client.ID)}},
	})
}

func editClientPage(v *visit) error {
	c, err := v.clientOf()
	if err != nil {
		return err
	}
	return v.editClientForm(http.StatusOK, c, form{Values: clientValues(c)})
}

func (v *visit) editClientForm(status int, c *admin.ClientView, f form) error {
	p := clientForm{Form: f}
	held, err := v.rolesOf(store.HolderID(c.Client.Account))
	if err != nil {
		return err
	}
	if held != nil && c.Client.Workspace != "" {
		for _, h := range held.Rows {
			if h.Workspace == c.Workspace {
				p.Roles = append(p.Roles, option{Value: h.Ref, Label: h.Ref})
			}
		}
	}
	return v.showClientForm("client-edit", status, c, "Edit “"+c.Client.Name+"”", p)
}

func editClient(v *visit) error {
	f := v.form
	addresses, narrow := lines(f.Get("addresses")), f["narrowed_to"]
	name, description, api := f.Get("name"), f.Get("description"), f.Get("default_api")
	in := admin.ClientEdit{
		Name: &name, Description: &description, DefaultAPI: &api, Addresses: &addresses, Revision: formRevision(f),
		Bearer: new(on(f, "bearer")), AdminAccess: new(on(f, "admin_access")), SCIMOnly: new(on(f, "scim_only")), Narrowed: new(on(f, "narrowed")),
	}
	if f.Has("narrowable") { // else the list is not there, and stays
		in.Narrow = &narrow
	}
	id := store.ClientID(v.Param("client"))
	_, err := v.console.Admin.EditClient(v.Request.Context(), v.by, id, in)
	if err == nil {
		return v.done("client edited", clientPath(id))
	}
	typed := form{Values: f}
	c, lost := v.clientOf()
	if lost != nil || !typed.take(err) {
		return err
	}
	if isStale(err) {
		typed.overtaken(clientValues(c), [2]string{"name", "Name"}, [2]string{"description", "Description"}, [2]string{"addresses", "Allowed addresses"},
			[2]string{"default_api", "Default API"}, [2]string{"narrowed_to", "Narrowed to"})
	}
	return v.editClientForm(statusOf(err), c, typed)
}

func rotatePage(v *visit) error {
	c, err := v.clientOf()
	if err != nil {
		return err
	}
	return v.rotateForm(http.StatusOK, c, form{Values: url.Values{}})
}

func (v *visit) rotateForm(status int, c *admin.ClientView, f form) error {
	offered := append(overlaps(), option{Value: keepsOn, Label: "Goes on as it is"})
	return v.showClientForm("rotate", status, c, "New secret key of “"+c.Client.Name+"”", clientForm{Form: f, Overlaps: offered})
}

// keepsOn is the choice that leaves old secrets as they are.
const keepsOn = "keep"

// rotationOf reads a rotation; where that is no sense, the form has a fault.
func (v *visit) rotationOf(f *form) admin.Rotation {
	in := admin.Rotation{Label: v.form.Get("label")}
	switch text := v.form.Get("overlap"); text {
	case "":
	case keepsOn:
		in.Keep = true
	default:
		var err error
		if in.Overlap, err = time.ParseDuration(text); err != nil {
			f.fault("overlap", "is none of those that are offered")
		}
	}
	if text := v.form.Get("last_day"); text != "" {
		last, err := time.Parse(time.DateOnly, text)
		if err != nil || !last.AddDate(0, 0, 1).After(v.console.Now()) {
			f.fault("last_day", "must be a date to come, such as "+v.console.Now().AddDate(0, 6, 0).UTC().Format(time.DateOnly))
		} else {
			in.Expiry.For = last.AddDate(0, 0, 1).Sub(v.console.Now())
		}
	}
	return in
}

// rotate makes a new secret, and answers with the page that shows it.
func rotate(v *visit) error {
	by, err := v.once()
	if err != nil {
		return err
	}
	id, f := store.ClientID(v.Param("client")), form{Values: v.form}
	in := v.rotationOf(&f)
	var made *admin.Created
	if len(f.Summary) == 0 {
		made, err = v.console.Admin.RotateSecret(v.Request.Context(), by, id, in)
	}
	if made, before := madeBefore(err); before {
		v.Redirect(http.StatusSeeOther, clientPath(store.ClientID(made))+"/save")
		return nil
	}
	if err == nil && len(f.Summary) == 0 {
		return v.showSecret(made)
	}
	c, lost := v.clientOf()
	if lost != nil || err != nil && !f.take(err) {
		return err
	}
	status := http.StatusUnprocessableEntity
	if err != nil {
		status = statusOf(err)
	}
	return v.rotateForm(status, c, f)
}

// secretOf reads the secret that an address names.
func (v *visit) secretOf() (*admin.ClientView, *store.ClientSecret, error) {
	c, err := v.clientOf()
	if err != nil {
		return nil, nil, err
	}
	s := c.Client.Secret(store.SecretID(v.Param("secret")))
	if s == nil {
		return nil, nil, &admin.Error{Kind: admin.NotFound, Message: "the token has no such secret key; it may have been replaced"}
	}
	return c, s, nil
}

func confirmRetire(v *visit) error {
	c, s, err := v.secretOf()
	if err != nil {
		return err
	}
	return v.askRetire(c, s, nil)
}

// askRetire asks before a secret ends. refused is why it could not be done: where
// somebody uses it, the answer is to do it all the same.
func (v *visit) askRetire(c *admin.ClientView, s *store.ClientSecret, refused error) error {
	ask := confirmation{
		Text:   "It ends at once, and with it every access token that it minted. What the other secret keys of “" + c.Client.Name + "” minted goes on.",
		Action: clientPath(c.Client.ID) + "/secrets/" + url.PathEscape(string(s.ID)) + "/retire", Button: "Retire", Danger: true, Back: clientPath(c.Client.ID),
	}
	status := http.StatusOK
	if refused != nil {
		if !ask.Form.take(refused) {
			return refused
		}
		status = statusOf(refused)
		if status == http.StatusConflict && s.RevokedAt == 0 {
			ask.Button, ask.Hidden = "Retire it anyway", []kept{{"force", "on"}}
		}
	}
	title := "Retire the secret key " + string(s.ID) + "?"
	if s.Label != "" {
		title = "Retire the secret key “" + s.Label + "”?"
	}
	return v.ask(status, title, ask, crumb{"Tokens", "/console/clients"}, crumb{c.Client.Name, clientPath(c.Client.ID)})
}

func retireSecret(v *visit) error {
	c, s, err := v.secretOf()
	if err != nil {
		return err
	}
	if _, err := v.console.Admin.RetireSecret(v.Request.Context(), v.by, c.Client.ID, s.ID, admin.Retirement{Force: on(v.form, "force")}); err != nil {
		return v.askRetire(c, s, err)
	}
	return v.done("secret retired", clientPath(c.Client.ID))
}

func takeOver(v *visit) error {
	id := store.ClientID(v.Param("client"))
	if _, err := v.console.Admin.TakeOver(v.Request.Context(), v.by, id); err != nil {
		return err
	}
	return v.done("client taken over", clientPath(id))
}

func responsiblePage(v *visit) error {
	c, err := v.clientOf()
	if err != nil {
		return err
	}
	return v.responsibleForm(http.StatusOK, c, form{Values: url.Values{"responsible": {c.Responsible.Name}, "revision": {revisionOf(c.Client.Revision)}}})
}

func (v *visit) responsibleForm(status int, c *admin.ClientView, f form) error {
	return v.showClientForm("responsible", status, c, "Who answers for “"+c.Client.Name+"”", clientForm{Form: f})
}

// changeResponsible makes another person responsible.
func changeResponsible(v *visit) error {
	id, person := store.ClientID(v.Param("client")), strings.TrimSpace(v.form.Get("responsible"))
	_, err := v.console.Admin.EditClient(v.Request.Context(), v.by, id, admin.ClientEdit{Responsible: &person, Revision: formRevision(v.form)})
	if err == nil {
		return v.done("client edited", clientPath(id))
	}
	f := form{Values: v.form}
	c, lost := v.clientOf()
	if lost != nil || !f.take(err) {
		return err
	}
	if isStale(err) {
		f.overtaken(url.Values{"responsible": {c.Responsible.Name}, "revision": {revisionOf(c.Client.Revision)}}, [2]string{"responsible", "Responsible"})
	}
	return v.responsibleForm(statusOf(err), c, f)
}
