package test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// watch opens a stream of the status until the test ends.
func watch(t *testing.T, p *proxytest.Proxy) *connect.ServerStreamForClient[pb.WatchStatusResponse] {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	client := discordapiconnect.NewDashboardClient(http.DefaultClient, "http://"+p.Address, connect.WithGRPCWeb())
	stream, err := client.WatchStatus(ctx, new(pb.WatchStatusRequest))
	if err != nil {
		t.Fatal(err)
	}
	if !stream.Receive() {
		t.Fatal(stream.Err())
	}
	return stream
}

// await receives messages, beginning with the one that is there, until one of
// them is what the test waits for.
func await(t *testing.T, stream *connect.ServerStreamForClient[pb.WatchStatusResponse], is func(*pb.WatchStatusResponse) bool) *pb.WatchStatusResponse {
	t.Helper()
	for !is(stream.Msg()) {
		if !stream.Receive() {
			t.Fatal(stream.Err())
		}
	}
	return stream.Msg()
}

func hasCalls(m *pb.WatchStatusResponse) bool { return len(m.GetCalls()) > 0 }

func TestStatus(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb)
	w := sb.World()
	stream := watch(t, p)
	first := stream.Msg()
	if proxy := first.GetProxy(); proxy.GetBot() != "sandbox" || proxy.GetVersion() == "" || len(proxy.GetReasons()) > 0 || proxy.GetOpen() || proxy.GetSandbox() || proxy.GetContents() {
		t.Errorf("at first the proxy is %v", proxy)
	}
	if first.GetLimits().GetMaxWaiting() != 10_000 || first.GetLimits().GetGlobal().GetLimit() != 50 || first.Sandbox != nil || first.DrainsIn != nil {
		t.Errorf("the first message is %v", first)
	}

	client := p.Clients()["gRPC"]
	if _, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(w.General), Content: "a secret"}); err != nil {
		t.Fatal(err)
	}
	call := await(t, stream, hasCalls).GetCalls()[0]
	if call.GetNumber() != 1 || call.GetMethod() != "SendChannelMessage" || call.GetTarget() != "channel_id" || call.GetId() != uint64(w.General) ||
		call.GetCode() != "ok" || call.GetTries() != 1 || call.GetCaller() != "127.0.0.1" || call.GetProtocol() != "grpc" || call.GetRequestId() == "" || call.GetError() != "" {
		t.Errorf("the call is %v", call)
	}
	if strings.Contains(stream.Msg().String(), "a secret") {
		t.Errorf("contents are shown: %v", stream.Msg())
	}
	if slots := stream.Msg().GetSlots(); len(slots) != 1 || slots[0].GetCalls()["ok"] != 1 || stream.Msg().GetCallsPerSecond() <= 0 {
		t.Errorf("the slots are %v", slots)
	}

	// Health checks are no calls, errors come with what their caller heard.
	if _, err := grpc_health_v1.NewHealthClient(p.Dial(t)).Check(t.Context(), new(grpc_health_v1.HealthCheckRequest)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(w.Forbidden), Content: "hi"}); err == nil {
		t.Fatal("a message was sent to the forbidden channel")
	}
	// The message from before is still there.
	call = await(t, stream, func(m *pb.WatchStatusResponse) bool { return hasCalls(m) && m.GetCalls()[0].GetNumber() > 1 }).GetCalls()[0]
	if call.GetNumber() != 2 || call.GetCode() != "permission_denied" || !strings.Contains(call.GetError(), "Missing Access") {
		t.Errorf("the second call is %v", call)
	}

	// Who comes later hears of all that is kept.
	if all := watch(t, p).Msg(); len(all.GetCalls()) != 2 || len(all.GetSlots()) == 0 || all.GetProxy() == nil || all.GetLimits() == nil {
		t.Errorf("a second watcher first hears %v", all)
	}
}

