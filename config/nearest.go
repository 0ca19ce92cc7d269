package config

import "strings"

// longest is how much of an unknown name is compared and shown.
const longest = 64

func clip(name string) string {
	if len(name) > longest {
		name = name[:longest] + "…"
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?' // a message is one line
		}
		return r
	}, name), "?")
}

// Nearest returns the candidate that takes the fewest edits to make from name:
// what someone meant who wrote a name that does not exist.
func Nearest(name string, candidates []string) string { return nearest(name, candidates) }

// nearest returns the candidate that takes the fewest edits to make from name.
// Leaving out leading parts ("uri" for "store.mongodb.uri") counts as two.
func nearest(name string, candidates []string) string {
	if len(name) > longest {
		name = name[:longest]
	}
	bare := strings.TrimPrefix(name, envPrefix)
	best, least := "", -1
	try := func(candidate string, cost int) {
		if least < 0 || cost < least {
			best, least = candidate, cost
		}
	}
	for _, c := range candidates {
		tail := strings.TrimPrefix(c, envPrefix)
		try(c, distance(bare, tail))
		for {
			i := strings.IndexAny(tail, "._")
			if i < 0 {
				break
			}
			tail = tail[i+1:]
			try(c, distance(bare, tail)+2)
		}
	}
	return best
}

// distance returns the Levenshtein distance of a and b, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
