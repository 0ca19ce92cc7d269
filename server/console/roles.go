package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"postern/server/admin"
	"postern/store"
)

// roleRow is a role in the list.
type roleRow struct {
	*store.Role

	Short   string // its name, within the workspace
	Parents []string
	Opens   int // endpoints; -1 where nobody says
	Holders int // in the chosen workspace, counted up to mostHolders; -1 where nobody says
}

// Shared reports whether all workspaces share it.
func (r roleRow) Shared() bool { return r.Workspace == store.Shared }

// Many reports whether there may be more holders than were counted.
func (r roleRow) Many() bool { return r.Holders > mostHolders }

const (
	mostHolders = 100 // that a list counts
	rolesAPage  = 50
)

// rolesPage is the list of roles.
type rolesPage struct {
	Search      string
	Rows        []roleRow
	Total       int
	First, Next string // addresses of other pages
}

// rolePath is the page of a role.
func rolePath(r *store.Role) string { return "/console/roles/" + url.PathEscape(string(r.ID)) }

func roles(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	q := v.Request.URL.Query()
	p := rolesPage{Search: q.Get("search")}
	all, err := v.console.Admin.Roles(v.Request.Context(), v.by, v.workspace.Name)
	if err != nil {
		return err
	}
	want := strings.ToLower(strings.TrimSpace(p.Search))
	all = slices.DeleteFunc(all, func(r *store.Role) bool {
		return !strings.Contains(r.Ref, want) && !strings.Contains(strings.ToLower(r.Description), want)
	})
	// The workspace's own first, the shared ones last.
	slices.SortStableFunc(all, func(x, y *store.Role) int { return rank(x) - rank(y) })
	p.Total = len(all)
	at := slices.IndexFunc(all, func(r *store.Role) bool { return string(r.ID) == q.Get("from") })
	if at > 0 {
		p.First = "/console/roles?" + url.Values{"search": {p.Search}}.Encode()
		all = all[at:]
	}
	if len(all) > rolesAPage {
		p.Next = "/console/roles?" + url.Values{"search": {p.Search}, "from": {string(all[rolesAPage].ID)}}.Encode()
		all = all[:rolesAPage]
	}
	for _, r := range all {
		row, err := v.roleRow(r)
		if err != nil {
			return err
		}
		p.Rows = append(p.Rows, row)
	}
	return v.show("roles", http.StatusOK, page{Title: "Roles", Section: "roles", Data: p})
}

func rank(r *store.Role) int {
	switch {
	case r.Workspace == store.Shared:
		return 2
	case r.Builtin:
		return 1
	}
	return 0
}

func (v *visit) roleRow(r *store.Role) (roleRow, error) {
	row := roleRow{Role: r, Short: shortRef(r, v.workspace.Name), Parents: v.shortRefs(r.Parents), Opens: -1, Holders: -1}
	if r.Workspace != store.Shared {
		row.Opens = v.opened(string(r.ID))
	}
	if v.may("grant.list") {
		held, err := v.holdersOf(r.ID, mostHolders)
		if err != nil {
			return row, err
		}
		if row.Holders = len(held.Rows); held.More {
			row.Holders = mostHolders + 1
		}
	}
	return row, nil
}

// shortRefs are the names of roles to somebody in the chosen workspace.
func (v *visit) shortRefs(ids []store.RoleID) []string {
	out := v.console.Admin.RoleRefs(ids)
	for i := range out {
		out[i] = strings.TrimPrefix(out[i], v.workspace.Name+"/")
	}
	return out
}

// roleDetail is the page of a role.
type roleDetail struct {
	*store.Role

	Name      string // of its workspace, or "shared"
	Parents   []*store.Role
	Children  []*store.Role
	Opens     int
	Rules     []ruleView
	Unused    *admin.UnusedReport // nil where it cannot be said
	Never     int                 // rules that were not used
	Matrix    *matrix
	Holders   *holdings
	Editable  bool
	Inherited []*store.Role // whose rules count, too, the nearest first
}

