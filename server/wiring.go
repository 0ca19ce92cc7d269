package server

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"time"

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
	"postern/server/oauth"
	"postern/server/scim"
	"postern/server/slow"
	"postern/server/status"
	"postern/server/telemetry"
	"postern/server/token"
	"postern/server/usage"
	"postern/store"
	"postern/store/cached"
)

// rooms connects what has no HTTP in it.
func (s *Server) rooms() error {
	o := s.o
	s.policy = policy.New(policy.Options{Log: o.Log, OnShadow: func(agrees bool, _ string) { s.metrics.ShadowChecked(agrees) }})
	cursorKey, err := o.KEK.Derive("cursors of lists")
	if err != nil {
		return fmt.Errorf("derive the key of cursors: %w", err)
	}
	auditKeys, err := o.KEK.DeriveAll("audit chain")
	if err != nil {
		return fmt.Errorf("derive the keys of the audit: %w", err)
	}
	// The ring writes through the cache, which is made with the ring as subscriber.
	s.keys = keys.New(keys.Options{
		Store: ringStore{o.Store, s}, KEK: o.KEK, RotateEvery: o.RotateEvery, LongestTTL: s.longestTTL, Now: o.Now, Log: o.Log,
		Audit:  func(operation string, k keys.Info) []store.Write { return s.admin.KeyEntry(operation, k) },
		Failed: s.rotationFailed,
	})
	s.status = status.New(status.Options{
		Store: statusStore{o.Store, s}, Keys: s.keys, Issuer: o.Issuer, LongestTTL: s.longestTTL, Now: o.Now, Log: o.Log,
	})
	// No Now: how old the state is must not depend on a clock that can be set.
	s.state = cached.New(o.Store, cached.Options{
		Node: s.node, Log: o.Log, Subscribers: []cached.Subscriber{s.policy, s.keys, s.status},
	})
	s.usage = usage.New(usage.Options{Store: o.Store, Interval: o.UsageInterval, Process: s.node, Now: o.Now, Log: o.Log, OnFlush: s.metrics.UsageFlushed})
	s.sealer = audit.New(audit.Options{Store: o.Store, Keys: auditKeys, Node: s.node, Now: o.Now, Log: o.Log})
	s.merger = audit.NewMerger(audit.MergerOptions{Store: o.Store, Now: o.Now, Log: o.Log})
	if s.notify, err = s.deliverer(); err != nil {
		return err
	}
	s.remote = &assertion.Remote{Client: s.outbound(), Access: o.Issuers, Now: o.Now}
	s.admin = admin.New(admin.Options{
		Store: s.state, State: s.state, Policy: s.policy, Keys: s.keys, Sealer: s.sealer, CursorKey: cursorKey, Issuer: o.Issuer,
		DefaultExpiry: o.DefaultExpiry, MaxExpiry: o.MaxExpiry, NeverAllowed: o.NeverAllowed,
		ExpiryChoices: o.ExpiryChoices, UsageRetention: o.UsageRetention, Node: s.node, OnLeak: s.metrics.Leaked,
		Remote: s.remote, FlushUsage: s.usage.Flush, Refusals: s.merger, Now: o.Now, Log: o.Log,
		MayMail: o.Mail != nil, Wake: s.notify.Wake,
		CreateAccounts: o.CreateAccounts, GroupTeams: o.GroupTeams, Age: s.state.Age,
		Facts: admin.SystemFacts{Version: o.Version, Store: cmp.Or(o.Driver, "sqlite"), Config: o.Config, StartedAt: store.At(o.Now())},
	})
	s.remind = &reminding{admin: s.admin, reminders: s.admin.Reminders(), now: o.Now, log: o.Log}
	if s.nonceKey, err = o.KEK.Derive("nonces of DPoP"); err != nil {
		return fmt.Errorf("derive the key of nonces: %w", err)
	}
	decoys, err := o.KEK.Derive("costs of decoys")
	if err != nil {
		return fmt.Errorf("derive the key of decoys: %w", err)
	}
	s.slow = slow.New(slow.Options{Cost: s.state.SlowCost, Key: decoys, Rehash: s.admin.RehashSecret, Log: o.Log})
	return nil
}

// ringStore lets the ring write through the cache, which does not exist yet when
// the ring is made.
type ringStore struct {
	store.Lister
	s *Server
}

func (r ringStore) Commit(ctx context.Context, writes ...store.Write) error {
	return r.s.state.Commit(ctx, writes...)
}

// statusStore reads what is stored, not what this node remembers, and writes
// through the cache.
type statusStore struct {
	store.Reader
	s *Server
}

func (r statusStore) Commit(ctx context.Context, writes ...store.Write) error {
	return r.s.state.Commit(ctx, writes...)
}

