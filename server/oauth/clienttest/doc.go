// Package clienttest lets client libraries that other people wrote loose on a
// real server: Go's x/oauth2 with go-oidc, Authlib and requests-oauthlib for
// Python, openid-client and oauth4webapi for JavaScript, and curl. It has tests
// only; what they show is the table of docs/clients.md, which
//
//	go test ./server/oauth/clienttest -update
//
// writes anew.
//
// The libraries are found by $CLIENTS_PYTHON, a Python that has them, and
// $CLIENTS_NODE, a folder node_modules; make tools gets them.
package clienttest
