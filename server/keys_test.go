package server_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/server/keys"
)

// kid is the key that signed a JWT.
func kid(t *testing.T, token string) string {
	t.Helper()
	head, err := base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')])
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ Kid string }
	if err := json.Unmarshal(head, &h); err != nil {
		t.Fatal(err)
	}
	return h.Kid
}

func (n *node) published(t *testing.T) []string {
	t.Helper()
	return slices.Sorted(maps.Keys(n.publicKeys(t)))
}

// K02: a new key is published for as long as a verifier may keep the old JWKS
// before it signs, and the old one stays until its last token has ended.
func TestK02ANewKeyIsPublishedBeforeItSigns(t *testing.T) {
	n := start(t)
	last := n.issue(t, by(n.Example))
	old := kid(t, last)
	if got := n.get(t, "/oauth2/jwks").header.Get("Cache-Control"); got != "public, max-age=600" {
		t.Errorf("JWKS may be kept: %q; want the 10 minutes that a rotation waits for", got)
	}
	rotated := n.want(t, 201, "POST", "/keys/rotate", map[string]any{"algorithm": "ES256"}).json(t)
	fresh, _ := rotated["kid"].(string)
	if rotated["state"] != "next" || fresh == old {
		t.Errorf("rotated: %v", rotated)
	}
	if got := n.rest(t, "POST", "/keys/rotate", map[string]any{"algorithm": "ES256"}); got.status != 409 {
		t.Errorf("a rotation during a rotation: got %d, want 409", got.status)
	}
	both := slices.Sorted(slices.Values([]string{old, fresh}))
	for step := range 12 { // 11 minutes in all, the skew of clocks among them
		if got := n.published(t); !slices.Equal(got, both) {
			t.Fatalf("after %d minutes: published %v, want %v", step, got, both)
		}
		last = n.issue(t, by(n.Example))
		want := old
		if step == 11 {
			want = fresh
		}
		if got := kid(t, last); got != want {
			t.Errorf("after %d minutes: signed by %s, want %s", step, got, want)
		}
		if step < 11 {
			n.clock.advance((keys.JWKSMaxAge + keys.Skew) / 11)
		}
	}
	// One token of the old key that is as young as can be lives to its end.
	n2 := start(t)
	n2.issue(t, by(n2.Example))
	n2.want(t, 201, "POST", "/keys/rotate", map[string]any{"algorithm": "ES256"})
	n2.clock.advance(keys.JWKSMaxAge + keys.Skew - 2*time.Second)
	youngest := n2.issue(t, by(n2.Example))
	n2.clock.advance(time.Hour - 2*time.Second)
	if got := n2.published(t); len(got) != 2 || !slices.Contains(got, kid(t, youngest)) || !n2.active(t, youngest) {
		t.Errorf("2 s before its end: published %v, active %t", got, n2.active(t, youngest))
	}
	n2.clock.advance(3 * time.Second)
	if n2.active(t, youngest) {
		t.Error("a token is active after its end")
	}
	n2.clock.advance(keys.Skew + 2*time.Second)
	if got := n2.published(t); len(got) != 1 || got[0] == kid(t, youngest) {
		t.Errorf("after the last token of the old key and the skew of clocks: published %v", got)
	}
}

// K03: of rotations at once one is done.
func TestK03RotationsAtOnceMakeOneKey(t *testing.T) {
	n := start(t)
	n.issue(t, by(n.Example))
	n.rest(t, "GET", "/keys", nil) // has the administrator's token, before it is needed at once
	got := make([]int, 8)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			got[i] = n.restAs(t, n.token, "POST", "/keys/rotate", map[string]any{"algorithm": "ES256"}).status
		})
	}
	all.Wait()
	slices.Sort(got)
	if want := []int{201, 409, 409, 409, 409, 409, 409, 409}; !slices.Equal(got, want) {
		t.Errorf("eight rotations at once: got %v, want %v", got, want)
	}
	if got := n.published(t); len(got) != 2 {
		t.Errorf("published %v, want two keys", got)
	}
}

