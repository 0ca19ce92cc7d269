package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/server"
	"postern/server/limit"
	"postern/server/secret"
	"postern/store"
	"postern/store/mongo"
	"postern/store/mongo/mongotest"
)

// BenchmarkRatios compares our endpoints with bare net/http handlers that do the
// least that could be called the same, over loopback HTTP/1.1 with 32
// connections, in one interleaved run. The store holds what scale says.
func BenchmarkRatios(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { startB(b, nil).ratios(b) })
	b.Run("mongodb", func(b *testing.B) {
		// Of one node: what three of them use of this machine is not what is asked.
		set, err := mongotest.Start(b.Context(), mongotest.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(set.Stop)
		backend, err := mongo.Open(b.Context(), mongo.Options{URI: set.URI, Database: "postern"})
		if err != nil {
			b.Fatal(err)
		}
		startB(b, backend).ratios(b)
	})
}

// scale is how much is in the store: by default a hundredth of what `make bench`
// asks for.
func scale() (roles, accounts int) {
	if os.Getenv("POSTERN_BENCH") == "full" {
		return 10_000, 500_000
	}
	return 100, 5_000
}

func unlimited(o *server.Options) {
	o.TokenRate, o.IntrospectRate = limit.Rate{}, limit.Rate{}
	o.FailuresPerAddress, o.FailuresPerClientAddress = limit.Rate{}, limit.Rate{}
}

func startB(b *testing.B, backend store.Store) *node {
	b.Helper()
	n := startNode(b, b.TempDir(), unlimited, func(o *server.Options) {
		o.GatewayGRPCListen = "127.0.0.1:0"
		if backend != nil {
			_ = o.Store.Close()
			o.Store = backend
		}
	})
	roles, accounts := scale()
	n.fill(b, roles, accounts)
	return n
}

const (
	rulesPerRole      = 10
	rolesPerWorkspace = 10
	callers           = 256
)

// fill writes roles of ten rules, ten to a workspace, and accounts with two
// grants each; the first of them have clients, which are added to n.callers.
func (n *node) fill(tb testing.TB, roles, accounts int) {
	tb.Helper()
	began := time.Now()
	w := newBulk(tb, n.store)
	spaces, ids := n.fillRoles(w, roles)
	licence := n.Example.Account.Licence
	for i, id := range accountIDs(accounts) {
		a := &store.Account{ID: id, Generation: 1, AccountKind: store.AccountService, Name: fmt.Sprintf("a%07d", i), Status: store.AccountActive, Licence: licence, CreatedAt: 1}
		w.add(a)
		if i < callers {
			c := &store.Client{ID: store.NewClientID(), Generation: 1, ClientKind: store.ClientService, Name: a.Name, Account: a.ID, Workspace: spaces[0], Status: store.ClientActive, DefaultAPI: n.API.ID, CreatedAt: 1}
			text := secret.New(c.ID)
			c.Secrets = []store.ClientSecret{{ID: store.NewSecretID(), Hash: text.Hash(), Generation: 1, CreatedAt: 1}}
			w.add(c)
			n.callers = append(n.callers, as{string(c.ID), text.Reveal()})
		}
		for k, at := range []int{0, i % len(spaces)} {
			if k == 1 && at == 0 {
				at = len(spaces) - 1
			}
			if at == 0 && k == 1 {
				continue // there is one workspace only
			}
			w.add(&store.Grant{ID: store.NewGrantID(store.HolderID(a.ID), spaces[at]), Holder: store.HolderID(a.ID), Workspace: spaces[at], Roles: []store.GrantedRole{{Role: ids[at][i%len(ids[at])]}, {Role: ids[at][(i+1)%len(ids[at])]}}, CreatedAt: 1})
		}
	}
	w.end()
	written := time.Since(began)
	// The feed may be minutes behind what was written past the node: then its own
	// changes are saved, but not yet in force.
	for n.rest(tb, http.MethodPost, "/clients", map[string]any{"name": "settle", "workspace": "default"}).status != http.StatusCreated {
		if time.Since(began) > 10*time.Minute {
			tb.Fatal("the node does not catch up")
		}
	}
	tb.Logf("%d rules, %d accounts, %d grants written in %s, and known to the node in %s",
		roles*rulesPerRole, accounts, accounts*2, written.Round(time.Second), time.Since(began).Round(time.Second))
}

