package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/server"
	"postern/store"
)

// received is a call of a webhook.
type received struct {
	header http.Header
	body   string
}

// receiver is an HTTPS server on loopback that takes webhooks, and the option
// that lets a server reach it.
func receiver(t *testing.T, status func(call int) int) (url string, calls <-chan received, reach func(*server.Options)) {
	t.Helper()
	came := make(chan received, 100)
	n := 0
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("a call of %s %q: %v", r.Method, r.Header.Get("Content-Type"), err)
		}
		w.WriteHeader(status(n))
		n++
		came <- received{r.Header, string(body)}
	}))
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s.URL + "/hook", came, func(o *server.Options) {
		o.OutboundAllow, o.OutboundRoots = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, pool
	}
}

// verified checks a call as the documentation of Standard Webhooks says, and
// returns its body.
func verified(t *testing.T, key string, r received) map[string]any {
	t.Helper()
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, "whsec_"))
	if err != nil || !strings.HasPrefix(key, "whsec_") {
		t.Fatalf("the signing secret is %v", err)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(r.header.Get("webhook-id") + "." + r.header.Get("webhook-timestamp") + "." + r.body))
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if got := r.header.Get("webhook-signature"); got != want {
		t.Errorf("webhook-signature is %q, want %q", got, want)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(r.body), &body); err != nil {
		t.Fatal(err)
	}
	return body
}

func next(t *testing.T, calls <-chan received) received {
	t.Helper()
	select {
	case r := <-calls:
		return r
	case <-time.After(30 * time.Second):
		t.Fatal("no call came")
		return received{}
	}
}

