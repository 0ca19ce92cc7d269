package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"postern/server/gateway"
)

// listeners are the open sockets.
type listeners struct{ public, mtls, gateway, grpc, ops net.Listener }

func (l *listeners) close() {
	for _, each := range []net.Listener{l.public, l.mtls, l.gateway, l.grpc, l.ops} {
		if each != nil {
			_ = each.Close() // closed by its server already, mostly
		}
	}
}

// Listen opens the sockets, so that a taken port is known before anything is
// made or runs. Run does it where nobody did before.
func (s *Server) Listen(ctx context.Context) error {
	var lc net.ListenConfig
	for _, each := range []struct {
		name, addr string
		into       *net.Listener
	}{
		{"server.listen", s.o.Listen, &s.listeners.public},
		{"server.mtls_listen", s.o.MTLSListen, &s.listeners.mtls},
		{"gateway.listen", s.o.GatewayListen, &s.listeners.gateway},
		{"gateway.grpc_listen", s.o.GatewayGRPCListen, &s.listeners.grpc},
		{"ops.listen", s.o.OpsListen, &s.listeners.ops},
	} {
		if each.addr == "" {
			continue // only those for gRPC and certificates may be left out
		}
		l, err := lc.Listen(ctx, "tcp", each.addr)
		if err != nil {
			s.listeners.close()
			s.listeners = listeners{}
			return fmt.Errorf("%s: %w; end what uses this address, or choose another", each.name, err)
		}
		*each.into = l
	}
	return nil
}

// PublicAddr is the address of the public listener, once it is open.
func (s *Server) PublicAddr() string { return addrOf(s.listeners.public) }

// MTLSAddr is the address of the listener for who presents a certificate; empty
// where there is none.
func (s *Server) MTLSAddr() string { return addrOf(s.listeners.mtls) }

// GatewayAddr is the address of the gateway listener.
func (s *Server) GatewayAddr() string { return addrOf(s.listeners.gateway) }

// GatewayGRPCAddr is the address of the listener for decisions by gRPC; empty
// where there is none.
func (s *Server) GatewayGRPCAddr() string { return addrOf(s.listeners.grpc) }

// OpsAddr is the address of the ops listener.
func (s *Server) OpsAddr() string { return addrOf(s.listeners.ops) }

func addrOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 15 * time.Second
	answerTimeout = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
)

// serve runs the servers until ctx is done, then drains them.
// failed tells that a room ended by itself.
func (s *Server) serve(g *errgroup.Group, ctx context.Context, failed <-chan struct{}) {
	routes := s.publicHandler() //nolint:contextcheck // requests have their own
	public := s.httpServer(routes, s.o.TLS)
	mtls := s.httpServer(routes, asking(cmp.Or(s.o.MTLSTLS, s.o.TLS)))
	ops := s.httpServer(s.opsHandler(), nil)
	decisions := gateway.NewServer(s.gatewayHandler(), gateway.ServerOptions{
		HeaderTimeout: headerTimeout, BodyTimeout: bodyTimeout, AnswerTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeader: maxHeader, TLS: s.o.TLS, Log: s.o.Log,
	})
	asks := gateway.NewExtAuthz(s.gateway, s.o.TLS)
	if s.listeners.grpc != nil {
		g.Go(func() error { return asks.Serve(s.listeners.grpc) })
	}
	run := func(serve func(net.Listener) error, l net.Listener) {
		g.Go(func() error {
			if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	servePublic := public.Serve
	if public.TLSConfig != nil {
		servePublic = func(l net.Listener) error { return public.ServeTLS(l, "", "") }
	}
	run(servePublic, s.listeners.public)
	if s.listeners.mtls != nil {
		run(func(l net.Listener) error { return mtls.ServeTLS(l, "", "") }, s.listeners.mtls)
	}
	run(decisions.Serve, s.listeners.gateway)
	run(ops.Serve, s.listeners.ops)
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-failed:
		}
		s.ready.set(false)
		s.o.Log.InfoContext(ctx, "postern is stopping; running requests may end", "timeout", s.o.ShutdownTimeout)
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.ShutdownTimeout)
		defer cancel()
		s.oauth.Drain()
		// ops last: a load balancer must see /readyz fail while we drain.
		return errors.Join(public.Shutdown(limited), mtls.Shutdown(limited), decisions.Shutdown(limited), drain(limited, asks), ops.Shutdown(limited))
	})
}

// asking is a configuration that asks clients for a certificate too. Whose it may
// be is for who gets the request to say: a client's may be self-signed.
func asking(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	c = c.Clone()
	c.ClientAuth = tls.RequestClientCert
	return c
}

// drain ends a gRPC server when its questions are answered, or at the end of ctx.
func drain(ctx context.Context, server *grpc.Server) error {
	done := make(chan struct{})
	go func() { server.GracefulStop(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		server.Stop()
		<-done
		return fmt.Errorf("gateway.grpc_listen: %w", ctx.Err())
	}
}

func (s *Server) httpServer(h http.Handler, tlsConfig *tls.Config) *http.Server {
	return &http.Server{
		Handler: h, TLSConfig: tlsConfig,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug), // what strangers send, such as TLS bytes to a plain port
	}
}
