package telemetry_test

import (
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"postern/server/telemetry"
)

func ok(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func TestWithoutAnEndpointTheHandlerIsAsItWas(t *testing.T) {
	shutdown, middleware, err := telemetry.Traces(t.Context(), "", "1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	if got := middleware(mux); got != http.Handler(mux) {
		t.Errorf("the handler is wrapped in a %T", got)
	}
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTracesReachTheCollectorWithoutSecrets(t *testing.T) {
	type post struct{ path, body string }
	posts := make(chan post, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var from io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			from = z
		}
		body, err := io.ReadAll(from)
		if err != nil {
			t.Error(err)
		}
		posts <- post{r.URL.Path, string(body)}
	}))
	defer collector.Close()

	for endpoint, path := range map[string]string{collector.URL: "/v1/traces", collector.URL + "/mine": "/mine"} {
		shutdown, middleware, err := telemetry.Traces(t.Context(), endpoint, "1.2.3", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/oauth2/token?q=canary", strings.NewReader("client_secret=canary"))
		r.Header.Set("Authorization", "Basic canary")
		r.Header.Set("X-Postern-Gateway", "Basic canary")
		w := httptest.NewRecorder()
		middleware(http.HandlerFunc(ok)).ServeHTTP(w, r)
		if w.Code != http.StatusNoContent {
			t.Errorf("status %d through the middleware, want 204", w.Code)
		}
		if err := shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := <-posts
		if got.path != path {
			t.Errorf("%s: traces went to %s, want %s", endpoint, got.path, path)
		}
		for _, want := range []string{"postern", "1.2.3", "/oauth2/token"} {
			if !strings.Contains(got.body, want) {
				t.Errorf("the trace has no %q", want)
			}
		}
		if strings.Contains(got.body, "canary") {
			t.Error("the trace has a secret")
		}
	}
}

func TestACollectorThatHangsHoldsUpNoRequest(t *testing.T) {
	release := make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer collector.Close()
	shutdown, middleware, err := telemetry.Traces(t.Context(), collector.URL, "1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range 5000 { // more than the SDK holds
		w := httptest.NewRecorder()
		middleware(http.HandlerFunc(ok)).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		if w.Code != http.StatusNoContent {
			t.Fatalf("status %d, want 204", w.Code)
		}
	}
	close(release)
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnEndpointThatIsNoURLIsAnError(t *testing.T) {
	for _, endpoint := range []string{"127.0.0.1:4318", "localhost:4318", "grpc://collector:4317", "http://", "http://a b"} {
		if _, _, err := telemetry.Traces(t.Context(), endpoint, "1", slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%q is taken for an endpoint", endpoint)
		}
	}
}
