package status_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postern/server/keys"
	"postern/server/status"
	"postern/server/token"
	"postern/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const issuer = "https://postern.test"

// world is a store whose changes go to the lists of nodes, as the cache has them.
type world struct {
	mu      sync.Mutex
	records map[string]store.Record
	nodes   []*status.Lists
	at      time.Time
	commits int
	down    bool // reads of clients and accounts fail
	ring    *keys.Ring
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{records: map[string]store.Record{}, at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	kek, err := keys.ParseKEKs("b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2w=")
	if err != nil {
		t.Fatal(err)
	}
	w.ring = keys.New(keys.Options{Store: w, KEK: kek, Now: w.now})
	w.set(
		&store.Installation{ID: store.InstallationKey, Generation: 1},
		&store.Workspace{ID: "w", Generation: 1, APIAccess: true},
		&store.Account{ID: "a", Generation: 1, Status: store.AccountActive},
		&store.Client{ID: "c", Generation: 1, Status: store.ClientActive, Account: "a", Workspace: "w", Secrets: []store.ClientSecret{{ID: "s1", Generation: 1}, {ID: "s2", Generation: 1}}})
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

// join makes a node that has loaded and reads what it must until the test ends.
func (w *world) join(t testing.TB) *status.Lists {
	t.Helper()
	l := status.New(status.Options{Store: w, Keys: w.ring, Issuer: issuer, Now: w.now})
	w.mu.Lock()
	w.nodes = append(w.nodes, l)
	w.mu.Unlock()
	w.load(t, l)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() { defer close(done); _ = l.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return l
}

func (w *world) load(t testing.TB, l *status.Lists) {
	t.Helper()
	w.mu.Lock()
	var all []store.Record
	for _, r := range w.records {
		if r.Kind() != store.KindClient && r.Kind() != store.KindAccount {
			all = append(all, r)
		}
	}
	w.mu.Unlock()
	if err := l.Load(all); err != nil {
		t.Fatal(err)
	}
}

func (w *world) tell(c store.Change) {
	for _, l := range w.nodes {
		if c.Kind == store.KindClient || c.Kind == store.KindAccount {
			l.Follow(c)
		} else {
			_ = l.Apply(c)
		}
	}
	_ = w.ring.Apply(c)
}

// set writes records at their next revision.
func (w *world) set(records ...store.Record) {
	for _, r := range records {
		w.mu.Lock()
		rev := int64(1)
		if old := w.records[r.Key()+string(r.Kind())]; old != nil {
			rev = old.Rev() + 1
		}
		r = r.WithRev(rev)
		w.records[r.Key()+string(r.Kind())] = r
		w.mu.Unlock()
		w.tell(store.Change{Kind: r.Kind(), Key: r.Key(), Record: r})
	}
}

// drop deletes a record.
func (w *world) drop(r store.Record) { _ = w.Commit(context.Background(), store.Delete(r)) }

func (w *world) Commit(_ context.Context, writes ...store.Write) error {
	w.mu.Lock()
	w.commits++
	for _, write := range writes {
		r, old := write.Record, w.records[write.Record.Key()+string(write.Record.Kind())]
		var err error
		switch {
		case write.Op == store.OpInsert && old != nil:
			err = &store.Exists{Kind: r.Kind(), Field: "_id"}
		case write.Op != store.OpInsert && (old == nil || old.Rev() != r.Rev()):
			err = store.ErrConflict
		}
		if i, ok := r.(*store.StatusIndex); ok && write.Op == store.OpInsert && err == nil {
			for _, other := range w.records {
				if o, ok := other.(*store.StatusIndex); ok && o.Place == i.Place {
					err = &store.Exists{Kind: r.Kind(), Field: "place"}
				}
			}
		}
		if err != nil {
			w.mu.Unlock()
			return err
		}
	}
	for _, write := range writes {
		if s := write.Stored(); s != nil {
			w.records[s.Key()+string(s.Kind())] = s
		} else {
			delete(w.records, write.Record.Key()+string(write.Record.Kind()))
		}
	}
	w.mu.Unlock()
	for _, write := range writes {
		w.tell(store.Change{Kind: write.Record.Kind(), Key: write.Record.Key(), Record: write.Stored()})
	}
	return nil
}

func (w *world) Get(_ context.Context, kind store.Kind, key string) (store.Record, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, &store.Unavailable{Err: errors.New("down")}
	}
	if r := w.records[key+string(kind)]; r != nil {
		return r, nil
	}
	return nil, store.ErrNotFound
}

func (w *world) Client(ctx context.Context, id store.ClientID) (*store.Client, error) {
	r, err := w.Get(ctx, store.KindClient, string(id))
	c, _ := r.(*store.Client)
	return c, err
}

func (w *world) Account(ctx context.Context, id store.AccountID) (*store.Account, error) {
	r, err := w.Get(ctx, store.KindAccount, string(id))
	a, _ := r.(*store.Account)
	return a, err
}

func (w *world) All(_ context.Context, yield func(store.Record) error, kinds ...store.Kind) error {
	for _, r := range w.records {
		if slices.Contains(kinds, r.Kind()) {
			if err := yield(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) client() *store.Client {
	c, _ := w.Client(context.Background(), "c")
	copied := *c
	copied.Secrets = slices.Clone(c.Secrets)
	return &copied
}

func (w *world) account() *store.Account {
	a, _ := w.Account(context.Background(), "a")
	copied := *a
	return &copied
}

func record[R any](w *world, kind store.Kind, key string) *R {
	r, _ := w.Get(context.Background(), kind, key)
	copied := *any(r).(*R)
	return &copied
}

// claims are those of a token that is minted now with a secret.
func (w *world) claims(s store.SecretID) *token.Claims {
	c := w.client()
	return &token.Claims{
		Subject: "a", ClientID: "c", Workspace: "w", SecretID: s,
		Gen: token.Gen(record[store.Installation](w, store.KindInstallation, store.InstallationKey), record[store.Workspace](w, store.KindWorkspace, "w"), w.account(), c, c.Secret(s)),
	}
}

func place(t testing.TB, l *status.Lists, c *token.Claims) int64 {
	t.Helper()
	uri, index, err := l.Place(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(uri, issuer+"/oauth2/statuslists/") {
		t.Errorf("the list is at %s", uri)
	}
	return index
}

// message is what the tests look at.
type message struct {
	After    string
	Cursor   string
	Snapshot bool
	Part     int
	More     bool
	Tokens   []struct{ Jti string }
	Keys     []string
	Lists    []struct{ URI string }
	Statuses []struct {
		URI         string
		Idx, Status int64
	}
}

var gateway = status.Gateway{Client: "gw", API: &store.API{Name: "orders", Audience: "https://orders.test"}}

func messages(t testing.TB, l *status.Lists, after string) (list []message, cursor string) {
	t.Helper()
	for more := true; more; {
		texts, next, rest, err := l.Messages(t.Context(), gateway, after, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			var m message
			raw, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
			if err == nil {
				err = json.Unmarshal(raw, &m)
			}
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, m)
		}
		after, cursor, more = next, next, rest
	}
	return list, cursor
}

// awaitStatus waits until a place has a status in what is told after a cursor.
func awaitStatus(t testing.TB, l *status.Lists, after string, index, want int64) string {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		changed := l.Changed()
		list, cursor := messages(t, l, after)
		for _, m := range list {
			for _, s := range m.Statuses {
				if s.Idx == index && s.Status == want {
					return cursor
				}
			}
		}
		after = cursor
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("place %d is not told to be %d", index, want)
		}
	}
}

// settled waits until a node has read all that it must.
func settled(t testing.TB, w *world, l *status.Lists) {
	t.Helper()
	w.advance(time.Millisecond) // what is to be read is older than that then
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); l.Age() != 0; <-tick.C {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("it is still %s old", l.Age())
		}
	}
}

// Whatever ends a secret's tokens for a verifier ends them in the list.
func TestWhatEndsTokensIsTold(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"client revoked":      func(w *world) { c := w.client(); c.Status, c.Generation = store.ClientRevoked, 2; w.set(c) },
		"client's generation": func(w *world) { c := w.client(); c.Generation = 2; w.set(c) },
		"client deleted":      func(w *world) { c := w.client(); c.Status = store.ClientDeleted; w.set(c) },
		"client gone":         func(w *world) { w.drop(w.client()) },
		"client expired": func(w *world) {
			c := w.client()
			c.ExpiresAt = store.At(w.now().Add(time.Minute))
			w.set(c)
			w.advance(time.Minute)
		},
		"secret revoked":       func(w *world) { c := w.client(); c.Secrets[0].RevokedAt = 1; w.set(c) },
		"secret's generation":  func(w *world) { c := w.client(); c.Secrets[0].Generation = 2; w.set(c) },
		"secret gone":          func(w *world) { c := w.client(); c.Secrets = c.Secrets[1:]; w.set(c) },
		"account deactivated":  func(w *world) { a := w.account(); a.Status = store.AccountDeactivated; w.set(a) },
		"account's generation": func(w *world) { a := w.account(); a.Generation = 2; w.set(a) },
		"workspace's generation": func(w *world) {
			ws := record[store.Workspace](w, store.KindWorkspace, "w")
			ws.Generation = 2
			w.set(ws)
		},
		"workspace without API access": func(w *world) {
			ws := record[store.Workspace](w, store.KindWorkspace, "w")
			ws.APIAccess = false
			w.set(ws)
		},
		"workspace gone": func(w *world) {
			w.drop(record[store.Workspace](w, store.KindWorkspace, "w"))
		},
		"a backup restored": func(w *world) {
			i := record[store.Installation](w, store.KindInstallation, store.InstallationKey)
			i.Generation = 2
			w.set(i)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			l, other := w.join(t), w.join(t)
			index := place(t, l, w.claims("s1"))
			settled(t, w, l)
			settled(t, w, other)
			_, at := messages(t, l, "")
			_, elsewhere := messages(t, other, "")
			end(w)
			awaitStatus(t, l, at, index, 1)
			awaitStatus(t, other, elsewhere, index, 1)
			if list, _ := messages(t, l, ""); !list[0].Snapshot || len(list[0].Lists) != 1 {
				t.Errorf("the snapshot is %+v", list)
			}
		})
	}
	t.Run("and another secret goes on", func(t *testing.T) {
		w := newWorld(t)
		l := w.join(t)
		first, second := place(t, l, w.claims("s1")), place(t, l, w.claims("s2"))
		settled(t, w, l)
		_, at := messages(t, l, "")
		c := w.client()
		c.Secrets[0].RevokedAt = 1
		w.set(c)
		list, _ := messages(t, l, at)
		if s := list[0].Statuses; len(s) != 1 || s[0].Idx != first || first == second {
			t.Errorf("it tells %+v of places %d and %d", s, first, second)
		}
		ws := record[store.Workspace](w, store.KindWorkspace, "w")
		ws.APIAccess = false
		w.set(ws)
		at = awaitStatus(t, l, at, second, 1)
		ws.APIAccess = true
		w.set(ws)
		awaitStatus(t, l, at, second, 0)
	})
}

