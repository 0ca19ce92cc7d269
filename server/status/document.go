package status

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"postern/store"
)

// TypeList is the typ of a status list (section 5.1 of the draft).
const TypeList = "statuslist+jwt"

const (
	// ListTTL is how long a list may be used before it is to be fetched again.
	ListTTL = 15 * time.Second
	// listLife is until when it may be used where none can be fetched.
	listLife = 5 * time.Minute
	// signEvery is how often, at most, a list that changes is signed.
	signEvery = time.Second
)

// document is a list as it was signed.
type document struct {
	text    string
	kid     string
	version int64
	at      store.Time
}

// packed is a list in a document or a message (section 4.2).
type packed struct {
	URI  string `json:"uri,omitempty"` // in a message
	Bits int    `json:"bits"`
	List string `json:"lst"`
}

func pack(bits *[size / 8]byte) (packed, error) {
	var b bytes.Buffer
	z, err := zlib.NewWriterLevel(&b, zlib.BestCompression)
	if err == nil {
		_, err = z.Write(bits[:])
	}
	if err == nil {
		err = z.Close()
	}
	return packed{Bits: 1, List: base64.RawURLEncoding.EncodeToString(b.Bytes())}, err
}

// Document returns a list as a signed JWT (section 5.1), or store.ErrNotFound. It
// may be kept for ListTTL, and may be a second older than the newest change.
func (l *Lists) Document(ctx context.Context, n int64) (string, error) {
	l.mu.RLock()
	if n < 1 || n > int64(len(l.lists)) {
		l.mu.RUnlock()
		return "", fmt.Errorf("status list %d: %w", n, store.ErrNotFound)
	}
	of := l.lists[n-1]
	now, d, version := l.now(), of.signed, of.version
	if age := now.Sub(d.at); age >= 0 && (age < signEvery || d.version == version && age < ListTTL) && l.Keys.Usable(d.kid, now) {
		l.mu.RUnlock()
		return d.text, nil
	}
	bits := of.bits
	l.mu.RUnlock()
	p, err := pack(&bits)
	if err != nil {
		return "", fmt.Errorf("write status list %d: %w", n, err)
	}
	seconds := int64(now) / 1000
	payload, err := json.Marshal(struct {
		Issuer  string `json:"iss"`
		Subject string `json:"sub"`
		Issued  int64  `json:"iat"`
		Expires int64  `json:"exp"`
		TTL     int64  `json:"ttl"`
		List    packed `json:"status_list"`
	}{l.Issuer, l.URI(n), seconds, seconds + int64(listLife/time.Second), int64(ListTTL / time.Second), p})
	if err != nil {
		return "", fmt.Errorf("write status list %d: %w", n, err)
	}
	signer, err := l.Keys.Statement(ctx)
	if err != nil {
		return "", fmt.Errorf("sign status list %d: %w", n, err)
	}
	text, err := signer.Compact(TypeList, payload)
	if err != nil {
		return "", fmt.Errorf("sign status list %d: %w", n, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	of.signed = document{text, signer.KID, version, now}
	return text, nil
}
