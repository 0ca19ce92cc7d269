package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"postern/server/scim"
	"postern/server/telemetry"
)

// publicHandler is every route of the public listener:
//
//	/oauth2/…  /.well-known/…   server/oauth
//	/api/v1/…                   server/api
//	/console/…                  server/console
//	/scim/v2/…                  server/scim
//	/access/v1/…                server/gateway, as is /.well-known/authzen-configuration
func (s *Server) publicHandler() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.RedirectTrailingSlash = false
	r.RedirectFixedPath = false
	r.RemoveExtraSlash = false
	_ = r.SetTrustedProxies(nil) // never fails without proxies; addresses come from trusting()
	r.NoRoute(func(c *gin.Context) {
		if strings.HasPrefix(c.Request.URL.Path, "/console") {
			s.console.NotFound(c)
			return
		}
		problem(c, http.StatusNotFound, "there is nothing at this path")
	})
	r.NoMethod(func(c *gin.Context) { problem(c, http.StatusMethodNotAllowed, "this path does not answer this method") })
	s.oauth.Routes(r)
	s.api.Mount(r)
	s.console.Mount(r)
	r.Any(scim.Prefix+"/*path", gin.WrapH(s.scim))
	for _, path := range []string{"/access/v1/evaluation", "/access/v1/evaluations", "/access/v1/search/subject", "/access/v1/search/resource", "/access/v1/search/action"} {
		r.POST(path, gin.WrapH(s.authzen))
	}
	r.GET("/.well-known/authzen-configuration", gin.WrapH(s.authzen))
	return s.around("public", r)
}

// gatewayHandler is /decide/…: it reads the request line itself, so no router
// stands before it. It is asked for every request of every API and no browser
// ever sees it, so its answers carry nothing that is not needed.
func (s *Server) gatewayHandler() http.Handler {
	h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.caught(w, r, "gateway")
		s.gateway.ServeHTTP(w, r)
	}))
	if s.o.Trace != nil {
		h = s.o.Trace(h)
	}
	return h
}

// opsHandler is for the operator's own network, never for the public listener.
func (s *Server) opsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.metrics.Handler())
	return mux
}

// problem answers with an RFC 9457 problem that holds nothing of the request.
func problem(c *gin.Context, status int, detail string) {
	c.Header("Content-Type", "application/problem+json")
	c.Header("Cache-Control", "no-store")
	c.Status(status)
	_, _ = fmt.Fprintf(c.Writer, `{"title":%q,"status":%d,"detail":%q}`, http.StatusText(status), status, detail)
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

// readiness is whether this node wants requests.
type readiness struct{ on atomic.Bool }

func (r *readiness) set(on bool) { r.on.Store(on) }

// readyz is 200 while the node serves and its state is not too old. A store that
// is down for a moment leaves it 200: taking every node out would make an outage
// of it.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	age := s.state.Age()
	status, text := http.StatusOK, "ok"
	switch {
	case !s.ready.on.Load():
		status, text = http.StatusServiceUnavailable, "starting or stopping"
	case age > s.o.MaxStaleness:
		status, text = http.StatusServiceUnavailable, "lost touch with the store"
	}
	if r.URL.Query().Has("verbose") {
		backend, err := s.o.Store.Describe(r.Context())
		if err != nil {
			backend = "does not answer"
		}
		text = fmt.Sprintf("%s\nversion %s\nstore   %s\nage     %s", text, s.o.Version, backend, age.Truncate(time.Millisecond))
	}
	say(w, status, text)
}

// around is what every request of a listener goes through: an id, a header that
// keeps browsers from guessing, and a net for panics.
func (s *Server) around(listener string, next http.Handler) http.Handler {
	h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.caught(w, r, listener)
		if r.TransferEncoding != nil {
			// There may have been a Content-Length too, by which somebody in front of
			// us sees another end; net/http hides it (RFC 9112 section 6.1).
			w.Header().Set("Connection", "close")
		}
		if strings.HasPrefix(r.URL.Path, "/oauth2/") {
			// Asked thousands of times a second by machines: an error gets its id
			// in server/oauth, and no browser guesses at JSON that is not stored.
			next.ServeHTTP(w, r)
			return
		}
		id := s.ids.New()
		header := w.Header()
		header["X-Request-Id"] = []string{id}
		header["X-Content-Type-Options"] = noSniff
		r = r.WithContext(telemetry.WithRequestID(r.Context(), id))
		next.ServeHTTP(w, r)
	}))
	if s.o.Trace != nil {
		h = s.o.Trace(h)
	}
	return h
}

// caught answers a request that panicked, when deferred.
func (s *Server) caught(w http.ResponseWriter, r *http.Request, listener string) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint,err113 // a panic's value; net/http's own way to drop a connection
		panic(p)
	}
	id := w.Header().Get("X-Request-Id")
	if id == "" {
		id = s.ids.New()
		w.Header().Set("X-Request-Id", id)
	}
	s.o.Log.ErrorContext(telemetry.WithRequestID(r.Context(), id), "a request panicked",
		"listener", listener, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	say(w, http.StatusInternalServerError, "internal error, see the server's log")
}

var noSniff = []string{"nosniff"} //nolint:gochecknoglobals // a header's value, shared by all answers

// trusting finds who sent a request: the peer, or what the nearest proxies that
// are trusted say, read from the right as far as they are trusted.
func trusting(proxies []netip.Prefix) func(*http.Request) netip.Addr {
	trusted := among(proxies)
	return func(r *http.Request) netip.Addr {
		peer, _ := netip.ParseAddrPort(r.RemoteAddr)
		addr := peer.Addr().Unmap()
		if len(proxies) == 0 {
			return addr
		}
		hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
		for i := len(hops) - 1; i >= 0 && trusted(addr); i-- {
			next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
			if err != nil {
				break
			}
			addr = next.Unmap()
		}
		return addr
	}
}

// among reports of an address whether it is in one of the networks.
func among(networks []netip.Prefix) func(netip.Addr) bool {
	return func(a netip.Addr) bool {
		return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
	}
}
