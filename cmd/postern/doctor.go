package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/server/notify"
	"postern/store"
)

// finding is one thing that was looked at.
type finding struct {
	State string `json:"state"` // ok, warn or fail
	What  string `json:"what"`
	Do    string `json:"do,omitempty"`
}

// doctor looks at a server from outside, and at this command line's own files.
type doctor struct {
	s            *session
	ops, gateway string
	config       string // file of the server's
	found        []finding
	unlooked     []string // what was not looked at, by the flags that say where it is
}

func (d *doctor) ok(format string, args ...any) {
	d.found = append(d.found, finding{State: "ok", What: fmt.Sprintf(format, args...)})
}

func (d *doctor) warn(do, format string, args ...any) {
	d.found = append(d.found, finding{"warn", fmt.Sprintf(format, args...), do})
}

func (d *doctor) fail(do, format string, args ...any) {
	d.found = append(d.found, finding{"fail", fmt.Sprintf(format, args...), do})
}

func (a *remote) doctorCommand() *cobra.Command {
	d := &doctor{}
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with a server, or with the way to it",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.session(c)
			if err != nil {
				return err
			}
			d.s = s
			d.examine(c.Context())
			body, err := json.Marshal(d.found)
			if err != nil {
				return err
			}
			if err := s.show(body, d.write); err != nil {
				return err
			}
			if len(d.unlooked) > 0 {
				c.PrintErrf("Look at more by %s.\n", strings.Join(d.unlooked, " "))
			}
			for _, f := range d.found {
				if f.State == "fail" {
					return &exitError{code: exitFailed}
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&d.ops, "ops", "", "URL of the ops listener, such as http://127.0.0.1:9085, to look at too")
	c.Flags().StringVar(&d.gateway, "gateway", "", "URL of the gateway listener, such as http://127.0.0.1:8086, to look at too")
	c.Flags().StringVar(&d.config, "config", "", "configuration of the server, to try its mail from this machine, too")
	return c
}

func (d *doctor) write(w *page) {
	for _, f := range d.found {
		for i, line := range wrap(f.What, 74) {
			if i == 0 {
				w.printf("%-4s  %s\n", f.State, printable(line))
			} else {
				w.printf("      %s\n", printable(line))
			}
		}
		if f.Do == "" {
			continue
		}
		for i, line := range wrap(f.Do, 71) {
			mark := "   "
			if i == 0 {
				mark = "-> "
			}
			w.printf("      %s%s\n", mark, printable(line))
		}
	}
}

func (d *doctor) examine(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	d.contexts()
	if d.discovery(ctx) {
		d.credential(ctx)
	}
	if d.ops != "" {
		d.readiness(ctx)
	} else {
		d.unlooked = append(d.unlooked, "--ops")
	}
	if d.gateway != "" {
		d.decisions(ctx)
	} else {
		d.unlooked = append(d.unlooked, "--gateway")
	}
	d.mail(ctx)
}

func (d *doctor) contexts() {
	name, err := contextsFile()
	if err != nil || d.s.clientID == "" {
		return
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
	case info.Mode().Perm()&0o077 != 0:
		d.warn("chmod 600 "+name, "others on this machine can read the secrets in %s", name)
	default:
		d.ok("only you can read %s", name)
	}
	if u, err := url.Parse(d.s.base); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		d.warn("serve TLS, or put a proxy that does in front, and log in with its https URL", "secrets and tokens go to %s unencrypted", d.s.base)
	}
}

// metadata is what must be in the discovery document (RFC 8414 section 2).
type metadata struct {
	Issuer        string   `json:"issuer"`
	Token         string   `json:"token_endpoint"`
	Introspection string   `json:"introspection_endpoint"`
	Revocation    string   `json:"revocation_endpoint"`
	JWKS          string   `json:"jwks_uri"`
	GrantTypes    []string `json:"grant_types_supported"`
}

// discovery reports whether the server answers.
func (d *doctor) discovery(ctx context.Context) bool {
	at, err := d.get(ctx, d.s.base+"/.well-known/oauth-authorization-server")
	if err != nil {
		d.fail("start the server, or mend the URL, the network or its certificate", "%v", unreachable(d.s.base, err))
		return false
	}
	if at.status != http.StatusOK {
		d.fail("mend the URL: it must be the issuer, as postern serve prints it", "%s answers %d to a request for its discovery document", d.s.base, at.status)
		return false
	}
	d.ok("%s answers", d.s.base)
	d.clock(at.header.Get("Date"))
	var m metadata
	if json.Unmarshal(at.body, &m) != nil {
		d.fail("mend the URL: another program answers there", "the discovery document is not JSON")
		return false
	}
	if m.Issuer == d.s.base {
		d.ok("the issuer is the URL that is used")
	} else {
		d.fail("set server.public_url to the URL that clients use, or log in with the issuer's", "the issuer is %s, but the URL that is used is %s; libraries refuse that", m.Issuer, d.s.base)
	}
	var missing []string
	for name, value := range map[string]string{"token_endpoint": m.Token, "introspection_endpoint": m.Introspection, "revocation_endpoint": m.Revocation, "jwks_uri": m.JWKS} {
		if value == "" {
			missing = append(missing, name)
		}
	}
	if len(m.GrantTypes) == 0 {
		missing = append(missing, "grant_types_supported")
	}
	if len(missing) > 0 {
		d.fail("let the proxy pass on what Postern answers", "the discovery document lacks %s", strings.Join(missing, ", "))
	} else {
		d.ok("the discovery document is complete")
	}
	return true
}

