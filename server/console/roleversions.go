package console

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern/server/admin"
	"postern/store"
)

// roleState is what a role says at one time.
type roleState struct {
	Description string
	Parents     []string // ids
	Rules       []store.Rule
}

func stateOf(r *store.Role) roleState {
	out := roleState{Description: r.Description, Rules: r.Rules}
	for _, id := range r.Parents {
		out.Parents = append(out.Parents, string(id))
	}
	return out
}

func inputState(in admin.RoleInput) roleState {
	return roleState{Description: in.Description, Parents: in.Parents, Rules: in.Rules}
}

// roleChange is one thing that two states of a role differ in.
type roleChange struct {
	Kind string // "added", "removed" or "changed"
	What string // "Rule", "Parent", "Description"
	Text string
	Was  string // of what is changed
}

// differences says what leads from one state to another. numbered says that they
// are of one role, so that a rule of the same number is the same rule.
func (v *visit) differences(from, to roleState, numbered bool) (out []roleChange) {
	if from.Description != to.Description {
		out = append(out, roleChange{"changed", "Description", to.Description, from.Description})
	}
	name := func(id string) string { return v.shortRefs([]store.RoleID{store.RoleID(id)})[0] }
	for _, id := range to.Parents {
		if !slices.Contains(from.Parents, id) {
			out = append(out, roleChange{"added", "Parent", name(id), ""})
		}
	}
	for _, id := range from.Parents {
		if !slices.Contains(to.Parents, id) {
			out = append(out, roleChange{"removed", "Parent", name(id), ""})
		}
	}
	lost, gained := without(from.Rules, to.Rules), without(to.Rules, from.Rules)
	for _, r := range gained {
		was := slices.IndexFunc(lost, func(o store.Rule) bool { return numbered && o.Number == r.Number && r.Number > 0 })
		if was < 0 {
			out = append(out, roleChange{"added", "Rule", spelled(r), ""})
			continue
		}
		out = append(out, roleChange{"changed", "Rule", spelled(r), spelled(lost[was])})
		lost = slices.Delete(lost, was, was+1)
	}
	for _, r := range lost {
		out = append(out, roleChange{"removed", "Rule", spelled(r), ""})
	}
	return out
}

// without returns the rules that are not among others, whatever their numbers.
func without(rules, others []store.Rule) []store.Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r store.Rule) bool {
		return slices.ContainsFunc(others, func(o store.Rule) bool { return spelled(o) == spelled(r) })
	})
}

// spelled is a rule as people write it.
func spelled(r store.Rule) string {
	words := []string{"Allow", r.API, r.Methods, r.Path}
	if r.Deny {
		words[0] = "Deny"
	}
	if r.Operation != "" {
		words = append(words, "operation", r.Operation)
	}
	if r.Scope != "" {
		words = append(words, "scope", r.Scope)
	}
	return strings.Join(words, " ")
}

// version is how a role was at some time.
type version struct {
	ID      string // of the audit entry; with "-before", how it was before that
	Entry   *store.AuditEntry
	Before  bool // it is how the role was before the first change that is known
	Current bool
	Role    *store.Role
	Since   []roleChange // what changed from it until now
}

const versionsMost = 100

// versionsOf reads the audit for what a role was, the newest first.
func (v *visit) versionsOf(r *store.Role) (out []version, err error) {
	ws := v.console.Admin.WorkspaceName(r.Workspace)
	entries, err := v.console.Admin.Audit(v.Request.Context(), v.by, ws, store.AuditQuery{Target: string(r.ID), Limit: versionsMost})
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e *store.AuditEntry) bool { return e.Refused != "" || len(e.After) == 0 })
	add := func(id string, e *store.AuditEntry, text json.RawMessage, before bool) {
		was := &store.Role{}
		if json.Unmarshal(text, was) == nil {
			out = append(out, version{ID: id, Entry: e, Before: before, Role: was, Since: v.differences(stateOf(was), stateOf(r), true)})
		}
	}
	for i, e := range entries {
		add(string(e.ID), e, e.After, false)
		if i == len(entries)-1 && len(e.Before) > 0 {
			add(string(e.ID)+"-before", e, e.Before, true)
		}
	}
	if len(out) > 0 {
		out[0].Current = len(out[0].Since) == 0
	}
	return out, nil
}

func roleVersions(v *visit) error {
	r, err := v.roleOf()
	if err != nil {
		return err
	}
	found, err := v.versionsOf(r)
	if err != nil {
		return err
	}
	data := struct {
		Role     *store.Role
		Path     string
		Versions []version
		Editable bool
	}{r, rolePath(r), found, !r.Builtin && v.mayRole("role.edit", r)}
	return v.show("role-versions", http.StatusOK, page{Title: "Versions", Section: "roles", Crumbs: []crumb{{"Roles", "/console/roles"}, {r.Ref, rolePath(r)}}, Data: data})
}

// versionOf finds the version that an address names.
func (v *visit) versionOf() (*store.Role, *version, error) {
	r, err := v.roleOf()
	if err != nil {
		return nil, nil, err
	}
	found, err := v.versionsOf(r)
	if err != nil {
		return nil, nil, err
	}
	for i := range found {
		if found[i].ID == v.Param("version") {
			return r, &found[i], nil
		}
	}
	return nil, nil, &admin.Error{Kind: admin.NotFound, Message: "the audit holds no such version of role " + r.Ref}
}

