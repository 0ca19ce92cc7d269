package oauth

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/manage"
	"github.com/go-oauth2/oauth2/v4/server"

	"postern/server/token"
)

// grantEngine runs the grant through go-oauth2. Around it we parse the request,
// authenticate the client and write the answer ourselves: its handlers read the
// query and take the first of repeated parameters, and its manager accepts any
// secret where the stored one is empty.
type grantEngine struct{ server *server.Server }

func newGrantEngine(m *token.Minter) *grantEngine {
	manager := manage.NewManager()
	manager.MapClientStorage(orderedClients{})
	manager.MapTokenStorage(unkept{})
	manager.MapAccessGenerate(minting{m})
	return &grantEngine{server.NewServer(&server.Config{
		TokenType: "Bearer", AllowedGrantTypes: []oauth2.GrantType{oauth2.ClientCredentials},
	}, manager)}
}

// issue mints what was ordered and returns the access token. To the library every
// grant type that we serve is the same: an authenticated client asks for itself.
func (e *grantEngine) issue(r *http.Request, o *order) (string, error) {
	ctx := &orderContext{r.Context(), o}
	//nolint:contextcheck // it is the request's, with the order
	info, err := e.server.GetAccessToken(ctx, oauth2.ClientCredentials, &oauth2.TokenGenerateRequest{
		ClientID: string(o.claims.ClientID), UserID: string(o.claims.Subject), Scope: o.claims.Scope, AccessTokenExp: o.ttl, Request: r,
	})
	switch {
	case err != nil:
		return "", err
	case info.GetAccess() == "":
		return "", errNotIssued
	}
	return info.GetAccess(), nil
}

// orderContext carries the order through the library to where it is minted.
type orderContext struct {
	context.Context //nolint:containedctx // it is a context
	order           *order
}

type orderKey struct{}

func (c *orderContext) Value(key any) any {
	if _, ok := key.(orderKey); ok {
		return c.order
	}
	return c.Context.Value(key)
}

func orderOf(ctx context.Context) *order {
	o, _ := ctx.Value(orderKey{}).(*order)
	return o
}

// orderedClients is the library's ClientStore: it knows the one client that was
// authenticated and nobody else.
type orderedClients struct{}

func (orderedClients) GetByID(ctx context.Context, id string) (oauth2.ClientInfo, error) {
	o := orderOf(ctx)
	if o == nil || string(o.claims.ClientID) != id {
		// Never a nil client without an error: inside the interface it would pass for one.
		return nil, oautherrors.ErrInvalidClient
	}
	return orderedClient{o}, nil
}

type orderedClient struct{ order *order }

func (c orderedClient) GetID() string     { return string(c.order.claims.ClientID) }
func (c orderedClient) GetUserID() string { return string(c.order.claims.Subject) }
func (orderedClient) GetSecret() string   { return "" }
func (orderedClient) GetDomain() string   { return "" }
func (orderedClient) IsPublic() bool      { return false }

// VerifyPassword is true: only an authenticated client has an order. Without
// this method the library would compare with the empty secret above, and take
// that for "none needed".
func (orderedClient) VerifyPassword(string) bool { return true }

// minting is the library's AccessGenerate.
type minting struct{ minter *token.Minter }

func (m minting) Token(ctx context.Context, _ *oauth2.GenerateBasic, _ bool) (access, refresh string, err error) {
	o := orderOf(ctx)
	if o == nil {
		return "", "", errNotIssued
	}
	access, err = m.minter.Mint(ctx, o.claims, o.shape)
	return access, "", err
}

// unkept is the library's TokenStore. Access tokens say everything themselves:
// Create keeps nothing, and the rest is never asked for.
type unkept struct{}

var errUnkept = errors.New("tokens are not kept")

func (unkept) Create(context.Context, oauth2.TokenInfo) error { return nil }
func (unkept) RemoveByCode(context.Context, string) error     { return errUnkept }
func (unkept) RemoveByAccess(context.Context, string) error   { return errUnkept }
func (unkept) RemoveByRefresh(context.Context, string) error  { return errUnkept }
func (unkept) GetByCode(context.Context, string) (oauth2.TokenInfo, error) {
	return nil, errUnkept
}

func (unkept) GetByAccess(context.Context, string) (oauth2.TokenInfo, error) {
	return nil, errUnkept
}

func (unkept) GetByRefresh(context.Context, string) (oauth2.TokenInfo, error) {
	return nil, errUnkept
}
