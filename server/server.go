// Package server puts the parts together and runs them: the store behind its
// cache, the rooms (keys, tokens, policy, usage, audit, administration), the
// doors (oauth, api, scim, gateway), and the three listeners.
//
// New connects, Run starts and blocks. Nothing is global: two servers run in one
// process, as the tests do.
package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"postern/policy"
	"postern/server/admin"
	"postern/server/api"
	"postern/server/assertion"
	"postern/server/audit"
	"postern/server/certificate"
	"postern/server/console"
	"postern/server/gateway"
	"postern/server/keys"
	"postern/server/limit"
	"postern/server/notify"
	"postern/server/oauth"
	"postern/server/scim"
	"postern/server/slow"
	"postern/server/status"
	"postern/server/telemetry"
	"postern/server/usage"
	"postern/store"
	"postern/store/cached"
)

// Options configures a Server. Store, KEK and Issuer are required, and what
// says so below.
type Options struct {
	Store   store.Store // the backend; Run closes it when everything else has ended
	KEK     *keys.KEK
	Issuer  string
	Version string
	Driver  string // of the store: "sqlite" or "mongodb"
	Config  string // what is in force, as YAML, without secrets

	Listen, GatewayListen, OpsListen string // host:port; a port of 0 takes a free one
	GatewayGRPCListen                string // of decisions by gRPC; empty is none
	TLS                              *tls.Config

	MTLSListen        string         // of who presents a certificate (RFC 8705); empty is none
	MTLSTLS           *tls.Config    // of that listener; nil takes TLS
	MTLSURL           string         // https://host:port as clients reach it; empty where there is none
	ClientCAs         *x509.CertPool // authorities that issue certificates to clients; nil is none
	CertificateHeader string         // in which TrustedProxies pass the client's certificate; empty is none

	TrustedProxies  []netip.Prefix
	ShutdownTimeout time.Duration // zero means 25 s
	MaxStaleness    time.Duration // zero means 60 s

	AccessTTL   time.Duration
	Format      store.TokenFormat
	Algorithm   string
	RotateEvery time.Duration

	DefaultExpiry, MaxExpiry time.Duration
	NeverAllowed             bool
	ExpiryChoices            []time.Duration // see admin.Options

	UsageInterval, UsageRetention time.Duration

	OutboundAllow []netip.Prefix // what webhooks may reach besides public addresses
	OutboundRoots *x509.CertPool // whom they believe; nil means the system's
	// Issuers says what it takes to ask issuers of workloads for their keys, by URL.
	Issuers map[string]assertion.Access
	Mail    *notify.MailOptions // nil: no mail is sent

	OIDC           *console.OIDC     // the identity provider of the console, but its HTTP; nil is none
	CreateAccounts bool              // for whom it vouches
	GroupTeams     map[string]string // see admin.Options

	TokenRate, IntrospectRate limit.Rate
	FailuresPerClientAddress  limit.Rate
	FailuresPerAddress        limit.Rate

	DynamicRegistration bool // serves RFC 7591 and 7592

	TokenEndpointAudience bool // accepts client assertions that are for the token endpoint

	// Trace wraps the handlers of the public and the gateway listener; nil is nothing.
	Trace func(http.Handler) http.Handler
	Log   *slog.Logger // nil means no log
	// Now is for tests; nil means time.Now.
	Now func() time.Time
}

// Server is a node.
type Server struct {
	o        Options
	node     string
	state    *cached.Store
	policy   *policy.Engine
	keys     *keys.Ring
	usage    *usage.Recorder
	sealer   *audit.Sealer
	merger   *audit.Merger
	notify   *notify.Deliverer
	remind   *reminding
	slow     *slow.Checker
	remote   *assertion.Remote
	status   *status.Lists
	admin    *admin.Admin
	oauth    *oauth.Handler
	api      *api.API
	scim     *scim.Handler
	gateway  *gateway.Handler
	authzen  *gateway.AuthZEN
	console  *console.Console
	certs    *certificate.Source
	nonceKey []byte // of DPoP
	metrics  *telemetry.Metrics
	ids      *telemetry.RequestIDs
	ready    readiness

	listeners listeners
}

