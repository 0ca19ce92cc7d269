// Package checkertest lets two public checkers of SCIM servers talk to a real
// one: scim2-tester and scim-sanity. It needs both, as `make tools` gets them.
package checkertest
