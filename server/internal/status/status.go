// Package status collects the current state of the proxy and its latest calls, and
// streams them to the dashboard.
package status

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/history"
	"discordproxy/server/internal/names"
	"discordproxy/server/internal/rpc"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	// interval is how often watchers hear of changes.
	interval = time.Second
	// silence is how long they hear nothing when nothing changes.
	silence = 15 * time.Second

	maxWatchers = 250
	maxCalls    = 200
	maxMessages = 100
	maxBuckets  = 100
	maxError    = 1000 // characters
	maxContent  = 4000 // characters
	// maxShown bounds the requests that are written as JSON at all, in bytes:
	// those with files are larger.
	maxShown = 64 << 10
)

// Config configures a Service. Limits is required. The functions are called about
// once a second while somebody watches, and never at the same time.
type Config struct {
	// Limits returns what the limits hold.
	Limits func() *pb.GetRateLimitStatusResponse
	// Ready returns nil, or why calls cannot succeed, a line for each reason.
	// Nil means that they always can.
	Ready func() error
	// Bot returns the name of the bot, or "" while it is unknown. Nil means that
	// it always is.
	Bot func() string
	// Gateway returns the state of the connection to the gateway. Nil means that
	// the bot does not use the gateway.
	Gateway func() *pb.WatchStatusResponse_Proxy_Gateway
	// Version names the build.
	Version string
	// Open is whether the server can be reached from other machines without a key.
	// Calls are not shown then.
	Open bool
	// Contents is whether calls are shown with their contents.
	Contents bool
	// Names finds names for GetNames. Nil means that none are found.
	Names *names.Names
	// History is what GetHistory returns. Nil means an empty history.
	History *history.History
	// Waiting are the calls that wait for limits. Nil refuses to list them.
	Waiting Waiting
	// Fleet returns the servers that share the database, as far as a client may see
	// them. Nil refuses to list them. Unlike the others, it is called for each call.
	Fleet func(context.Context) *pb.GetFleetResponse
	// Logger takes what operators did. Nil means slog.Default().
	Logger *slog.Logger
	// Sandbox returns the state of the sandbox. Nil means that there is no sandbox.
	Sandbox func() *pb.WatchStatusResponse_Sandbox
}

// Service is a calls.Observer and the service Dashboard. It is safe for
// concurrent use. All watchers share what it finds out.
type Service struct {
	discordapiconnect.UnimplementedDashboardHandler
	config Config
	proxy  *pb.WatchStatusResponse_Proxy // what never changes of it
	ended  chan struct{}                 // closed when Run ends

	mu       sync.Mutex
	slots    slots
	calls    recent[*pb.WatchStatusResponse_Call]
	messages recent[*pb.WatchStatusResponse_SandboxMessage]
	watchers int
	entered  int64         // watchers so far
	changed  chan struct{} // closed when there is another view

	looking sync.Mutex // held while a view is made, before mu
	view    *view      // replaced under both
}

// view is the state that is looked up, not collected. What has not changed
// since the view before is the same pointer.
type view struct {
	at      time.Time
	proxy   *pb.WatchStatusResponse_Proxy
	limits  *pb.GetRateLimitStatusResponse
	sandbox *pb.WatchStatusResponse_Sandbox
	rate    float64
	// calls and messages are how many there were.
	calls, messages int64
	// steps lead from older views to the newest.
	steps map[*view]*step
}

// New returns a Service. Run must be called for its watchers to hear anything
// after their first message.
func New(c Config) (*Service, error) {
	if c.Limits == nil {
		return nil, errors.New("status: no limits to tell of")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Service{
		config: c,
		proxy: &pb.WatchStatusResponse_Proxy{
			Version: c.Version, Started: timestamppb.Now(), Open: c.Open, Sandbox: c.Sandbox != nil,
			Contents: c.Contents,
			Platform: fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH),
		},
		ended:    make(chan struct{}),
		calls:    recent[*pb.WatchStatusResponse_Call]{size: maxCalls},
		messages: recent[*pb.WatchStatusResponse_SandboxMessage]{size: maxMessages},
		changed:  make(chan struct{}),
	}, nil
}

// Run keeps watchers informed until ctx ends, and then ends their streams,
// which would otherwise hold up the shutdown. It must be called once.
func (b *Service) Run(ctx context.Context) {
	defer close(b.ended)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			b.refresh()
		}
	}
}

