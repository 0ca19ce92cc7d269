package clienttest_test

import (
	"os"
	"strings"
	"testing"
)

const (
	guide   = "../../../docs/clients.md"
	heading = "## What was shown\n"
)

// table is what each library did, in Markdown.
func table(all map[string]given) string {
	var b strings.Builder
	b.WriteString("| library | discovery | `client_secret_basic` | `client_secret_post` | `private_key_jwt` | introspection | revocation | verifies a JWT itself |\n|---|---|---|---|---|---|---|---|\n")
	yes := func(does bool) string {
		if does {
			return " yes |"
		}
		return " |"
	}
	for _, l := range libraries {
		g := all[l.name]
		b.WriteString("| " + l.name + " |" + yes(g.Discovery != "") + yes(g.Basic != "") + yes(g.Post != "") + yes(g.Signed != "") + yes(g.Introspect != nil) + yes(g.Revoke != 0) + yes(g.Verify != "") + "\n")
	}
	return b.String()
}

// compare checks that the guide's table says what was shown.
func compare(t *testing.T, table string) {
	t.Helper()
	source, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(source), heading)
	start := strings.Index(rest, "\n| library")
	end := strings.Index(rest, "|\n\n")
	if !found || start < 0 || end < start {
		t.Fatalf("%s has no table under %q", guide, heading)
	}
	want := before + heading + rest[:start+1] + table + rest[end+2:]
	if want == string(source) {
		return
	}
	if *update {
		if err := os.WriteFile(guide, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the table of %s is not what was shown, which is below; run this test with -update\n%s", guide, table)
}
