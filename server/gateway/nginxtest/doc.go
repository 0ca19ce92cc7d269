// Package nginxtest has decisions asked for by a real nginx, in front of a real
// upstream that writes down what reaches it. It has tests only, and the
// configuration that they run, which is the one to copy: nginx.conf.tmpl.
//
// The tests take the binary from $NGINX, else from PATH, else Debian's; make
// tools gets it.
package nginxtest
