package admin_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"postern/server/admin"
	"postern/server/secret"
	"postern/store"
)

// each calls every operation with input that would do, were the actor allowed.
func (w *world) each(by *admin.Actor) map[string]error {
	ctx := context.Background()
	c, role, ws := w.made.Example.Client.ID, "default/example-reader", "default"
	errs := map[string]error{}
	_, errs["client.create"] = w.CreateClient(ctx, by, admin.NewClient{Name: "x", Workspace: ws})
	_, errs["client.import"] = w.ImportClients(ctx, by, admin.ClientImport{Workspace: ws, Clients: []admin.ImportedClient{{ID: "x", SecretHash: "x"}}})
	_, errs["client.list"] = w.Clients(ctx, by, admin.ClientList{})
	_, errs["client.get"] = w.Client(ctx, by, c)
	_, errs["client.unused"] = w.ClientUnused(ctx, by, c, 0)
	_, errs["client.edit"] = w.EditClient(ctx, by, c, admin.ClientEdit{Name: new("x")})
	_, errs["client.confirm"] = w.ConfirmClient(ctx, by, c)
	_, errs["client.rotate"] = w.RotateSecret(ctx, by, c, admin.Rotation{})
	_, errs["client.trust.test"] = w.TestTrust(ctx, by, c, "x")
	_, errs["client.secret.revoke"] = w.RevokeSecret(ctx, by, c, w.made.Example.SecretID)
	_, errs["client.revoke"] = w.RevokeClient(ctx, by, c, "")
	_, errs["client.restore"] = w.RestoreClient(ctx, by, c)
	errs["client.delete"] = w.DeleteClient(ctx, by, c)
	_, errs["role.create"] = w.CreateRole(ctx, by, admin.RoleInput{Workspace: ws, Name: "x"})
	_, errs["role.list"] = w.Roles(ctx, by, "")
	_, errs["role.get"] = w.Role(ctx, by, role)
	_, errs["role.endpoints"] = w.RoleEndpoints(ctx, by, role)
	_, errs["role.unused"] = w.RoleUnused(ctx, by, role, 0)
	_, errs["role.edit"] = w.EditRole(ctx, by, role, admin.RoleInput{}, 1)
	errs["role.delete"] = w.DeleteRole(ctx, by, role, 1, true)
	_, errs["grant.list"] = w.Grants(ctx, by, admin.GrantList{Workspace: ws, Limit: 10})
	_, _, errs["grant.set"] = w.SetGrant(ctx, by, ws, "admin", []admin.Granted{{Role: "member"}}, 0)
	_, _, errs["grant.delete"] = w.SetGrant(ctx, by, ws, "admin", nil, 0)
	_, errs["api.create"] = w.CreateAPI(ctx, by, admin.APIInput{Name: "x", Workspace: ws, Audience: new("urn:x")})
	_, errs["api.get"] = w.API(ctx, by, "example")
	_, errs["api.edit"] = w.EditAPI(ctx, by, "example", admin.APIInput{}, 1)
	_, _, errs["api.import"] = w.ImportOpenAPI(ctx, by, "example", []byte(`{}`), 1, false)
	errs["api.delete"] = w.DeleteAPI(ctx, by, "example", 1)
	_, errs["workspace.create"] = w.CreateWorkspace(ctx, by, admin.WorkspaceInput{Name: "x"})
	_, errs["workspace.get"] = w.Workspace(ctx, by, ws)
	_, errs["workspace.edit"] = w.EditWorkspace(ctx, by, ws, admin.WorkspaceInput{}, 1)
	_, errs["account.list"] = w.Accounts(ctx, by, store.AccountQuery{})
	_, errs["account.get"] = w.Account(ctx, by, "admin")
	_, errs["account.invite"] = w.InviteAccount(ctx, by, admin.NewAccount{Name: "x"})
	_, errs["account.edit"] = w.EditAccount(ctx, by, "admin", admin.AccountEdit{DisplayName: new("x")})
	_, errs["account.reinvite"] = w.ReinviteAccount(ctx, by, "admin")
	_, errs["account.deactivate"] = w.DeactivateAccount(ctx, by, "admin")
	_, errs["account.reactivate"] = w.ReactivateAccount(ctx, by, "admin")
	errs["account.delete"] = w.DeleteAccount(ctx, by, "admin")
	_, errs["team.create"] = w.CreateTeam(ctx, by, admin.TeamInput{Name: "x"})
	_, errs["team.list"] = w.Teams(ctx, by)
	_, errs["team.get"] = w.Team(ctx, by, "x")
	_, errs["team.edit"] = w.EditTeam(ctx, by, "x", admin.TeamInput{}, 1)
	errs["team.delete"] = w.DeleteTeam(ctx, by, "x", true)
	_, errs["team.members"] = w.Members(ctx, by, "x", "", 10)
	_, errs["team.member.add"] = w.AddMember(ctx, by, "x", "admin")
	_, errs["team.member.remove"] = w.RemoveMember(ctx, by, "x", "admin")
	_, errs["account.adopt"] = w.AdoptAccount(ctx, by, "admin", "")
	_, errs["team.adopt"] = w.AdoptTeam(ctx, by, "x")
	w.provision(by, errs)
	_, errs["client.takeover"] = w.TakeOver(ctx, by, c)
	errs["workspace.transfer"] = w.TransferWorkspace(ctx, by, ws, "admin")
	errs["workspace.delete"] = w.DeleteWorkspace(ctx, by, ws, 1)
	_, errs["me.password"] = w.ChangePassword(ctx, by, secret.Of("x"), secret.Of("y"))
	_, errs["me.totp.start"] = w.StartTOTP(ctx, by, secret.Of("x"))
	_, errs["me.totp.confirm"] = w.ConfirmTOTP(ctx, by, "x")
	_, errs["me.totp.delete"] = w.DeleteTOTP(ctx, by, secret.Of("x"), "")
	_, errs["account.totp.delete"] = w.DeleteAccountTOTP(ctx, by, "admin")
	_, errs["me.client.list"] = w.MyClients(ctx, by)
	_, errs["me.client.create"] = w.CreatePersonal(ctx, by, admin.NewPersonal{Name: "x"})
	_, errs["me.client.get"] = w.MyClient(ctx, by, c)
	_, errs["key.list"] = w.Keys(ctx, by)
	_, errs["key.rotate"] = w.RotateKey(ctx, by, "EdDSA")
	_, errs["key.revoke"] = w.RevokeKey(ctx, by, "x")
	_, errs["key.reseal"] = w.ResealKeys(ctx, by)
	_, _, errs["webhook.create"] = w.CreateWebhook(ctx, by, admin.WebhookInput{Workspace: ws, URL: new("https://hooks.example")})
	_, errs["webhook.list"] = w.Webhooks(ctx, by, "")
	_, errs["webhook.get"] = w.Webhook(ctx, by, "x")
	_, errs["webhook.edit"] = w.EditWebhook(ctx, by, "x", admin.WebhookInput{}, 0)
	errs["webhook.delete"] = w.DeleteWebhook(ctx, by, "x")
	_, _, errs["webhook.rotate"] = w.RotateWebhook(ctx, by, "x")
	_, errs["webhook.test"] = w.TestWebhook(ctx, by, "x")
	_, errs["webhook.deliveries"] = w.Deliveries(ctx, by, "x", store.DeliveryQuery{})
	_, errs["delivery.retry"] = w.RetryDelivery(ctx, by, "x", "y")
	_, errs["usage.read"] = w.Usage(ctx, by, "", 0, 0)
	_, errs["usage.summary"] = w.UsageSummary(ctx, by, "", 1)
	_, errs["system.read"] = w.System(ctx, by)
	_, errs["overview.read"] = w.Overview(ctx, by, ws)
	_, errs["audit.list"] = w.Audit(ctx, by, "", store.AuditQuery{})
	_, errs["audit.get"] = w.AuditEntry(ctx, by, w.entryID())
	errs["audit.export"] = w.ExportAudit(ctx, by, "", store.AuditQuery{}, func(*store.AuditEntry) error { return nil })
	_, errs["audit.verify"] = w.VerifyAudit(ctx, by, ws)
	_, errs["check"] = w.Check(ctx, by, admin.CheckInput{Client: c, API: "example", Method: "GET", Path: "/orders"})
	errs["backup"] = w.Backup(ctx, by, io.Discard)
	// What needs no rights is listed for everybody, and nothing else is.
	endpoints, err := w.Endpoints(ctx, by)
	if errs["endpoint.list"] = err; !slices.ContainsFunc(endpoints, func(e admin.OpenEndpoint) bool { return e.Workspace != nil }) {
		errs["endpoint.list"] = &admin.Error{Kind: admin.Forbidden}
	}
	// These lists leave out what is not to be seen.
	apis, _ := w.APIs(ctx, by)
	workspaces, _ := w.Workspaces(ctx, by)
	if len(apis) == 0 {
		errs["api.list"] = &admin.Error{Kind: admin.Forbidden}
	}
	if len(workspaces) == 0 {
		errs["workspace.list"] = &admin.Error{Kind: admin.Forbidden}
	}
	return errs
}

