package sqlite_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/store"
	"postern/store/sqlite"
)

// never is how a file says that a client does not expire.
const never = math.MaxInt64

// firstVersion writes a file as the first version of the program left it: its
// schema, and records with the columns that it had.
func firstVersion(t *testing.T, dir string, accounts []*store.Account, clients []*store.Client) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "postern.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
			t.Fatal(errors.Join(err, db.Close()))
		}
	}
	for _, statement := range sqlite.Migrations()[0] {
		exec(statement)
	}
	doc := func(r store.Record) string {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, a := range accounts {
		exec("INSERT INTO accounts (id, revision, doc, name, kind, status, licence, search) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			string(a.ID), a.Revision, doc(a), a.Name, string(a.AccountKind), string(a.Status), "", strings.ToLower(a.Name))
	}
	for _, c := range clients {
		expires := int64(never)
		if c.ExpiresAt != 0 {
			expires = int64(c.ExpiresAt)
		}
		exec(`INSERT INTO clients (id, revision, doc, workspace, key, sort_name, search, account, kind, status, created_at, expires_at, last_used)
			VALUES (?, ?, ?, ?, NULL, ?, ?, ?, ?, ?, ?, ?, 0)`,
			string(c.ID), c.Revision, doc(c), string(c.Workspace), strings.ToLower(c.Name), strings.ToLower(c.Name), string(c.Account),
			string(c.ClientKind), string(c.Status), int64(c.CreatedAt), expires)
	}
	if len(clients) > 0 {
		exec("INSERT INTO usage (hour, client, secret, rule, outcome, process, count) VALUES (3600000, ?1, 'a', 'r', 'allowed', 'p', 3), (3600000, ?1, 'b', 'r', 'allowed', 'p', 4)", string(clients[0].ID))
	}
	exec(fmt.Sprintf("PRAGMA application_id = %d", 0x5073746e))
	exec("PRAGMA user_version = 1")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// A file of the first version is brought to this one: what only later versions
// ask for is found in what the first one wrote.
func TestAFileOfTheFirstVersionAnswersTodaysQueries(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	client := func(id string, edit func(*store.Client)) *store.Client {
		c := &store.Client{
			ID: store.ClientID(id), Revision: 3, Generation: 1, ClientKind: store.ClientService, Name: id, Account: "svc1", Workspace: "wsp1",
			Status: store.ClientActive, CreatedAt: 1,
		}
		edit(c)
		return c
	}
	firstVersion(t, dir,
		[]*store.Account{
			{ID: "usr1", Revision: 1, AccountKind: store.AccountUser, Name: "ada", Status: store.AccountActive},
			{ID: "usr2", Revision: 1, AccountKind: store.AccountUser, Name: "bob", Status: store.AccountActive},
		},
		[]*store.Client{
			client("never", func(c *store.Client) { c.Responsible = "usr1" }),
			client("expires", func(c *store.Client) { c.ExpiresAt, c.Responsible = 2000, "usr2" }),
			client("secrets", func(c *store.Client) {
				c.Secrets = []store.ClientSecret{{ID: "sec1", ExpiresAt: 1500}, {ID: "sec2", ExpiresAt: 1600, RevokedAt: 1}, {ID: "sec3"}}
			}),
			client("both", func(c *store.Client) {
				c.ExpiresAt, c.Secrets = 3000, []store.ClientSecret{{ID: "sec4", ExpiresAt: 3000}, {ID: "sec5", ExpiresAt: 2500}}
			}),
		})
	s := open(t, dir)
	ends := func(from, to store.Time) store.ClientQuery { return store.ClientQuery{EndsFrom: from, EndsTo: to} }
	ask := func(want map[string][]string, asked map[string]store.ClientQuery) {
		t.Helper()
		for name, q := range asked {
			list, err := s.Clients(t.Context(), q)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got := []string{}
			for _, c := range list {
				got = append(got, string(c.ID))
			}
			slices.Sort(got)
			if diff := cmp.Diff(want[name], got); diff != "" {
				t.Errorf("%s: got (+), want (-):\n%s", name, diff)
			}
		}
	}
	ask(map[string][]string{
		"all": {"both", "expires", "never", "secrets"}, "a secret ends": {"secrets"}, "a revoked secret does not end": {}, "a client ends": {"expires"},
		"both end at once": {"both"}, "a secret ends before its client": {"both"}, "at any time": {"both", "expires", "secrets"}, "from then on": {"both", "expires"},
		"just before": {}, "of ada": {"never"}, "of nobody": {"both", "secrets"}, "of bob or nobody": {"both", "expires", "secrets"}, "to confirm": {},
	}, map[string]store.ClientQuery{
		"all": {}, "a secret ends": ends(1500, 1501), "a revoked secret does not end": ends(1600, 1601), "a client ends": ends(2000, 2001),
		"both end at once": ends(3000, 3001), "a secret ends before its client": ends(2500, 2501), "at any time": ends(1, never), "from then on": ends(2000, never),
		"just before": ends(1400, 1500), "of ada": {Responsible: []store.AccountID{"usr1"}}, "of nobody": {Responsible: []store.AccountID{""}},
		"of bob or nobody": {Responsible: []store.AccountID{"usr2", ""}}, "to confirm": {ConfirmBy: 5000},
	})
	// A change takes what was derived before along.
	c, err := s.Client(t.Context(), "both")
	if err != nil || c.Revision != 3 {
		t.Fatalf("client both: %+v, %v", c, err)
	}
	c.Secrets[1].RevokedAt, c.Responsible = 1, "usr1"
	if err := s.Commit(t.Context(), store.Update(c)); err != nil {
		t.Fatal(err)
	}
	ask(map[string][]string{"the revoked secret": {}, "the client": {"both"}, "of ada": {"both", "never"}}, map[string]store.ClientQuery{
		"the revoked secret": ends(2500, 2501), "the client": ends(3000, 3001), "of ada": {Responsible: []store.AccountID{"usr1"}},
	})

	// What was counted then is added up now.
	sums, err := s.UsageTotals(t.Context(), store.UsageTotalQuery{By: store.UsageByHour, Workspaces: []store.WorkspaceID{"wsp1"}})
	if diff := cmp.Diff([]store.UsageTotal{{At: 3_600_000, Allowed: 7}}, sums); err != nil || diff != "" {
		t.Errorf("usage totals: %v, got (+), want (-):\n%s", err, diff)
	}

	// People had no user names then; they get them now, each one's own in any case.
	a, err := s.Account(t.Context(), "usr1")
	if err != nil {
		t.Fatal(err)
	}
	a.UserName, a.Provisioned = "Ada@Example.com", true
	if err := s.Commit(t.Context(), store.Update(a)); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		q    store.AccountQuery
		want int
	}{
		"by user name": {store.AccountQuery{UserName: "ada@example.COM"}, 1}, "by another": {store.AccountQuery{UserName: "bob"}, 0},
		"provisioned": {store.AccountQuery{Provisioned: true}, 1}, "all": {store.AccountQuery{}, 2},
	} {
		if got, err := s.Accounts(t.Context(), tt.q); err != nil || len(got) != tt.want {
			t.Errorf("accounts %s: got %d, %v; want %d", name, len(got), err, tt.want)
		}
	}
	b, err := s.Account(t.Context(), "usr2")
	if err != nil {
		t.Fatal(err)
	}
	b.UserName = "ADA@example.com"
	if err := s.Commit(t.Context(), store.Update(b)); !errors.Is(err, store.ErrExists) {
		t.Errorf("the same user name twice: got %v, want ErrExists", err)
	}
}
