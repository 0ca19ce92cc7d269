package importing

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"postern/server/secret"
)

// columns are those that CSV may have.
const columns = "client_id, name, description, secret, secret_hash, workspace, roles, expires"

// CSV reads a table with a line of titles: client_id and one of secret and
// secret_hash at least, and name, description, workspace, roles (parted by
// spaces or semicolons) and expires (2027-01-31, or RFC 3339). The comma parts
// the columns.
func CSV(text []byte) (*List, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))) // spreadsheets begin with that mark
	titles, err := r.Read()
	if err != nil {
		return nil, unreadable(err)
	}
	at := map[string]int{}
	for i, title := range titles {
		title = strings.ToLower(strings.TrimSpace(title))
		// It may be a secret, in a file without titles: it is not repeated.
		if _, twice := at[title]; twice || !slices.Contains(strings.Split(columns, ", "), title) {
			return nil, fmt.Errorf("the first line must name the columns, each once, out of %s; that of column %d is none of them", columns, i+1)
		}
		at[title] = i
	}
	_, hasText := at["secret"]
	_, hasHash := at["secret_hash"]
	if _, ok := at["client_id"]; !ok || !hasText && !hasHash {
		return nil, errors.New("there must be a column client_id, and one of secret and secret_hash")
	}
	l := &List{}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err != nil {
			return nil, unreadable(err)
		}
		line, _ := r.FieldPos(0)
		cell := func(name string) string {
			if i, ok := at[name]; ok {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		c := Client{
			ID: cell("client_id"), Name: cell("name"), Description: cell("description"), Workspace: cell("workspace"),
			Secret: secret.Of(cell("secret")), SecretHash: cell("secret_hash"),
			Roles: strings.FieldsFunc(cell("roles"), func(r rune) bool { return r == ' ' || r == ';' }),
		}
		if ends := cell("expires"); ends != "" {
			if c.ExpiresAt, err = moment(ends); err != nil {
				return nil, fmt.Errorf("line %d: expires must be a day such as 2027-01-31 or a time such as 2027-01-31T12:00:00Z", line)
			}
		}
		switch {
		case c.ID == "":
			l.leave("", fmt.Sprintf("line %d has no client_id", line))
		case !c.Secret.IsSet() && c.SecretHash == "":
			l.leave(c.ID, "there is no secret in the file")
		case c.Secret.IsSet() && c.SecretHash != "":
			l.leave(c.ID, "it has a secret and a secret_hash; one of them is to be left empty")
		case isHash(c.Secret.Reveal()):
			l.leave(c.ID, "its secret looks like a hash, which belongs into secret_hash")
		default:
			l.Clients = append(l.Clients, c)
		}
	}
}

func moment(text string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, text)
}

// unreadable says where CSV is wrong, without a piece of it.
func unreadable(err error) error {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("line %d is no CSV: %w", e.Line, e.Err)
	}
	return errors.New("there is not even a line of titles")
}
