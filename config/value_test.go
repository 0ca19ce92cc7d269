package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/config"
)

func TestLifetimesReadAndPrint(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		in, out string
		want    time.Duration
	}{
		{"", "", 0},
		{"never", "never", time.Duration(config.Never)},
		{"30d", "30d", 30 * day},
		{"1y", "1y", 365 * day},
		{"365d", "1y", 365 * day},
		{"36h", "36h", 36 * time.Hour},
		{"48h", "2d", 2 * day},
		{"90m", "1h30m", 90 * time.Minute},
		{"10s", "10s", 10 * time.Second},
		{"1h0m10s", "1h0m10s", time.Hour + 10*time.Second},
		{"500ms", "500ms", 500 * time.Millisecond},
	} {
		got, err := config.ParseLifetime(tt.in)
		if err != nil || time.Duration(got) != tt.want || got.String() != tt.out {
			t.Errorf("%q: got %d (%s), %v; want %d (%s)", tt.in, got, got, err, tt.want, tt.out)
		}
	}
	for _, in := range []string{"0", "0d", "-1d", "1.5d", "1d12h", "d", "30", "forever", " 30d", "106752d", "Never"} {
		if got, err := config.ParseLifetime(in); err == nil {
			t.Errorf("%q: got %s, want an error", in, got)
		}
	}
}

func TestRatesReadAndPrint(t *testing.T) {
	for _, tt := range []struct {
		in, out string
		want    config.Rate
	}{
		{"50/s", "50/s", config.Rate{Events: 50, Per: time.Second}},
		{"10/min", "10/min", config.Rate{Events: 10, Per: time.Minute}},
		{"5/h", "5/h", config.Rate{Events: 5, Per: time.Hour}},
		{"0", "0", config.Rate{}},
		{"0/s", "0", config.Rate{}},
	} {
		got, err := config.ParseRate(tt.in)
		if err != nil || got != tt.want || got.String() != tt.out || got.None() != (tt.out == "0") {
			t.Errorf("%q: got %+v, %v; want %+v", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{"", "50", "50/", "/s", "-1/s", "1.5/s", "5/day", "5/s/s", "1000001/s"} {
		if got, err := config.ParseRate(in); err == nil {
			t.Errorf("%q: got %s, want an error", in, got)
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	c := config.Default()
	c.Keys.EncryptionKey = config.NewSecret("hunter2")
	c.Store.MongoDB.URI = config.NewSecret("mongodb://u:hunter2@h")
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, c)
		fmt.Fprintf(&out, verb, &c)
		fmt.Fprintf(&out, verb, c.Keys.EncryptionKey)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("start", "config", c, "key", c.Keys.EncryptionKey)
	slog.New(slog.NewTextHandler(&out, nil)).Info("start", "config", c, "key", c.Keys.EncryptionKey)
	if err := json.NewEncoder(&out).Encode(c); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
		t.Errorf("the secret is in: %s", text)
	}
	if got := c.Keys.EncryptionKey.LogValue().String(); got != "[secret]" {
		t.Errorf("LogValue: got %s, want [secret]", got)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, c.Keys.EncryptionKey); got != "[secret]" {
			t.Errorf("%s: got %s, want [secret]", verb, got)
		}
	}
}

func TestSecretsCompareByText(t *testing.T) {
	a := config.NewSecret("a")
	if !a.Equal(config.NewSecret("a")) || a.Equal(config.NewSecret("b")) || a.Equal(config.Secret{}) {
		t.Error("Equal does not compare the texts")
	}
	var none config.Secret
	if none.IsSet() || none.Reveal() != "" || config.NewSecret("").IsSet() || !a.IsSet() {
		t.Error("only a text that is not empty is set")
	}
}

func TestTeamsOfGroups(t *testing.T) {
	c, _, err := load("oidc: {teams: ['CN=ops,OU=groups=ops', 'read ers=readers']}", nil, nil)
	want := []config.GroupTeam{{Group: "CN=ops,OU=groups", Team: "ops"}, {Group: "read ers", Team: "readers"}}
	if err != nil || !slices.Equal(c.OIDC.Teams, want) {
		t.Errorf("got %v, %v; want %v", c.OIDC.Teams, err, want)
	}
	for _, bad := range []string{"ops", "=ops", "ops=", "a=b;a=c"} {
		if _, _, err := load("", []string{"POSTERN_OIDC_TEAMS=" + bad}, nil); err == nil || !strings.Contains(err.Error(), "POSTERN_OIDC_TEAMS") {
			t.Errorf("%q: got %v, want a fault", bad, err)
		}
	}
}

func TestIssuersWithFiles(t *testing.T) {
	const cluster, ca = "https://kubernetes.default.svc.cluster.local", "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
	c, _, err := load("outbound: {issuers: ['"+cluster+" ca_file="+ca+" token_file=t,o=k', 'https://b.example/x  token_file=t']}", nil, nil)
	want := []config.Issuer{{URL: cluster, CAFile: ca, TokenFile: "t,o=k"}, {URL: "https://b.example/x", TokenFile: "t"}}
	if err != nil || !slices.Equal(c.Outbound.Issuers, want) {
		t.Errorf("got %v, %v; want %v", c.Outbound.Issuers, err, want)
	}
	var printed strings.Builder
	if err := c.Print(&printed, true); err != nil {
		t.Fatal(err)
	}
	again, _, err := load(printed.String(), nil, nil)
	if err != nil || !slices.Equal(again.Outbound.Issuers, want) {
		t.Errorf("printed and read again: got %v, %v", again.Outbound.Issuers, err)
	}
	c, _, err = load("", []string{"POSTERN_OUTBOUND_ISSUERS=" + cluster + " ca_file=" + ca + ";"}, nil)
	if err != nil || len(c.Outbound.Issuers) != 1 || c.Outbound.Issuers[0].CAFile != ca {
		t.Errorf("of the environment: got %v, %v", c.Outbound.Issuers, err)
	}
	for _, bad := range []string{
		cluster, "http://a.example ca_file=x", "a.example ca_file=x", "https://u:p@a.example ca_file=x", cluster + " ca_file=", cluster + " ca_file=a b", cluster + " ca=a", cluster + " ca_file=a ca_file=b",
		cluster + " ca_file=a;" + cluster + " ca_file=b",
	} {
		if _, _, err := load("", []string{"POSTERN_OUTBOUND_ISSUERS=" + bad}, nil); err == nil || !strings.Contains(err.Error(), "POSTERN_OUTBOUND_ISSUERS") || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%q: got %v, want a fault", bad, err)
		}
	}
}
