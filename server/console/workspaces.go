package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"postern/server/admin"
	"postern/store"
)

func workspacePath(id store.WorkspaceID) string {
	return "/console/workspaces/" + url.PathEscape(string(id))
}

func workspaceCrumbs(more ...crumb) []crumb {
	return append([]crumb{{"Workspaces", "/console/workspaces"}}, more...)
}

// pageByName cuts a page out of a list that is sorted by name: of those that the
// search of the query fits, after the name it names. next is the address of the
// page behind it, empty at the end.
func pageByName[T any](all []T, query url.Values, path string, name, text func(T) string) (rows []T, total int, next string) {
	search, after := strings.ToLower(query.Get("search")), query.Get("after")
	for _, one := range all {
		if !strings.Contains(strings.ToLower(text(one)), search) {
			continue
		}
		total++
		if name(one) <= after {
			continue
		}
		if rows = append(rows, one); len(rows) == accountsShown+1 {
			q := url.Values{"after": {name(rows[accountsShown-1])}}
			if search != "" {
				q.Set("search", query.Get("search"))
			}
			next = path + "?" + q.Encode()
		}
	}
	return rows[:min(len(rows), accountsShown)], total, next
}

// workspacesPage is the table of workspaces.
type workspacesPage struct {
	Search string
	Rows   []*store.Workspace
	Total  int // of those that fit
	Next   string
	First  bool
}

func workspaces(v *visit) error {
	query := v.Request.URL.Query()
	p := workspacesPage{Search: query.Get("search"), First: query.Get("after") == ""}
	p.Rows, p.Total, p.Next = pageByName(v.workspaces, query, "/console/workspaces",
		func(w *store.Workspace) string { return w.Name },
		func(w *store.Workspace) string { return w.Name + "\n" + w.Description })
	return v.show("workspaces", http.StatusOK, page{Title: "Workspaces", Section: "workspaces", Data: p})
}

func newWorkspacePage(v *visit) error {
	if !v.maySystem("workspace.create") {
		return &admin.Error{Kind: admin.Forbidden, Message: "you may not make workspaces (workspace.create); ask an owner of workspace system"}
	}
	return v.showNewWorkspace(http.StatusOK, form{})
}

func (v *visit) showNewWorkspace(status int, f form) error {
	return v.show("workspace-new", status, page{Title: "Create a workspace", Section: "workspaces", Crumbs: workspaceCrumbs(), Data: f})
}

func createWorkspace(v *visit) error {
	description := v.form.Get("description")
	w, err := v.console.Admin.CreateWorkspace(v.Request.Context(), v.by, admin.WorkspaceInput{Name: strings.TrimSpace(v.form.Get("name")), Description: &description})
	if err != nil {
		f := form{Values: v.form}
		if !f.take(err) {
			return err
		}
		return v.showNewWorkspace(statusOf(err), f)
	}
	return v.done("workspace created", workspacePath(w.ID))
}

// workspacePage is everything about one workspace.
type workspacePage struct {
	*store.Workspace
	Path    string
	People  []link // who may make personal tokens, where they are named
	Members *holdings
	Next    string // the next page of members
	First   bool
	History []*store.AuditEntry
	rights  map[string]bool
}

// Can reports whether the person may do an operation in this workspace, which
// need not be the chosen one.
func (p workspacePage) Can(operation string) bool { return p.rights[operation] }

// Cap is the longest life of a token here, spelled.
func (p workspacePage) Cap() string {
	if p.MaxLifetime == 0 {
		return ""
	}
	return lifeLabel(p.MaxLifetime)
}

// Only are the lifetimes that a token may have, spelled.
func (p workspacePage) Only() (out []string) {
	for _, seconds := range p.Lifetimes {
		out = append(out, lifeLabel(seconds))
	}
	return out
}

// workspaceOf reads the workspace that an address names.
func (v *visit) workspaceOf() (*store.Workspace, error) {
	return v.console.Admin.Workspace(v.Request.Context(), v.by, v.Param("workspace"))
}

func workspace(v *visit) error {
	w, err := v.workspaceOf()
	if err != nil {
		return err
	}
	ctx, a, after := v.Request.Context(), v.console.Admin, v.Request.URL.Query().Get("after")
	p := workspacePage{Workspace: w, Path: workspacePath(w.ID), First: after == "", rights: map[string]bool{}}
	for _, operation := range []string{"workspace.edit", "workspace.transfer", "workspace.delete", "grant.set"} {
		p.rights[operation] = a.May(v.by, operation, w.ID)
	}
	for _, id := range w.PersonalPeople {
		p.People = append(p.People, link{string(id), a.HolderName(ctx, store.HolderID(id))})
	}
	if p.Members, p.Next, err = v.members(w, store.GrantID(after)); err != nil {
		return err
	}
	if p.History, err = v.history(string(w.ID), ""); err != nil {
		return err
	}
	return v.show("workspace", http.StatusOK, page{Title: w.Name, Section: "workspaces", Crumbs: workspaceCrumbs(), Data: p})
}