// K04: a key that is revoked is out of the JWKS at once, and its tokens are dead
// on every road, though they were seen before; others are not touched.
func TestK04ARevokedKeyKillsItsTokens(t *testing.T) {
	n := start(t)
	for _, format := range []string{"jwt", "opaque"} {
		n.setFormat(t, format)
		dead := n.issue(t, by(n.Example))
		if !n.active(t, dead) || n.decided(t, dead, "GET", "/orders/42") != 200 {
			t.Fatalf("%s: the token does not work to begin with", format)
		}
		algorithm, gone := "XC20P", ""
		if format == "jwt" {
			algorithm = "ES256"
		}
		items, _ := n.want(t, 200, "GET", "/keys", nil).json(t)["items"].([]any)
		for _, each := range items {
			if k, _ := each.(map[string]any); k["algorithm"] == algorithm && k["state"] == "active" {
				gone, _ = k["kid"].(string)
			}
		}
		n.want(t, 200, "POST", "/keys/"+gone+"/revoke", nil)
		n.tokenEnds = time.Time{} // the administrator's token may be of this key, too
		if slices.Contains(n.published(t), gone) {
			t.Errorf("%s: the revoked key is published", format)
		}
		if n.active(t, dead) || n.decided(t, dead, "GET", "/orders/42") != 401 {
			t.Errorf("%s: a token of the revoked key works", format)
		}
		alive := n.issue(t, by(n.Example))
		if !n.active(t, alive) || n.decided(t, alive, "GET", "/orders/42") != 200 {
			t.Errorf("%s: a token of the key after it does not work", format)
		}
		n.clock.advance(2 * time.Hour) // nor does time bring it back
		if n.active(t, dead) {
			t.Errorf("%s: a token of the revoked key works later", format)
		}
		n.clock.advance(-2 * time.Hour)
	}
	if got := n.rest(t, "POST", "/keys/unknown/revoke", nil); got.status != 404 {
		t.Errorf("an unknown key: got %d, want 404", got.status)
	}
}

// A restart keeps what was given out: keys are in the store, and tokens need
// nothing else.
func TestARestartKeepsTokens(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, dir)
	var tokens []string
	for _, format := range []string{"jwt", "opaque"} {
		n.setFormat(t, format)
		tokens = append(tokens, n.issue(t, by(n.Example)))
	}
	published := n.published(t)
	n.stop()
	again := startNode(t, dir)
	again.Bootstrap = n.Bootstrap
	for _, token := range tokens {
		if !again.active(t, token) || again.decided(t, token, "GET", "/orders/42") != 200 {
			t.Errorf("%.8s… does not work after a restart", token)
		}
	}
	if got := again.published(t); !slices.Equal(got, published) {
		t.Errorf("published after a restart %v, before %v", got, published)
	}
}

// F10: a clock that was ahead when old records were deleted, and is put right,
// has not deleted what still counts.
func TestF10AClockThatWasAheadDeletesNoRevocation(t *testing.T) {
	n := start(t)
	token := n.issue(t, by(n.Example))
	if got := n.form(t, "/oauth2/revoke", by(n.Example), "token="+token); got.status != 200 {
		t.Fatalf("revoke: got %d", got.status)
	}
	n.clock.advance(2 * time.Hour)
	if err := n.server.PruneNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.clock.advance(-2 * time.Hour)
	n.settle(t) // what was deleted, the node knows now
	if n.active(t, token) || n.decided(t, token, "GET", "/orders/42") != 401 {
		t.Error("a revoked token is active again")
	}
}

// F10: what is revoked stays revoked however the clock is set, and a token is
// good until its own end, to the second.
func TestF10RevocationNeedsNoClock(t *testing.T) {
	n := start(t)
	id := string(n.Example.Client.ID)
	for _, jump := range []time.Duration{time.Hour, -time.Hour, -5 * time.Minute, 5 * time.Minute} {
		n.tokenEnds = time.Time{}
		revoked, kept := n.issue(t, by(n.Example)), n.issue(t, by(n.Example))
		if got := n.form(t, "/oauth2/revoke", by(n.Example), "token="+revoked); got.status != 200 {
			t.Fatalf("revoke: got %d", got.status)
		}
		n.clock.advance(jump)
		n.tokenEnds = time.Time{}
		if n.active(t, revoked) || n.decided(t, revoked, "GET", "/orders/42") != 401 {
			t.Errorf("%v: the clock woke a revoked token", jump)
		}
		if got, want := n.active(t, kept), jump < time.Hour; got != want {
			t.Errorf("%v: the other token is active: %t, want %t", jump, got, want)
		}
		// A revoke after the jump is in force at once, and after the jump back.
		late := n.issue(t, by(n.Example))
		n.want(t, 200, "POST", "/clients/"+id+"/revoke", map[string]any{})
		if n.active(t, late) || n.decided(t, late, "GET", "/orders/42") != 401 {
			t.Errorf("%v: a token of the revoked client works", jump)
		}
		n.clock.advance(-jump)
		n.tokenEnds = time.Time{}
		for _, token := range []string{revoked, kept, late} {
			if n.active(t, token) {
				t.Errorf("%v: the clock put back woke a token", jump)
			}
		}
		n.want(t, 200, "POST", "/clients/"+id+"/restore", map[string]any{})
	}
}
