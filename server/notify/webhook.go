package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"postern/server/outbound"
	"postern/store"
)

// sendWebhook posts an event to its receiver: an answer of 2xx within 5 s, and
// it has it. The error is of our own store.
func (d *Deliverer) sendWebhook(ctx context.Context, one *store.Delivery) (result, error) {
	r, err := d.o.Store.Get(ctx, store.KindWebhook, string(one.Webhook))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return result{never: true, untold: true, reason: "the webhook was deleted"}, nil
	case err != nil:
		return result{}, err
	}
	w, ok := r.(*store.Webhook)
	if !ok || w.Disabled {
		return result{never: true, untold: true, reason: "the webhook is disabled"}, nil
	}
	signer, err := OpenSigner(d.o.KEK, w)
	if err != nil {
		d.o.Log.ErrorContext(ctx, "the signing key of a webhook does not open; give it a new one by postern webhook rotate", "webhook", w.ID, "error", err)
		return result{reason: "its signing key does not open"}, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(one.Body))
	if err != nil {
		return result{never: true, reason: "the URL cannot be called"}, nil //nolint:nilerr // it ends the delivery, and is no error of the store
	}
	now := d.now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("webhook-id", string(one.ID))
	req.Header.Set("webhook-timestamp", timestamp(now))
	req.Header.Set("webhook-signature", signer.Sign(now, string(one.ID), one.Body))
	answer, err := d.o.Client.Do(ctx, req)
	if err != nil {
		d.o.Log.DebugContext(ctx, "a webhook was not reached", "webhook", w.ID, "error", err)
		return result{reason: outbound.Reason(err)}, nil
	}
	out := result{status: int64(answer.Status), size: int64(len(answer.Body)), ok: answer.Status/100 == 2}
	switch {
	case out.ok:
	case answer.Status == http.StatusGone:
		out.never, out.reason = true, "the receiver wants no more (410): the webhook is disabled"
		if err := d.o.Gone(ctx, w); err != nil {
			return result{}, err
		}
	case answer.Status/100 == 3:
		out.reason = "the receiver redirects, which is not followed"
	default:
		out.reason = fmt.Sprintf("the receiver answered %d", answer.Status)
	}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		out.after = time.Duration(min(seconds, 24*60*60)) * time.Second
	}
	return out, nil
}
