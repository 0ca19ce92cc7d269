package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// makeKey is the line that makes an encryption key.
const makeKey = "openssl rand -base64 32"

// Validate returns every fault of c, a line for each, or nil: the key, its value
// unless that is secret, and what is allowed.
func (c Config) Validate() error {
	var faults []error
	fault := func(key, format string, args ...any) {
		faults = append(faults, fmt.Errorf(key+": "+format, args...))
	}
	for _, f := range fields() {
		switch at := f.in(&c).(type) {
		case *time.Duration:
			if *at <= 0 {
				fault(f.Name, "%s is not allowed, must be more than 0", formatDuration(*at))
			}
		case *string:
			if f.oneof != nil && !slices.Contains(f.oneof, *at) {
				fault(f.Name, "%s is not allowed, must be one of %s", shown(*at), strings.ReplaceAll(f.Type, "|", ", "))
			}
		}
	}
	c.validateListeners(fault)
	c.validatePublicURL(fault)
	c.validateStore(fault)
	c.validateClients(fault)
	c.validateMail(fault)
	c.validateOIDC(fault)
	if c.Tokens.AccessTTL > 0 && c.Tokens.AccessTTL < time.Second {
		fault("tokens.access_ttl", "%s is too short, must be at least 1s", c.Tokens.AccessTTL)
	}
	if e := c.OTel.Endpoint; e != "" {
		if u, err := url.Parse(e); err != nil || !isHTTP(u) || u.User != nil {
			fault("otel.endpoint", "%s is not an http or https URL without a user", shown(e))
		}
	}
	return errors.Join(faults...)
}

// Issuer returns what tokens carry as iss: server.public_url, or without one the
// URL of the public listener, which Validate allows on loopback only. When that
// listens on port 0, put the address it got into Server.Listen first.
func (c Config) Issuer() string {
	switch {
	case c.Server.PublicURL != "":
		return c.Server.PublicURL
	case c.Server.TLS.CertFile != "":
		return "https://" + c.Server.Listen
	}
	return "http://" + c.Server.Listen
}

