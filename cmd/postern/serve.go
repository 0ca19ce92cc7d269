package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"postern/config"
	"postern/server"
	"postern/server/assertion"
	"postern/server/console"
	"postern/server/keys"
	"postern/server/limit"
	"postern/server/notify"
	"postern/server/secret"
	"postern/server/telemetry"
	"postern/store"
	"postern/store/mongo"
	"postern/store/sqlite"
)

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Start a server",
		Long: `Start a server. Without configuration it keeps everything in ./postern-data and
listens on this machine only. On the first start it makes an administrator and
an example, and says how to try them.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return serve(c) },
	}
	config.Flags(c.Flags())
	return c
}

func initCommand() *cobra.Command {
	var lost bool
	var account string
	c := &cobra.Command{
		Use:   "init",
		Short: "Fill an empty store, as the first start does, without serving",
		Long: `Fill an empty store, as the first start does, without serving.

With --recover a filled store gets an administrator back, whatever became of
those it had: a new password for the account, which is made or reactivated, owns
the workspace system and has the licence admin, and a client for a week. That is
for whoever has the machine: no server may run on an embedded store meanwhile,
and on MongoDB it takes the key-encryption key. The audit tells of it.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case lost:
				return recoverAdministrator(c, account)
			case c.Flags().Changed("account"):
				return usageError("--account goes with --recover")
			default:
				return initStore(c)
			}
		},
	}
	config.Flags(c.Flags())
	c.Flags().BoolVar(&lost, "recover", false, "give a filled store an administrator back")
	c.Flags().StringVar(&account, "account", "admin", "name of the administrator, with --recover")
	return c
}

func serve(c *cobra.Command) error {
	ctx := c.Context()
	n, err := openNode(c)
	if err != nil {
		return err
	}
	// Before anything is made: a taken port must not cost the first secrets.
	if err := n.server.Listen(ctx); err != nil {
		n.close()
		return err
	}
	first, err := n.bootstrap(ctx, n.cfg.Store.Driver == "sqlite" || n.cfg.Bootstrap.File != "")
	if err != nil {
		n.close()
		return err
	}
	if first == nil {
		if err := n.server.Upgrade(ctx); err != nil {
			n.close()
			return err
		}
	}
	defer n.lastTraces(ctx)
	introduced := first == nil
	err = n.server.Run(ctx, func() {
		if !introduced {
			introduced = true
			n.introduce(first)
		}
	})
	if !introduced {
		// The store is filled, and no other start will show these.
		c.PrintErrln("This start failed after the store was filled. Once it works, so does this:")
		n.introduce(first)
	}
	return err
}

func initStore(c *cobra.Command) error {
	n, err := openNode(c)
	if err != nil {
		return err
	}
	defer n.close()
	first, err := n.bootstrap(c.Context(), true)
	if err != nil {
		return err
	}
	if first == nil {
		return &exitError{exitFailed, fmt.Errorf("this store is filled already; nothing was changed")}
	}
	n.introduce(first)
	return nil
}

// node is a server that is put together but not started.
type node struct {
	cfg     config.Config
	log     *slog.Logger
	backend store.Store
	server  *server.Server
	traces  func(context.Context) error
}

// lastTraces sends what was not sent yet.
func (n *node) lastTraces(ctx context.Context) {
	if n.traces == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := n.traces(ctx); err != nil {
		n.log.WarnContext(ctx, "the last traces are not sent", "error", err)
	}
}

func (n *node) close() {
	if err := n.backend.Close(); err != nil {
		n.log.Error("close the store", "error", err)
	}
}

// openNode reads the configuration, opens the store and its keys, and connects
// the parts.
func openNode(c *cobra.Command) (*node, error) {
	file, _ := c.Flags().GetString("config")
	cfg, warnings, err := config.Load(config.Options{Flags: c.Flags(), File: file, Environ: os.Environ()})
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	if err := cfg.Validate(); err != nil {
		return nil, &exitError{exitUsage, err}
	}
	format := cfg.Log.Format
	if format == "" && term.IsTerminal(int(os.Stderr.Fd())) {
		format = "text"
	} else if format == "" {
		format = "json"
	}
	log, err := telemetry.NewLogger(os.Stderr, format, cfg.Log.Level)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		log.Warn("a part of the configuration means nothing", "warning", w)
	}
	n := &node{cfg: cfg, log: log}
	if n.backend, err = openStore(c.Context(), cfg, log); err != nil {
		return nil, err
	}
	if err := n.connect(c.Context()); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func openStore(ctx context.Context, cfg config.Config, log *slog.Logger) (store.Store, error) {
	if cfg.Store.Driver == "mongodb" {
		return mongo.Open(ctx, mongo.Options{URI: cfg.Store.MongoDB.URI.Reveal(), Database: cfg.Store.MongoDB.Database, Now: time.Now, Log: log})
	}
	return sqlite.Open(ctx, sqlite.Options{Dir: cfg.Store.SQLite.Dir, Now: time.Now, Log: log})
}