// A place that comes to be known after the revoke of its client is invalid all the
// same: another node minted from what it knew then. Until its client was read nobody
// is told that all is well.
func TestAPlaceThatComesAfterTheRevoke(t *testing.T) {
	w := newWorld(t)
	l := w.join(t)
	old := w.claims("s1")
	c := w.client()
	c.Status, c.Generation = store.ClientRevoked, 2
	w.set(c)
	_, at := messages(t, l, "")
	w.mu.Lock()
	w.down = true
	w.mu.Unlock()
	w.set(&store.StatusIndex{ID: store.StatusIndexID("s1", "w", old.Gen), Place: 77, Client: "c", Account: "a", Workspace: "w", Secret: "s1", Gen: old.Gen})
	w.advance(time.Second)
	if l.Age() < time.Second {
		t.Errorf("it is %s old though it cannot read the client", l.Age())
	}
	w.mu.Lock()
	w.down = false
	w.mu.Unlock()
	awaitStatus(t, l, at, 77, 1)
	settled(t, w, l)
}

// After a gap everything is read again, and who follows begins anew.
func TestLoadAfterAGap(t *testing.T) {
	w := newWorld(t)
	l := w.join(t)
	index := place(t, l, w.claims("s1"))
	settled(t, w, l)
	_, at := messages(t, l, "")
	w.mu.Lock()
	nodes := w.nodes
	w.nodes = nil
	w.mu.Unlock()
	c := w.client()
	c.Generation = 2
	w.set(c) // which the node does not hear of
	w.nodes = nodes
	w.mu.Lock()
	w.down = true
	w.mu.Unlock()
	w.load(t, l)
	w.advance(3 * time.Second)
	if l.Age() < 3*time.Second {
		t.Errorf("it is %s old, and has not read anything since the gap", l.Age())
	}
	w.mu.Lock()
	w.down = false
	w.mu.Unlock()
	settled(t, w, l)
	list, next := messages(t, l, at)
	if !list[0].Snapshot || len(list[0].Lists) != 1 || strings.Split(next, ".")[0] == strings.Split(at, ".")[0] {
		t.Errorf("after the gap it says %+v, of place %d", list, index)
	}
}

