package store_test

import (
	"net/netip"
	"testing"

	"postern/store"
)

func TestMayCallFrom(t *testing.T) {
	listed := []string{"10.0.0.0/8", "2001:db8::/32"}
	for _, tt := range []struct {
		name string
		list []string
		from netip.Addr
		want bool
	}{
		{"no list", nil, netip.MustParseAddr("192.0.2.1"), true},
		{"no list, address unknown", nil, netip.Addr{}, true},
		{"on the list", listed, netip.MustParseAddr("10.1.2.3"), true},
		{"IPv4 in IPv6", listed, netip.MustParseAddr("::ffff:10.1.2.3"), true},
		{"IPv6 on the list", listed, netip.MustParseAddr("2001:db8::1"), true},
		{"not on the list", listed, netip.MustParseAddr("192.0.2.1"), false},
		{"address unknown", listed, netip.Addr{}, false},
		{"a list that cannot be read", []string{"everywhere"}, netip.MustParseAddr("10.1.2.3"), false},
	} {
		c := store.Client{Addresses: tt.list}
		if got := c.MayCallFrom(tt.from); got != tt.want {
			t.Errorf("%s: MayCallFrom(%s) with %v = %t, want %t", tt.name, tt.from, tt.list, got, tt.want)
		}
	}
}

func TestAuthenticates(t *testing.T) {
	c := store.Client{}
	if !c.Authenticates("client_secret_post") {
		t.Error("a client without a list may not authenticate as it likes")
	}
	c.AuthMethods = []string{"client_secret_basic"}
	if !c.Authenticates("client_secret_basic") || c.Authenticates("client_secret_post") {
		t.Error("a client authenticates by another method than those of its list")
	}
}

func TestSlowCost(t *testing.T) {
	for hash, want := range map[string]string{
		"$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy": "$2a$10",
		"$pbkdf2-sha256$i=25000,l=32$c2FsdA$ZGlnZXN0":                  "$pbkdf2-sha256$i=25000,l=32",
		"$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$ZGlnZXN0":               "$argon2id$v=19$m=19456,t=2,p=1",
		"": "", "$": "", "x": "",
	} {
		if got := store.SlowCost(hash); got != want {
			t.Errorf("SlowCost(%q) = %q, want %q", hash, got, want)
		}
	}
}

func TestSlowSecret(t *testing.T) {
	native, imported := store.ClientSecret{ID: "a", Hash: []byte{1}}, store.ClientSecret{ID: "b", SlowHash: "$2a$10$x"}
	revoked := imported
	revoked.RevokedAt = 1
	for _, tt := range []struct {
		name   string
		client store.Client
		want   store.SecretID
	}{
		{"native", store.Client{Secrets: []store.ClientSecret{native}}, ""},
		{"imported", store.Client{Secrets: []store.ClientSecret{native, imported}}, "b"},
		{"revoked", store.Client{Secrets: []store.ClientSecret{native, revoked}}, ""},
		{"of a revoked client", store.Client{Status: store.ClientRevoked, Secrets: []store.ClientSecret{imported}}, "b"},
		{"of a deleted client", store.Client{Status: store.ClientDeleted, Secrets: []store.ClientSecret{imported}}, ""},
	} {
		got := tt.client.SlowSecret()
		if got == nil != (tt.want == "") || got != nil && got.ID != tt.want {
			t.Errorf("%s: SlowSecret() = %+v, want %q", tt.name, got, tt.want)
		}
	}
}
