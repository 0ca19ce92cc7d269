package gateway

import (
	"net/http"
	"strings"
)

// readForward reads what Traefik's ForwardAuth, Caddy's forward_auth and their
// like send: X-Forwarded-Method, -Uri and -Host. The client's address is the
// last one of X-Forwarded-For, which the gateway itself added.
func readForward(h http.Header) (call, bool) {
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
	c := call{method: method, target: target, host: host}
	if lines := h["X-Forwarded-For"]; len(lines) > 0 {
		last := lines[len(lines)-1]
		c.address = parseAddress(last[strings.LastIndexByte(last, ',')+1:])
	}
	return c, true
}
