package server_test

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server"
	"postern/server/limit"
	"postern/server/secret"
	"postern/store"
)

// T17, Q13: whatever is wrong with a client, a stranger is told the same, to the
// byte.
func TestT17EveryRefusalOfAClientLooksAlike(t *testing.T) {
	n := start(t, noFailureLimit)
	made := func(body map[string]any) as {
		t.Helper()
		body["name"], body["workspace"] = "one", "default"
		m := n.want(t, 201, "POST", "/clients", body).json(t)
		return as{m["client_id"].(string), m["client_secret"].(string)}
	}
	unknown := store.NewClientID()
	id := string(n.Example.Client.ID)
	who := map[string]as{
		"wrong secret of its own":     {id, secret.New(n.Example.Client.ID).Reveal()},
		"secret of another client":    {id, n.Gateway.Secret.Reveal()},
		"secret of another form":      {id, "hunter2"},
		"unknown client":              {string(unknown), secret.New(unknown).Reveal()},
		"unknown client, odd secret":  {string(unknown), "hunter2"},
		"id that no client can have":  {"a b/c", "hunter2"},
		"revoked client":              made(map[string]any{}),
		"deleted client":              made(map[string]any{}),
		"pending client":              made(map[string]any{"confirm": true}),
		"client of another address":   made(map[string]any{"addresses": []string{"192.0.2.0/24"}}),
		"client whose time is up":     made(map[string]any{"expires_in": "1d"}),
		"client whose secret is dead": made(map[string]any{}),
	}
	n.want(t, 200, "POST", "/clients/"+who["revoked client"].id+"/revoke", map[string]any{})
	n.want(t, 200, "POST", "/clients/"+who["deleted client"].id+"/revoke", map[string]any{})
	n.want(t, 200, "DELETE", "/clients/"+who["deleted client"].id, nil)
	n.want(t, 201, "POST", "/clients/"+who["client whose secret is dead"].id+"/secrets", map[string]any{"overlap": "0s"})
	n.clock.advance(25 * time.Hour)
	bare := func(a answer) answer {
		a.header.Del("X-Request-Id")
		a.header.Del("Date")
		return a
	}
	for _, path := range []string{"/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"} {
		want := bare(n.form(t, path, who["unknown client"], wantToken, "token=x"))
		if want.status != http.StatusUnauthorized {
			t.Errorf("%s: an unknown client got %d", path, want.status)
		}
		for name, each := range who {
			if diff := cmp.Diff(want, bare(n.form(t, path, each, wantToken, "token=x")), cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("%s: %s does not look as an unknown client (-unknown +it):\n%s", path, name, diff)
			}
		}
	}
}

// T17 with imports left: whatever is wrong with a client, imported, native or
// none, a stranger is told the same, to the byte; and the old secrets go on.
func TestT17EveryRefusalLooksAlikeWhileImportsAreLeft(t *testing.T) {
	n := start(t, noFailureLimit)
	const bcrypt = "$2a$05$ra.75ozyTlL7NGE4uMm41.cAUvgzBCXwg5MVQFgc0xpWjlyJF.jnS"
	const text = "old secret 1"
	n.imports(t, "old-bcrypt", "old-argon2id", "old-revoked", "old-deleted", "old-never-used")
	for _, id := range []string{"old-argon2id", "old-revoked", "old-deleted"} {
		n.issue(t, as{id, text})
	}
	n.want(t, 200, "POST", "/clients/old-revoked/revoke", map[string]any{})
	n.want(t, 200, "POST", "/clients/old-deleted/revoke", map[string]any{})
	n.want(t, 200, "DELETE", "/clients/old-deleted", nil)
	bare := func(a answer) answer {
		a.header.Del("X-Request-Id")
		a.header.Del("Date")
		return a
	}
	unknown := store.NewClientID()
	who := map[string]as{
		"unknown client":                  {string(unknown), secret.New(unknown).Reveal()},
		"unknown client, odd secret":      {"old-unknown", "hunter2"},
		"native client":                   {string(n.Example.Client.ID), "hunter2"},
		"native client, native secret":    {string(n.Example.Client.ID), secret.New(n.Example.Client.ID).Reveal()},
		"imported":                        {"old-bcrypt", "hunter2"},
		"imported and used":               {"old-argon2id", "hunter2"},
		"imported, native secret":         {"old-bcrypt", secret.New("old-bcrypt").Reveal()},
		"imported, its hash as a secret":  {"old-bcrypt", bcrypt},
		"imported, its id in other case":  {"OLD-bcrypt", text},
		"imported and revoked":            {"old-revoked", text},
		"imported and revoked, wrong one": {"old-revoked", "hunter2"},
		"imported and deleted":            {"old-deleted", text},
	}
	for _, path := range []string{"/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"} {
		want := bare(n.form(t, path, who["unknown client"], wantToken, "token=x"))
		if want.status != http.StatusUnauthorized {
			t.Errorf("%s: an unknown client got %d", path, want.status)
		}
		for name, each := range who {
			if diff := cmp.Diff(want, bare(n.form(t, path, each, wantToken, "token=x")), cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("%s: %s does not look as an unknown client (-unknown +it):\n%s", path, name, diff)
			}
		}
	}
	n.issue(t, as{"old-never-used", text})
	n.issue(t, as{"old-bcrypt", text})
}

