package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"postern/server/api"
)

func (a *remote) systemCommand() *cobra.Command {
	return a.command(command{
		use: "system", short: "Show how the server is that answers, and its configuration",
		run: func(ctx context.Context, s *session, _ []string) error {
			r, answer, err := decoded[api.System](ctx, s, request{method: http.MethodGet, path: "/system"})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) {
				var f facts
				f.add("version", r.Version)
				f.add("node", r.Node)
				f.add("started", s.at(r.StartedAt))
				f.add("store", fmt.Sprintf("%s, %.1f ms for a read", r.Store, r.StoreLatency))
				f.add("state", time.Duration(r.StateAge*float64(time.Second)).Round(100*time.Millisecond).String()+" old")
				f.write(w)
				if r.Configuration != "" {
					w.printf("\n%s", r.Configuration)
				}
			})
		},
	})
}
