package notify_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"postern/server/notify"
	"postern/server/secret"
	"postern/store"
)

// postOffice is a mail server: RFC 5321 as far as a client needs it, with
// STARTTLS (RFC 3207) and AUTH PLAIN (RFC 4954).
type postOffice struct {
	t      *testing.T
	tls    *tls.Config // nil offers no STARTTLS
	login  string      // "user password" that is good; empty asks for none
	refuse map[string]string

	mu       sync.Mutex
	mails    []posted
	inClear  bool // a login came without encryption
	sessions sync.WaitGroup
	address  string
}

type posted struct{ from, to, data string }

func newPostOffice(t *testing.T, w *world, edit ...func(*postOffice)) *postOffice {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS() // for its certificate
	certificate, config := s.Certificate(), s.TLS.Clone()
	s.Close()
	w.roots.AddCert(certificate)
	p := &postOffice{t: t, tls: config, refuse: map[string]string{}}
	p.tls.NextProtos = nil
	for _, e := range edit {
		e(p)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = listener.Addr().String()
	p.sessions.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.sessions.Go(func() { p.session(conn, false); _ = conn.Close() })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); p.sessions.Wait() })
	return p
}

func (p *postOffice) session(conn net.Conn, secure bool) {
	in := bufio.NewReader(conn)
	say := func(text string) { _, _ = io.WriteString(conn, text+"\r\n") }
	if !secure {
		say("220 office ready")
	}
	var m posted
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		if answer := p.refuse[verb]; answer != "" {
			say(answer)
			continue
		}
		switch verb {
		case "EHLO":
			say("250-office")
			if p.tls != nil && !secure {
				say("250-STARTTLS")
			}
			if p.login != "" {
				say("250-AUTH PLAIN")
			}
			say("250 HELP")
		case "STARTTLS":
			say("220 go on")
			p.session(tls.Server(conn, p.tls), true)
			return
		case "AUTH":
			_, word, _ := strings.Cut(rest, " ")
			plain, _ := base64.StdEncoding.DecodeString(word)
			p.mu.Lock()
			p.inClear = p.inClear || !secure
			p.mu.Unlock()
			if strings.ReplaceAll(strings.TrimPrefix(string(plain), "\x00"), "\x00", " ") != p.login {
				say("535 no")
				continue
			}
			say("235 welcome")
		case "MAIL":
			m = posted{from: rest}
			say("250 ok")
		case "RCPT":
			m.to += rest
			say("250 ok")
		case "DATA":
			say("354 go on")
			var data strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				data.WriteString(strings.TrimPrefix(line, "."))
			}
			m.data = data.String()
			p.mu.Lock()
			p.mails = append(p.mails, m)
			p.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("500 what")
		}
	}
}

func (p *postOffice) all() []posted {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]posted{}, p.mails...)
}

// mailer has deliveries go to the post office.
func (p *postOffice) mailer(w *world, edit ...func(*notify.MailOptions)) func(*notify.Options) {
	p.t.Helper()
	m := p.sender(w, edit...)
	return func(o *notify.Options) { o.Mailer = m }
}

// sender is one that sends to the post office.
func (p *postOffice) sender(w *world, edit ...func(*notify.MailOptions)) *notify.Mailer {
	p.t.Helper()
	_, port, _ := net.SplitHostPort(p.address)
	o := notify.MailOptions{Address: "127.0.0.1:" + port, From: "Postern <postern@example.com>", Roots: w.roots, Now: w.now}
	if p.login != "" {
		user, password, _ := strings.Cut(p.login, " ")
		o.Username, o.Password = user, secret.Of(password)
	}
	for _, e := range edit {
		e(&o)
	}
	m, err := notify.NewMailer(o)
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// person makes an account, and a delivery to it.
func (w *world) mail(id, address string, b notify.Body) {
	w.t.Helper()
	account := store.AccountID("usr" + id)
	w.commit(store.Insert(&store.Account{
		ID: account, Generation: 1, AccountKind: store.AccountUser, Name: id, Email: address, Status: store.AccountActive, CreatedAt: 1,
	}))
	body, err := json.Marshal(b)
	if err != nil {
		w.t.Fatal(err)
	}
	w.commit(store.Insert(&store.Delivery{
		ID: store.DeliveryID(id), Mail: account, Event: b.Type, Body: body, CreatedAt: 1, DueAt: 1, Status: store.DeliveryWaiting,
	}))
}

func expiring(name string) notify.Body {
	return notify.Body{Type: notify.ClientExpiring, Timestamp: "2026-12-18T00:00:00.000Z", Data: notify.Data{
		Days: 7, Client: &notify.Client{ID: "cli1", Name: name, ExpiresAt: "2026-12-25T00:00:00.000Z"},
	}}
}

// read parses a mail as its reader does.
func read(t *testing.T, data string) (header mail.Header, subject, text string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return m.Header, subject, string(body)
}

func TestRemindersByMail(t *testing.T) {
	w := newWorld(t)
	p := newPostOffice(t, w, func(p *postOffice) { p.login = "postern open-sesame" })
	w.mail("dlv1", "ada@example.com", expiring("Nightly export – größer"))
	w.run(w.deliverer(p.mailer(w)))
	d := w.until("dlv1", ended)
	if d.Status != store.DeliveryDone || d.LastStatus != 250 || d.Body != nil {
		t.Errorf("the delivery: %+v", d)
	}
	got := p.all()
	if len(got) != 1 || got[0].from != "FROM:<postern@example.com>" || got[0].to != "TO:<ada@example.com>" || p.inClear {
		t.Fatalf("posted: %+v", got)
	}
	header, subject, text := read(t, got[0].data)
	if subject != "Nightly export – größer expires in 7 days" {
		t.Errorf("subject %q", subject)
	}
	for name, want := range map[string]string{
		"From": `"Postern" <postern@example.com>`, "To": "<ada@example.com>", "Auto-Submitted": "auto-generated",
		"Message-Id": "<dlv1@example.com>", "Content-Type": "text/plain; charset=utf-8",
	} {
		if header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, header.Get(name), want)
		}
	}
	if !strings.Contains(text, "größer expires in 7 days") || !strings.Contains(text, "cli1") || !strings.Contains(text, "2026-12-25T00:00:00.000Z") {
		t.Errorf("text:\n%s", text)
	}
}