func TestStatusOfWaiting(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	sb.SetLimit(sandbox.Limit{Name: "send", Routes: []string{"POST /channels/{channel_id}/messages"}, Limit: 1, Window: 1e10})
	p := proxytest.Against(t, sb)
	stream := watch(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	send(ctx, p, uint64(sb.World().General), 4)
	m := await(t, stream, func(m *pb.WatchStatusResponse) bool { return m.GetLimits().GetWaiting() == 3 })
	if m.GetDrainsIn().AsDuration() <= 0 {
		t.Errorf("%d calls wait and go in %s", m.GetLimits().GetWaiting(), m.GetDrainsIn().AsDuration())
	}
	await(t, stream, func(m *pb.WatchStatusResponse) bool {
		b := m.GetLimits().GetBuckets()
		return len(b) == 1 && b[0].GetLimit() == 1 && b[0].GetRemaining() == 0 && b[0].GetWaiting() == 3 &&
			b[0].GetEstimatedWait() != nil && b[0].GetResetAfter() != nil
	})
	cancel()
	await(t, stream, func(m *pb.WatchStatusResponse) bool { return m.GetLimits() != nil && m.GetLimits().GetWaiting() == 0 })
}

// send begins calls that post a message, and does not wait for them.
func send(ctx context.Context, p *proxytest.Proxy, channel uint64, n int) {
	client := p.Clients()["gRPC"]
	for range n {
		go func() {
			_, _ = client.SendChannelMessage(ctx, &pb.SendChannelMessageRequest{ChannelId: channel, Content: "hi"})
		}()
	}
}

func TestStatusWithContents(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb, "--dashboard-show-content")
	stream := watch(t, p)
	if !stream.Msg().GetProxy().GetContents() {
		t.Error("the status does not say that contents are shown")
	}
	long := strings.Repeat("é", 2000)
	if _, err := p.Clients()["gRPC"].SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{
		ChannelId: uint64(sb.World().General), Content: long, Embed: &pb.Embed{Description: long + long},
	}); err != nil {
		t.Fatal(err)
	}
	content := await(t, stream, hasCalls).GetCalls()[0].GetContent()
	if !strings.Contains(content, long) || len([]rune(content)) != 4000 {
		t.Errorf("the content has %d characters: %s", len([]rune(content)), content)
	}
}

func TestStatusOfSandbox(t *testing.T) {
	p := proxytest.Start(t, "--sandbox")
	p.WaitReady(t)
	stream := watch(t, p)
	first := stream.Msg()
	if !first.GetProxy().GetSandbox() || len(first.GetSandbox().GetChannels()) == 0 || len(first.GetSandbox().GetLimits()) == 0 {
		t.Errorf("the sandbox is %v", first.GetSandbox())
	}
	var general uint64
	for _, ch := range first.GetSandbox().GetChannels() {
		if ch.GetName() == "general" {
			general = ch.GetId()
		}
	}
	if _, err := p.Clients()["gRPC"].SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: general, Content: "hi"}); err != nil {
		t.Fatal(err)
	}
	m := await(t, stream, func(m *pb.WatchStatusResponse) bool { return len(m.GetSandboxMessages()) > 0 }).GetSandboxMessages()[0]
	if m.GetMessage().GetContent() != "hi" || m.GetMessage().GetChannelId() != general || m.GetDeleted() {
		t.Errorf("the message is %v", m)
	}

	// The page's path to the sandbox.
	if status := fetch(t, http.MethodPost, "http://"+p.Address+"/sandbox/faults", `{"name": "no luck", "count": 3}`); status != http.StatusOK {
		t.Errorf("a fault is answered with %d", status)
	}
	await(t, stream, func(m *pb.WatchStatusResponse) bool {
		faults := m.GetSandbox().GetFaults()
		return len(faults) == 1 && faults[0].GetName() == "no luck" && faults[0].GetCount() == 3
	})
	if status := fetch(t, http.MethodGet, "http://"+p.Address+"/", ""); status != http.StatusOK {
		t.Errorf("the page is answered with %d", status)
	}
}

// fetch returns the status of an answer.
func fetch(t *testing.T, method, url, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// TestStatusForStrangers: a server that others can reach without a key does not show them calls.
func TestStatusForStrangers(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb, "--host", "0.0.0.0")
	stream := watch(t, p)
	if !stream.Msg().GetProxy().GetOpen() {
		t.Error("the status does not say that the proxy is open")
	}
	if _, err := p.Clients()["gRPC"].SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "hi"}); err != nil {
		t.Fatal(err)
	}
	m := await(t, stream, func(m *pb.WatchStatusResponse) bool { return len(m.GetSlots()) > 0 })
	if len(m.GetCalls()) > 0 {
		t.Errorf("strangers see %v", m.GetCalls())
	}
	if status := fetch(t, http.MethodGet, "http://"+p.Address+"/sandbox/world", ""); status != http.StatusNotFound {
		t.Errorf("without a sandbox its path answers %d", status)
	}
}

// TestStatusEnds: watchers do not delay a shutdown, and their number is limited.
func TestStatusEnds(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb, "--shutdown-grace", "1h", "--no-dashboard")
	if status := fetch(t, http.MethodGet, "http://"+p.Address+"/", ""); status != http.StatusNotFound {
		t.Errorf("with --no-dashboard the page is answered with %d", status)
	}
	var streams []*connect.ServerStreamForClient[pb.WatchStatusResponse]
	for range 250 {
		streams = append(streams, watch(t, p))
	}
	client := discordapiconnect.NewDashboardClient(http.DefaultClient, "http://"+p.Address)
	one, err := client.WatchStatus(t.Context(), new(pb.WatchStatusRequest))
	if err == nil {
		one.Receive()
		err = one.Err()
	}
	if connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("one watcher too many gets %v", err)
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
	for _, stream := range streams {
		for stream.Receive() {
		}
		if err := stream.Err(); connect.CodeOf(err) != connect.CodeUnavailable {
			t.Fatalf("at the shutdown a watcher gets %v", err)
		}
	}
}
