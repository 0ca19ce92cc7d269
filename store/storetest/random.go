package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"postern/store"
)

// testRandom does random operations on the store and on the model; every
// answer must be the same. The seed is fixed: a failure comes again.
func testRandom(t *testing.T, s store.Store) {
	const seed, operations = 7, 2500
	g := &generator{Rand: rand.New(rand.NewPCG(seed, seed)), model: newModel()} //nolint:gosec // to be repeatable
	feed := watch(t, s, "")
	changes := 0
	for i := range operations {
		switch g.IntN(10) {
		default:
			writes := g.writes()
			want := g.model.commit(writes...)
			got := s.Commit(t.Context(), writes...)
			if !sameError(want, got) {
				t.Fatalf("operation %d, commit of %s: got error %v, want %v", i, describe(writes), got, want)
			}
			if got == nil {
				for _, c := range next(t, feed, len(writes)) {
					same(t, fmt.Sprintf("operation %d: change of %s %q", i, c.Kind, c.Key), g.model.records[c.Kind][c.Key], c.Record)
				}
				changes += len(writes)
			}
		case 0, 1:
			q := g.query()
			got, err := s.Clients(t.Context(), q)
			if err != nil {
				t.Fatalf("operation %d, clients by %+v: %v", i, q, err)
			}
			same(t, fmt.Sprintf("operation %d, clients by %+v", i, q), keys(g.model.clients(q)), keys(got))
		case 2:
			id := store.ClientID(g.id())
			got, err := s.Client(t.Context(), id)
			want := g.model.records[store.KindClient][string(id)]
			if want == nil && !errors.Is(err, store.ErrNotFound) || want != nil && err != nil {
				t.Fatalf("operation %d, client %q: got error %v, want %+v", i, id, err, want)
			}
			if want != nil {
				same(t, fmt.Sprintf("operation %d, client %q", i, id), want, store.Record(got))
			}
		case 3:
			use := store.LastUse{Client: store.ClientID(g.id()), Secret: store.SecretID(g.pick("1", "2")), SuccessAt: start + store.Time(g.IntN(50))}
			if err := s.AddUsage(t.Context(), nil, []store.LastUse{use}); err != nil {
				t.Fatalf("operation %d, add last use: %v", i, err)
			}
			g.model.lastUse[use.Client] = max(g.model.lastUse[use.Client], use.SuccessAt)
		}
		if t.Failed() {
			return
		}
	}
	if changes < operations/5 {
		t.Errorf("of %d operations only %d changed anything: the test has become too timid", operations, changes)
	}
	for _, kind := range []store.Kind{store.KindClient, store.KindWorkspace, store.KindTeam} {
		same(t, "all "+string(kind)+" in the end", g.model.all(kind), all(t, s, kind))
	}
}

type generator struct {
	*rand.Rand
	model *model
}

func (g *generator) pick(texts ...string) string { return texts[g.IntN(len(texts))] }

func (g *generator) id() string { return fmt.Sprint(g.pick("x", "X"), g.IntN(20)) }

// writes are one to three writes, each of another record, mostly of revisions
// that are stored.
func (g *generator) writes() []store.Write {
	var writes []store.Write
	taken := map[string]bool{}
	for range 1 + g.IntN(3) {
		r := g.record()
		if taken[string(r.Kind())+r.Key()] {
			continue
		}
		taken[string(r.Kind())+r.Key()] = true
		old, known := g.model.records[r.Kind()][r.Key()]
		if known && g.IntN(10) > 0 {
			r = r.WithRev(old.Rev())
		} else {
			r = r.WithRev(int64(g.IntN(3)))
		}
		switch n := g.IntN(10); {
		case n == 0, !known && n < 9:
			writes = append(writes, store.Insert(r))
		case n < 4:
			writes = append(writes, store.Delete(r))
		default:
			writes = append(writes, store.Update(r))
		}
	}
	return writes
}

