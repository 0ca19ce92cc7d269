package assertion

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"postern/server/strictjson"
)

const (
	maxLength = 16 << 10 // bytes of an assertion
	maxLife   = time.Hour
	maxID     = 128 // bytes of a jti
	leeway    = 10 * time.Second
)

// Assertion is a JWT that was read and not verified.
type Assertion struct {
	Issuer, Subject string
	ID              string // jti
	Expires         time.Time

	audience          string
	issued, notBefore time.Time // zero is not said
	algorithm, keyID  string
	signed, signature []byte
}

// Parse reads an assertion: a JWS in compact form of an algorithm of Algorithms,
// with the claims iss, sub, aud, exp and jti, of which iss and sub are one. Where
// they are two it returns ErrForeign. Its errors are for the log.
func Parse(text string) (*Assertion, error) {
	a, claims, err := signed(text)
	if err != nil {
		return nil, err
	}
	return a, a.read(claims)
}

// signed reads a JWS in compact form, without its claims.
func signed(text string) (*Assertion, map[string]json.RawMessage, error) {
	parts := strings.Split(text, ".")
	if len(text) > maxLength || len(parts) != 3 {
		return nil, nil, errors.New("it is no JWS of three parts and at most 16 kB")
	}
	header, err := part(parts[0])
	if err != nil {
		return nil, nil, errors.New("its header: " + err.Error())
	}
	// Keys come from what is registered, never from the one who is to prove that
	// they are theirs; and what changes how it is read is not understood.
	for _, name := range []string{"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"} {
		if _, ok := header[name]; ok {
			return nil, nil, errors.New("its header has " + name)
		}
	}
	a := &Assertion{}
	var ok bool
	if a.algorithm, ok = strictjson.Text(header["alg"]); !ok || !slices.Contains(Algorithms(), a.algorithm) {
		return nil, nil, errors.New("its alg is not one of " + strings.Join(Algorithms(), ", "))
	}
	if kid, there := header["kid"]; there {
		if a.keyID, ok = strictjson.Text(kid); !ok || len(a.keyID) > 256 {
			return nil, nil, errors.New("its kid is no text of at most 256 bytes")
		}
	}
	if a.signature, err = base64.RawURLEncoding.Strict().DecodeString(parts[2]); err != nil {
		return nil, nil, errors.New("its signature is not base64url")
	}
	a.signed = []byte(parts[0] + "." + parts[1])
	claims, err := part(parts[1])
	if err != nil {
		return nil, nil, errors.New("its claims: " + err.Error())
	}
	return a, claims, nil
}

func (a *Assertion) read(claims map[string]json.RawMessage) error {
	if err := a.who(claims); err != nil {
		return err
	}
	if a.Issuer != a.Subject {
		return ErrForeign
	}
	for name, to := range map[string]*string{"aud": &a.audience, "jti": &a.ID} {
		if err := text(claims, name, to); err != nil {
			return err
		}
	}
	if len(a.ID) > maxID {
		return errors.New("its jti has more than 128 bytes")
	}
	if !moment(claims["exp"], &a.Expires) || a.Expires.IsZero() {
		return errors.New("its exp is missing, or no time")
	}
	if !moment(claims["iat"], &a.issued) || !moment(claims["nbf"], &a.notBefore) {
		return errors.New("its iat or nbf is no time")
	}
	return nil
}

// who reads the issuer and the subject.
func (a *Assertion) who(claims map[string]json.RawMessage) error {
	if err := text(claims, "iss", &a.Issuer); err != nil {
		return err
	}
	return text(claims, "sub", &a.Subject)
}

// text reads a claim that is a text.
func text(claims map[string]json.RawMessage, name string, to *string) error {
	var ok bool
	if *to, ok = strictjson.Text(claims[name]); !ok || *to == "" {
		return errors.New("its " + name + " is missing, or no text")
	}
	return nil
}

// moment reads a NumericDate, which may have a fraction (RFC 7519 section 2).
// What is absent is zero.
func moment(value json.RawMessage, to *time.Time) bool {
	if value == nil {
		return true
	}
	var seconds float64
	if len(value) == 0 || value[0] == 'n' || json.Unmarshal(value, &seconds) != nil || seconds <= 0 || seconds > 1<<40 || math.IsNaN(seconds) {
		return false
	}
	whole, fraction := math.Modf(seconds)
	*to = time.Unix(int64(whole), int64(fraction*1e9))
	return true
}

// part reads a JSON object in base64url.
func part(text string) (map[string]json.RawMessage, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || !utf8.Valid(raw) {
		return nil, errors.New("it is no base64url of UTF-8")
	}
	return strictjson.Object(raw)
}

// Check refuses an assertion that is not for one of the audiences, not of now, or
// good for more than an hour (RFC 7523 section 3). The error is for the log.
func (a *Assertion) Check(now time.Time, audiences ...string) error {
	switch {
	case !slices.Contains(audiences, a.audience):
		return errors.New("its audience is another")
	case !now.Before(a.Expires):
		return errors.New("it is expired")
	case a.Expires.Sub(now) > maxLife+leeway:
		return errors.New("it is good for more than an hour")
	case a.issued.After(now.Add(leeway)), a.notBefore.After(now.Add(leeway)):
		return errors.New("it is of the future")
	}
	return nil
}

// KeepsFAPI2 reports whether an assertion that was checked is one by the FAPI 2.0
// Security Profile too: for the issuer and no other spelling of it, and not signed
// by RSASSA-PKCS1-v1_5 (sections 5.3.2.1 and 5.4.1).
func (a *Assertion) KeepsFAPI2(issuer string) bool {
	return a.audience == issuer && a.algorithm != "RS256"
}