func confirmRollBack(v *visit) error {
	r, was, err := v.versionOf()
	if err != nil {
		return err
	}
	if r.Builtin {
		return v.cannotEdit(r)
	}
	ask := confirmation{
		Text:   "The role becomes what it was on " + exact(was.Entry.At) + ". It counts at once for everybody who holds it, and is a new version itself.",
		Action: rolePath(r) + "/versions/" + url.PathEscape(was.ID), Button: "Roll back", Back: rolePath(r) + "/versions", Section: "roles",
		Hidden: []kept{{"revision", strconv.FormatInt(r.Revision, 10)}},
	}
	if was.Before {
		ask.Text = "The role becomes what it was before " + exact(was.Entry.At) + ". It counts at once for everybody who holds it, and is a new version itself."
	}
	for _, d := range v.differences(stateOf(r), stateOf(was.Role), true) {
		ask.Listed = append(ask.Listed, d.String())
	}
	if len(ask.Listed) == 0 {
		ask.Text = "The role is what it was then; rolling back changes nothing."
	}
	return v.confirm("Roll "+r.Ref+" back?", ask, crumb{"Roles", "/console/roles"}, crumb{r.Ref, rolePath(r)}, crumb{"Versions", rolePath(r) + "/versions"})
}

// String is a difference as a line.
func (d roleChange) String() string {
	switch d.Kind {
	case "added":
		return "Added: " + strings.ToLower(d.What) + " " + d.Text
	case "removed":
		return "Removed: " + strings.ToLower(d.What) + " " + d.Text
	}
	return "Changed: " + strings.ToLower(d.What) + " “" + d.Was + "” to “" + d.Text + "”"
}

func rollBack(v *visit) error {
	r, was, err := v.versionOf()
	if err != nil {
		return err
	}
	state := stateOf(was.Role)
	in := admin.RoleInput{Description: state.Description, Parents: state.Parents, Rules: state.Rules}
	if _, err = v.console.Admin.EditRole(v.Request.Context(), v.by, string(r.ID), in, formRevision(v.form)); err != nil {
		return err
	}
	return v.done("role rolled back", rolePath(r))
}

// diffPage compares two roles.
type diffPage struct {
	A, B        *store.Role
	Options     []option
	Form        form
	Differences []roleChange
}

func roleDiff(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	ctx, q := v.Request.Context(), v.Request.URL.Query()
	p := diffPage{Form: form{Values: q}, Options: []option{{Label: "Choose a role"}}}
	all, err := v.console.Admin.Roles(ctx, v.by, v.workspace.Name)
	if err != nil {
		return err
	}
	for _, r := range all {
		p.Options = append(p.Options, option{Value: string(r.ID), Label: shortRef(r, v.workspace.Name)})
	}
	for name, to := range map[string]**store.Role{"a": &p.A, "b": &p.B} {
		if q.Get(name) == "" {
			continue
		}
		if *to, err = v.console.Admin.Role(ctx, v.by, q.Get(name)); err != nil {
			return err
		}
	}
	if p.A != nil && p.B != nil {
		p.Differences = v.differences(stateOf(p.A), stateOf(p.B), false)
	}
	return v.show("role-diff", http.StatusOK, page{Title: "Compare roles", Section: "roles", Crumbs: []crumb{{"Roles", "/console/roles"}}, Data: p})
}

// confirmDeleteRole says who holds the role, and takes it from them when one goes on.
func confirmDeleteRole(v *visit) error {
	r, err := v.roleOf()
	if err != nil {
		return err
	}
	if r.Builtin {
		return v.cannotEdit(r)
	}
	held, err := v.console.Admin.Grants(v.Request.Context(), v.by, admin.GrantList{Workspace: string(r.Workspace), Role: string(r.ID), Limit: mostHolders + 1})
	if err != nil {
		return err
	}
	ask := confirmation{
		Text: "Nobody holds it. What it said stays in the audit.", Action: rolePath(r) + "/delete", Button: "Delete", Danger: true, Back: rolePath(r), Section: "roles",
		Hidden: []kept{{"revision", strconv.FormatInt(r.Revision, 10)}},
	}
	if len(held) > 0 {
		ask.Text = "It is held, so that it is not deleted by itself. These accounts and teams lose it along with it, and calls that only it opens are refused at once:"
		ask.Button = "Take it back and delete it"
		ask.Hidden = append(ask.Hidden, kept{"cascade", "on"})
	}
	for i, h := range v.holdingsOf(held, r.ID) {
		if i == mostHolders {
			ask.Listed = append(ask.Listed, "and more")
			break
		}
		kind := "account "
		if h.Team {
			kind = "team "
		}
		ask.Listed = append(ask.Listed, kind+strings.TrimSpace(h.Name+" "+strings.Join(h.Only(), "; ")))
	}
	return v.confirm("Delete "+r.Ref+"?", ask, crumb{"Roles", "/console/roles"}, crumb{r.Ref, rolePath(r)})
}

func deleteRole(v *visit) error {
	r, err := v.roleOf()
	if err != nil {
		return err
	}
	if err := v.console.Admin.DeleteRole(v.Request.Context(), v.by, string(r.ID), formRevision(v.form), on(v.form, "cascade")); err != nil {
		return err
	}
	return v.done("role deleted", "/console/roles")
}
