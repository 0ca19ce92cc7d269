package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func someBootstrap() bootstrapFile {
	secret := func(client string) string { return "pst_" + client + "_" + strings.Repeat("x", 49) }
	const admin, example, gateway = "cliadminadminadminadminadmi", "cliexampleexampleexampleexa", "cligatewaygatewaygatewaygat"
	return bootstrapFile{
		Issuer: "http://127.0.0.1:8085",
		Admin:  bootstrapAdmin{"admin", "aaaaa-bbbbb-ccccc-ddddd-eeeee", admin, secret(admin)},
		Example: &bootstrapExample{
			API: "example", Audience: "https://api.example.com", ClientID: example, ClientSecret: secret(example),
			GatewayClientID: gateway, GatewayClientSecret: secret(gateway),
			Allowed: bootstrapCall{"GET", "/orders/42"}, Denied: bootstrapCall{"DELETE", "/orders/42"},
		},
	}
}

func TestIntroductionFitsATerminal(t *testing.T) {
	for line := range strings.SplitSeq(introduction(someBootstrap(), "127.0.0.1:8086"), "\n") {
		if n := utf8.RuneCountInString(line); n > 80 && !strings.Contains(line, "pst_") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestIntroductionShowsEachSecretOnce(t *testing.T) {
	b := someBootstrap()
	text := introduction(b, "127.0.0.1:8086")
	for _, secret := range []string{b.Admin.Password, b.Admin.ClientSecret, b.Example.ClientSecret, b.Example.GatewayClientSecret} {
		if n := strings.Count(text, secret); n != 1 {
			t.Errorf("a secret is shown %d times, want once", n)
		}
	}
}

func TestIntroductionWithoutAnExample(t *testing.T) {
	b := someBootstrap()
	b.Example = nil
	if text := introduction(b, "127.0.0.1:8086"); strings.Contains(text, "curl") || !strings.Contains(text, "postern login") {
		t.Errorf("got %s", text)
	}
}
