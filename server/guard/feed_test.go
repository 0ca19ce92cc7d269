package guard_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/server/guard"
)

// issuer is a server that publishes keys and a feed, and says in it what a test
// wants.
type issuer struct {
	*httptest.Server
	keys  map[string]*ecdsa.PrivateKey // by kid
	says  chan string                  // the next message
	ended chan struct{}                // has one for each feed that was left
	ahead atomic.Int64                 // of the guard's clock
}

const (
	accessKey    = "access-1"
	statementKey = "statement-1"
	strangerKey  = "stranger-1" // that the JWKS does not have
	list1        = "https://postern.test/oauth2/statuslists/1"
)

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{keys: map[string]*ecdsa.PrivateKey{}, says: make(chan string), ended: make(chan struct{}, 100)}
	var set []map[string]string
	for _, kid := range []string{accessKey, statementKey, strangerKey} {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		point, err := k.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		i.keys[kid] = k
		jwk := map[string]string{
			"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
			"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
		}
		if kid == statementKey {
			jwk["postern_signs"] = "statement"
		}
		if kid != strangerKey {
			set = append(set, jwk)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /oauth2/jwks", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": set})
	})
	mux.HandleFunc("GET /oauth2/revocations", func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if id != "gateway" || secret != "s%2Bcret" || r.URL.Query().Get("api") != "orders" || r.Header.Get("Accept") != "text/event-stream" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		defer func() { i.ended <- struct{}{} }()
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case text := <-i.says:
				if text == "" {
					return
				}
				_, _ = fmt.Fprintf(w, ": a comment\nid: whatever\ndata: %s\n\n", text)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) now() time.Time { return time.Now().Add(time.Duration(i.ahead.Load())) }

// sign writes a JWS.
func (i *issuer) sign(typ, kid string, payload any) string {
	encode := base64.RawURLEncoding.EncodeToString
	header, _ := json.Marshal(map[string]string{"alg": "ES256", "typ": typ, "kid": kid})
	body, _ := json.Marshal(payload)
	input := encode(header) + "." + encode(body)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, i.keys[kid], sum[:])
	if err != nil {
		panic(err)
	}
	var raw [64]byte
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return input + "." + encode(raw[:])
}

type object = map[string]any

// claims of a message that goes on from a cursor; change may make others of them.
func (i *issuer) message(after, cursor string, change object) object {
	m := object{
		"iss": i.URL, "aud": "gateway", "api": "orders", "iat": float64(i.now().UnixMilli()) / 1000, "age_ms": 0,
		"after": after, "cursor": cursor,
	}
	maps.Copy(m, change)
	return m
}

func (i *issuer) snapshot(cursor string, change object) object {
	m := i.message("", cursor, change)
	m["snapshot"] = true
	return m
}

// token is an access token with a place in a list.
func (i *issuer) token(jti string, index int64) string {
	claims := object{
		"iss": i.URL, "aud": "https://orders.test", "sub": "svc", "client_id": "cli", "jti": jti,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	if index >= 0 {
		claims["status"] = object{"status_list": object{"idx": index, "uri": list1}}
	}
	return i.sign("at+jwt", accessKey, claims)
}

// say sends a message to who follows, as soon as somebody does.
func (i *issuer) say(t *testing.T, text string) {
	t.Helper()
	select {
	case i.says <- text:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody follows the feed")
	}
}

func (i *issuer) tell(t *testing.T, payload object) {
	t.Helper()
	i.say(t, i.sign("revocations+jwt", statementKey, payload))
}

// follow makes a guard that follows the feed, and says why each break was.
func (i *issuer) follow(t *testing.T, edit ...func(*guard.Feed)) (*guard.Guard, http.Handler, chan error) {
	t.Helper()
	broke := make(chan error, 100)
	f := &guard.Feed{API: "orders", ClientID: "gateway", ClientSecret: "s+cret", Failed: func(err error) { broke <- err }}
	for _, e := range edit {
		e(f)
	}
	g := newGuard(t, guard.Options{Issuer: i.URL, Audience: "https://orders.test", Feed: f, Now: i.now})
	t.Cleanup(func() { _ = g.Close(context.WithoutCancel(t.Context())) })
	return g, g.Handler(whoami), broke
}

func status(h http.Handler, token string) int { return call(h, "GET", "/", token).Code }

func await(t *testing.T, h http.Handler, token string, want int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); status(h, token) != want; <-tick.C {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("after 20 s the token is answered %d, want %d", status(h, token), want)
		}
	}
}

