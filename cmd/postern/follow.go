package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"postern/server/api"
	"postern/store"
)

// lateness is how much later than its time an entry may turn up: refusals of one
// minute are one entry, written when it is over, and clocks of nodes differ.
const lateness = 2 * time.Minute

func (a *remote) auditTailCommand() *cobra.Command {
	var wanted auditFilters
	var lines, count int
	var every time.Duration
	c := a.command(command{
		use: "tail", short: "Follow the audit: the last entries, then each new one",
		long: `Follow the audit until Ctrl-C: the last entries, then each new one, a line each.
-o json makes each line a JSON object.`,
		example: `  postern audit tail --workspace default
  postern audit tail --lines 0 -o json | jq .operation`,
		run: func(ctx context.Context, s *session, _ []string) error {
			if lines < 0 || lines > mostPage || every < 10*time.Millisecond {
				return usageError("--lines must be 0 to %d, and --every at least 10ms", mostPage)
			}
			query, err := wanted.asked(s.now)
			if err != nil {
				return err
			}
			f := &follower{session: s, query: query, most: count, seen: map[string]api.Time{}}
			err = f.follow(ctx, lines, every)
			if errors.Is(err, errEnough) || ctx.Err() != nil {
				return nil //nolint:nilerr // it was ended by whoever follows
			}
			return err
		},
	})
	wanted.flags(c)
	c.Flags().IntVar(&lines, "lines", 10, "begin with so many of the last entries")
	c.Flags().DurationVar(&every, "every", 2*time.Second, "how often to ask for new ones")
	c.Flags().IntVar(&count, "count", 0, "end after so many entries; 0 never ends")
	return c
}

var errEnough = errors.New("enough entries are shown")

// follower shows entries as they come.
type follower struct {
	*session
	query url.Values
	seen  map[string]api.Time // the entries of late that were shown, by id
	most  int                 // 0 is any number
	shown int
	down  bool // the last question got no answer
}

func (f *follower) follow(ctx context.Context, lines int, every time.Duration) error {
	newest, err := f.last(ctx, 1)
	if err != nil {
		return err
	}
	var from api.Time // by the server's clock
	for _, e := range newest {
		from = e.At
	}
	if _, err := f.since(ctx, from); err != nil { // what is there is not new
		return err
	}
	if lines > 0 {
		last, err := f.last(ctx, lines)
		if err == nil {
			err = f.show(last)
		}
		if err != nil {
			return err
		}
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		fresh, err := f.since(ctx, from)
		if err != nil {
			if err := f.outage(err); err != nil {
				return err
			}
			continue
		}
		f.down = false
		if err := f.show(fresh); err != nil {
			return err
		}
		for _, e := range fresh {
			from = max(from, e.At)
		}
		maps.DeleteFunc(f.seen, func(_ string, at api.Time) bool { return store.Time(at).Add(2*lateness) < store.Time(from) })
	}
}

// last returns the newest entries.
func (f *follower) last(ctx context.Context, limit int) ([]api.AuditEntry, error) {
	query := maps.Clone(f.query)
	query.Set("limit", strconv.Itoa(limit))
	page, _, err := decoded[api.List[api.AuditEntry]](ctx, f.session, request{method: http.MethodGet, path: "/audit", query: query})
	if err != nil {
		return nil, err
	}
	for _, e := range page.Items {
		f.seen[e.ID] = e.At
	}
	return page.Items, nil
}

// since returns the entries from a time on, and those that may be late, that were
// not returned before.
func (f *follower) since(ctx context.Context, from api.Time) ([]api.AuditEntry, error) {
	query := maps.Clone(f.query)
	if after := store.Time(from).Add(-lateness); after > 0 {
		query.Set("from", after.String())
	}
	entries, _, err := pages[api.AuditEntry](ctx, f.session, "/audit", query, 0)
	if err != nil {
		return nil, err
	}
	var fresh []api.AuditEntry
	for _, e := range entries {
		if _, known := f.seen[e.ID]; !known {
			fresh = append(fresh, e)
		}
		f.seen[e.ID] = e.At
	}
	return fresh, nil
}

// outage says once that there is no answer, and returns an error that another
// question would not get over.
func (f *follower) outage(err error) error {
	if r, ok := errors.AsType[*refusal](err); ok && r.status < http.StatusInternalServerError && r.status != http.StatusTooManyRequests {
		return err
	}
	if !f.down && f.cmd.Context().Err() == nil {
		warn(f.cmd, err.Error()+"; still trying")
	}
	f.down = true
	return nil
}

// show writes entries that come newest first, the oldest first.
func (f *follower) show(entries []api.AuditEntry) error {
	for _, e := range slices.Backward(entries) {
		var err error
		switch f.output.String() {
		case "json":
			err = json.NewEncoder(f.out).Encode(&e)
		case "yaml":
			err = writeDocument(f.out, &e)
		default:
			_, err = fmt.Fprintf(f.out, "%s  %s  %s  %s  %s  %s  %s\n", store.Time(e.At).Time().Format(time.RFC3339), pad(cell(e.Actor), 12),
				pad(cell(e.Operation), 20), pad(cell(e.TargetName), 20), cell(e.Workspace), result(&e), cell(e.Address))
		}
		if err != nil {
			return err
		}
		if f.shown++; f.shown == f.most {
			return errEnough
		}
	}
	return nil
}

// cell is a text in a table's line.
func cell(text string) string {
	if text == "" {
		return "-"
	}
	return printable(text)
}

// writeDocument writes JSON of v as a YAML document of its own.
func writeDocument(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return err
	}
	blockStyle(&doc)
	out, err := yaml.Marshal(&doc)
	if err == nil {
		_, err = fmt.Fprintf(w, "---\n%s", out)
	}
	return err
}

func (a *remote) auditExportCommand() *cobra.Command {
	var wanted auditFilters
	var file string
	c := a.command(command{
		use: "export", short: "Write the audit as NDJSON, oldest first",
		long:    `Write audit entries as NDJSON, one JSON object a line, oldest first.`,
		example: `  postern audit export --since 30d --file audit.ndjson`,
		run: func(ctx context.Context, s *session, _ []string) error {
			query, err := wanted.asked(s.now)
			if err != nil {
				return err
			}
			resp, err := s.open(ctx, request{method: http.MethodGet, path: "/audit/export", query: query})
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			export := func(w io.Writer) error {
				if _, err := io.Copy(w, resp.Body); err != nil {
					return fmt.Errorf("the export broke off: %w", err)
				}
				return nil
			}
			if file == "" || file == "-" {
				return export(s.out)
			}
			return writePrivate(file, export)
		},
	})
	wanted.flags(c)
	c.Flags().StringVar(&file, "file", "", "file to write, readable by you alone; standard output by default")
	return c
}
