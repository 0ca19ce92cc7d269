package gateway_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"postern/server/gateway/gatewaytest"
	"postern/server/token"
)

// proven is a question with a token that is bound to a key, and a proof.
func proven(w *gatewaytest.World, binding, tok string, proofs ...string) question {
	return ask(w, binding, "GET", "/files/open?a=1", "").with("Authorization", "DPoP "+tok).with("DPoP", proofs...)
}

// Rows D05 to D11 at decisions, and what htm and htu are compared with.
func TestD08AProofIsForOneCall(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		prover, other := gatewaytest.NewProver(t), gatewaytest.NewProver(t)
		bound := w.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Confirmation.Key = prover.Thumbprint() })
		plain := w.Token(t, gatewaytest.Machine)
		const target = "https://shop.example:8443/files/open"
		nonce := proven(w, binding, bound, prover.Proof("GET", target, w.Now(), map[string]any{"ath": gatewaytest.Hash(bound)})).
			gives(t, 401).Header().Get("DPoP-Nonce")
		if nonce == "" {
			t.Fatal("a refusal came without a nonce")
		}
		proof := func(by *gatewaytest.Prover, tok string, change map[string]any) string {
			all := map[string]any{"nonce": nonce, "ath": gatewaytest.Hash(tok)}
			maps.Copy(all, change)
			return by.Proof("GET", target, w.Now(), all)
		}
		for _, htu := range []string{target, "https://shop.example/files/open", "HTTPS://SHOP.example:8443/files/open?x=1#f", "https://shop.example/files/%6fpen"} {
			proven(w, binding, bound, proof(prover, bound, map[string]any{"htu": htu})).gives(t, 200)
		}
		used := proof(prover, bound, nil)
		proven(w, binding, bound, used).gives(t, 200)
		for name, q := range map[string]question{
			"the same proof":          proven(w, binding, bound, used),
			"two proofs":              proven(w, binding, bound, proof(prover, bound, nil), proof(prover, bound, nil)),
			"none":                    ask(w, binding, "GET", "/files/open", "").with("Authorization", "DPoP "+bound),
			"as a bearer":             ask(w, binding, "GET", "/files/open", bound),
			"as a bearer, proven":     ask(w, binding, "GET", "/files/open", bound).with("DPoP", proof(prover, bound, nil)),
			"another key":             proven(w, binding, bound, proof(other, bound, nil)),
			"a token bound to no key": proven(w, binding, plain, proof(prover, plain, nil)),
			"no ath":                  proven(w, binding, bound, proof(prover, bound, map[string]any{"ath": nil})),
			"another ath":             proven(w, binding, bound, proof(prover, plain, nil)),
			"no nonce":                proven(w, binding, bound, proof(prover, bound, map[string]any{"nonce": nil})),
			"a forged nonce":          proven(w, binding, bound, proof(prover, bound, map[string]any{"nonce": strings.Repeat("A", len(nonce))})),
			"another method":          proven(w, binding, bound, proof(prover, bound, map[string]any{"htm": "POST"})),
			"a method's other case":   proven(w, binding, bound, proof(prover, bound, map[string]any{"htm": "get"})),
			"another host":            proven(w, binding, bound, proof(prover, bound, map[string]any{"htu": "https://shop.example.org/files/open"})),
			"another path":            proven(w, binding, bound, proof(prover, bound, map[string]any{"htu": "https://shop.example/files/secret"})),
			"a path with dots":        proven(w, binding, bound, proof(prover, bound, map[string]any{"htu": "https://shop.example/files/x/../open"})),
			"no URL":                  proven(w, binding, bound, proof(prover, bound, map[string]any{"htu": "/files/open"})),
			"another scheme":          proven(w, binding, bound, proof(prover, bound, map[string]any{"htu": "ftp://shop.example/files/open"})),
			"a minute old":            proven(w, binding, bound, proof(prover, bound, map[string]any{"iat": w.Now().Unix() - 62})),
			"a minute ahead":          proven(w, binding, bound, proof(prover, bound, map[string]any{"iat": w.Now().Unix() + 62})),
			"no proof at all":         proven(w, binding, bound, "hello"),
			"a broken signature":      proven(w, binding, bound, proof(prover, bound, nil)+"A"),
		} {
			t.Run(name, func(t *testing.T) {
				rec := q.gives(t, 401)
				challenge := rec.Header().Get("WWW-Authenticate")
				if strings.HasPrefix(challenge, "DPoP ") != (rec.Header().Get("DPoP-Nonce") != "") {
					t.Errorf("the challenge %s came with the nonce %q", challenge, rec.Header().Get("DPoP-Nonce"))
				}
				want := map[string]string{"no nonce": "use_dpop_nonce", "a forged nonce": "use_dpop_nonce", "another key": "invalid_token", "as a bearer": "invalid_token"}[name]
				if !strings.Contains(challenge, want) {
					t.Errorf("the challenge is %s", challenge)
				}
			})
		}
		// What the policy refuses is refused, with a proof of its own.
		path := "/files/secret"
		ask(w, binding, "GET", path, "").with("Authorization", "DPoP "+bound).with("DPoP", proof(prover, bound, map[string]any{"htu": "https://shop.example" + path})).gives(t, 403)
		// A nonce lives for a minute at most, and a proof is remembered for longer.
		fresh := proof(prover, bound, nil)
		w.Move(29 * time.Second)
		proven(w, binding, bound, fresh).gives(t, 200)
		proven(w, binding, bound, used).gives(t, 401)
		w.Move(62 * time.Second)
		got := proven(w, binding, bound, prover.Proof("GET", target, w.Now(), map[string]any{"nonce": nonce, "ath": gatewaytest.Hash(bound)})).gives(t, 401)
		if !strings.Contains(got.Header().Get("WWW-Authenticate"), "use_dpop_nonce") || got.Header().Get("DPoP-Nonce") == nonce {
			t.Errorf("an old nonce: %v", got.Header())
		}
	})
}

