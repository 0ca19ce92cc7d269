package server_test

import (
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"postern/server"
)

// The listener for decisions by gRPC opens where it is configured, and drains.
func TestExtAuthzOverTheWire(t *testing.T) {
	n := start(t, func(o *server.Options) { o.GatewayGRPCListen = "127.0.0.1:0" })
	conn, err := grpc.NewClient(n.server.GatewayGRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("x-postern-api", "example"))
	for path, want := range map[string]bool{"/orders/7": true, "/elsewhere": false} {
		answer, err := authv3.NewAuthorizationClient(conn).Check(ctx, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
				Method: "GET", Path: path, Headers: map[string]string{"authorization": "Bearer " + n.issue(t, by(n.Example))},
			}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.GetOkResponse() != nil; got != want {
			t.Errorf("%s: allowed is %t, want %t", path, got, want)
		}
	}
}
