package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// Lifetime is how long something may live, in nanoseconds like a
// [time.Duration]. Zero is unset; [Never] has no end.
type Lifetime time.Duration

// Never is the Lifetime without an end.
const Never Lifetime = -1

// ParseLifetime reads "never", a number of days or years such as "30d" or "1y"
// (365 days), or a positive Go duration such as "12h". The empty text is the
// zero Lifetime.
func ParseLifetime(text string) (Lifetime, error) {
	switch text {
	case "":
		return 0, nil
	case "never":
		return Never, nil
	}
	d, err := parseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%s is not a lifetime such as 12h, 30d, 1y or never", shown(text))
	}
	return Lifetime(d), nil
}

// String returns what ParseLifetime reads.
func (l Lifetime) String() string {
	switch l {
	case 0:
		return ""
	case Never:
		return "never"
	}
	return formatDuration(time.Duration(l))
}

// MarshalText returns what String does.
func (l Lifetime) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what ParseLifetime does.
func (l *Lifetime) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLifetime(string(text))
	return err
}

// parseDuration reads a Go duration, or a whole number of days or years.
func parseDuration(text string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": day, "y": year} {
		digits, ok := strings.CutSuffix(text, suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if most := math.MaxInt64 / int64(unit); err != nil || n > most || n < -most {
			return 0, errors.New("not a number of days or years")
		}
		return time.Duration(n) * unit, nil
	}
	return time.ParseDuration(text)
}

// formatDuration writes d in the largest unit that divides it, for reading and
// for parseDuration.
func formatDuration(d time.Duration) string {
	switch {
	case d == 0:
		return "0s"
	case d%year == 0:
		return strconv.FormatInt(int64(d/year), 10) + "y"
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
