package mongotest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/store/mongo/mongotest"
)

// within is how soon a change on one node must be in force on another.
const within = time.Second

// ofDatabase is the environment of processes that share an empty database.
func ofDatabase(t *testing.T) []string {
	t.Helper()
	uri, name := mongotest.Database(t)
	return []string{
		"POSTERN_STORE_MONGODB_URI=" + uri, "POSTERN_STORE_MONGODB_DATABASE=" + name, "POSTERN_STORE_DRIVER=mongodb",
		"POSTERN_KEYS_ENCRYPTION_KEY=" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))),
		"POSTERN_SERVER_PUBLIC_URL=http://127.0.0.1:1", "POSTERN_LIMITS_TOKEN_PER_CLIENT=0",
	}
}

// onMongo starts processes that share a database. The first one fills it.
func onMongo(t *testing.T, n int, more ...string) ([]*process, bootstrap, []string) {
	t.Helper()
	env := append(ofDatabase(t), more...)
	file := filepath.Join(t.TempDir(), "bootstrap.json")
	var nodes []*process
	for range n {
		nodes = append(nodes, serve(t, env, "--bootstrap-file", file))
	}
	return nodes, readBootstrap(t, file), env
}

// A revoke, a role change and a new client on one node are in force on the other
// within a second.
func TestTwoNodesAgreeWithinASecond(t *testing.T) {
	nodes, b, _ := onMongo(t, 2)
	here, there := nodes[0], nodes[1]
	admin, _ := here.token(t, b.Admin.ClientID, b.Admin.ClientSecret)

	// Each node signs, and each verifies what the other signed.
	for _, pair := range [][2]*process{{here, there}, {there, here}} {
		token, status := pair[0].token(t, b.Example.ClientID, b.Example.ClientSecret)
		if status != 200 || !pair[1].active(t, b, token) || pair[1].decision(t, token, "GET", "/orders/1") != 200 {
			t.Fatalf("a token of one node does not work on the other (issued with %d)", status)
		}
	}

	var slowest time.Duration
	agreed := func(what string, ok func() bool) {
		t.Helper()
		began := time.Now()
		for !ok() {
			if time.Since(began) > within {
				t.Errorf("%s: not in force on the other node after %s", what, within)
				return
			}
		}
		slowest = max(slowest, time.Since(began))
	}
	for i := range 10 {
		status, made := here.rest(t, admin, "POST", "/clients", map[string]any{"name": fmt.Sprint("robot ", i), "workspace": "default", "roles": []string{"example-reader"}})
		if status != 201 {
			t.Fatalf("create a client: %d %v", status, made)
		}
		id, secret := made["client_id"].(string), made["client_secret"].(string)
		var token string
		agreed("a new client", func() bool {
			var status int
			token, status = there.token(t, id, secret)
			return status == 200
		})
		if got := there.decision(t, token, "POST", "/orders"); got != 403 {
			t.Errorf("before the role changed: got %d", got)
		}
		client := made["client"].(map[string]any)
		account := client["account"].(map[string]any)["id"].(string)
		if status, answer := here.rest(t, admin, "PUT", "/grants/default/"+account, map[string]any{"roles": []any{map[string]any{"role": "example-writer"}}}); status != 200 {
			t.Fatalf("grant: %d %v", status, answer)
		}
		agreed("a grant", func() bool {
			token, _ = there.token(t, id, secret)
			return there.decision(t, token, "POST", "/orders") == 200
		})
		if status, answer := here.rest(t, admin, "POST", "/clients/"+id+"/revoke", map[string]any{}); status != 200 {
			t.Fatalf("revoke: %d %v", status, answer)
		}
		agreed("a revoke, for decisions", func() bool { return there.decision(t, token, "POST", "/orders") == 401 })
		agreed("a revoke, for introspection", func() bool { return !there.active(t, b, token) })
		agreed("a revoke, at the token endpoint", func() bool { _, status := there.token(t, id, secret); return status == 401 })
		// Q5: once it is refused it stays so, on both.
		for range 20 {
			if here.decision(t, token, "POST", "/orders") != 401 || there.decision(t, token, "POST", "/orders") != 401 {
				t.Error("a revoked token worked again")
			}
		}
	}
	t.Logf("the slowest of 50 changes was in force on the other node after %d ms", slowest.Milliseconds())
}

