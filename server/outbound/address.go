package outbound

import "net/netip"

// closed are the networks inside the unicast space that are not the public
// internet: the special-purpose registries of IANA (RFC 6890), and those that
// carry an IPv4 address inside an IPv6 one, which a translator or tunnel would
// take to where nobody looked.
//
//nolint:gochecknoglobals // a constant, were there constant prefixes
var closed = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // shared, carrier-grade NAT
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local: metadata services of clouds
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, and broadcast

	"2001::/23",     // protocol assignments: Teredo, benchmarks, ORCHID
	"2001:db8::/32", // documentation
	"2002::/16",     // 6to4
	"3fff::/20",     // documentation
)

// global is the unicast space of IPv6 that was ever given out. Outside are
// loopback, unspecified, mapped (::ffff:0:0/96) and compatible IPv4, NAT64
// (64:ff9b::/96, 64:ff9b:1::/48), private (fc00::/7), link-local and multicast.
//
//nolint:gochecknoglobals // a constant, were there constant prefixes
var global = netip.MustParsePrefix("2000::/3")

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

// Public reports whether an address is of the public internet. An IPv4 address
// in the form of an IPv6 one (::ffff:1.2.3.4) is the IPv4 address, since that is
// where the system connects to.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" || a.Is6() && !global.Contains(a) {
		return false
	}
	for _, p := range closed {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
