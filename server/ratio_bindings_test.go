package server_test

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// bindings compares a decision over each binding with a bare handler of the same
// binding: one that reads as much of the question as the answer "yes" needs.
func (n *node) bindings(b *testing.B) {
	tokens := make([]string, len(n.callers))
	for i, c := range n.callers {
		tokens[i] = n.issue(b, c)
	}
	yes := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	for name, head := range map[string]string{
		"ingress-nginx": "GET /decide/ingress-nginx/example HTTP/1.1\r\nX-Original-Method: GET\r\nX-Original-URL: https://bench%s",
		"haproxy":       "GET /decide/haproxy/example HTTP/1.1\r\nX-Original-Method: GET\r\nX-Original-URI: %s",
		"forward":       "GET /decide/forward/example HTTP/1.1\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Host: bench\r\nX-Forwarded-Uri: %s",
		"envoy":         "GET /decide/envoy/example%s HTTP/1.1",
	} {
		s := shot{addr: strings.TrimPrefix(n.decide, "http://"), want: http.StatusOK}
		for i, token := range tokens {
			s.requests = append(s.requests, fmt.Appendf(nil, head+"\r\nHost: bench\r\nAuthorization: Bearer %s\r\n\r\n", decideTarget(i), token))
		}
		ratio(b, "decide by "+name, s, yes)
	}
	s := shot{addr: strings.TrimPrefix(n.url, "http://"), want: http.StatusOK}
	for i, token := range tokens {
		body := fmt.Sprintf(`{"subject":{"type":"token","id":%q},"action":{"name":"GET"},"resource":{"type":"example","id":%q}}`, token, decideTarget(i))
		s.requests = append(s.requests, fmt.Appendf(nil, "POST /access/v1/evaluation HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s", by(n.Gateway).basic(), len(body), body))
	}
	ratio(b, "decide by authzen", s, bareEvaluation(by(n.Gateway)))
	b.Run("decide by grpc", func(b *testing.B) {
		for b.Loop() {
			n.byGRPC(b, tokens)
		}
	})
}

// bareEvaluation knows the caller's secret by its hash, as bareIntrospect does,
// parses the question and says yes.
func bareEvaluation(caller as) http.Handler {
	want := sha256.Sum256([]byte(caller.secret))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, text, _ := r.BasicAuth()
		sum := sha256.Sum256([]byte(text))
		var question struct {
			Subject, Resource struct{ Type, ID string }
			Action            struct{ Name string }
		}
		if subtle.ConstantTimeCompare(sum[:], want[:]) != 1 || json.NewDecoder(r.Body).Decode(&question) != nil || question.Subject.ID == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer, _ := json.Marshal(map[string]any{"decision": true, "context": map[string]any{"subject": question.Subject.Type, "client": question.Resource.Type}})
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(answer)
	})
}

// bareChecks says yes by gRPC.
type bareChecks struct {
	authv3.UnimplementedAuthorizationServer
}

func (bareChecks) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return &authv3.CheckResponse{Status: &status.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{}}}, nil
}

// byGRPC is ratio for the binding that is no HTTP/1.1: eight connections of four
// questions at a time, to us and to a bare server in turns.
func (n *node) byGRPC(b *testing.B, tokens []string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	bare := grpc.NewServer()
	authv3.RegisterAuthorizationServer(bare, bareChecks{})
	go func() { _ = bare.Serve(l) }()
	defer bare.Stop()
	questions := make([]*authv3.CheckRequest, len(tokens))
	for i, token := range tokens {
		questions[i] = &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: "GET", Path: decideTarget(i), Host: "bench", Headers: map[string]string{"authorization": "Bearer " + token},
		}}}}
	}
	ours, theirs := dialChecks(b, n.server.GatewayGRPCAddr()), dialChecks(b, l.Addr().String())
	compare(b, "decide by grpc", func() rate { return loadChecks(b, ours, questions) }, func() rate { return loadChecks(b, theirs, questions) })
}

func dialChecks(b *testing.B, addr string) []authv3.AuthorizationClient {
	b.Helper()
	out := make([]authv3.AuthorizationClient, 8)
	for i := range out {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		out[i] = authv3.NewAuthorizationClient(conn)
	}
	return out
}

// loadChecks is load for questions by gRPC.
func loadChecks(b *testing.B, clients []authv3.AuthorizationClient, questions []*authv3.CheckRequest) rate {
	b.Helper()
	ctx := metadata.NewOutgoingContext(b.Context(), metadata.Pairs("x-postern-api", "example"))
	return loadBy(b, "the listener of gRPC", func(worker int, until time.Time) (n int64, err error) {
		for i := worker; time.Now().Before(until); i += connections {
			answer, err := clients[worker%len(clients)].Check(ctx, questions[i%len(questions)])
			if err != nil {
				return n, err
			}
			if answer.GetOkResponse() == nil {
				return n, fmt.Errorf("got %s, want it allowed", answer)
			}
			n++
		}
		return n, nil
	})
}
