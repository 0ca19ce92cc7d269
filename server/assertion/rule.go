package assertion

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"postern/server/outbound"
	"postern/store"
)

const (
	maxIssuer  = 1024 // bytes of an issuer, and of an address of keys
	maxPattern = 512  // of a pattern, and of a claim's name
	maxClaims  = 10
	maxJWKS    = 16 << 10
)

// CheckRule refuses a rule by which no JWT could be known, or by which it is not
// clear which. The error begins with the field that it is about.
func CheckRule(r *store.TrustRule) error {
	if err := outbound.CheckURL(r.Issuer); err != nil || len(r.Issuer) > maxIssuer || strings.Contains(r.Issuer, "?") {
		return errors.New("issuer: must be the iss of its JWTs: a URL that begins with https://, of at most 1,024 bytes, without user, password, query and fragment")
	}
	if r.Subject != "" {
		if err := checkPattern(r.Subject); err != nil {
			return fmt.Errorf("subject: %w", err)
		}
	}
	if len(r.Claims) > maxClaims {
		return fmt.Errorf("claims: there are more than %d", maxClaims)
	}
	for i, c := range r.Claims {
		if err := checkClaim(c); err != nil {
			return fmt.Errorf("claims[%d]: %w", i, err)
		}
		if slices.ContainsFunc(r.Claims[:i], func(other store.TrustClaim) bool { return other.Name == c.Name }) {
			return fmt.Errorf("claims[%d]: the claim has a condition already; write one pattern for each", i)
		}
	}
	return checkKeys(r)
}

func checkPattern(pattern string) error {
	switch {
	case pattern == "" || len(pattern) > maxPattern:
		return fmt.Errorf("a pattern has 1 to %d bytes", maxPattern)
	case strings.Contains(pattern, "**"):
		return errors.New("** means nothing: a * stands for any run without : and /; to allow anything, leave the condition out and set others")
	case strings.ContainsFunc(pattern, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("a pattern has no control characters")
	}
	return nil
}

func checkClaim(c store.TrustClaim) error {
	switch c.Name {
	case "iss", "sub", "aud", "exp", "iat", "nbf":
		return fmt.Errorf("%s is asked of every JWT already; issuer and subject have fields of their own", c.Name)
	}
	if strings.HasPrefix(c.Name, "/") && strings.Count(c.Name, "/") == 1 { // else sub would go by two names
		return errors.New("a JSON pointer leads into a claim; write the name of a whole one without the slash")
	}
	if c.Name == "" || len(c.Name) > maxPattern {
		return fmt.Errorf("a name has 1 to %d bytes", maxPattern)
	}
	return checkPattern(c.Pattern)
}

func checkKeys(r *store.TrustRule) error {
	switch {
	case r.JWKS != "" && r.JWKSURI != "":
		return errors.New("jwks: a key set and a jwks_uri are two places; name one, or none where the issuer has a discovery document")
	case len(r.JWKS) > maxJWKS:
		return errors.New("jwks: has more than 16 kB")
	case r.JWKS != "":
		each, err := keySet([]byte(r.JWKS))
		if err != nil {
			return fmt.Errorf("jwks: %w", err)
		}
		good := 0
		for _, raw := range each {
			switch _, err := ParseKey(raw); {
			case err == nil:
				good++
			case errors.Is(err, errPrivate):
				return fmt.Errorf("jwks: of one key, %w", err)
			}
		}
		if good == 0 {
			return errors.New("jwks: none of its keys is a public one of EC on P-256, Ed25519, or RSA with 2048 bits or more")
		}
	case r.JWKSURI != "":
		if err := outbound.CheckURL(r.JWKSURI); err != nil || len(r.JWKSURI) > maxIssuer {
			return errors.New("jwks_uri: must be a URL that begins with https://, of at most 1,024 bytes, without user, password and fragment")
		}
	}
	return nil
}

// Wide says why a rule lets in more than whoever wrote it may think, or nothing.
// That is a rule that pins nothing of the JWT; one for Kubernetes that does not
// name one namespace, since every namespace has its service account default; and
// one for GitHub that does not name one repository, since everybody who has one is
// of the same issuer.
func Wide(r *store.TrustRule) string {
	if !pins(r.Subject) && !slices.ContainsFunc(r.Claims, func(c store.TrustClaim) bool { return pins(c.Pattern) }) {
		return "it pins neither the subject nor a claim: whatever the issuer signs for this server is let in"
	}
	if ofKubernetes(r) && !oneNamespace(r) {
		return "it does not name one namespace: service accounts of the same name are in others"
	}
	if ofGitHub(r) && !oneRepository(r) {
		return "it does not name one repository of one owner"
	}
	return ""
}

// pins reports whether a pattern says anything.
func pins(pattern string) bool { return strings.Trim(pattern, "*:/") != "" }

// exact reports whether a rule asks for one value of a claim.
func exact(r *store.TrustRule, claim string) bool {
	return slices.ContainsFunc(r.Claims, func(c store.TrustClaim) bool { return c.Name == claim && !strings.Contains(c.Pattern, "*") })
}

// begins reports whether a pattern is of texts that begin with these segments.
func begins(segments []string, words ...string) bool {
	if len(segments) < len(words) {
		return false
	}
	for i, word := range words {
		if !Matches(segments[i], word) {
			return false
		}
	}
	return true
}

// ofKubernetes reports whether a rule is about service accounts, whose subject is
// system:serviceaccount:NAMESPACE:NAME.
func ofKubernetes(r *store.TrustRule) bool {
	return begins(strings.Split(r.Subject, ":"), "system", "serviceaccount") ||
		slices.ContainsFunc(r.Claims, func(c store.TrustClaim) bool { return strings.HasPrefix(c.Name, "/kubernetes.io/") })
}

func oneNamespace(r *store.TrustRule) bool {
	if exact(r, "/kubernetes.io/namespace") {
		return true
	}
	segments := strings.Split(r.Subject, ":")
	return len(segments) == 4 && !strings.Contains(segments[2], "*") && pins(segments[2])
}

// ofGitHub reports whether a rule is about GitHub Actions, whose subject is
// repo:OWNER/REPOSITORY:… unless the owner chose another.
func ofGitHub(r *store.TrustRule) bool {
	u, err := url.Parse(r.Issuer)
	return err == nil && strings.EqualFold(u.Hostname(), "token.actions.githubusercontent.com") ||
		strings.Contains(r.Subject, ":") && begins(strings.Split(r.Subject, ":"), "repo")
}

func oneRepository(r *store.TrustRule) bool {
	if exact(r, "repository") || exact(r, "repository_id") {
		return true
	}
	segments := strings.Split(r.Subject, ":")
	if segments[0] != "repo" || len(segments) < 2 {
		return false
	}
	owner, name, ok := strings.Cut(segments[1], "/")
	return ok && pins(owner) && pins(name) && !strings.Contains(segments[1], "*")
}
