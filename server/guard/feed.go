package guard

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Feed is how a Guard follows what Postern says of revoked tokens, and whom it
// follows it as: the client of the API's gateway, which must be among the API's
// introspectors. It is told of that API's tokens only.
type Feed struct {
	API          string // the API's name
	ClientID     string // of the gateway's client
	ClientSecret string
	// URL is where the feed is; empty means Issuer + "/oauth2/revocations".
	URL string
	// MaxAge is how old what is known may be, counted from what Postern itself knew:
	// with an older one, requests are answered 503. 0 means 5 s; Postern speaks twice a
	// second.
	MaxAge time.Duration
	// AllowStale lets requests pass all the same when what is known is older than
	// MaxAge, but was known once. What was revoked meanwhile is then good.
	AllowStale bool
	// AllowUnlisted lets tokens pass that have no place in a status list: those of
	// before the API's status_list was switched on. That their client or account was
	// revoked would not be known.
	AllowUnlisted bool
	// MaxTokens is how many tokens revoked one by one are remembered; with more,
	// requests are answered 503. 0 means 1,000,000.
	MaxTokens int
	// Failed is told why the feed broke, each time it did; nil is told nothing.
	Failed func(error)
}

const (
	typeMessage  = "revocations+jwt"
	maxMessage   = 4 << 20 // bytes of one event
	shortestRest = 100 * time.Millisecond
	longestRest  = 2 * time.Second
)

// feed is the connection that is followed, and what is known by it.
type feed struct {
	Feed
	g      *Guard
	http   *http.Client
	known  known
	cancel context.CancelFunc
	done   chan struct{} // closed when nothing is followed any more
}

