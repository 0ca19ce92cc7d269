package notify

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"postern/server/keys"
	"postern/server/secret"
	"postern/store"
)

// KeyOverlap is how long the key before the last one goes on signing beside it.
const KeyOverlap = 24 * time.Hour

// SigningKey is one key of a webhook.
type SigningKey struct {
	Key   []byte     `json:"key"`
	Until store.Time `json:"until,omitempty"` // it signs until then; 0 is for ever
}

// NewSigningKey makes a key of 32 bytes.
func NewSigningKey() SigningKey {
	k := make([]byte, 32)
	_, _ = rand.Read(k) // crypto/rand.Read never fails
	return SigningKey{Key: k}
}

// Text is the key as the receiver gets it: whsec_ and base64.
func (k SigningKey) Text() secret.Secret {
	return secret.Of("whsec_" + base64.StdEncoding.EncodeToString(k.Key))
}

// Signer signs what is sent to one webhook, by the scheme of Standard Webhooks.
// The first of its keys is the newest.
type Signer []SigningKey

// Rotated returns a Signer with a new key first. The one before it signs beside
// it for KeyOverlap, others no more.
func (s Signer) Rotated(now store.Time) Signer {
	next := Signer{NewSigningKey()}
	if len(s) > 0 {
		next = append(next, SigningKey{Key: s[0].Key, Until: now.Add(KeyOverlap)})
	}
	return next
}

// Sign returns the header webhook-signature: one signature for each key that is
// good, separated by spaces.
func (s Signer) Sign(now store.Time, id string, body []byte) string {
	var out []string
	for _, k := range s {
		if k.Until.Over(now) {
			continue
		}
		h := hmac.New(sha256.New, k.Key)
		h.Write([]byte(id + "." + timestamp(now) + "."))
		h.Write(body)
		out = append(out, "v1,"+base64.StdEncoding.EncodeToString(h.Sum(nil)))
	}
	return strings.Join(out, " ")
}

// timestamp is the header webhook-timestamp.
func timestamp(now store.Time) string { return strconv.FormatInt(int64(now)/1000, 10) }

const sealedSigner = "webhook"

// SealSigner seals the keys of a webhook.
func SealSigner(k *keys.KEK, id store.WebhookID, s Signer) []byte {
	text, _ := json.Marshal(s) // bytes and numbers
	return k.Seal(sealedSigner, string(id), text)
}

// OpenSigner opens the keys of a webhook.
func OpenSigner(k *keys.KEK, w *store.Webhook) (Signer, error) {
	text, ok := k.Open(sealedSigner, string(w.ID), w.Sealed)
	if !ok {
		return nil, keys.ErrSealed
	}
	var s Signer
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, errors.New("it is not what was sealed") // without its text
	}
	return s, nil
}
