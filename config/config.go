// Package config is Postern's configuration: every key with its type, default
// and meaning, where values come from, and which of them are allowed.
//
// A value is taken from the first that has it: a flag, an environment variable,
// the YAML file, the default. [Load] reads these and refuses what it does not
// know, [Config.Validate] judges the whole, [Config.Print] writes it as YAML
// that loads to the same configuration. Keys, variable names, defaults and
// one-line docs all come from the tags of the structs in this file.
//
// No error or warning of this package holds a secret. Opening listeners and
// stores, and reading certificates, is left to others.
package config

import (
	"net/netip"
	"time"
)

// Config is the whole configuration. A zero Config is not usable: start from
// [Default] or [Load].
//
// Tags: koanf is the last part of the key; default is its text, absent for the
// empty one; doc is one line; flag is the flag of `postern serve` that sets it;
// oneof lists the allowed values.
type Config struct {
	Server     Server     `koanf:"server"`
	Gateway    Gateway    `koanf:"gateway"`
	Ops        Ops        `koanf:"ops"`
	Store      Store      `koanf:"store"`
	Tokens     Tokens     `koanf:"tokens"`
	Keys       KeyRing    `koanf:"keys"`
	Clients    Clients    `koanf:"clients"`
	Personal   Personal   `koanf:"personal"`
	Workspaces Workspaces `koanf:"workspaces"`
	Usage      Usage      `koanf:"usage"`
	Limits     Limits     `koanf:"limits"`
	Log        Log        `koanf:"log"`
	OTel       OTel       `koanf:"otel"`
	Outbound   Outbound   `koanf:"outbound"`
	Mail       Mail       `koanf:"mail"`
	OIDC       OIDC       `koanf:"oidc"`
	Console    Console    `koanf:"console"`
	Bootstrap  Bootstrap  `koanf:"bootstrap"`
}

// Server is the public listener and the name it is known by.
type Server struct {
	Listen          string         `koanf:"listen" flag:"listen" default:"127.0.0.1:8085" doc:"host:port of the public listener: tokens, administration, console"`
	MTLSListen      string         `koanf:"mtls_listen" doc:"host:port of a second public listener that asks for client certificates; empty for none"`
	MTLSURL         string         `koanf:"mtls_url" doc:"https URL by which clients reach mtls_listen; empty is the host of public_url at its port"`
	MTLSCAFile      string         `koanf:"mtls_ca_file" doc:"PEM file with the authorities that issue certificates to clients; empty: only certificates registered one by one"`
	CertHeader      string         `koanf:"certificate_header" doc:"header in which trusted_proxies pass the client's certificate, such as Client-Cert; empty believes none"`
	PublicURL       string         `koanf:"public_url" doc:"the issuer, as clients reach it; required when a public listener is not on loopback"`
	AllowHTTPIssuer bool           `koanf:"allow_http_issuer" default:"false" doc:"allow a public_url of http off loopback, for networks that encrypt below it"`
	TLS             TLS            `koanf:"tls"`
	TrustedProxies  []netip.Prefix `koanf:"trusted_proxies" doc:"addresses and networks whose X-Forwarded-For is believed"`
	ShutdownTimeout time.Duration  `koanf:"shutdown_timeout" default:"25s" doc:"how long running requests may take to end after SIGTERM"`
}

// TLS names the certificate of the public listeners: both files or neither.
type TLS struct {
	CertFile string `koanf:"cert_file" doc:"PEM file with the certificate chain; empty for plain HTTP"`
	KeyFile  string `koanf:"key_file" doc:"PEM file with the certificate's private key"`
}

// Gateway is the listener that answers API gateways.
type Gateway struct {
	Listen string `koanf:"listen" flag:"gateway-listen" default:"127.0.0.1:8086" doc:"host:port of the listener for decisions; off loopback every gateway needs its credential"`
	GRPC   string `koanf:"grpc_listen" doc:"host:port of the listener for decisions by gRPC (Envoy's ext_authz); empty is none"`
}

// Ops is the listener for probes and metrics.
type Ops struct {
	Listen string `koanf:"listen" flag:"ops-listen" default:"127.0.0.1:9085" doc:"host:port of the listener for /livez, /readyz and /metrics; keep it private"`
}

// Store says where records live.
type Store struct {
	Driver       string        `koanf:"driver" flag:"store" default:"sqlite" oneof:"sqlite|mongodb" doc:"sqlite for the embedded store of one process, mongodb for several"`
	SQLite       SQLite        `koanf:"sqlite"`
	MongoDB      MongoDB       `koanf:"mongodb"`
	MaxStaleness time.Duration `koanf:"max_staleness" default:"60s" doc:"refuse tokens, introspection and decisions when the state is older than this; at least 2s"`
}

// SQLite is the embedded store.
type SQLite struct {
	Dir string `koanf:"dir" flag:"data" default:"./postern-data" doc:"folder of the embedded store and its keys"`
}

// MongoDB is the store that several processes share.
type MongoDB struct {
	URI      Secret `koanf:"uri" flag:"mongodb-uri" doc:"connection string of a replica set or sharded cluster"`
	Database string `koanf:"database" default:"postern" doc:"name of the MongoDB database"`
}

// Tokens are the defaults for access tokens; an API may choose otherwise.
type Tokens struct {
	AccessTTL time.Duration `koanf:"access_ttl" default:"1h" doc:"how long an access token lives"`
	Format    string        `koanf:"format" default:"jwt" oneof:"jwt|opaque" doc:"jwt can be verified offline, opaque only by introspection"`
	Algorithm string        `koanf:"algorithm" default:"ES256" oneof:"ES256|EdDSA|RS256" doc:"how a JWT is signed"`

	EndpointAudience bool `koanf:"endpoint_audience" default:"false" doc:"accept client assertions (private_key_jwt) whose aud is the token endpoint; the issuer alone is safer"`
}