// Shared reports whether all workspaces share it.
func (r roleDetail) Shared() bool { return r.Workspace == store.Shared }

// Path is its address.
func (r roleDetail) Path() string { return rolePath(r.Role) }

// ruleView is a rule as a row.
type ruleView struct {
	store.Rule

	Unused   bool
	LastUsed store.Time // 0: not as long as usage is kept
	Counted  bool       // whether its uses are counted
}

// roleOf reads the role that an address names.
func (v *visit) roleOf() (*store.Role, error) {
	if v.workspace == nil {
		return nil, errNoWorkspace
	}
	return v.console.Admin.Role(v.Request.Context(), v.by, v.Param("role"))
}

func role(v *visit) error {
	r, err := v.roleOf()
	if err != nil {
		return err
	}
	p := roleDetail{Role: r, Name: v.console.Admin.WorkspaceName(r.Workspace), Editable: !r.Builtin && v.mayRole("role.edit", r), Opens: -1}
	if err := v.family(r, &p); err != nil {
		return err
	}
	if err := v.rulesWithUse(r, &p); err != nil {
		return err
	}
	if r.Workspace != store.Shared {
		if p.Matrix, p.Opens, err = v.matrixOf(r); err != nil {
			return err
		}
	}
	if v.may("grant.list") && (r.Workspace == v.workspace.ID || r.Workspace == store.Shared) {
		if p.Holders, err = v.holdersOf(r.ID, mostHolders); err != nil {
			return err
		}
	}
	return v.show("role", http.StatusOK, page{Title: r.Ref, Section: "roles", Crumbs: []crumb{{"Roles", "/console/roles"}}, Data: p})
}

// mayRole is may in the workspace of a role.
func (v *visit) mayRole(operation string, r *store.Role) bool {
	return v.console.Admin.May(v.by, operation, r.Workspace)
}

// family finds what a role inherits, and what inherits it.
func (v *visit) family(r *store.Role, p *roleDetail) error {
	workspace := v.console.Admin.WorkspaceName(r.Workspace)
	if r.Workspace == store.Shared {
		workspace = "" // of all that the person may see
	}
	all, err := v.console.Admin.Roles(v.Request.Context(), v.by, workspace)
	if err != nil && statusOf(err) != http.StatusForbidden {
		return err
	}
	byID := map[store.RoleID]*store.Role{}
	for _, each := range all {
		byID[each.ID] = each
		if slices.Contains(each.Parents, r.ID) {
			p.Children = append(p.Children, each)
		}
	}
	for next := r.Parents; len(next) > 0; next = next[1:] {
		parent := byID[next[0]]
		if parent == nil || slices.Contains(p.Inherited, parent) {
			continue
		}
		if slices.Contains(r.Parents, parent.ID) {
			p.Parents = append(p.Parents, parent)
		}
		p.Inherited = append(p.Inherited, parent)
		next = append(slices.Clone(next), parent.Parents...)
	}
	return nil
}

// rulesWithUse lists the rules, with those that nobody used.
func (v *visit) rulesWithUse(r *store.Role, p *roleDetail) (err error) {
	p.Unused, err = v.console.Admin.RoleUnused(v.Request.Context(), v.by, string(r.ID), 0)
	if err != nil && statusOf(err) != http.StatusForbidden {
		return err
	}
	last := map[int]store.Time{}
	if p.Unused != nil {
		for _, u := range p.Unused.Rules {
			last[u.Number] = u.LastUsed
		}
	}
	p.Never = len(last)
	for _, rule := range r.Rules {
		view := ruleView{Rule: rule, Counted: p.Unused != nil && !rule.Deny && rule.API != store.PosternAPI}
		view.LastUsed, view.Unused = last[rule.Number], false
		if _, unused := last[rule.Number]; unused {
			view.Unused = true
		}
		p.Rules = append(p.Rules, view)
	}
	return nil
}