const (
	skewWarns = 5 * time.Second
	skewFails = time.Minute
)

// clock compares the clocks by the Date header, which has whole seconds.
func (d *doctor) clock(date string) {
	at, err := http.ParseTime(date)
	if err != nil {
		d.warn("let the proxy pass on the Date header", "the server does not say what time it is")
		return
	}
	skew := time.Since(at).Abs().Truncate(time.Second)
	const do = "set both clocks by NTP"
	switch {
	case skew > skewFails:
		d.fail(do, "the clocks differ by %s: tokens look expired, or not yet valid", skew)
	case skew > skewWarns:
		d.warn(do, "the clocks differ by %s", skew)
	default:
		d.ok("the clocks agree")
	}
}

func (d *doctor) credential(ctx context.Context) {
	if err := d.s.authenticate(ctx); err != nil {
		do := "log in again with postern login"
		if r, ok := errors.AsType[*refusal](err); ok && r.OAuthError == "invalid_target" {
			do = "this client is for another API; log in with one that may administer"
		}
		d.fail(do, "there is no access token for administration: %v", err)
		return
	}
	if d.s.clientID != "" {
		d.ok("client %s gets an access token", d.s.clientID)
	}
	_, err := d.s.call(ctx, request{method: http.MethodGet, path: "/apis", query: url.Values{"limit": {"1"}}})
	switch r, ok := errors.AsType[*refusal](err); {
	case err == nil:
		d.ok("the administration API takes it")
	case ok && r.status == http.StatusForbidden:
		d.warn("ask an owner for a role on API "+store.PosternAPI, "the administration API knows it, but it may do nothing: %v", err)
	default:
		d.fail("compare the issuer, and whether the proxy passes on Authorization", "the administration API refuses it: %v", err)
	}
}

func (d *doctor) readiness(ctx context.Context) {
	at, err := d.get(ctx, strings.TrimRight(d.ops, "/")+"/readyz?verbose")
	switch {
	case err != nil:
		d.fail("compare ops.listen", "%v", unreachable(d.ops, err))
	case at.status != http.StatusOK:
		d.fail("look into the server's log, and whether its store answers", "the server is not ready: %s", strings.Join(strings.Fields(string(at.body)), " "))
	default:
		d.ok("the server is ready: %s", strings.Join(strings.Fields(string(at.body)), " "))
	}
}

// decisions asks for a decision without saying about what, which must be refused.
func (d *doctor) decisions(ctx context.Context) {
	at, err := d.get(ctx, strings.TrimRight(d.gateway, "/")+"/decide/nginx/"+store.PosternAPI)
	switch {
	case err != nil:
		d.fail("compare gateway.listen", "%v", unreachable(d.gateway, err))
	case at.status == http.StatusUnauthorized || at.status == http.StatusForbidden:
		d.ok("the decision endpoint answers, and refuses what has no token")
	case at.status == http.StatusServiceUnavailable:
		d.fail("look into the server's log, and whether its store answers", "the decision endpoint cannot decide now")
	default:
		d.fail("mend the URL: it must be the gateway listener", "the decision endpoint answers %d where it should refuse", at.status)
	}
}

// mail tries the mail server of a server's configuration, which is a file and the
// environment: it connects and logs in as for a mail, and sends none.
func (d *doctor) mail(ctx context.Context) {
	cfg, _, err := config.Load(config.Options{File: d.config, Environ: os.Environ()})
	if d.config == "" && (err != nil || cfg.Mail.Address == "") {
		d.unlooked = append(d.unlooked, "--config") // the server's is elsewhere
		return
	}
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		d.fail("mend it; postern config print says the same", "the configuration is not good: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	m := &cfg.Mail
	if m.Address == "" {
		d.ok("no mail is configured: reminders go by webhook and metric only")
		return
	}
	mailer, err := notify.NewMailer(mailOptions(m))
	if err == nil {
		err = mailer.Check(ctx)
	}
	if err != nil {
		d.fail("compare mail.address, mail.tls, mail.username and mail.password with what the mail server wants", "no mail can be sent by %s: %v", m.Address, err)
		return
	}
	how := map[string]string{notify.MailPlain: "without encryption", notify.MailTLS: "by TLS", notify.MailStartTLS: "by STARTTLS"}[m.TLS]
	if m.Username != "" {
		how += ", and takes the login"
	}
	d.ok("the mail server %s answers %s", m.Address, how)
}

// seen is what a URL answered.
type seen struct {
	status int
	header http.Header
	body   []byte
}

// get asks without a credential.
func (d *doctor) get(ctx context.Context, target string) (*seen, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	resp, err := d.s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return &seen{resp.StatusCode, resp.Header, body}, err
}
