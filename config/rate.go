package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// mostEvents keeps the time between two events of a Rate well above the
// nanosecond a duration can count.
const mostEvents = 1_000_000

// Rate is a number of events in a time. The zero Rate is no limit.
type Rate struct {
	Events int
	Per    time.Duration // a second, a minute or an hour
}

// ParseRate reads "50/s", "10/min" or "5/h"; "0" is no limit. At most 1,000,000
// events may be named.
func ParseRate(text string) (Rate, error) {
	if text == "0" {
		return Rate{}, nil
	}
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(number)
	per, known := rateUnits()[unit]
	if err != nil || !known || n < 0 || n > mostEvents {
		return Rate{}, fmt.Errorf("%s is not a rate such as 50/s, 10/min or 5/h, of at most %d, or 0 for no limit", shown(text), mostEvents)
	}
	if n == 0 {
		return Rate{}, nil
	}
	return Rate{Events: n, Per: per}, nil
}

// None reports whether r limits nothing.
func (r Rate) None() bool { return r.Events == 0 }

// String returns what ParseRate reads.
func (r Rate) String() string {
	if r.None() {
		return "0"
	}
	for unit, per := range rateUnits() {
		if per == r.Per {
			return strconv.Itoa(r.Events) + "/" + unit
		}
	}
	return fmt.Sprintf("%d/%s", r.Events, r.Per) // not one ParseRate made
}

// MarshalText returns what String does.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what ParseRate does.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}

func rateUnits() map[string]time.Duration {
	return map[string]time.Duration{"s": time.Second, "min": time.Minute, "h": time.Hour}
}
