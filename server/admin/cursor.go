package admin

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"postern/store"
)

const cursorLife = 24 * 60 * 60 * 1000 // ms

// sealedCursor is what is inside a cursor.
type sealedCursor struct {
	After json.RawMessage `json:"a"`
	Until store.Time      `json:"u"`
}

// SealCursor makes the cursor of a list's next page, which starts after a
// position. It is encrypted, so that nobody reads or makes one, good for a day,
// and only with the question that it continues. Both are values that
// encoding/json can write.
func (a *Admin) SealCursor(question, after any) (string, error) {
	aead, err := chacha20poly1305.NewX(a.CursorKey)
	if err != nil {
		return "", fmt.Errorf("seal a cursor: %w", err)
	}
	bound, err := cursorQuestion(question)
	if err != nil {
		return "", err
	}
	position, err := json.Marshal(after)
	if err != nil {
		return "", fmt.Errorf("seal a cursor: %w", err)
	}
	text, err := json.Marshal(sealedCursor{position, a.now() + cursorLife})
	if err != nil {
		return "", fmt.Errorf("seal a cursor: %w", err)
	}
	nonce := randomBytes(aead.NonceSize())
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nonce, nonce, text, bound)), nil
}

// OpenCursor reads the position out of a cursor that SealCursor made for the
// same question.
func (a *Admin) OpenCursor(cursor string, question, after any) error {
	bad := refuse(Invalid, "cursor: is not one of this list, or older than a day; start from the first page")
	aead, err := chacha20poly1305.NewX(a.CursorKey)
	if err != nil {
		return fmt.Errorf("open a cursor: %w", err)
	}
	bound, err := cursorQuestion(question)
	if err != nil {
		return err
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(sealed) < aead.NonceSize() {
		return bad
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], bound)
	if err != nil {
		return bad
	}
	var c sealedCursor
	if json.Unmarshal(plain, &c) != nil || c.Until.Over(a.now()) || json.Unmarshal(c.After, after) != nil {
		return bad
	}
	return nil
}

// cursorQuestion spells a question out, with its type: the lists of two kinds
// never share a cursor.
func cursorQuestion(question any) ([]byte, error) {
	text, err := json.Marshal(question)
	if err != nil {
		return nil, fmt.Errorf("bind a cursor: %w", err)
	}
	return append([]byte(fmt.Sprintf("%T ", question)), text...), nil
}
