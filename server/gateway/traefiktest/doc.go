// Package traefiktest has decisions about GraphQL asked for by a real Traefik, in
// front of a real upstream that writes down what reaches it. It has tests only,
// and the configuration that they run, which is the one to copy:
// dynamic.yml.tmpl.
//
// The tests take the binary from $TRAEFIK, else from PATH; make tools gets it.
package traefiktest
