package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/server/admin"
	"postern/server/strictjson"
	"postern/server/telemetry"
	"postern/store"
)

// metadata is what a client says of itself (RFC 7591 section 2). What is not here
// is ignored, as that section has it, and not in the answer; scopes are given by
// roles.
type metadata struct {
	Name          string          `json:"client_name,omitempty"`
	GrantTypes    []string        `json:"grant_types,omitempty"`
	Method        string          `json:"token_endpoint_auth_method,omitempty"`
	JWKS          json.RawMessage `json:"jwks,omitempty"`
	JWKSURI       string          `json:"jwks_uri,omitempty"`
	RedirectURIs  []string        `json:"redirect_uris,omitempty"`
	ResponseTypes []string        `json:"response_types,omitempty"`
	Statement     string          `json:"software_statement,omitempty"`

	// RFC 8705 sections 2.1.2 and 3.4, RFC 9449 section 5.2.
	Subject            string `json:"tls_client_auth_subject_dn,omitempty"`
	SanDNS             string `json:"tls_client_auth_san_dns,omitempty"`
	SanURI             string `json:"tls_client_auth_san_uri,omitempty"`
	SanIP              string `json:"tls_client_auth_san_ip,omitempty"`
	SanEmail           string `json:"tls_client_auth_san_email,omitempty"`
	BoundToCertificate bool   `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	BoundByDPoP        bool   `json:"dpop_bound_access_tokens,omitempty"`

	// Postern's own.
	Workspace  string   `json:"postern_workspace,omitempty"`
	Roles      []string `json:"postern_roles,omitempty"`
	DefaultAPI string   `json:"postern_default_api,omitempty"`
}

// registered is a client as its registration shows it (RFC 7591 section 3.2.1, RFC
// 7592 section 3).
type registered struct {
	ClientID  string `json:"client_id"`
	Secret    string `json:"client_secret,omitempty"`
	IssuedAt  int64  `json:"client_id_issued_at"`
	ExpiresAt *int64 `json:"client_secret_expires_at,omitempty"` // 0 is never
	Token     string `json:"registration_access_token"`
	URI       string `json:"registration_client_uri"`
	metadata
}

// unregistered is an error (RFC 7591 section 3.2.2).
type unregistered struct {
	status            int
	code, description string
}

func (e *unregistered) Error() string { return e.description }

func badMetadata(description string) error {
	return &unregistered{http.StatusBadRequest, "invalid_client_metadata", description}
}

const maxMetadata = 64 << 10 // bytes of a request

// registrations are the endpoints of dynamic registration (RFC 7591, RFC 7592). The
// initial access token is a credential of whoever may create clients, and creates
// what they may.
func (m *mounted) registrations(r gin.IRoutes) {
	r.POST("/oauth2/register", m.registration(http.StatusCreated, m.registerClient))
	r.GET("/oauth2/register/:client", m.registration(http.StatusOK, m.readRegistration))
	r.PUT("/oauth2/register/:client", m.registration(http.StatusOK, m.changeRegistration))
	r.DELETE("/oauth2/register/:client", m.registration(http.StatusNoContent, m.deleteRegistration))
}

func (m *mounted) registration(status int, serve func(*gin.Context) (*registered, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("Cache-Control", "no-store")
		var out *registered
		err := error(&unregistered{http.StatusServiceUnavailable, "temporarily_unavailable", "this node lost touch with its store; try again shortly"})
		if m.State.Age() <= m.MaxStaleness {
			out, err = serve(c)
		}
		switch {
		case err != nil:
			m.unregistered(c, err)
		case out == nil:
			c.Status(status)
		default:
			c.JSON(status, out)
		}
	}
}

// unregistered answers with an error.
func (m *mounted) unregistered(c *gin.Context, err error) {
	e, ok := errors.AsType[*unregistered](err)
	if of, known := errors.AsType[*admin.Error](err); !ok && known {
		e = &unregistered{statusOf(of.Kind), "access_denied", of.Message}
		switch of.Kind {
		case admin.Invalid, admin.Conflict:
			e.status, e.code = http.StatusBadRequest, "invalid_client_metadata"
			for _, f := range of.Faults {
				e.description += "; " + f.Place + " " + f.Message
			}
		case admin.Unauthenticated:
			e.code = "invalid_token"
		case admin.Unavailable:
			e.code = "temporarily_unavailable"
		default: // a refusal, with a status that says which
		}
	} else if !ok {
		m.Log.ErrorContext(c.Request.Context(), "a registration failed", "error", err)
		e = &unregistered{http.StatusInternalServerError, "server_error", "see the server's log"}
	}
	switch e.status {
	case http.StatusUnauthorized:
		c.Header("WWW-Authenticate", `Bearer realm="postern", error="invalid_token"`)
	case http.StatusServiceUnavailable:
		c.Header("Retry-After", retryAfter)
	}
	c.JSON(e.status, map[string]string{"error": e.code, "error_description": e.description})
}

func (m *mounted) readMetadata(r *http.Request) (*metadata, error) {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/json" {
		return nil, badMetadata("the content type must be application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxMetadata+1))
	if err != nil || len(body) > maxMetadata {
		return nil, badMetadata("the body cannot be read to its end, or has more than 64 kB")
	}
	if _, err := strictjson.Object(body); err != nil {
		return nil, badMetadata(err.Error())
	}
	d := &metadata{}
	if err := json.Unmarshal(body, d); err != nil {
		return nil, badMetadata("a member of the metadata is of the wrong type")
	}
	return d, d.check()
}

// The methods by which a client can be registered to authenticate.
const (
	byBasic      = "client_secret_basic"
	byPost       = "client_secret_post"
	byKey        = "private_key_jwt"
	byName       = "tls_client_auth"
	bySelfSigned = "self_signed_tls_client_auth"
)

func (d *metadata) check() error {
	if d.Method == "" {
		d.Method = byBasic // RFC 7591 section 2
	}
	if len(d.GrantTypes) == 0 {
		d.GrantTypes = []string{"client_credentials"}
	}
	for _, g := range d.GrantTypes {
		if g != "client_credentials" && g != "urn:ietf:params:oauth:grant-type:token-exchange" {
			return badMetadata("grant_types can only be client_credentials, and that of token exchange")
		}
	}
	switch {
	case d.Statement != "":
		return &unregistered{http.StatusBadRequest, "unapproved_software_statement", "software statements are not accepted; leave it out"}
	case len(d.RedirectURIs) > 0:
		return &unregistered{http.StatusBadRequest, "invalid_redirect_uri", "clients get tokens for themselves here; leave redirect_uris out"}
	case len(d.ResponseTypes) > 0:
		return badMetadata("clients get tokens for themselves here; leave response_types out")
	case !slices.Contains([]string{byBasic, byPost, byKey, byName, bySelfSigned}, d.Method):
		return badMetadata("token_endpoint_auth_method must be one of token_endpoint_auth_methods_supported")
	case d.BoundByDPoP && d.BoundToCertificate:
		return badMetadata("tokens are bound to a certificate or by DPoP, not both")
	}
	return nil
}

func (d *metadata) binding() store.TokenBinding {
	switch {
	case d.BoundByDPoP:
		return store.BindDPoP
	case d.BoundToCertificate:
		return store.BindCertificate
	}
	return ""
}

// credential is what the client authenticates by; of a secret it is empty.
func (d *metadata) credential() (admin.Credential, error) {
	var out admin.Credential
	key, certificate, err := d.key()
	if err != nil {
		return out, err
	}
	var names []string
	for kind, name := range map[string]string{"subject:": d.Subject, "dns:": d.SanDNS, "uri:": d.SanURI, "ip:": d.SanIP, "email:": d.SanEmail} {
		if name != "" {
			names = append(names, kind+name)
		}
	}
	switch d.Method {
	case byKey:
		if (key == "") == (d.JWKSURI == "") {
			return out, badMetadata("private_key_jwt needs jwks with one key, or jwks_uri")
		}
		return admin.Credential{JWK: key, JWKSURI: d.JWKSURI}, nil
	case bySelfSigned:
		if certificate == "" {
			return out, badMetadata("self_signed_tls_client_auth needs jwks with one key that has x5c")
		}
		return admin.Credential{Cert: certificate}, nil
	case byName:
		if len(names) != 1 {
			return out, badMetadata("tls_client_auth needs exactly one of tls_client_auth_subject_dn and the tls_client_auth_san_ members")
		}
		return admin.Credential{CertName: names[0]}, nil
	}
	if key != "" || d.JWKSURI != "" || len(names) > 0 {
		return out, badMetadata("keys and names of certificates are for another token_endpoint_auth_method")
	}
	return out, nil
}

// key returns the one key of jwks, and its certificate if it has one (RFC 7517
// section 4.7).
func (d *metadata) key() (key, certificate string, err error) {
	if d.JWKS == nil {
		return "", "", nil
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(d.JWKS, &set) != nil || len(set.Keys) != 1 {
		return "", "", badMetadata("jwks must have one key; name several at a jwks_uri")
	}
	var chain struct {
		X5C []string `json:"x5c"`
	}
	if json.Unmarshal(set.Keys[0], &chain) != nil {
		return "", "", badMetadata("the x5c of a key must be an array of texts")
	}
	if len(chain.X5C) > 0 {
		certificate = chain.X5C[0]
	}
	return string(set.Keys[0]), certificate, nil
}

func (m *mounted) registerClient(c *gin.Context) (*registered, error) {
	by, refused := m.authenticate(c.Request, m.operations["client.create"])
	if refused != nil {
		return nil, &unregistered{refused.status, "invalid_token", refused.message}
	}
	d, err := m.readMetadata(c.Request)
	if err != nil {
		return nil, err
	}
	credential, err := d.credential()
	if err != nil {
		return nil, err
	}
	if d.Workspace == "" {
		d.Workspace = "default"
	}
	if d.Name == "" {
		d.Name = "registered client"
	}
	made, err := m.Admin.CreateClient(c.Request.Context(), by, admin.NewClient{
		Name: d.Name, Workspace: d.Workspace, Roles: d.Roles, DefaultAPI: d.DefaultAPI, Binding: d.binding(),
		Credential: credential, AuthMethods: []string{d.Method}, Registered: true,
	})
	if err != nil {
		return nil, err
	}
	out := m.registeredAs(made.Client, d, made.Registration.Reveal())
	if out.Secret = made.Secret.Reveal(); out.Secret != "" {
		out.ExpiresAt = new(int64(made.Client.Secrets[0].ExpiresAt.Sooner(made.Client.ExpiresAt)) / 1000)
	}
	return out, nil
}

func (m *mounted) registeredAs(c *store.Client, d *metadata, token string) *registered {
	return &registered{
		ClientID: string(c.ID), IssuedAt: int64(c.CreatedAt) / 1000, Token: token, URI: m.Issuer + "/oauth2/register/" + string(c.ID), metadata: *d,
	}
}

// registrant finds out whose registration token a request has.
func (m *mounted) registrant(c *gin.Context) (admin.Registrant, string, error) {
	text, refused := bearer(c.Request.Header["Authorization"])
	if refused != nil {
		return admin.Registrant{}, "", &unregistered{refused.status, "invalid_token", refused.message}
	}
	by, err := m.Admin.Registrant(c.Request.Context(), store.ClientID(c.Param("client")), text,
		&admin.Actor{Address: m.Address(c.Request), RequestID: telemetry.RequestID(c.Request.Context())})
	return by, text, err
}

func (m *mounted) readRegistration(c *gin.Context) (*registered, error) {
	by, token, err := m.registrant(c)
	if err != nil {
		return nil, err
	}
	return m.registeredAs(by.Client, m.metadataOf(by.Client), token), nil
}

// metadataOf is what is kept of a client's metadata.
func (m *mounted) metadataOf(c *store.Client) *metadata {
	d := &metadata{
		Name: c.Name, GrantTypes: []string{"client_credentials"}, BoundToCertificate: c.Binding == store.BindCertificate, BoundByDPoP: c.Binding == store.BindDPoP,
	}
	if len(c.AuthMethods) > 0 {
		d.Method = c.AuthMethods[0]
	}
	if ws := m.State.Workspace(c.Workspace); ws != nil {
		d.Workspace = ws.Name
	}
	if api := m.State.API(c.DefaultAPI); api != nil {
		d.DefaultAPI = api.Name
	}
	if len(c.Secrets) == 0 {
		return d
	}
	s := &c.Secrets[0]
	d.JWKSURI = s.JWKSURI
	if s.JWK != "" {
		d.JWKS = json.RawMessage(`{"keys":[` + s.JWK + `]}`)
	}
	kind, name, _ := strings.Cut(s.CertName, ":")
	if to := map[string]*string{"subject": &d.Subject, "dns": &d.SanDNS, "uri": &d.SanURI, "ip": &d.SanIP, "email": &d.SanEmail}[kind]; to != nil {
		*to = name
	}
	return d
}

// changeRegistration replaces the metadata (RFC 7592 section 2.2). Workspace, roles
// and default API are the administrator's, and stay.
func (m *mounted) changeRegistration(c *gin.Context) (*registered, error) {
	by, token, err := m.registrant(c)
	if err != nil {
		return nil, err
	}
	d, err := m.readMetadata(c.Request)
	if err != nil {
		return nil, err
	}
	was := m.metadataOf(by.Client)
	credential, err := d.credential()
	switch {
	case err != nil:
		return nil, err
	case credential == (admin.Credential{}) && was.Method != byBasic && was.Method != byPost:
		return nil, badMetadata("a client with a key gets no secret by its registration; ask an administrator")
	case d.Name == "":
		d.Name = was.Name
	}
	if old, err := was.credential(); err == nil && old == credential {
		credential = admin.Credential{} // it has that
	}
	changed, err := m.Admin.EditRegistration(c.Request.Context(), by, admin.Registration{
		Name: d.Name, AuthMethods: []string{d.Method}, Binding: d.binding(), Credential: credential,
	})
	if err != nil {
		return nil, err
	}
	return m.registeredAs(changed, m.metadataOf(changed), token), nil
}

func (m *mounted) deleteRegistration(c *gin.Context) (*registered, error) {
	by, _, err := m.registrant(c)
	if err != nil {
		return nil, err
	}
	return nil, m.Admin.DeleteRegistration(c.Request.Context(), by)
}
