package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"postern/config"
)

// another returns texts that are not the default, for each type of key.
func another(t *testing.T, k config.Key) string {
	t.Helper()
	switch k.Type {
	case "text", "secret":
		return "other"
	case "true|false":
		return map[string]string{"true": "false", "false": "true"}[k.Default]
	case "duration", "lifetime":
		return "13h"
	case "list of lifetimes":
		return "13h,never"
	case "rate":
		return "7/h"
	case "list of networks":
		return "10.0.0.0/8,fd00::/8"
	case "list of group=team":
		return "CN=ops,OU=groups=ops;readers=read"
	case "list of issuers, each with ca_file=FILE and token_file=FILE":
		return "https://a.example ca_file=a,b.crt token_file=t;https://b.example/x token_file=t"
	}
	for value := range strings.SplitSeq(k.Type, "|") {
		if value != k.Default {
			return value
		}
	}
	t.Fatalf("%s: no value for type %q", k.Name, k.Type)
	return ""
}

// inYAML returns a file that sets the key at path to text.
func inYAML(t *testing.T, path, text string) string {
	t.Helper()
	var value any = text
	if text == "true" || text == "false" {
		value = text == "true"
	}
	for _, part := range slices.Backward(strings.Split(path, ".")) {
		value = map[string]any{part: value}
	}
	out, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func printed(t *testing.T, c config.Config) string {
	t.Helper()
	var out strings.Builder
	if err := c.Print(&out, false); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEveryKeyIsSetByFileAndByEnvironment(t *testing.T) {
	for _, k := range config.Keys() {
		t.Run(k.Name, func(t *testing.T) {
			text := another(t, k)
			others := files{"secret": text + "\n"}
			byFile, _, err := load(inYAML(t, k.Name, text), nil, nil)
			if err != nil {
				t.Fatalf("by file: %v", err)
			}
			byEnv, warnings, err := load("", []string{k.Env + "=" + text}, nil)
			if err != nil || len(warnings) > 0 {
				t.Fatalf("by environment: warnings %q, error %v", warnings, err)
			}
			if d := diff(byFile, byEnv); d != "" {
				t.Errorf("file and environment differ (-file +environment):\n%s", d)
			}
			if diff(config.Default(), byFile) == "" {
				t.Errorf("setting it to %q changed nothing", text)
			}
			if k.Flag != "" {
				byFlag, _, err := config.Load(config.Options{Flags: flags(t, k.Flag+"="+text)})
				if err != nil || diff(byFile, byFlag) != "" {
					t.Errorf("by flag: %v\n%s", err, diff(byFile, byFlag))
				}
			}
			if !k.Secret {
				return
			}
			byFileEnv, _, err := load("", []string{k.FileEnv + "=secret"}, others)
			if err != nil || diff(byFile, byFileEnv) != "" {
				t.Errorf("by %s: %v\n%s", k.FileEnv, err, diff(byFile, byFileEnv))
			}
			byFileKey, _, err := load(inYAML(t, k.Name+"_file", "secret"), nil, others)
			if err != nil || diff(byFile, byFileKey) != "" {
				t.Errorf("by %s_file: %v\n%s", k.Name, err, diff(byFile, byFileKey))
			}
		})
	}
}

func TestEveryKeyIsDocumentedOnOneLine(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range config.Keys() {
		if k.Doc == "" || strings.ContainsAny(k.Doc, "\n\t") || strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: doc %q, want one line without a full stop", k.Name, k.Doc)
		}
		for _, name := range []string{k.Name, k.Env, k.Flag, k.FileEnv} {
			if name != "" && seen[name] {
				t.Errorf("%s stands for two keys", name)
			}
			seen[name] = true
		}
		if k.Secret && k.Default != "" {
			t.Errorf("%s: a secret has a default", k.Name)
		}
	}
	for name, env := range map[string]string{
		"server.listen":                      "POSTERN_SERVER_LISTEN",
		"keys.encryption_key":                "POSTERN_KEYS_ENCRYPTION_KEY",
		"limits.failures_per_client_address": "POSTERN_LIMITS_FAILURES_PER_CLIENT_ADDRESS",
	} {
		if !seen[name] || !seen[env] {
			t.Errorf("no key %s with variable %s", name, env)
		}
	}
}

func TestPrintLoadsToTheSame(t *testing.T) {
	for _, k := range config.Keys() {
		t.Run(k.Name, func(t *testing.T) {
			want, _, err := load("", []string{k.Env + "=" + another(t, k)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "p.yaml")
			if err := os.WriteFile(file, []byte(printed(t, want)), 0o600); err != nil {
				t.Fatal(err)
			}
			got, _, err := config.Load(config.Options{File: file})
			if err != nil {
				t.Fatal(err)
			}
			if d := diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestPrintRedactsWhatIsSet(t *testing.T) {
	c := config.Default()
	c.Keys.EncryptionKey = config.NewSecret("hunter2")
	var out strings.Builder
	if err := c.Print(&out, true); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`  encryption_key: "[secret]"`, `    uri: ""`, `  expiry_choices: [30d, 60d, 90d, 1y, never]`, `  access_ttl: 1h`} {
		if !strings.Contains(out.String(), line+"\n") {
			t.Errorf("no line %q in:\n%s", line, &out)
		}
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("redacted, but:\n%s", &out)
	}
	if !strings.Contains(printed(t, c), `encryption_key: "hunter2"`) {
		t.Errorf("not redacted, but:\n%s", printed(t, c))
	}
}

// The law: what loads, prints, and what prints, loads to the same.
func FuzzLoadYAML(f *testing.F) {
	for _, seed := range []string{
		"", "server: {listen: 'a:1', trusted_proxies: [10.0.0.0/8, '::1']}", "log.level: \"\\0\\u2028\\x7f'\"",
		"clients: {expiry_choices: [12h, 1y, never], max_expiry: ''}", "limits: {token_per_client: 0, introspect_per_client: 1/min}",
		"tokens: {access_ttl: -1h30m}\nusage: {retention: 1.5h, flush_interval: 0d}", "keys: {encryption_key: !!binary aGk=}",
		"a: &a {listen: x}\nserver: {<<: *a}", "? [a]\n: b", "store: {sqlite: {dir: |\n  two\n  lines\n}}",
		"server.tls: {cert_file: !!str 5}", "store:\n  sqlite:\n    dir: >-\n      folded\n      text\n", "2020-01-01: 1\n~: 2",
		"clients: {max_expiry: 292y, default_expiry: 106751d}", "---\n...\n", "log: {level: '\U0001F600\u00e9'}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		first, _, err := load(in, nil, nil)
		if err != nil {
			return
		}
		text := printed(t, first)
		second, _, err := load(text, nil, nil)
		if err != nil {
			t.Fatalf("%q loads, but what it prints does not: %v\n%s", in, err, text)
		}
		if d := diff(first, second); d != "" {
			t.Errorf("%q loads as one, and back as another (-first +second):\n%s", in, d)
		}
	})
}