// entryID is the newest audit entry.
func (w *world) entryID() store.AuditID {
	all, err := w.state.Audit(context.Background(), store.AuditQuery{Limit: 1})
	if err != nil || len(all) == 0 {
		return ""
	}
	return all[0].ID
}

// provision calls every operation of provisioning.
func (w *world) provision(by *admin.Actor, errs map[string]error) {
	ctx := context.Background()
	for _, name := range []string{"scim.config", "scim.types", "scim.schemas"} {
		errs[name] = w.MaySCIM(by, name)
	}
	user := admin.SCIMUser{UserName: "x", Active: true}
	_, errs["scim.user.list"] = w.SCIMUsers(ctx, by, store.AccountQuery{})
	_, errs["scim.user.get"] = w.SCIMUser(ctx, by, "x")
	_, errs["scim.user.create"] = w.CreateSCIMUser(ctx, by, user)
	_, errs["scim.user.replace"] = w.ReplaceSCIMUser(ctx, by, "x", user, 0)
	_, errs["scim.user.edit"] = w.EditSCIMUser(ctx, by, "x", user, 0)
	errs["scim.user.delete"] = w.DeleteSCIMUser(ctx, by, "x", 0)
	group := admin.SCIMGroup{DisplayName: "x"}
	_, errs["scim.group.list"] = w.SCIMGroups(ctx, by)
	_, errs["scim.group.get"] = w.SCIMGroup(ctx, by, "x")
	_, errs["scim.group.create"] = w.CreateSCIMGroup(ctx, by, group)
	_, errs["scim.group.replace"] = w.ReplaceSCIMGroup(ctx, by, "x", group, 0)
	_, errs["scim.group.edit"] = w.EditSCIMGroup(ctx, by, "x", group, 0)
	errs["scim.group.delete"] = w.DeleteSCIMGroup(ctx, by, "x", 0)
}