// KeyRing is how signing keys are sealed and changed.
type KeyRing struct {
	EncryptionKey Secret        `koanf:"encryption_key" doc:"base64 of 32 bytes, or several with commas: the first seals, all open; required for mongodb, else kept in the data folder"`
	RotateEvery   time.Duration `koanf:"rotate_every" default:"30d" doc:"how often a new signing key takes over"`
}

// Clients is what may be chosen for the expiry of clients and their secrets.
type Clients struct {
	ExpiryChoices []Lifetime `koanf:"expiry_choices" default:"30d,60d,90d,1y,never" doc:"lifetimes offered for a new client"`
	DefaultExpiry Lifetime   `koanf:"default_expiry" default:"90d" doc:"lifetime of a client made without naming one"`
	MaxExpiry     Lifetime   `koanf:"max_expiry" doc:"the longest lifetime anyone may choose; empty for no cap"`
	Registration  bool       `koanf:"dynamic_registration" default:"false" doc:"serve POST /oauth2/register (RFC 7591), for who may create clients"`
	AllowNever    bool       `koanf:"allow_never" default:"true" doc:"whether a client may be made that never expires"`
}

// Personal is about personal access tokens.
type Personal struct {
	AutoCreate bool `koanf:"auto_create" default:"false" doc:"make a personal client for every new person"`
}

// Workspaces are the settings a new workspace starts with.
type Workspaces struct {
	APIAccess bool `koanf:"api_access" default:"true" doc:"whether a new workspace may be reached by API"`
}

// Usage is how last access and counters are kept.
type Usage struct {
	FlushInterval time.Duration `koanf:"flush_interval" default:"5s" doc:"how often usage is written to the store; kill -9 loses at most this much"`
	Retention     time.Duration `koanf:"retention" default:"90d" doc:"how long usage is kept"`
}

// Limits are counted per process.
type Limits struct {
	TokenPerClient           Rate `koanf:"token_per_client" default:"50/s" doc:"token requests of one authenticated client; 0 for no limit"`
	IntrospectPerClient      Rate `koanf:"introspect_per_client" default:"0" doc:"introspections by one client; 0 for no limit"`
	FailuresPerClientAddress Rate `koanf:"failures_per_client_address" default:"10/min" doc:"failed authentications of one client id from one address; 0 for no limit"`
	FailuresPerAddress       Rate `koanf:"failures_per_address" default:"600/min" doc:"failed authentications from one address; 0 for no limit"`
}

// Log is what is logged to stderr, and how.
type Log struct {
	Level  string `koanf:"level" default:"info" oneof:"debug|info|warn|error" doc:"the least important level that is logged"`
	Format string `koanf:"format" oneof:"|text|json" doc:"form of a log line; empty for text on a terminal, else json"`
}

// OTel is where traces go.
type OTel struct {
	Endpoint string `koanf:"endpoint" doc:"http or https URL of an OTLP collector; empty for no traces"`
}

// Outbound is about the calls Postern makes itself.
type Outbound struct {
	Allow   []netip.Prefix `koanf:"allow" doc:"private addresses and networks that webhooks and key URLs may reach, besides all public ones"`
	Issuers []Issuer       `koanf:"issuers" doc:"issuers of workloads' tokens whose keys take a CA or a bearer token to read, such as the API server of Kubernetes"`
}

// Mail is the server by which people are told what concerns them.
type Mail struct {
	Address  string `koanf:"address" doc:"host:port of an SMTP server; empty for no mail"`
	From     string `koanf:"from" doc:"the sender, such as Postern <postern@example.com>; required with mail.address"`
	Username string `koanf:"username" doc:"who logs in to the SMTP server; empty for no login"`
	Password Secret `koanf:"password" doc:"the password of mail.username"`
	TLS      string `koanf:"tls" default:"starttls" oneof:"starttls|tls|none" doc:"how the connection is encrypted; none is for a server on this machine"`
}

// OIDC is the identity provider by which people sign in to the console.
type OIDC struct {
	Issuer         string      `koanf:"issuer" doc:"https URL of an OpenID Connect provider, as it names itself; empty for none"`
	ClientID       string      `koanf:"client_id" doc:"id that the provider gave Postern; its redirect URI is the public URL and /console/oidc/callback"`
	ClientSecret   Secret      `koanf:"client_secret" doc:"the secret of oidc.client_id; empty for a public client"`
	Scopes         string      `koanf:"scopes" default:"openid profile email" doc:"what is asked of the provider, separated by spaces; openid among it"`
	NameClaim      string      `koanf:"name_claim" doc:"claim that names a person, and that nobody chooses for themselves; empty for preferred_username, else email"`
	GroupsClaim    string      `koanf:"groups_claim" default:"groups" doc:"claim with the names of a person's groups"`
	CreateAccounts bool        `koanf:"create_accounts" default:"false" doc:"make an account for whoever signs in by the provider and has none"`
	Teams          []GroupTeam `koanf:"teams" doc:"teams of the provider's groups; a group that is not named is the team of its own name"`
}

// Console is about the pages for people.
type Console struct {
	PasswordSignIn bool `koanf:"password_sign_in" default:"true" doc:"whether people sign in to the console by password; false needs oidc.issuer"`
}

// Bootstrap is what the first start on an empty store makes.
type Bootstrap struct {
	Example bool `koanf:"example" default:"true" doc:"make the example API and its clients on the first start"`
	// File is where the first secrets are written. It is for one start, so the
	// flag --bootstrap-file alone sets it: it has no key.
	File string `koanf:"-"`
}
