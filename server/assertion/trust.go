package assertion

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"postern/server/strictjson"
	"postern/store"
)

// maxWorkloadLife is how long a workload's JWT may be good, since it may be sent
// again until it ends.
const maxWorkloadLife = 24 * time.Hour

// Workload is a JWT that an issuer made for a workload of its own, such as a pod
// or the run of a pipeline, and that was read and not verified.
type Workload struct {
	Assertion // ID, its jti, is empty

	audiences []string
	claims    map[string]json.RawMessage
}

// ErrForeign is the error of Parse for what another issuer made: iss and sub of a
// client's own assertion are both its id (RFC 7523 section 3).
var ErrForeign = errors.New("its iss is not its sub, so that it is the JWT of another issuer")

// ParseWorkload reads the JWT of a workload: a JWS in compact form of an algorithm
// of Algorithms, with the claims iss, sub, aud, exp and iat, of at most 16 kB. Its
// errors hold nothing of it.
func ParseWorkload(text string) (*Workload, error) {
	a, claims, err := signed(text)
	if err != nil {
		return nil, err
	}
	w := &Workload{Assertion: *a, claims: claims}
	if err := w.who(claims); err != nil {
		return nil, err
	}
	if w.audiences = texts(claims["aud"]); len(w.audiences) == 0 {
		return nil, errors.New("its aud is missing, or neither text nor texts")
	}
	if !moment(claims["exp"], &w.Expires) || w.Expires.IsZero() {
		return nil, errors.New("its exp is missing, or no time")
	}
	if !moment(claims["iat"], &w.issued) || w.issued.IsZero() {
		return nil, errors.New("its iat is missing, or no time")
	}
	if !moment(claims["nbf"], &w.notBefore) {
		return nil, errors.New("its nbf is no time")
	}
	return w, nil
}

// texts reads a text, or a list of them (RFC 7519 section 4.1.3).
func texts(value json.RawMessage) []string {
	if one, ok := strictjson.Text(value); ok {
		return []string{one}
	}
	var each []json.RawMessage
	if len(value) == 0 || value[0] != '[' || json.Unmarshal(value, &each) != nil {
		return nil
	}
	var out []string
	for _, raw := range each {
		one, ok := strictjson.Text(raw)
		if !ok {
			return nil
		}
		out = append(out, one)
	}
	return out
}

// Condition is one thing that a workload's JWT has to be.
type Condition struct {
	Name  string // "audience", "expiry", "issuer", "subject", "claim repository", "signature"
	Want  string // what is wanted; empty where the name says it
	Got   string // what it is; empty where it has none
	Fault string // why it does not hold, without anything of the JWT; empty if it does
}

// Broken returns the first condition that does not hold, or nil.
func Broken(all []Condition) *Condition {
	if i := slices.IndexFunc(all, func(c Condition) bool { return c.Fault != "" }); i >= 0 {
		return &all[i]
	}
	return nil
}

// Conditions are those of every workload's JWT: that it is for us alone, whose
// issuer is given, and is good now and for at most a day.
func (w *Workload) Conditions(now time.Time, issuer string) []Condition {
	audience := Condition{Name: "audience", Want: issuer, Got: strings.Join(w.audiences, ", ")}
	switch {
	case !slices.Contains(w.audiences, issuer):
		audience.Fault = "it is for another audience"
	case len(w.audiences) > 1:
		audience.Fault = "it is for others too: they could use it here"
	}
	written := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	expiry := Condition{Name: "expiry", Want: "after now, at most 24 hours after iat", Got: written(w.Expires)}
	switch {
	case !now.Before(w.Expires):
		expiry.Fault = "it is expired"
	case w.Expires.Sub(w.issued) > maxWorkloadLife: // and iat is not after now, see below
		expiry.Fault = "it is good for more than 24 hours"
	}
	begin := Condition{Name: "begin", Want: "iat and nbf not after now", Got: written(later(w.issued, w.notBefore))}
	if later(w.issued, w.notBefore).After(now.Add(leeway)) {
		begin.Fault = "it is of the future"
	}
	return []Condition{audience, expiry, begin}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Meets says how the JWT stands to each condition of a rule, its signature apart.
func (w *Workload) Meets(rule *store.TrustRule) []Condition {
	issuer := Condition{Name: "issuer", Want: rule.Issuer, Got: w.Issuer}
	if w.Issuer != rule.Issuer {
		issuer.Fault = "it is of another issuer"
	}
	out := []Condition{issuer}
	if rule.Subject != "" {
		subject := Condition{Name: "subject", Want: rule.Subject, Got: w.Subject}
		if !Matches(rule.Subject, w.Subject) {
			subject.Fault = "the subject is another"
		}
		out = append(out, subject)
	}
	for _, claim := range rule.Claims {
		values := w.claim(claim.Name)
		c := Condition{Name: "claim " + claim.Name, Want: claim.Pattern, Got: strings.Join(values, ", ")}
		switch {
		case len(values) == 0:
			c.Fault = "it has no such claim, or one that is neither text, number nor true or false"
		case !slices.ContainsFunc(values, func(v string) bool { return Matches(claim.Pattern, v) }):
			c.Fault = "the claim is another"
		}
		out = append(out, c)
	}
	return out
}

// claim returns the values of a claim: the elements of a list, or the one that it
// is. Numbers, true and false are as the JWT spells them. Objects and null are no
// values. A name that begins with a slash is a JSON pointer (RFC 6901), which goes
// through objects alone.
func (w *Workload) claim(name string) []string {
	steps := []string{name}
	if pointer, ok := strings.CutPrefix(name, "/"); ok {
		steps = strings.Split(pointer, "/")
		for i := range steps {
			steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(steps[i])
		}
	}
	at := w.claims
	for _, step := range steps[:len(steps)-1] {
		var err error
		if at, err = strictjson.Object(at[step]); err != nil {
			return nil
		}
	}
	value := at[steps[len(steps)-1]]
	each := []json.RawMessage{value}
	if len(value) > 0 && value[0] == '[' && json.Unmarshal(value, &each) != nil {
		return nil
	}
	var out []string
	for _, raw := range each {
		if text, ok := spelled(raw); ok {
			out = append(out, text)
		}
	}
	return out
}

// spelled is a text without its quotes, or a number, true or false as they are.
func spelled(value json.RawMessage) (string, bool) {
	if text, ok := strictjson.Text(value); ok {
		return text, true
	}
	if len(value) == 0 || strings.IndexByte(`{["n`, value[0]) >= 0 {
		return "", false
	}
	return string(value), true
}

// Matches reports whether a text is as a pattern says, from its first byte to its
// last. A * stands for any run of characters, the empty one too, without : and /;
// everything else for itself.
func Matches(pattern, text string) bool {
	// Where the last star was, and where what it took so far ends: a star that took
	// too little takes one more. An earlier star never needs to take more instead.
	star, taken := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, taken = p, t
			p++
		case p < len(pattern) && pattern[p] == text[t]:
			p++
			t++
		case star >= 0 && text[taken] != ':' && text[taken] != '/':
			taken++
			p, t = star+1, taken
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
