package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern/server/admin"
	"postern/store"
)

// rowsMost is how many rules a form shows; longer roles are edited by the command
// line.
const rowsMost = 100

// ruleRow is a rule in the form of a role.
type ruleRow struct {
	Index     int // in the names of its fields
	Number    int // 0 for a new one
	API       string
	Methods   string
	Path      string
	Scope     string
	Operation string
	Deny      bool
	Remove    bool
	Faults    map[string]string // by field
	APIs      []option
}

// Field is the name of one of its fields.
func (r ruleRow) Field(name string) string { return "rule-" + strconv.Itoa(r.Index) + "-" + name }

// Fault is what is wrong with one of its fields.
func (r ruleRow) Fault(name string) string { return r.Faults[name] }

// Label says which rule a field belongs to, to those who hear the form.
func (r ruleRow) Label() string {
	if r.Number > 0 {
		return "of rule #" + strconv.Itoa(r.Number)
	}
	return "of new rule " + strconv.Itoa(r.Index+1)
}

// rule is what the row says.
func (r ruleRow) rule() store.Rule {
	return store.Rule{
		Number: r.Number, API: r.API, Methods: strings.Join(lines(r.Methods), " "), Path: strings.TrimSpace(r.Path),
		Scope: strings.TrimSpace(r.Scope), Operation: strings.Join(strings.Fields(r.Operation), " "), Deny: r.Deny,
	}
}

// roleForm is the form that makes or edits a role.
type roleForm struct {
	Form     form
	Role     *store.Role // nil for a new one
	Action   string
	Back     string
	Rules    []ruleRow
	TooMany  bool // rules for a form: they stay as they are
	Parents  []option
	APIs     []option
	Theirs   []roleChange // what somebody else changed meanwhile
	Stale    bool
	Revision int64
}

// rowsOf are rules as rows.
func rowsOf(rules []store.Rule) []ruleRow {
	out := make([]ruleRow, len(rules))
	for i, r := range rules {
		out[i] = ruleRow{Index: i, Number: r.Number, API: r.API, Methods: r.Methods, Path: r.Path, Scope: r.Scope, Operation: r.Operation, Deny: r.Deny}
	}
	return out
}

// readRows reads the rows of a form; those that are empty are left out.
func readRows(values url.Values) (rows []ruleRow) {
	for i := 0; i <= 2*rowsMost; i++ {
		r := ruleRow{Index: i}
		if !values.Has(r.Field("path")) {
			break
		}
		get := func(name string) string { return values.Get(r.Field(name)) }
		r.Number, _ = strconv.Atoi(get("number"))
		r.API, r.Methods, r.Path, r.Scope, r.Operation = get("api"), get("methods"), get("path"), get("scope"), get("operation")
		r.Deny, r.Remove = get("effect") == "deny", get("remove") != ""
		if r.Number == 0 && (r.Remove || strings.TrimSpace(r.Path+r.Methods+r.Scope+r.Operation) == "") {
			continue
		}
		r.Index = len(rows)
		rows = append(rows, r)
	}
	return rows
}

// rulesOf are the rules of rows that stay, and of each the row that it stands in.
func rulesOf(rows []ruleRow) (rules []store.Rule, at []int) {
	for i, r := range rows {
		if !r.Remove {
			rules, at = append(rules, r.rule()), append(at, i)
		}
	}
	return rules, at
}

func newRole(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	if !v.may("role.create") {
		return &admin.Error{Kind: admin.Forbidden, Message: "you may not make roles in workspace " + v.workspace.Name + "; ask an owner or admin of it"}
	}
	p := roleForm{Form: form{Values: url.Values{}}, Rules: []ruleRow{{}}}
	if from := v.Query("from"); from != "" {
		r, err := v.console.Admin.Role(v.Request.Context(), v.by, from)
		if err != nil {
			return err
		}
		p.Form.Values = v.roleValues(r)
		p.Form.Values.Set("name", r.Name()+"-copy")
		p.Rules = rowsOf(r.Rules)
		for i := range p.Rules {
			p.Rules[i].Number = 0
		}
	}
	return v.showRoleForm(http.StatusOK, p)
}

// roleValues are the fields of the form for a role as it is.
func (v *visit) roleValues(r *store.Role) url.Values {
	out := url.Values{"description": {r.Description}, "parents": {}}
	for _, id := range r.Parents {
		out.Add("parents", string(id))
	}
	return out
}

func editRolePage(v *visit) error {
	r, err := v.roleOf()
	if err != nil {
		return err
	}
	if r.Builtin || !v.mayRole("role.edit", r) {
		return v.cannotEdit(r)
	}
	p := roleForm{Form: form{Values: v.roleValues(r)}, Role: r, Rules: rowsOf(r.Rules), Revision: r.Revision}
	if q := v.Request.URL.Query(); q.Get("add") != "" {
		p.Rules = append(p.Rules, ruleRow{Index: len(p.Rules), API: q.Get("api"), Methods: q.Get("methods"), Path: q.Get("path")})
	}
	return v.showRoleForm(http.StatusOK, p)
}

func (v *visit) cannotEdit(r *store.Role) error {
	if r.Builtin {
		return &admin.Error{Kind: admin.Conflict, Message: "role " + r.Ref + " is built in and stays as it is; clone it, or make one of your own with it as parent"}
	}
	return &admin.Error{Kind: admin.Forbidden, Message: "you may not change role " + r.Ref + "; ask an owner or admin of its workspace"}
}

