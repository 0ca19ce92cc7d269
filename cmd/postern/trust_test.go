package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"postern/config"
	"postern/docs"
)

// workloadStory is "workload NAME AUDIENCE CLAIMS": it writes NAME.jwt, a JWT with
// the claims of a file for an audience and an hour, and NAME.jwks, its issuer's keys.
func workloadStory(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: workload NAME AUDIENCE CLAIMS")
	}
	var members map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[2])), &members))
	now := time.Now().Unix()
	members["aud"], members["iat"], members["exp"] = []string{args[1]}, now, now+3600
	claims, err := json.Marshal(members)
	ts.Check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	public, err := key.PublicKey.Bytes()
	ts.Check(err)
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + b64(claims)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	ts.Check(err)
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	jwks := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","use":"sig","kid":"k","x":%q,"y":%q}]}`, b64(public[1:33]), b64(public[33:]))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".jwt"), []byte(signed+"."+b64(signature)+"\n"), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".jwks"), []byte(jwks), 0o600))
}

// guideStory is "guide NAME FILE": it writes a script of the trust rules that a guide
// makes, for the client of $ID.
func guideStory(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: guide NAME FILE")
	}
	text, err := docs.Files.ReadFile(args[0] + ".md")
	ts.Check(err)
	made := regexp.MustCompile(`(?m)^    (postern trust add CLIENT --issuer https(?:.*\\\n)*.*)$`).FindAllStringSubmatch(string(text), -1)
	var script strings.Builder
	for _, m := range made {
		script.WriteString(strings.Replace(m[1], "CLIENT", "$ID", 1) + "\n")
	}
	if len(made) != 5 {
		ts.Fatalf("the guide makes %d rules, want 5", len(made))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(script.String()), 0o600))
}

// The configuration of the guide is one.
func TestWorkloadGuideConfigures(t *testing.T) {
	text, err := docs.Files.ReadFile("workloads.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```yaml\n(outbound:.*?)```").FindSubmatch(text)
	if example == nil {
		t.Fatal("the guide has no configuration")
	}
	got, _, err := config.Load(config.Options{File: "guide.yaml", ReadFile: func(string) ([]byte, error) { return example[1], nil }})
	if err != nil {
		t.Fatal(err)
	}
	const folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
	want := config.Issuer{URL: "https://kubernetes.default.svc.cluster.local", CAFile: folder + "ca.crt", TokenFile: folder + "token"}
	if len(got.Outbound.Allow) != 2 || len(got.Outbound.Issuers) != 1 || got.Outbound.Issuers[0] != want {
		t.Errorf("got %+v", got.Outbound)
	}
}

// A file of outbound.issuers that cannot be used is heard of at the start; nothing
// of it is said.
func TestWorkloadIssuersNeedTheirFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("two words"), 0o600); err != nil {
		t.Fatal(err)
	}
	const cluster = "https://cluster.example"
	for name, i := range map[string]config.Issuer{
		"no CA file": {URL: cluster, CAFile: file + "x"}, "no PEM": {URL: cluster, CAFile: file}, "no token file": {URL: cluster, TokenFile: file + "x"}, "no token": {URL: cluster, TokenFile: file},
	} {
		_, err := issuers([]config.Issuer{i})
		if err == nil || !strings.Contains(err.Error(), "outbound.issuers: "+cluster) || !strings.Contains(err.Error(), "_file: ") || strings.Contains(err.Error(), "words") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := os.WriteFile(file, []byte("word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := issuers([]config.Issuer{{URL: cluster, TokenFile: file}})
	if err != nil || got[cluster].TokenFile != file {
		t.Errorf("got %v, %v", got, err)
	}
}
