package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"postern/server/admin"
	"postern/store"
)

const profilePath = "/console/profile"

// profilePage is what a person sees of itself.
type profilePage struct {
	*admin.Me
	Licence string
	Teams   []string
	Rows    []ownRow
	Waiting []ownRow // made by the system, without a secret yet
	Most    bool     // there may be more than the rows
}

// PersonalIn reports whether one may have personal tokens in a workspace.
func (p profilePage) PersonalIn(workspace string) bool {
	return slices.Contains(p.Workspaces, workspace)
}

// ownRow is a personal token of one's own.
type ownRow struct{ admin.ClientView }

// Path is where something of it is done.
func (r ownRow) Path(what string) string { return ownPath(r.Client.ID) + "/" + what }

// Revocable reports whether a revoke would change anything.
func (r ownRow) Revocable() bool {
	return r.State == store.ClientActive || r.State == store.ClientExpired
}

// ownPath is where a token of one's own is dealt with.
func ownPath(id store.ClientID) string { return profilePath + "/tokens/" + url.PathEscape(string(id)) }

func profile(v *visit) error {
	ctx := v.Request.Context()
	me, err := v.console.Admin.Me(ctx, v.by)
	if err != nil {
		return err
	}
	p := profilePage{Me: me, Teams: v.console.Admin.TeamNames(me.Account.Teams)}
	if me.Account.Licence != "" {
		p.Licence = strings.TrimPrefix(v.console.Admin.RoleRefs([]store.RoleID{me.Account.Licence})[0], "*/")
	}
	own, err := v.console.Admin.MyClients(ctx, v.by)
	if err != nil {
		return err
	}
	views, err := v.console.Admin.Describe(ctx, own...)
	if err != nil {
		return err
	}
	for _, view := range views {
		if view.State == store.ClientPending && len(view.Client.Secrets) == 0 {
			p.Waiting = append(p.Waiting, ownRow{view})
		} else {
			p.Rows = append(p.Rows, ownRow{view})
		}
	}
	p.Most = len(views) == 500
	return v.show("profile", http.StatusOK, page{Title: "Your profile", Section: "profile", Data: p})
}
