package mongotest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// hooked is what a receiver of webhooks got.
type hooked struct {
	id, client string
	again      bool // with an id that came before
}

// receiver takes webhooks by HTTPS. It answers the first call with 503, others with
// 204, and checks the signatures of all by a key that it is given later.
func receiver(t *testing.T) (server *httptest.Server, env []string, key chan<- string, calls <-chan hooked) {
	t.Helper()
	keys, came := make(chan string, 1), make(chan hooked, 100)
	var mu sync.Mutex
	var signing []byte
	seen := map[string]bool{}
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if signing == nil {
			var err error
			if signing, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(<-keys, "whsec_")); err != nil {
				t.Error(err)
			}
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		id := r.Header.Get("webhook-id")
		mac := hmac.New(sha256.New, signing)
		mac.Write([]byte(id + "." + r.Header.Get("webhook-timestamp") + "." + string(body)))
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
			t.Errorf("%s is signed %q, want %q", id, r.Header.Get("webhook-signature"), want)
		}
		var event struct {
			Data struct{ Client struct{ ID string } }
		}
		if err := json.Unmarshal(body, &event); err != nil {
			t.Errorf("%v: %s", err, body)
		}
		status := http.StatusNoContent
		if len(seen) == 0 {
			status = http.StatusServiceUnavailable
		}
		w.WriteHeader(status)
		came <- hooked{id, event.Data.Client.ID, seen[id]}
		seen[id] = true
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "roots.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return server, []string{"SSL_CERT_FILE=" + file, "POSTERN_OUTBOUND_ALLOW=127.0.0.1/32"}, keys, came
}

// Two nodes share an outbox: whichever node a change was made on, its event is
// delivered, once, and again where the receiver could not take it.
func TestWebhooksOfTwoNodesAreDeliveredOnce(t *testing.T) {
	server, env, key, calls := receiver(t)
	nodes, b, _ := onMongo(t, 2, env...)
	admin, _ := nodes[0].token(t, b.Admin.ClientID, b.Admin.ClientSecret)
	do := func(node *process, want int, method, path string, body any) map[string]any {
		t.Helper()
		status, answer := node.rest(t, admin, method, path, body)
		if status != want {
			t.Fatalf("%s %s: %d %v, want %d", method, path, status, answer, want)
		}
		return answer
	}
	made := do(nodes[0], 201, "POST", "/webhooks", map[string]any{"workspace": "default", "url": server.URL, "events": []string{"client.revoked"}})
	key <- made["signing_secret"].(string)
	hook := made["webhook"].(map[string]any)["id"].(string)
	for began := time.Now(); ; { // the other node must know of it before it revokes
		if status, _ := nodes[1].rest(t, admin, "GET", "/webhooks/"+hook, nil); status == 200 {
			break
		}
		if time.Since(began) > within {
			t.Fatalf("the other node knows nothing of the webhook after %s", within)
		}
	}

	const events = 10
	revoked := map[string]int{} // by client: how often its event came
	for i := range events {
		client := do(nodes[0], 201, "POST", "/clients", map[string]any{"name": "x", "workspace": "default"})["client_id"].(string)
		do(nodes[i%2], 200, "POST", "/clients/"+client+"/revoke", map[string]any{})
		revoked[client] = 0
	}
	for range events + 1 { // one was refused and comes again
		select {
		case h := <-calls:
			if n, known := revoked[h.client]; !known || n > 0 != h.again {
				t.Errorf("delivery %s tells of %s, which came %d times before", h.id, h.client, n)
			}
			revoked[h.client]++
		case <-time.After(30 * time.Second):
			t.Fatalf("these came: %v; and no more", revoked)
		}
	}
	twice := 0
	for client, n := range revoked {
		if n == 2 {
			twice++
		} else if n != 1 {
			t.Errorf("the event of %s came %d times", client, n)
		}
	}
	if twice != 1 {
		t.Errorf("%d events came twice, want the one that was refused", twice)
	}

	// The log of it is there on both nodes, and nothing waits.
	for i, node := range nodes {
		for began := time.Now(); ; {
			done := do(node, 200, "GET", "/webhooks/"+hook+"/deliveries?status=done", nil)["items"].([]any)
			if len(done) == events {
				break
			}
			if time.Since(began) > 10*time.Second { // after the answer to the last call
				t.Fatalf("node %d: %d deliveries are done, want %d", i, len(done), events)
			}
		}
		if waiting := do(node, 200, "GET", "/webhooks/"+hook+"/deliveries?status=waiting", nil)["items"].([]any); len(waiting) > 0 {
			t.Errorf("node %d: %v wait", i, waiting)
		}
	}
	select {
	case h := <-calls:
		t.Errorf("delivery %s came once more", h.id)
	default:
	}
}
