// Package tracing exports calls as OpenTelemetry traces: a span for the call, with
// one child for each wait for the rate limits and one for each request to Discord.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"discordproxy/discord"
	"discordproxy/server/internal/calls"

	"connectrpc.com/connect"
	"connectrpc.com/otelconnect"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
)

// name is the instrumentation's name in spans.
const name = "discordproxy"

// Tracing exports spans. It is a discord.Observer, safe for concurrent use.
type Tracing struct {
	exported *sdk.TracerProvider
	provider trace.TracerProvider // of the spans
	tracer   trace.Tracer
}

// FromEnvironment returns what OpenTelemetry's environment variables ask for,
// nil if they ask for nothing: OTEL_EXPORTER_OTLP_ENDPOINT or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT turn it on, as does
// OTEL_TRACES_EXPORTER=otlp, and OTEL_TRACES_EXPORTER=none or
// OTEL_SDK_DISABLED=true off. OTEL_EXPORTER_OTLP_PROTOCOL is http/protobuf
// by default, or grpc. The libraries read the other variables of
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
func FromEnvironment(ctx context.Context, getenv func(string) string, version string) (*Tracing, error) {
	exporter := getenv("OTEL_TRACES_EXPORTER")
	wanted := exporter == "otlp" || getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	if !wanted || exporter == "none" || getenv("OTEL_SDK_DISABLED") == "true" {
		return nil, nil
	}
	if exporter != "" && exporter != "otlp" {
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER %q is neither otlp nor none", exporter)
	}
	protocol := getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	var (
		spans sdk.SpanExporter
		err   error
	)
	switch protocol {
	case "", "http/protobuf":
		spans, err = otlptracehttp.New(ctx)
	case "grpc":
		spans, err = otlptracegrpc.New(ctx)
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL %q is neither http/protobuf nor grpc", protocol)
	}
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	// What the environment says of the service takes precedence.
	self, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName("discordproxy"), semconv.ServiceVersion(version)),
		resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("describe the service in traces: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(spans), sdk.WithResource(self))
	return &Tracing{provider, provider, provider.Tracer(name)}, nil
}

// ForBot returns a Tracing whose spans name a bot, and which exports them as t does.
// Shutdown of either is that of both. An empty name returns t.
func (t *Tracing) ForBot(bot string) *Tracing {
	if bot == "" {
		return t
	}
	of := botProvider{of: t.provider, bot: trace.WithAttributes(attribute.String("discord.bot", bot))}
	return &Tracing{t.exported, of, of.Tracer(name)}
}

// botProvider provides tracers whose spans name a bot. It is a provider, and not a step of
// each method of Tracing, because otelconnect begins spans, too.
type botProvider struct {
	embedded.TracerProvider
	of  trace.TracerProvider
	bot trace.SpanStartEventOption
}

// Tracer implements trace.TracerProvider.
func (p botProvider) Tracer(name string, options ...trace.TracerOption) trace.Tracer {
	return botTracer{of: p.of.Tracer(name, options...), bot: p.bot}
}

type botTracer struct {
	embedded.Tracer
	of  trace.Tracer
	bot trace.SpanStartEventOption
}

// Start implements trace.Tracer.
func (t botTracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	return t.of.Start(ctx, name, append(slices.Clip(options), t.bot)...)
}

// Shutdown exports what is left, as long as ctx allows.
func (t *Tracing) Shutdown(ctx context.Context) error { return t.exported.Shutdown(ctx) }

// propagator reads the traces that clients have begun.
// https://www.w3.org/TR/trace-context/
var propagator propagation.TraceContext

// Interceptor creates a span for each call. It continues with the trace of a client
// that sends one.
func (t *Tracing) Interceptor() (connect.Interceptor, error) {
	return otelconnect.NewInterceptor(
		otelconnect.WithTracerProvider(t.provider),
		otelconnect.WithoutMetrics(), // they are Prometheus's
		otelconnect.WithPropagator(propagator),
		otelconnect.WithTrustRemote(),
	)
}

// Plain begins the span of a plain request; see rest.Config.Trace. It continues
// with the trace of a client that sends one. The path of a request is in no
// span, since tokens of webhooks are in it; its template is.
func (t *Tracing) Plain(ctx context.Context, header http.Header) (context.Context, func(*calls.Call, int)) {
	ctx = propagator.Extract(ctx, propagation.HeaderCarrier(header))
	ctx, span := t.tracer.Start(ctx, "plain REST", trace.WithSpanKind(trace.SpanKindServer))
	return ctx, func(call *calls.Call, status int) {
		span.SetName(call.Method)
		method := semconv.HTTPRequestMethodOther
		if name, _, _ := strings.Cut(call.Method, " "); name != "OTHER" {
			method = semconv.HTTPRequestMethodKey.String(name)
		}
		span.SetAttributes(
			method,
			semconv.HTTPResponseStatusCode(status),
			attribute.String("discord.route", call.Method),
			attribute.String("discordproxy.code", call.Code),
		)
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, call.Code)
		}
		span.End()
	}
}

// Tried makes spans of a wait and a request below that of their call.
func (t *Tracing) Tried(ctx context.Context, try discord.Try) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return // a call that nobody asked for, such as the check of the token
	}
	attributes := trace.WithAttributes(
		attribute.String("discord.route", try.Route),
		attribute.String("discord.resource", try.Resource),
		attribute.Int("discord.try", try.Number),
	)
	waited := try.Sent
	if waited.IsZero() {
		waited = try.Ended
	}
	_, wait := t.tracer.Start(ctx, "wait for rate limits", trace.WithTimestamp(try.Began), attributes)
	if try.Outcome == discord.Refused {
		wait.SetStatus(codes.Error, try.Err.Error())
	}
	wait.End(trace.WithTimestamp(waited))
	if try.Sent.IsZero() {
		return
	}

	_, request := t.tracer.Start(
		ctx,
		"Discord "+try.Route,
		trace.WithTimestamp(try.Sent),
		attributes,
		trace.WithSpanKind(trace.SpanKindClient),
	)
	request.SetAttributes(attribute.String("discord.outcome", try.Outcome.String()))
	if try.Status != 0 {
		request.SetAttributes(semconv.HTTPResponseStatusCode(try.Status))
	}
	if try.Limit != "" {
		request.SetAttributes(attribute.String("discord.limit", try.Limit))
	}
	switch {
	case try.Err != nil:
		request.SetStatus(codes.Error, try.Err.Error())
	case try.Status >= 400:
		request.SetStatus(codes.Error, "")
	}
	request.End(trace.WithTimestamp(try.Ended))
}
