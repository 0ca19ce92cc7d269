package gateway

import (
	"net/http"
	"strings"
)

// underEnvoy is what the targets of Envoy's questions begin with.
const underEnvoy = "/decide/envoy/"

// readEnvoy reads what the http_service of Envoy's ext_authz sends with the
// path_prefix /decide/envoy/{api}: the client's own request line, with that before
// its path, and its host. It is read as it was sent: to decode or clean it before
// would be to decide another path. The client's address is in
// X-Real-IP, which the configuration sets: Envoy ends X-Forwarded-For with its own
// address in what it asks, not with the client's.
func readEnvoy(r *http.Request) (call, bool) {
	_, target, _ := cutEnvoy(r.RequestURI)
	if target == "" {
		return call{}, false
	}
	c := call{method: r.Method, target: target, host: r.Host}
	if from, ok := single(r.Header, "X-Real-Ip"); ok {
		c.address = parseAddress(from)
	}
	return c, true
}

// cutEnvoy cuts a target into the API's name and that of the call, which begins
// with its slash; what has none, such as that of OPTIONS *, is empty.
func cutEnvoy(target string) (api, rest string, ok bool) {
	target, ok = strings.CutPrefix(target, underEnvoy)
	if end := strings.IndexByte(target, '/'); ok && end >= 0 {
		return target[:end], target[end:], true
	}
	return target, "", ok
}
