package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server/admin"
	"postern/store"
)

// changing is a call that changes something.
type changing struct {
	ids  map[string]string // of the path's parameters
	body any
	// match is the path whose revision the call names.
	match string
	// as is the credential; empty is the administrator's.
	as string
	// who is the person who calls by name and password; nobody if empty.
	who person
	// lesser is a credential of somebody who may not; empty is an auditor's.
	lesser string
	// hidden: who may not is told that there is no such thing.
	hidden bool
}

// changes has a call for each operation that changes something. Each makes what
// it needs.
func (w *world) changes() map[string]func() changing {
	client := func(roles ...string) string { return w.machine("default", roles...).id }
	revoked := func() string {
		id := client()
		w.want(http.StatusOK, "POST", "/clients/"+id+"/revoke", nil)
		return id
	}
	of := func(made func() string, body any) func() changing {
		return func() changing { return changing{ids: map[string]string{"{client}": made()}, body: body} }
	}
	named := 0
	name := func() string { named++; return fmt.Sprint("made", named) }
	role := func() changing {
		id := w.want(http.StatusCreated, "POST", "/roles", object{"workspace": "default", "name": name()}).text("id")
		return changing{ids: map[string]string{"{role}": id}, match: "/roles/" + id, body: object{"description": "d"}}
	}
	api := func() changing {
		n := name()
		w.want(http.StatusCreated, "POST", "/apis", object{"name": n, "workspace": "default", "audience": "urn:" + n})
		return changing{ids: map[string]string{"{api}": n}, match: "/apis/" + n, body: object{"description": "d"}}
	}
	grant := func() changing {
		return changing{ids: map[string]string{"{workspace}": "default", "{holder}": w.machine("default", "member").account}, body: object{"roles": []object{{"role": "auditor"}}}}
	}
	without := func(made func() changing) func() changing {
		return func() changing { c := made(); c.body = nil; return c }
	}
	all := map[string]func() changing{
		"client.create": func() changing { return changing{body: object{"name": "x", "workspace": "default"}} },
		"client.edit":   of(func() string { return client() }, object{"name": "y"}),
		"client.confirm": of(func() string {
			return w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "workspace": "default", "confirm": true}).text("client_id")
		}, nil),
		"client.rotate": of(func() string { return client() }, nil),
		"client.secret.revoke": func() changing {
			id := client()
			made := w.want(http.StatusCreated, "POST", "/clients/"+id+"/secrets", object{"keep": true})
			return changing{ids: map[string]string{"{client}": id, "{secret}": made.text("secret_id")}}
		},
		"client.revoke":  of(func() string { return client() }, nil),
		"client.restore": of(revoked, nil),
		"client.delete":  of(revoked, nil),
		"role.create":    func() changing { return changing{body: object{"workspace": "default", "name": name()}} },
		"role.edit":      role,
		"role.delete":    without(role),
		"grant.set":      grant,
		"grant.delete":   without(grant),
		"api.create": func() changing {
			n := name()
			return changing{body: object{"name": n, "workspace": "default", "audience": "urn:" + n}}
		},
		"api.edit": api,
		"api.import": func() changing {
			c := api()
			c.body = raw(`{"openapi":"3.0.0","info":{"title":"x","version":"1"},"paths":{"/x":{"get":{"responses":{}}}}}`)
			return c
		},
		"api.delete":       without(api),
		"workspace.create": func() changing { return changing{body: object{"name": name()}} },
		"workspace.edit": func() changing {
			return changing{ids: map[string]string{"{workspace}": "default"}, match: "/workspaces/default", body: object{"description": name()}}
		},
		"key.rotate": func() changing { return changing{body: object{"algorithm": "RS256"}} },
		"key.revoke": func() changing {
			return changing{ids: map[string]string{"{key}": w.want(http.StatusCreated, "POST", "/keys/rotate", object{"algorithm": "EdDSA"}).text("kid")}}
		},
		"key.reseal": func() changing { return changing{} },
		"backup":     func() changing { return changing{} },
	}
	maps.Copy(all, w.changesOfPeople())
	return all
}

// unchanging are operations that change nothing although they are no GET, or, as
// the report of a leak, only after they have answered: see its own tests.
var unchanging = []string{"check", "client.leak", "client.trust.test"}

