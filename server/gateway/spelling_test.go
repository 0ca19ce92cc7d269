package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"postern/server/gateway/gatewaytest"
	"postern/store"
)

// G01, GHSA-68wm-pfjf-wqp6
func TestG01NoSpellingIsAllowed(t *testing.T) {
	if len(gatewaytest.Spellings()) != 42 {
		t.Fatalf("there are %d spellings", len(gatewaytest.Spellings()))
	}
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		tok := w.Token(t, gatewaytest.Machine)
		for _, s := range gatewaytest.Spellings() {
			for _, last := range []string{"open", "secret"} { // allowed, and denied
				rec := ask(w, binding, http.MethodGet, strings.ReplaceAll(s, "X", last), tok).gives(t, http.StatusForbidden)
				if rec.Code != http.StatusForbidden {
					t.Errorf("that was %q with X = %s", s, last)
				}
			}
		}
	})
}

func TestG01EqualSpellingsAreDecidedAlike(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		tok := w.Token(t, gatewaytest.Machine)
		for target, status := range map[string]int{
			"/files/open":                      200,
			"/files/open/":                     200,
			"/files/%6fpen":                    200,
			"/files/open?a=/../secret":         200, // CVE-2025-54576
			"/files/open?a=1&a=//%2e%2e#;":     200,
			"/files":                           200,
			"/files/sec":                       200,
			"/files/SECRET":                    200, // another path, unless the API says otherwise
			"/files/secret":                    403,
			"/files/secret/":                   403,
			"/files/%73ecret":                  403,
			"/files/s%65cret/deep":             403,
			"/files/secret?x=/files/open":      403,
			"/files/secret/?/../../files/open": 403,
			"/else":                            403,
			"/":                                403,
			"?":                                403,
			"files/open":                       403,
			"/" + strings.Repeat("a", 9000):    403,
		} {
			if got := ask(w, binding, http.MethodGet, target, tok).answer().Code; got != status {
				t.Errorf("%.60q: got %d, want %d", target, got, status)
			}
		}
	})
}

func TestG01AnAPIKnowsWhatItsUpstreamTakes(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		tok := w.Token(t, gatewaytest.Machine)
		gatewaytest.Change(t, w, string(gatewaytest.Shop), func(a *store.API) {
			a.FoldCase, a.Semicolon, a.DoubleSlash, a.EncodedSlash, a.NonASCII = true, true, true, true, true
		})
		for target, status := range map[string]int{
			"/FILES/Open":             200,
			"/files/a;b":              200,
			"/files//open":            200,
			"/files/a%2fopen":         200,
			"/files/\u00fcber":        200,
			"/files/SECRET":           403,
			"/Files/sEcret/x":         403,
			"/files/..;/secret":       403,
			"/files/..%2fsecret":      403,
			"/files/../files/secret":  403,
			"/files/%252e%252e/x":     403,
			`/files/..\files\secret`:  403,
			"/files/secret/%00":       403,
			"/files/\xff\xfe":         403,
			"/files/%c0%ae%c0%ae/sec": 403,
		} {
			if got := ask(w, binding, http.MethodGet, target, tok).answer().Code; got != status {
				t.Errorf("%q: got %d, want %d", target, got, status)
			}
		}
	})
}
