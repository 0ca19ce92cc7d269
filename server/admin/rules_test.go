package admin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/server/admin"
	"postern/server/secret"
	"postern/store"
	"postern/store/sqlite"
)

func TestBootstrapIsOnceAndWhole(t *testing.T) {
	w := start(t)
	if _, err := w.Bootstrap(t.Context(), true); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second time: got %v, want ErrExists", err)
	}
	b := w.made
	for name, c := range map[string]admin.Created{"admin": b.Admin, "example": b.Example, "gateway": b.Gateway} {
		got, err := w.Client(t.Context(), w.root, c.Client.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !secret.Matches(c.Secret, got.Secrets[0].Hash) || got.ExpiresAt != 0 || got.Warning == "" || got.DefaultAPI == "" && name != "gateway" {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	acc, err := w.Account(t.Context(), w.root, b.AdminUser)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := secret.MatchesPassword(acc.PasswordHash, secret.Of(b.AdminPassword)); err != nil || !ok || !acc.MustChange {
		t.Errorf("the administrator's password: %v, %v, must change %v", ok, err, acc.MustChange)
	}
	for _, tt := range []struct {
		endpoint store.Endpoint
		want     bool
	}{{b.Allowed, true}, {b.Denied, false}} {
		x, err := w.Check(t.Context(), w.root, admin.CheckInput{
			Client: b.Example.Client.ID, API: b.API.Name, Method: tt.endpoint.Methods, Path: tt.endpoint.Path, AnyScope: true,
		})
		if err != nil || x.Allowed != tt.want {
			t.Errorf("%s %s: got %+v, %v; want allowed %v", tt.endpoint.Methods, tt.endpoint.Path, x, err, tt.want)
		}
	}
}

// W16: of several first starts at once, one makes the installation.
func TestW16OneOfSeveralFirstStartsWins(t *testing.T) {
	backend, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	const starts = 4
	results := make(chan error, starts)
	for range starts {
		go func() {
			_, err := admin.New(admin.Options{Store: backend, Issuer: "https://postern.test"}).Bootstrap(t.Context(), true)
			results <- err
		}()
	}
	won := 0
	for range starts {
		switch err := <-results; {
		case err == nil:
			won++
		case !errors.Is(err, store.ErrExists):
			t.Errorf("got %v, want ErrExists", err)
		}
	}
	page, err := backend.Accounts(t.Context(), store.AccountQuery{AccountKind: store.AccountUser})
	if won != 1 || err != nil || len(page) != 1 {
		t.Errorf("%d won and made %d administrators, %v; want 1", won, len(page), err)
	}
}

// Its catalogue is what usage and rules name, so it holds every operation.
func TestOwnAPIHoldsEveryOperationOnce(t *testing.T) {
	w := start(t)
	api, err := w.API(t.Context(), w.root, store.PosternAPI)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range api.Endpoints {
		seen[e.Methods+" "+e.Path] = true
	}
	names := map[string]bool{}
	for _, op := range slices.Concat(admin.Operations(), admin.SCIMOperations()) {
		if !seen[op.Method+" "+op.Path] || names[op.Name] || op.Text == "" {
			t.Errorf("%s is not in the catalogue, or not once", op.Name)
		}
		names[op.Name] = true
	}
	if len(seen) != len(names) {
		t.Errorf("%d endpoints for %d operations", len(seen), len(names))
	}
	if _, err := w.EditAPI(t.Context(), w.root, store.PosternAPI, admin.APIInput{}, 1); kind(t, err) != admin.Conflict {
		t.Errorf("edit: got %v, want a conflict", err)
	}
}

func TestExpiryKeepsTheCaps(t *testing.T) {
	tests := []struct {
		name  string
		edit  func(*admin.Options)
		in    admin.Expiry
		want  time.Duration // -1 is never
		kind  admin.Kind
		warns bool
	}{
		{"default", func(*admin.Options) {}, admin.Expiry{}, 90 * 24 * hour, 0, false},
		{"another default", func(o *admin.Options) { o.DefaultExpiry = hour }, admin.Expiry{}, hour, 0, false},
		{"the cap bounds the default", func(o *admin.Options) { o.MaxExpiry = 2 * hour }, admin.Expiry{}, 2 * hour, 0, false},
		{"at the cap", func(o *admin.Options) { o.MaxExpiry = 2 * hour }, admin.Expiry{For: 2 * hour}, 2 * hour, 0, false},
		{"above the cap", func(o *admin.Options) { o.MaxExpiry = 2 * hour }, admin.Expiry{For: 3 * hour}, 0, admin.Invalid, false},
		{"never", func(*admin.Options) {}, admin.Expiry{Never: true}, -1, 0, true},
		{"never is above any cap", func(o *admin.Options) { o.MaxExpiry = 2 * hour }, admin.Expiry{Never: true}, 0, admin.Invalid, false},
		{"never is switched off", func(o *admin.Options) { o.NeverAllowed = false }, admin.Expiry{Never: true}, 0, admin.Invalid, false},
		{"negative", func(*admin.Options) {}, admin.Expiry{For: -hour}, 0, admin.Invalid, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t, tt.edit)
			made, err := w.CreateClient(t.Context(), w.root, admin.NewClient{Name: "x", Workspace: "default", Expiry: tt.in})
			if kind(t, err) != tt.kind {
				t.Fatalf("got %v, want kind %v", err, tt.kind)
			}
			if err != nil {
				return
			}
			got := made.Client.ExpiresAt.Sub(made.Client.CreatedAt)
			if made.Client.ExpiresAt == 0 {
				got = -1
			}
			if got != tt.want || (len(made.Warnings) > 0) != tt.warns {
				t.Errorf("lives %v with warnings %q; want %v", got, made.Warnings, tt.want)
			}
		})
	}
}

