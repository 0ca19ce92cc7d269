// Package telemetry is what operators see of a running server: metrics in
// Prometheus' format, traces by OpenTelemetry, and log lines with the id of their
// request.
//
// Nothing here holds a secret or anything a stranger can choose: labels are from
// fixed lists or the names of records, log values come out on one line whatever
// is in them, and request ids are our own. What is counted per request is
// resolved beforehand and costs an atomic addition.
package telemetry

import (
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"postern/store"
)

// other is the label of what is not in a list.
const other = "other"

// mostAPIs is how many APIs have counters of their own.
const mostAPIs = 1000

// Decision is how a decision for a gateway ended.
type Decision uint8

// The ends of a decision.
const (
	Allowed         Decision = iota // 200
	Denied                          // 403
	Unauthenticated                 // 401
	Unavailable                     // 503
	decisions
)

func (d Decision) String() string {
	return [...]string{"allowed", "denied", "unauthenticated", "unavailable"}[d]
}

type issued struct {
	format    store.TokenFormat
	algorithm string
}

// Metrics counts. Its methods may be called from any goroutine.
type Metrics struct {
	registry *prometheus.Registry

	issued   map[issued]prometheus.Counter
	refused  map[string]prometheus.Counter
	active   prometheus.Counter
	inactive prometheus.Counter

	decisions *prometheus.CounterVec
	byAPI     atomic.Pointer[map[string]*[decisions]prometheus.Counter] // replaced, never changed
	adding    sync.Mutex

	admin    *prometheus.CounterVec
	leaks    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	caches   *gauges

	usageRows     prometheus.Counter
	usageFailures prometheus.Counter
	deliveries    *prometheus.CounterVec
	shadowChecks  prometheus.Counter
	shadowDiffers prometheus.Counter
}

// NewMetrics makes the metrics of a process of this version, on a registry of
// their own.
func NewMetrics(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "postern_build_info", Help: "1, with the version that runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	}, func() float64 { return 1 }))

	tokens := m.vector("postern_tokens_issued_total", "Access tokens issued.", "format", "algorithm")
	m.issued = map[issued]prometheus.Counter{{other, other}: tokens.WithLabelValues(other, other)}
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		m.issued[issued{store.FormatJWT, alg}] = tokens.WithLabelValues(string(store.FormatJWT), alg)
	}
	const sealing = "XC20P" // opaque tokens have one algorithm, so callers need not say it
	opaque := tokens.WithLabelValues(string(store.FormatOpaque), sealing)
	m.issued[issued{store.FormatOpaque, sealing}], m.issued[issued{store.FormatOpaque, ""}] = opaque, opaque

	refused := m.vector("postern_token_errors_total", "Requests to the OAuth endpoints answered with an error.", "code")
	m.refused = map[string]prometheus.Counter{}
	for _, code := range []string{
		"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope", // RFC 6749 section 5.2
		"invalid_target",                                                      // RFC 8707 section 2
		"unsupported_token_type",                                              // RFC 7009 section 2.2.1
		"server_error", "temporarily_unavailable", "too_many_requests", other, // section 4.1.2.1, and ours
	} {
		m.refused[code] = refused.WithLabelValues(code)
	}

	introspections := m.vector("postern_introspections_total", "Introspections answered.", "active")
	m.active, m.inactive = introspections.WithLabelValues("true"), introspections.WithLabelValues("false")

	m.decisions = m.vector("postern_decisions_total", "Decisions for gateways.", "api", "outcome")
	m.byAPI.Store(&map[string]*[decisions]prometheus.Counter{})
	m.admin = m.vector("postern_admin_requests_total", "Requests to the administration.", "operation", "code")
	m.leaks = m.vector("postern_leaks_total", "Leaked credentials that were reported while they worked, by what was ended: secret, token, client, or alert for nothing.", "done")
	m.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "postern_http_request_duration_seconds",
		Help:    "Time from a request's headers to the end of its answer.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"listener", "route"})
	m.registry.MustRegister(m.duration)
	m.caches = m.gauges("postern_cache_entries", "Records held in memory.", "cache")

	m.usageRows = m.counter("postern_usage_rows_written_total", "Usage counters and last uses written to the store.")
	m.usageFailures = m.counter("postern_usage_flush_failures_total", "Writes of usage that failed, and are held in memory.")
	m.deliveries = m.vector("postern_deliveries_total", "Tries to deliver an event to a webhook or by mail.", "kind", "outcome")
	m.shadowChecks = m.counter("postern_shadow_checks_total", "Decisions that were also taken the slow way, by Casbin.")
	m.shadowDiffers = m.counter("postern_shadow_check_disagreements_total", "Shadow checks that came out differently: any is a bug.")
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Registry is where the metrics are, for a test to read.
func (m *Metrics) Registry() prometheus.Gatherer { return m.registry }

// TokenIssued counts an access token. The algorithm of opaque ones may be empty.
func (m *Metrics) TokenIssued(f store.TokenFormat, algorithm string) {
	c := m.issued[issued{f, algorithm}]
	if c == nil {
		c = m.issued[issued{other, other}]
	}
	c.Inc()
}

