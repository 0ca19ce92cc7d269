package config_test

import (
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"postern/config"
)

// files is a file system of texts by name.
type files map[string]string

func (f files) read(name string) ([]byte, error) {
	if text, ok := f[name]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	config.Flags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

// load reads yaml as the file p.yaml, in which other files may be named.
func load(yaml string, environ []string, others files) (config.Config, []string, error) {
	all := files{"p.yaml": yaml}
	maps.Copy(all, others)
	return config.Load(config.Options{File: "p.yaml", Environ: environ, ReadFile: all.read})
}

func diff(want, got config.Config) string {
	return cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{}))
}

func TestNothingSetIsTheDefault(t *testing.T) {
	for name, opts := range map[string]config.Options{
		"no source":        {},
		"flags left alone": {Flags: flags(t)},
		"empty file":       {File: "f", ReadFile: files{"f": ""}.read},
		"comments":         {File: "f", ReadFile: files{"f": "---\n# nothing\nserver:\n  # listen: x\nlog: {}\nusage: {retention: null}\n"}.read},
		"empty variable":   {Environ: []string{"POSTERN_SERVER_LISTEN=", "POSTERN_CLIENTS_ALLOW_NEVER="}},
		"other variables":  {Environ: []string{"HOME=/", "MYPOSTERN_X=1", "postern_server_listen=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, warnings, err := config.Load(opts)
			if err != nil || len(warnings) > 0 {
				t.Fatalf("Load: warnings %q, error %v", warnings, err)
			}
			if d := diff(config.Default(), got); d != "" {
				t.Errorf("not the default (-want +got):\n%s", d)
			}
		})
	}
	if err := config.Default().Validate(); err != nil {
		t.Errorf("the default is not valid: %v", err)
	}
}

func TestFlagBeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	file := "server: {listen: 'file:1'}\ngateway: {listen: 'file:2'}\nops: {listen: 'file:3'}\n"
	environ := []string{"POSTERN_SERVER_LISTEN=env:1", "POSTERN_GATEWAY_LISTEN=env:2"}
	got, _, err := config.Load(config.Options{
		Flags:    flags(t, "--listen=flag:1"),
		File:     "p.yaml",
		Environ:  environ,
		ReadFile: files{"p.yaml": file}.read,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Server.Listen, want.Gateway.Listen, want.Ops.Listen = "flag:1", "env:2", "file:3"
	if d := diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestEveryFlagSetsItsKey(t *testing.T) {
	got, _, err := config.Load(config.Options{Flags: flags(t,
		"--config=ignored.yaml", "--listen=a:1", "--gateway-listen=b:2", "--ops-listen=c:3", "--store=mongodb",
		"--data=/d", "--mongodb-uri=mongodb://h", "--bootstrap-file=/b.json")})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Server.Listen, want.Gateway.Listen, want.Ops.Listen = "a:1", "b:2", "c:3"
	want.Store.Driver, want.Store.SQLite.Dir = "mongodb", "/d"
	want.Store.MongoDB.URI = config.NewSecret("mongodb://h")
	want.Bootstrap.File = "/b.json"
	if d := diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTypesAreRead(t *testing.T) {
	got, _, err := load(`
server:
  trusted_proxies: [10.1.2.3/8, "2001:db8::1"]
  tls: {cert_file: c.pem, key_file: k.pem}
outbound.allow: 192.168.0.0/16, 172.16.0.9
tokens: {access_ttl: 90s}
keys: {rotate_every: 2y}
clients: {expiry_choices: [12h, never], max_expiry: 1y, allow_never: false}
limits: {token_per_client: 0, introspect_per_client: 5/h}
`, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Server.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128")}
	want.Server.TLS = config.TLS{CertFile: "c.pem", KeyFile: "k.pem"}
	want.Outbound.Allow = []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("172.16.0.9/32")}
	want.Tokens.AccessTTL = 90 * time.Second
	want.Keys.RotateEvery = 730 * 24 * time.Hour
	want.Clients.ExpiryChoices = []config.Lifetime{config.Lifetime(12 * time.Hour), config.Never}
	want.Clients.MaxExpiry = config.Lifetime(365 * 24 * time.Hour)
	want.Clients.AllowNever = false
	want.Limits.TokenPerClient = config.Rate{}
	want.Limits.IntrospectPerClient = config.Rate{Events: 5, Per: time.Hour}
	if d := diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestFaultsNameSourceKeyAndWhatIsAllowed(t *testing.T) {
	tests := []struct {
		name, yaml string
		environ    []string
		want       string
	}{
		{
			name: "unknown key", yaml: "server: {lisen: x}",
			want: "p.yaml: server.lisen: unknown key, the nearest is server.listen",
		},
		{
			name: "unknown key without its section", yaml: "expiry_choices: [30d]",
			want: "p.yaml: expiry_choices: unknown key, the nearest is clients.expiry_choices",
		},
		{
			name: "unknown section", yaml: "gatway: {listen: x}",
			want: "p.yaml: gatway.listen: unknown key, the nearest is gateway.listen",
		},
		{
			name: "unknown empty section", yaml: "limit:",
			want: "p.yaml: limit: unknown key, the nearest is ",
		},
		{
			name: "each unknown key", yaml: "server: {lisen: x}\nlog: {levl: x}",
			want: "p.yaml: log.levl: unknown key, the nearest is log.level\np.yaml: server.lisen:",
		},
		{
			name: "a flag's key that is not one", yaml: "bootstrap: {file: x}",
			want: "p.yaml: bootstrap.file: unknown key, the nearest is ",
		},
		{
			name: "only secrets have files", yaml: "server: {listen_file: x}",
			want: "p.yaml: server.listen_file: unknown key, the nearest is server.listen",
		},
		{name: "value for a section", yaml: "server: 5", want: "p.yaml: server: is a section"},
		{name: "section for a value", yaml: "log: {level: {a: 1}}", want: "p.yaml: log.level: is a section, want text"},
		{name: "empty section for a value", yaml: "log: {level: {}}", want: "p.yaml: log.level: is a section, want text"},
		{name: "list for a value", yaml: "log: {level: [info]}", want: "p.yaml: log.level: is a list, want one text"},
		{name: "number for text", yaml: "store: {mongodb: {database: 5}}", want: "p.yaml: store.mongodb.database: is a number, want text"},
		{name: "bool for text", yaml: "log: {level: true}", want: "p.yaml: log.level: is true or false, want text"},
		{name: "date for text", yaml: "log: {level: 2020-01-01}", want: "p.yaml: log.level: has a shape that is not text"},
		{name: "numbers in a list", yaml: "clients: {expiry_choices: [30d, 60]}", want: "p.yaml: clients.expiry_choices: has item 2 that is not text"},
		{name: "empty item", yaml: "clients: {expiry_choices: '30d,,60d'}", want: "p.yaml: clients.expiry_choices: has an empty item"},
		{name: "duration without unit", yaml: "tokens: {access_ttl: 3600}", want: `p.yaml: tokens.access_ttl: "3600" is not a duration such as`},
		{name: "huge duration", yaml: "usage: {retention: 300000y}", want: `"300000y" is not a duration`},
		{name: "lifetime of nothing", yaml: "clients: {default_expiry: 0}", want: `"0" is not a lifetime such as`},
		{name: "negative lifetime", yaml: "clients: {default_expiry: -1ns}", want: `"-1ns" is not a lifetime`},
		{name: "rate without unit", yaml: "limits: {token_per_client: 50}", want: `"50" is not a rate such as 50/s`},
		{name: "not a network", yaml: "server: {trusted_proxies: [nginx]}", want: `"nginx" is neither an address nor a network`},
		{name: "not a bool", environ: []string{"POSTERN_PERSONAL_AUTO_CREATE=on"}, want: `POSTERN_PERSONAL_AUTO_CREATE: "on" is neither true nor false`},
		{name: "binary", yaml: "store: {sqlite: {dir: !!binary /w==}}", want: "p.yaml: store.sqlite.dir: is not UTF-8 text"},
		{name: "key twice in YAML", yaml: "log: {}\nlog: {}", want: `p.yaml: line 2: mapping key "log" already defined at line 1`},
		{name: "key in two spellings", yaml: "log.level: info\nlog: {level: warn}", want: "p.yaml: log.level: is set here and as p.yaml: log.level: keep one"},
		{name: "syntax", yaml: "log: {level: x\nops: {", want: "p.yaml: line "},
		{name: "not a mapping", yaml: "- log", want: "p.yaml: is not a YAML mapping"},
		{name: "several documents", yaml: "log: {level: warn}\n---\nlog: {level: info}\n", want: "p.yaml: holds several YAML documents"},
		{
			name: "secret and its file", yaml: "keys: {encryption_key: a, encryption_key_file: f}",
			want: "p.yaml: keys.encryption_key_file: is set here and as p.yaml: keys.encryption_key: keep one",
		},
		{
			name: "secret and its file in variables", environ: []string{"POSTERN_STORE_MONGODB_URI=a", "POSTERN_STORE_MONGODB_URI_FILE=f"},
			want: "POSTERN_STORE_MONGODB_URI_FILE: is set here and as POSTERN_STORE_MONGODB_URI: keep one",
		},
		{
			name: "secret's file is missing", yaml: "store: {mongodb: {uri_file: nope}}",
			want: "p.yaml: store.mongodb.uri_file: read the file it names: file does not exist",
		},
		{
			name: "secret's file is empty", environ: []string{"POSTERN_KEYS_ENCRYPTION_KEY_FILE=blank"},
			want: "POSTERN_KEYS_ENCRYPTION_KEY_FILE: the file it names is empty",
		},
		{name: "secret's file is no name", yaml: "store: {mongodb: {uri_file: [a]}}", want: "store.mongodb.uri_file: must be the name of a file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := load(tt.yaml, tt.environ, files{"blank": " \n"})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant …%s…", err, tt.want)
			}
		})
	}
}

func TestMissingFileIsAnError(t *testing.T) {
	_, _, err := config.Load(config.Options{File: "nope.yaml", ReadFile: files{}.read})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "nope.yaml") {
		t.Errorf("got %v, want fs.ErrNotExist with the file's name", err)
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	others := files{"uri": "mongodb://from-file\n", "key": "k2\n"}
	for _, tt := range []struct {
		name, yaml string
		environ    []string
		want       string
	}{
		{name: "by a key", yaml: "store: {mongodb: {uri_file: uri}}", want: "mongodb://from-file"},
		{name: "by a variable", environ: []string{"POSTERN_STORE_MONGODB_URI_FILE=uri"}, want: "mongodb://from-file"},
		{
			name: "variable's file over the key", yaml: "store: {mongodb: {uri: mongodb://key}}",
			environ: []string{"POSTERN_STORE_MONGODB_URI_FILE=uri"}, want: "mongodb://from-file",
		},
		{
			name: "variable over the key's file, which is not read", yaml: "store: {mongodb: {uri_file: nope}}",
			environ: []string{"POSTERN_STORE_MONGODB_URI=mongodb://env"}, want: "mongodb://env",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, warnings, err := load(tt.yaml, tt.environ, others)
			if err != nil || len(warnings) > 0 || c.Store.MongoDB.URI.Reveal() != tt.want {
				t.Errorf("got %q, warnings %q, error %v; want %q", c.Store.MongoDB.URI.Reveal(), warnings, err, tt.want)
			}
		})
	}
}

