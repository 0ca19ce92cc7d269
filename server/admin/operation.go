package admin

import (
	"strings"

	"postern/policy"
	"postern/store"
)

// Operation is one thing that can be asked of Postern's own API: what the audit
// calls it, and the endpoint that the policy engine decides about.
type Operation struct {
	Name   string // "client.revoke"
	Method string
	Path   string // with {parameters}
	Tag    string
	Text   string // one line, for the catalogue and the API reference
	// Public: nobody needs to say who they are.
	Public bool
	// Password: a person may say who they are by name and password.
	Password bool
	// AnyToken: a credential may ask it about itself, whatever it is for, and
	// needs no rights here.
	AnyToken bool
	// accounts: operations on people and their licences, for which a client
	// with admin access is not bounded by its account's licence.
	accounts bool
}

// The operations.
//
//nolint:gochecknoglobals // constants, were there constant structs
var (
	opClientCreate  = Operation{Name: "client.create", Method: "POST", Path: root + "/clients", Tag: "clients", Text: "Create a client and its first secret"}
	opClientList    = Operation{Name: "client.list", Method: "GET", Path: root + "/clients", Tag: "clients", Text: "List clients"}
	opClientGet     = Operation{Name: "client.get", Method: "GET", Path: root + "/clients/{client}", Tag: "clients", Text: "Get a client"}
	opClientEdit    = Operation{Name: "client.edit", Method: "PATCH", Path: root + "/clients/{client}", Tag: "clients", Text: "Edit a client"}
	opClientConfirm = Operation{Name: "client.confirm", Method: "POST", Path: root + "/clients/{client}/confirm", Tag: "clients", Text: "Confirm that the secret is saved, which activates the client"}
	opClientRotate  = Operation{Name: "client.rotate", Method: "POST", Path: root + "/clients/{client}/secrets", Tag: "clients", Text: "Make a new secret; the old ones end after an overlap"}
	opSecretRevoke  = Operation{Name: "client.secret.revoke", Method: "DELETE", Path: root + "/clients/{client}/secrets/{secret}", Tag: "clients", Text: "End one secret, and the tokens it minted; refused while it is in use unless forced"}
	opTrustTest     = Operation{Name: "client.trust.test", Method: "POST", Path: root + "/clients/{client}/trust/test", Tag: "clients", Text: "Say whether a JWT would authenticate a client by its trust rules, and which condition fails"}
	opClientRevoke  = Operation{Name: "client.revoke", Method: "POST", Path: root + "/clients/{client}/revoke", Tag: "clients", Text: "Revoke a client: nothing of it works any more, at once"}
	opClientRestore = Operation{Name: "client.restore", Method: "POST", Path: root + "/clients/{client}/restore", Tag: "clients", Text: "Restore a revoked client: its secrets work again, its old access tokens stay dead"}
	opClientDelete  = Operation{Name: "client.delete", Method: "DELETE", Path: root + "/clients/{client}", Tag: "clients", Text: "Delete a revoked client for ever"}
	opClientImport  = Operation{Name: "client.import", Method: "POST", Path: root + "/clients/import", Tag: "clients", Text: "Import clients of another server with their ids and secrets, up to 500 at a time"}

	opClientUnused = Operation{Name: "client.unused", Method: "GET", Path: root + "/clients/{client}/unused", Tag: "clients", Text: "List the rules that a client's rights reach and that it has not used for some time"}

	opRoleCreate = Operation{Name: "role.create", Method: "POST", Path: root + "/roles", Tag: "roles", Text: "Create a role"}
	opRoleList   = Operation{Name: "role.list", Method: "GET", Path: root + "/roles", Tag: "roles", Text: "List roles"}
	opRoleGet    = Operation{Name: "role.get", Method: "GET", Path: root + "/roles/{role}", Tag: "roles", Text: "Get a role"}
	opRoleOpens  = Operation{Name: "role.endpoints", Method: "GET", Path: root + "/roles/{role}/endpoints", Tag: "roles", Text: "List the endpoints that a role opens by itself"}
	opRoleUnused = Operation{Name: "role.unused", Method: "GET", Path: root + "/roles/{role}/unused", Tag: "roles", Text: "List the rules of a role that nobody has used for some time"}
	opRoleEdit   = Operation{Name: "role.edit", Method: "PATCH", Path: root + "/roles/{role}", Tag: "roles", Text: "Edit a role's description, parents and rules"}
	opRoleDelete = Operation{Name: "role.delete", Method: "DELETE", Path: root + "/roles/{role}", Tag: "roles", Text: "Delete a role that nobody holds, or with cascade its grants too"}

	opGrantList   = Operation{Name: "grant.list", Method: "GET", Path: root + "/grants", Tag: "grants", Text: "List grants"}
	opGrantSet    = Operation{Name: "grant.set", Method: "PUT", Path: root + "/grants/{workspace}/{holder}", Tag: "grants", Text: "Set the roles of an account or team in a workspace"}
	opGrantDelete = Operation{Name: "grant.delete", Method: "DELETE", Path: root + "/grants/{workspace}/{holder}", Tag: "grants", Text: "Take all roles in a workspace from an account or team"}

	opAPICreate = Operation{Name: "api.create", Method: "POST", Path: root + "/apis", Tag: "apis", Text: "Register an API"}
	opAPIList   = Operation{Name: "api.list", Method: "GET", Path: root + "/apis", Tag: "apis", Text: "List APIs"}
	opAPIGet    = Operation{Name: "api.get", Method: "GET", Path: root + "/apis/{api}", Tag: "apis", Text: "Get an API and its endpoints"}
	opAPIEdit   = Operation{Name: "api.edit", Method: "PATCH", Path: root + "/apis/{api}", Tag: "apis", Text: "Edit an API"}
	opAPIImport = Operation{Name: "api.import", Method: "POST", Path: root + "/apis/{api}/openapi", Tag: "apis", Text: "Replace the endpoints by those of an OpenAPI document"}
	opAPIDelete = Operation{Name: "api.delete", Method: "DELETE", Path: root + "/apis/{api}", Tag: "apis", Text: "Delete an API that no role names"}

	opWorkspaceCreate = Operation{Name: "workspace.create", Method: "POST", Path: root + "/workspaces", Tag: "workspaces", Text: "Create a workspace"}
	opWorkspaceList   = Operation{Name: "workspace.list", Method: "GET", Path: root + "/workspaces", Tag: "workspaces", Text: "List workspaces"}
	opWorkspaceGet    = Operation{Name: "workspace.get", Method: "GET", Path: root + "/workspaces/{workspace}", Tag: "workspaces", Text: "Get a workspace"}
	opWorkspaceEdit   = Operation{Name: "workspace.edit", Method: "PATCH", Path: root + "/workspaces/{workspace}", Tag: "workspaces", Text: "Edit a workspace's description and settings"}

	opAccountList       = Operation{Name: "account.list", Method: "GET", Path: root + "/accounts", Tag: "accounts", Text: "List people and technical users", accounts: true}
	opAccountGet        = Operation{Name: "account.get", Method: "GET", Path: root + "/accounts/{account}", Tag: "accounts", Text: "Get an account", accounts: true}
	opAccountInvite     = Operation{Name: "account.invite", Method: "POST", Path: root + "/accounts", Tag: "accounts", Text: "Invite a person, by a one-time link", accounts: true}
	opAccountEdit       = Operation{Name: "account.edit", Method: "PATCH", Path: root + "/accounts/{account}", Tag: "accounts", Text: "Edit an account's display name, mail address, licence and teams", accounts: true}
	opAccountReinvite   = Operation{Name: "account.reinvite", Method: "POST", Path: root + "/accounts/{account}/invitation", Tag: "accounts", Text: "Make a new one-time link, by which a person sets a password", accounts: true}
	opAccountDeactivate = Operation{Name: "account.deactivate", Method: "POST", Path: root + "/accounts/{account}/deactivate", Tag: "accounts", Text: "Deactivate a person: all personal tokens stop at once", accounts: true}
	opAccountReactivate = Operation{Name: "account.reactivate", Method: "POST", Path: root + "/accounts/{account}/reactivate", Tag: "accounts", Text: "Reactivate a person", accounts: true}
	opAccountDelete     = Operation{Name: "account.delete", Method: "DELETE", Path: root + "/accounts/{account}", Tag: "accounts", Text: "Delete a deactivated account with its grants and personal tokens, for ever", accounts: true}
	opInvitationAccept  = Operation{Name: "invitation.accept", Method: "POST", Path: root + "/invitations/accept", Tag: "accounts", Text: "Accept an invitation: set a password", Public: true}

	opTeamCreate       = Operation{Name: "team.create", Method: "POST", Path: root + "/teams", Tag: "teams", Text: "Create a team", accounts: true}
	opTeamList         = Operation{Name: "team.list", Method: "GET", Path: root + "/teams", Tag: "teams", Text: "List teams", accounts: true}
	opTeamGet          = Operation{Name: "team.get", Method: "GET", Path: root + "/teams/{team}", Tag: "teams", Text: "Get a team", accounts: true}
	opTeamEdit         = Operation{Name: "team.edit", Method: "PATCH", Path: root + "/teams/{team}", Tag: "teams", Text: "Edit a team", accounts: true}
	opTeamDelete       = Operation{Name: "team.delete", Method: "DELETE", Path: root + "/teams/{team}", Tag: "teams", Text: "Delete a team that has no members and holds nothing, or with cascade its memberships and grants too", accounts: true}
	opTeamMembers      = Operation{Name: "team.members", Method: "GET", Path: root + "/teams/{team}/members", Tag: "teams", Text: "List the members of a team", accounts: true}
	opTeamMemberAdd    = Operation{Name: "team.member.add", Method: "PUT", Path: root + "/teams/{team}/members/{account}", Tag: "teams", Text: "Make a person or technical user a member of a team", accounts: true}
	opTeamMemberRemove = Operation{Name: "team.member.remove", Method: "DELETE", Path: root + "/teams/{team}/members/{account}", Tag: "teams", Text: "Take an account out of a team", accounts: true}
	opMeGet            = Operation{Name: "me.get", Method: "GET", Path: root + "/me", Tag: "me", Text: "Who you are, and where you may have personal tokens", Password: true}
	opMePassword       = Operation{Name: "me.password", Method: "POST", Path: root + "/me/password", Tag: "me", Text: "Change your password; your tokens go on", Password: true}
	opMeClientList     = Operation{Name: "me.client.list", Method: "GET", Path: root + "/me/clients", Tag: "me", Text: "List your personal tokens", Password: true}
	opMeClientMake     = Operation{Name: "me.client.create", Method: "POST", Path: root + "/me/clients", Tag: "me", Text: "Make a personal token, by your password or by another one of yours that it renews", Password: true}
	opMeClientGet      = Operation{Name: "me.client.get", Method: "GET", Path: root + "/me/clients/{client}", Tag: "me", Text: "Get a personal token of yours", Password: true}
	opMeConfirm        = Operation{Name: "me.client.confirm", Method: "POST", Path: root + "/me/clients/{client}/confirm", Tag: "me", Text: "Confirm that the secret of a personal token is saved, which activates it", Password: true}
	opMeRotate         = Operation{Name: "me.client.rotate", Method: "POST", Path: root + "/me/clients/{client}/secrets", Tag: "me", Text: "Make a new secret of a personal token, or the first one of one that waits for it", Password: true}
	opMeSecretEnd      = Operation{Name: "me.client.secret.revoke", Method: "DELETE", Path: root + "/me/clients/{client}/secrets/{secret}", Tag: "me", Text: "Revoke one secret of a personal token", Password: true}
	opMeRevoke         = Operation{Name: "me.client.revoke", Method: "POST", Path: root + "/me/clients/{client}/revoke", Tag: "me", Text: "Revoke a personal token", Password: true}
	opMeRestore        = Operation{Name: "me.client.restore", Method: "POST", Path: root + "/me/clients/{client}/restore", Tag: "me", Text: "Restore a revoked personal token", Password: true}
	opMeDelete         = Operation{Name: "me.client.delete", Method: "DELETE", Path: root + "/me/clients/{client}", Tag: "me", Text: "Delete a revoked personal token for ever", Password: true}
	opTakeOver         = Operation{Name: "client.takeover", Method: "POST", Path: root + "/clients/{client}/takeover", Tag: "clients", Text: "Become responsible for a client, such as an orphaned one"}
	opTransfer         = Operation{Name: "workspace.transfer", Method: "POST", Path: root + "/workspaces/{workspace}/transfer", Tag: "workspaces", Text: "Give the ownership of a workspace to somebody else"}
	opWorkspaceDrop    = Operation{Name: "workspace.delete", Method: "DELETE", Path: root + "/workspaces/{workspace}", Tag: "workspaces", Text: "Delete a workspace that has no clients and no APIs, with its roles and grants"}

	opKeyList   = Operation{Name: "key.list", Method: "GET", Path: root + "/keys", Tag: "keys", Text: "List signing and sealing keys"}
	opKeyRotate = Operation{Name: "key.rotate", Method: "POST", Path: root + "/keys/rotate", Tag: "keys", Text: "Publish a new key, which signs once verifiers know it"}
	opKeyRevoke = Operation{Name: "key.revoke", Method: "POST", Path: root + "/keys/{key}/revoke", Tag: "keys", Text: "Take a key out of the JWKS at once; every token signed by it is dead"}
	opKeyReseal = Operation{Name: "key.reseal", Method: "POST", Path: root + "/keys/reseal", Tag: "keys", Text: "Seal all keys by the first key-encryption key"}

	opWebhookCreate     = Operation{Name: "webhook.create", Method: "POST", Path: root + "/webhooks", Tag: "webhooks", Text: "Create a webhook and the key that signs what is sent to it"}
	opWebhookList       = Operation{Name: "webhook.list", Method: "GET", Path: root + "/webhooks", Tag: "webhooks", Text: "List webhooks"}
	opWebhookGet        = Operation{Name: "webhook.get", Method: "GET", Path: root + "/webhooks/{webhook}", Tag: "webhooks", Text: "Get a webhook"}
	opWebhookEdit       = Operation{Name: "webhook.edit", Method: "PATCH", Path: root + "/webhooks/{webhook}", Tag: "webhooks", Text: "Edit, disable or enable a webhook"}
	opWebhookDelete     = Operation{Name: "webhook.delete", Method: "DELETE", Path: root + "/webhooks/{webhook}", Tag: "webhooks", Text: "Delete a webhook; what waits for it is not sent"}
	opWebhookRotate     = Operation{Name: "webhook.rotate", Method: "POST", Path: root + "/webhooks/{webhook}/secret", Tag: "webhooks", Text: "Make a new signing key; the old one signs beside it for 24 hours"}
	opWebhookTest       = Operation{Name: "webhook.test", Method: "POST", Path: root + "/webhooks/{webhook}/test", Tag: "webhooks", Text: "Send a test event to a webhook"}
	opWebhookDeliveries = Operation{Name: "webhook.deliveries", Method: "GET", Path: root + "/webhooks/{webhook}/deliveries", Tag: "webhooks", Text: "List what was sent to a webhook, and what waits, the newest first"}
	opDeliveryRetry     = Operation{Name: "delivery.retry", Method: "POST", Path: root + "/webhooks/{webhook}/deliveries/{delivery}/retry", Tag: "webhooks", Text: "Send an event once more"}

	opUsage        = Operation{Name: "usage.read", Method: "GET", Path: root + "/usage", Tag: "usage", Text: "Counters and last uses of clients"}
	opUsageSummary = Operation{Name: "usage.summary", Method: "GET", Path: root + "/usage/summary", Tag: "usage", Text: "What the clients of a workspace did together, by hour or day, and who did the most"}
	opOverview     = Operation{Name: "overview.read", Method: "GET", Path: root + "/overview", Tag: "workspaces", Text: "What a workspace has, and what in it needs somebody"}
	opAuditList    = Operation{Name: "audit.list", Method: "GET", Path: root + "/audit", Tag: "audit", Text: "List audit entries"}
	opAuditGet     = Operation{Name: "audit.get", Method: "GET", Path: root + "/audit/{entry}", Tag: "audit", Text: "Get an audit entry"}
	opAuditExport  = Operation{Name: "audit.export", Method: "GET", Path: root + "/audit/export", Tag: "audit", Text: "Stream audit entries, oldest first, one JSON object a line"}
	opAuditVerify  = Operation{Name: "audit.verify", Method: "GET", Path: root + "/audit/verify", Tag: "audit", Text: "Check the audit chain of a workspace"}
	opCheck        = Operation{Name: "check", Method: "POST", Path: root + "/check", Tag: "policy", Text: "Decide about a call, and explain the decision"}
	opEndpoints    = Operation{Name: "endpoint.list", Method: "GET", Path: root + "/endpoints", Tag: "apis", Text: "List the endpoints that the presented credential may call", AnyToken: true}
	opSystem       = Operation{Name: "system.read", Method: "GET", Path: root + "/system", Tag: "system", Text: "How the node is that answers: its version, its store, its configuration without secrets"}
	opBackup       = Operation{Name: "backup", Method: "GET", Path: root + "/backup", Tag: "system", Text: "Stream a backup of all records but keys, revoked tokens and usage"}
)

