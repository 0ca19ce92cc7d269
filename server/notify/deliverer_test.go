package notify_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server/notify"
	"postern/store"
)

// A node that dies after it has sent and before that is written: the next one
// sends the same again, by the same id, and then no more.
func TestWebhookKilledBeforeMarkingIsSentAgain(t *testing.T) {
	w := newWorld(t)
	r := &ids{}
	sent := make(chan struct{}, 10)
	r.answer = func(int, string) int { sent <- struct{}{}; return http.StatusOK }
	w.hook("h", w.receiver(r.ServeHTTP))
	w.put("dlv1", "h")
	w.store.failing(func(writes []store.Write) error {
		if writes[0].Record.Kind() == store.KindDelivery {
			return &store.Unavailable{Err: errors.New("the node is dead")}
		}
		return nil
	})
	stop := w.run(w.deliverer())
	<-sent
	<-w.ended // it has the answer, and cannot write it
	stop()
	if d := w.get("dlv1"); d.Status != store.DeliveryWaiting || d.Tries != 0 {
		t.Fatalf("after the death: %+v", d)
	}
	w.store.failing(nil)
	w.run(w.deliverer())
	d := w.until("dlv1", ended)
	if diff := cmp.Diff([]string{"dlv1", "dlv1"}, r.list()); diff != "" || d.Status != store.DeliveryDone || d.Tries != 1 {
		t.Errorf("calls: %s\ndelivery: %+v", diff, d)
	}
}

// While the store does not answer, what was sent is not sent again.
func TestWebhookIsMarkedOnceTheStoreAnswers(t *testing.T) {
	w := newWorld(t)
	r := &ids{}
	w.hook("h", w.receiver(r.ServeHTTP))
	w.put("dlv1", "h")
	var refused atomic.Int32
	w.store.failing(func(writes []store.Write) error {
		if writes[0].Record.Kind() == store.KindDelivery && refused.Add(1) < 3 {
			return &store.Unavailable{Err: errors.New("down")}
		}
		return nil
	})
	w.run(w.deliverer())
	if d := w.until("dlv1", ended); d.Status != store.DeliveryDone || len(r.list()) != 1 || refused.Load() != 3 {
		t.Errorf("%+v after %v, %d commits", d, r.list(), refused.Load())
	}
}

func TestWebhookGivesUpAfterThreeDays(t *testing.T) {
	w := newWorld(t)
	r := &ids{answer: func(int, string) int { return http.StatusServiceUnavailable }}
	w.hook("h", w.receiver(r.ServeHTTP))
	w.put("dlv1", "h")
	d := w.deliverer()
	w.run(d)
	var waits []time.Duration
	total := time.Duration(0)
	for try := int64(1); ; try++ {
		got := w.until("dlv1", func(d *store.Delivery) bool { return d.Tries == try })
		if got.LastStatus != 503 || !strings.Contains(got.LastError, "503") || got.LastTryAt == 0 {
			t.Fatalf("after try %d: %+v", try, got)
		}
		if got.Status == store.DeliveryFailed {
			if got.DueAt != 0 || got.ExpiresAt.Sub(got.LastTryAt) != notify.LogKept {
				t.Errorf("when it has failed: %+v", got)
			}
			break
		}
		wait := got.DueAt.Sub(got.LastTryAt)
		waits, total = append(waits, wait), total+wait
		w.advance(wait)
		d.Wake()
	}
	if len(waits) != notify.MaxTries()-1 || !slices.IsSorted(waits) || waits[0] != 5*time.Second || total < 70*time.Hour || total > 80*time.Hour {
		t.Errorf("waits are %v, %v in all", waits, total)
	}
	if got := r.list(); len(got) != notify.MaxTries() || len(slices.Compact(got)) != 1 {
		t.Errorf("calls: %v", got)
	}
}

func TestWebhookWaitsAsLongAsItIsAsked(t *testing.T) {
	w := newWorld(t)
	w.hook("h", w.receiver(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", "120")
		rw.WriteHeader(http.StatusTooManyRequests)
	}))
	w.put("dlv1", "h")
	w.run(w.deliverer())
	if d := w.until("dlv1", func(d *store.Delivery) bool { return d.Tries == 1 }); d.DueAt.Sub(d.LastTryAt) != 2*time.Minute {
		t.Errorf("it waits %v, want 2 min", d.DueAt.Sub(d.LastTryAt))
	}
}