// follow begins to follow a feed.
func (g *Guard) follow(o Feed) error {
	switch {
	case g.o.Decisions != "":
		return errors.New("guard: Feed is for verifying here; with Decisions Postern knows itself what is revoked")
	case o.API == "" || o.ClientID == "" || o.ClientSecret == "":
		return errors.New("guard: Feed needs API, ClientID and ClientSecret: the API's name and the credential of a client among its introspectors")
	}
	if o.URL == "" {
		o.URL = g.o.Issuer + "/oauth2/revocations"
	}
	where, err := url.Parse(o.URL)
	if err != nil {
		return errors.New("guard: Feed.URL is no address")
	}
	query := where.Query()
	query.Set("api", o.API)
	where.RawQuery = query.Encode()
	o.URL = where.String()
	if o.MaxAge == 0 {
		o.MaxAge = 5 * time.Second
	}
	if o.MaxTokens == 0 {
		o.MaxTokens = 1_000_000
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	client := *g.o.HTTP
	client.Timeout = 0 // an answer that never ends; MaxAge ends one that is silent
	f := &feed{Feed: o, g: g, http: &client, done: make(chan struct{})}
	f.known.init(o.MaxTokens)
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel, g.feed = cancel, f
	go f.run(ctx)
	return nil
}

// Ready waits until it is known which tokens are revoked, and that is not older than
// Feed.MaxAge. Its error says why that is not so when ctx is done. Without a Feed it
// returns at once.
func (g *Guard) Ready(ctx context.Context) error {
	if g.feed == nil {
		return nil
	}
	for {
		changed, why := g.feed.known.watch()
		if g.feed.known.age(g.o.Now()) <= g.feed.MaxAge {
			return nil
		}
		select {
		case <-changed:
		case <-g.feed.done:
			return errors.New("guard: it is closed")
		case <-ctx.Done():
			if why == nil {
				why = ctx.Err()
			}
			return fmt.Errorf("guard: what is revoked is not known: %w", why)
		}
	}
}

// Close ends the feed, and returns when it is ended or ctx is done. What needs it is
// answered 503 from then on.
func (g *Guard) Close(ctx context.Context) error {
	if g.feed == nil {
		return nil
	}
	g.feed.cancel()
	select {
	case <-g.feed.done:
		g.feed.http.CloseIdleConnections()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run follows the feed from one break to the next, with a rest between them that
// grows while nothing comes.
func (f *feed) run(ctx context.Context) {
	defer close(f.done)
	rest := shortestRest
	for {
		heard, err := f.connect(ctx)
		if ctx.Err() != nil {
			f.known.fail(errors.New("the guard is closed"))
			return
		}
		if heard {
			rest = shortestRest
		}
		f.known.fail(err)
		f.Failed(err)
		select {
		case <-time.After(rest/2 + rand.N(rest/2)): //nolint:gosec // so that gateways do not come all at once
		case <-ctx.Done():
			return
		}
		rest = min(2*rest, longestRest)
	}
}

// connect follows one answer until it ends, and reports whether it said anything.
func (f *feed) connect(ctx context.Context) (heard bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(f.MaxAge, func() { cancel(errors.New("the feed is silent")) })
	defer silence.Stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, http.NoBody)
	if err != nil {
		return false, err
	}
	r.Header.Set("Accept", "text/event-stream")
	r.SetBasicAuth(url.QueryEscape(f.ClientID), url.QueryEscape(f.ClientSecret)) // RFC 6749 section 2.3.1
	if cursor := f.known.at(); cursor != "" {
		r.Header.Set("Last-Event-ID", cursor)
	}
	answer, err := f.http.Do(r)
	if err != nil {
		return false, because(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
		return false, fmt.Errorf("the feed of revocations answers %d; is the client's secret right, and is it among the introspectors of the API?", answer.StatusCode)
	}
	events := bufio.NewReaderSize(answer.Body, 64<<10)
	for {
		text, err := nextEvent(events)
		if err == nil {
			err = f.accept(ctx, text)
		}
		if err != nil {
			return heard, because(ctx, err)
		}
		heard = true
		silence.Reset(f.MaxAge)
	}
}

// because is the cause of an error where we cancelled ourselves.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

var errTooLarge = errors.New("a message is larger than 4 MiB")

// nextEvent reads the data of the next server-sent event. Its id is not read: the
// cursor is in what is signed.
func nextEvent(r *bufio.Reader) (string, error) {
	var data []byte
	for {
		line, err := nextLine(r, maxMessage-len(data))
		if err != nil {
			return "", err
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(line) == 0 && len(data) > 0:
			return string(data), nil
		case string(field) == "data":
			data = append(data, bytes.TrimPrefix(value, []byte(" "))...)
		}
	}
}

func nextLine(r *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > most+2 {
			return nil, errTooLarge
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("the feed ended")
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// message is what Postern says.
type message struct {
	Issuer   string  `json:"iss"`
	Audience string  `json:"aud"`
	IssuedAt float64 `json:"iat"`
	API      string  `json:"api"`
	Age      int64   `json:"age_ms"`

	After    string `json:"after"`
	Cursor   string `json:"cursor"`
	Snapshot bool   `json:"snapshot"`
	Part     int    `json:"part"`
	More     bool   `json:"more"`

	Tokens []struct {
		ID      string `json:"jti"`
		Expires int64  `json:"exp"`
	} `json:"tokens"`
	Keys  []string `json:"keys"`
	Lists []struct {
		URI  string `json:"uri"`
		Bits int    `json:"bits"`
		List string `json:"lst"`
	} `json:"lists"`
	Statuses []struct {
		URI    string `json:"uri"`
		Index  int64  `json:"idx"`
		Status int    `json:"status"`
	} `json:"statuses"`
}

// accept takes in a message, if it is Postern's, for this gateway, and of now: signed
// by a key that signs such messages and no access tokens.
func (f *feed) accept(ctx context.Context, text string) error {
	m, err := f.open(ctx, text)
	if err != nil {
		return err
	}
	now := f.g.o.Now()
	issued := time.UnixMilli(int64(m.IssuedAt * 1000))
	switch {
	case m.Issuer != f.g.o.Issuer || m.Audience != f.ClientID || m.API != f.API:
		return errors.New("a message is from or for somebody else")
	case issued.After(now.Add(f.g.o.Leeway)) || issued.Before(now.Add(-f.MaxAge-f.g.o.Leeway)):
		return errors.New("a message is not of now; are the clocks right?")
	case m.Age < 0 || m.Cursor == "":
		return errors.New("a message is incomplete")
	}
	// Where it was held up on its way for longer than clocks differ, it is so old.
	asOf := now
	if late := issued.Add(f.g.o.Leeway); late.Before(asOf) {
		asOf = late
	}
	return f.known.learn(m, asOf.Add(-time.Duration(m.Age)*time.Millisecond), now)
}

func (f *feed) open(ctx context.Context, text string) (*message, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, errors.New("a message is no JWS")
	}
	var header struct {
		Algorithm string `json:"alg"`
		Type      string `json:"typ"`
		KeyID     string `json:"kid"`
		Critical  any    `json:"crit"`
	}
	if err := decode(parts[0], &header); err != nil || header.Critical != nil || header.Type != typeMessage {
		return nil, errors.New("a message is of another type")
	}
	k, err := f.g.key(ctx, header.KeyID, true)
	if err != nil {
		return nil, err
	}
	signature, err := strict.DecodeString(parts[2])
	if k == nil || !k.statement || err != nil || k.algorithm != header.Algorithm || f.known.deadKey(header.KeyID) ||
		!k.verify([]byte(parts[0]+"."+parts[1]), signature) {
		return nil, errors.New("a message is not signed by a key of the issuer's for such messages")
	}
	m := new(message)
	if err := decode(parts[1], m); err != nil {
		return nil, errors.New("a message cannot be read")
	}
	return m, nil
}