func TestNobodyMayDoNothing(t *testing.T) {
	w := start(t)
	_, bare := w.machine("default") // an account without any role
	bound, owner := w.machine("default", "owner")
	if _, err := w.EditClient(t.Context(), w.root, bound.Client.ID, admin.ClientEdit{Narrowed: new(true)}); err != nil {
		t.Fatal(err)
	}
	for name, by := range map[string]*admin.Actor{
		"the zero actor": {}, "one without a role": bare, "an owner narrowed to nothing": w.actor(bound.Client),
		"an owner whose account's licence is gone": {Client: owner.Client, Holder: &store.Holder{Grants: owner.Holder.Grants, Account: licensed(owner.Holder.Account, "rolgone")}},
	} {
		t.Run(name, func(t *testing.T) {
			errs := w.each(by)
			for _, op := range slices.Concat(admin.Operations(), admin.SCIMOperations()) {
				if op.Public || op.Name == "me.get" || op.Tag == "me" && strings.Contains(op.Path, "{client}") && op.Name != "me.client.get" {
					continue // nobody's rights; who one is; and what the operations on clients do
				}
				err, called := errs[op.Name]
				if !called {
					if op.Name != "api.list" && op.Name != "workspace.list" {
						t.Errorf("%s is not called by this test", op.Name)
					}
					continue
				}
				if k := kind(t, err); k != admin.Forbidden && k != admin.NotFound {
					t.Errorf("%s: got %v, want a refusal", op.Name, err)
				}
			}
		})
	}
}

