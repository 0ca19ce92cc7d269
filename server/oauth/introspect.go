package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/policy"
	"postern/server/token"
	"postern/server/usage"
	"postern/store"
)

// bearerLife is how long, at most, a gateway may believe what introspection
// said of a secret that was sent as a bearer.
const bearerLife = 300_000 // ms

// introspect tells an API's gateway about a token (RFC 7662). A token that is
// not for an API of the caller is inactive for it, and nothing else is said. It may be
// told in a signed JWT (RFC 9701).
func (h *Handler) introspect(c *gin.Context) error {
	f, auth, err := h.receive(c, "")
	if err != nil {
		return err
	}
	if auth.client.SCIMOnly {
		return &Error{Code: "unauthorized_client", Status: http.StatusBadRequest, Description: "this client is for provisioning (SCIM) and nothing else"}
	}
	if ok, after := h.introspectLimit.Allow(string(auth.client.ID), h.IntrospectRate, h.Now()); !ok {
		return tooMany(after)
	}
	text := f.get("token")
	if text == "" {
		return invalidRequest("token is missing")
	}
	caller, err := h.Verifier.Examine(c.Request.Context(), text)
	if err != nil && !errors.Is(err, token.ErrInvalid) {
		return err
	}
	var answer []byte // nil when inactive
	if err == nil {
		answer = h.answerFor(auth.client, caller)
	}
	said, kind := answer, contentJSON
	if said == nil {
		said = inactive
	}
	if accept := c.Request.Header["Accept"]; accept != nil && wantsSigned(accept) {
		if said, err = h.signed(c.Request.Context(), said, auth.client.ID); err != nil {
			return err
		}
		kind = contentSigned
	}
	header := c.Writer.Header()
	header["Content-Type"], header["Cache-Control"] = kind, noStore
	h.Metrics.Introspected(answer != nil)
	if answer == nil {
		_, _ = c.Writer.Write(said)
		return nil
	}
	h.Usage.Record(usage.Event{
		Client: caller.Client.ID, Workspace: caller.Client.Workspace, Secret: caller.Secret, Outcome: store.OutcomeIntrospected,
		Address: h.Address(c.Request), Endpoint: "POST /oauth2/introspect", At: caller.At,
	})
	_, _ = c.Writer.Write(said)
	return nil
}

var inactive = []byte(`{"active":false}`) //nolint:gochecknoglobals // a constant

// introspected is an answer and what it was made of.
type introspected struct {
	answer  []byte
	epoch   uint64
	gateway store.ClientID
	client  *store.Client
	holder  *store.Holder
}

// answerFor is what a gateway's client is told of a token, nil if it is inactive
// for it. Of an access token it is remembered with the token, while the token's
// client and account and all roles, APIs and workspaces stay as they are.
func (h *Handler) answerFor(gateway *store.Client, caller *token.Caller) []byte {
	epoch := h.Policy.Epoch()
	kept := caller.Token != nil && len(caller.Actors) == 0 // nobody says here when an actor changes
	if kept {
		if m := caller.Token.Introspected.Load(); m != nil {
			if known, ok := (*m).(*introspected); ok && known.epoch == epoch && known.gateway == gateway.ID &&
				known.client == caller.Client && known.holder == caller.Holder {
				return known.answer
			}
		}
	}
	var answer []byte
	if seen, active := h.seenBy(gateway, caller); active {
		answer = h.describe(make([]byte, 0, 640), caller, seen)
	}
	if kept {
		var m any = &introspected{answer, epoch, gateway.ID, caller.Client, caller.Holder}
		caller.Token.Introspected.Store(&m)
	}
	return answer
}

// seenToken is what a gateway may know of a token.
type seenToken struct {
	audience []string
	scopes   []string
	ends     store.Time
}

// seenBy reports what a client may know of a token: only what is for an API that
// it introspects for, by what the token's account is granted now.
func (h *Handler) seenBy(gateway *store.Client, caller *token.Caller) (seenToken, bool) {
	if caller.Client.SCIMOnly {
		return seenToken{}, false
	}
	ws := caller.Client.Workspace
	if ws != "" && !h.apiAccess(ws) || caller.Client.SCIMOnly {
		return seenToken{}, false
	}
	who := &policy.Caller{
		Holder: caller.Holder, Narrowed: caller.Client.Narrowed, Roles: caller.Client.Roles, Scopes: caller.Scopes, AnyScope: caller.AnyScope,
		Personal: caller.Client.ClientKind == store.ClientPersonal,
	}
	if caller.Token == nil {
		return h.seenSecret(gateway, caller, who)
	}
	seen := seenToken{audience: caller.Token.Audience, ends: caller.ExpiresAt}
	var names []string
	for _, audience := range caller.Token.Audience {
		if api := h.State.APIByAudience(audience); api != nil && slices.Contains(api.Introspectors, gateway.ID) && h.usable(who, ws, api) && h.actorsMay(caller, ws, api) {
			names = append(names, api.Name)
		}
	}
	if len(names) == 0 {
		return seenToken{}, false
	}
	may := h.Policy.Scopes(who, ws, names)
	for _, actor := range caller.Actors {
		of := h.Policy.Scopes(actor.Policy(), ws, names)
		may = slices.DeleteFunc(slices.Clone(may), func(s string) bool { return !slices.Contains(of, s) })
	}
	if contains(may, caller.Scopes) {
		seen.scopes = caller.Scopes // as nearly always: nothing to copy
	} else {
		for _, s := range caller.Scopes {
			if slices.Contains(may, s) {
				seen.scopes = append(seen.scopes, s)
			}
		}
	}
	return seen, true
}