// Before all was read once, nothing is known.
func TestAgeBeforeTheFirstLoad(t *testing.T) {
	w := newWorld(t)
	if l := status.New(status.Options{Store: w, Keys: w.ring, Issuer: issuer}); l.Age() != math.MaxInt64 {
		t.Errorf("it is %s old", l.Age())
	}
}

// A place is written once, is held while its tokens can live, and is free again when
// its record is deleted; then what it was is not held against the next.
func TestPlacesAreHeldAndLetGo(t *testing.T) {
	w := newWorld(t)
	l := w.join(t)
	claims := w.claims("s1")
	index := place(t, l, claims)
	commits := w.commits
	for range 100 {
		if again := place(t, l, claims); again != index {
			t.Fatalf("places %d and %d", index, again)
		}
	}
	if w.commits != commits {
		t.Errorf("%d commits for tokens of a place that is there", w.commits-commits)
	}
	settled(t, w, l)
	l.Retire(t.Context())
	id := store.StatusIndexID("s1", "w", claims.Gen)
	if i := record[store.StatusIndex](w, store.KindStatusIndex, id); i.ExpiresAt != 0 {
		t.Errorf("a place whose secret is good ends %s", i.ExpiresAt)
	}
	ws := record[store.Workspace](w, store.KindWorkspace, "w")
	ws.APIAccess = false
	w.set(ws)
	l.Retire(t.Context())
	if i := record[store.StatusIndex](w, store.KindStatusIndex, id); i.ExpiresAt.Sub(store.At(w.now())) < time.Hour {
		t.Errorf("a place whose tokens live for up to an hour ends %s", i.ExpiresAt)
	}
	ws.APIAccess = true
	w.set(ws)
	if again := place(t, l, claims); again != index {
		t.Errorf("after it was of no use for a while the place is %d, was %d", again, index)
	}
	if i := record[store.StatusIndex](w, store.KindStatusIndex, id); i.ExpiresAt != 0 {
		t.Errorf("a place that is used again ends %s", i.ExpiresAt)
	}
	c := w.client()
	c.Secrets[0].Generation = 2
	w.set(c)
	_, at := messages(t, l, "")
	if err := w.Commit(t.Context(), store.Delete(record[store.StatusIndex](w, store.KindStatusIndex, id))); err != nil {
		t.Fatal(err)
	}
	list, _ := messages(t, l, at)
	if s := list[0].Statuses; len(s) != 1 || s[0].Idx != index || s[0].Status != 0 {
		t.Errorf("after its record was deleted it tells %+v", s)
	}
}