func lst(t *testing.T, bits ...byte) string {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write(bits); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b.Bytes())
}

// A guard knows nothing before the first snapshot is whole, and then what each
// message says.
func TestFeedIsFollowed(t *testing.T) {
	i := newIssuer(t)
	g, h, _ := i.follow(t)
	one, two, three, key := i.token("one", 1), i.token("two", 2), i.token("three", 300), i.token("key", 4)
	if got := status(h, one); got != http.StatusServiceUnavailable {
		t.Errorf("before anything is known: %d", got)
	}
	i.tell(t, i.snapshot("c1", object{"more": true, "lists": []object{{"uri": list1, "bits": 1, "lst": lst(t, 1<<2)}}}))
	i.tell(t, i.snapshot("c1", object{"part": 1, "more": true}))
	if got := status(h, one); got != http.StatusServiceUnavailable {
		t.Errorf("in the middle of a snapshot: %d", got)
	}
	i.tell(t, i.snapshot("c1", object{"part": 2, "tokens": []object{{"jti": "one", "exp": i.now().Add(time.Hour).Unix()}}}))
	if err := g.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{one: 401, two: 401, three: 200, key: 200} {
		if got := status(h, text); got != want {
			t.Errorf("after the snapshot: %d, want %d", got, want)
		}
	}
	i.tell(t, i.message("c1", "c2", object{"statuses": []object{{"uri": list1, "idx": 300, "status": 1}, {"uri": list1, "idx": 2, "status": 0}}}))
	await(t, h, three, 401)
	await(t, h, two, 200)
	i.tell(t, i.message("c2", "c2", nil))
	i.tell(t, i.message("c2", "c3", object{"keys": []string{accessKey}}))
	await(t, h, two, 401)
	// A snapshot is all there is, whatever was before.
	i.tell(t, i.snapshot("d1", nil))
	await(t, h, one, 200)
	await(t, h, three, 200)
}

