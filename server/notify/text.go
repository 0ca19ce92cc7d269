package notify

import (
	"fmt"
	"strings"
	"unicode"
)

// text is what a mail says: its subject, and lines of plain text.
func text(b *Body, link string) (subject string, lines []string) {
	name, add := "", func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if c := b.Data.Client; c != nil {
		name = oneLine(c.Name)
	}
	switch b.Type {
	case ClientExpiring:
		subject = fmt.Sprintf("%s expires in %s", name, days(b.Data.Days))
		add("The client %s expires in %s. Nothing that uses it works after that.", name, days(b.Data.Days))
		add("Make its successor in time.")
	case SecretExpiring:
		subject = fmt.Sprintf("A secret of %s expires in %s", name, days(b.Data.Days))
		add("A secret of the client %s expires in %s, and no other one outlives it.", name, days(b.Data.Days))
		add("Make a new one and give it to whoever uses it:")
		add("")
		add("  postern client rotate %s", oneLine(b.Data.Client.ID))
	case ClientRevoked:
		subject = name + " was revoked"
		add("The client %s was revoked. Nothing that uses it works any more.", name)
	case SecretRevoked:
		subject = "A secret of " + name + " was revoked"
		add("A secret of the client %s was revoked, and the tokens it minted with it.", name)
	case ClientLeaked:
		subject = "A secret of " + name + " has leaked"
		add("A secret or a token of the client %s was found where it should not be.", name)
		add("Whoever found it can use it until it is revoked. Make a new one, and take it out of where it was.")
	case AccountLocked:
		subject = "Your account is locked for a while"
		add("Too many wrong passwords were given for your account, so it takes none for a while.")
		add("If that was not you, somebody tries to guess your password: tell your administrator.")
	case KeyRotationFailed:
		subject = "A signing key could not be rotated"
		add("The %s key could not be rotated. The old one goes on, and it is tried again every minute.", oneLine(b.Data.Algorithm))
		add("The log of the server says why.")
	case AccountInvited:
		subject = "You are invited to Postern"
		add("An account was made for you. Choose its password here:")
		add("")
		add("  %s", oneLine(link))
		add("")
		add("The link works once. Who has it can take your account, so pass it to nobody.")
	default:
		subject = b.Type
	}
	return subject, append(lines, facts(b)...)
}

// facts are what the event holds, a line each.
func facts(b *Body) []string {
	lines := []string{""}
	add := func(name, value string) {
		if value != "" {
			lines = append(lines, fmt.Sprintf("%-12s%s", name+":", oneLine(value)))
		}
	}
	if c := b.Data.Client; c != nil {
		add("client", c.Name)
		add("id", c.ID)
		if b.Data.Secret == nil {
			add("expires", c.ExpiresAt)
		}
	}
	if s := b.Data.Secret; s != nil {
		add("secret", strings.TrimSpace(s.Label+" "+s.ID))
		add("expires", s.ExpiresAt)
	}
	if b.Data.Account != nil {
		add("account", b.Data.Account.Name)
	}
	if b.Workspace != nil {
		add("workspace", b.Workspace.Name)
	}
	add("reason", b.Data.Reason)
	add("by", b.Data.Actor)
	add("at", b.Timestamp)
	return lines
}

func days(n int) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

// oneLine is a text that somebody chose, without what would end a line, a
// header or the mail, or turn the direction of reading.
func oneLine(text string) string {
	return clip(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return ' '
		}
		return r
	}, text), 300)
}
