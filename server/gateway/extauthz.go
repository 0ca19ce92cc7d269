package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpctls "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"postern/server/certificate"
	"postern/store"
)

// ExtAuthz answers Envoy's ext_authz over gRPC (envoy.service.auth.v3). What a call
// is stands in the attributes, which Envoy itself fills; of the headers only those
// of the token and the body count. The API and the gateway's credential come in
// the metadata x-postern-api and x-postern-gateway, which no client reaches:
// Envoy's configuration sets them by initial_metadata.
type ExtAuthz struct {
	authv3.UnimplementedAuthorizationServer

	Decisions *Handler
}

// NewExtAuthz returns a server of decisions by gRPC, by TLS where there is a
// configuration of it. More options may be given.
func NewExtAuthz(h *Handler, config *tls.Config, options ...grpc.ServerOption) *grpc.Server {
	if config != nil {
		options = append(options, grpc.Creds(grpctls.NewTLS(config)))
	}
	s := grpc.NewServer(append(options,
		grpc.NumStreamWorkers(streamWorkers),
		grpc.MaxRecvMsgSize(maxBody+maxAttributes), grpc.ConnectionTimeout(5*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)...)
	authv3.RegisterAuthorizationServer(s, &ExtAuthz{Decisions: h})
	return s
}

// streamWorkers are goroutines whose stacks have grown already: one that is made
// for each question grows a stack of its own. Above these it is made all the same.
const streamWorkers = 32

// maxAttributes is what a question may have beside a body, in bytes: the headers
// of the call.
const maxAttributes = 128 << 10

// Check answers a question. It never fails: what cannot be decided is refused.
func (x *ExtAuthz) Check(ctx context.Context, q *authv3.CheckRequest) (answer *authv3.CheckResponse, _ error) {
	h := x.Decisions
	defer func() {
		if p := recover(); p != nil {
			h.Log.ErrorContext(ctx, "a decision panicked", "panic", p)
			answer = refusal(&Error{Status: http.StatusServiceUnavailable}, "")
		}
	}()
	age := h.State.Age()
	md, _ := metadata.FromIncomingContext(ctx)
	name := ""
	if names := md.Get("x-postern-api"); len(names) == 1 {
		name = names[0]
	}
	api := h.State.APIByName(name)
	id, err := x.decide(ctx, md, api, q, age)
	if err != nil {
		e := AsError(err)
		h.refused(ctx, api, e, err)
		return refusal(e, h.nonces.current(h.Now())), nil
	}
	h.observe(api, "allowed")
	return allowance(&id), nil
}

func (x *ExtAuthz) decide(ctx context.Context, md metadata.MD, api *store.API, q *authv3.CheckRequest, age time.Duration) (identity, error) {
	h := x.Decisions
	if err := h.admit(ctx, md.Get("x-postern-gateway"), peerOf(ctx), api, age); err != nil {
		return identity{}, err
	}
	c, ok := readAttributes(q.GetAttributes())
	if !ok {
		return identity{}, errBinding
	}
	return h.decideCall(ctx, api, c, sentBy(q.GetAttributes().GetRequest().GetHttp()))
}

// sentBy returns the client's Authorization: of several Envoy makes one, with
// commas, which is none.
func sentBy(r *authv3.AttributeContext_HttpRequest) []string {
	if sent, there := r.GetHeaders()["authorization"]; there {
		return []string{sent}
	}
	return nil
}

// readAttributes returns the call that Envoy's attributes describe.
func readAttributes(a *authv3.AttributeContext) (call, bool) {
	r := a.GetRequest().GetHttp()
	if r.GetPath() == "" || r.GetFragment() != "" {
		return call{}, false
	}
	target := r.GetPath()
	if r.GetQuery() != "" { // the path has it already, in every Envoy there is
		target += "?" + r.GetQuery()
	}
	c := call{method: r.GetMethod(), target: target, host: r.GetHost()}
	c.address = parseAddress(a.GetSource().GetAddress().GetSocketAddress().GetAddress())
	if text := a.GetSource().GetCertificate(); text != "" { // Envoy's word, which no client can write
		c.certificate = func() (*x509.Certificate, error) { return certificate.Parse(text) }
	}
	if proof, sent := r.GetHeaders()["dpop"]; sent {
		c.proofs = []string{proof} // of several Envoy makes one, with commas, which is none
	}
	c.operations = func() ([]string, error) { return operationsOfAttributes(r, c) }
	return c, true
}

// operationsOfAttributes reads a GraphQL call, of which Envoy must pass the body,
// whole.
func operationsOfAttributes(r *authv3.AttributeContext_HttpRequest, c call) ([]string, error) {
	header := r.GetHeaders()
	body := r.GetRawBody()
	if len(body) == 0 {
		body = []byte(r.GetBody())
	}
	if err := c.isPlainPost(); err != nil {
		return nil, err
	}
	partial, marked := header["x-envoy-auth-partial-body"]
	_, encoded := header["content-encoding"]
	switch {
	case marked && partial != "false" || r.GetSize() >= 0 && r.GetSize() != int64(len(body)):
		return nil, errors.New("the gateway passed a part of the body, or none")
	case encoded:
		return nil, errors.New("its body is encoded")
	case len(body) > maxBody:
		return nil, errTooLarge
	}
	return operations(header["content-type"], body)
}

// peerOf is the address of the gateway.
func peerOf(ctx context.Context) netip.Addr {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return netip.Addr{}
	}
	if tcp, ok := p.Addr.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// identityNames are the headers of identity.values, as gRPC spells headers.
var identityNames = [...]string{"x-auth-subject", "x-auth-client", "x-auth-workspace", "x-auth-roles", "x-auth-scope"} //nolint:gochecknoglobals // a constant

// allowance tells Envoy who calls: the headers take the place of the client's.
func allowance(id *identity) *authv3.CheckResponse {
	values := id.spelled()
	var all [len(identityNames) + 1]struct { // in one piece of memory
		option corev3.HeaderValueOption
		header corev3.HeaderValue
	}
	ok := &authv3.OkHttpResponse{
		Headers:         make([]*corev3.HeaderValueOption, 0, len(all)),
		HeadersToRemove: []string{"x-auth-token", "x-postern-gateway"},
	}
	set := func(name, value string) {
		h := &all[len(ok.Headers)]
		h.header.Key, h.header.Value = name, value
		h.option.Header, h.option.AppendAction = &h.header, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		ok.Headers = append(ok.Headers, &h.option)
	}
	for i, name := range identityNames {
		set(name, values[i])
	}
	authorization, remove := id.authorization(nil) // what was sent, Envoy has
	if remove {
		ok.HeadersToRemove = append(ok.HeadersToRemove, "authorization")
	}
	for _, value := range authorization {
		set("authorization", value)
	}
	return &authv3.CheckResponse{Status: &rpc.Status{Code: int32(codes.OK)}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok}}
}

// refusal tells Envoy what to answer. The nonce goes with challenges of DPoP.
func refusal(e *Error, nonce string) *authv3.CheckResponse {
	code := codes.PermissionDenied
	denied := &authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: typev3.StatusCode(e.Status)}} //nolint:gosec // 401, 403 or 503
	switch e.Status {
	case http.StatusUnauthorized:
		code = codes.Unauthenticated
		denied.Headers = []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "www-authenticate", Value: e.Challenge}}}
		if challengesProof(e.Challenge) {
			denied.Headers = append(denied.Headers, &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: "dpop-nonce", Value: nonce}})
		}
	case http.StatusServiceUnavailable:
		code = codes.Unavailable
		denied.Headers = []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "retry-after", Value: "1"}}}
	}
	return &authv3.CheckResponse{Status: &rpc.Status{Code: int32(code)}, HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied}}
}
