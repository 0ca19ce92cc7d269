// Package shipped has the configurations of gateways that ask for decisions: each
// one works as it is printed, clears what a client may not say of itself, has
// time limits, and refuses where no answer comes. server/gateway/shippedtest runs
// every one in its real gateway.
package shipped

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"text/template"
)

//go:embed apache.conf nginx.conf traefik.yml Caddyfile envoy.yaml haproxy.cfg haproxy.lua
var files embed.FS

// fileOf is the file of each gateway. What haproxy.cfg loads is one of its own.
var fileOf = map[string]string{ //nolint:gochecknoglobals // a constant
	"apache": "apache.conf", "nginx": "nginx.conf", "traefik": "traefik.yml", "caddy": "Caddyfile", "envoy": "envoy.yaml", "envoy-grpc": "envoy-grpc.yaml",
	"haproxy": "haproxy.cfg", "haproxy-lua": "haproxy.lua",
}

// Names returns the names that Config takes, in the order of the alphabet.
func Names() []string {
	var names []string
	for name := range fileOf {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// File returns the name that the file of a configuration has, or "" where there
// is none of that name.
func File(name string) string { return fileOf[name] }

// Facts are what differs from one installation to the next.
type Facts struct {
	API       string // the short name of the API that is protected
	Decisions string // host:port of Postern's gateway listener
	Upstream  string // host:port of what is protected
	Listen    string // host:port where the gateway listens; the host may be empty
	Host      string // the name that clients call; empty means any
	Script    string // the path of haproxy.lua; empty means beside haproxy.cfg
	Issuer    string // Postern's public URL, for Apache
	Scope     string // that a token must have, for Apache; empty means any token for the API
	Modules   string // the folder of Apache's modules; empty means that of Debian
}

// Example is what the configurations in the guide are made of.
func Example() Facts {
	return Facts{API: "shop", Decisions: "127.0.0.1:8086", Upstream: "127.0.0.1:3000", Listen: "0.0.0.0:8080", Issuer: "http://127.0.0.1:8085"}
}

// facts are Facts with their parts, as some files want them.
type facts struct {
	Facts

	Address, Port, PortNumber    string // of Listen
	DecisionsHost, DecisionsPort string
	UpstreamHost, UpstreamPort   string
	GRPC                         bool // Envoy asks by gRPC
}

// Config returns the configuration of a gateway. Its errors are about the name
// and the facts.
func Config(name string, f Facts) ([]byte, error) {
	file, ok := fileOf[name]
	if !ok {
		return nil, fmt.Errorf("there is no configuration for %q; there are %s", name, strings.Join(Names(), ", "))
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	if name == "apache" && f.Issuer == "" {
		return nil, errors.New("issuer is missing: Apache introspects at Postern's public URL")
	}
	all := facts{Facts: f}
	var err error
	if all.Address, all.PortNumber, err = split("listen", f.Listen); err != nil {
		return nil, err
	}
	if all.Address == "" {
		all.Address = "0.0.0.0"
	}
	all.Port = ":" + all.PortNumber
	if all.DecisionsHost, all.DecisionsPort, err = split("decisions", f.Decisions); err != nil {
		return nil, err
	}
	if all.UpstreamHost, all.UpstreamPort, err = split("upstream", f.Upstream); err != nil {
		return nil, err
	}
	if all.DecisionsHost == "" || all.UpstreamHost == "" {
		return nil, fmt.Errorf("decisions and upstream need a host, such as 127.0.0.1:%s", all.DecisionsPort)
	}
	all.Listen = net.JoinHostPort(all.Address, all.PortNumber)
	if all.Script == "" {
		all.Script = "haproxy.lua"
	}
	if all.Modules == "" {
		all.Modules = "/usr/lib/apache2/modules"
	}
	all.Issuer = strings.TrimSuffix(all.Issuer, "/")
	if all.GRPC = name == "envoy-grpc"; all.GRPC {
		file = fileOf["envoy"] // which is the same but for the service
	}
	t, err := template.New(file).Delims("[[", "]]").Option("missingkey=error").ParseFS(files, file)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, all); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// split takes an address apart, without what would be more than an address in
// some configuration.
func split(what, address string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(address)
	if err != nil || !plain(host) || port == "" || strings.Trim(port, "0123456789") != "" {
		return "", "", fmt.Errorf("%s is %q, which is no host:port", what, address)
	}
	return host, port, nil
}

func (f Facts) check() error {
	switch {
	case f.API == "" || !plain(f.API) || strings.ContainsAny(f.API, ".:"):
		return fmt.Errorf("%q is no name of an API", f.API)
	case !plain(f.Host) || strings.Contains(f.Host, ":"):
		return fmt.Errorf("host is %q, which is no name of a host", f.Host)
	case f.Issuer != "" && !strings.HasPrefix(f.Issuer, "https://") && !strings.HasPrefix(f.Issuer, "http://"), !plain(strings.NewReplacer("://", "", "/", "").Replace(f.Issuer)):
		return fmt.Errorf("issuer is %q, which is no URL such as https://postern.example.com", f.Issuer)
	case strings.Trim(strings.ToLower(f.Scope), "abcdefghijklmnopqrstuvwxyz0123456789-_:") != "":
		return fmt.Errorf("scope is %q: only letters, digits, - _ and : are possible here", f.Scope)
	case strings.ContainsAny(f.Modules, " \"'\\\n"):
		return fmt.Errorf("the folder of modules has a blank, a quote or a backslash: %q", f.Modules)
	case strings.ContainsAny(f.Script, " \"'\\\n"):
		return fmt.Errorf("the script's path has a blank, a quote or a backslash: %q", f.Script)
	}
	return nil
}

// plain reports whether a text has only what names and addresses of hosts have.
func plain(text string) bool {
	for _, c := range []byte(text) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte("-._:", c) < 0 {
			return false
		}
	}
	return true
}
