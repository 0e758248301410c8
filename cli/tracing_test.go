package cli_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"discordproxy/cli"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans is a collector of OpenTelemetry that keeps what it gets.
type spans struct {
	mu   sync.Mutex
	kept []*tracepb.Span
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var export collector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &export) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range export.GetResourceSpans() {
		for _, in := range of.GetScopeSpans() {
			s.kept = append(s.kept, in.GetSpans()...)
		}
	}
}

func (s *spans) list() []*tracepb.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept)
}

// TestTraceOfACall: a call whose first try fails is one span with a wait and a
// request for each try below it, in the trace that its client has begun.
func TestTraceOfACall(t *testing.T) {
	var got spans
	collector := httptest.NewServer(&got)
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb)
	sb.InjectFault(sandbox.Fault{Route: "POST /channels/{channel_id}/messages", Count: 1, Status: 502, After: true})
	req := connect.NewRequest(&pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "secret words"})
	const traceID = "0af7651916cd43dd8448eb211c80319c"
	req.Header().Set("Traceparent", "00-"+traceID+"-b7ad6b7169203331-01")
	if _, err := p.Clients()["gRPC"].SendChannelMessage(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	p.Stop()

	var call *tracepb.Span
	names := map[string]int{}
	for _, span := range got.list() {
		if span.GetName() == "discord_api.DiscordApi/SendChannelMessage" {
			call = span
		}
	}
	if call == nil {
		t.Fatalf("no span of the call among %v", got.list())
	}
	if hex.EncodeToString(call.GetTraceId()) != traceID {
		t.Errorf("the call is in trace %x", call.GetTraceId())
	}
	for _, span := range got.list() {
		if string(span.GetParentSpanId()) == string(call.GetSpanId()) {
			names[span.GetName()]++
			if span.GetEndTimeUnixNano() < span.GetStartTimeUnixNano() || span.GetStartTimeUnixNano() < call.GetStartTimeUnixNano() {
				t.Errorf("%s lasts from %d to %d", span.GetName(), span.GetStartTimeUnixNano(), span.GetEndTimeUnixNano())
			}
		}
		if text := span.String(); strings.Contains(text, "secret words") || strings.Contains(text, sb.World().Token) {
			t.Errorf("a span holds what is not for others: %s", text)
		}
	}
	if names["wait for rate limits"] != 2 || names["Discord POST /channels/{channel_id}/messages"] != 2 {
		t.Errorf("below the call are %v", names)
	}
}

func TestTracingRefused(t *testing.T) {
	for name, env := range map[string]map[string]string{
		`OTEL_TRACES_EXPORTER "zipkin"`:           {"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
		`OTEL_EXPORTER_OTLP_PROTOCOL "http/json"`: {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_TRACES_EXPORTER": "otlp"},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range env {
				t.Setenv(key, value)
			}
			var errs strings.Builder
			code := cli.Run(t.Context(), cli.Server, cli.Env{Args: []string{"--sandbox", "--port", "0", "--log-file-path", t.TempDir()}, Out: io.Discard, Err: &errs})
			if code != 1 || !strings.Contains(errs.String(), "ERROR: "+name) {
				t.Errorf("ended with %d: %s", code, errs.String())
			}
		})
	}
}
