package config_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"postern/config"
)

func TestValidateNamesEachFault(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	mongo := "driver: mongodb, mongodb: {uri: mongodb://h}"
	tests := []struct {
		name, yaml string
		want       string // empty: valid
	}{
		{name: "localhost", yaml: "server: {listen: 'localhost:0'}"},
		{name: "IPv6 loopback", yaml: "server: {listen: '[::1]:8085'}"},
		{name: "all interfaces", yaml: "server: {listen: '0.0.0.0:8085'}", want: `server.public_url: is required, since server.listen "0.0.0.0:8085" is not on loopback`},
		{name: "all interfaces, unnamed", yaml: "server: {listen: ':8085'}", want: "server.public_url: is required"},
		{name: "a host's name", yaml: "server: {listen: 'auth:8085'}", want: "server.public_url: is required"},
		{name: "mTLS off loopback", yaml: "server: {mtls_listen: ':8443', tls: {cert_file: c, key_file: k}}", want: "since server.mtls_listen"},
		{name: "mTLS without a certificate", yaml: "server: {mtls_listen: 'localhost:8443'}", want: "server.mtls_listen: needs server.tls.cert_file"},
		{name: "other listeners off loopback", yaml: "gateway: {listen: ':8086'}\nops: {listen: ':9085'}"},
		{name: "no port", yaml: "server: {listen: localhost}", want: `server.listen: "localhost" is not host:port`},
		{name: "port out of range", yaml: "ops: {listen: 'localhost:99999'}", want: `ops.listen: "localhost:99999" is not host:port`},
		{name: "listener left out", yaml: "gateway: {listen: ''}", want: `gateway.listen: "" is not host:port`},
		{name: "one address twice", yaml: "ops: {listen: '127.0.0.1:8085'}", want: `ops.listen: "127.0.0.1:8085" is the address of server.listen`},
		{name: "port 0 twice", yaml: "server: {listen: '127.0.0.1:0'}\nops: {listen: '127.0.0.1:0'}"},
		{name: "https issuer", yaml: "server: {listen: ':8085', public_url: 'https://auth.example.com/tenant'}"},
		{name: "http issuer", yaml: "server: {public_url: 'http://auth.example.com'}", want: `server.public_url: "http://auth.example.com" must be https`},
		{name: "http issuer, allowed", yaml: "server: {public_url: 'http://auth', allow_http_issuer: true}"},
		{name: "http issuer on loopback", yaml: "server: {public_url: 'http://localhost:8085'}"},
		{name: "issuer with a query", yaml: "server: {public_url: 'https://h/a?b'}", want: "server.public_url: must not have a query"},
		{name: "issuer with an empty fragment", yaml: "server: {public_url: 'https://h#'}", want: "server.public_url: must not have a query or fragment"},
		{name: "issuer with a slash", yaml: "server: {public_url: 'https://h/'}", want: `server.public_url: "https://h/" must not end in a slash`},
		{name: "issuer with dots", yaml: "server: {public_url: 'https://h/a/../b'}", want: "server.public_url: \"https://h/a/../b\" must not have empty or dot segments"},
		{name: "issuer with a user", yaml: "server: {public_url: 'https://u@h'}", want: "server.public_url: must not hold a user"},
		{name: "issuer without scheme", yaml: "server: {public_url: 'auth.example.com'}", want: `server.public_url: "auth.example.com" is not a URL`},
		{name: "issuer without host", yaml: "server: {public_url: 'https://:80'}", want: "is not a URL"},
		{name: "issuer with a bad port", yaml: "server: {public_url: 'https://h:99999'}", want: "is not a URL"},
		{name: "certificate without key", yaml: "server: {tls: {cert_file: c}}", want: "server.tls.key_file: is required with server.tls.cert_file"},
		{name: "key without certificate", yaml: "server: {tls: {key_file: c}}", want: "server.tls.cert_file: is required with server.tls.key_file"},
		{name: "unknown driver", yaml: "store: {driver: bolt}", want: `store.driver: "bolt" is not allowed, must be one of sqlite, mongodb`},
		{name: "embedded store without folder", yaml: "store: {sqlite: {dir: ''}}", want: "store.sqlite.dir: is required"},
		{name: "URI for the embedded store", yaml: "store: {mongodb: {uri: mongodb://h}}", want: "store.driver: is sqlite although store.mongodb.uri is set"},
		{name: "MongoDB", yaml: "store: {" + mongo + "}\nkeys: {encryption_key: " + key + "}"},
		{name: "MongoDB without URI", yaml: "store: {driver: mongodb}\nkeys: {encryption_key: " + key + "}", want: "store.mongodb.uri: is required"},
		{name: "MongoDB with another URI", yaml: "store: {driver: mongodb, mongodb: {uri: 'http://h'}}", want: "store.mongodb.uri: must begin with mongodb:// or mongodb+srv://"},
		{name: "MongoDB without key", yaml: "store: {" + mongo + "}", want: "keys.encryption_key: is required with store.driver mongodb; make one with: openssl rand -base64 32"},
		{name: "database's name", yaml: "store: {driver: mongodb, mongodb: {database: a.b}}", want: `store.mongodb.database: "a.b" is not a database name`},
		{name: "stale at once", yaml: "store: {max_staleness: 1999ms}", want: "store.max_staleness: 1.999s is too short, must be at least 2s"},
		{name: "key of 16 bytes", yaml: "keys: {encryption_key: 'AAAAAAAAAAAAAAAAAAAAAA=='}", want: "keys.encryption_key: key 1 is not base64 of 32 bytes; make one with: openssl"},
		{name: "second key malformed", yaml: "keys: {encryption_key: '" + key + ", x'}", want: "keys.encryption_key: key 2 is not base64 of 32 bytes"},
		{name: "redacted print", yaml: "keys: {encryption_key: '[secret]'}", want: "keys.encryption_key: key 1 is not base64"},
		{name: "format", yaml: "tokens: {format: JWT}", want: `tokens.format: "JWT" is not allowed, must be one of jwt, opaque`},
		{name: "algorithm", yaml: "tokens: {algorithm: HS256}", want: `tokens.algorithm: "HS256" is not allowed, must be one of ES256, EdDSA, RS256`},
		{name: "mail", yaml: "mail: {address: 'mail.example.com:587', from: 'Postern <p@example.com>', username: u, password: p}"},
		{name: "mail without login, on this machine", yaml: "mail: {address: 'localhost:25', from: p@example.com, tls: none}"},
		{name: "mail without a port", yaml: "mail: {address: mail.example.com, from: p@example.com}", want: `mail.address: "mail.example.com" is not host:port`},
		{name: "mail without a sender", yaml: "mail: {address: 'mail.example.com:587'}", want: `mail.from: "" is no mail address`},
		{name: "mail in the clear", yaml: "mail: {address: 'mail.example.com:25', from: p@example.com, tls: none}", want: "mail.tls: none is not allowed"},
		{name: "mail with half a login", yaml: "mail: {address: 'mail.example.com:587', from: p@example.com, username: u}", want: "mail.username: must be set together with mail.password"},
		{name: "a mail password for nobody", yaml: "mail: {password: hunter2}", want: "mail.address: is required with mail.from"},
		{name: "provider", yaml: "oidc: {issuer: 'https://login.example.com/realms/one', client_id: c, teams: ['CN=ops,OU=x=ops']}\nconsole: {password_sign_in: false}"},
		{name: "provider over http", yaml: "oidc: {issuer: 'http://login.example.com', client_id: c}", want: `oidc.issuer: "http://login.example.com" is not an https URL`},
		{name: "provider without a client", yaml: "oidc: {issuer: 'https://login.example.com'}", want: "oidc.client_id: is required with oidc.issuer"},
		{name: "provider without openid", yaml: "oidc: {issuer: 'https://login.example.com', client_id: c, scopes: profile}", want: `oidc.scopes: "profile" is not allowed, openid must be among it`},
		{name: "a client of no provider", yaml: "oidc: {client_secret: hunter2}", want: "oidc.issuer: is required with oidc.client_secret"},
		{name: "no way in", yaml: "console: {password_sign_in: false}", want: "console.password_sign_in: false is not allowed without oidc.issuer"},
		{name: "level", yaml: "log: {level: ''}", want: `log.level: "" is not allowed, must be one of debug, info, warn, error`},
		{name: "log format", yaml: "log: {format: xml}", want: `log.format: "xml" is not allowed, must be one of text, json`},
		{name: "no lifetime of tokens", yaml: "tokens: {access_ttl: 0s}", want: "tokens.access_ttl: 0s is not allowed, must be more than 0"},
		{name: "tokens under a second", yaml: "tokens: {access_ttl: 10ms}", want: "tokens.access_ttl: 10ms is too short"},
		{name: "negative duration", yaml: "usage: {retention: -30d}", want: "usage.retention: -30d is not allowed"},
		{
			name: "each duration", yaml: "server: {shutdown_timeout: 0s}\nkeys: {rotate_every: 0s}\nusage: {flush_interval: 0s}",
			want: "server.shutdown_timeout: 0s is not allowed, must be more than 0\nkeys.rotate_every: 0s is not allowed, must be more than 0\nusage.flush_interval",
		},
		{name: "no choices", yaml: "clients: {expiry_choices: []}", want: "clients.expiry_choices: is empty"},
		{name: "no default", yaml: "clients: {default_expiry: ''}", want: "clients.default_expiry: is required"},
		{name: "default is never, which is not allowed", yaml: "clients: {default_expiry: never, allow_never: false}", want: "clients.default_expiry: never is not allowed"},
		{name: "default over the cap", yaml: "clients: {max_expiry: 30d}", want: "clients.default_expiry: 90d is more than clients.max_expiry 30d"},
		{name: "never over the cap", yaml: "clients: {default_expiry: never, max_expiry: 30d}", want: "clients.default_expiry: never is more than"},
		{name: "default at the cap", yaml: "clients: {max_expiry: 90d, allow_never: false}"},
		{name: "cap of never", yaml: "clients: {max_expiry: never}", want: "clients.max_expiry: never is no cap"},
		{name: "traces", yaml: "otel: {endpoint: 'http://localhost:4318'}"},
		{name: "traces to nowhere", yaml: "otel: {endpoint: 'localhost:4318'}", want: `otel.endpoint: "localhost:4318" is not an http or https URL`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _, err := load(tt.yaml, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = c.Validate()
			if tt.want == "" && err != nil {
				t.Errorf("got %v, want no fault", err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got  %v\nwant …%s…", err, tt.want)
			}
		})
	}
}

func TestIssuer(t *testing.T) {
	for yaml, want := range map[string]string{
		"": "http://127.0.0.1:8085",
		"server: {listen: '[::1]:1', tls: {cert_file: c, key_file: k}}": "https://[::1]:1",
		"server: {public_url: 'https://auth.example.com'}":              "https://auth.example.com",
	} {
		c, _, err := load(yaml, nil, nil)
		if err != nil || c.Issuer() != want {
			t.Errorf("issuer of %q: got %q, %v; want %q", yaml, c.Issuer(), err, want)
		}
	}
}

func TestEncryptionKeysAreInOrder(t *testing.T) {
	c := config.Default()
	if keys, err := c.EncryptionKeys(); err != nil || len(keys) != 0 {
		t.Errorf("of none: got %d keys, %v", len(keys), err)
	}
	first, second := make([]byte, 32), make([]byte, 32)
	first[0], second[0] = 1, 2
	text := base64.StdEncoding.EncodeToString(first) + ",\n" + base64.StdEncoding.EncodeToString(second)
	c.Keys.EncryptionKey = config.NewSecret(text)
	keys, err := c.EncryptionKeys()
	if err != nil || len(keys) != 2 || keys[0][0] != 1 || keys[1][0] != 2 {
		t.Errorf("got %v, %v; want both, the first first", keys, err)
	}
}
