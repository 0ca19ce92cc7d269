package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// moment reads a time, or a lifetime from now: back with a sign of -1, ahead
// with +1.
func moment(text string, now time.Time, sign time.Duration) (string, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC().Format(time.RFC3339), nil
	}
	d, err := lifetime(text)
	if err != nil {
		return "", fmt.Errorf("%q is no time such as 2026-01-31T12:00:00Z, and no duration such as 12h or 30d", text)
	}
	return now.Add(sign * d).UTC().Format(time.RFC3339), nil
}

// lifetime reads 30d, 1y (365 days), or a Go duration such as 12h. Empty is 0.
func lifetime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	for suffix, days := range map[string]int{"d": 1, "y": 365} {
		if digits, ok := strings.CutSuffix(text, suffix); ok {
			if n, err := strconv.Atoi(digits); err == nil && n >= 0 && n <= 36500/days {
				return time.Duration(n*days) * 24 * time.Hour, nil
			}
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration such as 12h, 30d or 1y", text)
	}
	return d, nil
}

// ago says how long ago or from now a time is, in words.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	form := "%s ago"
	if d < 0 {
		d, form = -d, "in %s"
	}
	if d > time.Hour {
		d = d.Round(time.Minute) // what was to live for 90 days does so a moment later too
	}
	for _, unit := range []struct {
		name string
		is   time.Duration
	}{{"year", 365 * 24 * time.Hour}, {"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		n := int64(d / unit.is)
		// Up to two years, days say more.
		if n == 0 || unit.name == "year" && n < 2 {
			continue
		}
		if n == 1 {
			return fmt.Sprintf(form, "1 "+unit.name)
		}
		return fmt.Sprintf(form, fmt.Sprintf("%d %ss", n, unit.name))
	}
	if t.After(now) {
		return "in a moment"
	}
	return "just now"
}
