package gateway

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"postern/server/secret"
	"postern/store"
)

// authenticateGateway checks the gateway's own credential, which must be that of
// a client that the API names among its introspectors. An API that does not
// exist names none; whether it does is told to no stranger.
func (h *Handler) authenticateGateway(r *http.Request, api *store.API) error {
	sent := r.Header["X-Postern-Gateway"]
	if len(sent) == 0 && !h.RequireCredential {
		return nil
	}
	if len(sent) != 1 {
		return errGateway
	}
	id, hash, ok := parseBasic(sent[0])
	if !ok {
		return errGateway
	}
	ctx := r.Context()
	client, err := h.State.Client(ctx, id)
	if err != nil {
		return missing(err, "read the gateway's client")
	}
	now := store.At(h.Now())
	if !hasSecret(client, hash, now) || client.State(now) != store.ClientActive ||
		client.Workspace != "" && h.State.Workspace(client.Workspace) == nil ||
		len(client.AuthMethods) > 0 && !slices.Contains(client.AuthMethods, "client_secret_basic") {
		return errGateway
	}
	if len(client.Addresses) > 0 {
		from, _ := netip.ParseAddrPort(r.RemoteAddr)
		if !mayCallFrom(client, from.Addr().Unmap()) {
			return errGateway
		}
	}
	holder, err := h.State.Holder(ctx, client.Account)
	if err != nil {
		return missing(err, "read the gateway's account")
	}
	if holder.Account.Status != store.AccountActive {
		return errGateway
	}
	if api != nil && !slices.Contains(api.Introspectors, client.ID) {
		return errGateway
	}
	return nil
}

// missing tells a record that is not there from one that could not be read.
func missing(err error, doing string) error {
	if errors.Is(err, store.ErrNotFound) {
		return errGateway
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// parseBasic reads HTTP Basic (RFC 7617): a client's id and the hash of the
// secret. It is the operator who writes it down, so unlike that of a token
// request it is not form-encoded.
func parseBasic(header string) (store.ClientID, []byte, bool) {
	scheme, encoded, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") || len(encoded) > 1024 {
		return "", nil, false
	}
	plain, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", nil, false
	}
	id, text, ok := strings.Cut(string(plain), ":")
	if !ok || id == "" || text == "" {
		return "", nil, false
	}
	return store.ClientID(id), secret.Of(text).Hash(), true
}

// hasSecret reports whether a live secret of the client has this hash.
func hasSecret(c *store.Client, hash []byte, now store.Time) bool {
	found := false
	for i := range c.Secrets {
		if s := &c.Secrets[i]; s.Live(now) && secret.EqualHash(hash, s.Hash) {
			found = true
		}
	}
	return found
}

// mayCallFrom reports whether a client may call from an address. One with a list
// may not call from an unknown one.
func mayCallFrom(c *store.Client, from netip.Addr) bool {
	return len(c.Addresses) == 0 || slices.ContainsFunc(c.Addresses, func(text string) bool {
		p, err := netip.ParsePrefix(text)
		return err == nil && from.IsValid() && p.Contains(from)
	})
}
