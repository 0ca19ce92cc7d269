package declare

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"postern/server/api"
	"postern/store"
)

func (a *applier) createClient(ctx context.Context, c *Change) error {
	body := a.body(c)
	for _, later := range []string{"roles", "responsible", "licence", "status", "account"} {
		delete(body, later)
	}
	body["key"], body["workspace"] = c.Name, c.Workspace
	if body["name"] == nil {
		body["name"] = c.Name
	}
	if body["narrowed_to"] == nil {
		delete(body, "narrowed_to")
	}
	given, _ := c.doc.values["roles"].([]api.GrantedRole)
	own := c.phase != phaseShared // the account is made along, with its roles
	if account := c.doc.text("account"); account != "" && own {
		body["new_account"] = account
	} else if account != "" {
		body["account"] = account
	}
	limited := slices.ContainsFunc(given, func(g api.GrantedRole) bool { return len(g.Resources) > 0 })
	if own && !limited {
		names := make([]string, len(given))
		for i, g := range given {
			names[i] = g.Role
		}
		body["roles"] = names
	} else if body["default_api"] == nil {
		if name := a.defaultAPI(given); name != "" {
			body["default_api"] = name
		}
	}
	made, err := ask[api.NewSecret](ctx, a.server, making("/clients", body))
	if err != nil {
		return err
	}
	s := Secret{Workspace: c.Workspace, Key: c.Name, ClientID: made.ClientID, Secret: made.ClientSecret, SecretID: made.SecretID}
	if made.Client != nil {
		s.ExpiresAt = made.Client.ExpiresAt
	}
	a.mu.Lock()
	a.state.clients[made.ClientID] = c.Workspace + "/" + c.Name
	a.mu.Unlock()
	if err := a.keep(s); err != nil {
		return fmt.Errorf("the client is made, but its secret is not kept; rotate it: %w", err)
	}
	if made.Client == nil {
		return errors.New("it is made; what it is now the server could not say: run this again")
	}
	return a.completeClient(ctx, c, clientRecord(made.Client), given, own && !limited)
}

// completeClient does what making a client does not.
func (a *applier) completeClient(ctx context.Context, c *Change, made *Record, given []api.GrantedRole, granted bool) error {
	rest := map[string]any{}
	if want, named := c.doc.values["responsible"]; named && want != made.values["responsible"] {
		rest["responsible"] = want
	}
	if err := a.patch(ctx, kindClient, made, rest); err != nil {
		return fmt.Errorf("it is made, but: %w", err)
	}
	if licence, named := c.doc.values["licence"]; named {
		if err := a.licence(ctx, made, licence); err != nil {
			return fmt.Errorf("it is made, but has not its licence: %w", err)
		}
	}
	if _, named := c.doc.values["roles"]; named && !granted {
		if err := a.rolesOf(ctx, c.Workspace, made, given); err != nil {
			return fmt.Errorf("it is made, but has not its roles: %w", err)
		}
	}
	if status := c.doc.text("status"); status != "" && status != string(store.ClientActive) {
		return a.status(ctx, kindClient, made.id, status)
	}
	return nil
}

// keep hands out a secret.
func (a *applier) keep(s Secret) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.options.Secrets(s)
}

// licence gives the technical user of a client its ceiling; nil is none.
func (a *applier) licence(ctx context.Context, client *Record, licence any) error {
	old := &Record{id: client.holder}
	have := any(firstLicence)
	if known := a.state.accounts[client.text("account")]; known != nil {
		old.etag, have = known.etag, known.licence
	}
	if have == licence {
		return nil
	}
	return a.patch(ctx, kindAccount, old, map[string]any{"licence": licence})
}

// firstLicence is that of a new account.
const firstLicence = "steward"

// status brings a client or a person to a status.
func (a *applier) status(ctx context.Context, kind, id, status string) error {
	verb := map[string]string{"active": "/restore", "revoked": "/revoke", "expired": "/revoke"}[status]
	if kind == kindAccount {
		verb = map[string]string{"active": "/reactivate", "deactivated": "/deactivate"}[status]
	}
	_, err := a.server(ctx, Request{Method: http.MethodPost, Path: pathOf(kind, under(id)) + verb})
	return err
}

func (a *applier) updateClient(ctx context.Context, c *Change) error {
	body := a.body(c)
	_, hasRoles := body["roles"]
	status, hasStatus := body["status"].(string)
	licence, hasLicence := body["licence"]
	for _, other := range []string{"roles", "status", "licence"} {
		delete(body, other)
	}
	if err := a.patch(ctx, kindClient, c.old, body); err != nil {
		return err
	}
	if hasLicence {
		if err := a.licence(ctx, c.old, licence); err != nil {
			return err
		}
	}
	if hasRoles {
		given, _ := c.doc.values["roles"].([]api.GrantedRole)
		if err := a.rolesOf(ctx, c.Workspace, c.old, given); err != nil {
			return err
		}
	}
	if !hasStatus {
		return nil
	}
	return a.status(ctx, kindClient, c.old.id, status)
}

// rolesOf gives the account of a client what it is to have.
func (a *applier) rolesOf(ctx context.Context, workspace string, client *Record, given []api.GrantedRole) error {
	old := a.state.grantOf(workspace, client.text("account"))
	if old == nil {
		return a.grant(ctx, workspace, client.holder, given, nil)
	}
	f := &field{name: "roles", form: granted}
	if slices.Equal(lines(f, old.values["roles"]), lines(f, given)) {
		return nil
	}
	return a.grant(ctx, workspace, client.holder, given, old)
}

// defaultAPI is the API that a client's first role is about, as the server
// would choose it.
func (a *applier) defaultAPI(given []api.GrantedRole) string {
	next := make([]string, len(given))
	for i, g := range given {
		next[i] = g.Role
	}
	for ; len(next) > 0 && len(next) < 1000; next = next[1:] {
		w, name, _ := strings.Cut(next[0], "/")
		values := map[string]any{}
		if old := a.state.records[Key{kindRole, w, name}]; old != nil {
			maps.Copy(values, old.values)
		}
		if doc := a.docs[Key{kindRole, w, name}]; doc != nil {
			maps.Copy(values, doc.values)
		}
		rules, _ := values["rules"].([]api.Rule)
		for _, r := range rules {
			if !r.Deny && r.API != "*" {
				return r.API
			}
		}
		parents, _ := values["parents"].([]string)
		next = append(next, parents...)
	}
	return ""
}
