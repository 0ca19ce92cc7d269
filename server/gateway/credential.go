package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
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
func (h *Handler) authenticateGateway(ctx context.Context, sent []string, from netip.Addr, api *store.API) error {
	if len(sent) == 0 && !h.RequireCredential {
		return nil
	}
	if len(sent) != 1 {
		return errGateway
	}
	client, err := h.gatewayClient(ctx, sent[0], from)
	if err != nil {
		return err
	}
	if api != nil && !slices.Contains(api.Introspectors, client.ID) {
		return errGateway
	}
	return nil
}

// gatewayClient returns the client whose credential a gateway sent, as HTTP Basic,
// from an address.
func (h *Handler) gatewayClient(ctx context.Context, sent string, from netip.Addr) (*store.Client, error) {
	sum := sha256.Sum256([]byte(sent))
	c, remembered := h.credentials.get(sum)
	if !remembered {
		var ok bool
		if c, ok = parseBasic(sent); !ok {
			return nil, errGateway
		}
	}
	client, err := h.State.Client(ctx, c.client)
	if err != nil {
		return nil, missing(err, "read the gateway's client")
	}
	now := store.At(h.Now())
	known := hasSecret(client, c.hash, now)
	if !known {
		if known, err = h.hasImported(ctx, client, c.hash, sent, now); err != nil {
			return nil, err
		}
	}
	if !known || client.State(now) != store.ClientActive ||
		client.Workspace != "" && h.State.Workspace(client.Workspace) == nil ||
		client.SCIMOnly || !client.Authenticates("client_secret_basic") {
		return nil, errGateway
	}
	if len(client.Addresses) > 0 && !client.MayCallFrom(from) {
		return nil, errGateway
	}
	holder, err := h.State.Holder(ctx, client.Account)
	if err != nil {
		return nil, missing(err, "read the gateway's account")
	}
	if holder.Account.Status != store.AccountActive {
		return nil, errGateway
	}
	if !remembered {
		h.credentials.put(sum, c)
	}
	return client, nil
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

// parseBasic reads a client's id and the hash of the secret.
func parseBasic(header string) (credential, bool) {
	id, text, ok := readBasic(header)
	if !ok {
		return credential{}, false
	}
	return credential{id, text.Hash()}, true
}

// readBasic reads HTTP Basic (RFC 7617). It is the operator who writes it down,
// so unlike that of a token request it is not form-encoded.
func readBasic(header string) (store.ClientID, secret.Secret, bool) {
	scheme, encoded, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") || len(encoded) > 1024 {
		return "", secret.Secret{}, false
	}
	plain, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", secret.Secret{}, false
	}
	id, text, ok := strings.Cut(string(plain), ":")
	if !ok || id == "" || text == "" {
		return "", secret.Secret{}, false
	}
	return store.ClientID(id), secret.Of(text), true
}

// hasImported reports whether the secret of a header is a live one that the
// client brought from another server. There are no decoys here: no stranger
// reaches this listener, and nothing bounds how often a gateway fails.
func (h *Handler) hasImported(ctx context.Context, client *store.Client, hash []byte, header string, now store.Time) (bool, error) {
	kept := client.SlowSecret()
	if h.Slow == nil || kept == nil || !kept.Live(now) {
		return false, nil
	}
	if h.Slow.Remembered(client, hash) != nil {
		return true, nil
	}
	_, text, ok := readBasic(header)
	if !ok {
		return false, nil
	}
	matched, err := h.Slow.Check(ctx, client.ID, client, text, hash)
	if err != nil {
		return false, fmt.Errorf("check the gateway's imported secret: %w", err)
	}
	return matched != nil, nil
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
