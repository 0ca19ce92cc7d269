package api

import (
	"context"
	"io"

	"github.com/danielgtaylor/huma/v2"

	"postern/server/admin"
)

func (m *mounted) backup() {
	register(m, "backup", func(_ context.Context, by *admin.Actor, _ *struct{}) (*huma.StreamResponse, error) {
		return m.lines("backup", "postern-backup.ndjson", func(ctx context.Context, w io.Writer) error { //nolint:contextcheck // the stream hands over the request's
			return m.Admin.Backup(ctx, by, w)
		}), nil
	}, streamed)
}
