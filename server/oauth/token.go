package oauth

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/policy"
	"postern/server/keys"
	"postern/server/token"
	"postern/store"
)

// The grant types that are served.
const (
	grantClientCredentials = "client_credentials"
	grantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange" //nolint:gosec // the name of a grant type
)

// token issues an access token (RFC 6749 section 4.4, RFC 8693 section 2).
func (h *Handler) token(c *gin.Context) error {
	f, err := h.read(c, "resource")
	if err != nil {
		return err
	}
	var auth authenticated
	if f.get("grant_type") == grantTokenExchange {
		auth, err = h.subject(c, f)
	} else {
		auth, err = h.authenticate(c, f)
	}
	if err != nil {
		return err
	}
	if ok, after := h.tokenLimit.Allow(string(auth.asker().client.ID), h.TokenRate, h.Now()); !ok {
		return tooMany(after)
	}
	bound, err := h.confirmation(c.Request, auth.asker().client)
	if err != nil {
		return err
	}
	order, err := h.order(auth, f, bound)
	if err != nil {
		return err
	}
	text, err := h.grants.issue(c.Request, order)
	if errors.Is(err, token.ErrTooLong) {
		return invalidTarget("the token would be too long for gateways; ask for fewer resources or scopes")
	}
	if err != nil {
		return err
	}
	h.Usage.Record(h.event(auth.asker(), store.OutcomeIssued, c))
	h.Metrics.TokenIssued(order.shape.Format, order.shape.Algorithm)
	writeToken(c, text, order)
	return nil
}

// order is an access token that may be minted.
type order struct {
	claims token.Claims
	shape  token.Shape
	ttl    time.Duration
	issued string // issued_token_type of an exchange (RFC 8693 section 2.2.1)
}

// order checks what is asked for against what the client may have.
func (h *Handler) order(auth authenticated, f form, bound token.Confirmation) (*order, error) {
	var issued string
	switch grant := f.get("grant_type"); grant {
	case grantClientCredentials:
	case grantTokenExchange:
		issued = typeAccessToken
	case "":
		return nil, invalidRequest("grant_type is missing")
	default:
		return nil, &Error{Code: "unsupported_grant_type", Status: http.StatusBadRequest, Description: "grant_type must be client_credentials, or that of token exchange"}
	}
	client := auth.client
	if client.SCIMOnly {
		return nil, &Error{Code: "unauthorized_client", Status: http.StatusBadRequest, Description: "this client is for provisioning (SCIM) and gets no access tokens"}
	}
	if ws := h.State.Workspace(client.Workspace); client.Workspace != "" && !ws.APIAccess {
		return nil, &Error{Code: "unauthorized_client", Status: http.StatusBadRequest, Description: "API access is switched off in the workspace of this client"}
	}
	apis, err := h.resources(client, f, auth.exchanged)
	if err != nil {
		return nil, err
	}
	caller := &policy.Caller{Holder: auth.holder, Narrowed: client.Narrowed, Roles: client.Roles, Personal: client.ClientKind == store.ClientPersonal}
	shape, ttl, err := h.shape(apis)
	if err != nil {
		return nil, err
	}
	if client.Profile == store.ProfileFAPI2 && shape.Format == store.FormatJWT && shape.Algorithm == "RS256" {
		return nil, invalidTarget("tokens for this resource are signed by RS256, which the profile fapi2 of this client forbids")
	}
	names := make([]string, len(apis))
	audience := make([]string, len(apis))
	for i, api := range apis {
		if !h.usable(caller, client.Workspace, api) {
			return nil, invalidTarget("the client has no rights on this resource")
		}
		if err := h.mayBeFor(auth.exchanged, client.Workspace, api); err != nil {
			return nil, err
		}
		names[i], audience[i] = api.Name, api.Audience
	}
	scope, err := scopeOf(h.narrow(auth.exchanged, client.Workspace, names, h.Policy.Scopes(caller, client.Workspace, names)), f.get("scope"))
	if err != nil {
		return nil, err
	}
	now := store.At(h.Now())
	ends := now.Add(ttl).Sooner(auth.secret.ExpiresAt).Sooner(client.ExpiresAt).Sooner(auth.exchanged.ends())
	o := &order{shape: shape, issued: issued, claims: token.Claims{
		Subject: client.Account, ClientID: client.ID, Audience: audience,
		IssuedAt: int64(now) / 1000, ExpiresAt: int64(ends) / 1000, Scope: scope, Workspace: client.Workspace,
		SecretID: auth.secret.ID, Roles: h.Policy.RolesOf(caller, client.Workspace),
		Gen: token.Gen(h.State.Installation(), h.State.Workspace(client.Workspace), auth.holder.Account, client, auth.secret), Confirmation: bound,
		Actor: auth.exchanged.by(),
	}}
	o.ttl = time.Duration(o.claims.ExpiresAt-o.claims.IssuedAt) * time.Second
	if o.ttl <= 0 {
		return nil, invalidClient(errUnusable) // it ends within this second
	}
	return o, nil
}

