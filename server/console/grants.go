package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern/server/admin"
	"postern/store"
)

// holding is one role that an account or a team holds in a workspace.
type holding struct {
	Holder    store.HolderID
	Name      string
	Team      bool
	Role      store.RoleID
	Ref       string
	Place     int // in the grant, from 0
	Limits    []store.Limit
	Workspace string // its name
	Since     store.Time
}

// holdings is what the template of the same name shows.
type holdings struct {
	Rows  []holding
	Roles bool   // say which role, not who holds it
	Both  bool   // say both
	Take  bool   // offer to change and take back
	More  bool   // there are more than Rows
	Next  string // the page to come back to
}

// Path is the page of the holder.
func (h holding) Path() string {
	if h.Team {
		return "/console/teams/" + url.PathEscape(string(h.Holder))
	}
	return "/console/accounts/" + url.PathEscape(string(h.Holder))
}

// Only spells the limits: "device = d1, d2".
func (h holding) Only() []string { return limitLines(h.Limits) }

// At is the address under which it is changed.
func (h holding) At(step, next string) string {
	return "/console/grants/" + url.PathEscape(string(h.Holder)) + "/" + url.PathEscape(string(h.Role)) + step + "?" +
		url.Values{"place": {strconv.Itoa(h.Place)}, "workspace": {h.Workspace}, "next": {next}}.Encode()
}

// holdingsOf lists the roles of grants; only one role unless it is empty.
func (v *visit) holdingsOf(grants []*store.Grant, only store.RoleID) (out []holding) {
	a, ctx := v.console.Admin, v.Request.Context()
	for _, g := range grants {
		for i, r := range g.Roles {
			if only == "" || r.Role == only {
				out = append(out, holding{
					Holder: g.Holder, Name: a.HolderName(ctx, g.Holder), Team: g.Holder.IsTeam(), Role: r.Role, Ref: a.RoleRefs([]store.RoleID{r.Role})[0],
					Place: i, Limits: r.Limits, Workspace: a.WorkspaceName(g.Workspace), Since: g.CreatedAt,
				})
			}
		}
	}
	return out
}

// holdersOf returns who holds a role in the chosen workspace.
func (v *visit) holdersOf(role store.RoleID, limit int) (*holdings, error) {
	grants, err := v.console.Admin.Grants(v.Request.Context(), v.by, admin.GrantList{Workspace: v.workspace.Name, Role: string(role), Limit: limit + 1})
	if err != nil {
		return nil, err
	}
	out := &holdings{Take: v.may("grant.set"), More: len(grants) > limit, Next: v.Request.URL.RequestURI()}
	out.Rows = v.holdingsOf(grants[:min(limit, len(grants))], role)
	return out, nil
}

// heldBy returns the roles of an account or team, in every workspace whose grants
// the person may see.
func (v *visit) heldBy(holder store.HolderID) (*holdings, error) {
	grants, err := v.console.Admin.Grants(v.Request.Context(), v.by, admin.GrantList{Holder: string(holder)})
	if err != nil {
		return nil, err
	}
	out := &holdings{Roles: true, Take: v.may("grant.set"), Next: v.Request.URL.RequestURI()}
	out.Rows = v.holdingsOf(grants, "")
	return out, nil
}

// grantPage is the form that gives a role, or changes the limits it was given with.
type grantPage struct {
	Form     form
	Change   *holding // what is changed; nil when a role is given
	Action   string
	Roles    []option
	Holders  []string // names to choose from
	Params   []string // of the paths of the role, that limits can name
	Next     string
	Where    string // the workspace
	Revision int64  // of the grant that is changed
	Warnings []string
}

// granting finds the workspace that a form about a grant is about.
func (v *visit) granting(values url.Values) (*store.Workspace, error) {
	for _, w := range v.workspaces {
		if name := values.Get("workspace"); w.Name == name || name == "" && w == v.workspace {
			return w, nil
		}
	}
	return nil, errNoWorkspace
}

func giveRolePage(v *visit) error {
	q := v.Request.URL.Query()
	ws, err := v.granting(q)
	if err != nil {
		return err
	}
	if !v.console.Admin.May(v.by, "grant.set", ws.ID) {
		return &admin.Error{Kind: admin.Forbidden, Message: "you may not give roles in workspace " + ws.Name + "; ask an owner or admin of it"}
	}
	return v.showGrant(http.StatusOK, ws, grantPage{Form: form{Values: q}, Action: "/console/grants", Next: q.Get("next")})
}