// send makes the call of an operation.
func (w *world) send(op admin.Operation, c changing, as string) answer {
	w.t.Helper()
	path := strings.TrimPrefix(op.Path, "/api/v1")
	for parameter, id := range c.ids {
		path = strings.ReplaceAll(path, parameter, id)
	}
	var headers []string
	if c.match != "" {
		headers = []string{"If-Match", w.revision(c.match)}
	}
	if as == "" && c.who.name != "" {
		return w.as(c.who.name, c.who.password, op.Method, path, c.body)
	}
	return w.call(as, op.Method, path, c.body, headers...)
}

// entries are all of the audit, those of refusals included.
func (w *world) entries() []*store.AuditEntry {
	w.t.Helper()
	if err := w.merger.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	all, err := w.state.Audit(w.t.Context(), store.AuditQuery{Limit: 5000})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// new are the entries that were not there before.
func (w *world) newEntries(before []*store.AuditEntry) []*store.AuditEntry {
	w.t.Helper()
	known := map[store.AuditID]bool{}
	for _, e := range before {
		known[e.ID] = true
	}
	return slices.DeleteFunc(w.entries(), func(e *store.AuditEntry) bool { return known[e.ID] })
}

// W17: every operation there is that changes something, done and refused: each
// leaves one entry, with who it was, by which credential, and from where.
func TestW17EveryOperationThatChangesIsInTheAudit(t *testing.T) {
	w := start(t)
	auditor := w.machine("default", "auditor")
	changes := w.changes()
	for _, op := range admin.Operations() {
		if op.Method == "GET" && op.Name != "backup" || slices.Contains(unchanging, op.Name) {
			continue
		}
		made, known := changes[op.Name]
		if !known {
			t.Errorf("%s: this test has no call of it; add one to changes", op.Name)
			continue
		}
		c := made()
		if !op.Public {
			w.refuses(op, c, auditor.secret)
		}
		as := w.root
		switch {
		case c.as != "":
			as = c.as
		case op.Public, c.who.name != "":
			as = ""
		}
		before := w.entries()
		if got := w.send(op, c, as); got.status >= 300 {
			t.Errorf("%s: got %d %s", op.Name, got.status, got.body)
		} else if fresh := w.newEntries(before); len(fresh) != 1 || fresh[0].Refused != "" || !w.actedBy(fresh[0], op.Name, as) {
			t.Errorf("%s: the new entries are %s, want one", op.Name, spelled(fresh))
		}
	}
}

// refuses checks that a change by somebody who may not is refused, and that the
// refusal is in the audit.
func (w *world) refuses(op admin.Operation, c changing, credential string) {
	w.t.Helper()
	if c.lesser != "" {
		credential = c.lesser
	}
	before := w.entries()
	got := w.send(op, c, credential)
	if c.hidden && got.status == http.StatusNotFound {
		return
	}
	if got.status != http.StatusForbidden {
		w.t.Errorf("%s by who may not: got %d %s, want 403", op.Name, got.status, got.body)
		return
	}
	if fresh := w.newEntries(before); len(fresh) != 1 || fresh[0].Refused == "" || fresh[0].Count != 1 || !w.actedBy(fresh[0], op.Name, credential) {
		w.t.Errorf("%s by who may not: the new entries are %s, want one of the refusal", op.Name, spelled(fresh))
	}
}

// actedBy reports whether an entry says who did what, and from where.
func (w *world) actedBy(e *store.AuditEntry, operation, credential string) bool {
	// What people do with their own tokens is what others do with them.
	if e.Operation != operation && "me."+e.Operation != operation || e.Account == "" || e.Actor == "" || e.Address != "192.0.2.7" || e.RequestID == "" {
		return false
	}
	if credential == "" { // by password, or by an invitation
		return e.Client == ""
	}
	id := strings.Split(credential, "_")[1] // pst_<client>_<digits>
	c, err := w.state.Client(w.t.Context(), store.ClientID(id))
	return err == nil && e.Client == c.ID && e.Account == c.Account
}

func spelled(entries []*store.AuditEntry) string {
	text, err := json.Marshal(entries)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// DP3: who holds somebody's token acts as them, and the audit shows by which
// token, and from where.
func TestDP3TheAuditShowsTheTokenAndTheAddress(t *testing.T) {
	w := start(t)
	m := w.machine("default", "admin")
	at := "/clients/" + w.machine("default").id
	w.later(time.Second)
	if got := w.call(m.secret, "PATCH", at, object{"name": "theirs"}); got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	// The same by an access token that the token endpoint made of it.
	w.later(time.Second)
	token := w.token(m.id, m.secret).text("access_token")
	if got := w.call(token, "PATCH", at, object{"name": "again"}); got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	found := w.want(http.StatusOK, "GET", "/audit?operation=client.edit&client="+m.id, nil)
	if len(found.list("items")) != 2 {
		t.Fatalf("got %s, want two entries by the token", found.body)
	}
	for i, renamed := range []string{"again", "theirs"} {
		item := fmt.Sprintf("items.%d.", i)
		for path, want := range map[string]string{"account": m.account, "client": m.id, "address": "192.0.2.7", "after.name": renamed, "target_name": renamed} {
			if got := found.text(item + path); got != want {
				t.Errorf("%s%s is %q, want %q", item, path, got, want)
			}
		}
	}
	if got := w.want(http.StatusOK, "GET", "/audit?operation=client.edit&account="+m.account, nil); got.body != found.body {
		t.Errorf("by the account: got %s, want the same as by the token", got.body)
	}
}

func TestAuditExportIsEverythingThatIsAskedForOldestFirst(t *testing.T) {
	w := start(t)
	w.workspace("acme")
	for range 600 { // more than one page of the store
		w.later(time.Millisecond)
		if err := w.state.Commit(t.Context(), store.Insert(&store.AuditEntry{
			ID: store.NewAuditID(), At: store.At(w.now()), Workspace: w.state.WorkspaceByName("acme").ID, Operation: "role.edit", Actor: "mia",
		})); err != nil {
			t.Fatal(err)
		}
	}
	got := w.want(http.StatusOK, "GET", "/audit/export?workspace=acme&operation=role.edit", nil)
	if got.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("it is %s", got.header.Get("Content-Type"))
	}
	lines := strings.Split(strings.TrimSuffix(got.body, "\n"), "\n")
	if len(lines) != 600 {
		t.Fatalf("%d lines, want 600", len(lines))
	}
	if !slices.IsSortedFunc(lines, func(a, b string) int {
		return strings.Compare(answer{body: a}.text("at"), answer{body: b}.text("at"))
	}) {
		t.Error("the lines are not by time")
	}
	// A line is what the list and the entry itself show.
	last := answer{body: lines[599]}
	listed := w.want(http.StatusOK, "GET", "/audit?workspace=acme&operation=role.edit&limit=1", nil)
	single := w.want(http.StatusOK, "GET", "/audit/"+last.text("id"), nil)
	for name, other := range map[string]any{"the list": listed.get("items.0"), "the entry": answerOf(single)} {
		if diff := cmp.Diff(answerOf(last), other); diff != "" {
			t.Errorf("%s says otherwise (-line +%s):\n%s", name, name, diff)
		}
	}
	if got := w.want(http.StatusOK, "GET", "/audit/export?operation=nothing", nil); got.body != "" || got.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("nothing: got %q as %s", got.body, got.header.Get("Content-Type"))
	}
	// Who owns one workspace gets nothing of another, nor of those of none.
	owner := w.machine("acme", "owner")
	if got := w.call(owner.secret, "GET", "/audit/export", nil); got.status != http.StatusOK || strings.Contains(got.body, `"workspace":"default"`) || strings.Count(got.body, "\n") < 600 {
		t.Errorf("an owner's: %d, %d lines", got.status, strings.Count(got.body, "\n"))
	}
	for _, workspace := range []string{"default", "*", "nowhere"} {
		for _, path := range []string{"/audit/export", "/audit", "/audit/verify"} {
			if got := w.call(owner.secret, "GET", path+"?workspace="+workspace, nil); got.status != http.StatusNotFound {
				t.Errorf("%s of %s by the owner of another: got %d, want 404", path, workspace, got.status)
			}
		}
	}
	if err := w.sealer.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.want(http.StatusOK, "GET", "/audit/verify?workspace=*", nil); got.get("whole") != true {
		t.Errorf("verify what belongs to no workspace: %s", got.body)
	}
}

func answerOf(a answer) any {
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		return err
	}
	return v
}
