package admin

import (
	"context"
	"slices"

	"postern/store"
)

// gift is what an operation would pass on in one workspace.
type gift struct {
	workspace store.WorkspaceID
	roles     []store.GrantedRole
	// rules: the operation writes what roles mean, or who asks about tokens (an
	// API's audience, hosts, introspectors), which no comparison of role ids bounds.
	rules bool
	// own: some of these rules allow something on Postern's own API, which would
	// be a way round the role owner.
	own bool
	// licence: the operation changes a ceiling.
	licence bool
}

// mayGive refuses what the actor does not hold. Every operation that can make
// anyone more powerful asks it: nobody gives more than they hold.
//
// Owners and admins of the workspace pass on any role there, but only an owner
// gives owner, or a role that some owner made to open Postern's own API, a
// shared one among them. Everyone else passes on only roles they hold or inherit, with
// equal or narrower limits. Roles in the workspace system, and licences, are
// given by those who are owner or admin in system.
func (a *Admin) mayGive(by *Actor, op Operation, g gift) error {
	if by.machine {
		return nil
	}
	system := a.systemID()
	systemOwner, systemAdmin := a.holds(by, system, RoleOwner), a.holds(by, system, RoleAdmin)
	owner := systemOwner || a.holds(by, g.workspace, RoleOwner)
	admin := owner || systemAdmin || a.holds(by, g.workspace, RoleAdmin)
	if g.workspace == system {
		owner, admin = systemOwner, systemOwner || systemAdmin
	}
	name := a.workspaceName(g.workspace)
	switch {
	case g.licence && !systemOwner && !systemAdmin:
		return a.refused(by, op, system, "only an owner or admin of workspace system gives or changes a licence")
	case g.own && !owner:
		return a.refused(by, op, g.workspace, "only an owner of workspace "+name+" writes rules that allow something on the API "+store.PosternAPI+", or on every API")
	case g.rules && !admin:
		return a.refused(by, op, g.workspace, "only an owner or admin of workspace "+name+" may change what its roles and APIs mean")
	}
	for _, given := range g.roles {
		r := a.State.Role(given.Role)
		switch {
		case r == nil:
			continue // opens nothing; the operation refuses it by its own check
		case r.Workspace != store.Shared && r.Workspace != g.workspace:
			return &Error{Kind: Invalid, Message: "role " + r.Ref + " is not of workspace " + name}
		case !owner && a.reaches(r, RoleOwner):
			return a.refused(by, op, g.workspace, "only an owner of workspace "+name+" gives the role owner")
		case owner, admin && !a.opensOwn(r):
		case !a.Policy.Covers(by.caller(), g.workspace, given):
			return a.refused(by, op, g.workspace, "you do not hold the role "+r.Ref+" with limits as wide as these yourself, so you may not give it")
		}
	}
	return nil
}

// holds reports whether the actor holds the built-in role of this name in a
// workspace.
func (a *Admin) holds(by *Actor, ws store.WorkspaceID, name string) bool {
	r := a.State.RoleByRef(a.workspaceName(ws) + "/" + name)
	return r != nil && r.Builtin && by.Holder != nil && a.Policy.Covers(by.caller(), ws, store.GrantedRole{Role: r.ID})
}

// reaches reports whether a role is, or inherits, the built-in role of this
// name in its workspace.
func (a *Admin) reaches(r *store.Role, name string) bool {
	return a.inherits(r, func(r *store.Role) bool {
		return r.Builtin && r.Workspace != store.Shared && r.Name() == name
	})
}

// opensOwn reports whether a role allows something on Postern's own API, by
// other rules than those of a workspace's built-in roles.
func (a *Admin) opensOwn(r *store.Role) bool {
	return a.inherits(r, func(r *store.Role) bool {
		return (!r.Builtin || r.Workspace == store.Shared) && slices.ContainsFunc(r.Rules, opensOwn)
	})
}

func opensOwn(rule store.Rule) bool {
	return !rule.Deny && (rule.API == store.PosternAPI || rule.API == "*")
}

// inherits reports whether a role, or one that it inherits, is as asked for.
func (a *Admin) inherits(r *store.Role, is func(*store.Role) bool) bool {
	seen := map[store.RoleID]bool{}
	for next := []*store.Role{r}; len(next) > 0; next = next[1:] {
		if is(next[0]) {
			return true
		}
		for _, id := range next[0].Parents {
			if parent := a.State.Role(id); parent != nil && !seen[id] {
				seen[id] = true
				next = append(next, parent)
			}
		}
	}
	return false
}

// givesAccount is mayGive for everything that an account holds: who gets a
// credential of the account gets all of it.
func (a *Admin) givesAccount(ctx context.Context, by *Actor, op Operation, account *store.Account, own []*store.Grant) error {
	if acc := by.Account(); acc != nil && acc.ID == account.ID && (by.Client == nil || !by.Client.Narrowed) {
		return nil // its own
	}
	if err := a.givesGrants(by, op, own); err != nil {
		return err
	}
	for _, t := range account.Teams {
		if err := a.givesTeam(ctx, by, op, t); err != nil {
			return err
		}
	}
	return nil
}

// givesTeam is mayGive for everything that a team holds: who becomes a member
// gets all of it.
func (a *Admin) givesTeam(ctx context.Context, by *Actor, op Operation, team store.TeamID) error {
	held, err := a.Store.GrantsOf(ctx, store.HolderID(team))
	if err != nil {
		return fromStore(op.Name, err)
	}
	return a.givesGrants(by, op, held)
}

func (a *Admin) givesGrants(by *Actor, op Operation, grants []*store.Grant) error {
	for _, g := range grants {
		if err := a.mayGive(by, op, gift{workspace: g.Workspace, roles: g.Roles}); err != nil {
			return err
		}
	}
	return nil
}