// New connects the parts. It starts nothing and opens nothing.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ShutdownTimeout == 0 {
		o.ShutdownTimeout = 25 * time.Second
	}
	if o.MaxStaleness == 0 {
		o.MaxStaleness = time.Minute
	}
	s := &Server{o: o, node: strings.ToLower(rand.Text()[:12]), ids: telemetry.NewRequestIDs(), metrics: telemetry.NewMetrics(o.Version)}
	if err := s.rooms(); err != nil {
		return nil, err
	}
	if err := s.doors(); err != nil {
		return nil, err
	}
	s.observe()
	return s, nil
}

// Bootstrap fills an empty store, once over all nodes: see admin.Bootstrap. It
// returns nil when the store has been filled before. Call it before Run.
func (s *Server) Bootstrap(ctx context.Context, example bool) (*admin.Bootstrap, error) {
	filled := false
	err := s.o.Store.All(ctx, func(store.Record) error { filled = true; return nil }, store.KindInstallation)
	if err != nil || filled {
		return nil, err
	}
	b, err := s.admin.Bootstrap(ctx, example)
	if errors.Is(err, store.ErrExists) {
		return nil, nil // another node was first
	}
	return b, err
}

// Upgrade brings what is built in to this version: see admin.Upgrade. Call it
// before Run.
func (s *Server) Upgrade(ctx context.Context) error { return s.admin.Upgrade(ctx) }

// Run serves until ctx is done. Then /readyz fails, running requests end,
// usage and refusals are written, and the store is closed. started, when not
// nil, is called once everything answers.
func (s *Server) Run(ctx context.Context, started func()) error {
	if s.listeners.public == nil {
		if err := s.Listen(ctx); err != nil {
			return err
		}
	}
	defer s.listeners.close()
	// The rooms go on while the doors drain: they write what the last requests did.
	rooms, stopRooms := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRooms()
	background, rooms := errgroup.WithContext(rooms)
	background.Go(func() error { return s.state.Run(rooms) })
	select {
	case <-s.state.Ready():
	case <-ctx.Done():
	case <-rooms.Done():
	}
	background.Go(func() error { s.policy.Run(rooms); return nil })
	for _, run := range []func(context.Context) error{s.keys.Run, s.usage.Run, s.sealer.Run, s.merger.Run, s.slow.Run, s.status.Run, s.admin.Run, s.notify.Run, s.remind.run, s.prune} {
		background.Go(func() error { return run(rooms) })
	}
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	doors, serving := errgroup.WithContext(serving)
	s.serve(doors, serving, rooms.Done())
	if rooms.Err() == nil && ctx.Err() == nil {
		s.ready.set(true)
		s.log(ctx)
		if started != nil {
			started()
		}
	}
	err := doors.Wait()
	stopRooms()
	if roomsErr := background.Wait(); roomsErr != nil && !errors.Is(roomsErr, context.Canceled) {
		err = errors.Join(roomsErr, err)
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	if closing := s.o.Store.Close(); closing != nil {
		err = errors.Join(err, fmt.Errorf("close the store: %w", closing))
	}
	return err
}

func (s *Server) log(ctx context.Context) {
	s.o.Log.InfoContext(ctx, "postern is ready", "version", s.o.Version, "issuer", s.o.Issuer, "public", s.PublicAddr(),
		"gateway", s.GatewayAddr(), "ops", s.OpsAddr(), "node", s.node)
	if !s.strangersMayAsk() {
		s.o.Log.WarnContext(ctx, "the gateway listener is on loopback and asks no credential of gateways on this machine")
	}
}

// observe shows what is measured on demand.
func (s *Server) observe() {
	s.metrics.StateAge(s.state.Age)
	s.metrics.UsageHeld(s.usage.Keys, s.usage.Dropped)
	s.metrics.Expiring(s.remind.counted, s.remind.untilNext)
}

// prune deletes what has ended, every few minutes.
func (s *Server) prune(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := s.pruneNow(ctx); err != nil && ctx.Err() == nil {
				s.o.Log.WarnContext(ctx, "old records are not deleted yet", "error", err)
			}
		}
	}
}

// endedFor is how long ago something must have ended to be deleted: a clock that
// is ahead for a while must not delete a revocation that still counts.
const endedFor = 24 * time.Hour

func (s *Server) pruneNow(ctx context.Context) error {
	retention := s.o.UsageRetention
	if retention == 0 {
		retention = 90 * 24 * time.Hour
	}
	now := store.At(s.o.Now())
	return s.o.Store.Prune(ctx, now.Add(-endedFor), now.Add(-retention))
}

// onLoopback reports whether only this machine reaches a listener.
func onLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