// fillRoles returns the workspaces, the example's first, and the roles of each.
func (n *node) fillRoles(w *bulk, roles int) (spaces []store.WorkspaceID, ids [][]store.RoleID) {
	name := "default"
	for i := range roles {
		switch {
		case i == 0:
			spaces, ids = append(spaces, n.API.Workspace), append(ids, nil)
		case i%rolesPerWorkspace == 0:
			name = "w" + strconv.Itoa(len(spaces))
			space := &store.Workspace{ID: store.NewWorkspaceID(), Generation: 1, Name: name, APIAccess: true, CreatedAt: 1}
			spaces, ids = append(spaces, space.ID), append(ids, nil)
			w.add(space)
		}
		at := len(spaces) - 1
		r := &store.Role{ID: store.NewRoleID(), Workspace: spaces[at], Ref: fmt.Sprintf("%s/r%d", name, i), LastNumber: rulesPerRole, CreatedAt: 1}
		for k := range rulesPerRole {
			r.Rules = append(r.Rules, store.Rule{Number: k + 1, API: "example", Methods: "GET", Path: fmt.Sprintf("/t%d/things/{id}/part%d", i%rolesPerWorkspace, k)})
		}
		ids[at] = append(ids[at], r.ID)
		w.add(r)
	}
	return spaces, ids
}

// accountIDs are in order: SQLite writes what comes in order much faster.
func accountIDs(n int) []store.AccountID {
	ids := make([]store.AccountID, n)
	for i := range ids {
		ids[i] = store.NewAccountID(store.AccountService)
	}
	slices.Sort(ids)
	return ids
}

// bulk inserts many records, each commit of one kind, which is one command for
// MongoDB, and a few at a time: while one waits for the majority or the disk,
// others are on their way.
type bulk struct {
	tb      testing.TB
	waiting map[store.Kind][]store.Write
	batches chan []store.Write
	all     sync.WaitGroup
}

func newBulk(tb testing.TB, s store.Store) *bulk {
	w := &bulk{tb: tb, waiting: map[store.Kind][]store.Write{}, batches: make(chan []store.Write)}
	for range 4 {
		w.all.Go(func() {
			for batch := range w.batches {
				err := s.Commit(tb.Context(), batch...)
				for try := 1; errors.Is(err, store.ErrUnavailable) && try < 10; try++ { // MongoDB may slow down who writes much
					if err = s.Commit(tb.Context(), batch...); errors.Is(err, store.ErrExists) {
						err = nil // the answer was lost, not the commit
					}
				}
				if err != nil {
					tb.Error(err)
				}
			}
		})
	}
	return w
}

func (w *bulk) add(r store.Record) {
	batch := append(w.waiting[r.Kind()], store.Insert(r))
	if len(batch) == 500 {
		w.batches <- batch
		batch = nil
	}
	w.waiting[r.Kind()] = batch
}

// end returns when everything is committed.
func (w *bulk) end() {
	w.tb.Helper()
	for _, batch := range w.waiting {
		w.batches <- batch // an empty commit does nothing
	}
	close(w.batches)
	w.all.Wait()
	if w.tb.Failed() {
		w.tb.FailNow()
	}
}

func (n *node) ratios(b *testing.B) {
	b.Run("memory", func(b *testing.B) {
		for b.Loop() {
			debug.FreeOSMemory()
		}
		b.ReportMetric(resident(b), "MB-resident") // the node, and the load on it
	})
	public, decide := strings.TrimPrefix(n.url, "http://"), strings.TrimPrefix(n.decide, "http://")

	var token shot
	token.addr, token.want = public, 200
	for _, c := range n.callers {
		token.requests = append(token.requests, post("/oauth2/token", c.basic(), wantToken))
	}
	ratio(b, "token ES256", token, bareToken(n.callers, n.API.Audience))

	for _, format := range []string{"opaque", "jwt"} {
		n.setFormat(b, format)
		tokens := make([]string, len(n.callers))
		answers := map[string]bareActive{}
		s := shot{addr: public, want: 200}
		decision := shot{addr: decide, want: 200}
		for i, c := range n.callers {
			tokens[i] = n.issue(b, c)
			answers[tokens[i]] = bareActive{Active: true, TokenType: "Bearer", ClientID: c.id, Sub: c.id, Username: "a", Iss: issuer, Aud: n.API.Audience, Exp: 1, Iat: 1, Jti: c.id, Workspace: string(n.API.Workspace)}
			s.requests = append(s.requests, post("/oauth2/introspect", by(n.Gateway).basic(), "token="+url.QueryEscape(tokens[i])))
			decision.requests = append(decision.requests, decideRequest(tokens[i], i))
		}
		ratio(b, "introspect "+format, s, bareIntrospect(by(n.Gateway), answers))
		ratio(b, "decide "+format+" seen before", decision, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	}
	n.bindings(b)
	b.Run("decide jwt first seen", func(b *testing.B) {
		for b.Loop() {
			n.firstSeen(b, decide)
		}
	})
}

// firstSeen is a decision about tokens that this node has not verified before:
// one signature check more. Each is sent once.
func (n *node) firstSeen(b *testing.B, decide string) {
	const most = 20_000
	b.Helper()
	s := shot{addr: decide, want: 200}
	for i := range most {
		s.requests = append(s.requests, decideRequest(n.issue(b, n.callers[i%len(n.callers)]), i%len(n.callers)))
	}
	each := s
	began := time.Now()
	done := make(chan int64, connections)
	for worker := range connections {
		go func() {
			part := each
			part.requests = nil
			for i := worker; i < most; i += connections {
				part.requests = append(part.requests, s.requests[i])
			}
			n, _ := part.once()
			done <- n
		}()
	}
	var answered int64
	for range connections {
		answered += <-done
	}
	if answered != most {
		b.Fatalf("first-seen tokens: %d of %d answered", answered, most)
	}
	b.ReportMetric(most/time.Since(began).Seconds(), "decisions/s")
}

// resident is the memory that this process has, in MB.
func resident(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/statm") // in pages, the second figure resident
	if err != nil {
		b.Fatal(err)
	}
	var size, pages float64
	if _, err := fmt.Sscan(string(status), &size, &pages); err != nil {
		b.Fatal(err)
	}
	return pages * float64(os.Getpagesize()) / 1e6
}

func decideRequest(token string, i int) []byte {
	return fmt.Appendf(nil, "GET /decide/nginx/example HTTP/1.1\r\nHost: bench\r\nX-Original-Method: GET\r\nX-Original-URI: %s\r\nAuthorization: Bearer %s\r\n\r\n", decideTarget(i), token)
}

func decideTarget(i int) string {
	return fmt.Sprintf("/t%d/things/4711/part3?x=y", i%rolesPerWorkspace)
}

func (a as) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.id+":"+a.secret))
}

