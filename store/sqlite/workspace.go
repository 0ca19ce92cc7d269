package sqlite

import "postern/store"

func workspaceTable() *table {
	return &table{
		columns: []string{"name"},
		values:  func(r store.Record) []any { return []any{r.(*store.Workspace).Name} },
	}
}

func apiTable() *table {
	return &table{
		columns: []string{"name", "audience"},
		values: func(r store.Record) []any {
			a := r.(*store.API)
			return []any{a.Name, a.Audience}
		},
	}
}
