package policy

import (
	"errors"

	"postern/store"
)

// RelaxedFor is what an API's record says of its upstream.
func RelaxedFor(a *store.API) Relaxed {
	return Relaxed{
		Semicolon: a.Semicolon, EncodedSlash: a.EncodedSlash, DoubleSlash: a.DoubleSlash,
		NonASCII: a.NonASCII, FoldCase: a.FoldCase,
	}
}

// CheckMethods refuses what is not a list of methods: HTTP tokens (RFC 9110
// section 5.6.2) parted by one space, or * alone.
func CheckMethods(methods string) error {
	if !isMethods(methods) {
		return errors.New("want method names parted by one space, such as GET HEAD, or * alone")
	}
	return nil
}