func TestWebhookJitter(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 4 * time.Second, 0.5: 5 * time.Second, 1: 6 * time.Second} {
		w := newWorld(t)
		w.hook("h", w.receiver((&ids{answer: func(int, string) int { return 500 }}).ServeHTTP))
		w.put("dlv1", "h")
		w.run(w.deliverer(func(o *notify.Options) { o.Random = func() float64 { return random } }))
		if d := w.until("dlv1", func(d *store.Delivery) bool { return d.Tries == 1 }); d.DueAt.Sub(d.LastTryAt) != want {
			t.Errorf("with %v it waits %v, want %v", random, d.DueAt.Sub(d.LastTryAt), want)
		}
	}
}

func TestWebhookThatEndedEndsItsDeliveries(t *testing.T) {
	w := newWorld(t)
	r := &ids{}
	url := w.receiver(r.ServeHTTP)
	w.hook("off", url)
	h, err := w.store.Get(t.Context(), store.KindWebhook, "off")
	if err != nil {
		t.Fatal(err)
	}
	off := *h.(*store.Webhook)
	off.Disabled = true
	w.commit(store.Update(&off))
	w.put("dlv1", "off")
	w.put("dlv2", "deleted")
	w.run(w.deliverer())
	for id, want := range map[string]string{"dlv1": "the webhook is disabled", "dlv2": "the webhook was deleted"} {
		if d := w.until(id, ended); d.Status != store.DeliveryFailed || d.LastError != want || d.Tries != 0 || d.ExpiresAt == 0 {
			t.Errorf("%s: %+v", id, d)
		}
	}
	if len(r.list()) != 0 {
		t.Errorf("sent: %v", r.list())
	}
}

// A receiver that does not answer, with more waiting for it than a page holds,
// delays nobody else.
func TestWebhookSlowReceiverHoldsUpNoOther(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	var atOnce, most atomic.Int32
	slow := w.receiver(func(http.ResponseWriter, *http.Request) {
		n := atOnce.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-release
		atOnce.Add(-1)
	})
	t.Cleanup(func() { close(release) }) // before the server closes
	r := &ids{}
	w.hook("slow", slow)
	w.hook("quick", w.receiver(r.ServeHTTP))
	for i := range 300 {
		w.put(fmt.Sprintf("dlv%03d", i), "slow")
	}
	w.put("dlv999", "quick")
	webhooks := func() []*store.Webhook { return []*store.Webhook{{ID: "quick"}, {ID: "slow"}} }
	w.run(w.deliverer(func(o *notify.Options) { o.Webhooks = webhooks }))
	if d := w.until("dlv999", ended); d.Status != store.DeliveryDone {
		t.Errorf("%+v", d)
	}
	if n := most.Load(); n > 2 {
		t.Errorf("the slow one got %d at once, want 2", n)
	}
}

// Of two nodes one delivers.
func TestWebhookIsSentByOneNode(t *testing.T) {
	w := newWorld(t)
	r := &ids{}
	w.hook("h", w.receiver(r.ServeHTTP))
	for i := range 40 {
		w.put(fmt.Sprintf("dlv%02d", i), "h")
	}
	for _, node := range []string{"a", "b"} {
		w.run(w.deliverer(func(o *notify.Options) { o.Node = node }))
	}
	for i := range 40 {
		w.until(fmt.Sprintf("dlv%02d", i), ended)
	}
	if got := r.list(); len(got) != 40 {
		t.Errorf("%d calls, want 40", len(got))
	}
}

func TestWebhookReceiverThatWantsNoMore(t *testing.T) {
	w := newWorld(t)
	w.hook("h", w.receiver((&ids{answer: func(int, string) int { return http.StatusGone }}).ServeHTTP))
	w.put("dlv1", "h")
	stop := w.run(w.deliverer())
	if d := w.until("dlv1", ended); d.Status != store.DeliveryFailed || d.Tries != 1 {
		t.Errorf("%+v", d)
	}
	stop()
	if diff := cmp.Diff([]store.WebhookID{"h"}, w.goneHok); diff != "" {
		t.Errorf("disabled: %s", diff)
	}
}
