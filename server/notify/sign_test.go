package notify_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/server/keys"
	"postern/server/notify"
	"postern/store"
)

// The example of the specification of Standard Webhooks.
func TestWebhookSignatureOfTheSpecification(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := notify.Signer{{Key: key}}.Sign(1614265330_000, "msg_p5jXN8AQM9LWM0D4loKWxJek", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWebhookKeysOverlap(t *testing.T) {
	const now = store.Time(1_000_000)
	first := notify.Signer{}.Rotated(now)
	second := first.Rotated(now)
	third := second.Rotated(now)
	if len(first) != 1 || len(second) != 2 || len(third) != 2 || string(third[1].Key) != string(second[0].Key) {
		t.Fatalf("after rotations there are %d, %d, %d keys", len(first), len(second), len(third))
	}
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{0, 2}, {notify.KeyOverlap - time.Second, 2}, {notify.KeyOverlap, 1}} {
		if got := len(strings.Fields(second.Sign(now.Add(tt.after), "x", nil))); got != tt.want {
			t.Errorf("%v after: %d signatures, want %d", tt.after, got, tt.want)
		}
	}
	if text := fmt.Sprintf("%v %+v", first[0].Text(), first[0].Text()); strings.Contains(text, "whsec") {
		t.Errorf("a key prints as %s", text)
	}
}

func TestWebhookKeysOpenInTheirPlaceOnly(t *testing.T) {
	kek, err := keys.ParseKEKs(keys.GenerateKEK())
	if err != nil {
		t.Fatal(err)
	}
	s := notify.Signer{}.Rotated(1)
	sealed := notify.SealSigner(kek, "a", s)
	if got, err := notify.OpenSigner(kek, &store.Webhook{ID: "a", Sealed: sealed}); err != nil || string(got[0].Key) != string(s[0].Key) {
		t.Errorf("in its place: %v", err)
	}
	if _, err := notify.OpenSigner(kek, &store.Webhook{ID: "b", Sealed: sealed}); err == nil {
		t.Error("the key of one webhook opens in another")
	}
}
