package cached

import (
	"context"
	"sync/atomic"
	"time"
)

// step is how often the coarse time moves on.
const step = 250 * time.Millisecond

// clock counts monotonic time from when it was made. Reading the exact time
// costs more than everything else a hot read does, so there is a coarse one
// too, which is at most about a step behind while run runs.
type clock struct {
	now    func() time.Time
	start  time.Time
	coarse atomic.Int64
}

func newClock(now func() time.Time) *clock { return &clock{now: now, start: now()} }

func (c *clock) exact() time.Duration { return c.now().Sub(c.start) }

// lately reports whether less than d has passed since born. It errs by up to
// a step to the side of no.
func (c *clock) lately(born, d time.Duration) bool {
	return time.Duration(c.coarse.Load())-born < d-step
}

// atMost is the time, or up to a step later.
func (c *clock) atMost() time.Duration { return time.Duration(c.coarse.Load()) + step }

func (c *clock) run(ctx context.Context) {
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for {
		c.coarse.Store(int64(c.exact()))
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
