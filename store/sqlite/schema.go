package sqlite

import "fmt"

// applicationID marks a file as Postern's: "Pstn".
const applicationID = 0x5073746e

// migrations are the steps from each version of the schema to the next, the
// first from nothing. A step that was released never changes.
func migrations() [][]string {
	return [][]string{{
		records("installation", ""),
		records("workspaces", "name TEXT NOT NULL UNIQUE"),
		records("apis", "name TEXT NOT NULL UNIQUE, audience TEXT NOT NULL UNIQUE"),
		records("roles", "ref TEXT NOT NULL UNIQUE"),
		records("teams", "name TEXT NOT NULL UNIQUE"),
		records("keys", ""),
		records("chains", ""),
		records("leases", ""),

		records("revocations", "expires_at INTEGER NOT NULL"),
		"CREATE INDEX revocations_by_expiry ON revocations (expires_at) WHERE expires_at > 0",

		records("accounts", "name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, status TEXT NOT NULL, licence TEXT NOT NULL, search TEXT NOT NULL"),
		"CREATE INDEX accounts_by_licence ON accounts (licence, name) WHERE licence > ''",

		records("grants", "workspace TEXT NOT NULL, team INTEGER NOT NULL"),
		"CREATE INDEX grants_by_workspace ON grants (workspace, id)",
		"CREATE INDEX grants_of_teams ON grants (id) WHERE team",

		// The members of lists that are asked for: an account's teams, a grant's roles.
		"CREATE TABLE links (kind TEXT NOT NULL, value TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (kind, value, id)) WITHOUT ROWID",
		"CREATE INDEX links_of ON links (kind, id)",

		// sort_name is lower-cased; expires_at is the greatest integer for never; last_used follows last_use.
		records("clients", `workspace TEXT NOT NULL, key TEXT, sort_name TEXT NOT NULL, search TEXT NOT NULL, account TEXT NOT NULL, kind TEXT NOT NULL,
			status TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, last_used INTEGER NOT NULL`),
		"CREATE UNIQUE INDEX clients_by_key ON clients (workspace, key) WHERE key IS NOT NULL",
		"CREATE INDEX clients_by_name ON clients (sort_name, id)",
		"CREATE INDEX clients_by_created ON clients (created_at, id)",
		"CREATE INDEX clients_by_expires ON clients (expires_at, id)",
		"CREATE INDEX clients_by_last_used ON clients (last_used, id)",
		"CREATE INDEX clients_by_workspace ON clients (workspace, sort_name, id)",
		"CREATE INDEX clients_by_account ON clients (account, sort_name, id)",

		records("audit", `at INTEGER NOT NULL, workspace TEXT NOT NULL, account TEXT NOT NULL, client TEXT NOT NULL, target TEXT NOT NULL,
			operation TEXT NOT NULL, place INTEGER NOT NULL`),
		"CREATE INDEX audit_by_time ON audit (at, id)",
		"CREATE INDEX audit_by_workspace ON audit (workspace, at, id)",
		"CREATE INDEX audit_by_account ON audit (account, at, id) WHERE account > ''",
		"CREATE INDEX audit_by_client ON audit (client, at, id) WHERE client > ''",
		"CREATE INDEX audit_by_target ON audit (target, at, id) WHERE target > ''",
		"CREATE INDEX audit_by_place ON audit (workspace, place) WHERE place > 0",
		"CREATE INDEX audit_unsealed ON audit (at, id) WHERE place = 0",

		`CREATE TABLE usage (hour INTEGER NOT NULL, client TEXT NOT NULL, secret TEXT NOT NULL, rule TEXT NOT NULL, outcome TEXT NOT NULL,
			process TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (hour, client, secret, rule, outcome, process)) WITHOUT ROWID`,
		"CREATE INDEX usage_by_client ON usage (client, hour)",
		`CREATE TABLE last_use (client TEXT NOT NULL, secret TEXT NOT NULL,
			success_at INTEGER NOT NULL, success_address TEXT NOT NULL, success_endpoint TEXT NOT NULL,
			refusal_at INTEGER NOT NULL, refusal_address TEXT NOT NULL, refusal_endpoint TEXT NOT NULL,
			PRIMARY KEY (client, secret)) WITHOUT ROWID`,
	}, {
		records("webhooks", ""),
		records("deliveries", "webhook TEXT NOT NULL, status TEXT NOT NULL, due_at INTEGER NOT NULL, expires_at INTEGER NOT NULL"),
		"CREATE INDEX deliveries_due ON deliveries (due_at, id) WHERE status = 'waiting'",
		"CREATE INDEX deliveries_by_webhook ON deliveries (webhook, id)",
		"CREATE INDEX deliveries_by_expiry ON deliveries (expires_at) WHERE expires_at > 0",
		records("sessions", "expires_at INTEGER NOT NULL"),
		"CREATE INDEX sessions_by_expiry ON sessions (expires_at) WHERE expires_at > 0",
		records("idempotency", "expires_at INTEGER NOT NULL"),
		"CREATE INDEX idempotency_by_expiry ON idempotency (expires_at) WHERE expires_at > 0",

		// user_name is lower-cased, and NULL for none.
		"ALTER TABLE accounts ADD COLUMN user_name TEXT",
		"ALTER TABLE accounts ADD COLUMN provisioned INTEGER NOT NULL DEFAULT 0",
		"CREATE UNIQUE INDEX accounts_by_user_name ON accounts (user_name) WHERE user_name IS NOT NULL",
		"CREATE INDEX accounts_provisioned ON accounts (name) WHERE provisioned",

		"ALTER TABLE clients ADD COLUMN responsible TEXT NOT NULL DEFAULT ''",
		"ALTER TABLE clients ADD COLUMN confirm_by INTEGER NOT NULL DEFAULT 0",
		"UPDATE clients SET responsible = coalesce(json_extract(doc, '$.responsible'), '')",
		"CREATE INDEX clients_by_responsible ON clients (responsible, sort_name, id)",
		"CREATE INDEX clients_to_confirm ON clients (confirm_by, id) WHERE confirm_by > 0",
		// As endLinks writes them.
		`INSERT OR IGNORE INTO links (kind, value, id) SELECT 'clients', printf('%016d', expires_at), id FROM clients WHERE expires_at < 9223372036854775807`,
		`INSERT OR IGNORE INTO links (kind, value, id) SELECT 'clients', printf('%016d', json_extract(s.value, '$.expires_at')), c.id
			FROM clients AS c, json_each(c.doc, '$.secrets') AS s
			WHERE coalesce(json_extract(s.value, '$.expires_at'), 0) > 0 AND coalesce(json_extract(s.value, '$.revoked_at'), 0) = 0`,
	}, {
		"ALTER TABLE clients ADD COLUMN slow INTEGER NOT NULL DEFAULT 0",
		"CREATE INDEX clients_slow ON clients (sort_name, id) WHERE slow",
	}, {
		// With all that lists and counts ask for, so that they read no record but
		// those of the page. Two of them have the text that is searched, too.
		"DROP INDEX clients_by_name",
		"DROP INDEX clients_by_created",
		"DROP INDEX clients_by_expires",
		"DROP INDEX clients_by_last_used",
		"DROP INDEX clients_by_workspace",
		"CREATE INDEX clients_by_name ON clients (sort_name, id, status, created_at, expires_at, last_used, workspace, kind, search)",
		"CREATE INDEX clients_by_created ON clients (created_at, id, status, expires_at, last_used, workspace, kind)",
		"CREATE INDEX clients_by_expires ON clients (expires_at, id, status, last_used, workspace, kind)",
		"CREATE INDEX clients_by_last_used ON clients (last_used, id, status, expires_at, workspace, kind)",
		"CREATE INDEX clients_by_workspace ON clients (workspace, sort_name, id, status, created_at, expires_at, last_used, kind, search)",
	}, {
		// Which rules nobody used is asked by rule, not by hour or client.
		"CREATE INDEX usage_by_rule ON usage (rule, hour) WHERE outcome = 'allowed' AND rule > ''",
	}, {
		records("second_factors", ""),
	}, {
		// What the clients of a workspace did together; they did something before.
		`CREATE TABLE usage_sums (workspace TEXT NOT NULL, hour INTEGER NOT NULL, rule TEXT NOT NULL, outcome TEXT NOT NULL,
			process TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (workspace, hour, rule, outcome, process)) WITHOUT ROWID`,
		"CREATE INDEX usage_sums_by_hour ON usage_sums (hour)",
		`INSERT INTO usage_sums SELECT c.workspace, u.hour, u.rule, u.outcome, u.process, sum(u.count) FROM usage AS u JOIN clients AS c ON c.id = u.client
			GROUP BY 1, 2, 3, 4, 5`,
		"ALTER TABLE clients ADD COLUMN noted INTEGER NOT NULL DEFAULT 0",
		`UPDATE clients SET noted = 1 WHERE status <> 'deleted' AND (coalesce(json_extract(doc, '$.warning'), '') > ''
			OR EXISTS (SELECT 1 FROM json_each(doc, '$.secrets') AS s WHERE coalesce(json_extract(s.value, '$.leaked_at'), 0) > 0))`,
		"CREATE INDEX clients_noted ON clients (sort_name, id) WHERE noted",
		"CREATE INDEX last_use_by_refusal ON last_use (refusal_at DESC, client, secret) WHERE refusal_at > 0",
	}, {
		records("identities", ""),
	}, {
		"CREATE INDEX audit_refused ON audit (at, id) WHERE json_extract(doc, '$.refused') > ''",
	}, {
		// For the counts of overviews: see ClientQuery.IsFigure. The expression keeps lists,
		// which have an order, from it.
		"CREATE INDEX clients_counted ON clients (workspace, status || ' ' || kind, expires_at, last_used, created_at, status, kind)",
	}, {
		records("status_indexes", "place INTEGER NOT NULL UNIQUE, expires_at INTEGER NOT NULL"),
		"CREATE INDEX status_indexes_by_expiry ON status_indexes (expires_at) WHERE expires_at > 0",
	}}
}

// records is a table of records: the whole record as JSON, and beside it the
// columns that its queries need.
func records(name, columns string) string {
	if columns != "" {
		columns = ", " + columns
	}
	return fmt.Sprintf("CREATE TABLE %s (id TEXT NOT NULL PRIMARY KEY, revision INTEGER NOT NULL, doc TEXT NOT NULL%s)", name, columns)
}

// checked are the tables in the order in which a start checks them.
func checked() []string {
	return []string{
		"installation", "workspaces", "apis", "roles", "teams", "keys", "chains", "leases", "revocations", "status_indexes", "webhooks",
		"accounts", "clients", "grants", "links", "last_use", "sessions", "idempotency", "second_factors", "identities", "deliveries", "usage", "usage_sums", "audit",
	}
}