// Operations returns every operation: the catalogue of Postern's own API.
func Operations() []Operation {
	return []Operation{
		opClientCreate, opClientList, opClientGet, opClientEdit, opClientConfirm, opClientRotate, opSecretRevoke, opTrustTest,
		opClientRevoke, opClientRestore, opClientDelete, opClientImport, opClientUnused,
		opWebhookCreate, opWebhookList, opWebhookGet, opWebhookEdit, opWebhookDelete, opWebhookRotate, opWebhookTest,
		opWebhookDeliveries, opDeliveryRetry,
		opRoleCreate, opRoleList, opRoleGet, opRoleOpens, opRoleUnused, opRoleEdit, opRoleDelete,
		opGrantList, opGrantSet, opGrantDelete,
		opLeakReport,
		opAPICreate, opAPIList, opAPIGet, opAPIEdit, opAPIImport, opAPIDelete,
		opWorkspaceCreate, opWorkspaceList, opWorkspaceGet, opWorkspaceEdit,
		opAccountList, opAccountGet, opAccountInvite, opAccountEdit, opAccountReinvite, opAccountDeactivate, opAccountReactivate, opAccountDelete,
		opInvitationAccept, opAccountAdopt, opTeamAdopt,
		opTeamCreate, opTeamList, opTeamGet, opTeamEdit, opTeamDelete, opTeamMembers, opTeamMemberAdd, opTeamMemberRemove,
		opMeGet, opMePassword, opMeClientList, opMeClientMake, opMeClientGet, opMeConfirm, opMeRotate, opMeSecretEnd, opMeRevoke, opMeRestore, opMeDelete,
		opTOTPStart, opTOTPConfirm, opTOTPDelete, opAccountNoTOTP,
		opTakeOver, opTransfer, opWorkspaceDrop,
		opKeyList, opKeyRotate, opKeyRevoke, opKeyReseal,
		opUsage, opUsageSummary, opOverview, opAuditList, opAuditGet, opAuditExport, opAuditVerify, opCheck, opEndpoints, opSystem, opBackup,
	}
}