// showRoleForm fills in what can be chosen.
func (v *visit) showRoleForm(status int, p roleForm) error {
	ctx, a := v.Request.Context(), v.console.Admin
	ws := v.workspace
	title, crumbs := "New role", []crumb{{"Roles", "/console/roles"}}
	p.Action, p.Back = "/console/roles/new", "/console/roles"
	if p.Role != nil {
		title, crumbs = "Edit "+p.Role.Ref, append(crumbs, crumb{p.Role.Ref, rolePath(p.Role)})
		p.Action, p.Back = rolePath(p.Role)+"/edit", rolePath(p.Role)
		p.TooMany = len(p.Role.Rules) > rowsMost
		for _, w := range v.workspaces {
			if w.ID == p.Role.Workspace {
				ws = w
			}
		}
	}
	roles, err := a.Roles(ctx, v.by, ws.Name)
	if err != nil {
		return err
	}
	for _, r := range roles {
		if p.Role == nil || r.ID != p.Role.ID {
			p.Parents = append(p.Parents, option{Value: string(r.ID), Label: shortRef(r, ws.Name), Note: clipped(r.Description, 80)})
		}
	}
	apis, err := a.APIs(ctx, v.by)
	if err != nil {
		return err
	}
	for _, api := range apis {
		if api.OpenTo(ws.ID) {
			p.APIs = append(p.APIs, option{Value: api.Name, Label: api.Name})
		}
	}
	p.APIs = append(p.APIs, option{Value: "*", Label: "Every API"})
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.APIs = p.APIs; r.API != "" && !slices.ContainsFunc(p.APIs, func(o option) bool { return o.Value == r.API }) {
			r.APIs = append(slices.Clone(p.APIs), option{Value: r.API, Label: r.API}) // it is shown as it is
		}
	}
	return v.show("role-form", status, page{Title: title, Section: "roles", Crumbs: crumbs, Data: p})
}

// readRoleForm reads what was sent.
func (v *visit) readRoleForm() roleForm {
	return roleForm{Form: form{Values: v.form}, Rules: readRows(v.form), Revision: formRevision(v.form)}
}

// added answers the button that adds a row.
func (v *visit) added(p roleForm) error {
	if len(p.Rules) < 2*rowsMost {
		p.Rules = append(p.Rules, ruleRow{Index: len(p.Rules)})
	}
	return v.showRoleForm(http.StatusOK, p)
}

func createRole(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	p := v.readRoleForm()
	if on(v.form, "add") {
		return v.added(p)
	}
	rules, at := rulesOf(p.Rules)
	r, err := v.console.Admin.CreateRole(v.Request.Context(), v.by, admin.RoleInput{
		Workspace: string(v.workspace.ID), Name: strings.TrimSpace(v.form.Get("name")), Description: strings.TrimSpace(v.form.Get("description")),
		Parents: v.form["parents"], Rules: rules,
	})
	if err != nil {
		return v.roleRefused(p, at, err)
	}
	return v.done("role created", rolePath(r))
}

func editRole(v *visit) error {
	r, err := v.roleOf()
	if err != nil {
		return err
	}
	p := v.readRoleForm()
	p.Role = r
	if on(v.form, "add") {
		return v.added(p)
	}
	rules, at := rulesOf(p.Rules)
	if len(r.Rules) > rowsMost {
		rules = r.Rules
	}
	in := admin.RoleInput{Description: strings.TrimSpace(v.form.Get("description")), Parents: v.form["parents"], Rules: rules}
	_, err = v.console.Admin.EditRole(v.Request.Context(), v.by, string(r.ID), in, p.Revision)
	if e, ok := errors.AsType[*admin.Error](err); ok && e.Kind == admin.Stale {
		return v.overtaken(p, in)
	}
	if err != nil {
		return v.roleRefused(p, at, err)
	}
	return v.done("role saved", rolePath(r))
}

// overtaken shows the form again when somebody else saved the role meanwhile: with
// what was typed, and with how that differs from what is saved now.
func (v *visit) overtaken(p roleForm, in admin.RoleInput) error {
	now, err := v.roleOf()
	if err != nil {
		return err
	}
	p.Role, p.Stale, p.Revision = now, true, now.Revision
	p.Theirs = v.differences(inputState(in), stateOf(now), true)
	p.Form.Summary = append(p.Form.Summary, "Somebody else saved this role while you edited it. Nothing of yours is saved yet.")
	return v.showRoleForm(http.StatusPreconditionFailed, p)
}

// roleRefused shows the form again with what is wrong with it, beside each rule. at
// says in which row each of the rules that were sent stands.
func (v *visit) roleRefused(p roleForm, at []int, err error) error {
	e, ok := errors.AsType[*admin.Error](err)
	if !ok || e.Kind != admin.Invalid && e.Kind != admin.Conflict {
		return err
	}
	rest := *e
	rest.Faults = nil
	for _, fault := range e.Faults {
		var place int
		var name string
		if n, _ := fmt.Sscanf(fault.Place, "rules[%d].%s", &place, &name); n == 2 && place < len(at) {
			row := &p.Rules[at[place]]
			if row.Faults == nil {
				row.Faults = map[string]string{}
			}
			row.Faults[name] = sentence(fault.Message)
			p.Form.Summary = append(p.Form.Summary, sentence("the "+name+" "+row.Label()+": "+fault.Message))
			continue
		}
		if place, message, has := strings.Cut(fault.Message, ": "); fault.Place == "role" && has {
			fault.Place, fault.Message = place, message
		}
		rest.Faults = append(rest.Faults, fault)
	}
	if len(rest.Faults) > 0 || len(e.Faults) == 0 {
		p.Form.take(&rest)
	}
	return v.showRoleForm(statusOf(err), p)
}

// textField is a field of a rule that is typed.
type textField struct {
	Row                            ruleRow
	Name, Text, Value, Placeholder string
}

func ruleField(row ruleRow, name, text, value, placeholder string) textField {
	return textField{row, name, text, value, placeholder}
}
