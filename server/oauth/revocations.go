package oauth

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"postern/server/status"
	"postern/store"
)

const (
	// heartbeat is how often a stream says that there was nothing.
	heartbeat = 500 * time.Millisecond
	// longestWait is that of a long poll: shorter than proxies and answerTimeout
	// have patience.
	longestWait = 25 * time.Second
	// writePatience is how long a message may take to go out to one who reads slowly.
	writePatience = 5 * time.Second

	// So many streams and long polls a client, and all clients, may have at a node:
	// each gateway of a fleet has one.
	maxStreams    = 200
	maxAllStreams = 5000
)

// followers are those who are told now.
type followers struct {
	draining chan struct{} // closed when the server stops
	once     sync.Once

	mu  sync.Mutex
	of  map[store.ClientID]int
	all int
}

// Drain ends every stream and long poll, and lets none begin. They would hold up a
// shutdown for as long as they may last.
func (h *Handler) Drain() { h.followers.once.Do(func() { close(h.followers.draining) }) }

func (f *followers) enter(id store.ClientID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all >= maxAllStreams || f.of[id] >= maxStreams {
		return false
	}
	if f.of == nil {
		f.of = map[store.ClientID]int{}
	}
	f.of[id]++
	f.all++
	return true
}

func (f *followers) leave(id store.ClientID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all--
	if f.of[id]--; f.of[id] == 0 {
		delete(f.of, id)
	}
}

// following is one gateway that is told.
type following struct {
	h    *Handler
	c    *gin.Context
	auth authenticated
	name string // of its API
}

// revocations tells an API's gateway which tokens are revoked, as it happens: by
// server-sent events, or by a long poll for who does not accept them. It says the
// same as introspection would, to whom it would say it, without being asked for
// every token.
func (h *Handler) revocations(c *gin.Context) error {
	query, err := readQuery(c.Request)
	if err != nil {
		return err
	}
	wait, err := readWait(query.get("wait"))
	if err != nil {
		return err
	}
	var f form
	if id := query.get("client_id"); id != "" { // of who authenticates by its connection
		f = form{{"client_id", id}}
	}
	auth, err := h.authenticate(c, f)
	if err != nil {
		return err
	}
	if ok, after := h.introspectLimit.Allow(string(auth.client.ID), h.IntrospectRate, h.Now()); !ok {
		return tooMany(after)
	}
	if query.get("api") == "" {
		return invalidRequest("api is missing: the name of the API whose gateway this is")
	}
	follower := &following{h, c, auth, query.get("api")}
	if _, err := follower.api(); err != nil {
		return err
	}
	if !h.followers.enter(auth.client.ID) {
		return tooMany(time.Second)
	}
	defer h.followers.leave(auth.client.ID)
	if strings.Contains(c.GetHeader("Accept"), "text/event-stream") {
		after := c.GetHeader("Last-Event-ID")
		if after == "" {
			after = query.get("after")
		}
		return follower.stream(after)
	}
	return follower.poll(query.get("after"), wait)
}

// readQuery reads parameters from the query: they are no secrets, and those that
// are have no business there.
func readQuery(r *http.Request) (form, error) {
	f, err := parseForm(r.URL.RawQuery, "")
	if err != nil {
		return nil, err
	}
	for _, secret := range []string{"client_secret", "client_assertion", "access_token", "token"} {
		if f.get(secret) != "" {
			return nil, invalidRequest("credentials go into the Authorization header, not into the query, where they would be logged")
		}
	}
	return f, nil
}

func readWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 || seconds > int(longestWait/time.Second) {
		return 0, invalidRequest("wait must be a number of seconds from 0 to 25")
	}
	return time.Duration(seconds) * time.Second, nil
}

// api returns the API, if this gateway may still be told of it and this node can
// tell.
func (f *following) api() (*store.API, error) {
	api := f.h.State.APIByName(f.name)
	if api == nil || f.auth.client.SCIMOnly || !slices.Contains(api.Introspectors, f.auth.client.ID) {
		return nil, &Error{Code: "access_denied", Status: http.StatusForbidden, Description: "there is no such API, or the client is not among its introspectors"}
	}
	most := f.h.MaxStaleness
	if api.MaxStaleness > 0 {
		most = min(most, time.Duration(api.MaxStaleness)*time.Second)
	}
	return api, f.h.telling(f.c, most)
}

