package slow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/server/secret"
	"postern/server/slow"
	"postern/store"
)

const cost = "$2a$10"

// client is one with an imported secret; hash says which.
func client(id store.ClientID, hash string) *store.Client {
	return &store.Client{ID: id, Status: store.ClientActive, Secrets: []store.ClientSecret{{ID: "sec" + store.SecretID(id), SlowHash: hash}}}
}

// gate is a slow comparison that ends when it is let go. Each hash is that of
// the text after "hash of ".
type gate struct {
	running, most, all atomic.Int64
	open               chan struct{}
}

func (g *gate) matches(given secret.Secret, hash string) (bool, error) {
	now := g.running.Add(1)
	defer g.running.Add(-1)
	for most := g.most.Load(); now > most && !g.most.CompareAndSwap(most, now); most = g.most.Load() {
	}
	g.all.Add(1)
	<-g.open
	return "hash of "+given.Reveal() == hash, nil
}

func opened() *gate {
	g := &gate{open: make(chan struct{})}
	close(g.open)
	return g
}

func left(uint64) string { return cost }

func check(ctx context.Context, c *slow.Checker, id store.ClientID, of *store.Client, text string) (*store.ClientSecret, error) {
	s := secret.Of(text)
	return c.Check(ctx, id, of, s, s.Hash())
}

// Two at a time, 32 more wait, and everyone else is told to come again: of a
// client and of a stranger alike.
func TestTwoAtATimeAndAQueueOf32(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		c := slow.New(slow.Options{Cost: left, Matches: g.matches})
		known := client("a", "hash of right")
		var good, busy atomic.Int64
		var all sync.WaitGroup
		ask := func(id store.ClientID, of *store.Client, text string) {
			all.Go(func() {
				switch _, err := check(t.Context(), c, id, of, text); {
				case errors.Is(err, slow.ErrBusy):
					busy.Add(1)
				case err == nil:
					good.Add(1)
				default:
					t.Errorf("got %v", err)
				}
			})
		}
		for i := range 17 {
			ask("a", known, fmt.Sprint("guess", i))
			ask(store.ClientID(fmt.Sprint("nobody", i)), nil, "guess")
		}
		synctest.Wait()
		if got := g.running.Load(); got != 2 || busy.Load() != 0 {
			t.Fatalf("%d run and %d were sent away, want 2 and none", got, busy.Load())
		}
		for i := range 5 {
			ask("a", known, fmt.Sprint("late guess", i))
			ask(store.ClientID(fmt.Sprint("late nobody", i)), nil, "guess")
		}
		synctest.Wait()
		if busy.Load() != 10 {
			t.Errorf("%d were sent away, want the ten that came late", busy.Load())
		}
		close(g.open)
		all.Wait()
		if g.most.Load() != 2 || good.Load() != 34 || g.all.Load() != 34 {
			t.Errorf("at most %d ran, %d of %d were answered; want 2, and 34 of 34", g.most.Load(), good.Load(), g.all.Load())
		}
		if _, err := check(t.Context(), c, "a", known, "guess"); err != nil {
			t.Errorf("once the queue is empty: %v", err)
		}
	})
}

// What was found right is remembered, for this client, secret and hash; what was
// wrong is computed again.
func TestOnlyWhatIsRightIsRemembered(t *testing.T) {
	g := opened()
	c := slow.New(slow.Options{Cost: left, Matches: g.matches})
	a, b, other := client("a", "hash of right"), client("b", "hash of right"), client("a", "hash of another")
	digest := secret.Of("right").Hash()
	if c.Remembered(a, digest) != nil || c.Remembered(nil, digest) != nil || c.Remembered(&store.Client{}, digest) != nil {
		t.Fatal("remembered before it was checked")
	}
	for range 3 {
		if got, err := check(t.Context(), c, "a", a, "wrong"); got != nil || err != nil {
			t.Errorf("a wrong secret: %v, %v", got, err)
		}
	}
	if g.all.Load() != 3 {
		t.Errorf("%d comparisons of three wrong secrets, want 3", g.all.Load())
	}
	got, err := check(t.Context(), c, "a", a, "right")
	if err != nil || got == nil || got.ID != "seca" {
		t.Fatalf("the right secret: %v, %v", got, err)
	}
	if got := c.Remembered(a, digest); got == nil || got.ID != "seca" {
		t.Errorf("the right secret is remembered as %v", got)
	}
	revoked := client("a", "hash of right")
	revoked.Secrets[0].RevokedAt = 1
	for name, client := range map[string]*store.Client{"another client": b, "another hash": other, "a revoked secret": revoked, "nobody": nil} {
		if c.Remembered(client, digest) != nil {
			t.Errorf("%s is remembered", name)
		}
	}
	if c.Remembered(a, secret.Of("wrong").Hash()) != nil {
		t.Error("the wrong secret is remembered")
	}
}

