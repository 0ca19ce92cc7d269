package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/server/admin"
	"postern/store"
)

// newToken is the form that makes a token.
type newToken struct {
	Form    form
	Kinds   []option
	Roles   []roleChoice
	Role    *roleChoice // the one that is chosen
	Ends    []endChoice
	Usual   string
	Account string // what a personal token acts as
	Scopes  []option
}

// roleChoice is a role that a token may get, with what it opens.
type roleChoice struct {
	Role      *store.Role
	Known     bool // the person may ask what it opens
	Endpoints []admin.OpenEndpoint
}

// Label is the role in a list.
func (r roleChoice) Label() string {
	if !r.Known {
		return r.Role.Name()
	}
	return r.Role.Name() + ": " + plural(len(r.Endpoints), "endpoint", "endpoints")
}

// First are some of what it opens.
func (r roleChoice) First() []admin.OpenEndpoint { return r.Endpoints[:min(len(r.Endpoints), 20)] }

// endChoice is how long a token may live.
type endChoice struct {
	Value, Label string
	Ends         store.Time // 0 is another
}

// Never reports whether it has no end.
func (e endChoice) Never() bool { return e.Value == neverEnds }

// Custom reports whether it is a date of one's own.
func (e endChoice) Custom() bool { return e.Value == customEnds }

const (
	neverEnds  = "never"
	customEnds = "custom"
)

// generate is the page with the form.
func generate(v *visit) error {
	p := &newToken{Form: form{Values: url.Values{}}}
	if v.Query("kind") == string(store.ClientPersonal) {
		p.Form.Values.Set("kind", string(store.ClientPersonal))
	}
	if err := v.prepare(p); err != nil {
		return err
	}
	return v.showNew(http.StatusOK, p)
}

func (v *visit) showNew(status int, p *newToken) error {
	return v.show("new", status, page{
		Title: "Generate token", Section: "clients", Crumbs: []crumb{{"Tokens", "/console/clients"}}, Data: p,
	})
}

// prepare fills in what there is to choose from.
func (v *visit) prepare(p *newToken) error {
	ctx, a := v.Request.Context(), v.console.Admin
	me, err := a.Me(ctx, v.by)
	if err != nil {
		return err
	}
	if len(me.Workspaces) > 0 {
		p.Kinds = append(p.Kinds, option{Value: string(store.ClientPersonal), Label: "Personal"})
	}
	if v.may("client.create") {
		p.Kinds = append(p.Kinds, option{Value: string(store.ClientService), Label: "Service"})
	}
	if len(p.Kinds) == 0 {
		return errNoTokens
	}
	if !p.Form.Values.Has("kind") {
		p.Form.Values.Set("kind", p.Kinds[len(p.Kinds)-1].Value)
	}
	p.Account = me.Account.Name
	p.scopes(me.Workspaces, v.workspace)
	now := store.At(v.console.Now())
	if v.workspace == nil {
		offered, usual, any := a.PersonalLifetimes(v.by)
		p.ends(offered, usual, any, now)
		return nil
	}
	offered, usual := a.Lifetimes(v.workspace)
	p.ends(offered, usual, len(v.workspace.Lifetimes) == 0, now)
	return v.rolesFor(p)
}

// errNoTokens is what a person hears who may make neither kind.
var errNoTokens = &admin.Error{
	Kind: admin.Forbidden,
	Message: "you may not make tokens here: service tokens are made by the administrators of a workspace, and personal ones by those whom they enable; " +
		"ask an owner or admin of yours",
}

// scopes adds where a personal token may be good: in the workspace of the page, if
// that is one of them, or another one, or all.
func (p *newToken) scopes(names []string, here *store.Workspace) {
	for _, name := range names {
		p.Scopes = append(p.Scopes, option{Value: name, Label: name})
	}
	p.Scopes = append(p.Scopes, option{Label: "All of your workspaces"})
	switch {
	case p.Form.Values.Has("workspace") || len(names) == 0:
	case here != nil && slices.Contains(names, here.Name):
		p.Form.Values.Set("workspace", here.Name)
	default:
		p.Form.Values.Set("workspace", names[0])
	}
}

// rolesFor adds the roles of the workspace. Who may not list them makes a token
// without one.
func (v *visit) rolesFor(p *newToken) error {
	roles, err := v.console.Admin.Roles(v.Request.Context(), v.by, v.workspace.Name)
	if err != nil && statusOf(err) != http.StatusForbidden {
		return err
	}
	for _, r := range roles {
		if r.Workspace != v.workspace.ID {
			continue // a licence is no role of a token
		}
		p.Roles = append(p.Roles, v.opens(r))
	}
	// Those that somebody made here come first: they are what tokens are for.
	slices.SortStableFunc(p.Roles, func(x, y roleChoice) int {
		if x.Role.Builtin != y.Role.Builtin {
			if x.Role.Builtin {
				return 1
			}
			return -1
		}
		return strings.Compare(x.Role.Ref, y.Role.Ref)
	})
	for i := range p.Roles {
		if p.Roles[i].Role.Ref == p.Form.Values.Get("roles") {
			p.Role = &p.Roles[i]
		}
	}
	return nil
}

