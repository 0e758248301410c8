package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	pb "discordproxy/gen/discord_api"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/test/proxytest"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
)

const postMessage = "POST /channels/{channel_id}/messages"

// limited is a sandbox that takes one message a minute in each channel,
// and a proxy before it.
func limited(t *testing.T, args ...string) (*sandbox.Sandbox, *proxytest.Proxy) {
	t.Helper()
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	sb.SetLimit(sandbox.Limit{Name: "messages", Routes: []string{postMessage}, Limit: 1, Window: time.Minute, Kind: sandbox.Fixed})
	return sb, proxytest.Against(t, sb, args...)
}

func say(ctx context.Context, client discordapiconnect.DiscordApiClient, channel sandbox.ID) error {
	_, err := client.SendChannelMessage(ctx, &pb.SendChannelMessageRequest{ChannelId: uint64(channel), Content: "hi"})
	return err
}

func status(t *testing.T, client discordapiconnect.DiscordApiClient) *pb.GetRateLimitStatusResponse {
	t.Helper()
	resp, err := client.GetRateLimitStatus(t.Context(), &pb.GetRateLimitStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// waitFor asks for the state of the limits until it is the one that is wanted.
func waitFor(t *testing.T, client discordapiconnect.DiscordApiClient, want func(*pb.GetRateLimitStatusResponse) bool) *pb.GetRateLimitStatusResponse {
	t.Helper()
	for {
		if s := status(t, client); want(s) {
			return s
		}
	}
}

// retryDelay returns what the details of a status say of when to come back.
func retryDelay(err error) time.Duration {
	status, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return 0
	}
	for _, detail := range status.Details() {
		if value, err := detail.Value(); err == nil {
			if info, ok := value.(*errdetails.RetryInfo); ok {
				return info.GetRetryDelay().AsDuration()
			}
		}
	}
	return 0
}

// refused checks a status: its code, that its message is no document of Discord,
// and that it says when to come back.
func refused(t *testing.T, err error, code connect.Code, low, high time.Duration) {
	t.Helper()
	status, ok := errors.AsType[*connect.Error](err)
	if !ok || status.Code() != code {
		t.Fatalf("got %v, %v is wanted", err, code)
	}
	if json.Valid([]byte(status.Message())) {
		t.Errorf("the message is %s", status.Message())
	}
	if d := retryDelay(err); d < low || d > high {
		t.Errorf("come back in %v, %v to %v is wanted: %v", d, low, high, err)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestDeadlineTooEarly: a call that certainly cannot be sent in time fails
// immediately, over every protocol, and nothing of it is sent.
func TestDeadlineTooEarly(t *testing.T) {
	t.Parallel()
	sb, p := limited(t)
	general := sb.World().General
	if err := say(t.Context(), p.Clients()["gRPC"], general); err != nil {
		t.Fatal(err)
	}
	for name, client := range p.Clients() {
		t.Run(name, func(t *testing.T) {
			err := say(within(t, 30*time.Second), client, general)
			refused(t, err, connect.CodeDeadlineExceeded, 30*time.Second, time.Minute)
			if !strings.Contains(err.Error(), "retry after") {
				t.Errorf("the message is %v", err)
			}
		})
	}
	if n := len(sb.Messages(general)); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestDiscordsOwn429BeyondTheDeadline: somebody else has used the limit up, so
// Discord itself refuses. The caller gets the status of a call that was never
// sent, with what Discord said in the details.
func TestDiscordsOwn429BeyondTheDeadline(t *testing.T) {
	t.Parallel()
	sb, p := limited(t)
	general := sb.World().General
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		fmt.Sprintf("https://discord.com/api/v10/channels/%d/messages", general), strings.NewReader(`{"content":"first"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bot "+sb.World().Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := sb.Client().Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()

	err = say(within(t, 30*time.Second), p.Clients()["gRPC"], general)
	refused(t, err, connect.CodeDeadlineExceeded, 30*time.Second, time.Minute+time.Second)
	status, _ := errors.AsType[*connect.Error](err)
	said := new(pb.DiscordError)
	for _, d := range status.Details() {
		if value, err := d.Value(); err == nil {
			if e, ok := value.(*pb.DiscordError); ok {
				said = e
			}
		}
	}
	if said.GetStatus() != http.StatusTooManyRequests || said.GetText() == "" {
		t.Errorf("the detail is %v", said)
	}
}

// TestMaxQueue: a call beyond the limit is refused immediately, and a caller that
// disconnects frees its place immediately.
func TestMaxQueue(t *testing.T) {
	t.Parallel()
	sb, p := limited(t, "--max-queue", "2")
	general, client := sb.World().General, p.Clients()["gRPC"]
	if err := say(t.Context(), client, general); err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	defer waiting.Wait()
	hold := func() (leave context.CancelFunc) {
		before := status(t, client).GetWaiting()
		ctx, leave := context.WithCancel(t.Context())
		waiting.Go(func() {
			if err := say(ctx, client, general); connect.CodeOf(err) != connect.CodeCanceled {
				t.Errorf("left with %v", err)
			}
		})
		waitFor(t, client, func(s *pb.GetRateLimitStatusResponse) bool { return s.GetWaiting() > before })
		return leave
	}
	first, second := hold(), hold()
	defer second()
	err := say(t.Context(), client, general)
	refused(t, err, connect.CodeResourceExhausted, 0, 0)
	if !strings.Contains(err.Error(), "too many calls are waiting") {
		t.Errorf("the message is %v", err)
	}
	first()
	waitFor(t, client, func(s *pb.GetRateLimitStatusResponse) bool { return s.GetWaiting() == 1 })
	third := hold()
	third()
	second()
	s := waitFor(t, client, func(s *pb.GetRateLimitStatusResponse) bool { return s.GetWaiting() == 0 })
	if s.GetWaitingBytes() != 0 || s.GetInFlight() != 0 || s.GetMaxWaiting() != 2 {
		t.Errorf("left behind %v", s)
	}
	if n := len(sb.Messages(general)); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestMaxQueueBytes: a body that does not fit is refused.
func TestMaxQueueBytes(t *testing.T) {
	t.Parallel()
	sb, p := limited(t, "--max-queue-bytes", "20")
	general, client := sb.World().General, p.Clients()["gRPC"]
	if err := say(t.Context(), client, general); err != nil {
		t.Fatal(err)
	}
	refused(t, say(t.Context(), client, general), connect.CodeResourceExhausted, 0, 0)
}

// TestAddressBan: after a response of Cloudflare, no request is sent to Discord, and
// callers get the time to wait.
func TestAddressBan(t *testing.T) {
	t.Parallel()
	for _, shape := range []sandbox.BanShape{sandbox.BanText, sandbox.BanHTML, sandbox.BanJSON} {
		t.Run(string(shape), func(t *testing.T) {
			t.Parallel()
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			p := proxytest.Against(t, sb)
			client := p.Clients()["gRPC"]
			sb.Ban(sandbox.Ban{For: time.Hour, Shape: shape})
			refused(t, say(t.Context(), client, sb.World().General), connect.CodeUnavailable, 50*time.Second, time.Minute)
			before := sb.Stats().Calls
			for _, channel := range sb.World().Channels {
				refused(t, say(t.Context(), client, channel), connect.CodeUnavailable, 50*time.Second, time.Minute)
			}
			if n := sb.Stats().Calls - before; n != 0 {
				t.Errorf("%d calls went out during the ban", n)
			}
			if ban := status(t, client).GetBan(); ban.GetRetryAfter().AsDuration() < 50*time.Second || ban.GetReason() == "" {
				t.Errorf("shows %v", ban)
			}
		})
	}
}

// TestInvalidRequestLimit: calls that would be refused again are not made once
// the budget is nearly spent; others continue.
func TestInvalidRequestLimit(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb, "--invalid-request-limit", "20")
	client, w := p.Clients()["gRPC"], sb.World()
	for i := range 40 {
		err := say(t.Context(), client, w.ReadOnly)
		if want := connect.CodePermissionDenied; i < 18 && connect.CodeOf(err) != want {
			t.Fatalf("call %d: %v", i, err)
		}
		if i >= 18 {
			refused(t, err, connect.CodeUnavailable, 9*time.Minute, 10*time.Minute)
		}
	}
	if n := sb.Stats().Invalid; n != 18 {
		t.Errorf("%d invalid requests were made of a budget of 20", n)
	}
	if err := say(t.Context(), client, w.General); err != nil {
		t.Errorf("another channel: %v", err)
	}
	if got := status(t, client).GetInvalidRequests(); got.GetCount() != 18 || got.GetLimit() != 20 || !got.GetRefusing() {
		t.Errorf("shows %v", got)
	}
}

// TestTokenRefused: a 401 that a check of the token confirms stops the bot's
// calls.
func TestTokenRefused(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	client, w := p.Clients()["gRPC"], sb.World()
	sb.RevokeToken("Bot " + w.Token)
	if err := say(t.Context(), client, w.General); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Fatal(err)
	}
	for range 10 {
		refused(t, say(t.Context(), client, w.General), connect.CodeUnauthenticated, time.Second, time.Minute)
	}
	if n := sb.Stats().Statuses[http.StatusUnauthorized]; n != 2 {
		t.Errorf("Discord said 401 %d times", n)
	}
	if s := status(t, client); !s.GetTokenRefused() || s.GetInvalidRequests().GetCount() != 2 {
		t.Errorf("shows %v", s)
	}
}

// TestRateLimitStatus looks at everything that is shown while calls wait, over
// every protocol.
func TestRateLimitStatus(t *testing.T) {
	t.Parallel()
	sb, p := limited(t)
	client, general := p.Clients()["gRPC"], sb.World().General
	if err := say(t.Context(), client, general); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer leave()
	for range 3 {
		waiting.Go(func() { _ = say(ctx, client, general) })
	}
	waitFor(t, client, func(s *pb.GetRateLimitStatusResponse) bool { return s.GetWaiting() == 3 })
	for name, client := range p.Clients() {
		s := status(t, client)
		if s.GetTime().AsTime().IsZero() || s.GetWaitingBytes() < 3*int64(len(`{"content":"hi"}`)) ||
			s.GetMaxWaiting() != 10_000 || s.GetMaxWaitingBytes() != 256<<20 || s.GetInFlight() != 0 {
			t.Errorf("%s shows %v", name, s)
		}
		if g := s.GetGlobal(); g.GetLimit() != 50 || g.GetPausedFor() != nil {
			t.Errorf("%s shows the global limit %v", name, g)
		}
		if i := s.GetInvalidRequests(); i.GetCount() != 0 || i.GetLimit() != 10_000 || i.GetRefusing() || s.GetBan() != nil || s.GetTokenRefused() {
			t.Errorf("%s shows trouble: %v", name, s)
		}
		b := s.GetBuckets()[0] // the one with the longest queue comes first
		minute := func(d time.Duration) bool { return d > 10*time.Second && d <= time.Minute+time.Second }
		if len(b.GetRoutes()) != 1 || b.GetRoutes()[0] != postMessage || b.GetResource() != fmt.Sprint("channel ", general) || b.GetHash() == "" ||
			b.GetLimit() != 1 || b.GetRemaining() != 0 || !minute(b.GetResetAfter().AsDuration()) || b.GetInFlight() != 0 || b.GetWaiting() != 3 ||
			b.GetEstimatedWait().AsDuration() < b.GetResetAfter().AsDuration() {
			t.Errorf("%s shows the bucket %v", name, b)
		}
	}
}

// TestGlobalPauseIsShown: after a global 429, the status says how long all calls wait.
func TestGlobalPauseIsShown(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	client := p.Clients()["Connect JSON"]
	sb.BanGlobally(time.Minute)
	err := say(within(t, 20*time.Second), client, sb.World().General)
	refused(t, err, connect.CodeDeadlineExceeded, 20*time.Second, time.Minute+time.Second)
	if d := status(t, client).GetGlobal().GetPausedFor().AsDuration(); d < 20*time.Second || d > time.Minute+time.Second {
		t.Errorf("paused for %v", d)
	}
	before := sb.Stats().Calls
	refused(t, say(within(t, 20*time.Second), client, sb.World().General), connect.CodeDeadlineExceeded, 20*time.Second, time.Minute+time.Second)
	if n := sb.Stats().Calls - before; n != 0 {
		t.Errorf("%d calls went out", n)
	}
}