// Whatever people call things, a mail has one subject, one recipient and one end.
func TestMailTakesNoHeadersFromNames(t *testing.T) {
	for i, name := range []string{
		"x\r\nBcc: eve@example.com", "x\nBcc: eve@example.com", "x\rBcc: eve@example.com", "x\r\n\r\nhello", "x\r\n.\r\nMAIL FROM:<eve@example.com>",
		"x\u2028Bcc: eve@example.com", "x\u0085Bcc: y", "=?utf-8?q?=0D=0ABcc:_eve?=", strings.Repeat("long ", 100), ".\r\n.", "\x00\x1b[2J", "\u202egnp.exe",
	} {
		w := newWorld(t)
		p := newPostOffice(t, w)
		b := expiring(name)
		b.Data.Reason, b.Data.Actor, b.Workspace = name, name, &notify.Named{Name: name}
		w.mail("dlv1", "ada@example.com", b)
		w.run(w.deliverer(p.mailer(w)))
		if d := w.until("dlv1", ended); d.Status != store.DeliveryDone {
			t.Fatalf("%d: %+v", i, d)
		}
		got := p.all()
		if len(got) != 1 || got[0].to != "TO:<ada@example.com>" {
			t.Fatalf("%d: posted %+v", i, got)
		}
		header, subject, text := read(t, got[0].data)
		if len(header) != 9 || header.Get("Bcc") != "" || len(header["Subject"]) != 1 {
			t.Errorf("%d: headers are %v", i, header)
		}
		if strings.ContainsAny(subject, "\r\n\x00\x1b\u202e\u2028\u0085") || strings.ContainsAny(text, "\x00\x1b\u202e\u2028\u0085") {
			t.Errorf("%d: %q\n%q", i, subject, text)
		}
		for line := range strings.Lines(got[0].data) {
			if len(line) > 1000 {
				t.Errorf("%d: a line of %d bytes", i, len(line))
			}
		}
	}
}

func TestMailAddressesThatAreNone(t *testing.T) {
	w := newWorld(t)
	p := newPostOffice(t, w)
	for i, address := range []string{"", "no address", "a@example.com, b@example.com", "a@example.com\r\nRCPT TO:<eve@example.com>", "<a@example.com> x"} {
		id := string(rune('a' + i))
		w.mail(id, address, expiring("x"))
	}
	w.run(w.deliverer(p.mailer(w)))
	for i := range 5 {
		if d := w.until(string(rune('a'+i)), ended); d.Status != store.DeliveryFailed || d.Tries != 0 || d.Body != nil {
			t.Errorf("%d: %+v", i, d)
		}
	}
	if got := p.all(); len(got) != 0 {
		t.Errorf("posted: %+v", got)
	}
}

func TestMailIsNeverSentInTheClear(t *testing.T) {
	w := newWorld(t)
	p := newPostOffice(t, w, func(p *postOffice) { p.tls, p.login = nil, "postern open-sesame" })
	w.mail("dlv1", "ada@example.com", expiring("x"))
	w.run(w.deliverer(p.mailer(w)))
	d := w.until("dlv1", func(d *store.Delivery) bool { return d.Tries == 1 })
	if !strings.Contains(d.LastError, "STARTTLS") || len(p.all()) != 0 || p.inClear {
		t.Errorf("%+v, posted %v, login in the clear %t", d, p.all(), p.inClear)
	}
}