// EncryptionKeys returns the keys of keys.encryption_key, 32 bytes each: the
// first seals, all open. There may be none.
func (c Config) EncryptionKeys() ([][]byte, error) {
	if !c.Keys.EncryptionKey.IsSet() {
		return nil, nil
	}
	var keys [][]byte
	for text := range strings.SplitSeq(c.Keys.EncryptionKey.Reveal(), ",") {
		// The decoder's error is left out: it is about the secret's text.
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil || len(key) != 32 {
			return nil, fmt.Errorf("keys.encryption_key: key %d is not base64 of 32 bytes; make one with: %s", len(keys)+1, makeKey)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

type faultFunc func(key, format string, args ...any)

func (c Config) validateListeners(fault faultFunc) {
	listeners := []struct {
		key, addr string
		optional  bool
	}{
		{"server.listen", c.Server.Listen, false},
		{"gateway.listen", c.Gateway.Listen, false},
		{"ops.listen", c.Ops.Listen, false},
		{"server.mtls_listen", c.Server.MTLSListen, true},
		{"gateway.grpc_listen", c.Gateway.GRPC, true},
	}
	taken := make(map[string]string)
	for _, l := range listeners {
		if l.addr == "" && l.optional {
			continue
		}
		_, port, err := net.SplitHostPort(l.addr)
		if err != nil || !isPort(port) {
			fault(l.key, "%s is not host:port, such as 127.0.0.1:8085", shown(l.addr))
			continue
		}
		if other, twice := taken[l.addr]; twice && port != "0" {
			fault(l.key, "%s is the address of %s, must be its own", shown(l.addr), other)
		}
		taken[l.addr] = l.key
		if strings.HasPrefix(l.key, "server.") && c.Server.PublicURL == "" && !onLoopback(l.addr) {
			fault("server.public_url", "is required, since %s %s is not on loopback: the https URL that clients reach this server by", l.key, shown(l.addr))
		}
	}
	tls := c.Server.TLS
	if tls.CertFile != "" && tls.KeyFile == "" {
		fault("server.tls.key_file", "is required with server.tls.cert_file")
	}
	if tls.KeyFile != "" && tls.CertFile == "" {
		fault("server.tls.cert_file", "is required with server.tls.key_file")
	}
	if c.Server.MTLSListen != "" && tls == (TLS{}) {
		fault("server.mtls_listen", "needs server.tls.cert_file and server.tls.key_file")
	}
	c.validateCertificates(fault)
}

// validateCertificates is about those that clients present.
func (c Config) validateCertificates(fault faultFunc) {
	if text := c.Server.MTLSURL; text != "" {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.ContainsAny(text, "?#") || strings.HasSuffix(text, "/") {
			fault("server.mtls_url", "%s must be a URL such as https://mtls.example.com:8443, without a slash at its end", shown(text))
		}
	}
	if c.Server.CertHeader != "" && len(c.Server.TrustedProxies) == 0 {
		fault("server.certificate_header", "needs server.trusted_proxies: nobody else's header is believed")
	}
	if strings.ContainsFunc(c.Server.CertHeader, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }) {
		fault("server.certificate_header", "%s is no name of a header", shown(c.Server.CertHeader))
	}
	if c.Server.MTLSCAFile != "" && c.Server.MTLSListen == "" && c.Server.CertHeader == "" {
		fault("server.mtls_ca_file", "needs server.mtls_listen or server.certificate_header, by which certificates come")
	}
}

// MTLSURL is where clients that present a certificate find the endpoints (RFC 8705
// section 5), empty where there is no such place of its own.
func (c Config) MTLSURL() string {
	if c.Server.MTLSURL != "" || c.Server.MTLSListen == "" {
		return c.Server.MTLSURL
	}
	issuer, err := url.Parse(c.Issuer())
	_, port, portErr := net.SplitHostPort(c.Server.MTLSListen)
	if err != nil || portErr != nil {
		return ""
	}
	return "https://" + net.JoinHostPort(issuer.Hostname(), port) + issuer.EscapedPath()
}

// validatePublicURL holds the issuer to RFC 8414 section 2, and to one spelling:
// clients compare it byte by byte.
func (c Config) validatePublicURL(fault faultFunc) {
	const key = "server.public_url"
	text := c.Server.PublicURL
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || !isHTTP(u) || u.Port() != "" && !isPort(u.Port()):
		fault(key, "%s is not a URL such as https://auth.example.com", shown(text))
	case u.User != nil:
		fault(key, "must not hold a user or password")
	case strings.ContainsAny(text, "?#"):
		fault(key, "must not have a query or fragment")
	case strings.HasSuffix(text, "/"):
		fault(key, "%s must not end in a slash", shown(text))
	case u.Path != "" && path.Clean(u.Path) != u.Path:
		fault(key, "%s must not have empty or dot segments in its path", shown(text))
	case u.Scheme == "http" && !c.Server.AllowHTTPIssuer && !isLoopback(u.Hostname()):
		fault(key, "%s must be https, unless it is on loopback or server.allow_http_issuer is true", shown(text))
	}
}

func (c Config) validateStore(fault faultFunc) {
	s := c.Store
	if s.MaxStaleness > 0 && s.MaxStaleness < 2*time.Second {
		fault("store.max_staleness", "%s is too short, must be at least 2s", s.MaxStaleness)
	}
	if _, err := c.EncryptionKeys(); err != nil {
		_, what, _ := strings.Cut(err.Error(), ": ")
		fault("keys.encryption_key", "%s", what)
	}
	switch s.Driver {
	case "sqlite":
		if s.SQLite.Dir == "" {
			fault("store.sqlite.dir", "is required with store.driver sqlite")
		}
		if s.MongoDB.URI.IsSet() {
			fault("store.driver", "is sqlite although store.mongodb.uri is set: set it to mongodb, or leave out the URI")
		}
	case "mongodb":
		uri := s.MongoDB.URI.Reveal()
		switch {
		case uri == "":
			fault("store.mongodb.uri", "is required with store.driver mongodb")
		case !strings.HasPrefix(uri, "mongodb://") && !strings.HasPrefix(uri, "mongodb+srv://"):
			fault("store.mongodb.uri", "must begin with mongodb:// or mongodb+srv://")
		}
		// https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
		if d := s.MongoDB.Database; d == "" || len(d) > 63 || strings.ContainsAny(d, "/\\. \"$*<>:|?\x00") {
			fault("store.mongodb.database", "%s is not a database name: 1 to 63 bytes, none of them /\\. \"$*<>:|?", shown(d))
		}
		if !c.Keys.EncryptionKey.IsSet() {
			fault("keys.encryption_key", "is required with store.driver mongodb; make one with: %s", makeKey)
		}
	}
}

func (c Config) validateClients(fault faultFunc) {
	limit := c.Clients.MaxExpiry
	if limit == Never {
		fault("clients.max_expiry", "never is no cap: leave it empty")
	}
	if len(c.Clients.ExpiryChoices) == 0 {
		fault("clients.expiry_choices", "is empty, must have at least one lifetime")
	}
	switch d := c.Clients.DefaultExpiry; {
	case d == 0:
		fault("clients.default_expiry", "is required: a lifetime such as 90d, or never")
	case d == Never && !c.Clients.AllowNever:
		fault("clients.default_expiry", "never is not allowed while clients.allow_never is false")
	case limit > 0 && (d == Never || d > limit):
		fault("clients.default_expiry", "%s is more than clients.max_expiry %s", d, limit)
	}
}

func (c Config) validateMail(fault faultFunc) {
	m := c.Mail
	if m.Address == "" {
		if m.From != "" || m.Username != "" || m.Password.IsSet() {
			fault("mail.address", "is required with mail.from, mail.username and mail.password")
		}
		return
	}
	if host, port, err := net.SplitHostPort(m.Address); err != nil || host == "" || !isPort(port) || port == "0" {
		fault("mail.address", "%s is not host:port, such as mail.example.com:587", shown(m.Address))
	} else if m.TLS == "none" && !isLoopback(host) {
		fault("mail.tls", "none is not allowed for %s, which is not on this machine", shown(m.Address))
	}
	if _, err := mail.ParseAddress(m.From); err != nil {
		fault("mail.from", "%s is no mail address, such as Postern <postern@example.com>", shown(m.From))
	}
	if (m.Username == "") == m.Password.IsSet() {
		fault("mail.username", "must be set together with mail.password")
	}
}

func isHTTP(u *url.URL) bool {
	return (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != ""
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

func onLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	return err == nil && isLoopback(host)
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func (c Config) validateOIDC(fault faultFunc) {
	o := c.OIDC
	if o.Issuer == "" {
		for _, key := range []struct {
			name string
			set  bool
		}{
			{"oidc.client_id", o.ClientID != ""}, {"oidc.client_secret", o.ClientSecret.IsSet()}, {"oidc.create_accounts", o.CreateAccounts}, {"oidc.teams", len(o.Teams) > 0},
		} {
			if key.set {
				fault("oidc.issuer", "is required with %s", key.name)
				break
			}
		}
		if !c.Console.PasswordSignIn {
			fault("console.password_sign_in", "false is not allowed without oidc.issuer: nobody could sign in")
		}
		return
	}
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || strings.ContainsAny(o.Issuer, "?#"):
		fault("oidc.issuer", "%s is not an https URL without a query, such as https://login.example.com", shown(o.Issuer))
	case u.User != nil:
		fault("oidc.issuer", "must not hold a user or password")
	}
	if o.ClientID == "" {
		fault("oidc.client_id", "is required with oidc.issuer")
	}
	if !slices.Contains(strings.Fields(o.Scopes), "openid") {
		fault("oidc.scopes", "%s is not allowed, openid must be among it", shown(o.Scopes))
	}
	if o.GroupsClaim == "" {
		fault("oidc.groups_claim", "is required")
	}
}
