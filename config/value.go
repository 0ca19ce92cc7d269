package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// parse reads text into what at points to. Its errors never hold the text of a
// Secret.
func parse(at any, text string) (err error) {
	if !utf8.ValidString(text) {
		return errors.New("is not UTF-8 text")
	}
	switch at := at.(type) {
	case *string:
		*at = text
	case *Secret:
		*at = NewSecret(text)
	case *bool:
		if *at, err = strconv.ParseBool(text); err != nil {
			return fmt.Errorf("%s is neither true nor false", shown(text))
		}
	case *time.Duration:
		if *at, err = parseDuration(text); err != nil {
			return fmt.Errorf("%s is not a duration such as 500ms, 90s, 15m, 1h or 30d", shown(text))
		}
	case *Lifetime:
		*at, err = ParseLifetime(text)
	case *Rate:
		*at, err = ParseRate(text)
	case *[]Lifetime:
		*at, err = parseList(text, func(item string) (Lifetime, error) {
			if item == "" {
				return 0, errors.New("has an empty item")
			}
			return ParseLifetime(item)
		})
	case *[]netip.Prefix:
		*at, err = parseList(text, parsePrefix)
	case *[]GroupTeam:
		*at, err = parseGroupTeams(text)
	case *[]Issuer:
		*at, err = parseIssuers(text)
	}
	return err
}

// parseList reads items separated by commas. The empty text is the nil list.
func parseList[T any](text string, parse func(string) (T, error)) ([]T, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var list []T
	for item := range strings.SplitSeq(text, ",") {
		v, err := parse(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// parsePrefix reads a network, or an address as the network of it alone.
func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is neither an address nor a network such as 10.0.0.0/8", shown(text))
	}
	return p.Masked(), nil
}

// format writes what at points to, so that parse reads it back.
func format(at any) string {
	switch at := at.(type) {
	case *string:
		return *at
	case *Secret:
		return at.Reveal()
	case *bool:
		return strconv.FormatBool(*at)
	case *time.Duration:
		return formatDuration(*at)
	case *[]Lifetime:
		return formatList(*at)
	case *[]netip.Prefix:
		return formatList(*at)
	case *[]GroupTeam:
		return joined(*at, ";")
	case *[]Issuer:
		return joined(*at, ";")
	}
	return fmt.Sprint(at) // a Lifetime or a Rate
}

func formatList[T fmt.Stringer](list []T) string { return joined(list, ",") }

func joined[T fmt.Stringer](list []T, by string) string {
	items := make([]string, len(list))
	for i, v := range list {
		items[i] = v.String()
	}
	return strings.Join(items, by)
}

// asText returns a value of a YAML file as the text that parse reads for at.
// What has another shape is an error, which names the shape, not the value.
func asText(at, value any) (string, error) {
	want := typeName(at)
	switch v := value.(type) {
	case string:
		return v, nil
	case bool:
		if want == "true|false" {
			return strconv.FormatBool(v), nil
		}
		return "", fmt.Errorf("is true or false, want %s: write it in quotes if it is meant", want)
	case int, int64, uint64, float64:
		switch want {
		case "rate", "duration", "lifetime":
			return fmt.Sprint(v), nil // 0 is a rate; the others get to know which unit is missing
		}
		return "", fmt.Errorf("is a number, want %s: write it in quotes if it is meant", want)
	case []any:
		if !strings.HasPrefix(want, "list") {
			return "", fmt.Errorf("is a list, want one %s", want)
		}
		items := make([]string, len(v))
		for i, item := range v {
			text, ok := item.(string)
			if !ok {
				return "", fmt.Errorf("has item %d that is not text, want a %s", i+1, want)
			}
			items[i] = text
		}
		if want == groupTeams || want == issuers {
			return strings.Join(items, "\n"), nil
		}
		return strings.Join(items, ","), nil
	case map[string]any:
		return "", fmt.Errorf("is a section, want %s", want)
	}
	return "", fmt.Errorf("has a shape that is not %s: write it in quotes", want)
}

// shown returns text for an error message: quoted and short, and nothing at
// all of what could be a URL with a password or an access key in it.
func shown(text string) string {
	if strings.ContainsAny(text, "@?") {
		return "a value (not shown: it may hold a password)"
	}
	if len(text) > 80 {
		return fmt.Sprintf("%q…", text[:80])
	}
	return strconv.Quote(text)
}
