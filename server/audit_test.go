package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"postern/server"
	"postern/store"
)

// chained is a store that tells when audit entries get their places, and that
// can be without room for new ones.
type chained struct {
	store.Store
	sealed chan struct{}
	full   bool
}

func (c *chained) Commit(ctx context.Context, writes ...store.Write) error {
	isEntry := func(w store.Write) bool { return w.Op == store.OpInsert && w.Record.Kind() == store.KindAudit }
	if c.full && slices.ContainsFunc(writes, isEntry) {
		return &store.Unavailable{Err: errors.New("no room for the audit")}
	}
	err := c.Store.Commit(ctx, writes...)
	if err == nil && slices.ContainsFunc(writes, func(w store.Write) bool { return w.Record.Kind() == store.KindChain }) {
		select {
		case c.sealed <- struct{}{}:
		default:
		}
	}
	return err
}

type entry struct {
	ID, Workspace, Account, Actor, Client, Address, Operation, Target string

	RequestID string `json:"request_id"`
	Place     int64
}

func (n *node) audit(t *testing.T, query string) []entry {
	t.Helper()
	var page struct{ Items []entry }
	got := n.want(t, http.StatusOK, "GET", "/audit?limit=500"+query, nil)
	if err := json.Unmarshal([]byte(got.body), &page); err != nil {
		t.Fatal(err)
	}
	return page.Items
}

// waitSealed returns when every entry has its place.
func (n *node) waitSealed(t *testing.T, c *chained) {
	t.Helper()
	for slices.ContainsFunc(n.audit(t, ""), func(e entry) bool { return e.Place == 0 }) {
		select {
		case <-c.sealed:
		case <-t.Context().Done():
			t.Fatal("the audit is not sealed")
		}
	}
}

// W17: each change through the server has one entry, with who made it and from
// where; the chain of them is whole, and a changed byte is found.
func TestW17TheAuditThroughTheServer(t *testing.T) {
	t.Parallel() // waits for the sealer
	c := &chained{sealed: make(chan struct{}, 1)}
	n := start(t, func(o *server.Options) { c.Store = o.Store; o.Store = c })
	id := string(n.Example.Client.ID)
	role := n.want(t, 201, "POST", "/roles", map[string]any{"workspace": "default", "name": "r"}).json(t)
	steps := []struct {
		operation string
		do        func() answer
	}{
		{"client.create", func() answer {
			return n.rest(t, "POST", "/clients", map[string]any{"name": "x", "workspace": "default"})
		}},
		{"client.rotate", func() answer { return n.rest(t, "POST", "/clients/"+id+"/secrets", map[string]any{"overlap": "1h"}) }},
		{"grant.set", func() answer {
			return n.rest(t, "PUT", "/grants/default/"+string(n.Example.Account.ID), map[string]any{"roles": []map[string]any{{"role": "r"}, {"role": "example-reader"}}}, "If-Match", `"1"`)
		}},
		{"role.edit", func() answer {
			return n.rest(t, "PATCH", "/roles/"+role["id"].(string), map[string]any{"description": "d"}, "If-Match", `"1"`)
		}},
		{"client.revoke", func() answer { return n.rest(t, "POST", "/clients/"+id+"/revoke", map[string]any{}) }},
		{"client.restore", func() answer { return n.rest(t, "POST", "/clients/"+id+"/restore", map[string]any{}) }},
	}
	for _, s := range steps {
		known := map[string]bool{}
		for _, e := range n.audit(t, "") {
			known[e.ID] = true
		}
		got := s.do()
		if got.status >= 300 {
			t.Fatalf("%s: got %d %s", s.operation, got.status, got.body)
		}
		made := slices.DeleteFunc(n.audit(t, ""), func(e entry) bool { return known[e.ID] })
		if len(made) != 1 {
			t.Errorf("%s: %d entries, want one: %+v", s.operation, len(made), made)
			continue
		}
		e := made[0]
		if e.Operation != s.operation || e.Actor != "admin" || e.Account != string(n.Admin.Account.ID) || e.Client != string(n.Admin.Client.ID) ||
			e.Address != "127.0.0.1" || e.RequestID != got.header.Get("X-Request-Id") || e.RequestID == "" {
			t.Errorf("%s by request %s: the entry is %+v", s.operation, got.header.Get("X-Request-Id"), e)
		}
	}
	// A client's own revocation of a token is by the client.
	n.form(t, "/oauth2/revoke", by(n.Example), "token="+n.issue(t, by(n.Example)))
	if got := n.audit(t, "&operation=token.revoke"); len(got) != 1 || got[0].Client != id || got[0].Address != "127.0.0.1" || got[0].RequestID == "" {
		t.Errorf("the revocation of a token: %+v", got)
	}

	n.waitSealed(t, c)
	verify := func() map[string]any {
		return n.want(t, 200, "GET", "/audit/verify?workspace=default", nil).json(t)
	}
	if got := verify(); got["whole"] != true || got["entries"].(float64) < 6 {
		t.Fatalf("verify: %v", got)
	}
	// Somebody who can write to the store hides who did it.
	target := n.audit(t, "&workspace=default&operation=client.revoke")[0]
	all, err := n.store.Audit(t.Context(), store.AuditQuery{Operation: "client.revoke"})
	if err != nil || len(all) != 1 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	forged := *all[0]
	forged.After = bytes.Replace(forged.After, []byte("Example"), []byte("example"), 1)
	if bytes.Equal(forged.After, all[0].After) {
		t.Fatalf("nothing to change in %s", forged.After)
	}
	if err := c.Store.Commit(t.Context(), store.Update(&forged)); err != nil {
		t.Fatal(err)
	}
	got := verify()
	problems, _ := got["problems"].([]any)
	if len(problems) == 0 {
		t.Fatalf("a changed byte was not found: %v", got)
	}
	if p, _ := problems[0].(map[string]any); got["whole"] != false || p["fault"] != "changed" || p["entry"] != target.ID {
		t.Errorf("verify after a byte was changed: %v", got)
	}
}

// W17: a change that cannot be put on record is not made.
func TestW17WithoutAnAuditNothingChanges(t *testing.T) {
	c := &chained{}
	n := start(t, func(o *server.Options) { c.Store = o.Store; o.Store = c })
	id := string(n.Example.Client.ID)
	token := n.issue(t, by(n.Example))
	before := n.want(t, 200, "GET", "/clients?limit=500&workspace=default", nil).json(t)["total"]
	c.full = true
	for name, got := range map[string]answer{
		"create": n.rest(t, "POST", "/clients", map[string]any{"name": "x", "workspace": "default"}),
		"rotate": n.rest(t, "POST", "/clients/"+id+"/secrets", map[string]any{"overlap": "0s"}),
		"revoke": n.rest(t, "POST", "/clients/"+id+"/revoke", map[string]any{}),
		"key":    n.rest(t, "POST", "/keys/rotate", map[string]any{"algorithm": "ES256"}),
		"token":  n.form(t, "/oauth2/revoke", by(n.Example), "token="+token),
	} {
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: got %d %s, want 503", name, got.status, got.body)
		}
	}
	c.full = false
	n.clock.advance(time.Second)
	if after := n.want(t, 200, "GET", "/clients?limit=500&workspace=default", nil).json(t)["total"]; after != before {
		t.Errorf("there were %v clients, and now %v", before, after)
	}
	if !n.active(t, token) || len(n.published(t)) != 1 {
		t.Errorf("the token is active: %t, keys %v", n.active(t, token), n.published(t))
	}
	n.issue(t, by(n.Example))
}
