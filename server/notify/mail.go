package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"postern/server/outbound"
	"postern/server/secret"
	"postern/store"
)

// How a connection to the mail server is encrypted.
const (
	MailStartTLS = "starttls" // RFC 3207; a server that does not offer it is refused
	MailTLS      = "tls"      // from the first byte
	MailPlain    = "none"     // for a server on this machine
)

const mailTimeout = 20 * time.Second

// MailOptions configures a Mailer. Address and From are required.
type MailOptions struct {
	Address  string // host:port
	Username string // empty: no login
	Password secret.Secret
	From     string // an address, with or without a name (RFC 5322)
	TLS      string // one of the above; empty means MailStartTLS

	Roots *x509.CertPool   // nil means the system's
	Now   func() time.Time // nil means time.Now
}

// Mailer sends mail by SMTP (RFC 5321). The server is the one that the operator
// configured, and nobody else can name it: so, unlike the addresses of webhooks,
// it may be a private one.
type Mailer struct {
	o    MailOptions
	host string
	from *mail.Address
}

// NewMailer makes a Mailer. It opens nothing.
func NewMailer(o MailOptions) (*Mailer, error) {
	if o.TLS == "" {
		o.TLS = MailStartTLS
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	host, _, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("the mail server: %w", err)
	}
	from, err := mail.ParseAddress(o.From)
	if err != nil {
		return nil, fmt.Errorf("the sender of mail: %w", err)
	}
	return &Mailer{o, host, from}, nil
}

// sendMail mails an event to a person. The error is of our own store.
func (d *Deliverer) sendMail(ctx context.Context, one *store.Delivery) (result, error) {
	if d.o.Mailer == nil {
		return result{never: true, untold: true, reason: "mail is not configured"}, nil
	}
	person, err := d.o.Store.Account(ctx, one.Mail)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return result{}, err
	}
	gone := person == nil || person.Status == store.AccountDeactivated || person.Status == store.AccountDeleted
	if gone || person.Email == "" {
		return result{never: true, untold: true, reason: "the account has no address or is gone"}, nil
	}
	to, err := mail.ParseAddress(person.Email)
	if err != nil {
		return result{never: true, untold: true, reason: "the account's address is none"}, nil //nolint:nilerr // it ends the delivery, and is no error of the store
	}
	var b Body
	if err := json.Unmarshal(one.Body, &b); err != nil {
		return result{never: true, untold: true, reason: "the event cannot be read"}, nil //nolint:nilerr // it ends the delivery, and is no error of the store
	}
	link, err := d.unsealed(one, &b)
	if err != nil {
		return result{never: true, untold: true, reason: err.Error()}, nil //nolint:nilerr // it ends the delivery, and is no error of the store
	}
	subject, lines := text(&b, link)
	message := d.o.Mailer.message(string(one.ID), to.Address, subject, lines)
	if err := d.o.Mailer.send(ctx, to.Address, message); err != nil {
		d.o.Log.DebugContext(ctx, "a mail was not sent", "delivery", one.ID, "error", err)
		return mailFailed(err), nil
	}
	return result{ok: true, status: 250, size: int64(len(message))}, nil
}

// mailFailed judges an error. Of what the server said only the code is kept: its
// words may hold addresses.
func mailFailed(err error) result {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		// 5yz is for ever (RFC 5321 section 4.2.1), but for a login or a server that
		// somebody may put right.
		never := reply.Code/100 == 5 && reply.Code != 530 && reply.Code != 535 && reply.Code != 554
		return result{status: int64(reply.Code), never: never, reason: fmt.Sprintf("the mail server answered %d", reply.Code)}
	}
	if errors.Is(err, errNoTLS) || errors.Is(err, errNoLogin) {
		return result{reason: err.Error()}
	}
	return result{reason: outbound.Reason(err)}
}

// message writes a mail (RFC 5322). No header holds a line break whatever is in
// its parts: addresses are parsed, the subject is one line and encoded (RFC 2047).
func (m *Mailer) message(id, to, subject string, lines []string) []byte {
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	_, domain, _ := strings.Cut(m.from.Address, "@")
	header("From", m.from.String())
	header("To", (&mail.Address{Address: to}).String())
	// A name that is an encoded word already would be decoded by the reader.
	header("Subject", mime.QEncoding.Encode("utf-8", strings.ReplaceAll(oneLine(subject), "=?", "= ?")))
	header("Date", m.o.Now().UTC().Format(time.RFC1123Z))
	header("Message-ID", "<"+id+"@"+domain+">") // the same at each try
	header("Auto-Submitted", "auto-generated")  // RFC 3834: no out-of-office answers
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.Join(lines, "\r\n") + "\r\n")) // to memory
	_ = w.Close()
	return b.Bytes()
}

var (
	errNoTLS   = errors.New("the mail server offers no STARTTLS; set mail.tls, or fix the server")
	errNoLogin = errors.New("the mail server offers no login; leave mail.username out, or fix the server")
)

// send gives one message to the server.
func (m *Mailer) send(ctx context.Context, to string, message []byte) error {
	return m.with(ctx, func(c *smtp.Client) error {
		if err := c.Mail(m.from.Address); err != nil {
			return err
		}
		if err := c.Rcpt(to); err != nil {
			return err
		}
		w, err := c.Data()
		if err != nil {
			return err
		}
		if _, err := w.Write(message); err != nil {
			return err
		}
		return w.Close()
	})
}

// Check connects, encrypts and logs in as for a mail, and sends none. Its error has
// no word of the server in it.
func (m *Mailer) Check(ctx context.Context) error {
	if err := m.with(ctx, func(*smtp.Client) error { return nil }); err != nil {
		return errors.New(mailFailed(err).reason)
	}
	return nil
}

// with connects to the server, encrypts and logs in, and has it do something.
func (m *Mailer) with(ctx context.Context, do func(*smtp.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.o.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	secure := &tls.Config{ServerName: m.host, RootCAs: m.o.Roots, MinVersion: tls.VersionTLS12}
	if m.o.TLS == MailTLS {
		conn = tls.Client(conn, secure)
	}
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return err
	}
	if err := m.greet(c, secure); err != nil {
		return err
	}
	if err := do(c); err != nil {
		return err
	}
	_ = c.Quit() // it is done already
	return nil
}

func (m *Mailer) greet(c *smtp.Client, secure *tls.Config) error {
	if err := c.Hello("localhost"); err != nil { // as net/smtp says by itself
		return err
	}
	if m.o.TLS == MailStartTLS {
		if offered, _ := c.Extension("STARTTLS"); !offered {
			return errNoTLS
		}
		if err := c.StartTLS(secure); err != nil {
			return err
		}
	}
	if m.o.Username == "" {
		return nil
	}
	if offered, _ := c.Extension("AUTH"); !offered {
		return errNoLogin
	}
	return c.Auth(smtp.PlainAuth("", m.o.Username, m.o.Password.Reveal(), m.host))
}
