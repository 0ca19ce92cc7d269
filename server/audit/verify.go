package audit

import (
	"context"
	"crypto/hmac"
	"fmt"
	"time"

	"postern/store"
)

// Fault says what is wrong in a chain.
type Fault string

// The faults that Verify finds.
const (
	FaultChanged  Fault = "changed"  // the entry, or the order, is not what was sealed
	FaultGap      Fault = "gap"      // no entry at this place
	FaultRepeated Fault = "repeated" // a second entry at this place
	FaultTail     Fault = "tail"     // the entries end elsewhere than the head says
	FaultHead     Fault = "head"     // the head was not signed with our key, or not lately
	FaultUnsealed Fault = "unsealed" // no place for more than a minute
)

const (
	pageSize    = 500
	unsealedFor = time.Minute
	signedFor   = 2 * signEvery // an hour's grace for a node that was down
	mostListed  = 1000          // problems in one report
)

// Problem is one fault.
type Problem struct {
	Fault Fault         `json:"fault"`
	Place int64         `json:"place,omitempty"` // where in the chain; the first one of a gap
	Entry store.AuditID `json:"entry,omitempty"`
	Text  string        `json:"text"` // for people
}

// Report is what Verify found. A chain is whole if there are no problems; at most
// 1,000 are listed.
type Report struct {
	Entries  int64     `json:"entries"` // sealed ones that were read
	Problems []Problem `json:"problems,omitempty"`
}

func (r *Report) add(f Fault, place int64, id store.AuditID, format string, args ...any) {
	if len(r.Problems) < mostListed {
		r.Problems = append(r.Problems, Problem{f, place, id, fmt.Sprintf(format, args...)})
	}
}

// Verify reads a workspace's whole chain ("" is the installation's own) and
// checks it against its head. It may run beside a Sealer on any node. The error
// is one of reading; what is wrong with the chain is in the report.
func (s *Sealer) Verify(ctx context.Context, w store.WorkspaceID) (Report, error) {
	report, err := s.verify(ctx, w)
	if err != nil {
		return Report{}, fmt.Errorf("verify the audit of %s: %w", chainID(w), err)
	}
	return report, nil
}

func (s *Sealer) verify(ctx context.Context, w store.WorkspaceID) (Report, error) {
	var report Report
	now := store.At(s.o.Now())
	head, err := s.head(ctx, w)
	if err != nil {
		return report, err
	}
	var atHead, last []byte // the links at the head's place and of the entry before
	place, known := int64(0), true
	for {
		page, err := s.o.Store.Audit(ctx, store.AuditQuery{
			Workspaces: []store.WorkspaceID{w}, ByPlace: true, AfterPlace: place, Limit: pageSize,
		})
		if err != nil {
			return report, err
		}
		for _, e := range page {
			report.Entries++
			if e.Place == place && place > 0 {
				report.add(FaultRepeated, place, e.ID, "a second entry is at place %d", place)
				continue
			}
			if e.Place > place+1 {
				report.add(FaultGap, place+1, "", "%d entries are missing from place %d on", e.Place-place-1, place+1)
				known = false // the link before is gone, so only the next one can be checked again
			}
			if known && !s.matches(e.Link, func(key []byte) []byte { return link(key, e, last) }) {
				report.add(FaultChanged, e.Place, e.ID, "entry %s at place %d is not what was sealed", e.ID, e.Place)
			}
			place, last, known = e.Place, e.Link, true
			if e.Place == head.Place {
				atHead = e.Link
			}
		}
		if len(page) < pageSize {
			break
		}
	}
	if place > head.Place { // perhaps because entries were sealed while we read
		newer, err := s.head(ctx, w)
		if err != nil {
			return report, err
		}
		if place > newer.Place {
			report.add(FaultTail, newer.Place+1, "", "the chain goes on to place %d, its head says %d", place, newer.Place)
		}
	}
	s.verifyHead(&report, head, place, atHead, now)
	return report, s.verifyUnsealed(ctx, &report, w, now)
}

func (s *Sealer) verifyHead(report *Report, head *store.Chain, place int64, atHead []byte, now store.Time) {
	if head.Revision == 0 {
		return // nothing was sealed yet; entries without a head are reported as a tail
	}
	if !s.matches(head.Signature, func(key []byte) []byte { return signature(key, head) }) {
		report.add(FaultHead, head.Place, "", "the head at place %d has a wrong signature", head.Place)
	} else if now.Sub(head.SignedAt) > signedFor {
		report.add(FaultHead, head.Place, "", "the head was last signed at %s", head.SignedAt)
	}
	switch {
	case place < head.Place:
		report.add(FaultTail, place+1, "", "the chain ends at place %d, its head says %d", place, head.Place)
	case !hmac.Equal(atHead, head.Link):
		report.add(FaultTail, head.Place, "", "the entry at place %d is not the one its head names", head.Place)
	}
}

func (s *Sealer) verifyUnsealed(ctx context.Context, report *Report, w store.WorkspaceID, now store.Time) error {
	waiting, err := s.o.Store.Audit(ctx, store.AuditQuery{Workspaces: []store.WorkspaceID{w}, Unsealed: true, Limit: pageSize})
	if err != nil {
		return err
	}
	for _, e := range waiting {
		if now.Sub(e.At) > unsealedFor {
			report.add(FaultUnsealed, 0, e.ID, "entry %s of %s has no place yet", e.ID, e.At)
		}
	}
	return nil
}

// head returns the chain's head; an empty one, of revision 0, if there is none.
func (s *Sealer) head(ctx context.Context, w store.WorkspaceID) (*store.Chain, error) {
	heads, err := s.heads(ctx)
	if err != nil {
		return nil, err
	}
	if head := heads[chainID(w)]; head != nil {
		return head, nil
	}
	return &store.Chain{ID: chainID(w)}, nil
}

// matches reports whether a seal was made with any of our keys.
func (s *Sealer) matches(got []byte, made func(key []byte) []byte) bool {
	for _, key := range s.o.Keys {
		if hmac.Equal(got, made(key)) {
			return true
		}
	}
	return false
}