func TestSecretsAreKeptAsHashesAlone(t *testing.T) {
	w := start(t)
	made, _ := w.machine("default")
	var all bytes.Buffer
	err := w.state.All(t.Context(), func(r store.Record) error { return json.NewEncoder(&all).Encode(r) }, store.Kinds()...)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"a secret": made.Secret.Reveal(), "a secret of the first start": w.made.Admin.Secret.Reveal(), "the password": w.made.AdminPassword} {
		if strings.Contains(all.String(), text) {
			t.Errorf("%s is in the store", name)
		}
	}
	if text := fmt.Sprintf("%v %+v", made, *made); strings.Contains(text, made.Secret.Reveal()) {
		t.Error("a secret can be printed")
	}
}

// Records are shared with every reader: an edit that is refused, or spells a
// list anew, must not write into the old one.
func TestEditsLeaveTheOldRecordAlone(t *testing.T) {
	w := start(t)
	made, _ := w.machine("default")
	c, err := w.EditClient(t.Context(), w.root, made.Client.ID, admin.ClientEdit{Addresses: &[]string{"10.1.2.3/8"}})
	if err != nil || c.Addresses[0] != "10.0.0.0/8" {
		t.Fatalf("got %v, %v", c, err)
	}
	before, _ := json.Marshal(c)
	if _, err := w.EditClient(t.Context(), w.root, c.ID, admin.ClientEdit{Addresses: &[]string{"10.0.0.0/8", "nowhere"}, Name: new("")}); kind(t, err) != admin.Invalid {
		t.Errorf("got %v, want faults", err)
	}
	if after, _ := json.Marshal(c); !bytes.Equal(before, after) {
		t.Errorf("the record changed from\n%s to\n%s", before, after)
	}
}

func TestLimitsThatBoundNothingAreWarnedOf(t *testing.T) {
	w := start(t)
	made, _ := w.machine("default")
	_, warnings, err := w.SetGrant(t.Context(), w.root, "default", string(made.Account.ID), []admin.Granted{
		{Role: "example-writer", Resources: map[string][]string{"order": {"1"}}},
	}, 0)
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "example-writer#1") {
		t.Errorf("got %q, %v; want a warning of the rule without {order}", warnings, err)
	}
	_, _, err = w.SetGrant(t.Context(), w.root, "default", string(made.Account.ID), []admin.Granted{
		{Role: "example-writer", Resources: map[string][]string{"order": {"a/b"}}},
	}, 0)
	if kind(t, err) != admin.Invalid {
		t.Errorf("a value that is no segment: got %v, want faults", err)
	}
}