// delivered waits until a delivery has ended, and returns it.
func (n *node) delivered(t *testing.T, id string) *store.Delivery {
	t.Helper()
	for {
		r, err := n.store.Get(t.Context(), store.KindDelivery, id)
		if err != nil {
			t.Fatal(err)
		}
		if d := r.(*store.Delivery); d.Status != store.DeliveryWaiting {
			return d
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestWebhookIsToldOfARevokedClient(t *testing.T) {
	url, calls, reach := receiver(t, func(int) int { return http.StatusNoContent })
	n := start(t, reach)
	made := n.want(t, 201, "POST", "/webhooks", map[string]any{"workspace": "default", "url": url}).json(t)
	key := made["signing_secret"].(string)
	hook := made["webhook"].(map[string]any)["id"].(string)

	client := string(n.Example.Client.ID)
	n.want(t, 200, "POST", "/clients/"+client+"/revoke", map[string]any{"reason": "no longer used"})
	call := next(t, calls)
	body := verified(t, key, call)
	data := body["data"].(map[string]any)
	about := data["client"].(map[string]any)
	if body["type"] != "client.revoked" || body["workspace"].(map[string]any)["name"] != "default" || about["id"] != client || about["name"] != "Example client" || data["reason"] != "no longer used" || data["actor"] != "admin" {
		t.Errorf("the body is %s", call.body)
	}
	if call.header.Get("User-Agent") != "Postern/test" || call.header.Get("Authorization") != "" {
		t.Errorf("headers are %v", call.header)
	}
	got := n.delivered(t, call.header.Get("webhook-id"))
	if got.Status != store.DeliveryDone || got.LastStatus != 204 || got.Tries != 1 || string(got.Webhook) != hook || got.ExpiresAt == 0 {
		t.Errorf("the delivery is %+v", got)
	}
	// A new key signs beside the old one.
	again := n.want(t, 201, "POST", "/webhooks/"+hook+"/secret", nil).json(t)["signing_secret"].(string)
	n.want(t, 201, "POST", "/webhooks/"+hook+"/test", nil)
	call = next(t, calls)
	signatures := strings.Fields(call.header.Get("webhook-signature"))
	if len(signatures) != 2 {
		t.Fatalf("%d signatures after a rotation, want 2", len(signatures))
	}
	for i, k := range []string{again, key} {
		call.header.Set("webhook-signature", signatures[i])
		if body := verified(t, k, call); body["type"] != "webhook.test" {
			t.Errorf("the body is %s", call.body)
		}
	}
	if metrics := n.getOps(t, "/metrics").body; !strings.Contains(metrics, `postern_deliveries_total{kind="webhook",outcome="done"} `) {
		t.Error("the metrics do not count deliveries")
	}
	n.stop()
	for _, k := range []string{key, again} {
		if strings.Contains(n.log.String(), k) {
			t.Error("the log holds a signing secret")
		}
	}
}

func TestWebhookReachesNoPrivateAddress(t *testing.T) {
	url, calls, _ := receiver(t, func(int) int { return http.StatusOK })
	n := start(t)
	hook := n.want(t, 201, "POST", "/webhooks", map[string]any{"workspace": "default", "url": url}).json(t)["webhook"].(map[string]any)["id"].(string)
	id := n.want(t, 201, "POST", "/webhooks/"+hook+"/test", nil).json(t)["id"].(string)
	d := n.tried(t, id, 1)
	if d.LastStatus != 0 || !strings.Contains(d.LastError, "not a public one") || len(calls) != 0 {
		t.Errorf("the delivery is %+v, after %d calls", d, len(calls))
	}
}

// tried waits until a delivery was tried so often, and returns it.
func (n *node) tried(t *testing.T, id string, tries int64) *store.Delivery {
	t.Helper()
	for {
		r, err := n.store.Get(t.Context(), store.KindDelivery, id)
		if err != nil {
			t.Fatal(err)
		}
		if d := r.(*store.Delivery); d.Tries >= tries {
			return d
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestWebhookThatIsGoneIsDisabled(t *testing.T) {
	url, calls, reach := receiver(t, func(int) int { return http.StatusGone })
	n := start(t, reach)
	hook := n.want(t, 201, "POST", "/webhooks", map[string]any{"url": url}).json(t)["webhook"].(map[string]any)["id"].(string)
	id := n.want(t, 201, "POST", "/webhooks/"+hook+"/test", nil).json(t)["id"].(string)
	next(t, calls)
	if d := n.delivered(t, id); d.Status != store.DeliveryFailed || d.LastStatus != 410 || d.Tries != 1 {
		t.Errorf("the delivery is %+v", d)
	}
	if w := n.want(t, 200, "GET", "/webhooks/"+hook, nil).json(t); w["disabled"] != true {
		t.Errorf("the webhook is %v", w)
	}
	if a := n.want(t, 200, "GET", "/audit?target="+hook+"&operation=webhook.edit", nil).json(t); len(a["items"].([]any)) != 1 {
		t.Errorf("the audit of it: %v", a)
	}
}

// A receiver that fails gets the same event again, by the same id.
func TestWebhookIsRepeated(t *testing.T) {
	url, calls, reach := receiver(t, func(call int) int { return []int{500, 302, 200, 200}[min(call, 3)] })
	n := start(t, reach)
	hook := n.want(t, 201, "POST", "/webhooks", map[string]any{"workspace": "default", "url": url}).json(t)["webhook"].(map[string]any)["id"].(string)
	id := n.want(t, 201, "POST", "/webhooks/"+hook+"/test", nil).json(t)["id"].(string)
	for try := range 3 {
		call := next(t, calls)
		if got := call.header.Get("webhook-id"); got != id {
			t.Errorf("try %d has id %q, want %q", try+1, got, id)
		}
		n.tried(t, id, int64(try+1))
		n.clock.advance(time.Hour) // more than the wait
	}
	if d := n.delivered(t, id); d.Status != store.DeliveryDone || d.Tries != 3 {
		t.Errorf("the delivery is %+v", d)
	}
	n.want(t, 200, "POST", "/webhooks/"+hook+"/deliveries/"+id+"/retry", nil)
	if got := next(t, calls).header.Get("webhook-id"); got != id {
		t.Errorf("a retry by hand has id %q, want %q", got, id)
	}
}

func TestRemindersReachAWebhookOnce(t *testing.T) {
	url, calls, reach := receiver(t, func(int) int { return http.StatusOK })
	n := start(t, reach)
	key := n.want(t, 201, "POST", "/webhooks", map[string]any{"workspace": "default", "url": url}).json(t)["signing_secret"].(string)
	client := n.want(t, 201, "POST", "/clients", map[string]any{"workspace": "default", "name": "soon", "expires_in": "30d"}).json(t)["client_id"].(string)
	n.want(t, 201, "POST", "/clients", map[string]any{"workspace": "default", "name": "later", "expires_in": "90d"})
	for _, wait := range []struct{ pass, left float64 }{{16, 14}, {7, 7}, {6, 1}} {
		n.clock.advance(time.Duration(wait.pass*24)*time.Hour + time.Minute)
		for range 2 {
			if err := n.server.Remind(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		body := verified(t, key, next(t, calls))
		data := body["data"].(map[string]any)
		if body["type"] != "client.expiring" || data["days"] != wait.left || data["client"].(map[string]any)["id"] != client {
			t.Errorf("%v days before: %v", wait.left, body)
		}
	}
	if len(calls) != 0 {
		t.Errorf("%d calls too many", len(calls))
	}
	metrics := n.getOps(t, "/metrics").body
	if !strings.Contains(metrics, "\npostern_clients_expiring 1\n") || strings.Contains(metrics, "\npostern_next_client_expiry_seconds -1") {
		t.Error("the metrics do not show what expires")
	}
}