// Two nodes that want a place for one secret find one; for two secrets two.
func TestNodesThatMeetShareNoPlace(t *testing.T) {
	w := newWorld(t)
	secrets := make([]store.ClientSecret, 200)
	for i := range secrets {
		secrets[i] = store.ClientSecret{ID: store.SecretID(fmt.Sprint("s", i)), Generation: 1}
	}
	c := w.client()
	c.Secrets = secrets
	w.set(c)
	nodes := []*status.Lists{w.join(t), w.join(t)}
	found := make([][]int64, 2)
	var all sync.WaitGroup
	for n, l := range nodes {
		found[n] = make([]int64, len(secrets))
		all.Go(func() {
			for i := range secrets {
				found[n][i] = place(t, l, w.claims(secrets[i].ID))
			}
		})
	}
	all.Wait()
	if !slices.Equal(found[0], found[1]) {
		t.Error("the nodes found different places")
	}
	sorted := slices.Sorted(slices.Values(found[0]))
	if len(slices.Compact(slices.Clone(sorted))) != len(secrets) {
		t.Error("a place was given twice")
	}
	if slices.Equal(sorted, found[0]) || sorted[len(sorted)-1] < 1<<16 {
		t.Error("the places tell their order or number")
	}
}

// Who is too far behind, or comes from somewhere else, gets a snapshot, in parts where
// it is large.
func TestSnapshotsAndCursors(t *testing.T) {
	w := newWorld(t)
	l := w.join(t)
	_, at := messages(t, l, "")
	ends := store.At(w.now().Add(time.Hour))
	for i := range 5000 {
		w.tell(store.Change{Kind: store.KindRevocation, Key: fmt.Sprint("j", i), Record: &store.Revocation{ID: fmt.Sprint("j", i), Audience: []string{"https://orders.test"}, ExpiresAt: ends}})
	}
	w.tell(store.Change{Kind: store.KindRevocation, Key: "other", Record: &store.Revocation{ID: "other", Audience: []string{"https://other.test"}, ExpiresAt: ends}})
	count := func(list []message) (n int) {
		for _, m := range list {
			if len(m.Tokens) > 2000 {
				t.Errorf("a message has %d tokens", len(m.Tokens))
			}
			n += len(m.Tokens)
		}
		return n
	}
	list, _ := messages(t, l, at)
	if list[0].Snapshot || count(list) != 5000 {
		t.Errorf("%d messages with %d tokens", len(list), count(list))
	}
	list, _ = messages(t, l, "")
	if len(list) != 3 || count(list) != 5000 || !list[0].More || list[2].More || list[2].Part != 2 || list[2].Cursor != list[0].Cursor {
		t.Errorf("a snapshot of %d parts with %d tokens", len(list), count(list))
	}
	for i := range 40_000 { // more than are kept
		w.tell(store.Change{Kind: store.KindRevocation, Key: "again", Record: &store.Revocation{ID: "again", Revision: int64(i), ExpiresAt: ends}})
	}
	if list, _ := messages(t, l, at); !list[0].Snapshot || count(list) != 5001 {
		t.Errorf("who is far behind gets %d messages with %d tokens, snapshot %t", len(list), count(list), list[0].Snapshot)
	}
	w.advance(2 * time.Hour)
	if list, _ := messages(t, l, ""); count(list) != 0 {
		t.Errorf("of tokens that ended %d are told", count(list))
	}
}

