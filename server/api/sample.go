package api

import (
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// sampler makes examples of what is sent and answered, out of the schemas and of
// what each property usually holds.
type sampler struct{ registry huma.Registry }

// mostDeep is how deep examples go; what is recursive ends there.
const mostDeep = 8

// samples are what properties hold, by their name or by schema and name. Nil is
// null. No secret here has a right checksum.
//
//nolint:gochecknoglobals,gosec // a constant table, of which no value is a secret
var samples = map[string]any{
	"access_ttl": 900, "account": "svc4m9x2k7q1w8e5r3t6y0u2i4o7", "actor": "admin", "address": "203.0.113.7", "algorithm": "ES256", "api": "orders",
	"audience": "https://orders.example.com", "ceiling": "*/steward#1", "client": "cli8r2v5n1k4m7q0w3e6t9y2u5i8", "client_id": "cli8r2v5n1k4m7q0w3e6t9y2u5i8",
	"client_secret": "pst_cli8r2v5n1k4m7q0w3e6t9y2u5i8_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG000000", "count": 42, "default_api": "orders",
	"description": "Places orders for the shop.", "detail": "the request has faults", "display_name": "Orders administrator", "email": "orders@example.com", "expires_in": "90d",
	"expires_in_days": 90, "external_id": "00u1a2b3", "format": "jwt", "grant": "gra5k8n1r4v7z0c3f6j9m2p5s8w1", "holder": "svc4m9x2k7q1w8e5r3t6y0u2i4o7",
	"id": "cli8r2v5n1k4m7q0w3e6t9y2u5i8", "issuer": "https://auth.example.com", "key": "shop-backend", "keys": 6, "kid": "access-ES256-2-3kq9", "kind": "service",
	"label": "from the pipeline", "last_used_endpoint": "GET /orders/{id}", "last_used_from": "203.0.113.7", "licence": "*/steward", "limit": 50, "location": "body.name",
	"max_lifetime": 7776000, "max_staleness": 0, "message": "The token has been successfully revoked.", "method": "GET", "methods": "GET HEAD", "name": "shop backend",
	"nearest": "acme/clerk#2", "next": "q83vEjRWeJA", "number": 1, "operation": "client.create", "overlap": "24h", "param": "device", "password": "correct horse battery staple",
	"path": "/orders/{id}", "period": 2, "place": 118, "reason": "granted", "ref": "acme/clerk", "refusal_address": "198.51.100.9", "refusal_endpoint": "DELETE /orders/{id}",
	"request_id": "k3v9q2m7xw4t-2f", "retire_at": nil, "revision": 3, "revoked_at": nil, "parent": nil, "refused": nil, "revoked_reason": nil, "role": "acme/clerk", "rule": "acme/clerk#1",
	"scope": "orders:read", "search": "shop", "secret": "sec1a4d7g0j3m6p9s2v5y8b1e4h7", "secret_id": "sec1a4d7g0j3m6p9s2v5y8b1e4h7", "state": "active", "status": "active",
	"success_address": "203.0.113.7", "success_endpoint": "GET /orders/{id}", "summary": "One order", "target": "cli8r2v5n1k4m7q0w3e6t9y2u5i8", "target_kind": "clients",
	"target_name": "shop backend", "text": "entry 118 is not what was sealed", "title": "Forbidden", "token": "psi_usr6k9n2r5v8z1c4f7j0m3p6s9w2_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG000000",
	"token_type": "at+jwt", "total": 1, "use": "access", "user_name": "orders@example.com", "value": "d1", "whole": true, "workspace": "acme", "workspace_from": "fixed",
	"entry": "aud2e5h8k1n4q7t0w3z6c9f2j5m8", "entries": 118, "fault": "changed", "team": "ops", "teams": []any{"ops"}, "roles": []any{"acme/clerk"}, "addresses": []any{"203.0.113.0/24"},
	"allowed": true, "api_access": true, "bearer": false, "used": true, "admin_access": false, "scim_only": false, "warnings": []any{}, "problems": []any{}, "missing": []any{}, "hosts": []any{},
	"narrowed_to": nil, "introspectors": []any{}, "parents": []any{}, "shared_with": []any{}, "public": []any{}, "personal_people": []any{}, "tags": []any{"orders"}, "scopes": []any{"orders:read"},
	"url": "https://hooks.example.com/postern", "If-Match": `"3"`, "Idempotency-Key": "order-4711", "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z",
	"created": "2026-01-31T12:00:00.000Z", "resources": map[string]any{"device": []any{"d1", "d2"}}, "before": map[string]any{"status": "active"}, "after": map[string]any{"status": "revoked"},

	"Account.id": "usr6k9n2r5v8z1c4f7j0m3p6s9w2", "Account.kind": "user", "Account.name": "orders-admin", "AccountInvite.name": "orders-admin", "AccountInvite.licence": "steward", "AccountPatch.licence": "reader",
	"AuditEntry.id": "aud2e5h8k1n4q7t0w3z6c9f2j5m8", "AuditEntry.operation": "client.revoke", "AuditEntry.account": "usr6k9n2r5v8z1c4f7j0m3p6s9w2",
	"Check.path": "/orders/42", "Check.operation": nil, "Counter.outcome": "allowed", "Endpoint.graphql": false, "Explanation.via": nil, "Grant.id": "gra5k8n1r4v7z0c3f6j9m2p5s8w1",
	"ChangedGrant.id": "gra5k8n1r4v7z0c3f6j9m2p5s8w1", "Key.id": "key3c6f9j2m5p8s1v4y7b0e3h6k9", "Reference.id": "svc4m9x2k7q1w8e5r3t6y0u2i4o7", "ResourceServer.id": "api7d0g3j6m9p2s5v8y1b4e7h0k3",
	"ResourceServer.name": "orders", "ResourceServerCreate.name": "orders", "ResourceServer.description": "What the shop sells.", "Role.id": "rol0f3i6l9o2r5u8x1a4d7g0j3m6", "Role.name": "clerk", "RoleCreate.name": "clerk",
	"Role.description": "Reads and writes orders.", "Rule.operation": nil, "Rule.deny": false, "Secret.id": "sec1a4d7g0j3m6p9s2v5y8b1e4h7", "Team.id": "tea9b2e5h8k1n4q7t0w3z6c9f2j5", "Team.name": "ops", "TeamCreate.name": "ops",
	"Team.display_name": "Operations", "Team.description": "Who runs the shop.", "Workspace.id": "wsp6a9d2g5j8m1p4s7v0y3b6e9h2", "Workspace.name": "acme", "WorkspaceCreate.name": "acme", "Workspace.description": "The shop and what belongs to it.",
	"code": "123456", "totp_secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "uri": "otpauth://totp/Postern%20auth.example.com:orders-admin?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
	"provider": "https://login.example.com", "recovery_codes": []any{"abcd-efgh-ijkm-npqr"}, "second_factor": false,
	"Accepted.client": nil, "Reference.name": "shop-backend",
}

// requests are examples of bodies that their schemas alone would not make well,
// by operation.
//
//nolint:gochecknoglobals // a constant table
var requests = map[string]any{
	"client.create":     map[string]any{"name": "shop backend", "workspace": "default", "description": "Places orders for the shop.", "roles": []any{"example-reader"}, "expires_in": "90d"},
	"client.edit":       map[string]any{"description": "Places orders.", "addresses": []any{"203.0.113.0/24"}},
	"client.revoke":     map[string]any{"reason": "the shop moved"},
	"client.rotate":     map[string]any{"label": "from the pipeline", "overlap": "24h"},
	"client.trust.test": map[string]any{"jwt": "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIn0.c2lnbmF0dXJl"},
	"role.create": map[string]any{"workspace": "default", "name": "clerk", "description": "Reads and writes orders.", "rules": []any{
		map[string]any{"api": "example", "methods": "GET HEAD", "path": "/orders/**", "scope": "orders:read"},
	}},
	"role.edit": map[string]any{"description": "Reads orders."},
	"grant.set": map[string]any{"roles": []any{map[string]any{"role": "example-reader", "resources": map[string]any{"order": []any{"42"}}}}},
	"api.create": map[string]any{"name": "orders", "workspace": "default", "audience": "https://orders.example.com", "endpoints": []any{
		map[string]any{"methods": "GET HEAD", "path": "/orders/{id}", "summary": "One order"},
	}},
	"api.edit":         map[string]any{"access_ttl": 900, "format": "opaque"},
	"api.import":       `{"openapi":"3.0.0","info":{"title":"Orders","version":"1"},"paths":{"/orders/{id}":{"get":{"summary":"One order","responses":{}}}}}` + "\n",
	"workspace.create": map[string]any{"name": "acme", "description": "The shop and what belongs to it."},
	"workspace.edit":   map[string]any{"max_lifetime": 7776000, "never_forbidden": true},
	"account.invite":   map[string]any{"name": "orders-admin", "display_name": "Orders administrator", "email": "orders@example.com"},
	"account.edit":     map[string]any{"licence": "reader"},
	"team.create":      map[string]any{"name": "ops", "description": "Who runs the shop."},
	"team.edit":        map[string]any{"description": "Who runs the shop."},
	"me.totp.delete":   map[string]any{"password": "correct horse battery staple"},
	"check":            map[string]any{"client": "cli8r2v5n1k4m7q0w3e6t9y2u5i8", "api": "example", "method": "GET", "path": "/orders/42"},
}

// operation adds examples and what is missing of descriptions to an operation.
func (s *sampler) operation(op *huma.Operation) {
	for _, p := range op.Parameters {
		if p.Description == "" {
			p.Description = aboutParameter(p)
		}
		if p.Schema != nil {
			copied := *p.Schema
			copied.Description = "" // it is the parameter's
			p.Schema = &copied
		}
		if p.In == "path" || p.In == "header" {
			p.Example = s.named("", p.Name, p.Schema, 0)
		}
	}
	if op.RequestBody != nil {
		for _, media := range op.RequestBody.Content {
			media.Example = requests[op.OperationID]
			if media.Example == nil {
				media.Example = s.example(media.Schema, true, 0)
			}
		}
	}
	for status, response := range op.Responses {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		for name := range response.Headers {
			if name == "ETag" {
				response.Headers[name] = &huma.Header{Ref: "#/components/headers/ETag"}
			}
		}
		for kind, media := range response.Content {
			if media.Example == nil && kind == "application/json" {
				media.Example = s.example(media.Schema, false, 0)
			}
		}
	}
}

// example is a value of a schema. Of a body that is sent, it has what is required
// alone, where something is.
func (s *sampler) example(schema *huma.Schema, sent bool, depth int) any {
	name := ""
	if schema.Ref != "" {
		name = schema.Ref[strings.LastIndex(schema.Ref, "/")+1:]
		schema = s.registry.SchemaFromRef(schema.Ref)
	}
	switch {
	case depth > mostDeep:
		return nil
	case len(schema.Examples) > 0:
		return schema.Examples[0]
	case schema.Type == huma.TypeArray:
		return []any{s.example(schema.Items, sent, depth+1)}
	case schema.Type != huma.TypeObject:
		return s.plain(schema)
	}
	out := map[string]any{}
	for property, inner := range schema.Properties {
		if sent && len(schema.Required) > 0 && !slices.Contains(schema.Required, property) || inner.Description == "Never changes." {
			continue
		}
		if value := s.named(name, property, inner, depth+1); value != nil && value != "" || slices.Contains(schema.Required, property) {
			out[property] = value
		}
	}
	return out
}

// named is what a property or parameter of a name holds.
func (s *sampler) named(of, name string, schema *huma.Schema, depth int) any {
	value, known := samples[of+"."+name]
	if !known {
		value, known = samples[name]
	}
	if known && (value == nil && (schema.Nullable || of != "") || fits(value, schema)) {
		return value
	}
	if schema.Ref != "" || schema.Type == huma.TypeArray || schema.Type == huma.TypeObject {
		return s.example(schema, false, depth)
	}
	if value := s.plain(schema); value != "" || known {
		return value
	}
	return strings.ReplaceAll(name, "_", " ")
}

// fits reports whether a sample is of the schema's type: a name may be used for
// something else elsewhere.
func fits(value any, schema *huma.Schema) bool {
	if len(schema.Enum) > 0 && !slices.Contains(schema.Enum, value) {
		return false
	}
	switch value := value.(type) {
	case string:
		return schema.Type == huma.TypeString && (schema.Format == "" || schema.Format == "uri")
	case int:
		return schema.Type == huma.TypeInteger
	case bool:
		return schema.Type == huma.TypeBoolean
	case map[string]any:
		return schema.Type == huma.TypeObject && len(schema.Properties) == 0 || schema.Type == ""
	case []any:
		return schema.Type == huma.TypeArray && (len(value) == 0 || schema.Items != nil && schema.Items.Type == huma.TypeString)
	}
	return false
}

// plain is a value of a schema without members.
func (s *sampler) plain(schema *huma.Schema) any {
	if schema.Default != nil {
		return schema.Default
	}
	for _, each := range schema.Enum {
		if each != "" {
			return each
		}
	}
	switch schema.Type {
	case huma.TypeInteger, huma.TypeNumber:
		if schema.Minimum != nil {
			return int(*schema.Minimum)
		}
		return 1
	case huma.TypeBoolean:
		return false
	case huma.TypeString:
		if schema.Format == "date-time" {
			return "2026-01-31T12:00:00.000Z"
		}
		return ""
	}
	return nil
}
