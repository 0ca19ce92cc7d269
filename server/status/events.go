package status

import (
	"strconv"
	"strings"

	"postern/store"
)

// event is one thing that a gateway may have to know.
type event struct {
	token     *store.Revocation // revoked on its own
	key       string            // revoked; its kid
	list, bit int64             // has another status
	invalid   bool
}

// kept is how many events can be heard of later.
const kept = 1 << 14

// events are the last ones, numbered from 1 within an epoch: that is what one
// node has seen since it loaded. A cursor of another epoch is worth nothing.
type events struct {
	epoch  string
	last   int64 // the number of the latest
	recent []event
	moved  chan struct{} // closed by the next
}

func (e *events) begin(epoch string) {
	e.epoch, e.last, e.recent = epoch, 0, nil
	e.signal()
}

func (e *events) add(one event) {
	e.last++
	if e.recent = append(e.recent, one); len(e.recent) >= 2*kept {
		e.recent = append([]event(nil), e.recent[kept:]...)
	}
	e.signal()
}

func (e *events) signal() {
	if e.moved != nil {
		close(e.moved)
	}
	e.moved = make(chan struct{})
}

func (e *events) cursor(n int64) string { return e.epoch + "." + strconv.FormatInt(n, 10) }

// since returns at most some events after a cursor and the number of the last of
// them, or false if they cannot be told.
func (e *events) since(cursor string, most int) (list []event, last int64, ok bool) {
	epoch, number, _ := strings.Cut(cursor, ".")
	n, err := strconv.ParseInt(number, 10, 64)
	first := e.last - int64(len(e.recent)) // the number before that of the first
	if err != nil || epoch != e.epoch || n < first || n > e.last {
		return nil, 0, false
	}
	list = e.recent[n-first:]
	if len(list) > most {
		list = list[:most]
	}
	return list, n + int64(len(list)), true
}
