package notify_test

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/server/keys"
	"postern/server/notify"
	"postern/server/outbound"
	"postern/store"
	"postern/store/sqlite"
)

// world is a store with what a deliverer needs besides.
type world struct {
	t       *testing.T
	store   *breakable
	kek     *keys.KEK
	ahead   atomic.Int64
	roots   *x509.CertPool
	ended   chan string // outcomes
	goneHok []store.WebhookID
}

// breakable is a store whose commits can be made to fail.
type breakable struct {
	store.Store
	mu   sync.Mutex
	fail func(writes []store.Write) error
}

func (b *breakable) Commit(ctx context.Context, writes ...store.Write) error {
	b.mu.Lock()
	fail := b.fail
	b.mu.Unlock()
	if fail != nil {
		if err := fail(writes); err != nil {
			return err
		}
	}
	return b.Store.Commit(ctx, writes...)
}

func (b *breakable) failing(fail func([]store.Write) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = fail
}

func newWorld(t *testing.T) *world {
	t.Helper()
	backend, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	kek, err := keys.ParseKEKs(keys.GenerateKEK())
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, store: &breakable{Store: backend}, kek: kek, roots: x509.NewCertPool(), ended: make(chan string, 1000)}
}

func (w *world) now() time.Time          { return time.Now().Add(time.Duration(w.ahead.Load())) }
func (w *world) advance(d time.Duration) { w.ahead.Add(int64(d)) }

// receiver is an HTTPS server.
func (w *world) receiver(h http.HandlerFunc) string {
	w.t.Helper()
	s := httptest.NewTLSServer(h)
	w.t.Cleanup(s.Close)
	w.roots.AddCert(s.Certificate())
	return s.URL
}

// deliverer makes one; run runs it until the test ends or stop is called.
func (w *world) deliverer(edit ...func(*notify.Options)) *notify.Deliverer {
	o := notify.Options{
		Store: w.store, KEK: w.kek, Node: "test", Every: 20 * time.Millisecond, Now: w.now, Random: func() float64 { return 0.5 },
		Client:  outbound.New(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Roots: w.roots}),
		Observe: func(kind, outcome string) { w.ended <- kind + " " + outcome },
		Gone: func(_ context.Context, h *store.Webhook) error {
			w.goneHok = append(w.goneHok, h.ID)
			return nil
		},
	}
	for _, e := range edit {
		e(&o)
	}
	return notify.New(o)
}

func (w *world) run(d *notify.Deliverer) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

func (w *world) commit(writes ...store.Write) {
	w.t.Helper()
	if err := w.store.Commit(w.t.Context(), writes...); err != nil {
		w.t.Fatal(err)
	}
}

// hook makes a webhook.
func (w *world) hook(id, url string) {
	w.t.Helper()
	h := &store.Webhook{ID: store.WebhookID(id), URL: url, CreatedAt: 1}
	h.Sealed = notify.SealSigner(w.kek, h.ID, notify.Signer{}.Rotated(1))
	w.commit(store.Insert(h))
}

// put makes a delivery that is due.
func (w *world) put(id, hook string) {
	w.t.Helper()
	w.commit(store.Insert(&store.Delivery{
		ID: store.DeliveryID(id), Webhook: store.WebhookID(hook), Event: "client.revoked", Body: []byte(`{"id":"evt1"}`),
		CreatedAt: 1, DueAt: 1, Status: store.DeliveryWaiting,
	}))
}

func (w *world) get(id string) *store.Delivery {
	w.t.Helper()
	r, err := w.store.Get(w.t.Context(), store.KindDelivery, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return r.(*store.Delivery)
}

// until waits for what a deliverer writes.
func (w *world) until(id string, is func(*store.Delivery) bool) *store.Delivery {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		if d := w.get(id); is(d) {
			return d
		}
		select {
		case <-deadline:
			w.t.Fatalf("delivery %s stays %+v", id, w.get(id))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func ended(d *store.Delivery) bool { return d.Status != store.DeliveryWaiting }

// ids is a receiver's handler that keeps the ids of what came, and answers as
// it is told.
type ids struct {
	mu     sync.Mutex
	came   []string
	answer func(call int, id string) int
}

func (i *ids) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	i.mu.Lock()
	id := r.Header.Get("webhook-id")
	i.came = append(i.came, id)
	call := len(i.came)
	i.mu.Unlock()
	status := http.StatusOK
	if i.answer != nil {
		status = i.answer(call, id)
	}
	w.WriteHeader(status)
}

func (i *ids) list() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string{}, i.came...)
}