// TokenRefused counts an error by its code (RFC 6749 section 5.2).
func (m *Metrics) TokenRefused(code string) {
	c := m.refused[code]
	if c == nil {
		c = m.refused[other]
	}
	c.Inc()
}

// Introspected counts an answer of introspection.
func (m *Metrics) Introspected(active bool) {
	if active {
		m.active.Inc()
	} else {
		m.inactive.Inc()
	}
}

// Decided counts a decision about an API, by the short name of its record: never
// by what stands in the request. Where there is no such API the name is empty.
func (m *Metrics) Decided(api string, d Decision) {
	counters := (*m.byAPI.Load())[api]
	if counters == nil {
		counters = m.addAPI(api)
	}
	counters[d].Inc()
}

func (m *Metrics) addAPI(api string) *[decisions]prometheus.Counter {
	m.adding.Lock()
	defer m.adding.Unlock()
	known := *m.byAPI.Load()
	if counters := known[api]; counters != nil {
		return counters
	}
	label := api
	if len(known) >= mostAPIs {
		if counters := known[other]; counters != nil {
			return counters
		}
		api, label = other, other
	}
	counters := new([decisions]prometheus.Counter)
	for d := range decisions {
		counters[d] = m.decisions.WithLabelValues(label, d.String())
	}
	more := maps.Clone(known)
	more[api] = counters
	m.byAPI.Store(&more)
	return counters
}

// AdminRequest counts an answer of the administration, by the operation's own
// name and the first digit of the status.
func (m *Metrics) AdminRequest(operation string, status int) {
	m.admin.WithLabelValues(operation, strconv.Itoa(status/100)+"xx").Inc()
}

// Leaked counts what was done about a leaked credential; it fits
// admin.Options.OnLeak.
func (m *Metrics) Leaked(done string) { m.leaks.WithLabelValues(done).Inc() }

// Route returns what measures the requests of one route, to be called once for
// each of them. The route is its pattern, not a path.
func (m *Metrics) Route(listener, route string) func(time.Duration) {
	o := m.duration.WithLabelValues(listener, route)
	return func(d time.Duration) { o.Observe(d.Seconds()) }
}

// UsageFlushed counts what a write of usage did; it fits usage.Options.OnFlush.
func (m *Metrics) UsageFlushed(rows int, err error) {
	m.usageRows.Add(float64(rows))
	if err != nil {
		m.usageFailures.Inc()
	}
}

// ShadowChecked counts a shadow check.
func (m *Metrics) ShadowChecked(agreed bool) {
	m.shadowChecks.Inc()
	if !agreed {
		m.shadowDiffers.Inc()
	}
}

// StateAge shows how old this node's view of the store is. Call it once.
func (m *Metrics) StateAge(age func() time.Duration) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "postern_state_age_seconds", Help: "Time since this node saw its own heartbeat come back from the store.",
	}, func() float64 { return age().Seconds() }))
}

// CacheSize shows how many records a cache holds.
func (m *Metrics) CacheSize(cache string, size func() int) {
	m.caches.add(func() map[string]int { return map[string]int{cache: size()} })
}

// Keys shows how many signing and sealing keys there are by state. Call it once.
func (m *Metrics) Keys(byState func() map[string]int) {
	m.gauges("postern_keys", "Signing and sealing keys by state.", "state").add(byState)
}

// UsageHeld shows the counters of usage in memory, and the events lost because
// it was full. Call it once.
func (m *Metrics) UsageHeld(keys func() int, dropped func() int64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "postern_usage_keys", Help: "Usage counters held in memory.",
	}, func() float64 { return float64(keys()) }), prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "postern_usage_events_dropped_total", Help: "Events not counted because memory for usage was full.",
	}, func() float64 { return float64(dropped()) }))
}

// Delivered counts a try to deliver an event: "webhook" or "mail"; "done",
// "again" or "failed".
func (m *Metrics) Delivered(kind, outcome string) { m.deliveries.WithLabelValues(kind, outcome).Inc() }

// Expiring shows how many clients expire soon, and the time until the next one
// does: -1 is never.
func (m *Metrics) Expiring(count func() int, next func() time.Duration) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "postern_clients_expiring", Help: "Active clients that expire, or have a secret that does, within 14 days; counted up to 10,000.",
	}, func() float64 { return float64(count()) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "postern_next_client_expiry_seconds", Help: "Time until the next active client expires; -1 if none does.",
	}, func() float64 {
		if d := next(); d >= 0 {
			return d.Seconds()
		}
		return -1
	}))
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) vector(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) gauges(name, help, label string) *gauges {
	g := &gauges{desc: prometheus.NewDesc(name, help, []string{label}, nil)}
	m.registry.MustRegister(g)
	return g
}

// gauges shows the values that functions return when they are asked for.
type gauges struct {
	desc  *prometheus.Desc
	mu    sync.Mutex
	funcs []func() map[string]int // by label
}

func (g *gauges) add(f func() map[string]int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.funcs = append(g.funcs, f)
}

// Describe is part of prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) { to <- g.desc }

// Collect is part of prometheus.Collector.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	g.mu.Lock()
	funcs := slices.Clone(g.funcs)
	g.mu.Unlock()
	for _, f := range funcs {
		for label, n := range f() {
			to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(n), label)
		}
	}
}
