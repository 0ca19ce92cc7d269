package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

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
	sum := sha256.Sum256([]byte(sent[0]))
	c, remembered := h.credentials.get(sum)
	if !remembered {
		var ok bool
		if c, ok = parseBasic(sent[0]); !ok {
			return errGateway
		}
	}
	ctx := r.Context()
	client, err := h.State.Client(ctx, c.client)
	if err != nil {
		return missing(err, "read the gateway's client")
	}
	now := store.At(h.Now())
	if !hasSecret(client, c.hash, now) || client.State(now) != store.ClientActive ||
		client.Workspace != "" && h.State.Workspace(client.Workspace) == nil ||
		client.SCIMOnly || !client.Authenticates("client_secret_basic") {
		return errGateway
	}
	if len(client.Addresses) > 0 {
		from, _ := netip.ParseAddrPort(r.RemoteAddr)
		if !client.MayCallFrom(from.Addr()) {
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
	if !remembered {
		h.credentials.put(sum, c)
	}
	return nil
}

// credential is what a gateway's header says.
type credential struct {
	client store.ClientID
	hash   []byte // of the secret
}

// credentials remembers what headers say whose credential was good, by their
// SHA-256. Whether it still is, is another question.
type credentials struct {
	known atomic.Pointer[map[[sha256.Size]byte]credential]
}

// maxCredentials is how many are remembered: those of the gateways of one node.
const maxCredentials = 256

func (k *credentials) get(sum [sha256.Size]byte) (credential, bool) {
	known := k.known.Load()
	if known == nil {
		return credential{}, false
	}
	c, ok := (*known)[sum]
	return c, ok
}

func (k *credentials) put(sum [sha256.Size]byte, c credential) {
	known := map[[sha256.Size]byte]credential{}
	if old := k.known.Load(); old != nil && len(*old) < maxCredentials {
		maps.Copy(known, *old)
	}
	known[sum] = c
	k.known.Store(&known) // of two at once one is lost, and comes again
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
func parseBasic(header string) (credential, bool) {
	scheme, encoded, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") || len(encoded) > 1024 {
		return credential{}, false
	}
	plain, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return credential{}, false
	}
	id, text, ok := strings.Cut(string(plain), ":")
	if !ok || id == "" || text == "" {
		return credential{}, false
	}
	return credential{store.ClientID(id), secret.Of(text).Hash()}, true
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