// That a signing key was revoked is told, since all its tokens are dead.
func TestRevokedKeysAreTold(t *testing.T) {
	w := newWorld(t)
	l := w.join(t)
	s, err := w.ring.Signer(t.Context(), keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	_, at := messages(t, l, "")
	if _, err := w.ring.Revoke(t.Context(), s.KID); err != nil {
		t.Fatal(err)
	}
	for _, after := range []string{at, ""} {
		if list, _ := messages(t, l, after); !slices.Equal(list[0].Keys, []string{s.KID}) {
			t.Errorf("after %q it tells of the keys %v", after, list[0].Keys)
		}
	}
}

// A list is signed when it changed, or is old, and not more often than once a second.
func TestDocumentsAreKept(t *testing.T) {
	w := newWorld(t)
	l := w.join(t)
	document := func() string {
		t.Helper()
		text, err := l.Document(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if _, err := l.Document(t.Context(), 1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a list that is not there: %v", err)
	}
	place(t, l, w.claims("s1"))
	settled(t, w, l)
	first := document()
	w.advance(2 * time.Second)
	if document() != first {
		t.Error("a list without changes was signed again after 2 s")
	}
	c := w.client()
	c.Generation = 2
	w.set(c)
	second := document()
	if second == first {
		t.Error("a list that changed is the old one after 2 s")
	}
	w.advance(status.ListTTL)
	third := document()
	if third == second {
		t.Error("a list is the same after its TTL")
	}
	signer, err := w.ring.Statement(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ring.Revoke(t.Context(), signer.KID); err != nil {
		t.Fatal(err)
	}
	if document() == third {
		t.Error("a list by a revoked key is still served")
	}
}