// A call whose host the gateway does not say cannot be compared with a proof.
func TestD04AProofNeedsAKnownHost(t *testing.T) {
	w := gatewaytest.New(t)
	prover := gatewaytest.NewProver(t)
	bound := w.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Confirmation.Key = prover.Thumbprint() })
	q := func() question {
		return proven(w, "nginx", bound, prover.Proof("GET", "https://shop.example/files/open", w.Now(), map[string]any{"ath": gatewaytest.Hash(bound), "nonce": "x"}))
	}
	q().gives(t, 401)
	if rec := q().to("nginx").gives(t, 401); strings.Contains(rec.Header().Get("WWW-Authenticate"), "use_dpop_nonce") {
		t.Error("a proof was compared with no host")
	}
}

// What was used is remembered beyond the period that it was used in.
func TestD06AProofIsRememberedOverPeriods(t *testing.T) {
	w := gatewaytest.New(t)
	prover := gatewaytest.NewProver(t)
	bound := w.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Confirmation.Key = prover.Thumbprint() })
	proof := func(nonce string) string {
		return prover.Proof("GET", "https://shop.example/files/open", w.Now(), map[string]any{"ath": gatewaytest.Hash(bound), "nonce": nonce})
	}
	nonce := func() string {
		return proven(w, "nginx", bound, proof("")).gives(t, 401).Header().Get("DPoP-Nonce")
	}
	proven(w, "nginx", bound, proof(nonce())).gives(t, 200)
	w.Move(85 * time.Second)
	used := proof(nonce())
	proven(w, "nginx", bound, used).gives(t, 200)
	w.Move(6 * time.Second)
	proven(w, "nginx", bound, proof(nonce())).gives(t, 200)
	rec := proven(w, "nginx", bound, used).gives(t, 401)
	if !strings.Contains(rec.Header().Get("WWW-Authenticate"), "invalid_dpop_proof") {
		t.Errorf("the challenge is %s", rec.Header().Get("WWW-Authenticate"))
	}
}
