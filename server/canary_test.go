package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"postern/server"
	"postern/server/keys"
	"postern/server/telemetry"
	"postern/store"
	"postern/store/sqlite"
)

// canaries are texts that must turn up nowhere.
type canaries map[string][]byte

func (c canaries) add(name, text string) {
	sum := sha256.Sum256([]byte(text))
	c[name] = []byte(text)
	if strings.HasPrefix(text, "ps") && len(text) > 54 { // before that is the client or the key, which are known
		c[name+", a part of it"] = []byte(text[34:54])
	}
	c[name+", in base64"] = []byte(base64.StdEncoding.EncodeToString([]byte(text)))
	c[name+", its hash in hex"] = []byte(hex.EncodeToString(sum[:]))
	c[name+", its hash in base64"] = []byte(base64.StdEncoding.EncodeToString(sum[:]))
}

// in tells of every canary that a place holds.
func (c canaries) in(t *testing.T, place string, content []byte) {
	t.Helper()
	for name, text := range c {
		if bytes.Contains(content, text) {
			at := bytes.Index(content, text)
			t.Errorf("%s holds the %s, after %q", place, name, content[max(0, at-200):at])
		}
	}
}

// folder is every file of a folder but the key-encryption key, joined.
func folder(t *testing.T, dir string) (all []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || path == filepath.Join(dir, "keys", "kek") {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, b...)
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("read %s: %d bytes, %v", dir, len(all), err)
	}
	return all
}

