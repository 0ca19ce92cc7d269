package gateway

import "net/http"

// readForward reads what Traefik's ForwardAuth, Caddy's forward_auth and their
// like send: X-Forwarded-Method, -Uri and -Host. The client's address is the
// last one of X-Forwarded-For, which the gateway itself added.
func readForward(r *http.Request) (call, bool) {
	h := r.Header
	method, ok := single(h, "X-Forwarded-Method")
	if !ok {
		return call{}, false
	}
	target, ok := single(h, "X-Forwarded-Uri")
	if !ok {
		return call{}, false
	}
	host, ok := single(h, "X-Forwarded-Host")
	if !ok {
		return call{}, false
	}
	return call{method: method, target: target, host: host, address: lastForwarded(h)}, true
}
