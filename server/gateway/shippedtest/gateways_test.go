package shippedtest_test

import (
	"os"
	"testing"
)

// gatewayKind is how a gateway is run.
type gatewayKind struct {
	name    string
	program string
	version []string
	files   []string // of the shipped configurations
	args    []string // with DIR and LISTEN to be filled in
	env     []string // beside POSTERN_GATEWAY
	// prepare writes what else its folder needs. May be nil.
	prepare func(t *testing.T, dir, credential string)
	edit    func(t *testing.T, dir string) // changes what is shipped; may be nil
	more    []string                       // further args
	secured bool                           // it is reached by TLS

	grpc        bool   // it asks by gRPC
	ready       int    // the status of GET /health once it serves; 0 is 200
	standard    bool   // it takes the methods of RFC 9110 only
	body        bool   // it passes bodies
	chunked     bool   // and those whose length is not known
	unreachable int    // its status where no decision can be had
	hung        int    // and where none comes
	trouble     int    // and for Postern's 503
	patience    string // how long it waits for a decision
}

var kinds = []gatewayKind{
	{
		name: "nginx", program: "nginx", version: []string{"-v"}, files: []string{"nginx"},
		args:    []string{"-p", "DIR", "-c", "DIR/nginx.conf", "-e", "stderr", "-g", "daemon off;"},
		prepare: prepareNginx, unreachable: 500, hung: 500, trouble: 500, patience: "2 s",
	},
	{
		name: "Traefik", program: "traefik", version: []string{"version"}, files: []string{"traefik"},
		// A file traefik.yml in its folder would be its static configuration.
		args: []string{
			"--global.checknewversion=false", "--global.sendanonymoususage=false", "--log.level=WARN",
			"--entrypoints.web.address=LISTEN", "--entrypoints.web.http.aliasheadersstrategy=delete",
			"--providers.file.filename=DIR/dynamic/traefik.yml",
		},
		prepare: func(t *testing.T, dir, _ string) {
			t.Helper()
			if err := os.Mkdir(dir+"/dynamic", 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(dir+"/traefik.yml", dir+"/dynamic/traefik.yml"); err != nil {
				t.Fatal(err)
			}
		},
		body: true, chunked: true, unreachable: 500, hung: 500, trouble: 503, patience: "30 s",
	},
	{
		name: "Caddy", program: "caddy", version: []string{"version"}, files: []string{"caddy"},
		args:        []string{"run", "--config", "DIR/Caddyfile", "--adapter", "caddyfile"},
		unreachable: 502, hung: 504, trouble: 503, patience: "2 s",
	},
	{
		name: "Envoy", program: "envoy", version: []string{"--version"}, files: []string{"envoy"},
		args:     []string{"-c", "DIR/envoy.yaml", "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"},
		standard: true, body: true, chunked: true, unreachable: 503, hung: 503, trouble: 503, patience: "2 s",
	},
	{
		name: "Envoy, gRPC", program: "envoy", version: []string{"--version"}, files: []string{"envoy-grpc"}, grpc: true,
		args:     []string{"-c", "DIR/envoy-grpc.yaml", "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"},
		standard: true, body: true, chunked: true, unreachable: 503, hung: 503, trouble: 503, patience: "2 s",
	},
	{
		name: "HAProxy", program: "haproxy", version: []string{"-v"}, files: []string{"haproxy", "haproxy-lua"},
		args: []string{"-f", "DIR/haproxy.cfg", "-db"},
		body: true, unreachable: 503, hung: 503, trouble: 503, patience: "4 × 2 s",
	},
}

// prepareNginx writes the gateway's credential, and lets workers be who the
// test is: else they would be nobody, who cannot get into the folder.
func prepareNginx(t *testing.T, dir, credential string) {
	t.Helper()
	write(t, dir, "postern-credential.conf", "proxy_set_header X-Postern-Gateway \""+credential+"\";\n")
	text, err := os.ReadFile(dir + "/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	more := ""
	if os.Getuid() == 0 {
		more = "user root;\n"
	}
	write(t, dir, "nginx.conf", more+string(text))
}