// S01, Q14, K01: secrets and tokens, good and bad, right and wrong in place, are
// found in no log at its most talkative, no metric, no error, no list, and not
// in the files of the store.
func TestS01CanariesAreNowhere(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, dir, noFailureLimit)
	log := n.log
	secrets := canaries{}
	for name, text := range map[string]string{
		"secret of the administrator": n.Admin.Secret.Reveal(), "secret of the example": n.Example.Secret.Reveal(),
		"secret of the gateway": n.Gateway.Secret.Reveal(), "password": n.AdminPassword,
	} {
		secrets.add(name, text)
	}
	made := n.want(t, 201, "POST", "/clients/"+string(n.Example.Client.ID)+"/secrets", map[string]any{"overlap": "1h"}).json(t)
	rotated := made["client_secret"].(string)
	secrets.add("rotated secret", rotated)
	kek, err := os.ReadFile(filepath.Join(dir, "keys", "kek"))
	if err != nil {
		t.Fatal(err)
	}
	secrets.add("key-encryption key", strings.TrimSpace(string(kek)))

	var answers bytes.Buffer
	see := func(a answer) {
		fmt.Fprintf(&answers, "%d %v %s\n", a.status, a.header, a.body)
	}
	// What a stranger or a clumsy client puts where it does not belong.
	const decoy = "decoy-7f3a9c41-never-print-me"
	secrets.add("decoy", decoy)
	for _, format := range []string{"jwt", "opaque"} {
		n.setFormat(t, format)
		token := n.issue(t, as{string(n.Example.Client.ID), rotated})
		secrets.add(format+" access token", token)
		see(n.form(t, "/oauth2/introspect", by(n.Gateway), "token="+token))
		see(n.form(t, "/oauth2/introspect", by(n.Gateway), "token="+token+"x", "token_type_hint="+decoy))
		see(n.form(t, "/oauth2/introspect", by(n.Gateway), "token="+rotated))
		see(n.exchange(t, rotated))
		see(n.exchange(t, token))
		see(n.exchange(t, decoy, "actor_token="+decoy, "scope="+decoy))
		see(n.rest(t, "POST", "/roles", map[string]any{"name": decoy, "workspace": decoy}, "Idempotency-Key", decoy))
		see(n.form(t, "/oauth2/revoke", by(n.Gateway), "token="+token))
		see(n.restAs(t, token, "GET", "/clients", nil))
		n.decided(t, token, "GET", "/orders/42")
		n.decided(t, token, "GET", "/orders/42?access_token="+token)
		n.decided(t, token, "GET", "/orders/"+decoy)
		n.decided(t, token+"x", "GET", "/orders/42")
		n.decided(t, decoy, "GET", "/orders/42")
		n.decided(t, rotated, "GET", "/orders/42")
		see(n.form(t, "/oauth2/revoke", by(n.Example), "token="+token))
	}
	for _, who := range []as{{string(n.Example.Client.ID), decoy}, {decoy, decoy}, {rotated, decoy}, {decoy, rotated}} {
		for _, path := range []string{"/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"} {
			see(n.form(t, path, who, wantToken, "token="+decoy))
			see(n.form(t, path, as{}, wantToken, "client_id="+url.QueryEscape(who.id), "client_secret="+url.QueryEscape(who.secret), "token="+decoy))
		}
	}
	for _, field := range []string{"scope", "resource", "audience", "grant_type", "client_id", "client_assertion", decoy} {
		see(n.form(t, "/oauth2/token", by(n.Example), wantToken, field+"="+decoy))
		see(n.form(t, "/oauth2/token", by(n.Example), field+"="+rotated))
		see(n.get(t, "/oauth2/token?"+field+"="+decoy))
	}
	for _, header := range []string{"Bearer " + decoy, "Bearer " + rotated + "x", "Basic " + decoy, decoy, "Digest " + decoy, "Bearer " + decoy + " " + decoy} {
		for _, path := range []string{"/oauth2/token", "/api/v1/clients", "/oauth2/" + decoy, "/api/v1/" + decoy} {
			r := n.formRequest(t, path, wantToken)
			r.Header.Set("Authorization", header)
			see(do(t, r))
			r = n.formRequest(t, path, "")
			r.Method = http.MethodGet
			r.Header.Set("Authorization", header)
			see(do(t, r))
		}
	}
	for _, body := range []map[string]any{
		{"name": "x", "workspace": "default", "client_secret": rotated},
		{"name": "x", "workspace": "default", "kind": decoy},
		{"name": 7, "workspace": []string{decoy}},
		{"name": "x", "workspace": "default", "expires_in": decoy},
	} {
		see(n.rest(t, "POST", "/clients", body))
	}
	for _, text := range []string{rotated, n.issue(t, by(n.Example))} { // in the place of every name
		for _, path := range []string{"/clients/", "/accounts/", "/apis/", "/roles/", "/workspaces/", "/audit/verify?workspace=", "/clients?workspace=", "/audit?workspace=", "/grants?workspace=", "/usage?client="} {
			see(n.rest(t, "GET", path+text, nil))
		}
		see(n.rest(t, "POST", "/keys/"+text+"/revoke", nil))
		see(n.rest(t, "POST", "/check", map[string]any{"account": text, "workspace": text, "api": text, "method": "GET", "path": "/"}))
		see(n.rest(t, "PUT", "/grants/default/"+text, map[string]any{"roles": []map[string]any{{"role": text}}}))
		for _, field := range []string{"workspace", "account", "default_api", "addresses", "roles", "key", "kind", "expires_in"} {
			body := map[string]any{"name": "x", "workspace": "default", field: text}
			if field == "addresses" || field == "roles" {
				body[field] = []string{text}
			}
			see(n.rest(t, "POST", "/clients", body))
		}
		secrets.add("token in the place of a name", text)
	}
	see(n.rest(t, "GET", "/clients?sort="+decoy, nil))
	see(n.rest(t, "GET", "/clients?cursor="+decoy, nil))

	for _, path := range []string{"/clients", "/clients/" + string(n.Example.Client.ID), "/accounts", "/apis", "/roles", "/grants?workspace=default", "/workspaces", "/keys", "/usage", "/audit?limit=500"} {
		see(n.want(t, 200, "GET", path, nil))
	}
	for _, path := range []string{"/metrics", "/readyz?verbose", "/livez"} {
		see(n.getOps(t, path))
	}
	n.stop()
	if !strings.Contains(log.String(), "level=DEBUG") {
		t.Error("the log was not at its most talkative")
	}
	secrets.in(t, "the log", []byte(log.String()))
	secrets.in(t, "an answer", answers.Bytes())

	// The store holds the hashes, and nothing of what they were made from.
	for name := range secrets {
		if strings.Contains(name, "hash") {
			delete(secrets, name)
		}
	}
	maps.Copy(secrets, privateKeys(t, dir, kek))
	secrets.in(t, "a file of the store", folder(t, dir))
}

