package server_test

import (
	"context"
	"net/http"
	"testing"

	"postern/server"
	"postern/store"
)

func TestR01Revocation(t *testing.T) {
	n := start(t)
	own, other := n.issue(t, by(n.Example)), n.issue(t, by(n.Admin))
	revoke := func(who as, token string) answer { return n.form(t, "/oauth2/revoke", who, "token="+token) }
	if got := revoke(as{}, own); got.status != 401 {
		t.Errorf("no authentication: got %d %s", got.status, got.body)
	}
	if got := revoke(by(n.Gateway), own); got.status != 200 || !n.active(t, own) {
		t.Errorf("another client's token: got %d %s, active %t; want 200 and alive", got.status, got.body, n.active(t, own))
	}
	second := n.issue(t, by(n.Example))
	for _, turn := range []string{"first", "again"} {
		if got := revoke(by(n.Example), own); got.status != 200 || got.body != "" {
			t.Errorf("%s: got %d %s", turn, got.status, got.body)
		}
		if n.active(t, own) || n.decided(t, own, "GET", "/orders/42") != 401 {
			t.Errorf("%s: the revoked token works", turn)
		}
	}
	if got := revoke(by(n.Example), "unknown"); got.status != 200 {
		t.Errorf("unknown token: got %d %s", got.status, got.body)
	}
	if !n.active(t, second) {
		t.Error("another token of the client died, too")
	}
	if got := n.restAs(t, other, "GET", "/clients", nil); got.status != 200 {
		t.Errorf("the administrator's token: got %d %s", got.status, got.body)
	}
}

// failing is a store whose commits fail while on.
type failing struct {
	store.Store
	on func() bool
}

func (f *failing) Commit(ctx context.Context, writes ...store.Write) error {
	if f.on() {
		return &store.Unavailable{Err: context.DeadlineExceeded}
	}
	return f.Store.Commit(ctx, writes...)
}

// CVE-2020-15223: a store error in revoke is an error, not 200.
func TestR02StoreFailsDuringRevoke(t *testing.T) {
	down := false
	n := start(t, func(o *server.Options) { o.Store = &failing{o.Store, func() bool { return down }} })
	token := n.issue(t, by(n.Example))
	down = true
	got := n.form(t, "/oauth2/revoke", by(n.Example), "token="+token)
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	// With the store down, what is in memory is served.
	if !n.active(t, token) || n.decided(t, token, "GET", "/orders/42") != 200 {
		t.Error("the token does not work while the store is down")
	}
	n.issue(t, by(n.Example))
	if got := n.form(t, "/oauth2/token", by(n.Example), wantToken); got.status != 200 {
		t.Errorf("issue: got %d", got.status)
	}
	down = false
}

// R03: a revoked token is dead after a restart. (A kill -9 instead of a stop is a story of cmd/postern.)
func TestR03RevokedAfterRestart(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, dir)
	token, kept := n.issue(t, by(n.Example)), n.issue(t, by(n.Example))
	if got := n.form(t, "/oauth2/revoke", by(n.Example), "token="+token); got.status != 200 {
		t.Fatalf("revoke: got %d %s", got.status, got.body)
	}
	n.stop()
	again := startNode(t, dir)
	again.Bootstrap = n.Bootstrap
	if again.active(t, token) {
		t.Error("the revoked token works after a restart")
	}
	if !again.active(t, kept) {
		t.Error("the other token does not work after a restart")
	}
}

// R04: revoking a client kills its tokens; restoring it does not wake them.
func TestR04RestoreLowersNothing(t *testing.T) {
	n := start(t)
	id := string(n.Example.Client.ID)
	token := n.issue(t, by(n.Example))
	n.want(t, 200, "POST", "/clients/"+id+"/revoke", map[string]any{})
	if n.active(t, token) {
		t.Error("active after the revoke")
	}
	n.want(t, 200, "POST", "/clients/"+id+"/restore", map[string]any{})
	if n.active(t, token) {
		t.Error("a token from before the revoke is active after the restore")
	}
	if !n.active(t, n.issue(t, by(n.Example))) {
		t.Error("the restored client's new token is not active")
	}
	ws, err := n.store.Client(t.Context(), n.Example.Client.ID)
	if err != nil {
		t.Fatal(err)
	}
	fresh := n.issue(t, by(n.Example))
	etag := n.want(t, 200, "GET", "/workspaces/default", nil).header.Get("ETag")
	etag = n.want(t, 200, "PATCH", "/workspaces/default", map[string]any{"api_access": false}, "If-Match", etag).header.Get("ETag")
	if n.active(t, fresh) {
		t.Errorf("active with API access of workspace %s switched off", ws.Workspace)
	}
	if got := n.form(t, "/oauth2/token", by(n.Example), wantToken); got.error() != "unauthorized_client" {
		t.Errorf("token with API access off: got %d %s", got.status, got.body)
	}
	n.want(t, 200, "PATCH", "/workspaces/default", map[string]any{"api_access": true}, "If-Match", etag)
	if n.active(t, fresh) {
		t.Error("switching API access on again woke a token")
	}
}
