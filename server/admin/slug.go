package admin

import (
	"regexp"
	"strconv"
	"strings"

	"postern/server/secret"
)

const slugRule = "must be 1 to 63 of a-z, 0-9 and -, the first a letter or digit"

var slugs = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func isSlug(s string) bool { return slugs.MatchString(s) }

// slug makes a name of a free text: at most 48 characters, "client" when
// nothing is left.
func slug(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= 48 {
			break
		}
	}
	if s := strings.Trim(b.String(), "-"); s != "" {
		return s
	}
	return "client"
}

// validClientID reports whether a text can be the id of a client: native or
// imported.
func validClientID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") == ""
}

// printable shortens what a person typed and escapes what is not printable. Of a
// secret or token in the place of a name it shows nothing.
func printable(s string) string {
	if secret.Looks(s) || strings.HasPrefix(s, "psa_") { // the latter is an opaque access token
		return secret.Of(s).String()
	}
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
