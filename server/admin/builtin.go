package admin

import "postern/store"

// The built-in shared roles that are licences: ceilings of accounts.
const (
	LicenceAdmin   = "*/admin"
	LicenceSteward = "*/steward"
	LicenceReader  = "*/reader"
)

// The names of the built-in roles of every workspace, on Postern's own API.
const (
	RoleOwner   = "owner"
	RoleAdmin   = "admin"
	RoleAuditor = "auditor"
	RoleMember  = "member"
	// RoleProvisioner is there in the workspace system only.
	RoleProvisioner = "provisioner"
)

const (
	anyMethod = "*"
	reading   = "GET HEAD"
	changing  = "DELETE PATCH POST PUT"
	root      = "/api/v1"
)

// licences returns the shared roles as of this version.
func licences(now store.Time) []*store.Role {
	shared := func(name, description string, rules ...store.Rule) *store.Role {
		return builtin(store.Shared, "*", name, description, now, rules...)
	}
	everything := allow("*", anyMethod, "/**")
	return []*store.Role{
		shared("admin", "Licence without bounds.", everything),
		shared("steward", "Licence for everything on other APIs; on Postern's own all but accounts, licences, teams, keys and workspace settings.",
			everything,
			deny(anyMethod, "/accounts/**"), deny(anyMethod, "/teams/**"), deny(anyMethod, "/keys/**"),
			deny(changing, "/workspaces/**"),
			scim(anyMethod, true)),
		shared("reader", "Licence for everything on other APIs; on Postern's own for reading.",
			everything, deny(changing, "/**"), scim(changing, true)),
	}
}

// workspaceRoles returns the built-in roles of a workspace as of this version.
func workspaceRoles(w *store.Workspace, now store.Time) []*store.Role {
	role := func(name, description string, rules ...store.Rule) *store.Role {
		return builtin(w.ID, w.Name, name, description, now, rules...)
	}
	on := func(methods, path string) store.Rule { return allow(store.PosternAPI, methods, root+path) }
	own := []store.Rule{on(anyMethod, "/me/**"), on(reading, "/endpoints/**"), on(reading, "/apis/**")}
	out := []*store.Role{
		role(RoleOwner, "Everything in this workspace, its settings and its owners included.", on(anyMethod, "/**")),
		role(RoleAdmin, "Everything in this workspace but its settings and owners.", append(own,
			on(anyMethod, "/clients/**"), on(anyMethod, "/roles/**"), on(anyMethod, "/grants/**"), on(anyMethod, "/apis/**"),
			on(reading, "/workspaces/**"), on(anyMethod, "/accounts/**"), on(anyMethod, "/teams/**"),
			on(anyMethod, "/webhooks/**"), on(anyMethod, "/usage/**"), on(reading, "/overview"), on(anyMethod, "/audit/**"), on(anyMethod, "/check"), on(anyMethod, "/keys/**"), on(reading, "/system"), on(anyMethod, "/backup"))...),
		role(RoleAuditor, "Reads everything in this workspace, the audit included.", on(reading, "/**"), on("POST", "/check")),
		role(RoleMember, "Its own tokens, and the catalogue.", own...),
	}
	if w.Name == store.SystemWorkspace {
		// People and teams belong to the installation, so provisioning is a right here.
		for _, r := range out[:2] {
			r.LastNumber++
			rule := scim(anyMethod, false)
			rule.Number = r.LastNumber
			r.Rules = append(r.Rules, rule)
		}
		out = append(out, role(RoleProvisioner, "Provisions people and teams by SCIM.", scim(anyMethod, false)))
	}
	return out
}

// scim is a rule about provisioning.
func scim(methods string, deny bool) store.Rule {
	return store.Rule{API: store.PosternAPI, Methods: methods, Path: scimRoot + "/**", Deny: deny}
}

func builtin(ws store.WorkspaceID, wsName, name, description string, now store.Time, rules ...store.Rule) *store.Role {
	for i := range rules {
		rules[i].Number = i + 1
	}
	return &store.Role{
		ID: store.NewRoleID(), Workspace: ws, Ref: wsName + "/" + name, Description: description,
		Rules: rules, LastNumber: len(rules), Builtin: true, CreatedAt: now,
	}
}

func allow(api, methods, path string) store.Rule {
	return store.Rule{API: api, Methods: methods, Path: path}
}

func deny(methods, path string) store.Rule {
	return store.Rule{API: store.PosternAPI, Methods: methods, Path: root + path, Deny: true}
}
