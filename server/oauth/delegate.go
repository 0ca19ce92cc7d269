package oauth

import (
	"errors"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"postern/policy"
	"postern/server/token"
	"postern/store"
)

// exchanged is an access token that another one is asked for in the place of.
type exchanged struct {
	token *token.Token
	asker authenticated // who asks: the token's client, or one that acts for it
	actor *token.Actor  // that one; nil where the token's client asks for less itself
}

// asker is who asks for a token, and will send it.
func (a authenticated) asker() authenticated {
	if a.exchanged != nil {
		return a.exchanged.asker
	}
	return a
}

// exchangeToken finds out what an access token may be exchanged for (RFC 8693
// section 2.1). Its own client gets one for no other audience or scope. A client
// that introspects for an API of the token's audience, so one that the token was
// sent to, gets one to act for the token's client: for APIs that take such, within
// the life of the token, and for what both may do. Either authenticates, and so
// holds the keys that its own tokens are bound to.
func (h *Handler) exchangeToken(c *gin.Context, f form, text string) (authenticated, error) {
	auth, err := h.authenticate(c, f)
	if err != nil {
		return authenticated{}, err
	}
	ctx := c.Request.Context()
	if sent := f.get("actor_token"); sent != "" {
		actor, err := h.Verifier.Examine(ctx, sent)
		switch {
		case errors.Is(err, token.ErrInvalid), err == nil && (actor.Token == nil || actor.Client.ID != auth.client.ID || actor.Token.Actor != nil):
			return authenticated{}, invalidRequest("the actor_token must be a good access token of the client that authenticates")
		case err != nil:
			return authenticated{}, err
		}
	}
	caller, err := h.Verifier.Examine(ctx, text)
	if err != nil && !errors.Is(err, token.ErrInvalid) {
		return authenticated{}, err
	}
	if err != nil || caller.Token == nil || caller.Client.ID != auth.client.ID && !h.isSentTo(auth.client, caller.Token) {
		h.Log.DebugContext(ctx, "exchange refused", "client", auth.client.ID, "error", err)
		return authenticated{}, invalidRequest("the subject_token is not good here; send an access token of your own, or one that was sent to an API that you introspect for")
	}
	out := authenticated{
		client: caller.Client, secret: caller.Client.Secret(caller.Secret), holder: caller.Holder, method: auth.method,
		exchanged: &exchanged{token: caller.Token, asker: auth},
	}
	if auth.client.SCIMOnly {
		return authenticated{}, &Error{Code: "unauthorized_client", Status: http.StatusBadRequest, Description: "this client is for provisioning (SCIM) and gets no access tokens"}
	}
	if caller.Client.ID == auth.client.ID {
		if f.get("actor_token") != "" || caller.Token.Actor != nil {
			return authenticated{}, invalidRequest("nobody acts for itself")
		}
		return out, nil
	}
	if len(caller.Token.Actor.Chain()) >= token.MaxActors {
		return authenticated{}, invalidRequest("too many clients act for each other already")
	}
	out.exchanged.actor = &token.Actor{
		Subject: auth.client.Account, ClientID: auth.client.ID, SecretID: auth.secret.ID, For: caller.Token.Actor,
		Gen: token.Gen(h.State.Installation(), h.State.Workspace(auth.client.Workspace), auth.holder.Account, auth.client, auth.secret),
	}
	return out, nil
}

// isSentTo reports whether a client introspects for an API that a token is for.
func (h *Handler) isSentTo(client *store.Client, t *token.Token) bool {
	return slices.ContainsFunc(t.Audience, func(audience string) bool {
		api := h.State.APIByAudience(audience)
		return api != nil && slices.Contains(api.Introspectors, client.ID)
	})
}

// isNarrower reports whether a token's own client asks for less of it.
func (e *exchanged) isNarrower() bool { return e != nil && e.actor == nil }

// mayBeFor refuses an API that a token may not be exchanged for.
func (h *Handler) mayBeFor(e *exchanged, ws store.WorkspaceID, api *store.API) error {
	switch {
	case e == nil:
		return nil
	case e.actor == nil && !slices.Contains(e.token.Audience, api.Audience):
		return invalidTarget("the subject_token is not for this resource; exchange it for less, or ask for a token by client_credentials")
	case e.actor == nil:
		return nil
	case !api.Delegation || api.Name == store.PosternAPI: // nobody administers in the place of another
		return invalidTarget("the API takes no tokens of clients that act for others (delegation)")
	}
	if of := e.asker.client.Workspace; of != "" && of != ws || !h.usable(e.asker.policy(), ws, api) {
		return invalidTarget("the client that asks has no rights on this resource itself")
	}
	return nil
}

func (a authenticated) policy() *policy.Caller {
	return (&token.Caller{Client: a.client, Holder: a.holder, AnyScope: true}).Policy()
}

// narrow leaves those scopes that the token had, where it is exchanged for less,
// and those that both may have, where one acts for the other.
func (h *Handler) narrow(e *exchanged, ws store.WorkspaceID, apis, may []string) []string {
	if e == nil {
		return may
	}
	also := []string(e.token.Scopes)
	if e.actor != nil {
		also = h.Policy.Scopes(e.asker.policy(), ws, apis)
	}
	return slices.DeleteFunc(slices.Clone(may), func(s string) bool { return !slices.Contains(also, s) })
}

// ends is when the token ends; zero without one.
func (e *exchanged) ends() store.Time {
	if e == nil {
		return 0
	}
	return store.Time(e.token.ExpiresAt * 1000)
}

// by is who will act; nil is nobody.
func (e *exchanged) by() *token.Actor {
	if e == nil {
		return nil
	}
	return e.actor
}