// bareToken parses the form, compares one SHA-256 and signs the same claims.
func bareToken(clients []as, audience string) http.Handler {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	hashes := map[string][32]byte{}
	for _, c := range clients {
		hashes[c.id] = sha256.Sum256([]byte(c.secret))
	}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"access-es256-1","typ":"at+jwt"}`))
	type claims struct {
		Iss       string   `json:"iss"`
		Sub       string   `json:"sub"`
		ClientID  string   `json:"client_id"`
		Aud       string   `json:"aud"`
		Exp       int64    `json:"exp"`
		Iat       int64    `json:"iat"`
		Jti       string   `json:"jti"`
		Workspace string   `json:"workspace"`
		Gen       string   `json:"gen"`
		Sid       string   `json:"sid"`
		Roles     []string `json:"roles"`
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, text, _ := r.BasicAuth()
		sum, want := sha256.Sum256([]byte(text)), hashes[id]
		if r.ParseForm() != nil || r.PostForm.Get("grant_type") != "client_credentials" || subtle.ConstantTimeCompare(sum[:], want[:]) != 1 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		now := time.Now().Unix()
		var jti [16]byte
		_, _ = rand.Read(jti[:])
		body, _ := json.Marshal(claims{issuer, "svc000000000000000000000000", id, audience, now + 3600, now, hex.EncodeToString(jti[:]), "wsp000000000000000000000000", "1.1.1.1.1", "sec000000000000000000000000", []string{"default/r1", "default/r2"}})
		signed := header + "." + base64.RawURLEncoding.EncodeToString(body)
		digest := sha256.Sum256([]byte(signed))
		x, y, _ := ecdsa.Sign(rand.Reader, key, digest[:])
		var signature [64]byte
		x.FillBytes(signature[:32])
		y.FillBytes(signature[32:])
		answer, _ := json.Marshal(map[string]any{"access_token": signed + "." + base64.RawURLEncoding.EncodeToString(signature[:]), "token_type": "Bearer", "expires_in": 3600})
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(answer)
	})
}

type bareActive struct {
	Active    bool   `json:"active"`
	TokenType string `json:"token_type"`
	ClientID  string `json:"client_id"`
	Sub       string `json:"sub"`
	Username  string `json:"username"`
	Iss       string `json:"iss"`
	Aud       string `json:"aud"`
	Exp       int64  `json:"exp"`
	Iat       int64  `json:"iat"`
	Jti       string `json:"jti"`
	Workspace string `json:"workspace"`
}

// bareIntrospect parses the form, compares one SHA-256 (RFC 7662 section 2.1
// wants the caller authenticated) and looks the token up in a map.
func bareIntrospect(caller as, known map[string]bareActive) http.Handler {
	want := sha256.Sum256([]byte(caller.secret))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, text, _ := r.BasicAuth()
		sum := sha256.Sum256([]byte(text))
		if r.ParseForm() != nil || subtle.ConstantTimeCompare(sum[:], want[:]) != 1 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer, _ := json.Marshal(known[r.PostForm.Get("token")])
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(answer)
	})
}
