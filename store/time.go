package store

import "time"

// Time is a moment in UTC: milliseconds since 1970. Zero is "no time", such as
// an expiry that never comes.
type Time int64

// At rounds a time down to the millisecond. The zero time becomes zero.
func At(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMilli())
}

// Time returns t as a time.Time in UTC. Zero becomes the zero time.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(t)).UTC()
}

// Add returns t moved by d, rounded down to the millisecond.
func (t Time) Add(d time.Duration) Time { return t + Time(d.Milliseconds()) }

// Sub returns the time from o to t.
func (t Time) Sub(o Time) time.Duration { return time.Duration(t-o) * time.Millisecond }

// Over reports whether an expiry has come: what expires at t is good while
// now < t, and for ever if t is zero.
func (t Time) Over(now Time) bool { return t != 0 && now >= t }

// Sooner returns the earlier of two expiries, where zero is never.
func (t Time) Sooner(o Time) Time {
	if t == 0 || o != 0 && o < t {
		return o
	}
	return t
}

// String is RFC 3339 with milliseconds, or "never".
func (t Time) String() string {
	if t == 0 {
		return "never"
	}
	return t.Time().Format("2006-01-02T15:04:05.000Z07:00")
}
