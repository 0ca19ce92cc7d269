package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// tracesPath is where a collector takes traces if the endpoint names no path
// (OTLP specification, "OTLP/HTTP request").
const tracesPath = "/v1/traces"

// Traces sends a trace of each request that passes the middleware to a collector
// (OTLP over HTTP), in the background. Shutdown sends the last ones. A trace that
// a caller began is continued (W3C Trace Context). Without an endpoint the
// middleware returns its handler as it is.
//
// Spans hold the method, path, status and addresses, no query, header or body.
// The SDK's own environment (OTEL_TRACES_SAMPLER, …) is respected.
func Traces(ctx context.Context, endpoint, version string, log *slog.Logger) (
	shutdown func(context.Context) error, middleware func(http.Handler) http.Handler, err error,
) {
	if endpoint == "" {
		return func(context.Context) error { return nil }, func(h http.Handler) http.Handler { return h }, nil
	}
	u, err := url.Parse(endpoint)
	if err == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		err = errors.New("it is http:// or https:// and a host")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("otel.endpoint: %w", err)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = tracesPath
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()))
	if err != nil {
		return nil, nil, fmt.Errorf("set up traces to otel.endpoint: %w", err)
	}
	provider := trace.NewTracerProvider(
		trace.WithBatcher(exporter),
		trace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "postern"),
			attribute.String("service.version", version),
		)),
	)
	// The SDK has one error handler for the process, which writes to standard
	// error in a form of its own.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.WarnContext(ctx, "traces are not sent", "error", err)
	}))
	middleware = otelhttp.NewMiddleware("postern",
		otelhttp.WithTracerProvider(provider),
		otelhttp.WithPropagators(propagation.TraceContext{}))
	return provider.Shutdown, middleware, nil
}