func invalidTarget(description string) error {
	return &Error{Code: "invalid_target", Status: http.StatusBadRequest, Description: description}
}

// resources returns the APIs that a token is asked for (RFC 8707 section 2.2).
// audience is an alias, for libraries that know no other.
func (h *Handler) resources(client *store.Client, f form, within *exchanged) ([]*store.API, error) {
	named := f.all("resource")
	if audience := f.get("audience"); audience != "" {
		if len(named) > 0 {
			return nil, invalidRequest("resource and audience mean the same; send one of them")
		}
		named = []string{audience}
	}
	if len(named) == 0 && within.isNarrower() {
		named = within.token.Audience
	}
	if len(named) == 0 {
		api := h.State.API(client.DefaultAPI)
		if api == nil {
			return nil, invalidTarget("send the parameter resource with the audience or name of an API; this client has no default")
		}
		return []*store.API{api}, nil
	}
	apis := make([]*store.API, 0, len(named))
	for _, name := range named {
		api := h.State.APIByAudience(name)
		if api == nil {
			api = h.State.APIByName(name)
		}
		if api == nil {
			return nil, invalidTarget("there is no such resource, or the client has no rights on it")
		}
		if !slices.Contains(apis, api) {
			apis = append(apis, api)
		}
	}
	return apis, nil
}

// usable reports whether a client can call anything of an API at all.
func (h *Handler) usable(caller *policy.Caller, ws store.WorkspaceID, api *store.API) bool {
	if ws != "" && !api.OpenTo(ws) {
		return false
	}
	return h.Policy.Reaches(caller, ws, api.Name)
}

// shape is how a token for all of these APIs is written, and how long it lives.
func (h *Handler) shape(apis []*store.API) (shape token.Shape, ttl time.Duration, err error) {
	for i, api := range apis {
		s := token.Shape{Format: api.Format, Algorithm: api.Algorithm, Type: api.TokenType, Status: api.StatusList}
		if s.Format == "" {
			s.Format = h.Format
		}
		if s.Algorithm == "" {
			s.Algorithm = h.Algorithm
		}
		if s.Type == "" {
			s.Type = keys.TypeAccessToken
		}
		t := h.AccessTTL
		if api.AccessTTL > 0 {
			t = time.Duration(api.AccessTTL) * time.Second
		}
		switch {
		case i == 0:
			shape, ttl = s, t
		case s != shape:
			return shape, 0, invalidTarget("these resources want different kinds of tokens; ask for them one by one")
		default:
			ttl = min(ttl, t)
		}
	}
	return shape, ttl, nil
}

// scopeOf is what the token gets: all it may have, or what is asked for of that
// (RFC 6749 section 3.3).
func scopeOf(may []string, asked string) (string, error) {
	if asked == "" {
		return strings.Join(may, " "), nil
	}
	scopes, err := token.ParseScope(asked)
	if err != nil {
		return "", &Error{Code: "invalid_scope", Status: http.StatusBadRequest, Description: "scope must be different words parted by one blank", Err: err}
	}
	for _, s := range scopes {
		if !slices.Contains(may, s) {
			return "", &Error{Code: "invalid_scope", Status: http.StatusBadRequest, Description: "the client was not granted one of these scopes"}
		}
	}
	return asked, nil
}

// writeToken answers (RFC 6749 section 5.1). A token in a shared cache would be
// everyone's token, hence no-store.
func writeToken(c *gin.Context, text string, o *order) {
	header := c.Writer.Header()
	header["Content-Type"], header["Cache-Control"] = contentJSON, noStore
	b := make([]byte, 0, len(text)+len(o.claims.Scope)+96)
	b = append(b, `{"access_token":"`...)
	b = append(b, text...)
	if o.issued != "" {
		b = append(b, `","issued_token_type":"`...)
		b = append(b, o.issued...)
	}
	b = append(b, `","token_type":"`...)
	b = append(b, o.claims.Confirmation.Type()...)
	b = append(b, `","expires_in":`...)
	b = strconv.AppendInt(b, int64(o.ttl/time.Second), 10)
	if o.claims.Scope != "" { // its grammar has no character that JSON escapes
		b = append(b, `,"scope":"`...)
		b = append(b, o.claims.Scope...)
		b = append(b, '"')
	}
	b = append(b, '}')
	_, _ = c.Writer.Write(b)
}

var errNotIssued = errors.New("the grant engine returned no token")
