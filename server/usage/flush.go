package usage

import (
	"context"
	"fmt"
	"net/netip"

	"postern/store"
)

// pending is what one Flush found changed, with the totals of that moment.
type pending struct {
	rows   []store.Usage
	counts []*count // of rows
	uses   []store.LastUse
	of     []*use // of uses
	events []int64
}

// Flush writes what changed since it was last written, for answers that must
// include what this process saw until now. Record does not wait for it. What
// could not be written is written the next time.
func (r *Recorder) Flush(ctx context.Context) error {
	r.flushing.Lock()
	defer r.flushing.Unlock()

	var p pending
	now := store.At(r.o.Now())
	for i := range r.shards {
		r.collect(&p, &r.shards[i], now-now%hour)
	}
	written, err := r.write(ctx, &p)
	if err == nil {
		err = r.writeSums(ctx, now-now%hour)
	}
	if written > 0 || err != nil {
		r.o.OnFlush(written, err)
	}
	return err
}

// collect takes what changed in a shard, and drops what is past and written.
func (r *Recorder) collect(p *pending, s *shard, thisHour store.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floor = max(s.floor, thisHour)
	for k, c := range s.counts {
		r.addUp(k, c)
		switch {
		case c.total != c.written:
			p.rows = append(p.rows, store.Usage{
				Hour: k.hour, Client: k.client, Secret: k.secret, Rule: k.rule, Outcome: k.outcome,
				Process: r.o.Process, Count: c.total,
			})
			p.counts = append(p.counts, c)
		case k.hour < s.floor:
			delete(s.counts, k)
			r.keys.Add(-1)
		}
	}
	for cred, u := range s.uses {
		switch {
		case u.touched != u.written:
			p.uses = append(p.uses, store.LastUse{
				Client: cred.client, Secret: cred.secret,
				SuccessAt: u.success.at, SuccessAddress: text(u.success.address), SuccessEndpoint: u.success.endpoint,
				RefusalAt: u.refusal.at, RefusalAddress: text(u.refusal.address), RefusalEndpoint: u.refusal.endpoint,
			})
			p.of = append(p.of, u)
			p.events = append(p.events, u.touched)
		case u.hour < s.floor:
			delete(s.uses, cred)
		}
	}
}

// addUp puts what was counted since the last time into the sum of the workspace.
func (r *Recorder) addUp(k key, c *count) {
	if c.total == c.summed {
		return
	}
	of := sumKey{k.hour, c.workspace, k.rule, k.outcome}
	if r.sums[of] == nil {
		r.sums[of] = &sum{}
	}
	r.sums[of].total += c.total - c.summed
	c.summed = c.total
}

// writeSums sends the sums that changed, in batches, and drops those that are
// past and written.
func (r *Recorder) writeSums(ctx context.Context, thisHour store.Time) error {
	var keys []sumKey
	var rows []store.UsageSum
	for k, s := range r.sums {
		if s.total != s.written {
			keys = append(keys, k)
			rows = append(rows, store.UsageSum{Hour: k.hour, Workspace: k.workspace, Rule: k.rule, Outcome: k.outcome, Process: r.o.Process, Count: s.total})
		} else if k.hour < thisHour { // and nothing is counted there any more: see floor
			delete(r.sums, k)
		}
	}
	for len(rows) > 0 {
		some := min(len(rows), batchSize)
		if err := r.o.Store.AddUsageSums(ctx, rows[:some]); err != nil {
			return fmt.Errorf("write usage sums: %w", err)
		}
		for i, k := range keys[:some] {
			r.sums[k].written = rows[i].Count
		}
		keys, rows = keys[some:], rows[some:]
	}
	return nil
}

// write sends everything in batches and returns how many rows the store took.
func (r *Recorder) write(ctx context.Context, p *pending) (int, error) {
	written := 0
	for len(p.rows)+len(p.uses) > 0 {
		rows := min(len(p.rows), batchSize)
		uses := min(len(p.uses), batchSize-rows)
		if err := r.o.Store.AddUsage(ctx, p.rows[:rows], p.uses[:uses]); err != nil {
			return written, fmt.Errorf("write usage: %w", err)
		}
		for i, c := range p.counts[:rows] {
			c.written = p.rows[i].Count
		}
		for i, u := range p.of[:uses] {
			u.written = p.events[i]
		}
		p.rows, p.counts = p.rows[rows:], p.counts[rows:]
		p.uses, p.of, p.events = p.uses[uses:], p.of[uses:], p.events[uses:]
		written += rows + uses
	}
	return written, nil
}

// text is the address as it is stored, without an IPv4 address's IPv6 disguise.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}
