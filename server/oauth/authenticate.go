package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/server/secret"
	"postern/server/slow"
	"postern/store"
)

// The ways a client authenticates (RFC 7591 section 2).
const (
	methodBasic = "client_secret_basic"
	methodPost  = "client_secret_post"
)

// authenticated is a client that proved who it is.
type authenticated struct {
	client *store.Client
	secret *store.ClientSecret // that it proved it by
	holder *store.Holder       // its account and grants
	method string

	exchanged *exchanged // what a token is exchanged for; nil asks for one of its own
}

// credentials are what a request claims.
type credentials struct {
	id     string
	text   string // the secret
	method string
}

// failure is why a client is not who it says, or may not be it now. It is told to
// the log alone.
type failure string

func (f failure) Error() string { return string(f) }

const (
	errNoCredentials = failure("no client credentials")
	errUnknown       = failure("unknown client")
	errUnusable      = failure("the client, its account or its workspace is not usable")
	errWrongSecret   = failure("wrong secret")
	errAddress       = failure("the client's address list does not hold this address")
	errMethod        = failure("the client does not authenticate by this method")
	errProfile       = failure("the client keeps the profile fapi2, and this authentication does not")
)

// authenticate finds out which client sends the request (RFC 6749 section 2.3).
// Failures are counted; once there are too many of them, they are answered 429.
// A good secret is never refused for the failures of others.
func (h *Handler) authenticate(c *gin.Context, f form) (authenticated, error) {
	from := h.Address(c.Request)
	if hasAssertion(f) {
		auth, err := h.authenticateByKey(c, f, from)
		return auth, h.failed(f.get("client_id"), from, err)
	}
	if id := f.get("client_id"); id != "" && f.get("client_secret") == "" && len(c.Request.Header["Authorization"]) == 0 {
		p, err := h.presented(c.Request)
		if err != nil {
			return authenticated{}, err
		}
		if p != nil {
			auth, err := h.authenticateByCertificate(c, id, p, from)
			return auth, h.failed(id, from, err)
		}
	}
	sent, err := readCredentials(c.Request.Header["Authorization"], f)
	if err != nil {
		return authenticated{}, h.failed("", from, err)
	}
	auth, err := h.verify(c, sent, from)
	return auth, h.failed(sent.id, from, err)
}

// receive reads the form of a request that only a state young enough may answer,
// and authenticates its client.
func (h *Handler) receive(c *gin.Context, repeatable string) (form, authenticated, error) {
	f, err := h.read(c, repeatable)
	if err != nil {
		return nil, authenticated{}, err
	}
	auth, err := h.authenticate(c, f)
	return f, auth, err
}

// read reads the form of a request that only a state young enough may answer.
func (h *Handler) read(c *gin.Context, repeatable string) (form, error) {
	f, err := readForm(c.Request, repeatable)
	if err == nil {
		err = h.fresh(c)
	}
	return f, err
}

// failed counts a failure of a client, and makes its answer. That nobody can say
// who it is, as when the store does not answer, is none.
func (h *Handler) failed(id string, from netip.Addr, err error) error {
	if _, failed := errors.AsType[failure](err); !failed {
		return err
	}
	if h.Failures != nil {
		if blocked, after := h.Failures.Failed(id, from, h.Now()); blocked {
			return tooMany(after)
		}
	}
	return invalidClient(err)
}

// readCredentials takes them from the header or from the body, never from both
// (RFC 6749 section 2.3: one method in each request).
func readCredentials(authorization []string, f form) (credentials, error) {
	if len(authorization) > 1 {
		return credentials{}, invalidRequest("there are several Authorization headers")
	}
	id, text := f.get("client_id"), f.get("client_secret")
	if hasAssertion(f) {
		return credentials{}, errMethod // that is another method
	}
	if len(authorization) == 0 {
		if id == "" || text == "" {
			return credentials{}, errNoCredentials
		}
		return credentials{id, text, methodPost}, nil
	}
	if text != "" {
		return credentials{}, invalidRequest("the client authenticates by header and body at once; use one")
	}
	basic, err := parseBasic(authorization[0])
	if err != nil {
		return credentials{}, err
	}
	if id != "" && id != basic.id {
		return credentials{}, invalidRequest("client_id is not the client of the Authorization header")
	}
	return basic, nil
}

