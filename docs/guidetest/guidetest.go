// Package guidetest keeps the tables of the guides true: tests write down what they
// showed, and compare it with what the guide says.
package guidetest

import (
	"os"
	"strings"
	"testing"
)

// Table checks that the first table under a heading of a guide is the one given,
// rows of Markdown that each end with a newline, or with update writes it there.
// Below it there must be an empty line and text.
func Table(t testing.TB, guide, heading, table string, update bool) {
	t.Helper()
	source, err := os.ReadFile(guide) //nolint:gosec // a test names it
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(source), heading+"\n")
	start := strings.Index(rest, "\n|")
	end := strings.Index(rest, "|\n\n")
	if !found || start < 0 || end < start {
		t.Fatalf("%s has no table under %q", guide, heading)
	}
	want := before + heading + "\n" + rest[:start+1] + table + rest[end+2:]
	if want == string(source) {
		return
	}
	if !update {
		t.Errorf("the table of %s is not what was shown, which is below; run this test with -update\n%s", guide, table)
		return
	}
	if err := os.WriteFile(guide, []byte(want), 0o600); err != nil { //nolint:gosec // a test names it
		t.Fatal(err)
	}
}
