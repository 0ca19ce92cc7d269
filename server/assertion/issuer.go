package assertion

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"postern/server/outbound"
	"postern/server/strictjson"
	"postern/store"
)

// discovery is where an issuer says where its keys are (OpenID Connect Discovery
// 1.0 section 4).
const discovery = "/.well-known/openid-configuration"

// Access is what it takes to ask an issuer for its keys, besides its address: the
// API server of Kubernetes has a CA of its own, and answers those alone who say
// who they are. Both files are read at each look, since both are renewed.
type Access struct {
	CAFile    string // whom to believe, as PEM; empty is the system's roots
	TokenFile string // a bearer token; empty is none
}

// Check returns an error where a file cannot be used. It says which of the two, and
// neither where it is nor what is in it: who may test a rule sees it, too.
func (a Access) Check() error {
	_, _, err := a.read()
	return err
}

func (a Access) read() (roots *x509.CertPool, bearer string, err error) {
	if a.CAFile != "" {
		text, err := os.ReadFile(a.CAFile)
		if err != nil {
			return nil, "", fmt.Errorf("ca_file: %w", withoutPath(err))
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(text) {
			return nil, "", errors.New("ca_file: it has no certificate in PEM")
		}
	}
	if a.TokenFile != "" {
		text, err := os.ReadFile(a.TokenFile)
		if err != nil {
			return nil, "", fmt.Errorf("token_file: %w", withoutPath(err))
		}
		bearer = strings.TrimSpace(string(text))
		if bearer == "" || len(bearer) > maxLength || strings.ContainsFunc(bearer, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return nil, "", errors.New("token_file: it has no bearer token")
		}
	}
	return roots, bearer, nil
}

func withoutPath(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// Signed returns nil if a key of the rule's issuer made the JWT's signature. The
// error is for the log and for those who may see the rule.
func (r *Remote) Signed(ctx context.Context, rule *store.TrustRule, w *Workload) error {
	if rule.JWKS != "" {
		keys, err := ParseKeys([]byte(rule.JWKS))
		if err != nil {
			return err
		}
		if find(keys, &w.Assertion) == nil {
			return errors.New("none of the keys of the rule made its signature")
		}
		return nil
	}
	if r == nil {
		return errors.New("nothing is fetched here")
	}
	access, known := r.Access[rule.Issuer]
	switch {
	case rule.JWKSURI == "":
		_, err := r.find(ctx, "issuer "+rule.Issuer, &w.Assertion, func(ctx context.Context) ([]*Key, error) {
			return r.discover(ctx, rule.Issuer, access)
		})
		return err
	case known && sameOrigin(rule.Issuer, rule.JWKSURI):
		_, err := r.find(ctx, "issuer "+rule.Issuer+" "+rule.JWKSURI, &w.Assertion, func(ctx context.Context) ([]*Key, error) {
			c, bearer, err := r.client(access)
			if err != nil {
				return nil, err
			}
			return keysAt(ctx, c, rule.JWKSURI, bearer)
		})
		return err
	default: // whoever writes a rule must not get our token by naming a host of theirs
		_, err := r.Find(ctx, rule.JWKSURI, &w.Assertion)
		return err
	}
}

// client is the one for an issuer, and the token to call it with.
func (r *Remote) client(access Access) (*outbound.Client, string, error) {
	roots, bearer, err := access.read()
	if err != nil {
		return nil, "", errors.New("outbound.issuers: " + err.Error())
	}
	if roots == nil {
		return r.Client, bearer, nil
	}
	return r.Client.Believing(roots), bearer, nil
}

// discover reads the keys of an issuer where its discovery document says that they
// are. The token goes along: the API server of Kubernetes names itself there, by
// another address.
func (r *Remote) discover(ctx context.Context, issuer string, access Access) ([]*Key, error) {
	c, bearer, err := r.client(access)
	if err != nil {
		return nil, err
	}
	body, err := get(ctx, c, "discovery document", strings.TrimSuffix(issuer, "/")+discovery, "application/json", bearer)
	if err != nil {
		return nil, err
	}
	members, err := strictjson.Object(body)
	if err != nil {
		return nil, fmt.Errorf("its discovery document: %w", err)
	}
	said := func(name string) string { text, _ := strictjson.Text(members[name]); return text }
	if said("issuer") != issuer { // OpenID Connect Discovery 1.0 section 4.3
		return nil, errors.New("its discovery document is of another issuer")
	}
	address := said("jwks_uri")
	if outbound.CheckURL(address) != nil {
		return nil, errors.New("its discovery document names no jwks_uri that begins with https://")
	}
	return keysAt(ctx, c, address, bearer)
}

// sameOrigin reports whether two URLs are of one server.
func sameOrigin(a, b string) bool {
	first, err := url.Parse(a)
	if err != nil {
		return false
	}
	second, err := url.Parse(b)
	port := func(u *url.URL) string {
		if u.Port() == "" {
			return "443"
		}
		return u.Port()
	}
	return err == nil && first.Scheme == second.Scheme && strings.EqualFold(first.Hostname(), second.Hostname()) && port(first) == port(second)
}
