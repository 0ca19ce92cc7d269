package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern/policy"
	"postern/server/admin"
	"postern/store"
)

// simulatorPage asks about a call that nobody made.
type simulatorPage struct {
	Form    form
	APIs    []option
	Roles   []option
	Clients []option // that the search for one found
	Paths   []string // of the chosen API
	Asked   bool
	Client  *admin.ClientView
	Answer  *policy.Explanation
	Chain   []chainLink
	Needs   []needed
}

// chainLink is one link of the chain that leads to a decision.
type chainLink struct{ What, Text, Path, Note string }

// needed is one change that is missing, and what makes it.
type needed struct {
	Text   string
	Button string
	Path   string      // where it is made
	Give   *url.Values // what is sent there; nil is a link
	Who    string      // can make it, where the person cannot
}

// Fields are what is sent, by name.
func (n needed) Fields() (out []kept) {
	if n.Give == nil {
		return nil
	}
	for _, name := range []string{"holder", "role", "workspace", "next"} {
		if value := n.Give.Get(name); value != "" {
			out = append(out, kept{name, value})
		}
	}
	return out
}

// clientsOffered is how many clients a search for one offers.
const clientsOffered = 20

// simulatorClients answers with the clients that a search finds, as the options
// of the field.
func simulatorClients(v *visit) error {
	p := simulatorPage{Form: form{Values: v.Request.URL.Query()}}
	if err := v.offerClients(&p); err != nil {
		return err
	}
	return v.show("simulator-clients", http.StatusOK, page{Title: "Tokens", Section: "simulator", Data: p})
}

func (v *visit) offerClients(p *simulatorPage) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	found, err := v.console.Admin.Clients(v.Request.Context(), v.by, admin.ClientList{
		Workspace: v.workspace.Name, Query: store.ClientQuery{Search: strings.TrimSpace(p.Form.Values.Get("client")), Limit: clientsOffered},
	})
	if may, err := allowed(err); !may {
		return err
	}
	for _, c := range found.Clients {
		p.Clients = append(p.Clients, option{Value: string(c.ID), Label: c.Name})
	}
	return nil
}

func simulator(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	q := v.Request.URL.Query()
	p := simulatorPage{Form: form{Values: url.Values{}}}
	for _, name := range []string{"client", "role", "api", "method", "path", "operation", "scope"} {
		if q.Has(name) {
			p.Form.Values.Set(name, strings.TrimSpace(q.Get(name)))
		}
	}
	if err := v.simulatorChoices(&p); err != nil {
		return err
	}
	status := http.StatusOK
	if q.Get("path") != "" && (q.Get("client") != "" || q.Get("role") != "") && q.Get("method") != "" {
		p.Asked = true
		if err := v.simulate(&p); err != nil {
			if !p.Form.take(err) {
				return err
			}
			status = statusOf(err)
		}
	}
	return v.show("simulator", status, page{Title: "Simulator", Section: "simulator", Data: p})
}

// simulatorChoices fills in what there is to choose from.
func (v *visit) simulatorChoices(p *simulatorPage) error {
	ctx, a := v.Request.Context(), v.console.Admin
	all, err := a.APIs(ctx, v.by)
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(x, y *store.API) int { // what people made comes first
		return cmp.Compare(strings.Count(x.Name, store.PosternAPI), strings.Count(y.Name, store.PosternAPI))
	})
	for _, api := range all {
		if !api.OpenTo(v.workspace.ID) {
			continue
		}
		p.APIs = append(p.APIs, option{Value: api.Name, Label: api.Name})
		if !p.Form.Values.Has("api") {
			p.Form.Values.Set("api", api.Name)
		}
		if api.Name == p.Form.Values.Get("api") {
			for _, e := range api.Endpoints[:min(len(api.Endpoints), mostOptions)] {
				p.Paths = append(p.Paths, e.Path)
			}
			p.Paths = slices.Compact(p.Paths)
		}
	}
	roles, err := a.Roles(ctx, v.by, v.workspace.Name)
	if may, err := allowed(err); err != nil {
		return err
	} else if may {
		p.Roles = []option{{Value: "", Label: "A token"}}
		for _, r := range roles {
			p.Roles = append(p.Roles, option{Value: string(r.ID), Label: "The role " + shortRef(r, v.workspace.Name)})
		}
	}
	return v.offerClients(p)
}

