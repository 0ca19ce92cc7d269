package admin

import (
	"context"
	"slices"
	"strings"
	"time"

	"postern/policy"
	"postern/server/secret"
	"postern/store"
)

// Me is the actor as it sees itself.
type Me struct {
	Account *store.Account
	// Workspaces are the names of those where the person may make and use
	// personal tokens.
	Workspaces []string
	Holds      []Held // by name of the workspace; what teams bring included
	MustChange bool   // the password was set by somebody else: nothing goes before it is changed
}

// Held are the roles that somebody has in a workspace.
type Held struct {
	Workspace string
	Roles     []string // refs
}

// Me returns who the actor is.
func (a *Admin) Me(_ context.Context, by *Actor) (*Me, error) {
	acc := by.Account()
	if acc == nil {
		return nil, refuse(Forbidden, "nobody is signed in")
	}
	if by.needsCode() {
		return nil, refuse(Forbidden, "%s", by.halted())
	}
	me := &Me{Account: acc, MustChange: acc.MustChange}
	for _, ws := range a.personalIn(by.Holder) {
		me.Workspaces = append(me.Workspaces, ws.Name)
	}
	slices.Sort(me.Workspaces)
	for _, ws := range a.State.Workspaces() {
		if roles := a.Policy.RolesOf(&policy.Caller{Holder: by.Holder}, ws.ID); len(roles) > 0 {
			me.Holds = append(me.Holds, Held{ws.Name, roles})
		}
	}
	slices.SortFunc(me.Holds, func(x, y Held) int { return strings.Compare(x.Workspace, y.Workspace) })
	return me, nil
}

// personalIn returns the workspaces where a person may have personal tokens.
func (a *Admin) personalIn(h *store.Holder) []*store.Workspace {
	return slices.DeleteFunc(slices.Clone(a.State.Workspaces()), func(w *store.Workspace) bool {
		return !w.APIAccess || !a.holdsIn(h, w.ID) || !a.Policy.MayUsePersonal(h, w.ID)
	})
}

// holdsIn reports whether an account, or a team of it, holds anything in a
// workspace.
func (a *Admin) holdsIn(h *store.Holder, ws store.WorkspaceID) bool {
	return len(a.Policy.RolesOf(&policy.Caller{Holder: h}, ws)) > 0
}

// ownOperation is the operation under /me that the actor asks for by op on a
// client: its own personal one. Nil where it is not its own, or op is one for
// administrators alone.
func (a *Admin) ownOperation(by *Actor, c *store.Client, op Operation) *Operation {
	if c.ClientKind != store.ClientPersonal || by.machine || c.Account != by.accountID() {
		return nil
	}
	own := map[string]Operation{
		opClientGet.Name: opMeClientGet, opClientUnused.Name: opMeClientGet, opClientConfirm.Name: opMeConfirm,
		opClientRotate.Name: opMeRotate, opSecretRevoke.Name: opMeSecretEnd,
		opClientRevoke.Name: opMeRevoke, opClientRestore.Name: opMeRestore, opClientDelete.Name: opMeDelete,
	}
	if o, ok := own[op.Name]; ok {
		return &o
	}
	return nil
}

// mustOwn refuses what a person may not do about itself: what a rule or the
// licence denies in any of its workspaces and, by a credential that was
// narrowed, what that does not open.
func (a *Admin) mustOwn(by *Actor, op Operation) error {
	acc := by.Account()
	if acc == nil || acc.AccountKind != store.AccountUser {
		return a.refused(by, op, a.systemID(), "only people have personal tokens; a technical user's clients are made by administrators")
	}
	ofPassword := op.Name == opMePassword.Name || op.Name == opMeGet.Name // what goes before it is changed
	if reason := by.halted(); reason != "" && (by.needsCode() || !ofPassword) {
		return a.refused(by, op, a.systemID(), reason)
	}
	c := by.caller()
	opened := false
	for _, ws := range a.State.Workspaces() {
		if by.Client != nil && by.Client.Workspace != "" && by.Client.Workspace != ws.ID {
			continue
		}
		d := a.Policy.Decide(c, &policy.Request{Workspace: ws.ID, API: store.PosternAPI, Method: op.Method, Path: op.at()})
		if d.Reason == policy.Denied || d.Reason == policy.Forbids {
			return a.refused(by, op, ws.ID, "a rule or your licence forbids this ("+op.Name+")")
		}
		opened = opened || d.Allowed
	}
	if by.Client != nil && (by.Client.Narrowed || by.Client.ClientKind != store.ClientPersonal) && !opened {
		return a.refused(by, op, a.systemID(), "this token is narrowed and does not reach so far ("+op.Name+")")
	}
	return nil
}