func TestBackupEndsWithItsCount(t *testing.T) {
	w := start(t)
	var out bytes.Buffer
	if err := w.Backup(t.Context(), w.root, &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var head admin.BackupHead
	var end admin.BackupEnd
	if err := errors.Join(json.Unmarshal([]byte(lines[0]), &head), json.Unmarshal([]byte(lines[len(lines)-1]), &end)); err != nil {
		t.Fatal(err)
	}
	if head.Version != admin.BackupVersion || head.MadeAt == 0 || end.Records != int64(len(lines)-2) {
		t.Errorf("head %+v and end %+v of %d lines", head, end, len(lines))
	}
	for _, line := range lines[1 : len(lines)-1] {
		var one struct {
			Kind   store.Kind
			Record json.RawMessage
		}
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		r, err := store.New(one.Kind)
		if err == nil {
			err = json.Unmarshal(one.Record, r)
		}
		if err != nil || r.Key() == "" || one.Kind == store.KindKey {
			t.Errorf("%s: %v", line, err)
		}
	}
	full := errors.New("full")
	if err := w.Backup(t.Context(), w.root, writer(func([]byte) (int, error) { return 0, full })); !errors.Is(err, full) {
		t.Errorf("a reader that goes away: got %v", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestOpenAPIDocumentsAreBounded(t *testing.T) {
	w := start(t)
	head := "openapi: 3.0.0\ninfo: {title: x, version: '1'}\n"
	for name, doc := range map[string]string{
		"a bomb of aliases": "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n" + head + "paths: {}\n",
		"an alias":          head + "x-a: &a {get: {responses: {}}}\npaths:\n  /x: *a\n",
		"deep YAML":         head + "x: " + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "\npaths: {}\n",
		"too large":         strings.Repeat(" ", 2<<20+1),
		"empty":             "",
		"Swagger 2":         `{"swagger":"2.0","info":{"title":"x","version":"1"},"paths":{}}`,
		"external":          head + "paths:\n  /x:\n    $ref: 'https://127.0.0.1:1/x'\n",
	} {
		if _, _, err := w.ImportOpenAPI(t.Context(), w.root, "example", []byte(doc), 1, true); kind(t, err) != admin.Invalid {
			t.Errorf("%s: got %v, want a fault", name, err)
		}
	}
	_, got, err := w.ImportOpenAPI(t.Context(), w.root, "example", []byte(head+"paths:\n  /x/{id}/:\n    get: {summary: One, responses: {}}\n"), 1, true)
	if err != nil || len(got.Endpoints) != 1 || got.Endpoints[0].Path != "/x/{id}" {
		t.Errorf("YAML: got %+v, %v", got, err)
	}
}

func TestSwitchingAPIAccessOffEndsTheTokensOfBefore(t *testing.T) {
	w := start(t)
	old := w.state.WorkspaceByName("default")
	off, err := w.EditWorkspace(t.Context(), w.root, "default", admin.WorkspaceInput{APIAccess: new(false)}, old.Revision)
	if err != nil || off.Generation != old.Generation+1 {
		t.Fatalf("off: got %+v, %v", off, err)
	}
	on, err := w.EditWorkspace(t.Context(), w.root, "default", admin.WorkspaceInput{APIAccess: new(true)}, off.Revision)
	if err != nil || on.Generation != off.Generation {
		t.Errorf("on: got %+v, %v; the generation must not come back", on, err)
	}
}

// A change whose audit entry cannot be written is not made: they are one
// transaction.
func TestW17NoEntryNoChange(t *testing.T) {
	w := start(t)
	w.broken.fail(&store.Unavailable{Err: errors.New("down")})
	if _, err := w.RevokeClient(t.Context(), w.root, w.made.Example.Client.ID, ""); kind(t, err) != admin.Unavailable {
		t.Errorf("got %v, want an outage", err)
	}
	w.broken.fail(nil)
	c, err := w.Client(t.Context(), w.root, w.made.Example.Client.ID)
	if err != nil || c.Status != store.ClientActive {
		t.Errorf("got %v, %v; want the client as it was", c, err)
	}
}
