package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func someClients() *table {
	t := &table{none: "There are none.", columns: []column{
		{title: "ID"}, {title: "NAME", least: 10}, {title: "ROLES", least: 8}, {title: "STATUS"}, {title: "EXPIRES", spare: true}, {title: "DESCRIPTION", least: 12, spare: true},
	}}
	t.add("cli000000000000000000000001", "CI runner", "clerk", "active", "in 89 days", "Builds what is pushed.")
	t.add("cli000000000000000000000002", "Nightly import of everything there is", "clerk, auditor, reader", "revoked", "never", "")
	return t
}

func TestTableFits(t *testing.T) {
	for _, tt := range []struct {
		name  string
		width int
		want  string
	}{
		{name: "a pipe gets everything", width: 0, want: `
ID                           NAME                                   ROLES                   STATUS   EXPIRES     DESCRIPTION
cli000000000000000000000001  CI runner                              clerk                   active   in 89 days  Builds what is pushed.
cli000000000000000000000002  Nightly import of everything there is  clerk, auditor, reader  revoked  never       -
`},
		{name: "a terminal of 80 columns has no spare ones, and cuts the widest", width: 80, want: `
ID                           NAME                  ROLES                 STATUS
cli000000000000000000000001  CI runner             clerk                 active
cli000000000000000000000002  Nightly import of e…  clerk, auditor, rea…  revoked
`},
		{name: "a wider one has the first of the spare columns", width: 110, want: `
ID                           NAME                                  ROLES                   STATUS   EXPIRES
cli000000000000000000000001  CI runner                             clerk                   active   in 89 days
cli000000000000000000000002  Nightly import of everything there …  clerk, auditor, reader  revoked  never
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := &page{width: tt.width}
			someClients().write(out)
			for line := range strings.SplitSeq(out.text.String(), "\n") {
				if n := utf8.RuneCountInString(line); tt.width > 0 && n > tt.width {
					t.Errorf("%d columns: %s", n, line)
				}
			}
			if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), out.text.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTableWithoutRowsSaysSo(t *testing.T) {
	out := &page{width: 80}
	(&table{none: "There are none.", columns: []column{{title: "ID"}}}).write(out)
	if got := out.text.String(); got != "There are none.\n" {
		t.Errorf("got %q", got)
	}
}

func TestNamesOfOthersMoveNoCursor(t *testing.T) {
	out := &page{width: 80}
	tab := &table{columns: []column{{title: "NAME"}}}
	tab.add("a\x1b[2Jb\r\nc\u202ed")
	tab.write(out)
	if got, want := out.text.String(), "NAME\na\uFFFD[2Jb\uFFFD\uFFFDc\uFFFDd\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		at   time.Duration
		want string
	}{
		{0, "just now"},
		{-59 * time.Second, "just now"},
		{-time.Minute, "1 minute ago"},
		{-3 * time.Minute, "3 minutes ago"},
		{-47 * time.Hour, "1 day ago"},
		{-400 * 24 * time.Hour, "400 days ago"},
		{-800 * 24 * time.Hour, "2 years ago"},
		{time.Second, "in a moment"},
		{90*24*time.Hour - time.Second, "in 90 days"},
		{59*time.Minute + 59*time.Second, "in 59 minutes"},
	} {
		if got := ago(now.Add(tt.at), now); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.at, got, tt.want)
		}
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		text string
		sign time.Duration
		want string
	}{
		{"7d", -1, "2026-02-22T12:00:00Z"},
		{"1y", +1, "2027-03-01T12:00:00Z"},
		{"90m", -1, "2026-03-01T10:30:00Z"},
		{"2026-01-31T12:00:00+02:00", -1, "2026-01-31T10:00:00Z"},
		{"yesterday", -1, ""},
		{"-5m", -1, ""},
		{"9999999999d", +1, ""},
	} {
		got, err := moment(tt.text, now, tt.sign)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("moment(%q) = %q, %v; want %q", tt.text, got, err, tt.want)
		}
	}
}

func TestParseRule(t *testing.T) {
	for _, tt := range []struct{ text, methods, path, scope, operation string }{
		{"GET /orders/**", "GET", "/orders/**", "", ""},
		{"GET,HEAD  /orders/{order} orders:read", "GET HEAD", "/orders/{order}", "orders:read", ""},
		{"* /orders [orders:all]", "*", "/orders", "orders:all", ""},
		{"POST /graphql op=query  devices", "POST", "/graphql", "", "query devices"},
		{"POST /graphql iot:read op=mutation *", "POST", "/graphql", "iot:read", "mutation *"},
		{text: "POST /graphql op=query"},
		{text: "POST /graphql op=query devices iot:read"},
		{text: "GET"},
		{text: "GET HEAD /orders scope"},
	} {
		got, err := parseRule(tt.text)
		if got.Methods != tt.methods || got.Path != tt.path || got.Scope != tt.scope || got.Operation != tt.operation || (err == nil) != (tt.path != "") {
			t.Errorf("parseRule(%q) = %+v, %v", tt.text, got, err)
		}
	}
}
