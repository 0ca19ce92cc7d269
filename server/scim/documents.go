package scim

import (
	"net/http"
	"strings"
)

// documents describe the service (RFC 7644 section 4). They never change.
type documents struct {
	config           resource
	types, described []resource
}

// describe makes the documents.
func (h *Handler) describe() documents {
	supported := func(yes bool) resource { return resource{"supported": yes} }
	d := documents{config: resource{
		"schemas":          []any{schemaConfig},
		"documentationUri": "https://www.rfc-editor.org/rfc/rfc7644",
		"patch":            supported(true),
		"bulk":             resource{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
		"filter":           resource{"supported": true, "maxResults": maxCount},
		"changePassword":   supported(false),
		"sort":             supported(true),
		"etag":             supported(true),
		"authenticationSchemes": []any{resource{
			"type": "oauthbearertoken", "name": "OAuth bearer token", "primary": true,
			"description": "A client's secret that may be sent as a bearer, or an access token for Postern's own API (RFC 6750).",
			"specUri":     "https://www.rfc-editor.org/rfc/rfc6750",
		}},
		"meta": resource{"resourceType": "ServiceProviderConfig", "location": h.Issuer + Prefix + "/ServiceProviderConfig"},
	}}
	for _, k := range []*kind{h.users, h.groups} {
		d.types = append(d.types, resource{
			"schemas": []any{schemaResourceType}, "id": k.name, "name": k.name, "endpoint": "/" + k.plural,
			"description": k.schema.Description, "schema": k.schema.ID, "schemaExtensions": []any{},
			"meta": resource{"resourceType": "ResourceType", "location": h.Issuer + Prefix + "/ResourceTypes/" + k.name},
		})
	}
	for _, s := range []schema{h.users.schema, h.groups.schema, configSchema(), resourceTypeSchema(), schemaOfSchemas()} {
		d.described = append(d.described, resource{
			"schemas": []any{schemaSchema}, "id": s.ID, "name": s.Name, "description": s.Description, "attributes": s.Attributes,
			"meta": resource{"resourceType": "Schema", "location": h.Issuer + Prefix + "/Schemas/" + s.ID},
		})
	}
	return d
}

// document checks that one who asks for a document may, and does not filter it
// (RFC 7644 section 4).
func (h *Handler) document(r request, operation string) error {
	if err := h.Admin.MaySCIM(r.by, operation); err != nil {
		return err
	}
	q, err := r.query()
	if err == nil && q.Has("filter") {
		err = &Error{Status: http.StatusForbidden, Detail: "this list is not filtered (RFC 7644 section 4)"}
	}
	return err
}

func (h *Handler) serviceProviderConfig(r request) (answer, error) {
	return answer{status: http.StatusOK, body: h.documents.config}, h.document(r, "scim.config")
}

func (h *Handler) resourceTypes(r request) (answer, error) {
	if err := h.document(r, "scim.types"); err != nil {
		return answer{}, err
	}
	return oneOrAll(r.id, h.documents.types)
}

func (h *Handler) schemas(r request) (answer, error) {
	if err := h.document(r, "scim.schemas"); err != nil {
		return answer{}, err
	}
	return oneOrAll(r.id, h.documents.described)
}

func oneOrAll(id string, all []resource) (answer, error) {
	if id == "" {
		return answer{status: http.StatusOK, body: map[string]any{
			"schemas": []string{messageList}, "totalResults": len(all), "startIndex": 1, "itemsPerPage": len(all), "Resources": all,
		}}, nil
	}
	for _, r := range all {
		if strings.EqualFold(r.text("id"), id) {
			return answer{status: http.StatusOK, body: r}, nil
		}
	}
	return answer{}, notFound()
}

// configSchema describes ServiceProviderConfig (RFC 7643 section 5).
func configSchema() schema {
	yes := attr("supported", "Whether it is.", boolean, fixed, required)
	return schema{schemaConfig, "ServiceProviderConfig", "What the service can do.", []attribute{
		attr("documentationUri", "Where it is described for people.", refers("external"), fixed),
		attr("patch", "PATCH.", fixed, required, of(yes)),
		attr("bulk", "Bulk requests.", fixed, required, of(yes,
			attr("maxOperations", "The most operations in one.", integer, fixed, required),
			attr("maxPayloadSize", "The most bytes of one.", integer, fixed, required))),
		attr("filter", "Filters.", fixed, required, of(yes,
			attr("maxResults", "The most resources in one answer.", integer, fixed, required))),
		attr("changePassword", "Changes of passwords.", fixed, required, of(yes)),
		attr("sort", "Sorted lists.", fixed, required, of(yes)),
		attr("etag", "ETags.", fixed, required, of(yes)),
		attr("authenticationSchemes", "How to authenticate.", multi, fixed, required, of(
			attr("type", "The kind of scheme.", fixed, required, oneOf("oauth", "oauth2", "oauthbearertoken", "httpbasic", "httpdigest")),
			attr("name", "Its name.", fixed, required),
			attr("description", "What it is.", fixed, required),
			attr("specUri", "Where it is specified.", refers("external"), fixed),
			attr("documentationUri", "Where it is described for people.", refers("external"), fixed),
			attr("primary", "Whether it is the preferred one.", boolean, fixed))),
	}}
}

// resourceTypeSchema describes ResourceType (RFC 7643 section 6).
func resourceTypeSchema() schema {
	return schema{schemaResourceType, "ResourceType", "A type of resource.", []attribute{
		attr("id", "Its id.", fixed),
		attr("name", "Its name.", fixed, required),
		attr("description", "What it is.", fixed),
		attr("endpoint", "Where its resources are, below the base URL.", refers("uri"), fixed, required),
		attr("schema", "Its schema.", refers("uri"), fixed, required),
		attr("schemaExtensions", "The extensions of it.", multi, fixed, required, of(
			attr("schema", "The extension's schema.", refers("uri"), fixed, required),
			attr("required", "Whether every resource has it.", boolean, fixed, required))),
	}}
}

// schemaOfSchemas describes Schema (RFC 7643 section 7).
func schemaOfSchemas() schema {
	parts := func(more ...attribute) []attribute {
		return append([]attribute{
			attr("name", "Its name.", exact, fixed, required),
			attr("type", "What a value is.", exact, fixed, required, oneOf(typeString, typeComplex, typeBoolean, "decimal", typeInteger, typeDateTime, typeReference, "binary")),
			attr("multiValued", "Whether there may be several.", boolean, fixed, required),
			attr("description", "What it is.", exact, fixed),
			attr("required", "Whether it must have a value.", boolean, fixed),
			attr("canonicalValues", "The values that are known.", multi, exact, fixed),
			attr("caseExact", "Whether case counts.", boolean, fixed),
			attr("mutability", "Who may change it, and when.", exact, fixed, oneOf(readOnly, readWrite, immutable, "writeOnly")),
			attr("returned", "When it is sent.", exact, fixed, oneOf(returnedAlways, "never", returnedDefault, "request")),
			attr("uniqueness", "Where it is unique.", exact, fixed, oneOf("none", "server", "global")),
			attr("referenceTypes", "What it may refer to.", multi, exact, fixed),
		}, more...)
	}
	return schema{schemaSchema, "Schema", "A schema.", []attribute{
		attr("id", "Its URN.", fixed, required),
		attr("name", "Its name.", fixed, required),
		attr("description", "What it describes.", fixed),
		attr("attributes", "Its attributes.", multi, fixed, required, of(
			parts(attr("subAttributes", "The parts of a complex one.", multi, fixed, of(parts()...)))...)),
	}}
}