// showGrant fills in what can be chosen.
func (v *visit) showGrant(status int, ws *store.Workspace, p grantPage) error {
	ctx, a := v.Request.Context(), v.console.Admin
	p.Where = ws.Name
	if p.Next = localPath(p.Next); p.Next == home {
		p.Next = "/console/roles"
	}
	title := "Give a role"
	if p.Change != nil {
		title = "Change limits"
	}
	roles, err := a.Roles(ctx, v.by, ws.Name)
	if err != nil {
		return err
	}
	for _, r := range roles {
		p.Roles = append(p.Roles, option{Value: string(r.ID), Label: shortRef(r, ws.Name), Note: clipped(r.Description, 60)})
		if string(r.ID) == p.Form.Values.Get("role") {
			p.Params = parameters(r.Rules)
		}
	}
	slices.SortStableFunc(p.Roles, func(x, y option) int { return strings.Compare(x.Label, y.Label) })
	if p.Change == nil {
		if p.Holders, err = v.holderNames(); err != nil {
			return err
		}
	}
	return v.show("grant", status, page{Title: title, Section: "roles", Crumbs: []crumb{{"Roles", "/console/roles"}}, Data: p})
}

// holderNames are some that a role can be given to; none to a person who may not
// list them.
func (v *visit) holderNames() (names []string, err error) {
	ctx := v.Request.Context()
	if teams, err := v.console.Admin.Teams(ctx, v.by); err == nil {
		for _, t := range teams {
			names = append(names, t.Name)
		}
	} else if statusOf(err) != http.StatusForbidden {
		return nil, err
	}
	accounts, err := v.console.Admin.Accounts(ctx, v.by, store.AccountQuery{Limit: 200})
	if err != nil && statusOf(err) != http.StatusForbidden {
		return nil, err
	}
	for _, acc := range accounts {
		names = append(names, acc.Name)
	}
	return names, nil
}

// grantOf reads the grant of a holder in a workspace; an empty one if there is none.
func (v *visit) grantOf(holder string, ws store.WorkspaceID) (*store.Grant, error) {
	grants, err := v.console.Admin.Grants(v.Request.Context(), v.by, admin.GrantList{Holder: holder})
	for _, g := range grants {
		if g.Workspace == ws {
			return g, err
		}
	}
	return &store.Grant{}, err
}

// given are the roles of a grant as they are written.
func given(g *store.Grant) []admin.Granted {
	out := make([]admin.Granted, len(g.Roles))
	for i, r := range g.Roles {
		out[i].Role = string(r.Role)
		for _, l := range r.Limits {
			if out[i].Resources == nil {
				out[i].Resources = map[string][]string{}
			}
			out[i].Resources[l.Param] = append([]string{}, l.Values...)
		}
	}
	return out
}

// giveRole adds a role to what an account or team holds.
func giveRole(v *visit) error {
	ws, err := v.granting(v.form)
	if err != nil {
		return err
	}
	holder := strings.TrimSpace(v.form.Get("holder"))
	p := grantPage{Form: form{Values: v.form}, Action: "/console/grants", Next: v.form.Get("next")}
	limits, err := readLimits(v.form.Get("limits"))
	if holder == "" {
		p.Form.fault("holder", "is needed: the name of an account or a team")
	}
	if v.form.Get("role") == "" {
		p.Form.fault("role", "is needed")
	}
	if err != nil {
		p.Form.fault("limits", err.Error())
	}
	if len(p.Form.Summary) > 0 {
		return v.showGrant(http.StatusUnprocessableEntity, ws, p)
	}
	if asked, err := v.ownerAsksAgain(v.form.Get("role"), giveRole); asked || err != nil {
		return err
	}
	g, err := v.grantOf(holder, ws.ID)
	var roles []admin.Granted
	if err == nil {
		roles = append(given(g), admin.Granted{Role: v.form.Get("role"), Resources: limits})
		if slices.ContainsFunc(g.Roles, func(r store.GrantedRole) bool {
			return string(r.Role) == v.form.Get("role") && slices.Equal(limitLines(r.Limits), limitLines(limitsOf(limits)))
		}) {
			roles = roles[:len(roles)-1] // it is there already
		}
	}
	return v.setGrant(ws, holder, roles, g.Revision, p, err)
}

// setGrant writes a grant and answers; err is why it cannot be tried at all.
func (v *visit) setGrant(ws *store.Workspace, holder string, roles []admin.Granted, revision int64, p grantPage, err error) error {
	if err == nil {
		_, p.Warnings, err = v.console.Admin.SetGrant(v.Request.Context(), v.by, string(ws.ID), holder, roles, revision)
	}
	if e, ok := errors.AsType[*admin.Error](err); ok && (e.Kind == admin.Invalid || e.Kind == admin.NotFound && p.Change == nil) {
		for _, fault := range e.Faults {
			field := "role"
			if strings.Contains(fault.Place, "resources") {
				field = "limits"
			}
			p.Form.fault(field, fault.Message)
		}
		if len(e.Faults) == 0 {
			p.Form.Faults = map[string]string{"holder": sentence(e.Message)}
			p.Form.Summary = []string{sentence(e.Message)}
		}
		return v.showGrant(http.StatusUnprocessableEntity, ws, p)
	}
	switch {
	case err != nil:
		return err
	case len(p.Warnings) > 0:
		return v.showGrant(http.StatusOK, ws, p) // the role is given, and this should be known
	case p.Change != nil:
		return v.done("limits changed", localPath(p.Next))
	}
	return v.done("role given", localPath(p.Next))
}

