package declare

import (
	"slices"
	"strings"

	"postern/server/api"
)

// check looks for what documents name and is nowhere.
func (p *planner) check(docs []*Document) {
	rolesOf, licences := map[Key]*Document{}, map[string]*Document{} // by grant, by account
	for _, doc := range docs {
		if doc.Workspace != "" && !slices.Contains(p.state.workspaces, doc.Workspace) && p.docs[Key{Kind: kindWorkspace, Name: doc.Workspace}] == nil {
			p.fault(doc, "workspace", "there is no workspace %s, neither here nor on the server", doc.Workspace)
			continue
		}
		for _, name := range []string{"parents", "narrowed_to"} {
			refs, _ := doc.values[name].([]string)
			p.checkRoles(doc, name, refs)
		}
		given, _ := doc.values["roles"].([]api.GrantedRole)
		refs := make([]string, len(given))
		for i, g := range given {
			refs[i] = g.Role
		}
		p.checkRoles(doc, "roles", refs)
		p.checkHolder(doc, rolesOf)
		p.checkLicence(doc, licences)
		if team, isTeam := strings.CutPrefix(doc.Name, "team "); isTeam && !p.state.hidden && p.state.teams[team] == "" && p.docs[Key{Kind: kindTeam, Name: team}] == nil {
			p.fault(doc, "team", "there is no team %s, neither here nor on the server", team)
		}
	}
}

func (p *planner) checkRoles(doc *Document, field string, refs []string) {
	for _, ref := range refs {
		w, name, _ := strings.Cut(ref, "/")
		if !p.state.roles[ref] && p.docs[Key{kindRole, w, name}] == nil && !p.builtinOfNew(w, name) {
			p.fault(doc, field, "there is no role %s, neither here nor on the server", printable(ref))
		}
	}
}

// builtinOfNew reports whether a role comes with a workspace that is to be made.
func (p *planner) builtinOfNew(workspace, name string) bool {
	return !slices.Contains(p.state.workspaces, workspace) && slices.Contains([]string{"owner", "admin", "auditor", "member"}, name)
}

// checkHolder refuses to be told twice what one account holds in a workspace.
func (p *planner) checkHolder(doc *Document, rolesOf map[Key]*Document) {
	given, names := doc.values["roles"]
	if !names {
		return
	}
	key := doc.Key
	if doc.Kind == kindClient {
		account := p.accountOf(doc)
		if account == "" {
			return // a new one, which nobody else can name
		}
		key = Key{kindGrant, doc.Workspace, "account " + account}
	}
	first := rolesOf[key]
	if first == nil {
		rolesOf[key] = doc
		return
	}
	f := &field{name: "roles", form: granted}
	if !slices.Equal(lines(f, given), lines(f, first.values["roles"])) {
		p.fault(doc, "roles", "%s has other roles at %s:%d; an account has one list of roles in a workspace", strings.TrimPrefix(key.Name, "account "), first.File, first.Line)
		return
	}
	delete(doc.values, "roles") // the first one sees to them
}

// accountOf is the name of a client's account; "" for a new one without a name.
func (p *planner) accountOf(doc *Document) string {
	if old := p.state.records[doc.Key]; old != nil {
		return old.text("account")
	}
	return doc.text("account")
}

// checkLicence refuses to be told twice which licence a technical user has.
func (p *planner) checkLicence(doc *Document, licences map[string]*Document) {
	licence, names := doc.values["licence"]
	if !names || doc.Kind != kindClient {
		return
	}
	account := p.accountOf(doc)
	first := licences[account]
	if account == "" || first == nil {
		licences[account] = doc
		return
	}
	if first.values["licence"] != licence {
		p.fault(doc, "licence", "%s has another licence at %s:%d", account, first.File, first.Line)
	}
	delete(doc.values, "licence") // the first one sees to it
}
