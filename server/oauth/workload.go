package oauth

import (
	"context"
	"errors"
	"net/netip"

	"postern/server/assertion"
	"postern/store"
)

const errNoRule = failure("none of the client's trust rules lets this JWT in")

// authenticateWorkload finds out whether the JWT of another issuer authenticates
// the client that client_id names (RFC 7521 section 4.2, RFC 7523 section 3). That
// client's rules alone are tried, and one has to match wholly. The JWT may come
// again until it ends: its issuer makes one for many calls.
//
// It is a JWT in the place of a secret, so the client has to be one that may
// authenticate by private_key_jwt: that is the method of this type of assertion.
func (h *Handler) authenticateWorkload(ctx context.Context, f form, from netip.Addr) (authenticated, error) {
	refused := func(err failure, reason string, more ...any) (authenticated, error) {
		h.Log.DebugContext(ctx, "workload refused", append([]any{"client", f.get("client_id"), "reason", reason}, more...)...)
		return authenticated{}, err
	}
	id := f.get("client_id")
	if id == "" {
		return refused(errAssertion, "the JWT of another issuer needs client_id beside it")
	}
	w, err := assertion.ParseWorkload(f.get("client_assertion"))
	if err != nil {
		return refused(errAssertion, err.Error())
	}
	if broken := assertion.Broken(w.Conditions(h.Now(), h.Issuer)); broken != nil {
		return refused(errAssertion, broken.Fault)
	}
	client, err := h.State.Client(ctx, store.ClientID(id))
	if errors.Is(err, store.ErrNotFound) {
		return authenticated{}, errUnknown
	}
	if err != nil {
		return authenticated{}, err
	}
	if client.Profile == store.ProfileFAPI2 {
		return authenticated{}, errProfile // its own key authenticates it, and each assertion once
	}
	matched := h.trusting(ctx, client, w)
	if matched == nil {
		return authenticated{}, errNoRule
	}
	return h.usableClient(ctx, client, matched, methodPrivateKey, from)
}

// trusting returns the client's rule that lets a workload in, or nil. Keys are
// looked for last, so that nothing is fetched for what cannot match.
func (h *Handler) trusting(ctx context.Context, client *store.Client, w *assertion.Workload) *store.ClientSecret {
	now := store.At(h.Now())
	for i := range client.Secrets {
		s := &client.Secrets[i]
		if s.Trust == nil || !s.Live(now) || s.Trust.Issuer != w.Issuer {
			continue
		}
		if broken := assertion.Broken(w.Meets(s.Trust)); broken != nil {
			h.Log.DebugContext(ctx, "workload refused", "client", client.ID, "rule", s.ID, "condition", broken.Name, "reason", broken.Fault)
			continue
		}
		if err := h.Remote.Signed(ctx, s.Trust, w); err != nil {
			h.Log.InfoContext(ctx, "workload refused", "client", client.ID, "rule", s.ID, "condition", "signature", "reason", err.Error())
			continue
		}
		return s
	}
	return nil
}
