package sqlite

import (
	"context"
	"database/sql"

	"postern/store"
)

func roleTable() *table {
	return &table{
		columns: []string{"ref"},
		values:  func(r store.Record) []any { return []any{r.(*store.Role).Ref} },
	}
}

func grantTable() *table {
	return &table{
		columns: []string{"workspace", "team"},
		values: func(r store.Record) []any {
			g := r.(*store.Grant)
			return []any{string(g.Workspace), g.Holder.IsTeam()}
		},
		links: func(r store.Record) []string {
			var roles []string
			for _, granted := range r.(*store.Grant).Roles {
				roles = append(roles, string(granted.Role))
			}
			return roles
		},
	}
}

// GrantsOf implements store.Reader.
func (s *Store) GrantsOf(ctx context.Context, holder store.HolderID) ([]*store.Grant, error) {
	return many[store.Grant](ctx, "read the grants of "+string(holder), func() (*sql.Rows, error) {
		return s.grantsOf.QueryContext(ctx, string(holder))
	})
}

// Grants implements store.Lister.
func (s *Store) Grants(ctx context.Context, q store.GrantQuery) ([]*store.Grant, error) {
	c := new(conditions)
	if q.Workspace != "" {
		c.and("workspace = ?", string(q.Workspace))
	}
	if q.Role != "" {
		c.and("id IN (SELECT id FROM links WHERE kind = ? AND value = ?)", string(store.KindGrant), string(q.Role))
	}
	if q.TeamsOnly {
		c.and("team")
	}
	if q.After != "" {
		c.and("id > ?", string(q.After))
	}
	return list[store.Grant](ctx, s, "list grants", "SELECT doc FROM grants"+c.where()+" ORDER BY id LIMIT ?", append(c.args, limit(q.Limit))...)
}