// longestTTL is the longest life that a token of any API may have: so long a
// retired key must still verify.
func (s *Server) longestTTL() time.Duration {
	longest := s.o.AccessTTL
	if longest == 0 {
		longest = time.Hour
	}
	for _, a := range s.state.APIs() {
		longest = max(longest, time.Duration(a.AccessTTL)*time.Second)
	}
	return longest
}

// doors connects what speaks HTTP.
func (s *Server) doors() error {
	o := s.o
	minter := token.NewMinter(token.MinterOptions{Keys: s.keys, Issuer: o.Issuer, Statuses: s.status})
	verifier, err := token.NewVerifier(token.VerifierOptions{Keys: s.keys, Issuer: o.Issuer, State: s.state, Now: o.Now})
	if err != nil {
		return err
	}
	address := trusting(o.TrustedProxies)
	s.certs = &certificate.Source{Header: o.CertificateHeader, Trusted: among(o.TrustedProxies), Roots: o.ClientCAs}
	failures := limit.NewFailures(limit.FailureOptions{PerClientAddress: o.FailuresPerClientAddress, PerAddress: o.FailuresPerAddress})
	s.oauth = oauth.New(oauth.Options{
		State: s.state, Policy: s.policy, Minter: minter, Verifier: verifier, Keys: s.keys, Admin: s.admin, Usage: s.usage, Metrics: s.metrics, Status: s.status,
		Issuer: o.Issuer, AccessTTL: o.AccessTTL, Format: o.Format, Algorithm: o.Algorithm, MaxStaleness: o.MaxStaleness,
		TokenRate: o.TokenRate, IntrospectRate: o.IntrospectRate,
		Failures: failures, Slow: s.slow, Remote: s.remote, Remember: s.remember, TokenEndpointAudience: o.TokenEndpointAudience,
		Certificates: s.certs, MTLSURL: o.MTLSURL, Registration: o.DynamicRegistration,
		Address: address, RequestID: s.ids.New, Now: o.Now, Log: o.Log,
	})
	s.api = api.New(api.Options{
		Registration: o.DynamicRegistration, Certificates: s.certs, Admin: s.admin, Verifier: verifier, State: s.state, Usage: s.usage, Issuer: o.Issuer, Version: o.Version,
		Address: address, MaxStaleness: o.MaxStaleness, Observe: s.metrics.AdminRequest, Now: o.Now, Log: o.Log,
	})
	s.scim = scim.New(scim.Options{
		Certificates: s.certs, Admin: s.admin, Verifier: verifier, State: s.state, Usage: s.usage, Issuer: o.Issuer,
		Address: address, MaxStaleness: o.MaxStaleness, Observe: s.metrics.AdminRequest, Log: o.Log,
	})
	s.console = console.New(console.Options{
		Admin: s.admin, Issuer: o.Issuer, Version: o.Version, Address: address, OIDC: s.provider(), Reference: s.api.Document,
		Now: o.Now, Log: o.Log,
	})
	s.gateway = gateway.New(gateway.Options{
		NonceKey: s.nonceKey,
		State:    s.state, Policy: s.policy, Verifier: verifier, Minter: minter, Usage: s.usage, Slow: s.slow, Algorithm: o.Algorithm,
		MaxStaleness: o.MaxStaleness, RequireCredential: s.strangersMayAsk(), Observe: s.decided, Now: o.Now, Log: o.Log,
	})
	s.authzen = &gateway.AuthZEN{
		Workspaces: s.state.Workspaces, Candidates: s.state, Pages: s.admin,
		Decisions: s.gateway, APIs: s.state.APIs, Issuer: o.Issuer, Address: address,
		Failed: func(from netip.Addr) time.Duration {
			_, wait := failures.Failed("", from, s.o.Now())
			return wait
		},
	}
	return nil
}

// remember keeps that something of one use was used, until it could not be used
// any more.
func (s *Server) remember(ctx context.Context, id string, until store.Time) error {
	return s.o.Store.Commit(ctx, store.Insert(&store.Idempotency{ID: id, ExpiresAt: until}))
}

// provider is the identity provider, called by the client for calls to others.
func (s *Server) provider() *console.OIDC {
	if s.o.OIDC == nil {
		return nil
	}
	p := *s.o.OIDC
	p.HTTP = s.outbound().HTTP()
	return &p
}

// strangersMayAsk reports whether a listener for decisions can be reached from
// elsewhere.
func (s *Server) strangersMayAsk() bool {
	return !onLoopback(s.o.GatewayListen) || s.o.GatewayGRPCListen != "" && !onLoopback(s.o.GatewayGRPCListen)
}

// decided counts a decision.
func (s *Server) decided(api, outcome string) {
	switch outcome {
	case "allowed":
		s.metrics.Decided(api, telemetry.Allowed)
	case "denied":
		s.metrics.Decided(api, telemetry.Denied)
	case "unauthenticated":
		s.metrics.Decided(api, telemetry.Unauthenticated)
	default:
		s.metrics.Decided(api, telemetry.Unavailable)
	}
}
