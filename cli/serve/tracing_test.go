package serve_test

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
	"discordproxy/cli/serve"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
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

// named returns the only span with a name.
func (s *spans) named(t *testing.T, name string) *tracepb.Span {
	t.Helper()
	var found []*tracepb.Span
	for _, span := range s.list() {
		if span.GetName() == name {
			found = append(found, span)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d spans are named %s, of %v", len(found), name, s.list())
	}
	return found[0]
}

// below counts the names of the spans below another, which they must not begin
// before.
func (s *spans) below(t *testing.T, parent *tracepb.Span) map[string]int {
	t.Helper()
	names := make(map[string]int)
	for _, span := range s.list() {
		if string(span.GetParentSpanId()) == string(parent.GetSpanId()) {
			names[span.GetName()]++
			if span.GetEndTimeUnixNano() < span.GetStartTimeUnixNano() || span.GetStartTimeUnixNano() < parent.GetStartTimeUnixNano() {
				t.Errorf("%s lasts from %d to %d", span.GetName(), span.GetStartTimeUnixNano(), span.GetEndTimeUnixNano())
			}
		}
	}
	return names
}

// traced returns a proxy whose spans are kept, and a collector of them.
func traced(t *testing.T, sb *sandbox.Sandbox) (*spans, *proxytest.Proxy) {
	t.Helper()
	got := new(spans)
	collector := httptest.NewServer(got)
	t.Cleanup(collector.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	return got, proxytest.Against(t, sb)
}

// A trace that a client has begun, and its header.
const (
	traceID     = "0af7651916cd43dd8448eb211c80319c"
	traceparent = "00-" + traceID + "-b7ad6b7169203331-01"
)

// TestTraceOfACall: a call whose first try fails is one span with a wait and a
// request for each try below it, in the trace that its client has begun.
func TestTraceOfACall(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	got, p := traced(t, sb)
	sb.InjectFault(sandbox.Fault{Route: "POST /channels/{channel_id}/messages", Count: 1, Status: 502, After: true})
	req := &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "secret words"}
	ctx, info := connect.NewClientContext(t.Context())
	info.RequestHeader().Set("Traceparent", traceparent)
	if _, err := p.Clients()["gRPC"].SendChannelMessage(ctx, req); err != nil {
		t.Fatal(err)
	}
	p.Stop()

	call := got.named(t, "discord_api.DiscordApi/SendChannelMessage")
	if hex.EncodeToString(call.GetTraceId()) != traceID {
		t.Errorf("the call is in trace %x", call.GetTraceId())
	}
	names := got.below(t, call)
	if names["wait for rate limits"] != 2 || names["Discord POST /channels/{channel_id}/messages"] != 2 {
		t.Errorf("below the call are %v", names)
	}
	got.holdNone(t, "secret words", sb.World().Token)
}

// TestTraceOfPlainREST: plain requests are spans as calls are, named by the
// route. The token of a webhook, which is part of the path, is in none.
func TestTraceOfPlainREST(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	got, p := traced(t, sb)
	send := func(path, body string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.Address+"/api/v10/"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Traceparent", traceparent)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	sb.InjectFault(sandbox.Fault{Route: "POST /channels/{channel_id}/messages", Count: 1, Status: 502})
	message := `{"content": "secret words", "nonce": "1", "enforce_nonce": true}`
	if status := send("channels/"+sb.World().General.String()+"/messages", message); status != http.StatusOK {
		t.Fatalf("the message got %d", status)
	}
	if status := send("webhooks/123/secret-token", message); status != http.StatusNotFound {
		t.Fatalf("the webhook got %d", status)
	}
	p.Stop()

	sent := got.named(t, "POST /channels/{channel_id}/messages")
	names := got.below(t, sent)
	if names["wait for rate limits"] != 2 || names["Discord POST /channels/{channel_id}/messages"] != 2 {
		t.Errorf("below the request are %v", names)
	}
	for span, status := range map[*tracepb.Span]int64{sent: 200, got.named(t, "POST /webhooks/{webhook_id}/{webhook_token}"): 404} {
		if hex.EncodeToString(span.GetTraceId()) != traceID || span.GetKind() != tracepb.Span_SPAN_KIND_SERVER {
			t.Errorf("%s is in trace %x, of kind %s", span.GetName(), span.GetTraceId(), span.GetKind())
		}
		if i := slices.IndexFunc(span.GetAttributes(), func(a *commonpb.KeyValue) bool {
			return a.GetKey() == "http.response.status_code" && a.GetValue().GetIntValue() == status
		}); i < 0 {
			t.Errorf("%s has not the status %d: %v", span.GetName(), status, span.GetAttributes())
		}
	}
	got.holdNone(t, "secret words", "secret-token", sb.World().Token)
}

// holdNone makes sure that texts are in no span.
func (s *spans) holdNone(t *testing.T, texts ...string) {
	t.Helper()
	for _, span := range s.list() {
		for _, text := range texts {
			if strings.Contains(span.String(), text) {
				t.Errorf("a span holds what is not for others: %s", span)
			}
		}
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
			code := cli.Run(t.Context(), serve.Command, cli.Env{Args: []string{"--sandbox", "--port", "0", "--log-file-path", t.TempDir()}, Out: io.Discard, Err: &errs})
			if code != 1 || !strings.Contains(errs.String(), "ERROR: "+name) {
				t.Errorf("ended with %d: %s", code, errs.String())
			}
		})
	}
}
