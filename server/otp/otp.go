// Package otp makes and checks one-time codes by time (TOTP, RFC 6238), as the
// usual apps on telephones show them: SHA-1, six digits, 30 seconds. It keeps
// nothing: that a code is taken once is for its caller, who remembers the step of
// the last one.
package otp

import (
	"fmt"
	"image/color"
	"strconv"
	"strings"
	"time"

	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"postern/server/secret"
)

const (
	period = 30 // seconds
	skew   = 1  // steps that a telephone's clock may be off, either way
)

// New makes a secret, in base32, and the otpauth URI that gives it to an app.
// Neither name may hold a colon.
func New(issuer, account string) (text, uri secret.Secret, err error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: account, Period: period})
	if err != nil {
		return secret.Secret{}, secret.Secret{}, fmt.Errorf("make a secret for one-time codes: %w", err)
	}
	return secret.Of(key.Secret()), secret.Of(key.URL()), nil
}

// Match reports whether a code is the secret's for now, or for the step before or
// after, and for which step: one later than after. It takes the same time wherever
// the code differs.
func Match(text secret.Secret, code string, now time.Time, after int64) (step int64, ok bool) {
	current := now.Unix() / period
	for s := current - skew; s <= current+skew; s++ {
		good, err := hotp.ValidateCustom(code, uint64(s), text.Reveal(), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}) //nolint:gosec // a moment after 1970
		if err == nil && good && s > after {
			step, ok = s, true
		}
	}
	return step, ok
}

// QR returns the QR code of a text as the d of an SVG path, and how many modules
// it is wide and high: the viewBox is "0 0 size size", with the margin of four
// modules that readers ask for within.
func QR(text secret.Secret) (path string, size int, err error) {
	const margin = 4
	code, err := qr.Encode(text.Reveal(), qr.M, qr.Auto)
	if err != nil {
		return "", 0, fmt.Errorf("draw a QR code: %w", err)
	}
	var d strings.Builder
	wide := code.Bounds().Dx()
	for y := range wide {
		for x := 0; x < wide; x++ {
			from := x
			for x < wide && code.At(x, y) == color.Black {
				x++
			}
			if n := strconv.Itoa(x - from); x > from { // a run of dark modules is one rectangle
				d.WriteString("M" + strconv.Itoa(from+margin) + " " + strconv.Itoa(y+margin) + "h" + n + "v1h-" + n + "z")
			}
		}
	}
	return d.String(), wide + 2*margin, nil
}
