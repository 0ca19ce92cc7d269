package declare

import "slices"

// The kinds of documents.
const (
	kindWorkspace = "workspace"
	kindAPI       = "api"
	kindRole      = "role"
	kindAccount   = "account"
	kindTeam      = "team"
	kindClient    = "client"
	kindGrant     = "grant"
)

// form is what a field can hold.
type form int

// The forms.
const (
	text      form = iota // a string
	truth                 // true or false
	span                  // int64 seconds, written 15m or 90d
	life                  // a lifetime: 90d, 1y or never
	texts                 // []string, in any order
	roles                 // []string of roles, by name in their workspace or by ref; null where it is allowed
	rules                 // []api.Rule
	endpoints             // []api.Endpoint
	shares                // []api.Share
	granted               // []api.GrantedRole
)

// field is one of a kind's.
type field struct {
	name     string
	form     form
	initial  string // what it is unless it is said, for what is not empty then; export leaves it out
	null     bool   // null may stand for it
	oneOf    []string
	late     bool // names clients or people, so it is set when these are made
	only     bool // means something for what is new only, and never changes
	required bool
}

// kind is a kind of documents.
type kind struct {
	name   string
	key    string // the field that names it: name, or key
	within bool   // a workspace
	fields []field
}

// kindNamed returns a kind, or nil.
func kindNamed(name string) *kind {
	all := kinds()
	i := slices.IndexFunc(all, func(k kind) bool { return k.name == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// kinds are all of them, in the order in which they are made.
func kinds() []kind {
	return []kind{
		{name: kindWorkspace, key: "name", fields: []field{
			{name: "description"},
			{name: "api_access", form: truth, initial: "true"},
			{name: "who_may_create", initial: "administrators", oneOf: []string{"administrators", "everyone", "named"}},
			{name: "max_lifetime", form: span},
			{name: "never_forbidden", form: truth},
			{name: "lifetimes", form: texts},
			{name: "personal_people", form: texts, late: true},
			{name: "personal_auto", form: truth},
			{name: "leak_policy", initial: "revoke", oneOf: []string{"revoke", "client", "alert"}},
		}},
		{name: kindAPI, key: "name", within: true, fields: []field{
			{name: "description"},
			{name: "audience", required: true},
			{name: "hosts", form: texts},
			{name: "endpoints", form: endpoints},
			{name: "public", form: endpoints},
			{name: "shared_with", form: shares},
			{name: "format", oneOf: []string{"", "jwt", "opaque"}},
			{name: "algorithm"},
			{name: "token_type"},
			{name: "access_ttl", form: span},
			{name: "introspectors", form: texts, late: true},
			{name: "workspace_from"},
			{name: "max_staleness", form: span},
			{name: "semicolon", form: truth},
			{name: "encoded_slash", form: truth},
			{name: "double_slash", form: truth},
			{name: "non_ascii", form: truth},
			{name: "fold_case", form: truth},
			{name: "evaluate_ids", form: truth},
			{name: "delegation", form: truth},
			{name: "certificate_header"},
		}},
		{name: kindRole, key: "name", within: true, fields: []field{
			{name: "description"},
			{name: "parents", form: roles},
			{name: "rules", form: rules},
		}},
		{name: kindAccount, key: "name", fields: []field{
			{name: "display_name"},
			{name: "email"},
			{name: "licence", initial: "steward", null: true},
			{name: "status", initial: "active", oneOf: []string{"active", "deactivated"}},
		}},
		{name: kindTeam, key: "name", fields: []field{
			{name: "display_name"},
			{name: "description"},
			{name: "members", form: texts, late: true},
			{name: "scim_may_grant", form: truth},
		}},
		{name: kindClient, key: "key", within: true, fields: []field{
			{name: "name"},
			{name: "description"},
			{name: "account", only: true},
			{name: "responsible"},
			{name: "licence", initial: "steward", null: true},
			{name: "roles", form: granted},
			{name: "narrowed_to", form: roles, null: true},
			{name: "default_api"},
			{name: "expires_in", form: life, only: true},
			{name: "bearer", form: truth},
			{name: "admin_access", form: truth},
			{name: "scim_only", form: truth},
			{name: "addresses", form: texts},
			{name: "binding", oneOf: []string{"", "certificate", "dpop"}},
			{name: "profile", oneOf: []string{"", "fapi2"}},
			{name: "status", initial: "active", oneOf: []string{"active", "revoked", "expired"}},
		}},
		{name: kindGrant, within: true, fields: []field{
			{name: "roles", form: granted, required: true},
		}},
	}
}
