package scim

import "strings"

// The URNs of schemas and messages (RFC 7643 section 8.7, RFC 7644 section 3.1).
const (
	schemaUser         = "urn:ietf:params:scim:schemas:core:2.0:User"
	schemaGroup        = "urn:ietf:params:scim:schemas:core:2.0:Group"
	schemaConfig       = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
	schemaResourceType = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
	schemaSchema       = "urn:ietf:params:scim:schemas:core:2.0:Schema"

	messageList   = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	messageSearch = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
	messagePatch  = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	messageError  = "urn:ietf:params:scim:api:messages:2.0:Error"
)

// The types of attributes (RFC 7643 section 2.3).
const (
	typeString    = "string"
	typeBoolean   = "boolean"
	typeInteger   = "integer"
	typeDateTime  = "dateTime"
	typeReference = "reference"
	typeComplex   = "complex"
)

// The other characteristics of attributes (RFC 7643 section 7).
const (
	readOnly  = "readOnly"
	readWrite = "readWrite"
	immutable = "immutable"

	returnedDefault = "default"
	returnedAlways  = "always"
)

// attribute is one attribute of a schema, as /Schemas shows it.
type attribute struct {
	Name            string      `json:"name"`
	Type            string      `json:"type"`
	MultiValued     bool        `json:"multiValued"`
	Description     string      `json:"description"`
	Required        bool        `json:"required"`
	CanonicalValues []string    `json:"canonicalValues,omitempty"`
	CaseExact       bool        `json:"caseExact"`
	Mutability      string      `json:"mutability"`
	Returned        string      `json:"returned"`
	Uniqueness      string      `json:"uniqueness"`
	ReferenceTypes  []string    `json:"referenceTypes,omitempty"`
	SubAttributes   []attribute `json:"subAttributes,omitempty"`
}

// schema is a schema, as /Schemas shows it.
type schema struct {
	ID          string      `json:"id"`
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Attributes  []attribute `json:"attributes"`
}

// attr is an attribute that a client may change, of one string in any case.
func attr(name, description string, change ...func(*attribute)) attribute {
	a := attribute{Name: name, Type: typeString, Description: description, Mutability: readWrite, Returned: returnedDefault, Uniqueness: "none"}
	for _, c := range change {
		c(&a)
	}
	return a
}

func required(a *attribute) { a.Required = true }
func multi(a *attribute)    { a.MultiValued = true }
func fixed(a *attribute)    { a.Mutability = readOnly }
func once(a *attribute)     { a.Mutability = immutable }
func exact(a *attribute)    { a.CaseExact = true }
func always(a *attribute)   { a.Returned = returnedAlways }
func boolean(a *attribute)  { a.Type = typeBoolean }
func integer(a *attribute)  { a.Type = typeInteger }
func moment(a *attribute)   { a.Type = typeDateTime }
func unique(a *attribute)   { a.Uniqueness = "server" }
func oneOf(values ...string) func(*attribute) {
	return func(a *attribute) { a.CanonicalValues = values }
}

func refers(to ...string) func(*attribute) {
	return func(a *attribute) { a.Type, a.CaseExact, a.ReferenceTypes = typeReference, true, to }
}

func of(sub ...attribute) func(*attribute) {
	return func(a *attribute) { a.Type, a.SubAttributes = typeComplex, sub }
}

// common are the attributes of every resource (RFC 7643 section 3.1). A schema
// does not list them.
func common() []attribute {
	return []attribute{
		attr("schemas", "The schemas of the resource.", multi, exact, fixed, always),
		attr("id", "Made by Postern, and never used again.", exact, fixed, always, unique),
		attr("externalId", "What the provisioning system calls it.", exact),
		attr("meta", "About the resource.", fixed, of(
			attr("resourceType", "User or Group.", exact, fixed),
			attr("created", "When it was made.", moment, fixed),
			attr("lastModified", "When it was changed last.", moment, fixed),
			attr("location", "Where it is.", refers("uri"), fixed),
			attr("version", "Its ETag.", exact, fixed),
		)),
	}
}

func userSchema() schema {
	return schema{schemaUser, "User", "A person.", []attribute{
		attr("userName", "What the person signs in by; unique in any case.", required, unique),
		attr("name", "The parts of the person's name.", of(
			attr("formatted", "All of it, as it is shown."),
			attr("familyName", "The family name."),
			attr("givenName", "The given name."),
		)),
		attr("displayName", "The name that people see."),
		attr("active", "Whether the person may do anything. One that is created without is active; it always has a value.", boolean, required),
		attr("emails", "The mail address. Postern keeps one: the primary one, else the first.", multi, of(
			attr("value", "The address."),
			attr("type", "Always work.", oneOf("work")),
			attr("primary", "Whether the provisioning system prefers it.", boolean),
		)),
		attr("groups", "The groups that the person is a member of. They are changed through the group.", multi, fixed, of(
			attr("value", "The id of the group.", exact, fixed),
			attr("$ref", "Where the group is.", refers("Group"), fixed),
			attr("display", "The group's name.", fixed),
			attr("type", "Always direct.", oneOf("direct"), fixed),
		)),
	}}
}

func groupSchema() schema {
	return schema{schemaGroup, "Group", "A team.", []attribute{
		attr("displayName", "The name that people see.", required),
		attr("members", "The people in it who are provisioned. Others who are in it are not shown and not touched.", multi, of(
			attr("value", "The id of the person.", exact, once),
			attr("$ref", "Where the person is.", refers("User"), once),
			attr("type", "Always User.", oneOf("User"), once),
		)),
	}}
}

// lookup finds an attribute by name, in any case, or nil.
func lookup(in []attribute, name string) *attribute {
	for i := range in {
		if strings.EqualFold(in[i].Name, name) {
			return &in[i]
		}
	}
	return nil
}

// kind is a type of resource: what it is called, where it is, what it looks like.
type kind struct {
	name       string // "User"
	plural     string // "Users", which is its endpoint
	schema     schema
	attributes []attribute // of the schema, and the common ones
}

func newKind(s schema) *kind {
	return &kind{name: s.Name, plural: s.Name + "s", schema: s, attributes: append(common(), s.Attributes...)}
}

// resolve finds what a path names. sub is nil for a whole attribute.
func (k *kind) resolve(p path) (top, sub *attribute, ok bool) {
	if p.urn != "" && !strings.EqualFold(p.urn, k.schema.ID) {
		return nil, nil, false
	}
	if top = lookup(k.attributes, p.name); top == nil {
		return nil, nil, false
	}
	if p.sub == "" {
		return top, nil, true
	}
	sub = lookup(top.SubAttributes, p.sub)
	return top, sub, sub != nil
}