// free reports whether an operation needs no rights.
func (op Operation) free() bool { return op.Public || op.AnyToken }

// at is the canonical path of an operation on one object.
func (op Operation) at(ids ...string) string {
	var path strings.Builder
	for s := range strings.SplitSeq(op.Path[1:], "/") {
		if strings.HasPrefix(s, "{") && len(ids) > 0 {
			s, ids = ids[0], ids[1:]
		}
		path.WriteByte('/')
		path.WriteString(s)
	}
	return path.String()
}

// may reports whether the actor may do an operation in a workspace: by what it
// holds there, or in the workspace system. A rule that denies, in either,
// denies.
func (a *Admin) may(by *Actor, op Operation, ws store.WorkspaceID, ids ...string) bool {
	if by.machine {
		return true
	}
	if by.Holder == nil || by.halted() != "" {
		return false
	}
	system := a.systemID()
	if by.Client != nil && by.Client.Workspace != "" && by.Client.Workspace != ws {
		return false // this credential is for one workspace
	}
	c := by.caller()
	c.NoLicence = op.accounts && by.Client != nil && by.Client.AdminAccess
	allowed := false
	for _, at := range []store.WorkspaceID{ws, system} {
		d := a.Policy.Decide(c, &policy.Request{Workspace: at, API: store.PosternAPI, Method: op.Method, Path: op.at(ids...)})
		if d.Reason == policy.Denied || d.Reason == policy.Forbids {
			return false
		}
		allowed = allowed || d.Allowed
	}
	return allowed
}