// opens is a role with what it opens.
func (v *visit) opens(r *store.Role) roleChoice {
	found, err := v.console.Admin.RoleEndpoints(v.Request.Context(), v.by, string(r.ID))
	return roleChoice{Role: r, Known: err == nil, Endpoints: found}
}

// ends adds the lifetimes to choose from; custom: any other date will do, too.
func (p *newToken) ends(offered []time.Duration, usual time.Duration, custom bool, now store.Time) {
	for _, life := range offered {
		if life != admin.Never {
			p.Ends = append(p.Ends, endChoice{Value: life.String(), Label: duration(life), Ends: now.Add(life)})
		}
	}
	if custom {
		p.Ends = append(p.Ends, endChoice{Value: customEnds, Label: "Custom date"})
	}
	if slices.Contains(offered, admin.Never) {
		p.Ends = append(p.Ends, endChoice{Value: neverEnds, Label: "Never"})
	}
	if p.Usual = "no end"; usual != admin.Never {
		p.Usual = duration(usual)
	}
	if !p.Form.Values.Has("expires_in") && len(p.Ends) > 0 {
		p.Form.Values.Set("expires_in", p.Ends[0].Value)
		if slices.ContainsFunc(p.Ends, func(e endChoice) bool { return e.Value == usual.String() }) {
			p.Form.Values.Set("expires_in", usual.String())
		}
	}
}

// roleOpens is the list of what one role opens, for the form beside its list of
// roles.
func roleOpens(v *visit) error {
	p := &newToken{}
	if ref := v.Query("roles"); ref != "" {
		r, err := v.console.Admin.Role(v.Request.Context(), v.by, ref)
		if err != nil {
			return err
		}
		one := v.opens(r)
		p.Role = &one
	}
	return v.show("opens", http.StatusOK, page{Title: "What a role opens", Section: "clients", Data: p})
}

// makeToken makes the token, and answers with the page that shows its secret.
func makeToken(v *visit) error {
	p := &newToken{Form: form{Values: v.form}}
	by, err := v.once()
	if err != nil {
		return err
	}
	if err := v.prepare(p); err != nil {
		return err
	}
	made, err := v.create(by, p)
	if id, before := madeBefore(err); before {
		v.Redirect(http.StatusSeeOther, clientPath(store.ClientID(id))+"/save")
		return nil
	}
	if err != nil {
		if !p.Form.take(err) {
			return err
		}
		v.limited(err)
	}
	if len(p.Form.Summary) > 0 {
		status := http.StatusUnprocessableEntity
		if err != nil {
			status = statusOf(err)
		}
		return v.showNew(status, p)
	}
	return v.showSecret(made)
}

// create does what the form says; where that is no sense, the form has a fault.
func (v *visit) create(by *admin.Actor, p *newToken) (*admin.Created, error) {
	ctx, a, f := v.Request.Context(), v.console.Admin, v.form
	ends, fault := expiryOf(f, v.console.Now())
	if fault != "" {
		p.Form.fault("expires_in", fault)
		return nil, nil
	}
	addresses := lines(f.Get("addresses"))
	if f.Get("kind") == string(store.ClientPersonal) {
		return a.CreatePersonal(ctx, by, admin.NewPersonal{
			Name: f.Get("name"), Description: f.Get("description"), Workspace: f.Get("workspace"), DefaultAPI: f.Get("default_api"),
			Expiry: ends, Label: f.Get("label"), Addresses: addresses, AdminAccess: on(f, "admin_access"), Confirm: true,
		})
	}
	if v.workspace == nil {
		return nil, errNoTokens
	}
	in := admin.NewClient{
		Name: f.Get("name"), Key: f.Get("key"), Description: f.Get("description"), Workspace: v.workspace.Name, Account: f.Get("account"),
		DefaultAPI: f.Get("default_api"), Expiry: ends, Label: f.Get("label"), AdminAccess: on(f, "admin_access"),
		SCIMOnly: on(f, "scim_only"), Addresses: addresses, Confirm: true,
	}
	if in.Bearer = new(on(f, "bearer")); in.SCIMOnly {
		in.Bearer = nil // it has to be sent itself
	}
	if role := f.Get("roles"); role != "" {
		in.Roles = []string{role}
	}
	return a.CreateClient(ctx, by, in)
}

// expiryOf reads how long a token is to live. A date is its last day, in UTC.
func expiryOf(f url.Values, now time.Time) (ends admin.Expiry, fault string) {
	switch text := f.Get("expires_in"); text {
	case "":
		return ends, ""
	case neverEnds:
		return admin.Expiry{Never: true}, ""
	case customEnds:
		last, err := time.Parse(time.DateOnly, f.Get("last_day"))
		if err != nil {
			return ends, "needs a date, such as " + now.AddDate(0, 6, 0).UTC().Format(time.DateOnly)
		}
		return admin.Expiry{At: store.At(last.AddDate(0, 0, 1))}, ""
	default:
		life, err := time.ParseDuration(text)
		if err != nil || life <= 0 {
			return ends, "is none of those that are offered"
		}
		return admin.Expiry{For: life}, ""
	}
}