func TestUnknownVariableIsOneWarning(t *testing.T) {
	_, warnings, err := config.Load(config.Options{Environ: []string{
		"POSTERN_SERVER_LISTNE=value", "POSTERN_LISTEN=value", "POSTERN_SERVER_LISTNE=again",
		"POSTERN_KEYS_ENCRYPTION_KEY_FLIE=value",
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"POSTERN_KEYS_ENCRYPTION_KEY_FLIE: unknown variable, the nearest is POSTERN_KEYS_ENCRYPTION_KEY_FILE",
		"POSTERN_LISTEN: unknown variable, the nearest is POSTERN_SERVER_LISTEN",
		"POSTERN_SERVER_LISTNE: unknown variable, the nearest is POSTERN_SERVER_LISTEN",
	}
	if d := cmp.Diff(want, warnings); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestVariablesOfKubernetesAndTestsAreIgnored(t *testing.T) {
	got, warnings, err := config.Load(config.Options{Environ: []string{
		"POSTERN_SERVICE_HOST=10.0.0.1", "POSTERN_SERVICE_PORT=80", "POSTERN_SERVICE_PORT_HTTP=80",
		"POSTERN_PORT=tcp://10.0.0.1:80", "POSTERN_PORT_80_TCP_ADDR=10.0.0.1", "POSTERN_TEST_MONGODB_URI=mongodb://x",
		"POSTERN_SERVER_LISTEN=here:1", // begins like a Service's, and is a key
	}})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("warnings %q, error %v", warnings, err)
	}
	want := config.Default()
	want.Server.Listen = "here:1"
	if d := diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Whatever is wrong, and wherever the secret was put by mistake, no message
// repeats it.
func TestNoMessageHoldsASecret(t *testing.T) {
	const secret = "hunter2"
	for name, tt := range map[string]struct {
		yaml    string
		environ []string
	}{
		"shape of a key":            {yaml: "keys: {encryption_key: [hunter2]}"},
		"section for a URI":         {yaml: "store: {mongodb: {uri: {a: hunter2}}}"},
		"malformed key":             {yaml: "keys: {encryption_key: hunter2}"},
		"malformed URI":             {yaml: "store: {driver: mongodb, mongodb: {uri: 'mongo://u:hunter2@h:%zz'}}"},
		"URI for the wrong driver":  {yaml: "store: {mongodb: {uri: 'mongodb://u:hunter2@h'}}"},
		"secret as a file name":     {environ: []string{"POSTERN_KEYS_ENCRYPTION_KEY_FILE=hunter2"}},
		"secret as a YAML file":     {yaml: "store: {mongodb: {uri_file: hunter2}}"},
		"secret as unknown value":   {yaml: "store: {mongodb: {url: hunter2}}"},
		"secret in unknown env":     {environ: []string{"POSTERN_STORE_MONGODB_URL=hunter2"}},
		"password in public_url":    {yaml: "server: {public_url: 'https://u:hunter2@h'}"},
		"malformed public_url":      {yaml: "server: {public_url: 'https://u:hunter2@h:%zz'}"},
		"password in otel.endpoint": {yaml: "otel: {endpoint: 'https://u:hunter2@h'}"},
		"key in otel.endpoint":      {yaml: "otel: {endpoint: 'x://h?key=hunter2'}"},
		"URI as the driver":         {yaml: "store: {driver: 'mongodb://u:hunter2@h'}"},
		"URI as a listener":         {yaml: "server: {listen: 'mongodb://u:hunter2@h'}"},
		"URI as a duration":         {yaml: "tokens: {access_ttl: 'mongodb://u:hunter2@h'}"},
		"YAML anchor":               {yaml: "keys: {encryption_key: *hunter2 }"},
		"YAML scalar":               {yaml: "hunter2"},
		"YAML mapping as a key":     {yaml: "? {a: hunter2}\n: 1"},
		"YAML tag":                  {yaml: "keys: {encryption_key: !!int hunter2}"},
		"YAML syntax":               {yaml: "keys: {encryption_key: 'hunter2"},
		"YAML merge":                {yaml: "<<: hunter2"},
	} {
		t.Run(name, func(t *testing.T) {
			c, warnings, err := load(tt.yaml, tt.environ, nil)
			if err == nil && len(warnings) == 0 {
				err = c.Validate()
			}
			if err == nil && len(warnings) == 0 {
				t.Fatal("no fault was found")
			}
			if err != nil {
				warnings = append(warnings, err.Error())
			}
			if text := strings.Join(warnings, "\n"); strings.Contains(text, secret) {
				t.Errorf("the secret is in: %s", text)
			}
		})
	}
}