// simulate asks, and tells what the answer came from.
func (v *visit) simulate(p *simulatorPage) error {
	ctx, a, q := v.Request.Context(), v.console.Admin, p.Form.Values
	in := admin.CheckInput{
		Role: q.Get("role"), API: q.Get("api"), Method: q.Get("method"), Path: q.Get("path"), Operation: q.Get("operation"), AnyScope: true,
	}
	if scopes := strings.Fields(q.Get("scope")); len(scopes) > 0 {
		in.Scopes, in.AnyScope = scopes, false
	}
	where := v.workspace
	if in.Role == "" {
		in.Client = store.ClientID(q.Get("client"))
		c, err := a.Client(ctx, v.by, in.Client)
		if err != nil {
			return err
		}
		views, err := a.Describe(ctx, c)
		if err != nil {
			return err
		}
		p.Client = &views[0]
		for _, ws := range v.workspaces {
			if ws.ID == c.Workspace {
				where = ws
			}
		}
	}
	in.Workspace = where.Name
	x, err := a.Check(ctx, v.by, in)
	if err != nil {
		return err
	}
	p.Answer = x
	p.Chain = v.chain(p, x, where)
	for _, n := range x.Missing {
		p.Needs = append(p.Needs, v.needed(p, n, where))
	}
	return nil
}

// chain is what a decision counts through, from the caller to the rule.
func (v *visit) chain(p *simulatorPage, x *policy.Explanation, where *store.Workspace) (out []chainLink) {
	a, ctx := v.console.Admin, v.Request.Context()
	if c := p.Client; c != nil {
		out = append(out, chainLink{"Token", c.Client.Name, clientPath(c.Client.ID), string(c.State)})
		out = append(out, chainLink{"Account", c.Account.Name, accountPath(c.Account.ID), "whose roles it has"})
	}
	if x.Via != nil && x.Via.Holder != "" {
		if x.Via.Holder.IsTeam() {
			out = append(out, chainLink{"Team", a.HolderName(ctx, x.Via.Holder), "/console/teams/" + url.PathEscape(string(x.Via.Holder)), "that the account is in"})
		}
		out = append(out, chainLink{"Role", x.Via.Role, v.rolePathOf(x.Via.Role), "granted in workspace " + where.Name + strings.TrimSuffix(" only for "+strings.Join(limitLines(x.Via.Limits), ", "), " only for ")})
	}
	if x.Rule != "" {
		ref, _, _ := strings.Cut(x.Rule, "#")
		out = append(out, chainLink{"Rule", x.Rule, v.rolePathOf(ref), x.Pattern})
	}
	if x.Ceiling != "" {
		out = append(out, chainLink{"Licence", x.Ceiling, "", "the most that the account can do"})
	}
	return out
}

// rolePathOf is the page of a role, by its ref, or nothing where the person may
// not see it.
func (v *visit) rolePathOf(ref string) string {
	r, err := v.console.Admin.Role(v.Request.Context(), v.by, ref)
	if err != nil {
		return ""
	}
	return rolePath(r)
}

// needed says what a missing change is, and where it is made.
func (v *visit) needed(p *simulatorPage, n policy.Need, where *store.Workspace) needed {
	here := "/console/simulator?" + p.Form.Values.Encode()
	out := needed{Who: "an owner or admin of workspace " + where.Name}
	client := ""
	if p.Client != nil {
		client = clientPath(p.Client.Client.ID)
	}
	switch n.Kind {
	case policy.NeedScope:
		out.Text, out.Who = "The scope “"+n.Scope+"”: whoever asks for the access token asks for it.", ""
	case policy.NeedLeft:
		out.Text = "The role " + n.Role + ", which the token is narrowed not to have."
		out.Button, out.Path = "Edit the token", client+"/edit"
	case policy.NeedValue:
		holder, _, _ := strings.Cut(string(n.Grant), "@")
		out.Text = "The value “" + n.Value + "” of " + n.Param + " in the limits of the role " + n.Role + "."
		out.Button = "Change the limits"
		out.Path = "/console/grants/" + url.PathEscape(holder) + "/" + url.PathEscape(string(n.RoleID)) + "?" +
			url.Values{"place": {strconv.Itoa(n.Place)}, "workspace": {where.Name}, "next": {here}}.Encode()
	case policy.NeedRole:
		out.Text, out.Button, out.Path = "The role "+n.Role+", given to the account of the token.", "Give the role "+n.Role, "/console/grants"
		if p.Client != nil {
			out.Text = "The role " + n.Role + ", given to " + p.Client.Account.Name + "."
			out.Give = &url.Values{"holder": {p.Client.Account.Name}, "role": {string(n.RoleID)}, "workspace": {where.Name}, "next": {here}}
		}
		if !v.console.Admin.May(v.by, "grant.set", where.ID) {
			out.Button = ""
		}
	case policy.NeedLicence:
		out.Text = "A wider licence of the account than " + cmp.Or(strings.TrimPrefix(n.Role, "*/"), "none") + "."
		if out.Who = "an administrator of Postern"; p.Client != nil && v.maySystem("account.edit") {
			out.Button, out.Path = "Edit the account", accountPath(p.Client.Account.ID)+"/edit"
		}
	case policy.NeedPersonal:
		out.Text = "That the workspace lets its owner use personal tokens."
		if v.console.Admin.May(v.by, "workspace.edit", where.ID) {
			out.Button, out.Path = "Settings of "+where.Name, "/console/workspaces/"+url.PathEscape(where.Name)+"/settings"
		}
	}
	return out
}
