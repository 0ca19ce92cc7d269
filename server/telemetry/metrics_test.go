package telemetry_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"postern/server/telemetry"
	"postern/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("/metrics: status %d, %v", w.Code, err)
	}
	return string(body)
}

func TestWhatHappensIsInTheMetrics(t *testing.T) {
	m := telemetry.NewMetrics("1.2.3")
	m.TokenIssued(store.FormatJWT, "ES256")
	m.TokenIssued(store.FormatOpaque, "")
	m.TokenIssued("odd", "none")
	m.TokenRefused("invalid_client")
	m.TokenRefused("made up\nby a stranger")
	m.Introspected(true)
	m.Introspected(false)
	m.Decided("example", telemetry.Allowed)
	m.Decided("example", telemetry.Allowed)
	m.Decided("example", telemetry.Denied)
	m.Decided("", telemetry.Unauthenticated)
	m.AdminRequest("client.create", http.StatusCreated)
	m.Route("public", "/oauth2/token")(3 * time.Millisecond)
	m.UsageFlushed(7, nil)
	m.UsageFlushed(0, errors.New("down"))
	m.UsageHeld(func() int { return 5 }, func() int64 { return 6 })
	m.ShadowChecked(true)
	m.ShadowChecked(false)
	m.StateAge(func() time.Duration { return 1500 * time.Millisecond })
	m.CacheSize("clients", func() int { return 11 })
	m.CacheSize("holders", func() int { return 12 })
	m.Keys(func() map[string]int { return map[string]int{"active": 1, "retired": 2} })

	got := scrape(t, m)
	for _, want := range []string{
		`postern_tokens_issued_total{algorithm="ES256",format="jwt"} 1`,
		`postern_tokens_issued_total{algorithm="EdDSA",format="jwt"} 0`,
		`postern_tokens_issued_total{algorithm="XC20P",format="opaque"} 1`,
		`postern_tokens_issued_total{algorithm="other",format="other"} 1`,
		`postern_token_errors_total{code="invalid_client"} 1`,
		`postern_token_errors_total{code="other"} 1`,
		`postern_introspections_total{active="true"} 1`,
		`postern_introspections_total{active="false"} 1`,
		`postern_decisions_total{api="example",outcome="allowed"} 2`,
		`postern_decisions_total{api="example",outcome="denied"} 1`,
		`postern_decisions_total{api="example",outcome="unavailable"} 0`,
		`postern_decisions_total{api="",outcome="unauthenticated"} 1`,
		`postern_admin_requests_total{code="2xx",operation="client.create"} 1`,
		`postern_http_request_duration_seconds_bucket{listener="public",route="/oauth2/token",le="0.0025"} 0`,
		`postern_http_request_duration_seconds_bucket{listener="public",route="/oauth2/token",le="0.005"} 1`,
		`postern_usage_rows_written_total 7`,
		`postern_usage_flush_failures_total 1`,
		`postern_usage_keys 5`,
		`postern_usage_events_dropped_total 6`,
		`postern_shadow_checks_total 2`,
		`postern_shadow_check_disagreements_total 1`,
		`postern_state_age_seconds 1.5`,
		`postern_cache_entries{cache="clients"} 11`,
		`postern_cache_entries{cache="holders"} 12`,
		`postern_keys{state="active"} 1`,
		`postern_keys{state="retired"} 2`,
		`version="1.2.3"} 1`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(got, "stranger") {
		t.Error("a label holds what a stranger sent")
	}
	problems, err := testutil.GatherAndLint(m.Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestAPIsWithCountersOfTheirOwnAreBounded(t *testing.T) {
	m := telemetry.NewMetrics("")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 1500 {
				m.Decided(fmt.Sprintf("api%d", i), telemetry.Allowed)
			}
		})
	}
	all.Wait()
	got := scrape(t, m)
	if n := strings.Count(got, `outcome="allowed"`); n != 1001 {
		t.Errorf("%d APIs counted, want 1000 and the others", n)
	}
	if want := `postern_decisions_total{api="other",outcome="allowed"} 2000` + "\n"; !strings.Contains(got, want) {
		t.Errorf("missing: %s", want)
	}
}

func TestTwoSetsOfMetricsInOneProcess(t *testing.T) {
	telemetry.NewMetrics("a")
	telemetry.NewMetrics("b")
}

func TestCountingAllocatesNothing(t *testing.T) {
	m := telemetry.NewMetrics("")
	observe := m.Route("gateway", "/decide/nginx/{api}")
	m.Decided("example", telemetry.Allowed)
	if n := testing.AllocsPerRun(100, func() {
		m.Decided("example", telemetry.Allowed)
		m.TokenIssued(store.FormatJWT, "ES256")
		m.TokenRefused("invalid_client")
		m.Introspected(true)
		observe(time.Millisecond)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkDecided(b *testing.B) {
	m := telemetry.NewMetrics("")
	b.ReportAllocs()
	for b.Loop() {
		m.Decided("example", telemetry.Allowed)
	}
}

func BenchmarkRoute(b *testing.B) {
	observe := telemetry.NewMetrics("").Route("gateway", "/decide/nginx/{api}")
	b.ReportAllocs()
	for b.Loop() {
		observe(time.Millisecond)
	}
}