// DG6 and P02: a person who is deactivated on one node is stopped on the other.
func TestDG6DeactivatedOnOneNodeMeansStoppedOnTheOther(t *testing.T) {
	nodes, b, _ := onMongo(t, 2)
	here, there := nodes[0], nodes[1]
	admin, _ := here.token(t, b.Admin.ClientID, b.Admin.ClientSecret)
	want := func(status, wanted int, answer map[string]any) map[string]any {
		t.Helper()
		if status != wanted {
			t.Fatalf("got %d %v, want %d", status, answer, wanted)
		}
		return answer
	}
	const password = "correct horse battery"
	status, answer := here.rest(t, admin, "POST", "/accounts", map[string]any{
		"name": "ann", "workspace": "default", "roles": []any{map[string]any{"role": "admin"}, map[string]any{"role": "example-writer"}},
	})
	token := want(status, 201, answer)["token"]
	status, answer = there.rest(t, "", "POST", "/invitations/accept", map[string]any{"token": token, "password": password})
	want(status, 200, answer)
	status, body := call(t, "POST", here.url+"/api/v1/me/clients", "ann", password, http.Header{"Content-Type": {"application/json"}}, strings.NewReader(`{"name":"laptop"}`))
	var made struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(body, &made); err != nil || status != 201 {
		t.Fatalf("a personal token: got %d %s", status, body)
	}
	if got := there.decision(t, made.Secret, "POST", "/orders"); got != 200 {
		t.Fatalf("the token on the other node: got %d, want 200", got)
	}
	status, answer = here.rest(t, admin, "POST", "/accounts/ann/deactivate", nil)
	want(status, 200, answer)
	for began := time.Now(); there.decision(t, made.Secret, "POST", "/orders") != 401; {
		if time.Since(began) > within {
			t.Fatalf("not stopped on the other node after %s", within)
		}
	}
	if status, _ = there.rest(t, made.Secret, "GET", "/me", nil); status != 401 {
		t.Errorf("Postern's own API: got %d, want 401", status)
	}
	if status, _ = call(t, "GET", there.url+"/api/v1/me", "ann", password, nil, nil); status != 401 {
		t.Errorf("a sign-in: got %d, want 401", status)
	}
}

// Of several first starts at once one fills the store.
func TestW16OneFirstStartWins(t *testing.T) {
	_, b, env := onMongo(t, 1)
	file := filepath.Join(t.TempDir(), "second.json")
	again := serve(t, env, "--bootstrap-file", file)
	if _, status := again.token(t, b.Admin.ClientID, b.Admin.ClientSecret); status != 200 {
		t.Errorf("the second process does not know the first one's administrator: %d", status)
	}
	if matches, _ := filepath.Glob(file + "*"); len(matches) != 0 {
		t.Errorf("the second start wrote %v", matches)
	}
}

// killed kills a process under 16 writers, starts it again, and looks for every
// client and every revoke that was acknowledged.
func killed(t *testing.T, start func() *process, b bootstrap) {
	t.Helper()
	const writers = 16
	p := start()
	type acknowledged struct {
		id, secret string
		revoked    bool
	}
	var kept sync.Map // id → acknowledged
	for round := range 3 {
		admin, status := p.token(t, b.Admin.ClientID, b.Admin.ClientSecret)
		if status != 200 {
			t.Fatalf("round %d: token: %d", round, status)
		}
		var all sync.WaitGroup
		enough := make(chan struct{}, writers*1000)
		for w := range writers {
			all.Go(func() {
				for i := 0; ; i++ {
					status, made := p.rest(t, admin, "POST", "/clients", map[string]any{"name": fmt.Sprintf("r%d w%d c%d", round, w, i), "workspace": "default", "roles": []string{"example-reader"}})
					if status == 0 {
						return // killed
					}
					if status != 201 {
						continue
					}
					a := acknowledged{id: made["client_id"].(string), secret: made["client_secret"].(string)}
					kept.Store(a.id, a)
					if i%3 == 0 {
						if status, _ := p.rest(t, admin, "POST", "/clients/"+a.id+"/revoke", map[string]any{}); status == 200 {
							a.revoked = true
							kept.Store(a.id, a)
						} else if status == 0 {
							kept.Delete(a.id) // revoked or not: nobody was told
							return
						}
					}
					enough <- struct{}{}
				}
			})
		}
		for range 100 * (round + 1) {
			<-enough
		}
		p.kill()
		all.Wait()
		p = start()
	}
	n, lost := 0, 0
	kept.Range(func(_, v any) bool {
		a := v.(acknowledged)
		want := 200
		if a.revoked {
			want = 401
		}
		if _, status := p.token(t, a.id, a.secret); status != want {
			lost++
			t.Errorf("client %s, revoked %t, gets %d after the kills; want %d", a.id, a.revoked, status, want)
		}
		n++
		return true
	})
	t.Logf("%d clients with acknowledged changes looked at after three kills under %d writers: %d lost", n, writers, lost)
	// And every change has its audit entry: nothing is half done.
	admin, _ := p.token(t, b.Admin.ClientID, b.Admin.ClientSecret)
	if status, report := p.rest(t, admin, "GET", "/audit/verify?workspace=default", nil); status != 200 {
		t.Errorf("audit verify: %d %v", status, report)
	}
}

func TestKilledUnderWritersMongoDB(t *testing.T) {
	nodes, b, env := onMongo(t, 1)
	first := nodes[0]
	killed(t, func() *process {
		if p := first; p != nil {
			first = nil
			return p
		}
		return serve(t, env)
	}, b)
}

func TestKilledUnderWritersSQLite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "bootstrap.json")
	env := []string{"POSTERN_SERVER_PUBLIC_URL=http://127.0.0.1:1", "POSTERN_LIMITS_TOKEN_PER_CLIENT=0", "POSTERN_LIMITS_FAILURES_PER_CLIENT_ADDRESS=0", "POSTERN_LIMITS_FAILURES_PER_ADDRESS=0"}
	start := func() *process { return serve(t, env, "--data", dir, "--bootstrap-file", file) }
	p := start()
	b := readBootstrap(t, file)
	p.kill()
	killed(t, start, b)
}
