package oauth

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"postern/server/assertion"
	"postern/server/keys"
)

// document is authorization server metadata (RFC 8414 section 2).
type document struct {
	Issuer                string   `json:"issuer"`
	TokenEndpoint         string   `json:"token_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	RegistrationEndpoint  string   `json:"registration_endpoint,omitempty"` // RFC 7591
	GrantTypes            []string `json:"grant_types_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	IntrospectAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	RevokeAuthMethods     []string `json:"revocation_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectAlgorithms  []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevokeAlgorithms      []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	StatusLists           string   `json:"status_list_aggregation_endpoint,omitempty"` // draft-ietf-oauth-status-list section 9.1
	Revocations           string   `json:"postern_revocations_endpoint,omitempty"`     // the feed of revocations

	IntrospectionSigning []string `json:"introspection_signing_alg_values_supported"` // RFC 9701 section 7

	BoundToCertificates bool     `json:"tls_client_certificate_bound_access_tokens"` // RFC 8705 section 3.3
	MTLS                *aliases `json:"mtls_endpoint_aliases,omitempty"`
	DPoPAlgorithms      []string `json:"dpop_signing_alg_values_supported"` // RFC 9449 section 5.1
}

// aliases are the endpoints for who presents a certificate (RFC 8705 section 5).
type aliases struct {
	TokenEndpoint         string `json:"token_endpoint"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
	RevocationEndpoint    string `json:"revocation_endpoint"`
}

// openIDDocument is what OpenID Connect clients need in addition before they
// believe a server (OpenID Connect Discovery 1.0 section 3).
type openIDDocument struct {
	document
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	SubjectTypes          []string `json:"subject_types_supported"`
	IDTokenAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
}

// describeServer is made of the configuration alone: no header of a request
// changes what we say of ourselves.
func (h *Handler) describeServer() document {
	methods, algorithms := []string{methodBasic, methodPost, methodPrivateKey}, assertion.Algorithms()
	var mtls *aliases
	if h.MTLSURL != "" {
		mtls = &aliases{h.MTLSURL + "/oauth2/token", h.MTLSURL + "/oauth2/introspect", h.MTLSURL + "/oauth2/revoke"}
	}
	presents := h.MTLSURL != "" || h.Certificates.Believes()
	if presents {
		methods = append(methods, methodSelfSigned)
		if h.Certificates.Authorities() != nil {
			methods = append(methods, methodCertificate)
		}
	}
	d := document{
		Issuer: h.Issuer, TokenEndpoint: h.Issuer + "/oauth2/token", JWKSURI: h.Issuer + "/oauth2/jwks",
		IntrospectionEndpoint: h.Issuer + "/oauth2/introspect", RevocationEndpoint: h.Issuer + "/oauth2/revoke",
		GrantTypes: []string{grantClientCredentials, grantTokenExchange}, ResponseTypes: []string{},
		TokenAuthMethods: methods, IntrospectAuthMethods: methods, RevokeAuthMethods: methods,
		TokenAuthAlgorithms: algorithms, IntrospectAlgorithms: algorithms, RevokeAlgorithms: algorithms,
		IntrospectionSigning: []string{"ES256"},
		BoundToCertificates:  presents, MTLS: mtls, DPoPAlgorithms: algorithms,
	}
	if h.Registration {
		d.RegistrationEndpoint = h.Issuer + "/oauth2/register"
	}
	if h.Status != nil {
		d.StatusLists, d.Revocations = h.Issuer+"/oauth2/statuslists", h.Issuer+"/oauth2/revocations"
	}
	return d
}

func (h *Handler) metadata(c *gin.Context) {
	c.Header("Cache-Control", "public, max-age=3600")
	c.JSON(http.StatusOK, h.describeServer())
}

func (h *Handler) openIDConfiguration(c *gin.Context) {
	d := openIDDocument{
		document: h.describeServer(), AuthorizationEndpoint: h.Issuer + "/oauth2/authorize",
		SubjectTypes: []string{"public"}, IDTokenAlgorithms: []string{"ES256", "EdDSA", "RS256"},
	}
	// "code" is there because clients refuse an empty list; the authorization
	// endpoint says that it is not supported.
	d.ResponseTypes = []string{"code"}
	c.Header("Cache-Control", "public, max-age=3600")
	c.JSON(http.StatusOK, d)
}

// jwks serves the public keys (RFC 7517).
func (h *Handler) jwks(c *gin.Context) {
	c.Header("Cache-Control", "public, max-age="+strconv.Itoa(int(keys.JWKSMaxAge/time.Second)))
	c.Data(http.StatusOK, "application/jwk-set+json", h.Keys.JWKS())
}

// authorize is there for clients that want to know where it is; this server is
// for machines, who have nobody to send there.
func (h *Handler) authorize(*gin.Context) error {
	return &Error{
		Code: "unsupported_response_type", Status: http.StatusBadRequest,
		Description: "this server issues tokens to machines by grant_type client_credentials at /oauth2/token; nobody signs in here",
	}
}
