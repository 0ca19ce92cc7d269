package audit

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"postern/store"
)

// installationChain is the key of the chain of entries without a workspace.
const installationChain = "installation"

// Key derives the key of the chains from a key-encryption key (HKDF-SHA256, RFC
// 5869), so that neither tells anything about the other.
func Key(encryptionKey []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, encryptionKey, nil, "postern audit chain 1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the audit key: %w", err)
	}
	return key, nil
}

func chainID(w store.WorkspaceID) string {
	if w == "" {
		return installationChain
	}
	return string(w)
}

// link is the HMAC over an entry at its place and the link before it.
func link(key []byte, e *store.AuditEntry, before []byte) []byte {
	return seal(key, "postern audit entry 1",
		[]int64{e.Place, int64(e.At), e.Count},
		string(e.ID), string(e.Workspace), string(e.Account), e.Actor, string(e.Client), e.Address, e.RequestID,
		e.Operation, string(e.TargetKind), e.Target, e.TargetName, e.Refused,
		string(e.Before), string(e.After), string(before))
}

// signature is the HMAC over a chain's head and the time it was signed. Checking
// it takes the same key as making it: a signature that outsiders could check
// would need a key pair, and none of them sees the head.
func signature(key []byte, c *store.Chain) []byte {
	return seal(key, "postern audit head 1", []int64{c.Place, int64(c.SignedAt)}, c.ID, string(c.Link))
}

// seal is HMAC-SHA256 over what is sealed, its numbers and its texts. Each text
// stands behind its length, so that no two lists of them are the same bytes.
func seal(key []byte, what string, numbers []int64, texts ...string) []byte {
	b := append([]byte(what), 0)
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, uint64(n)) //nolint:gosec // only its bits matter here, of either sign
	}
	for _, t := range texts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(t)))
		b = append(b, t...)
	}
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return h.Sum(nil)
}
