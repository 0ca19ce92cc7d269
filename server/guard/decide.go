package guard

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// peer is the address of the connection.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// question is all that a decision depends on.
type question [sha256.Size]byte

// asked makes a question of its parts, each behind its length: so no two of them
// can be taken for others.
func asked(parts ...string) (q question) {
	h := sha256.New()
	var size [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		_, _ = h.Write(size[:])
		_, _ = h.Write([]byte(p))
	}
	h.Sum(q[:0])
	return q
}

// decisions are those that were allowed lately.
type decisions struct {
	mu   sync.Mutex
	kept map[question]decision
}

type decision struct {
	id    *Identity
	until time.Time
}

func (d *decisions) get(q question, now time.Time) *Identity {
	d.mu.Lock()
	defer d.mu.Unlock()
	if k, ok := d.kept[q]; ok && now.Before(k.until) {
		return k.id
	}
	return nil
}

func (d *decisions) put(q question, k decision, now time.Time, most int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept == nil {
		d.kept = map[question]decision{}
	}
	if len(d.kept) >= most {
		for old, k := range d.kept {
			if !now.Before(k.until) {
				delete(d.kept, old)
			}
		}
		if len(d.kept) >= most {
			clear(d.kept)
		}
	}
	d.kept[q] = k
}

// decide asks Postern about a request. Its body is not passed on, so calls of
// endpoints that speak GraphQL are refused.
func (g *Guard) decide(r *http.Request) (*Identity, error) {
	authorization := r.Header["Authorization"]
	address := g.o.Address(r)
	target := r.RequestURI
	if target == "" {
		target = r.URL.RequestURI()
	}
	path, _, _ := strings.Cut(target, "?") // the query of a call does not matter
	presented := certificateOf(r)
	q := asked(strings.Join(authorization, "\n"), r.Method, r.Host, path, address, presented)
	now := g.o.Now()
	reuse := g.o.Reuse > 0 && len(r.Header["Dpop"]) == 0 // a proof is for one call
	if reuse {
		if id := g.decided.get(q, now); id != nil {
			return id, nil
		}
	}
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, g.o.Decisions, http.NoBody)
	if err != nil {
		return nil, unavailable(err.Error())
	}
	h := ask.Header
	h["X-Original-Method"], h["X-Original-Uri"], h["X-Original-Host"] = []string{r.Method}, []string{target}, []string{r.Host}
	if address != "" {
		h["X-Real-Ip"] = []string{address}
	}
	if len(authorization) > 0 {
		h["Authorization"] = authorization
	}
	if proofs := r.Header["Dpop"]; len(proofs) > 0 {
		h["Dpop"] = proofs
	}
	if g.o.CertificateHeader != "" && presented != "" {
		h.Set(g.o.CertificateHeader, presented)
	}
	if g.o.Credential != "" {
		h["X-Postern-Gateway"] = []string{g.o.Credential}
	}
	answer, err := g.o.HTTP.Do(ask)
	if err != nil {
		return nil, unavailable("Postern does not answer")
	}
	_ = answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		challenge := answer.Header.Get("WWW-Authenticate")
		if !strings.HasPrefix(challenge, "Bearer") && !strings.HasPrefix(challenge, "DPoP") {
			// It is this server's own credential: no client can do anything about it.
			return nil, unavailable("Postern does not know this server's credential")
		}
		return nil, &Error{http.StatusUnauthorized, challenge, answer.Header.Get("DPoP-Nonce"), "Postern refused the token"}
	case http.StatusForbidden:
		return nil, &Error{http.StatusForbidden, "", "", "Postern refused the call"}
	default:
		return nil, unavailable("Postern is in trouble")
	}
	id := identityOf(answer.Header)
	if id == nil {
		return nil, unavailable("the answer is not Postern's")
	}
	if reuse {
		g.decided.put(q, decision{id, now.Add(g.o.Reuse)}, now, g.o.Kept)
	}
	return id, nil
}

// certificateOf is the certificate that the client presented on the connection, in
// base64; empty is none.
func certificateOf(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	return base64.StdEncoding.EncodeToString(r.TLS.PeerCertificates[0].Raw)
}

// identityOf reads an answer, which always has all headers.
func identityOf(h http.Header) *Identity {
	value := func(name string) string {
		if v := h.Get(name); v != "-" {
			return v
		}
		return ""
	}
	for _, name := range []string{"X-Auth-Subject", "X-Auth-Client", "X-Auth-Workspace", "X-Auth-Roles", "X-Auth-Scope"} {
		if len(h[name]) != 1 || h[name][0] == "" {
			return nil
		}
	}
	id := &Identity{
		Subject: value("X-Auth-Subject"), Client: value("X-Auth-Client"), Workspace: value("X-Auth-Workspace"),
		Scopes: strings.Fields(value("X-Auth-Scope")), Token: h.Get("X-Auth-Token"),
	}
	if roles := value("X-Auth-Roles"); roles != "" {
		id.Roles = strings.Split(roles, ",")
	}
	return id
}