func (n *node) connect(ctx context.Context) error {
	kek, err := n.encryptionKey(ctx)
	if err != nil {
		return err
	}
	o := serverOptions(n.cfg)
	o.Store, o.KEK, o.Version, o.Log = n.backend, kek, version, n.log
	if n.cfg.Server.TLS.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(n.cfg.Server.TLS.CertFile, n.cfg.Server.TLS.KeyFile)
		if err != nil {
			return fmt.Errorf("server.tls: %w", err)
		}
		o.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	if file := n.cfg.Server.MTLSCAFile; file != "" {
		if o.ClientCAs, err = authorities(file); err != nil {
			return fmt.Errorf("server.mtls_ca_file: %w", err)
		}
	}
	if o.Issuers, err = issuers(n.cfg.Outbound.Issuers); err != nil {
		return err
	}
	if n.cfg.OTel.Endpoint != "" {
		if n.traces, o.Trace, err = telemetry.Traces(ctx, n.cfg.OTel.Endpoint, version, n.log); err != nil {
			return fmt.Errorf("otel.endpoint: %w", err)
		}
	}
	n.server, err = server.New(o)
	return err
}

// authorities reads the certificates of authorities.
func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM", file)
	}
	return pool, nil
}

// issuers says what it takes to ask issuers of workloads for their keys. Files
// that cannot be used now are a mistake to hear of at the start.
func issuers(list []config.Issuer) (map[string]assertion.Access, error) {
	out := map[string]assertion.Access{}
	for _, i := range list {
		access := assertion.Access{CAFile: i.CAFile, TokenFile: i.TokenFile}
		if err := access.Check(); err != nil {
			return nil, fmt.Errorf("outbound.issuers: %s: %w", i.URL, err)
		}
		out[i.URL] = access
	}
	return out, nil
}

// serverOptions says the configuration in the server's terms.
func serverOptions(cfg config.Config) server.Options {
	rate := func(r config.Rate) limit.Rate { return limit.Rate{Count: r.Events, Per: r.Per} }
	o := server.Options{
		Issuer: cfg.Issuer(), Listen: cfg.Server.Listen, GatewayListen: cfg.Gateway.Listen, GatewayGRPCListen: cfg.Gateway.GRPC, OpsListen: cfg.Ops.Listen,
		TrustedProxies: cfg.Server.TrustedProxies, ShutdownTimeout: cfg.Server.ShutdownTimeout, MaxStaleness: cfg.Store.MaxStaleness,
		AccessTTL: cfg.Tokens.AccessTTL, TokenEndpointAudience: cfg.Tokens.EndpointAudience, Format: store.TokenFormat(cfg.Tokens.Format), Algorithm: cfg.Tokens.Algorithm,
		RotateEvery: cfg.Keys.RotateEvery, NeverAllowed: cfg.Clients.AllowNever,
		UsageInterval: cfg.Usage.FlushInterval, UsageRetention: cfg.Usage.Retention,
		TokenRate: rate(cfg.Limits.TokenPerClient), IntrospectRate: rate(cfg.Limits.IntrospectPerClient),
		FailuresPerClientAddress: rate(cfg.Limits.FailuresPerClientAddress), FailuresPerAddress: rate(cfg.Limits.FailuresPerAddress),
	}
	o.MTLSListen, o.MTLSURL, o.CertificateHeader = cfg.Server.MTLSListen, cfg.MTLSURL(), cfg.Server.CertHeader
	o.DynamicRegistration = cfg.Clients.Registration
	o.OutboundAllow = cfg.Outbound.Allow
	o.Driver = cfg.Store.Driver
	var text strings.Builder
	_ = cfg.Print(&text, true) // into memory
	o.Config = text.String()
	if cfg.Mail.Address != "" {
		o.Mail = new(mailOptions(&cfg.Mail))
	}
	if p := cfg.OIDC; p.Issuer != "" {
		o.OIDC = &console.OIDC{
			Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: secret.Of(p.ClientSecret.Reveal()), Scopes: strings.Fields(p.Scopes),
			NameClaim: p.NameClaim, GroupsClaim: p.GroupsClaim, Only: !cfg.Console.PasswordSignIn,
		}
		o.CreateAccounts, o.GroupTeams = p.CreateAccounts, map[string]string{}
		for _, g := range p.Teams {
			o.GroupTeams[g.Group] = g.Team
		}
	}
	o.DefaultExpiry = time.Duration(cfg.Clients.DefaultExpiry)
	for _, life := range cfg.Clients.ExpiryChoices {
		o.ExpiryChoices = append(o.ExpiryChoices, time.Duration(life))
	}
	if cfg.Clients.MaxExpiry > 0 {
		o.MaxExpiry = time.Duration(cfg.Clients.MaxExpiry)
	}
	return o
}

func mailOptions(m *config.Mail) notify.MailOptions {
	return notify.MailOptions{Address: m.Address, From: m.From, Username: m.Username, Password: secret.Of(m.Password.Reveal()), TLS: m.TLS}
}

// encryptionKey is the configured one or, for the embedded store, the one in the
// data folder.
func (n *node) encryptionKey(ctx context.Context) (*keys.KEK, error) {
	if n.cfg.Keys.EncryptionKey.IsSet() {
		return keys.ParseKEKs(n.cfg.Keys.EncryptionKey.Reveal())
	}
	sealed := false
	err := n.backend.All(ctx, func(store.Record) error { sealed = true; return nil }, store.KindKey)
	if err != nil {
		return nil, err
	}
	return keys.FileKEK(n.cfg.Store.SQLite.Dir, sealed)
}

// oneLine keeps an error on one line of a terminal.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