// mustOwnClient is mustOwn for one personal client: nobody makes a secret of it by
// an access token, or by another personal client that ends earlier or reaches
// less far.
func (a *Admin) mustOwnClient(by *Actor, op Operation, c *store.Client) error {
	if err := a.mustOwn(by, op); err != nil {
		return err
	}
	with := by.Client
	if op.Name != opMeRotate.Name || with == nil {
		return nil
	}
	if !by.AnyScope {
		// It lives for an hour, and the secret for as long as the token.
		return a.refused(by, op, a.homeOf(c), "an access token makes no secret: send the personal token itself, or use your name and password")
	}
	if with.ID == c.ID {
		return nil
	}
	longer := with.ExpiresAt != 0 && (c.ExpiresAt == 0 || c.ExpiresAt > with.ExpiresAt)
	further := with.Workspace != "" && with.Workspace != c.Workspace || c.AdminAccess && !with.AdminAccess
	if longer || further {
		return a.refused(by, op, a.homeOf(c), "this token makes no secret of one that lives longer or reaches further; use your name and password")
	}
	return nil
}

// MyClients returns the actor's personal clients, at most 500, by name.
func (a *Admin) MyClients(ctx context.Context, by *Actor) ([]*store.Client, error) {
	if err := a.mustOwn(by, opMeClientList); err != nil {
		return nil, err
	}
	out, err := a.Store.Clients(ctx, store.ClientQuery{Account: by.accountID(), ClientKind: store.ClientPersonal, Limit: 500})
	return out, fromStore(opMeClientList.Name, err)
}

// MyClient returns a personal client of the actor's.
func (a *Admin) MyClient(ctx context.Context, by *Actor, id store.ClientID) (*store.Client, error) {
	c, err := a.client(ctx, by, opClientGet, id)
	if err == nil && (c.ClientKind != store.ClientPersonal || c.Account != by.accountID()) {
		return nil, refuse(NotFound, "there is no personal token %q of yours", printable(string(id)))
	}
	return c, err
}

// NewPersonal is the input for CreatePersonal.
type NewPersonal struct {
	Name        string
	Description string
	Workspace   string // id or name; empty is all of the person's
	DefaultAPI  string
	Expiry      Expiry
	Label       string
	Narrow      []string // roles of Workspace
	Narrowed    bool
	Addresses   []string
	AdminAccess bool
	Confirm     bool // it works only after its secret was confirmed as saved
}

// CreatePersonal makes a personal client for the actor and nobody else. By
// password it is a new one. By a secret of another personal client it renews
// that: no wider, in the same workspace, with no longer a life than that had
// from its beginning.
func (a *Admin) CreatePersonal(ctx context.Context, by *Actor, in NewPersonal) (*Created, error) {
	if err := a.mustOwn(by, opMeClientMake); err != nil {
		return nil, err
	}
	var f faults
	var ws *store.Workspace
	if in.Workspace != "" {
		if ws = a.workspace(in.Workspace); ws == nil || !a.holdsIn(by.Holder, ws.ID) {
			f.add("workspace", "there is no workspace %q of yours", printable(in.Workspace))
			return nil, f.err()
		}
	}
	if by.Client != nil {
		if err := a.mayRenew(by, &in, &ws); err != nil {
			return nil, err
		}
	}
	return once(ctx, a, by, opMeClientMake, func(by *Actor) (*Created, error) {
		return a.createPersonal(ctx, by, ws, in)
	}, func(by *Actor, seen *store.Idempotency) (*Created, error) {
		return a.personalAgain(ctx, by, seen)
	})
}