func (g *generator) record() store.Record {
	id := g.id()
	switch g.IntN(4) {
	case 0:
		return &store.Workspace{ID: store.WorkspaceID(id), Name: g.id(), APIAccess: g.IntN(2) == 0}
	case 1:
		return &store.Team{ID: store.TeamID(id), Name: g.id()}
	default:
		return &store.Client{
			ID: store.ClientID(id), Name: g.pick("n", "N", "m", "é", "Éa", "%", "_") + g.id(), ClientKey: g.pick("", "", "k", "K", "l"),
			Workspace: store.WorkspaceID(g.pick("", "w", "W")), Account: store.AccountID(g.pick("a", "b")),
			ClientKind: store.ClientKind(g.pick("service", "personal")), Status: store.ClientStatus(g.pick("active", "active", "pending", "revoked", "deleted")),
			CreatedAt: start + store.Time(g.IntN(5)), ExpiresAt: (start + store.Time(g.IntN(5))) * store.Time(g.IntN(2)),
			Description: g.pick("", "", "désc"), Warning: g.pick("", "", "", "w"), Responsible: store.AccountID(g.pick("", "a", "b")),
			ConfirmBy: (start + store.Time(g.IntN(5))) * store.Time(g.IntN(2)),
			Secrets: []store.ClientSecret{
				{ID: "s1", ExpiresAt: (start + store.Time(g.IntN(5))) * store.Time(g.IntN(2))},
				{ID: "s2", ExpiresAt: start + store.Time(g.IntN(5)), RevokedAt: store.Time(g.IntN(2)), LeakedAt: store.Time(g.IntN(2)), SlowHash: g.pick("", "$2a$10$x")},
				{ID: "s3", RevokedAt: 1, Trust: &store.TrustRule{
					Issuer: "https://i.example", Subject: g.pick("", "a:*"), Wide: g.pick("", "all of it"), JWKSURI: g.pick("", "https://i.example/k"),
					Claims: []store.TrustClaim{{Name: g.pick("/kubernetes.io/namespace", "$a.b"), Pattern: "*"}},
				}},
			},
		}
	}
}

func (g *generator) query() store.ClientQuery {
	q := store.ClientQuery{Sort: sorts()[g.IntN(len(sorts()))], Desc: g.IntN(2) == 0, Limit: 1 + g.IntN(10), Now: start + store.Time(g.IntN(6))}
	if g.IntN(2) == 0 {
		q.Workspaces = []store.WorkspaceID{store.WorkspaceID(g.pick("", "w", "W"))}
	}
	if g.IntN(3) == 0 {
		q.Status = store.ClientStatus(g.pick("active", "pending", "revoked", "deleted", "expired"))
	}
	if g.IntN(3) == 0 {
		q.Search = g.pick("N", "x1", "%", "_", "É", "k")
	}
	q.Unused = g.IntN(5) == 0
	if g.IntN(6) == 0 {
		q.UsedSince = start + store.Time(g.IntN(6))
	}
	if g.IntN(6) == 0 {
		q.MadeBefore = start + store.Time(g.IntN(6))
	}
	if g.IntN(5) == 0 {
		q.ExpiresBy = start + store.Time(g.IntN(5))
	}
	if g.IntN(5) == 0 {
		q.EndsFrom = start + store.Time(g.IntN(5))
		q.EndsTo = q.EndsFrom + store.Time(g.IntN(3))
	}
	if g.IntN(5) == 0 {
		q.Responsible = []store.AccountID{store.AccountID(g.pick("", "a", "c")), "b"}
	}
	q.Slow, q.Noted = g.IntN(5) == 0, g.IntN(5) == 0
	if g.IntN(8) == 0 {
		q.ConfirmBy = start + store.Time(g.IntN(5))
	}
	if clients := g.model.clients(q); len(clients) > 0 && g.IntN(3) == 0 {
		q.After = g.model.cursor(clients[g.IntN(len(clients))], q.Sort)
	}
	return q
}

func sameError(want, got error) bool {
	taken, ok := errors.AsType[*store.Exists](want)
	if !ok {
		return errors.Is(got, want)
	}
	other, ok := errors.AsType[*store.Exists](got)
	return ok && *taken == *other
}

func describe(writes []store.Write) string {
	var text strings.Builder
	for _, w := range writes {
		fmt.Fprintf(&text, "%s %s %q at %d; ", []string{"?", "insert", "update", "delete"}[w.Op], w.Record.Kind(), w.Record.Key(), w.Record.Rev())
	}
	return text.String()
}
