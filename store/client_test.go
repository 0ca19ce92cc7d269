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