// parseBasic reads HTTP Basic (RFC 7617) whose two parts are form-encoded (RFC
// 6749 section 2.3.1).
func parseBasic(header string) (credentials, error) {
	scheme, encoded, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") || len(encoded) > 4096 {
		return credentials{}, errNoCredentials
	}
	plain, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return credentials{}, errNoCredentials
	}
	id, text, ok := strings.Cut(string(plain), ":")
	if !ok || id == "" || text == "" {
		return credentials{}, errNoCredentials
	}
	if id, err = unescape(id); err == nil {
		text, err = unescape(text)
	}
	if err != nil {
		return credentials{}, errNoCredentials
	}
	return credentials{id, text, methodBasic}, nil
}

// verify looks the client up and compares. Everything that is wrong with it is
// found after the comparison, so that a stranger learns nothing by it.
func (h *Handler) verify(c *gin.Context, sent credentials, from netip.Addr) (authenticated, error) {
	ctx := c.Request.Context()
	text := secret.Of(sent.text)
	if secret.Looks(sent.text) {
		parsed, owner, err := secret.Parse(sent.text)
		if err != nil || string(owner) != sent.id {
			return authenticated{}, errWrongSecret // no look-up for what cannot be right
		}
		text = parsed
	}
	hash := text.Hash() // before the look-up: as long for an unknown client as for a known one
	client, err := h.State.Client(ctx, store.ClientID(sent.id))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return authenticated{}, err
	}
	matched := matching(client, hash)
	if matched == nil {
		var slowErr error
		if matched, slowErr = h.imported(ctx, sent, client, hash, from); slowErr != nil {
			return authenticated{}, slowErr
		}
	}
	switch {
	case err != nil:
		return authenticated{}, errUnknown
	case matched == nil:
		return authenticated{}, errWrongSecret
	}
	return h.usableClient(ctx, client, matched, sent.method, from)
}

// usableClient refuses a client that proved who it is, and may not be it now.
func (h *Handler) usableClient(ctx context.Context, client *store.Client, matched *store.ClientSecret, method string, from netip.Addr) (authenticated, error) {
	now := store.At(h.Now())
	holder, err := h.State.Holder(ctx, client.Account)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return authenticated{}, err
	}
	switch {
	case err != nil, client.State(now) != store.ClientActive, !matched.Live(now), holder.Account.Status != store.AccountActive,
		client.Workspace != "" && h.State.Workspace(client.Workspace) == nil:
		return authenticated{}, errUnusable
	case !client.Authenticates(method):
		return authenticated{}, errMethod
	case client.Profile == store.ProfileFAPI2 && !isOfKey(method):
		return authenticated{}, errProfile
	case !client.MayCallFrom(from):
		return authenticated{}, errAddress
	}
	return authenticated{client: client, secret: matched, holder: holder, method: method}, nil
}

// imported returns the imported secret of a client if text is it, or nil; client
// is nil if there is none of this id. While any imported secret is left it takes
// as long whoever the client is. Where so much has failed that a failure would
// not be counted any more, nothing slow is done for a guess: only a secret that
// was found right before passes then.
func (h *Handler) imported(ctx context.Context, sent credentials, client *store.Client, hash []byte, from netip.Addr) (*store.ClientSecret, error) {
	if h.Slow == nil || !h.Slow.Needed(client) {
		return nil, nil //nolint:nilnil // no secret, as the comment says
	}
	if matched := h.Slow.Remembered(client, hash); matched != nil {
		return matched, nil
	}
	if h.Failures != nil {
		if blocked, after := h.Failures.Blocked(sent.id, from, h.Now()); blocked {
			return nil, tooMany(after)
		}
	}
	matched, err := h.Slow.Check(ctx, store.ClientID(sent.id), client, secret.Of(sent.text), hash)
	if errors.Is(err, slow.ErrBusy) {
		return nil, tooMany(time.Second)
	}
	return matched, err
}

// matching returns the secret of the client that has this hash, or nil. It looks
// at all of them whichever matches.
func matching(c *store.Client, hash []byte) *store.ClientSecret {
	if c == nil {
		return nil
	}
	var matched *store.ClientSecret
	for i := range c.Secrets {
		if s := &c.Secrets[i]; secret.EqualHash(hash, s.Hash) {
			matched = s
		}
	}
	return matched
}

var (
	noStore     = []string{"no-store"}         //nolint:gochecknoglobals // a header's value, shared by all answers
	contentJSON = []string{"application/json"} //nolint:gochecknoglobals // the same
)
