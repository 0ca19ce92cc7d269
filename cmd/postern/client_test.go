package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"postern/server/api"
	"postern/store"
)

// SB1 at a terminal of 80 columns: what is there, what it may, whether it works
// and when it was used, whatever people call their tokens.
func TestClientTablesFit80Columns(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) api.Time { return api.Time(store.At(now.Add(d))) }
	long := strings.Repeat("Nightly import ", 12)
	s := &session{now: now}
	clients := []api.Client{
		{ID: "cli000000000000000000000001", Name: "CI", Workspace: "default", Roles: []string{"default/clerk"}, Status: "active", CreatedAt: at(-time.Hour)},
		{
			ID: "cli000000000000000000000002", Name: long, Description: long, Workspace: "default", Roles: []string{"default/example-reader", "default/example-writer", "*/reader"},
			Status: "revoked", Used: true, LastUsedAt: at(-59 * time.Minute), ExpiresAt: at(89 * 24 * time.Hour), CreatedAt: at(-400 * 24 * time.Hour),
			CreatedBy: &api.Reference{ID: "usr000000000000000000000001", Name: "administrator-of-everything"},
			Secrets: []api.Secret{
				{ID: "sec000000000000000000000001", Label: long, Status: "revoked", LastUsedAt: at(-59 * time.Minute), ExpiresAt: at(89 * 24 * time.Hour)},
				{ID: "sec000000000000000000000002", Status: "active"},
			},
		},
	}
	for name, tt := range map[string]struct {
		table *table
		want  []string
	}{
		"clients": {s.clientTable(clients), []string{"ID", "NAME", "ROLES", "STATUS", "LAST USED", "not used", "59 minutes ago", "revoked", "clerk"}},
		"secrets": {s.secretTable(&clients[1]), []string{"SECRET", "LABEL", "STATUS", "EXPIRES", "LAST USED", "in 89 days", "with client"}},
	} {
		out := &page{width: 80}
		tt.table.write(out)
		text := out.text.String()
		for line := range strings.SplitSeq(text, "\n") {
			if n := utf8.RuneCountInString(line); n > 80 {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in\n%s", name, want, text)
			}
		}
	}
}
