package sqlite

import (
	"context"
	"strings"

	"postern/store"
)

func accountTable() *table {
	return &table{
		columns: []string{"name", "kind", "status", "licence", "search", "user_name", "provisioned"},
		values: func(r store.Record) []any {
			a := r.(*store.Account)
			var userName any // NULL: only names are unique
			if a.UserName != "" {
				userName = strings.ToLower(a.UserName)
			}
			return []any{
				a.Name, string(a.AccountKind), string(a.Status), string(a.Licence),
				searchable(a.Name, a.DisplayName, a.Email, a.UserName, string(a.ID)), userName, a.Provisioned,
			}
		},
		links: func(r store.Record) []string {
			var teams []string
			for _, team := range r.(*store.Account).Teams {
				teams = append(teams, string(team))
			}
			return teams
		},
	}
}

func teamTable() *table {
	return &table{
		columns: []string{"name"},
		values:  func(r store.Record) []any { return []any{r.(*store.Team).Name} },
	}
}

// Account implements store.Reader.
func (s *Store) Account(ctx context.Context, id store.AccountID) (*store.Account, error) {
	return one[store.Account](ctx, "read account "+string(id), s.account, string(id))
}

// AccountByName implements store.Reader.
func (s *Store) AccountByName(ctx context.Context, name string) (*store.Account, error) {
	return one[store.Account](ctx, "read account named "+name, s.accountByName, name)
}

// Accounts implements store.Lister.
func (s *Store) Accounts(ctx context.Context, q store.AccountQuery) ([]*store.Account, error) {
	c := new(conditions)
	if q.AccountKind != "" {
		c.and("kind = ?", string(q.AccountKind))
	}
	if q.Status != "" {
		c.and("status = ?", string(q.Status))
	} else {
		c.and("status <> ?", string(store.AccountDeleted))
	}
	if q.Team != "" {
		c.and("id IN (SELECT id FROM links WHERE kind = ? AND value = ?)", string(store.KindAccount), string(q.Team))
	}
	if q.Licence != "" {
		c.and("licence > '' AND licence = ?", string(q.Licence)) // the first half lets the index be used
	}
	if q.Provisioned {
		c.and("provisioned")
	}
	if q.UserName != "" {
		c.and("user_name = ?", strings.ToLower(q.UserName))
	}
	c.contains(q.Search)
	if q.After != "" {
		c.and("name > ?", q.After)
	}
	return list[store.Account](ctx, s, "list accounts", "SELECT doc FROM accounts"+c.where()+" ORDER BY name LIMIT ?", append(c.args, limit(q.Limit))...)
}