func TestMailServersThatRefuse(t *testing.T) {
	for verb, tt := range map[string]struct {
		answer string
		status store.DeliveryStatus
	}{
		"RCPT": {"550 no such user ada@example.com", store.DeliveryFailed},
		"MAIL": {"451 later", store.DeliveryWaiting},
		"DATA": {"554 not from here", store.DeliveryWaiting},
		"AUTH": {"535 wrong password open-sesame", store.DeliveryWaiting},
	} {
		w := newWorld(t)
		p := newPostOffice(t, w, func(p *postOffice) { p.login, p.refuse[verb] = "postern open-sesame", tt.answer })
		w.mail("dlv1", "ada@example.com", expiring("x"))
		w.run(w.deliverer(p.mailer(w)))
		d := w.until("dlv1", func(d *store.Delivery) bool { return d.Tries == 1 })
		if d.Status != tt.status || !strings.HasSuffix(d.LastError, tt.answer[:3]) || strings.Contains(d.LastError, "ada") {
			t.Errorf("%s answered by %s: %+v", verb, tt.answer, d)
		}
	}
}

func TestMailOfAnInvitationOpensItsLink(t *testing.T) {
	w := newWorld(t)
	p := newPostOffice(t, w)
	const link = "https://postern.example/invitation#one-time"
	b := notify.Body{Type: notify.AccountInvited}
	b.Data.Sealed = w.kek.Seal(notify.SealedLink, "dlv1", []byte(link))
	w.mail("dlv1", "ada@example.com", b)
	b.Data.Sealed = w.kek.Seal(notify.SealedLink, "another", []byte(link))
	w.mail("dlv2", "bob@example.com", b)
	w.run(w.deliverer(p.mailer(w)))
	if d := w.until("dlv1", ended); d.Status != store.DeliveryDone || d.Body != nil {
		t.Errorf("%+v", d)
	}
	if d := w.until("dlv2", ended); d.Status != store.DeliveryFailed || d.Body != nil {
		t.Errorf("one that was sealed for another: %+v", d)
	}
	got := p.all()
	if len(got) != 1 {
		t.Fatalf("posted: %+v", got)
	}
	if _, _, text := read(t, got[0].data); !strings.Contains(text, "\r\n  "+link+"\r\n") {
		t.Errorf("text:\n%s", text)
	}
}

func TestMailByTLSFromTheFirstByte(t *testing.T) {
	w := newWorld(t)
	p := newPostOffice(t, w)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", p.tls)
	if err != nil {
		t.Fatal(err)
	}
	p.sessions.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "220 office ready\r\n")
		p.session(conn, true)
	})
	t.Cleanup(func() { _ = listener.Close() })
	w.mail("dlv1", "ada@example.com", expiring("x"))
	w.run(w.deliverer(p.mailer(w, func(o *notify.MailOptions) { o.Address, o.TLS = listener.Addr().String(), notify.MailTLS })))
	if d := w.until("dlv1", ended); d.Status != store.DeliveryDone || len(p.all()) != 1 {
		t.Errorf("%+v, posted %v", d, p.all())
	}
}

// Looking whether mail would go sends none, and tells what is wrong without a word
// of the server.
func TestMailCheckLogsInAndSendsNothing(t *testing.T) {
	with := func(login string) func(*postOffice) { return func(p *postOffice) { p.login = login } }
	for name, tt := range map[string]struct {
		office func(*postOffice)
		sender func(*notify.MailOptions)
		want   string
	}{
		"a login":               {with("postern open-sesame"), nil, ""},
		"no login":              {with(""), nil, ""},
		"a wrong password":      {with("postern open-sesame"), func(o *notify.MailOptions) { o.Password = secret.Of("shut") }, "the mail server answered 535"},
		"a login that is none":  {with(""), func(o *notify.MailOptions) { o.Username = "postern" }, "offers no login"},
		"no STARTTLS":           {func(p *postOffice) { p.tls = nil }, nil, "offers no STARTTLS"},
		"an unknown authority":  {with(""), func(o *notify.MailOptions) { o.Roots = x509.NewCertPool() }, "the certificate is not good"},
		"a server that is away": {with(""), func(o *notify.MailOptions) { o.Address = "127.0.0.1:1" }, "the connection is refused"},
		"no greeting":           {func(p *postOffice) { p.refuse["EHLO"], p.refuse["HELO"] = "554 go away", "554 go away" }, nil, "the mail server answered 554"},
		"TLS from the first":    {with(""), func(o *notify.MailOptions) { o.TLS = notify.MailTLS }, "it does not speak TLS there"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := newPostOffice(t, w, tt.office)
			var edit []func(*notify.MailOptions)
			if tt.sender != nil {
				edit = append(edit, tt.sender)
			}
			err := p.sender(w, edit...).Check(t.Context())
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got %v, want nothing wrong", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if len(p.all()) != 0 || p.inClear {
				t.Errorf("posted %v, login in the clear %t", p.all(), p.inClear)
			}
		})
	}
}
