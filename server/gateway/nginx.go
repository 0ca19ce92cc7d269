package gateway

import "net/http"

// readNginx reads what nginx's auth_request passes on by proxy_set_header:
//
//	X-Original-Method $request_method
//	X-Original-URI    $request_uri
//	X-Original-Host   $host            for APIs with hosts
//	X-Real-IP         $remote_addr     for clients with an address list, and last access
//
// The configuration must set all of them: what it leaves out, the client's own
// header of that name gets through.
func readNginx(h http.Header) (call, bool) {
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
