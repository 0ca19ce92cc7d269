package mongo

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// parse reads a connection string. The driver's own errors quote the part they
// object to, which may be the password, so they are asked of a copy without
// secrets. mask takes the secrets out of any other text.
func parse(uri string) (opts *options.ClientOptions, mask func(string) string, err error) {
	shown, secrets := redact(uri)
	mask = masker(secrets)
	opts = options.Client().ApplyURI(uri)
	if opts.Validate() == nil {
		return opts, mask, nil
	}
	reason := "what is left out here is malformed: in a user name, a password and an option, all but letters and digits are written as %XX"
	if err := options.Client().ApplyURI(shown).Validate(); err != nil {
		reason = err.Error()
	}
	return nil, nil, fmt.Errorf("read the MongoDB connection string %s: %s", shown, reason)
}

const hidden = "xxxxx"

var (
	hostPort = regexp.MustCompile(`^[A-Za-z0-9._-]+(:[0-9]{1,5})?$|^\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?$`)
	pathName = regexp.MustCompile(`^[A-Za-z0-9_-]*$`)
)

// redact returns a connection string without what may be secret, and what it
// left out. It does not trust the string to be well-formed: only what is known
// to be harmless is kept.
func redact(uri string) (shown string, secrets []string) {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok || scheme != "mongodb" && scheme != "mongodb+srv" {
		return hidden, []string{uri}
	}
	hide := func(secret string) string {
		if secret != "" {
			secrets = append(secrets, secret)
		}
		return hidden
	}
	var out strings.Builder
	out.WriteString(scheme + "://")
	// An unescaped password may have any character in it, so the last @ counts.
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, password, both := strings.Cut(rest[:at], ":")
		out.WriteString(hide(user))
		if both {
			out.WriteString(":" + hide(password))
		}
		out.WriteString("@")
		rest = rest[at+1:]
	}
	rest, query, asked := strings.Cut(rest, "?")
	hosts, database, slash := strings.Cut(rest, "/")
	for i, host := range strings.Split(hosts, ",") {
		if i > 0 {
			out.WriteByte(',')
		}
		if host != "" && !hostPort.MatchString(host) {
			host = hide(host)
		}
		out.WriteString(host)
	}
	if slash {
		if !pathName.MatchString(database) {
			database = hide(database)
		}
		out.WriteString("/" + database)
	}
	if asked {
		out.WriteString("?" + redactQuery(query, hide))
	}
	return out.String(), secrets
}

func redactQuery(query string, hide func(string) string) string {
	harmless := []string{
		"appname", "authmechanism", "authsource", "compressors", "directconnection", "heartbeatfrequencyms", "journal",
		"loadbalanced", "maxidletimems", "maxpoolsize", "maxstalenessseconds", "minpoolsize", "readconcernlevel",
		"readpreference", "replicaset", "retryreads", "retrywrites", "serverselectiontimeoutms", "connecttimeoutms",
		"sockettimeoutms", "srvmaxhosts", "srvservicename", "ssl", "timeoutms", "tls", "tlscafile",
		"tlscertificatekeyfile", "tlsinsecure", "w", "wtimeoutms",
	}
	var parts []string
	for part := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		key, value, ok := strings.Cut(part, "=")
		switch {
		case !ok:
			part = hide(part)
		case !slices.Contains(harmless, strings.ToLower(key)):
			part = key + "=" + hide(value)
			if !pathName.MatchString(key) {
				part = hide(key) + "=" + hide(value)
			}
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "&")
}

// masker returns a function that hides secrets, also when they were decoded.
func masker(secrets []string) func(string) string {
	var pairs []string
	for _, s := range secrets {
		pairs = append(pairs, s, hidden)
		if plain, err := url.PathUnescape(s); err == nil && plain != s {
			pairs = append(pairs, plain, hidden)
		}
	}
	return strings.NewReplacer(pairs...).Replace
}
