package keys

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"postern/store"
)

const (
	kekBytes    = 32
	sealVersion = 1 // the first byte of what is sealed
	redacted    = "[secret]"
)

// ErrSealed is a key that none of the key-encryption keys opens.
var ErrSealed = errors.New("it does not open with any of the key-encryption keys given")

// KEK is the key-encryption key: it seals the signing and sealing keys that lie
// in the store. It may be several: the first one seals, all of them open. It
// cannot be printed.
type KEK struct{ keys []*kek }

type kek struct {
	secret [kekBytes]byte
	aead   cipher.AEAD
}

// GenerateKEK makes a key-encryption key and returns it as ParseKEKs reads it.
func GenerateKEK() string {
	var secret [kekBytes]byte
	_, _ = rand.Read(secret[:]) // crypto/rand.Read never fails
	return base64.StdEncoding.EncodeToString(secret[:])
}

// ParseKEKs reads key-encryption keys: the base64 of 32 bytes each, separated by
// commas. White space around them is ignored. An error never quotes the text.
func ParseKEKs(text string) (*KEK, error) {
	k := &KEK{}
	for part := range strings.SplitSeq(text, ",") {
		raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(part))
		if err != nil || len(raw) != kekBytes {
			return nil, fmt.Errorf("read key-encryption key %d: it is not the base64 of %d bytes", len(k.keys)+1, kekBytes)
		}
		one := &kek{secret: [kekBytes]byte(raw)}
		if one.aead, err = chacha20poly1305.NewX(raw); err != nil {
			return nil, fmt.Errorf("read key-encryption key %d: %w", len(k.keys)+1, err)
		}
		k.keys = append(k.keys, one)
	}
	return k, nil
}

// Derive returns 32 bytes for one purpose, such as "audit chain", from the first
// key-encryption key by HKDF (RFC 5869). Equal purposes give equal bytes; the
// bytes of one purpose say nothing about another's.
func (k *KEK) Derive(purpose string) ([]byte, error) { return k.keys[0].derive(purpose) }

// DeriveAll returns what Derive gives for each of the keys in turn, for checking
// what was made before the first key was put in front.
func (k *KEK) DeriveAll(purpose string) ([][]byte, error) {
	all := make([][]byte, 0, len(k.keys))
	for _, one := range k.keys {
		derived, err := one.derive(purpose)
		if err != nil {
			return nil, err
		}
		all = append(all, derived)
	}
	return all, nil
}

func (k *kek) derive(purpose string) ([]byte, error) {
	derived, err := hkdf.Key(sha256.New, k.secret[:], nil, "postern "+purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("derive a key for %s: %w", purpose, err)
	}
	return derived, nil
}

// seal encrypts the private part of a key. What is sealed for one record does
// not open in the place of another.
func (k *KEK) seal(r *store.Key, private []byte) []byte { return k.sealAt(boundTo(r), private) }

// open returns the private part of a key, if one of the keys opens it.
func (k *KEK) open(r *store.Key) (private []byte, ok bool) { return k.openAt(boundTo(r), r.Sealed) }

// Seal encrypts something that is not a key, such as "webhook" with its id. It
// opens for the same kind and id only.
func (k *KEK) Seal(kind, id string, plain []byte) []byte { return k.sealAt(boundAs(kind, id), plain) }

// Open returns what was sealed for this kind and id, if one of the keys opens it.
func (k *KEK) Open(kind, id string, sealed []byte) (plain []byte, ok bool) {
	return k.openAt(boundAs(kind, id), sealed)
}

func (k *KEK) sealAt(place, plain []byte) []byte {
	out := make([]byte, 1+chacha20poly1305.NonceSizeX, 1+chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	out[0] = sealVersion
	_, _ = rand.Read(out[1:])
	return k.keys[0].aead.Seal(out, out[1:], plain, place)
}

func (k *KEK) openAt(place, sealed []byte) (plain []byte, ok bool) {
	const head = 1 + chacha20poly1305.NonceSizeX
	if len(sealed) < head || sealed[0] != sealVersion {
		return nil, false
	}
	for _, one := range k.keys {
		if plain, err := one.aead.Open(nil, sealed[1:head], sealed[head:], place); err == nil {
			return plain, true
		}
	}
	return nil, false
}

// boundTo is the additional data of a sealed key: the facts that must not change
// about it. None of the three can hold a NUL.
func boundTo(r *store.Key) []byte {
	return fmt.Appendf(nil, "postern key\x00%s\x00%s\x00%s", r.ID, r.Use, r.Algorithm)
}

// boundAs is the additional data of what is no key.
func boundAs(kind, id string) []byte { return fmt.Appendf(nil, "postern %s\x00%s", kind, id) }

// String returns "[secret]".
func (*KEK) String() string { return redacted }

// GoString returns "[secret]".
func (*KEK) GoString() string { return redacted }

// Format writes "[secret]" whatever the verb.
func (*KEK) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue returns "[secret]".
func (*KEK) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[secret]".
func (*KEK) MarshalText() ([]byte, error) { return []byte(redacted), nil }