// again is api, of a client as it is now.
func (f *following) again() (*store.API, error) {
	ctx, now := f.c.Request.Context(), f.auth.client
	client, err := f.h.State.Client(ctx, now.ID)
	if err != nil {
		return nil, err
	}
	s := client.Secret(f.auth.secret.ID)
	if s == nil {
		return nil, errUnusable
	}
	if f.auth, err = f.h.usableClient(ctx, client, s, f.auth.method, f.h.Address(f.c.Request)); err != nil {
		return nil, err
	}
	return f.api()
}

// messages returns what there is to tell after a cursor.
func (f *following) messages(api *store.API, after string) (texts []string, cursor string, more bool, err error) {
	to := status.Gateway{Client: f.auth.client.ID, API: api}
	return f.h.Status.Messages(f.c.Request.Context(), to, after, f.h.age())
}

// wait returns when something changed or the time is over, or false if the
// gateway left or the server stops.
func (f *following) wait(changed <-chan struct{}, over <-chan time.Time) bool {
	select {
	case <-changed:
		return true
	case <-over:
		return true
	case <-f.c.Request.Context().Done():
		return false
	case <-f.h.followers.draining:
		return false
	}
}

// stream answers with server-sent events: each message is one, with the cursor as
// its id. Once it has begun, an error is its end.
func (f *following) stream(after string) error {
	control := http.NewResponseController(f.c.Writer)
	header := f.c.Writer.Header()
	header["Content-Type"], header["Cache-Control"] = []string{"text/event-stream"}, noStore
	header["X-Accel-Buffering"] = []string{"no"} // nginx would keep messages back
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for api, err := f.api(); ; api, err = f.again() {
		if err != nil {
			return f.end(err)
		}
		changed := f.h.Status.Changed()
		texts, cursor, more, err := f.messages(api, after)
		if err != nil {
			return f.end(err)
		}
		// An answer that lasts is not one that hangs. Where that cannot be said, the
		// answer is cut off, and its gateway comes again with its cursor.
		_ = control.SetWriteDeadline(time.Now().Add(writePatience)) //nolint:forbidigo // of a connection
		if !f.send(texts, cursor) || control.Flush() != nil {
			return nil
		}
		after = cursor
		if !more && !f.wait(changed, beat.C) {
			return nil
		}
	}
}

// send writes messages as events. Only the last of a snapshot's parts has an id: who
// did not get it begins anew.
func (f *following) send(texts []string, cursor string) bool {
	var b strings.Builder
	for i, text := range texts {
		if i == len(texts)-1 {
			b.WriteString("id: " + cursor + "\n")
		}
		b.WriteString("data: " + text + "\n\n")
	}
	_, err := f.c.Writer.WriteString(b.String())
	return err == nil
}

// end is the answer to an error if there is none yet.
func (f *following) end(err error) error {
	if f.c.Writer.Written() {
		f.h.Log.DebugContext(f.c.Request.Context(), "a stream of revocations ended", "client", f.auth.client.ID, "error", err)
		return nil
	}
	return err
}

// poll answers at once if there is something after the cursor, or else when there
// is, or the time is over.
func (f *following) poll(after string, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	changed := f.h.Status.Changed()
	if f.h.Status.Current(after) && wait > 0 {
		if !f.wait(changed, timer.C) {
			return &Error{Code: "temporarily_unavailable", Status: http.StatusServiceUnavailable, Description: "this node is stopping; ask another"}
		}
	}
	api, err := f.again()
	if err != nil {
		return f.refused(err)
	}
	texts, cursor, more, err := f.messages(api, after)
	if err != nil {
		return err
	}
	header := f.c.Writer.Header()
	header["Content-Type"], header["Cache-Control"] = contentJSON, noStore
	return json.NewEncoder(f.c.Writer).Encode(struct {
		Messages []string `json:"messages"`
		Cursor   string   `json:"cursor"`
		More     bool     `json:"more"`
	}{texts, cursor, more})
}

// refused is the answer to a client that was revoked while it waited.
func (f *following) refused(err error) error {
	if _, is := err.(failure); is { //nolint:errorlint // usableClient's own
		return invalidClient(err)
	}
	return err
}