// While any import is left everybody who fails causes one slow hash, and for one
// id always of the same cost; once none is left nobody does.
func TestStrangersCostOneSlowHashWhileImportsAreLeft(t *testing.T) {
	var hashes []string
	costs := []string{"$2a$10", "$pbkdf2-sha256$i=25000,l=32", "$argon2id$v=19$m=19456,t=2,p=1"}
	c := slow.New(slow.Options{
		Cost: func(n uint64) string {
			if len(costs) == 0 {
				return ""
			}
			return costs[n%uint64(len(costs))]
		},
		Matches: func(_ secret.Secret, hash string) (bool, error) {
			hashes = append(hashes, hash)
			return true, nil // whatever is said of a decoy, it opens nothing
		},
	})
	native := &store.Client{ID: "native", Secrets: []store.ClientSecret{{ID: "s", Hash: []byte{1}}}}
	seen := map[string]bool{}
	for i := range 30 {
		id := store.ClientID(fmt.Sprint("nobody", i))
		var first string
		for range 3 {
			hashes = nil
			if got, err := check(t.Context(), c, id, nil, "x"); got != nil || err != nil || len(hashes) != 1 {
				t.Fatalf("%s: got %v, %v after %d slow hashes; want nobody after one", id, got, err, len(hashes))
			}
			if first != "" && store.SlowCost(hashes[0]) != first {
				t.Errorf("%s cost %s and then %s", id, first, store.SlowCost(hashes[0]))
			}
			first = store.SlowCost(hashes[0])
			seen[first] = true
		}
	}
	if len(seen) != len(costs) {
		t.Errorf("30 strangers cost %v, want each of %v", seen, costs)
	}
	hashes = nil
	if got, err := check(t.Context(), c, "native", native, "x"); got != nil || err != nil || len(hashes) != 1 || !c.Needed(native) {
		t.Errorf("a client without an imported secret: %v, %v after %d slow hashes", got, err, len(hashes))
	}
	costs, hashes = nil, nil
	for _, of := range []*store.Client{nil, native} {
		if got, err := check(t.Context(), c, "native", of, "x"); got != nil || err != nil || len(hashes) != 0 || c.Needed(of) {
			t.Errorf("with no import left: %v, %v after %d slow hashes", got, err, len(hashes))
		}
	}
}

// Many machines share one client and start at once: one comparison does for all.
func TestTheSameQuestionIsComputedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		c := slow.New(slow.Options{Cost: left, Matches: g.matches})
		a := client("a", "hash of right")
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if got, err := check(t.Context(), c, "a", a, "right"); got == nil || err != nil {
					t.Errorf("got %v, %v", got, err)
				}
			})
		}
		gone, cancel := context.WithCancel(t.Context())
		all.Go(func() {
			if _, err := check(gone, c, "a", a, "right"); !errors.Is(err, context.Canceled) {
				t.Errorf("who went away got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(g.open)
		all.Wait()
		if g.all.Load() != 1 {
			t.Errorf("%d comparisons, want 1", g.all.Load())
		}
	})
}

// kept is what a secret is kept by after its first use.
type kept struct {
	client store.ClientID
	old    string
	hash   []byte
	slow   string
}

// After its first use a strong secret is kept by its SHA-256 and a weak one by
// argon2id; while the store is down it is tried again.
func TestAUsedSecretIsKeptByWhatItNeeds(t *testing.T) {
	const strong = "hQ8zW2nLx5Rt7YvK3mBc9PfGd4Js6AeU"
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []kept
		down := true
		c := slow.New(slow.Options{Cost: left, Matches: opened().matches, Rehash: func(_ context.Context, client store.ClientID, id store.SecretID, old string, hash []byte, slow string) error {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case id != "sec"+store.SecretID(client):
				t.Errorf("secret %s of client %s", id, client)
			case down:
				return &store.Unavailable{Err: errors.New("down")}
			}
			got = append(got, kept{client, old, hash, slow})
			return nil
		}})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		weak, good := client("weak", "hash of weak"), client("good", "hash of "+strong)
		argon := client("argon", "hash of weak")
		for text, of := range map[string]*store.Client{"weak": weak, strong: good} {
			if s, err := check(t.Context(), c, of.ID, of, text); s == nil || err != nil {
				t.Fatalf("client %s: %v, %v", of.ID, s, err)
			}
		}
		argon.Secrets[0].SlowHash = "$argon2id$"
		if s, err := check(t.Context(), c, "argon", argon, "weak"); s != nil || err != nil { // the gate knows no such hash
			t.Fatalf("got %v, %v", s, err)
		}
		synctest.Wait()
		mu.Lock()
		if len(got) != 0 {
			t.Errorf("%d kept while the store is down", len(got))
		}
		down = false
		mu.Unlock()
		time.Sleep(time.Minute) // of the test's own clock
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(got) != 2 {
			t.Fatalf("kept %d secrets, want 2", len(got))
		}
		for _, k := range got {
			switch k.client {
			case "weak":
				if k.hash != nil || !strings.HasPrefix(k.slow, "$argon2id$v=19$m=19456,t=2,p=1$") || k.old != "hash of weak" {
					t.Errorf("a weak secret: %+v", k)
				}
				if ok, err := secret.MatchesSlow(secret.Of("weak"), k.slow); !ok || err != nil {
					t.Errorf("the new hash does not match: %v", err)
				}
				if c.Remembered(client("weak", k.slow), secret.Of("weak").Hash()) == nil {
					t.Error("it is not remembered by its new hash")
				}
			case "good":
				if !secret.Matches(secret.Of(strong), k.hash) || k.slow != "" {
					t.Errorf("a strong secret: %+v", k)
				}
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// A hash that cannot be read, as after a restore of something odd, opens nothing
// and fails nothing.
func TestAHashThatCannotBeReadOpensNothing(t *testing.T) {
	c := slow.New(slow.Options{Cost: func(uint64) string { return "" }})
	if got, err := check(t.Context(), c, "a", client("a", "$2a$31$nonsense"), "x"); got != nil || err != nil {
		t.Errorf("got %v, %v; want nobody", got, err)
	}
}