func licensed(a *store.Account, licence store.RoleID) *store.Account {
	copied := *a
	copied.Licence = licence
	return &copied
}

// The licences, by what they leave an owner of the workspace system.
func TestLicencesBoundEvenOwnersOfSystem(t *testing.T) {
	w := start(t)
	by := func(licence string, adminAccess bool) *admin.Actor {
		c := *w.made.Admin.Client
		c.AdminAccess = adminAccess
		h := w.root.Holder
		return &admin.Actor{Client: &c, AnyScope: true, Holder: &store.Holder{Grants: h.Grants, Account: licensed(h.Account, w.state.RoleByRef(licence).ID)}}
	}
	ctx := t.Context()
	tests := []struct {
		name    string
		licence string
		access  bool
		do      func(*admin.Actor) error
		want    admin.Kind
	}{
		{"steward reads clients", admin.LicenceSteward, false, func(by *admin.Actor) error { _, err := w.Clients(ctx, by, admin.ClientList{}); return err }, 0},
		{"steward reads no accounts", admin.LicenceSteward, false, func(by *admin.Actor) error { _, err := w.Account(ctx, by, "admin"); return err }, admin.Forbidden},
		{"admin access lifts that", admin.LicenceSteward, true, func(by *admin.Actor) error { _, err := w.Account(ctx, by, "admin"); return err }, 0},
		{"but not for keys", admin.LicenceSteward, true, func(by *admin.Actor) error { _, err := w.Keys(ctx, by); return err }, admin.Forbidden},
		{"steward changes no workspace", admin.LicenceSteward, false, func(by *admin.Actor) error {
			_, err := w.EditWorkspace(ctx, by, "default", admin.WorkspaceInput{}, 1)
			return err
		}, admin.Forbidden},
		{"reader reads", admin.LicenceReader, false, func(by *admin.Actor) error { _, err := w.Roles(ctx, by, ""); return err }, 0},
		{"reader changes nothing", admin.LicenceReader, false, func(by *admin.Actor) error {
			_, err := w.CreateClient(ctx, by, admin.NewClient{Name: "x", Workspace: "default"})
			return err
		}, admin.Forbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := kind(t, tt.do(by(tt.licence, tt.access))); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestCredentialOfOneWorkspaceOpensNoOther(t *testing.T) {
	w := start(t)
	if _, err := w.CreateWorkspace(t.Context(), w.root, admin.WorkspaceInput{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	made, _ := w.machine("default", "owner")
	if _, _, err := w.SetGrant(t.Context(), w.root, "acme", string(made.Account.ID), []admin.Granted{{Role: "owner"}}, 0); err != nil {
		t.Fatal(err)
	}
	by := w.actor(made.Client) // its account owns both, the client is of default
	if _, err := w.CreateRole(t.Context(), by, admin.RoleInput{Workspace: "default", Name: "x"}); err != nil {
		t.Errorf("in its own workspace: %v", err)
	}
	if _, err := w.CreateRole(t.Context(), by, admin.RoleInput{Workspace: "acme", Name: "x"}); kind(t, err) != admin.Forbidden {
		t.Errorf("in another: got %v, want a refusal", err)
	}
	page, err := w.Clients(t.Context(), by, admin.ClientList{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range page.Clients {
		if c.Workspace != made.Client.Workspace {
			t.Errorf("it sees client %s of another workspace", c.ID)
		}
	}
}

// A deny on Postern's own API wins in the workspace and in system.
func TestDenyOnTheOwnAPIWins(t *testing.T) {
	w := start(t)
	for _, in := range []string{"default", store.SystemWorkspace} {
		_, err := w.CreateRole(t.Context(), w.root, admin.RoleInput{Workspace: in, Name: "no-revoke", Rules: []store.Rule{
			{API: store.PosternAPI, Methods: "POST", Path: "/api/v1/clients/{client}/revoke", Deny: true},
		}})
		if err != nil {
			t.Fatal(err)
		}
		made, _ := w.machine("default", "owner")
		roles := []admin.Granted{{Role: "no-revoke"}}
		if in == "default" {
			roles = append(roles, admin.Granted{Role: "owner"})
		}
		if _, _, err := w.SetGrant(t.Context(), w.root, in, string(made.Account.ID), roles, 0); err != nil {
			t.Fatal(err)
		}
		by := w.actor(made.Client)
		if _, err := w.RevokeClient(t.Context(), by, w.made.Example.Client.ID, ""); kind(t, err) != admin.Forbidden {
			t.Errorf("denied in %s: got %v, want a refusal", in, err)
		}
	}
}

func TestDP2NobodyMakesASecretOfAnothersPersonalClient(t *testing.T) {
	w := start(t)
	_, by := w.machine(store.SystemWorkspace, "owner")
	id := w.made.Admin.Client.ID
	if _, err := w.RotateSecret(t.Context(), by, id, admin.Rotation{}); kind(t, err) != admin.Forbidden {
		t.Errorf("rotate: got %v, want a refusal", err)
	}
	if _, err := w.RotateSecret(t.Context(), w.root, id, admin.Rotation{Keep: true}); err != nil {
		t.Errorf("its owner rotates: %v", err)
	}
	if _, err := w.RevokeClient(t.Context(), by, id, ""); err != nil {
		t.Errorf("an administrator revokes: %v", err)
	}
}

func TestStoreTroubleIsSaidAsItIs(t *testing.T) {
	w := start(t)
	create := func() error {
		_, err := w.CreateRole(t.Context(), w.root, admin.RoleInput{Workspace: "default", Name: "x"})
		return err
	}
	for name, tt := range map[string]struct {
		err     error
		want    admin.Kind
		unknown bool
	}{
		"no answer":       {&store.Unavailable{Err: errors.New("dial")}, admin.Unavailable, false},
		"unknown outcome": {&store.Unavailable{Unknown: true, Err: errors.New("dial")}, admin.Unavailable, true},
		"another first":   {store.ErrConflict, admin.Stale, false},
		"name taken":      {&store.Exists{Kind: store.KindRole, Field: "ref"}, admin.Conflict, false},
	} {
		w.broken.fail(tt.err)
		err := create()
		e, ok := errors.AsType[*admin.Error](err)
		if !ok || e.Kind != tt.want || e.Unknown != tt.unknown {
			t.Errorf("%s: got %v, want kind %v", name, err, tt.want)
		}
		if ok && bytes.Contains([]byte(e.Message), []byte("dial")) {
			t.Errorf("%s: the cause is in the words for the actor: %s", name, e.Message)
		}
	}
	// What nobody foresaw is no *Error: the door says nothing of it.
	w.broken.fail(errors.New("disk on fire"))
	if _, ok := errors.AsType[*admin.Error](create()); ok {
		t.Error("an unforeseen fault was classified")
	}
	w.broken.fail(nil)
	if err := create(); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}
