package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode"

	"postern/server/telemetry"
)

func logger(t *testing.T, format, level string) (*slog.Logger, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, format, level)
	if err != nil {
		t.Fatal(err)
	}
	return log, &out
}

// S02: names with line breaks, terminal codes and turned writing.
func TestAnyValueComesOutOnOnePrintableLine(t *testing.T) {
	for _, value := range []string{
		"a\r\nlevel=ERROR msg=forged", "\x1b[31mred\x1b[0m", "bell\a back\b del\x7f nul\x00", "c1 \u009b31m next\u0085line",
		"turned \u202egnp.exe\u2066", "lines \u2028\u2029", "bad \xff\xfe utf-8", "tag \U000E0041", "\ufeffbom", "plain, Grüße, 日本",
	} {
		for _, format := range []string{"text", "json"} {
			log, out := logger(t, format, "info")
			log = log.With("before", value).WithGroup("g")
			log.Info(value, //nolint:sloglint // a message that is not ours is what this is about
				"name", value, "error", fmt.Errorf("role %s: %w", value, errors.New(value)), "any", []string{value})
			line := strings.TrimSuffix(out.String(), "\n")
			for _, r := range line {
				if !unicode.IsPrint(r) {
					t.Errorf("%s: %q has %U", format, line, r)
				}
			}
			if format == "text" {
				continue
			}
			var read struct {
				Msg string
				G   struct{ Name string }
			}
			if err := json.Unmarshal([]byte(line), &read); err != nil {
				t.Fatalf("%s is not JSON: %v", line, err)
			}
			if want := strings.ToValidUTF8(value, "\ufffd"); !strings.Contains(value, "\xff") && (read.G.Name != want || read.Msg != want) {
				t.Errorf("%q reads back as %q and %q", value, read.Msg, read.G.Name)
			}
		}
	}
}

func TestLinesOfARequestHaveItsID(t *testing.T) {
	log, out := logger(t, "json", "info")
	ctx := telemetry.WithRequestID(t.Context(), "abc-1")
	log.With("client", "cli1").InfoContext(ctx, "one")
	log.Info("two")
	lines := strings.Split(out.String(), "\n")
	if !strings.Contains(lines[0], `"request_id":"abc-1"`) || !strings.Contains(lines[0], `"client":"cli1"`) {
		t.Errorf("%s: want the request's id and the client", lines[0])
	}
	if strings.Contains(lines[1], "request_id") {
		t.Errorf("%s: want no request's id", lines[1])
	}
}

func TestLinesBelowTheLevelAreLeftOut(t *testing.T) {
	log, out := logger(t, "text", "warn")
	log.Info("no")
	log.Warn("yes")
	if got := out.String(); strings.Contains(got, "no") || !strings.Contains(got, "msg=yes") {
		t.Errorf("got %s", got)
	}
}

func TestAnUnknownFormatOrLevelIsAnError(t *testing.T) {
	for _, tt := range [][2]string{{"xml", "info"}, {"", "info"}, {"json", "loud"}, {"json", ""}} {
		if log, err := telemetry.NewLogger(&bytes.Buffer{}, tt[0], tt[1]); err == nil || log != nil {
			t.Errorf("NewLogger(%q, %q): got %v, %v; want an error", tt[0], tt[1], log, err)
		}
	}
}

func TestRequestIDsAreNeverTheSame(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		ids := telemetry.NewRequestIDs()
		for range 1000 {
			seen[ids.New()] = true
		}
	}
	if len(seen) != 3000 {
		t.Errorf("%d different ids of 3000", len(seen))
	}
	for id := range seen {
		if strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Fatalf("%q: want letters, digits and a hyphen", id)
		}
	}
}

func BenchmarkRequestID(b *testing.B) {
	ids := telemetry.NewRequestIDs()
	b.ReportAllocs()
	for b.Loop() {
		ids.New()
	}
}