// actorsMay reports whether those who act for a caller can call anything of an API
// themselves.
func (h *Handler) actorsMay(caller *token.Caller, ws store.WorkspaceID, api *store.API) bool {
	for _, actor := range caller.Actors {
		if of := actor.Client.Workspace; of != "" && of != ws || !h.usable(actor.Policy(), ws, api) {
			return false
		}
	}
	return true
}

// seenSecret is seenBy for a client's secret that was sent as a bearer: it is
// for the first API of the caller that the account reaches.
func (h *Handler) seenSecret(gateway *store.Client, caller *token.Caller, who *policy.Caller) (seenToken, bool) {
	for _, api := range h.State.APIs() {
		if slices.Contains(api.Introspectors, gateway.ID) && h.usable(who, caller.Client.Workspace, api) {
			return seenToken{
				audience: []string{api.Audience}, scopes: h.Policy.Scopes(who, caller.Client.Workspace, []string{api.Name}),
				ends: caller.ExpiresAt.Sooner(store.At(h.Now()) + bearerLife),
			}, true
		}
	}
	return seenToken{}, false
}

func (h *Handler) apiAccess(ws store.WorkspaceID) bool {
	w := h.State.Workspace(ws)
	return w != nil && w.APIAccess
}

func contains(all, some []string) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}

// describe appends the answer (RFC 7662 section 2.2).
func (h *Handler) describe(b []byte, caller *token.Caller, seen seenToken) []byte {
	typ := "Bearer"
	if caller.Token != nil {
		typ = caller.Token.Confirmation.Type()
	}
	b = append(b, `{"active":true,"token_type":"`...)
	b = append(b, typ...)
	b = append(b, `","client_id":`...)
	b = strconv.AppendQuote(b, string(caller.Client.ID)) // ids are of characters that need no escape
	b = append(b, `,"sub":`...)
	b = strconv.AppendQuote(b, string(caller.Holder.Account.ID))
	b = append(b, `,"username":`...)
	name, _ := json.Marshal(caller.Holder.Account.Name) // a string always can be
	b = append(b, name...)
	b = append(b, `,"iss":`...)
	b = strconv.AppendQuote(b, h.Issuer)
	b = append(b, `,"aud":`...)
	if len(seen.audience) > 1 {
		b = append(b, '[')
	}
	for i, a := range seen.audience {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, a)
	}
	if len(seen.audience) > 1 {
		b = append(b, ']')
	}
	if len(seen.scopes) > 0 {
		b = append(b, `,"scope":"`...)
		b = append(b, strings.Join(seen.scopes, " ")...)
		b = append(b, '"')
	}
	if seen.ends != 0 {
		b = append(b, `,"exp":`...)
		b = strconv.AppendInt(b, int64(seen.ends)/1000, 10)
	}
	if caller.Token != nil {
		b = append(b, `,"iat":`...)
		b = strconv.AppendInt(b, caller.Token.IssuedAt, 10)
		b = append(b, `,"jti":`...)
		b = strconv.AppendQuote(b, caller.Token.ID)
		b = caller.Token.Confirmation.AppendMember(b)
		b = appendActors(b, caller.Token.Actor)
	}
	if caller.Client.Workspace != "" {
		b = append(b, `,"workspace":`...)
		b = strconv.AppendQuote(b, string(caller.Client.Workspace))
	}
	return append(b, '}')
}

// appendActors appends the claim act as a further member (RFC 8693 section 4.1):
// who acts, without what is for us alone to know.
func appendActors(b []byte, a *token.Actor) []byte {
	if a == nil {
		return b
	}
	b = append(b, `,"act":{"sub":`...)
	b = strconv.AppendQuote(b, string(a.Subject))
	b = append(b, `,"client_id":`...)
	b = strconv.AppendQuote(b, string(a.ClientID))
	return append(appendActors(b, a.For), '}')
}

// event is a use of a client's secret at one of these endpoints.
func (h *Handler) event(auth authenticated, outcome store.Outcome, c *gin.Context) usage.Event {
	return usage.Event{
		Client: auth.client.ID, Workspace: auth.client.Workspace, Secret: auth.secret.ID, Outcome: outcome,
		Address: h.Address(c.Request), Endpoint: "POST /oauth2/token",
	}
}
