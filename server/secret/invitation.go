package secret

import (
	"strings"

	"postern/store"
)

const invitationPrefix = "psi_"

// NewInvitation makes the text of a one-time link for an account: like a
// client's secret, with another prefix and the account's id.
func NewInvitation(account store.AccountID) Secret {
	text := append([]byte(invitationPrefix), account...)
	text = AppendRandomDigits(append(text, '_'), randomDigits)
	return Of(string(AppendChecksum(text)))
}

// ParseInvitation reads what NewInvitation made and returns the account that it
// says it is for; whether it is, is for Matches to say. Anything else is
// ErrMalformed.
func ParseInvitation(text string) (Secret, store.AccountID, error) {
	if len(text) > maxText {
		return Secret{}, "", ErrMalformed
	}
	body, ok := CutChecksum(text)
	body, prefixed := strings.CutPrefix(body, invitationPrefix)
	at := len(body) - randomDigits - 1
	if !ok || !prefixed || at <= 0 || body[at] != '_' || !allDigits(body[at+1:]) || !allDigits(body[:at]) {
		return Secret{}, "", ErrMalformed
	}
	return Of(text), store.AccountID(body[:at]), nil
}