// privateKeys opens the keys of a stopped store, to know what must not be seen.
func privateKeys(t *testing.T, dir string, kek []byte) canaries {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(kek)))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := chacha20poly1305.NewX(raw)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out := canaries{}
	err = s.All(t.Context(), func(r store.Record) error {
		k := r.(*store.Key)
		nonce, sealed := k.Sealed[1:1+chacha20poly1305.NonceSizeX], k.Sealed[1+chacha20poly1305.NonceSizeX:]
		private, err := aead.Open(nil, nonce, sealed, fmt.Appendf(nil, "postern key\x00%s\x00%s\x00%s", k.ID, k.Use, k.Algorithm))
		if err != nil {
			return fmt.Errorf("open key %s: %w", k.ID, err)
		}
		if parsed, err := x509.ParsePKCS8PrivateKey(private); err == nil {
			switch p := parsed.(type) {
			case *ecdsa.PrivateKey:
				if private, err = p.Bytes(); err != nil {
					return err
				}
			case ed25519.PrivateKey:
				private = p.Seed()
			case *rsa.PrivateKey:
				private = p.Primes[0].Bytes()
			}
		}
		out["private key "+string(k.ID)] = private
		out["private key "+string(k.ID)+" in base64"] = []byte(base64.StdEncoding.EncodeToString(private))
		out["private key "+string(k.ID)+" in hex"] = []byte(hex.EncodeToString(private))
		return nil
	}, store.KindKey)
	if err != nil || len(out) < 3*2 { // of ES256 and of sealing
		t.Fatalf("%d texts of private keys, %v", len(out), err)
	}
	return out
}

// K01: with another key-encryption key the server does not start, and says why.
func TestK01AWrongKEKIsAClearRefusalToStart(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, dir)
	n.issue(t, by(n.Example))
	n.stop()
	backend, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	text := keys.GenerateKEK()
	other, err := keys.ParseKEKs(text)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Options{Store: backend, KEK: other, Issuer: issuer, Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", OpsListen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Run(t.Context(), func() { t.Error("it started") })
	if err == nil || !strings.Contains(err.Error(), "keys.encryption_key") || strings.Contains(err.Error(), text) {
		t.Errorf("Run with another key-encryption key: got %v; want an error that names the setting and not the key", err)
	}
	// Nothing was changed by it: the right key still opens the store.
	again := startNode(t, dir)
	again.Bootstrap = n.Bootstrap
	again.issue(t, by(n.Example))
}

// S02: whatever is in a name, a path or a header, a line of the log is one line
// without control characters.
func TestS02OneLineEach(t *testing.T) {
	written := &logged{}
	n := start(t, noFailureLimit, func(o *server.Options) {
		log, err := telemetry.NewLogger(written, "json", "debug")
		if err != nil {
			t.Fatal(err)
		}
		o.Log = log
		o.Store = panicking{o.Store}
	})
	const hostile = "x\r\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\r\n\x1b[2J\x1b]0;owned\x07\u0085\u202e\u2028end"
	for _, name := range []string{hostile, "\x00\x01\x7f\u009b31m"} {
		made := n.rest(t, "POST", "/clients", map[string]any{"name": name, "description": name, "workspace": "default", "label": "x"})
		if made.status == 201 {
			m := made.json(t)
			n.form(t, "/oauth2/token", as{m["client_id"].(string), m["client_secret"].(string)}, wantToken)
			n.want(t, 200, "POST", "/clients/"+m["client_id"].(string)+"/revoke", map[string]any{"reason": name})
		}
		n.form(t, "/oauth2/token", as{name, name}, wantToken)
		n.form(t, "/oauth2/token", by(n.Example), "grant_type="+url.QueryEscape(name))
		n.form(t, "/oauth2/token", by(n.Example), wantToken, "scope="+url.QueryEscape(name), "resource="+url.QueryEscape(name))
		n.rest(t, "GET", "/clients/"+url.PathEscape(name), nil)
		n.rest(t, "GET", "/clients?search="+url.QueryEscape(name), nil)
		n.rest(t, "POST", "/roles", map[string]any{"name": name, "workspace": name})
		n.get(t, "/"+url.PathEscape(name))
		n.decided(t, "x", "GET", "/orders/"+url.PathEscape(name))
	}
	if !strings.Contains(written.String(), "a request panicked") {
		t.Error("the log does not hold the line with a stack")
	}
	for line := range strings.Lines(written.String()) {
		var record struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Msg == "" || record.Msg == "forged" {
			t.Errorf("%q is no line of the log: %v", line, err)
		}
		if at := strings.IndexFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool {
			return r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e
		}); at >= 0 {
			t.Errorf("a character that a terminal obeys is in %q", line)
		}
	}
}