func (a *Admin) createPersonal(ctx context.Context, by *Actor, ws *store.Workspace, in NewPersonal) (*Created, error) {
	var f faults
	parent := by.Client
	open := a.personalIn(by.Holder)
	switch {
	case ws != nil && !slices.Contains(open, ws):
		return nil, a.refused(by, opMeClientMake, ws.ID, "you may not have personal tokens in workspace "+ws.Name+"; ask an owner or admin of it to enable you")
	case len(open) == 0:
		return nil, a.refused(by, opMeClientMake, a.systemID(), "you may not have personal tokens in any workspace; ask an owner or admin of one to enable you")
	}
	if in.AdminAccess && (parent == nil || !parent.AdminAccess) {
		if err := a.givesAdminAccess(by, opMeClientMake); err != nil {
			return nil, err
		}
	}
	bounds := ws
	if bounds == nil {
		bounds = strictest(open)
	}
	now := a.now()
	ends, warnings, err := a.personalExpiry(by, bounds, in.Expiry, now)
	if err != nil {
		return nil, err
	}
	c := &store.Client{
		ID: store.NewClientID(), Generation: 1, ClientKind: store.ClientPersonal, Name: strings.TrimSpace(in.Name), Description: in.Description,
		Account: by.accountID(), Status: store.ClientActive, Bearer: true, AdminAccess: in.AdminAccess, Addresses: slices.Clone(in.Addresses),
		CreatedAt: now, CreatedBy: by.accountID(), ExpiresAt: ends,
	}
	if ws != nil {
		c.Workspace = ws.ID
	}
	if parent != nil {
		c.Parent = parent.ID
	}
	if in.Confirm {
		c.Status, c.ConfirmBy = store.ClientPending, now.Add(ConfirmWithin)
	}
	checkTexts(&f, c)
	switch {
	case in.Narrowed && ws == nil && len(in.Narrow) > 0:
		f.add("narrowed_to", "a token of all workspaces cannot be narrowed to the roles of one; name the workspace")
	case in.Narrowed:
		c.Narrowed = true
		for _, r := range a.roles(&f, "narrowed_to", bounds, in.Narrow) {
			c.Roles = append(c.Roles, r.ID)
		}
	}
	if in.DefaultAPI != "" {
		c.DefaultAPI = a.defaultAPI(&f, in.DefaultAPI, nil)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	made := a.addSecret(c, in.Label, 0, now)
	err = a.change(ctx, by, entry{operation: opMeClientMake.Name, workspace: a.homeOf(c), after: c, name: c.Name, made: madeSecretOf(c.ID, made.id)}, store.Insert(c))
	if err != nil {
		return nil, err
	}
	return &Created{Client: stored(c, store.OpInsert), Account: by.Account(), Secret: made.text, SecretID: made.id, Warnings: warnings}, nil
}

// homeOf is the workspace in whose audit a client stands.
func (a *Admin) homeOf(c *store.Client) store.WorkspaceID {
	if c.Workspace == "" {
		return a.systemID()
	}
	return c.Workspace
}

// mayRenew checks that the credential that asks may make another one, and fills
// in what is to be as it is there.
func (a *Admin) mayRenew(by *Actor, in *NewPersonal, ws **store.Workspace) error {
	old := by.Client
	refused := func(reason string) error {
		return a.refused(by, opMeClientMake, a.homeOf(old), reason+"; make a new one by name and password")
	}
	switch {
	case old.ClientKind != store.ClientPersonal:
		return refused("only a personal token renews itself")
	case !by.AnyScope:
		return refused("an access token renews nothing: send the personal token itself")
	case old.Narrowed:
		return refused("a narrowed token renews nothing")
	case old.SCIMOnly:
		return refused("a token for provisioning renews nothing")
	}
	if old.Workspace != "" {
		if *ws != nil && (*ws).ID != old.Workspace {
			return refused("the token is of another workspace")
		}
		if *ws = a.State.Workspace(old.Workspace); *ws == nil {
			return refused("the token's workspace is gone")
		}
	}
	if in.Name == "" {
		in.Name = old.Name
	}
	if len(in.Addresses) == 0 {
		in.Addresses = old.Addresses
	} else if len(old.Addresses) > 0 && !slices.Equal(in.Addresses, old.Addresses) {
		return refused("the renewed token keeps the address list")
	}
	if in.AdminAccess && !old.AdminAccess {
		return refused("the token has no admin access")
	}
	return nil
}

// personalExpiry is expiry, no longer than the life that the renewed credential
// was made with.
func (a *Admin) personalExpiry(by *Actor, bounds *store.Workspace, want Expiry, now store.Time) (store.Time, []string, error) {
	if by.Client == nil {
		return a.expiry(bounds, want, now)
	}
	most := time.Duration(0) // none
	if end := by.Client.ExpiresAt; end != 0 {
		most = end.Sub(by.Client.CreatedAt)
	}
	if s := by.Client.Secret(by.Secret); s != nil && s.ExpiresAt != 0 {
		if life := s.ExpiresAt.Sub(s.CreatedAt); most == 0 || life < most {
			most = life
		}
	}
	switch {
	case most == 0:
		return a.expiry(bounds, want, now)
	case want.Never, want.For > most:
		return 0, nil, a.refused(by, opMeClientMake, a.homeOf(by.Client), "a token renews itself for no longer than it was made for; make a new one by name and password")
	case want.For == 0:
		want.For = most
	}
	return a.expiry(bounds, want, now)
}

// PersonalLifetimes is Lifetimes for personal clients of the actor's that are good
// in all of its workspaces; other reports whether any other life within the cap is
// as good.
func (a *Admin) PersonalLifetimes(by *Actor) (offered []time.Duration, usual time.Duration, other bool) {
	open := a.personalIn(by.Holder)
	if len(open) == 0 {
		return nil, 0, false
	}
	bounds := strictest(open)
	offered, usual = a.Lifetimes(bounds)
	return offered, usual, len(bounds.Lifetimes) == 0
}

// strictest joins what workspaces ask of a client's life.
func strictest(all []*store.Workspace) *store.Workspace {
	out := *all[0]
	out.Lifetimes = slices.Clone(out.Lifetimes)
	for _, w := range all[1:] {
		if w.MaxLifetime > 0 && (out.MaxLifetime == 0 || w.MaxLifetime < out.MaxLifetime) {
			out.MaxLifetime = w.MaxLifetime
		}
		out.NeverForbidden = out.NeverForbidden || w.NeverForbidden
		switch {
		case len(w.Lifetimes) == 0:
		case len(out.Lifetimes) == 0:
			out.Lifetimes = slices.Clone(w.Lifetimes)
		default:
			out.Lifetimes = slices.DeleteFunc(out.Lifetimes, func(l int64) bool { return !slices.Contains(w.Lifetimes, l) })
		}
	}
	return &out
}

// ChangePassword sets the actor's own password. It takes the current one and
// leaves tokens alone. Every session of the account ends, the actor's own too: the
// actor is as the account is then, and StartSession with it starts the one, under
// a new id, in which the person goes on.
func (a *Admin) ChangePassword(ctx context.Context, by *Actor, current, next secret.Secret) (*store.Account, error) {
	if err := a.mustOwn(by, opMePassword); err != nil {
		return nil, err
	}
	acc := by.Account()
	if by.Client != nil {
		return nil, a.refused(by, opMePassword, a.systemID(), "a password is changed by who knows it: sign in by name and password")
	}
	if _, err := a.byPassword(ctx, acc.Name, current, by.Address, by.RequestID); err != nil {
		return nil, err
	}
	if current.Reveal() == next.Reveal() {
		return nil, invalidAt("new", "is the current password; choose another")
	}
	changed := *acc
	if err := a.setPassword(ctx, &changed, next); err != nil {
		return nil, err
	}
	err := a.change(ctx, by, entry{operation: opMePassword.Name, workspace: a.systemID(), before: acc, after: &changed, name: acc.Name}, store.Update(&changed))
	if err != nil {
		return nil, err
	}
	by.became(stored(&changed, store.OpUpdate))
	return by.Account(), nil
}

// TakeOver makes the actor responsible for a client. It is a gift of all that
// the client can do.
func (a *Admin) TakeOver(ctx context.Context, by *Actor, id store.ClientID) (*store.Client, error) {
	old, err := a.client(ctx, by, opTakeOver, id)
	if err != nil {
		return nil, err
	}
	acc := by.Account()
	switch {
	case old.ClientKind != store.ClientService:
		return nil, refuse(Conflict, "a personal token belongs to its owner; it cannot be taken over")
	case acc == nil || acc.AccountKind != store.AccountUser:
		return nil, refuse(Conflict, "only a person answers for a client")
	case old.Responsible == acc.ID:
		return nil, refuse(Conflict, "you are responsible for it already")
	}
	if err := a.givesClient(ctx, by, opTakeOver, old); err != nil {
		return nil, err
	}
	c := *old
	c.Responsible = acc.ID
	err = a.change(ctx, by, entry{operation: opTakeOver.Name, workspace: c.Workspace, before: old, after: &c, name: c.Name}, store.Update(&c))
	return stored(&c, store.OpUpdate), err
}
