package gateway

import (
	"net/http"
	"strings"
)

// readNginx reads what nginx's auth_request passes on by proxy_set_header:
//
//	X-Original-Method $request_method
//	X-Original-URI    $request_uri
//	X-Original-Host   $host            for APIs with hosts
//	X-Real-IP         $remote_addr     for clients with an address list, and last access
//
// The Lua script for HAProxy sends the same, and the body.
//
// The configuration must set all of them: what it leaves out, the client's own
// header of that name gets through.
func readNginx(r *http.Request) (call, bool) {
	h := r.Header
	method, ok := single(h, "X-Original-Method")
	if !ok {
		return call{}, false
	}
	target, ok := single(h, "X-Original-Uri")
	if !ok {
		return call{}, false
	}
	c := call{method: method, target: target}
	c.host, _ = single(h, "X-Original-Host")
	if from, ok := single(h, "X-Real-Ip"); ok {
		c.address = parseAddress(from)
	}
	return c, true
}

// readIngressNginx reads what ingress-nginx sets for its annotation auth-url:
//
//	X-Original-Method $request_method
//	X-Original-URL    $scheme://$http_host$request_uri
//	X-Real-IP         $remote_addr
//
// A target that is no path, such as * or one with a host of its own, makes a URL
// of which nobody can say where its host ends: such are refused.
func readIngressNginx(r *http.Request) (call, bool) {
	h := r.Header
	method, ok := single(h, "X-Original-Method")
	if !ok {
		return call{}, false
	}
	address, ok := single(h, "X-Original-Url")
	if !ok {
		return call{}, false
	}
	rest, ok := strings.CutPrefix(address, "https://")
	if !ok {
		if rest, ok = strings.CutPrefix(address, "http://"); !ok {
			return call{}, false
		}
	}
	end := strings.IndexByte(rest, '/')
	if end < 0 {
		return call{}, false
	}
	host := rest[:end]
	if _, ok := hostname(host); !ok || strings.HasSuffix(host, ":") {
		return call{}, false
	}
	c := call{method: method, target: rest[end:], host: host}
	if from, ok := single(h, "X-Real-Ip"); ok {
		c.address = parseAddress(from)
	}
	return c, true
}