// must is may as an error; the refusal of a change is written to the audit.
func (a *Admin) must(by *Actor, op Operation, ws store.WorkspaceID, ids ...string) error {
	if a.may(by, op, ws, ids...) {
		return nil
	}
	if reason := by.halted(); reason != "" {
		return a.refused(by, op, ws, reason)
	}
	return a.refused(by, op, ws, "you may not do this here ("+op.Name+"); ask an owner or admin of workspace "+a.workspaceName(ws))
}

// refused records the refusal of a change, or of a backup, and returns it as an
// error.
func (a *Admin) refused(by *Actor, op Operation, ws store.WorkspaceID, reason string) error {
	if (op.Method != "GET" || op.Name == opBackup.Name) && a.Refusals != nil && by.Holder != nil {
		a.Refusals.Add(a.entry(by, entry{operation: op.Name, workspace: ws, refused: reason}))
	}
	return &Error{Kind: Forbidden, Message: reason}
}

func (a *Admin) systemID() store.WorkspaceID {
	if w := a.State.WorkspaceByName(store.SystemWorkspace); w != nil {
		return w.ID
	}
	return ""
}

func (a *Admin) workspaceName(id store.WorkspaceID) string {
	if w := a.State.Workspace(id); w != nil {
		return w.Name
	}
	return string(id)
}

// readable returns the workspaces in which the actor may do an operation of
// reading. all is true when it is every one, now and later.
func (a *Admin) readable(by *Actor, op Operation) (ids []store.WorkspaceID, all bool) {
	if a.may(by, op, a.systemID()) {
		return nil, true
	}
	for _, w := range a.State.Workspaces() {
		if a.may(by, op, w.ID) {
			ids = append(ids, w.ID)
		}
	}
	return ids, false
}

// workspace finds a workspace by id or name.
func (a *Admin) workspace(idOrName string) *store.Workspace {
	if w := a.State.Workspace(store.WorkspaceID(idOrName)); w != nil {
		return w
	}
	return a.State.WorkspaceByName(idOrName)
}

// May reports whether the rules let the actor do an operation, by its name, in a
// workspace, as far as that can be said before it is tried: pages offer what is
// worth a try.
func (a *Admin) May(by *Actor, operation string, ws store.WorkspaceID) bool {
	for _, op := range Operations() {
		if op.Name == operation {
			return a.may(by, op, ws)
		}
	}
	return false
}