// imports imports clients whose secret is "old secret 1".
func (n *node) imports(t testing.TB, ids ...string) {
	t.Helper()
	var clients []map[string]any
	for _, id := range ids {
		clients = append(clients, map[string]any{
			"client_id": id, "roles": []string{"example-reader"},
			"secret_hash": "$2a$05$ra.75ozyTlL7NGE4uMm41.cAUvgzBCXwg5MVQFgc0xpWjlyJF.jnS",
		})
	}
	got := n.want(t, 200, "POST", "/clients/import", map[string]any{"workspace": "default", "clients": clients}).json(t)
	if got["imported"] != float64(len(ids)) {
		t.Fatalf("imported: %v", got)
	}
}

// The slow comparison of an import is bounded by the failures of who sends it: a
// guess that would be answered 429 anyway costs nothing slow, and a secret that
// was found right before passes all the same.
func TestGuessesOfImportedSecretsEndWithTheFailureLimit(t *testing.T) {
	n := start(t, func(o *server.Options) { o.FailuresPerClientAddress = limit.Rate{Count: 3, Per: time.Hour} })
	n.imports(t, "old", "old-too")
	const text = "old secret 1"
	n.issue(t, as{"old", text})
	for _, id := range []string{"old", "old-too", "nobody"} {
		for i := range 6 {
			want := http.StatusUnauthorized
			if i >= 3 {
				want = http.StatusTooManyRequests
			}
			if got := n.form(t, "/oauth2/token", as{id, "guess"}, wantToken); got.status != want || want == 429 && got.header.Get("Retry-After") == "" {
				t.Errorf("guess %d of %s: %d %s, want %d", i, id, got.status, got.body, want)
			}
		}
	}
	n.issue(t, as{"old", text})
	n.issue(t, by(n.Example))
	if got := n.form(t, "/oauth2/token", as{"old-too", text}, wantToken); got.status != http.StatusTooManyRequests {
		t.Errorf("the first use of an imported secret amid too many guesses: %d, want 429", got.status)
	}
	n.clock.advance(time.Hour)
	n.issue(t, as{"old-too", text})
}

// lookups is a store that counts who is looked up.
type lookups struct {
	store.Store
	clients atomic.Int64
}

func (l *lookups) Client(ctx context.Context, id store.ClientID) (*store.Client, error) {
	l.clients.Add(1)
	return l.Store.Client(ctx, id)
}