// refresh makes a new view if anybody watches and the last one is old enough.
func (b *Service) refresh() {
	b.looking.Lock()
	defer b.looking.Unlock()
	b.mu.Lock()
	idle, old := b.watchers == 0, b.view
	b.mu.Unlock()
	// A ticker is late at times, and then early.
	if idle || old != nil && time.Since(old.at) < interval/2 {
		return
	}
	if old == nil {
		old = new(view)
	}
	v := &view{proxy: b.proxyNow(), limits: busy(b.config.Limits()), steps: make(map[*view]*step)}
	if proto.Equal(v.proxy, old.proxy) {
		v.proxy = old.proxy
	}
	if proto.Equal(v.limits, old.limits) {
		v.limits = old.limits
	}
	if b.config.Sandbox != nil {
		if v.sandbox = b.config.Sandbox(); proto.Equal(v.sandbox, old.sandbox) {
			v.sandbox = old.sandbox
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	v.at = time.Now()
	v.rate, v.calls, v.messages = b.slots.rate(v.at), b.calls.count, b.messages.count
	old.steps = nil // nobody goes there any more
	b.view = v
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *Service) proxyNow() *pb.WatchStatusResponse_Proxy {
	p := proto.CloneOf(b.proxy)
	if b.config.Ready != nil {
		if err := b.config.Ready(); err != nil {
			p.Reasons = strings.Split(err.Error(), "\n")
		}
	}
	if b.config.Bot != nil {
		p.Bot = b.config.Bot()
	}
	if b.config.Gateway != nil {
		p.Gateway = b.config.Gateway()
	}
	return p
}

// busy removes what is not shown from limits.
func busy(limits *pb.GetRateLimitStatusResponse) *pb.GetRateLimitStatusResponse {
	limits.Time = nil
	kept := limits.Buckets[:0]
	for _, bucket := range limits.Buckets { // the busiest come first
		if len(kept) < maxBuckets && (bucket.Waiting > 0 || bucket.InFlight > 0 || bucket.ResetAfter != nil || bucket.BlockedFor != nil) {
			kept = append(kept, bucket)
		}
	}
	limits.Buckets = kept
	return limits
}

// drainsIn estimates when the last of the waiting calls can go: when the
// slowest bucket lets it, and all of them pass the limit over all routes.
func drainsIn(limits *pb.GetRateLimitStatusResponse) *durationpb.Duration {
	if limits.Waiting == 0 {
		return nil
	}
	var slowest time.Duration
	for _, bucket := range limits.Buckets {
		slowest = max(slowest, bucket.EstimatedWait.AsDuration())
	}
	var over time.Duration
	if limits.Global.GetLimit() > 0 {
		over = time.Duration(limits.Waiting) * time.Second / time.Duration(limits.Global.Limit)
	}
	over += max(limits.Global.GetPausedFor().AsDuration(), limits.Ban.GetRetryAfter().AsDuration())
	return durationpb.New(max(slowest, over))
}

// Ended takes note of a call. Calls of other services, such as health checks,
// say nothing about what applications do.
func (b *Service) Ended(_ context.Context, c *calls.Call) {
	if !c.Counts() {
		return
	}
	now := time.Now()
	call := &pb.WatchStatusResponse_Call{
		Ended: timestamppb.New(now), Method: c.Method, Target: c.Target, Id: c.ID, Code: c.Code,
		Took: durationpb.New(c.Took), Waited: durationpb.New(c.Waited), AtDiscord: durationpb.New(c.AtDiscord),
		Tries: int32(c.Tries), Caller: c.Caller, Protocol: c.Protocol, RequestId: c.RequestID,
	}
	if c.OddID != "" {
		call.Target = "" // it cannot be shown as given
	}
	if c.Err != nil {
		call.Error = brief(rpc.Text(c.Err), maxError)
	}
	if b.proxy.Contents {
		call.Content = brief(content(c.Request), maxContent)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	call.Number = b.calls.count + 1
	b.calls.add(call)
	b.slots.add(now, c.Code, call.Number)
}

// SandboxMessage records what happened to a message of the sandbox's
// Discord.
func (b *Service) SandboxMessage(m *pb.WatchStatusResponse_SandboxMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages.add(m)
}

func content(request any) string {
	m, ok := request.(proto.Message)
	if !ok {
		return ""
	}
	if n := proto.Size(m); n > maxShown {
		return fmt.Sprintf("%d bytes", n)
	}
	data, err := protojson.Marshal(m)
	if err != nil {
		return ""
	}
	return string(data)
}

// brief cuts a text after so many characters.
func brief(s string, characters int) string {
	return fmt.Sprintf("%.*s", characters, strings.ToValidUTF8(s, "\uFFFD"))
}
