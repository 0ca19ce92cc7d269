package sqlite

import (
	"context"
	"fmt"

	"postern/store"
)

// LimitPages bounds the size of the database, as a full disk does: pages more
// than there are now, or as many as can be if it is negative.
func (s *Store) LimitPages(ctx context.Context, pages int) error {
	return s.write.do(ctx, &job{run: func(w *writer) ([]store.Change, error) {
		most := int64(1 << 31)
		if pages >= 0 {
			if err := w.conn.QueryRow("PRAGMA page_count").Scan(&most); err != nil {
				return nil, err
			}
		}
		return nil, w.conn.QueryRow(fmt.Sprintf("PRAGMA max_page_count = %d", most+int64(pages))).Scan(&most)
	}})
}

// Block keeps the writer busy until release is called. Outcome gives what the
// write that does it was answered.
func (s *Store) Block(ctx context.Context) (release func(), outcome <-chan error) {
	begun, end, answer := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		answer <- s.write.do(ctx, &job{memory: func() []store.Change {
			close(begun)
			<-end
			return nil
		}})
	}()
	<-begun
	return func() { close(end) }, answer
}

// Kept is how many changes can be resumed after.
const Kept = kept

// Migrations are the steps of the schema.
func Migrations() [][]string { return migrations() }
