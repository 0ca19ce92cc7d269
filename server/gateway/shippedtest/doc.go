// Package shippedtest runs the configurations of server/gateway/shipped in their
// real gateways, in front of a real upstream that writes down what reaches it. It
// has tests only; what they show is the table of docs/gateways.md, which
//
//	go test ./server/gateway/shippedtest -update
//
// writes anew.
//
// The binaries are $NGINX, $TRAEFIK, $CADDY, $ENVOY and $HAPROXY, else those on
// PATH; make tools gets them.
package shippedtest