// What is not signed for this gateway, now, by a key that signs such messages, in
// its turn, is not believed, and the feed is begun anew.
func TestFeedBelievesNothingElse(t *testing.T) {
	i := newIssuer(t)
	g, h, broke := i.follow(t, func(f *guard.Feed) { f.MaxAge = 30 * time.Second })
	text := i.token("one", 1)
	revoke := object{"tokens": []object{{"jti": "one", "exp": i.now().Add(time.Hour).Unix()}}, "statuses": []object{{"uri": list1, "idx": 1, "status": 1}}}
	with := func(change object) object {
		for name, value := range revoke {
			if change[name] == nil {
				change[name] = value
			}
		}
		return change
	}
	sign := func(m object) string { return i.sign("revocations+jwt", statementKey, m) }
	good := sign(i.message("c", "c2", with(object{})))
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"revocations+jwt","kid":"` + statementKey + `"}`))
	for name, bad := range map[string]string{
		"no JWS":                          "nothing",
		"no signature":                    parts[0] + "." + parts[1] + ".",
		"alg none":                        none + "." + parts[1] + ".",
		"alg none, a signature":           none + "." + parts[1] + "." + parts[2],
		"another payload":                 parts[0] + "." + strings.Split(sign(i.message("c", "c3", with(object{}))), ".")[1] + "." + parts[2],
		"a key of access tokens":          i.sign("revocations+jwt", accessKey, i.message("c", "c2", with(object{}))),
		"a key that is not the issuer's":  i.sign("revocations+jwt", strangerKey, i.message("c", "c2", with(object{}))),
		"a status list's type":            i.sign("statuslist+jwt", statementKey, i.message("c", "c2", with(object{}))),
		"an access token's type":          i.sign("at+jwt", statementKey, i.message("c", "c2", with(object{}))),
		"another issuer":                  sign(i.message("c", "c2", with(object{"iss": "https://other.test"}))),
		"for another gateway":             sign(i.message("c", "c2", with(object{"aud": "other"}))),
		"of another API":                  sign(i.message("c", "c2", with(object{"api": "other"}))),
		"of the past":                     sign(i.message("c", "c2", with(object{"iat": i.now().Add(-time.Minute).Unix()}))),
		"of the future":                   sign(i.message("c", "c2", with(object{"iat": i.now().Add(time.Minute).Unix()}))),
		"without a cursor":                sign(i.message("c", "", with(object{}))),
		"from a state of the future":      sign(i.message("c", "c2", with(object{"age_ms": -1000}))),
		"one is missing before it":        sign(i.message("b", "c2", with(object{}))),
		"a part without the first":        sign(i.snapshot("c2", with(object{"part": 1}))),
		"a list that is none":             sign(i.message("c", "c2", with(object{"lists": []object{{"uri": list1, "bits": 1, "lst": "AAAA"}}}))),
		"a list of more bits":             sign(i.message("c", "c2", with(object{"lists": []object{{"uri": list1, "bits": 2, "lst": lst(t, 0)}}}))),
		"a place before the first":        sign(i.message("c", "c2", with(object{"statuses": []object{{"uri": list1, "idx": -1, "status": 1}}}))),
		"a place beyond what a list has":  sign(i.message("c", "c2", with(object{"statuses": []object{{"uri": list1, "idx": 1 << 40, "status": 1}}}))),
		"a list that unpacks to too much": sign(i.message("c", "c2", with(object{"lists": []object{{"uri": list1, "bits": 1, "lst": lst(t, make([]byte, 2<<20)...)}}}))),
		"a message that is too large":     strings.Repeat("A", 5<<20),
	} {
		i.tell(t, i.snapshot("c", nil))
		if err := g.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		await(t, h, text, 200)
		i.say(t, bad)
		select {
		case err := <-broke:
			if err == nil || strings.Contains(err.Error(), "s+cret") {
				t.Errorf("%s: the feed broke by %v", name, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s is believed", name)
		}
		<-i.ended // so that nobody hears the next snapshot who left
		if got := status(h, text); got == http.StatusUnauthorized {
			t.Errorf("%s: the token is refused by it", name)
		}
	}
}

// An access token is not good by a key that signs statements, feed or none.
func TestStatementKeySignsNoAccessTokens(t *testing.T) {
	i := newIssuer(t)
	g := newGuard(t, guard.Options{Issuer: i.URL, Audience: "https://orders.test"})
	forged := i.sign("at+jwt", statementKey, object{
		"iss": i.URL, "aud": "https://orders.test", "sub": "svc", "client_id": "cli", "jti": "x",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	if got := status(g.Handler(whoami), i.token("good", -1)); got != 200 {
		t.Errorf("a good token: %d", got)
	}
	if got := status(g.Handler(whoami), forged); got != 401 {
		t.Errorf("one by the statement key: %d", got)
	}
}

// Silence is a refusal, whoever is silent: the line, or Postern about what it does
// not know itself. What is known to be revoked stays so.
func TestFeedThatIsOldIsARefusal(t *testing.T) {
	i := newIssuer(t)
	g, h, _ := i.follow(t)
	good, dead := i.token("good", 1), i.token("dead", 2)
	i.tell(t, i.snapshot("c", object{"tokens": []object{{"jti": "dead", "exp": i.now().Add(time.Hour).Unix()}}}))
	await(t, h, good, 200)
	i.ahead.Store(int64(time.Second))
	if got := status(h, good); got != 200 {
		t.Errorf("after 1 s: %d", got)
	}
	i.ahead.Store(int64(6 * time.Second))
	if got := call(h, "GET", "/", good); got.Code != 503 || got.Header().Get("Retry-After") == "" {
		t.Errorf("after 6 s: %d", got.Code)
	}
	if got := status(h, dead); got != 401 {
		t.Errorf("what was revoked before: %d", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Ready(ctx); err == nil {
		t.Error("it says that it is ready")
	}
	i.tell(t, i.message("c", "c", nil))
	await(t, h, good, 200)
	i.tell(t, i.message("c", "c", object{"age_ms": 6000}))
	await(t, h, good, 503)
	i.tell(t, i.message("c", "c", nil))
	await(t, h, good, 200)
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	i.ahead.Store(int64(time.Minute))
	if got := status(h, good); got != 503 {
		t.Errorf("closed: %d", got)
	}
}

// Who would rather serve than know may say so, but something must have been known.
func TestFeedThatIsOldMayPass(t *testing.T) {
	i := newIssuer(t)
	_, h, _ := i.follow(t, func(f *guard.Feed) { f.AllowStale = true })
	good, dead := i.token("good", 1), i.token("dead", 2)
	if got := status(h, good); got != http.StatusServiceUnavailable {
		t.Errorf("before anything is known: %d", got)
	}
	i.tell(t, i.snapshot("c", object{"statuses": []object{{"uri": list1, "idx": 2, "status": 1}}}))
	await(t, h, good, 200)
	i.ahead.Store(int64(time.Minute))
	if got := status(h, good); got != 200 {
		t.Errorf("after a minute: %d", got)
	}
	if got := status(h, dead); got != 401 {
		t.Errorf("what was revoked before: %d", got)
	}
}

// A token that does not say where its status is could be revoked with its client, and
// nobody would know.
func TestFeedWantsAPlace(t *testing.T) {
	for lax, want := range map[bool]int{false: 401, true: 200} {
		i := newIssuer(t)
		_, h, _ := i.follow(t, func(f *guard.Feed) { f.AllowUnlisted = lax })
		i.tell(t, i.snapshot("c", nil))
		await(t, h, i.token("listed", 1), 200)
		if got := status(h, i.token("unlisted", -1)); got != want {
			t.Errorf("a token without a place, lax %t: %d, want %d", lax, got, want)
		}
		if got := status(h, i.token("far", 1<<40)); got != 401 {
			t.Errorf("a place that no list has, lax %t: %d", lax, got)
		}
	}
}

// What is remembered is bounded, and what is over is forgotten.
func TestFeedIsBounded(t *testing.T) {
	i := newIssuer(t)
	_, h, broke := i.follow(t, func(f *guard.Feed) { f.MaxTokens = 2 })
	over := object{"jti": "over", "exp": i.now().Add(-time.Hour).Unix()}
	live := func(jti string) object { return object{"jti": jti, "exp": i.now().Add(time.Hour).Unix()} }
	i.tell(t, i.snapshot("c", object{"tokens": []object{over, live("one"), live("two")}}))
	await(t, h, i.token("other", 1), 200)
	i.tell(t, i.message("c", "c2", object{"tokens": []object{live("three")}}))
	if err := <-broke; err == nil || !strings.Contains(err.Error(), "MaxTokens") {
		t.Errorf("the feed broke by %v", err)
	}
	if got := status(h, i.token("other", 1)); got != 503 {
		t.Errorf("with more revoked tokens than are remembered: %d", got)
	}
}

func TestFeedOptions(t *testing.T) {
	whole := guard.Feed{API: "orders", ClientID: "gateway", ClientSecret: "secret"}
	for name, o := range map[string]guard.Options{
		"no API":       {Issuer: "https://x.test", Audience: "a", Feed: &guard.Feed{ClientID: "x", ClientSecret: "y"}},
		"no client":    {Issuer: "https://x.test", Audience: "a", Feed: &guard.Feed{API: "x", ClientSecret: "y"}},
		"no secret":    {Issuer: "https://x.test", Audience: "a", Feed: &guard.Feed{API: "x", ClientID: "y"}},
		"a bad URL":    {Issuer: "https://x.test", Audience: "a", Feed: &guard.Feed{API: "x", ClientID: "y", ClientSecret: "z", URL: "://"}},
		"of decisions": {Decisions: "http://127.0.0.1/decide/nginx/orders", Feed: &whole},
	} {
		if _, err := guard.New(o); err == nil || !strings.HasPrefix(err.Error(), "guard: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	i := newIssuer(t)
	g, h, broke := i.follow(t, func(f *guard.Feed) { f.ClientSecret = "wrong" })
	if err := <-broke; !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong secret: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Ready(ctx); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("Ready: %v", err)
	}
	if got := status(h, i.token("x", 1)); got != 503 {
		t.Errorf("a wrong secret: %d", got)
	}
}