// members are who holds roles in a workspace, a page at a time; its owners stand
// at the beginning of the first one. nil is for who may not see them.
func (v *visit) members(w *store.Workspace, after store.GrantID) (*holdings, string, error) {
	a, ctx := v.console.Admin, v.Request.Context()
	owner := w.Name + "/" + admin.RoleOwner
	found, err := a.Grants(ctx, v.by, admin.GrantList{Workspace: string(w.ID), After: after, Limit: accountsShown + 1})
	if may, err := allowed(err); !may {
		return nil, "", err
	}
	next := ""
	if len(found) > accountsShown {
		found = found[:accountsShown]
		next = workspacePath(w.ID) + "?" + url.Values{"after": {string(found[accountsShown-1].ID)}}.Encode()
	}
	owners, err := a.Grants(ctx, v.by, admin.GrantList{Workspace: string(w.ID), Role: owner, Limit: accountsShown})
	if err != nil {
		return nil, "", err
	}
	rest := slices.DeleteFunc(slices.Clone(found), func(g *store.Grant) bool {
		return slices.ContainsFunc(owners, func(o *store.Grant) bool { return o.ID == g.ID })
	})
	if after == "" {
		rest = append(owners, rest...)
	}
	out := &holdings{Both: true, Take: a.May(v.by, "grant.set", w.ID), Next: workspacePath(w.ID), Rows: v.holdingsOf(rest, "")}
	if after == "" {
		slices.SortStableFunc(out.Rows, func(x, y holding) int { // what else an owner holds comes behind
			switch {
			case x.Ref == owner && y.Ref != owner:
				return -1
			case y.Ref == owner && x.Ref != owner:
				return 1
			}
			return 0
		})
	}
	return out, next, nil
}

func (v *visit) workspaceQuestion(w *store.Workspace, err error, title string, c confirmation) error {
	status := http.StatusOK
	if err != nil {
		if !c.Form.take(err) {
			return err
		}
		status = statusOf(err)
	}
	c.Back, c.Section = workspacePath(w.ID), "workspaces"
	return v.ask(status, title, c, workspaceCrumbs(crumb{w.Name, c.Back})...)
}

func confirmDeleteWorkspace(v *visit) error {
	w, err := v.workspaceOf()
	if err != nil {
		return err
	}
	return v.askDeleteWorkspace(w, nil)
}

func (v *visit) askDeleteWorkspace(w *store.Workspace, refused error) error {
	return v.workspaceQuestion(w, refused, "Delete the workspace “"+w.Name+"”?", confirmation{
		Form:   form{Values: url.Values{"typed": {v.form.Get("typed")}}},
		Text:   "This is final. Tokens and APIs must be gone before; this goes with it:",
		Listed: []string{"Its roles, and what everybody holds here", "Access tokens that were made for it stop at once"},
		Action: workspacePath(w.ID) + "/delete", Button: "Delete", Danger: true, Typed: w.Name,
		Hidden: []kept{{"revision", revisionOf(w.Revision)}},
	})
}

func deleteWorkspace(v *visit) error {
	w, err := v.workspaceOf()
	if err != nil {
		return err
	}
	if strings.TrimSpace(v.form.Get("typed")) != w.Name {
		return v.askDeleteWorkspace(w, &admin.Error{Kind: admin.Invalid, Message: "typed: type the name of the workspace as it is, " + w.Name + ", so that no other one is deleted"})
	}
	if err := v.console.Admin.DeleteWorkspace(v.Request.Context(), v.by, string(w.ID), formRevision(v.form)); err != nil {
		return v.askDeleteWorkspace(w, err)
	}
	return v.done("workspace deleted", "/console/workspaces")
}

// transferPage gives a workspace to somebody else.
type transferPage struct {
	Form   form
	Name   string
	Path   string
	People []string // some to choose from
}

func transferWorkspacePage(v *visit) error {
	w, err := v.workspaceOf()
	if err != nil {
		return err
	}
	return v.showTransfer(http.StatusOK, w, form{})
}

func (v *visit) showTransfer(status int, w *store.Workspace, f form) error {
	p := transferPage{Form: f, Name: w.Name, Path: workspacePath(w.ID)}
	found, err := v.console.Admin.Accounts(v.Request.Context(), v.by, store.AccountQuery{AccountKind: store.AccountUser, Status: store.AccountActive, Limit: mostOptions})
	if _, err := allowed(err); err != nil {
		return err
	}
	for _, acc := range found {
		if acc.ID != v.by.Account().ID {
			p.People = append(p.People, acc.Name)
		}
	}
	return v.show("transfer", status, page{Title: "Transfer the ownership", Section: "workspaces", Crumbs: workspaceCrumbs(crumb{w.Name, p.Path}), Data: p})
}

func transferWorkspace(v *visit) error {
	w, err := v.workspaceOf()
	if err != nil {
		return err
	}
	if err := v.console.Admin.TransferWorkspace(v.Request.Context(), v.by, string(w.ID), strings.TrimSpace(v.form.Get("to"))); err != nil {
		f := form{Values: v.form}
		if !f.take(err) {
			return err
		}
		return v.showTransfer(statusOf(err), w, f)
	}
	return v.done("workspace transferred", "/console/workspaces") // whoever gave it away may see it no longer
}