// ownerAsksAgain asks for the password where ownership is given or taken.
func (v *visit) ownerAsksAgain(role string, h handler) (asked bool, err error) {
	if v.fresh {
		return false, nil
	}
	r, err := v.console.Admin.Role(v.Request.Context(), v.by, role)
	if err != nil || !r.Builtin || r.Name() != admin.RoleOwner {
		return false, err
	}
	return true, v.askAgain(h)
}

// held finds the role of a grant that an address names.
func (v *visit) held(values url.Values) (*store.Workspace, *store.Grant, *holding, error) {
	ws, err := v.granting(values)
	if err != nil {
		return nil, nil, nil, err
	}
	g, err := v.grantOf(v.Param("holder"), ws.ID)
	if err != nil {
		return nil, nil, nil, err
	}
	place := values.Get("place") // without one, the first
	for _, h := range v.holdingsOf([]*store.Grant{g}, store.RoleID(v.Param("role"))) {
		if place == "" || place == strconv.Itoa(h.Place) {
			return ws, g, &h, nil
		}
	}
	return nil, nil, nil, &admin.Error{Kind: admin.NotFound, Message: "this role is not held here any more; somebody took it back, or changed what is held"}
}

func limitsPage(v *visit) error {
	q := v.Request.URL.Query()
	ws, g, h, err := v.held(q)
	if err != nil {
		return err
	}
	values := url.Values{"role": {string(h.Role)}, "limits": {strings.Join(h.Only(), "\n")}}
	return v.showGrant(http.StatusOK, ws, grantPage{Form: form{Values: values}, Change: h, Action: h.At("", ""), Next: q.Get("next"), Revision: g.Revision})
}

func changeLimits(v *visit) error {
	ws, g, h, err := v.held(v.Request.URL.Query())
	if err != nil {
		return err
	}
	v.form.Set("role", string(h.Role))
	p := grantPage{Form: form{Values: v.form}, Change: h, Action: h.At("", ""), Next: v.form.Get("next"), Revision: formRevision(v.form)}
	limits, err := readLimits(v.form.Get("limits"))
	if err != nil {
		p.Form.fault("limits", err.Error())
		return v.showGrant(http.StatusUnprocessableEntity, ws, p)
	}
	if asked, err := v.ownerAsksAgain(string(h.Role), changeLimits); asked || err != nil {
		return err
	}
	roles := given(g)
	roles[h.Place].Resources = limits
	return v.setGrant(ws, string(g.Holder), roles, p.Revision, p, nil)
}

func confirmTake(v *visit) error {
	q := v.Request.URL.Query()
	ws, g, h, err := v.held(q)
	if err != nil {
		return err
	}
	kind := "account"
	if h.Team {
		kind = "team"
	}
	return v.confirm("Take “"+strings.TrimPrefix(h.Ref, ws.Name+"/")+"” back?", confirmation{
		Text:   "The " + kind + " “" + h.Name + "” no longer holds it in workspace " + ws.Name + ", and calls that only it opens are refused at once.",
		Listed: h.Only(), Action: h.At("/take", ""), Button: "Take back", Danger: true, Back: localPath(q.Get("next")), Section: "roles",
		Hidden: []kept{{"revision", strconv.FormatInt(g.Revision, 10)}, {"next", localPath(q.Get("next"))}},
	}, crumb{"Roles", "/console/roles"})
}

func takeRole(v *visit) error {
	ws, g, h, err := v.held(v.Request.URL.Query())
	if err != nil {
		return err
	}
	if asked, err := v.ownerAsksAgain(string(h.Role), takeRole); asked || err != nil {
		return err
	}
	roles := slices.Delete(given(g), h.Place, h.Place+1)
	if _, _, err = v.console.Admin.SetGrant(v.Request.Context(), v.by, string(ws.ID), string(g.Holder), roles, formRevision(v.form)); err != nil {
		return err
	}
	return v.done("role taken", v.backTo("/console/roles"))
}

// formRevision is the revision that a form was filled in for; -1 is none that there
// ever was.
func formRevision(values url.Values) int64 {
	n, err := strconv.ParseInt(values.Get("revision"), 10, 64)
	if err != nil || n <= 0 {
		return -1
	}
	return n
}