// P01: what cannot be a secret, or cannot be this client's, costs no look-up;
// guesses are answered 429 after a while.
func TestP01GuessesCostNoLookUp(t *testing.T) {
	l := &lookups{}
	n := start(t, noFailureLimit, func(o *server.Options) { l.Store = o.Store; o.Store = l })
	good := n.Example.Secret.Reveal()
	flipped := []byte(good)
	flipped[len(flipped)-1] = map[bool]byte{true: 'B', false: 'A'}[flipped[len(flipped)-1] == 'A']
	before := l.clients.Load()
	for name, text := range map[string]string{
		"wrong checksum": string(flipped),
		"cut short":      good[:len(good)-1],
		"longer":         good + "A",
		"another case":   good[:8] + strings.ToUpper(good[8:]),
		"the prefix":     good[:strings.IndexByte(good, '_')+1],
		"of another":     secret.New(store.NewClientID()).Reveal(),
	} {
		// A client that nobody asked for yet, so that it is in no memory.
		for _, path := range []string{"/oauth2/token", "/oauth2/introspect"} {
			if got := n.form(t, path, as{string(store.NewClientID()), text}, wantToken, "token=x"); got.status != http.StatusUnauthorized {
				t.Errorf("%s: %s: got %d", path, name, got.status)
			}
		}
		if got := n.restAs(t, text, "GET", "/clients", nil); got.status != http.StatusUnauthorized && name != "of another" {
			t.Errorf("%s as a bearer: got %d", name, got.status)
		}
	}
	// One, of the well-formed secret of an unknown client as a bearer.
	if got := l.clients.Load() - before; got > 1 {
		t.Errorf("%d look-ups for what cannot be right; want none", got)
	}
}

// BenchmarkT18KnownAndUnknownClients reports Welch's t between the times of a
// wrong secret and of an unknown client, over pairs in random order: below 4.5
// the two cannot be told apart.
func BenchmarkT18KnownAndUnknownClients(b *testing.B) {
	n := start(b, unlimited)
	handler := n.server.PublicHandler()
	known := n.Example.Client.ID
	ask := func(id store.ClientID, text string) time.Duration {
		r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(wantToken))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(string(id), text)
		w := httptest.NewRecorder()
		began := time.Now()
		handler.ServeHTTP(w, r)
		took := time.Since(began)
		if w.Code != http.StatusUnauthorized {
			b.Fatalf("got %d %s", w.Code, w.Body)
		}
		return took
	}
	same := store.NewClientID()
	for _, tt := range []struct {
		name    string
		unknown func() store.ClientID
	}{
		{"asked for before", func() store.ClientID { return same }},
		{"never asked for", store.NewClientID},
	} {
		b.Run(tt.name, func(b *testing.B) {
			for b.Loop() {
				const pairs = 10_000
				var wrong, unknown []float64
				for i := range pairs + 500 {
					u := tt.unknown()
					texts := [2]string{secret.New(known).Reveal(), secret.New(u).Reveal()}
					var took [2]time.Duration
					first := rand.IntN(2)
					for _, which := range []int{first, 1 - first} {
						took[which] = ask([2]store.ClientID{known, u}[which], texts[which])
					}
					if i >= 500 { // the rest warms up
						wrong, unknown = append(wrong, float64(took[0])), append(unknown, float64(took[1]))
					}
				}
				b.ReportMetric(math.Abs(welch(wrong, unknown)), "|t|")
				b.ReportMetric(math.Abs(welch(calm(wrong, unknown))), "|t|/calm")
				b.ReportMetric(median(unknown)-median(wrong), "ns-apart")
			}
		})
	}
}

// calm leaves out what is slower than nine tenths of all: collections of garbage
// and other programs, which hit both alike and hide the rest.
func calm(a, b []float64) (x, y []float64) {
	all := slices.Sorted(slices.Values(slices.Concat(a, b)))
	most := all[len(all)*9/10]
	slow := func(v float64) bool { return v > most }
	return slices.DeleteFunc(slices.Clone(a), slow), slices.DeleteFunc(slices.Clone(b), slow)
}

func welch(a, b []float64) float64 {
	ma, va := meanAndVariance(a)
	mb, vb := meanAndVariance(b)
	return (ma - mb) / math.Sqrt(va/float64(len(a))+vb/float64(len(b)))
}

func meanAndVariance(v []float64) (mean, variance float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		variance += (x - mean) * (x - mean) / float64(len(v)-1)
	}
	return mean, variance
}

func median(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }
