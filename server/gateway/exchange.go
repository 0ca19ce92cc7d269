package gateway

import (
	"context"
	"strings"
	"sync"

	"postern/server/token"
	"postern/store"
)

const (
	exchangedLife  = 60_000 // ms
	exchangedReuse = 30_000 // ms
	maxExchanged   = 10_000
)

// exchange hands out short-lived tokens in the place of secrets that were sent
// as bearers, so that no upstream sees one. It keeps each for a while, since
// signing costs more than all the rest of a decision.
type exchange struct {
	minter *token.Minter

	mu   sync.Mutex
	kept map[exchangeKey]exchanged
}

// exchangeKey is all that such a token is made of.
type exchangeKey struct {
	client            store.ClientID
	secret            store.SecretID
	workspace         store.WorkspaceID
	audience          string
	scope, roles, gen string
	algorithm, typ    string
	status            bool
	credentialEnds    store.Time
}

type exchanged struct {
	text  string
	until store.Time // it is handed out again
}

// exchanged returns a token for the API and the workspace of the decision that
// says what the secret stands for.
func (h *Handler) exchanged(ctx context.Context, caller *token.Caller, api *store.API, ws *store.Workspace, scope, roles string) (string, error) {
	now := store.At(h.Now())
	s := caller.Client.Secret(caller.Secret)
	inst := h.State.Installation()
	if s == nil || inst == nil {
		return "", errExchange
	}
	k := exchangeKey{
		client: caller.Client.ID, secret: s.ID, workspace: ws.ID, audience: api.Audience,
		scope: scope, roles: roles, gen: token.Gen(inst, ws, caller.Holder.Account, caller.Client, s),
		algorithm: api.Algorithm, typ: api.TokenType, status: api.StatusList, credentialEnds: caller.ExpiresAt,
	}
	if k.algorithm == "" {
		k.algorithm = h.Algorithm
	}
	if text, ok := h.exchange.get(k, now); ok {
		return text, nil
	}
	ends := caller.ExpiresAt.Sooner(now + exchangedLife)
	if ends/1000 <= now/1000 {
		return "", errExchange // it ends within this second, and tokens count whole ones
	}
	var names []string
	if roles != "" {
		names = strings.Split(roles, ",")
	}
	text, err := h.Minter.Mint(ctx, token.Claims{
		Subject: caller.Client.Account, ClientID: k.client, SecretID: k.secret, Audience: []string{k.audience},
		IssuedAt: int64(now) / 1000, ExpiresAt: int64(ends) / 1000,
		Scope: scope, Workspace: k.workspace, Gen: k.gen, Roles: names,
	}, token.Shape{Format: store.FormatJWT, Algorithm: k.algorithm, Type: k.typ, Status: k.status})
	if err != nil {
		return "", err
	}
	h.exchange.put(k, exchanged{text, ends.Sooner(now + exchangedReuse)}, now)
	return text, nil
}

func (x *exchange) get(k exchangeKey, now store.Time) (string, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.kept[k]
	return e.text, ok && !e.until.Over(now)
}

func (x *exchange) put(k exchangeKey, e exchanged, now store.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.kept == nil {
		x.kept = map[exchangeKey]exchanged{}
	}
	if len(x.kept) >= maxExchanged {
		for old, was := range x.kept {
			if was.until.Over(now) {
				delete(x.kept, old)
			}
		}
		if len(x.kept) >= maxExchanged {
			clear(x.kept)
		}
	}
	x.kept[k] = e
}
