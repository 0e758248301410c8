// Package calls reports finished calls of every protocol to the log and to other
// observers. It also chooses the status code of every error.
package calls

import (
	"context"
	"net"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/rpc"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// OK is the code of a call that succeeded. All others are those of
// connect.Code.String.
const OK = "ok"

// Call is one call. Observers get it when it has ended and must not change it.
type Call struct {
	// Method is the method's name in the API. For plain REST, it is the HTTP method and
	// Discord's path with placeholders, so that the number of names is small.
	Method string
	// Protocol is grpc, grpcweb, connect, rest, hook, gateway or outbox.
	Protocol string
	// Target is the name of the ID that the call is about, such as channel_id, and ID its
	// value. They are "" and 0 if there is none.
	Target string
	ID     uint64
	// OddID is the given ID, at most 40 digits, if it does not fit into ID. ID is then 0.
	OddID string
	// Caller identifies who gets a fair share of the limits: the name of the client's
	// key, or else the peer's host. Key reports which.
	Caller string
	Key    bool
	// Peer is the network address at the other end of the connection.
	Peer      string
	RequestID string
	// Stream reports whether the call may last as long as the client wants.
	Stream bool
	Began  time.Time
	// Request is the client's request with its contents. Observers must not keep it, and
	// must show it only if contents are enabled.
	Request any

	// What follows is known when the call has ended. Waited is how long it waited for
	// rate limits, AtDiscord the time of its requests to Discord, Tries their number.
	// Sent is the number of messages of a stream to the client.
	Code      string
	Err       error
	Took      time.Duration
	Waited    time.Duration
	AtDiscord time.Duration
	Tries     int
	Sent      int
}

// applicationsAPI is the service that applications call.
var applicationsAPI = pb.File_discord_api_discord_api_proto.Services().ByName("DiscordApi")

// Counts reports whether the call says anything about what applications do, which
// those of other services, such as health checks, do not.
func (c *Call) Counts() bool {
	return c.Protocol == "rest" || c.Protocol == "hook" || applicationsAPI.Methods().ByName(protoreflect.Name(c.Method)) != nil
}

// Observer is notified of every call. Ended is called when the response is known, in the
// call's own goroutine: it must be fast and safe for concurrent use.
type Observer interface {
	Ended(ctx context.Context, c *Call)
}

// Observers are notified one after the other.
type Observers []Observer

// Begin starts a call whose Method, Protocol, Target, ID, Stream and Request
// are set as far as they are known; all of them may change until the end. It
// fills in who calls and returns the context with which the call is to be
// done, so that its cost is counted. The caller of Begin must call end once.
// Without a code in c, end derives it from the error.
func (o Observers) Begin(ctx context.Context, c *Call) (_ context.Context, end func(error)) {
	begin(ctx)
	c.Began = time.Now()
	c.Peer, c.RequestID = rpc.Peer(ctx), rpc.RequestID(ctx)
	if c.Caller = caller.Name(ctx); c.Caller != "" {
		c.Key = true
	} else {
		c.Caller = host(c.Peer)
	}
	stats := new(discord.Stats)
	ctx = caller.With(ctx, func(by *discord.Caller) { by.Name, by.Stats = c.Caller, stats })
	return ctx, func(err error) {
		if !caller.Of(ctx).Unmade.Keep() {
			return // another server makes the call, and reports it
		}
		c.Took = time.Since(c.Began)
		c.Waited, c.AtDiscord, c.Tries = stats.Waited(), stats.AtDiscord(), stats.Tries()
		c.Err = err
		if c.Code == "" {
			c.Code = OK
			if err != nil {
				c.Code = connect.CodeOf(err).String()
			}
		}
		for _, observer := range o {
			observer.Ended(ctx, c)
		}
	}
}

// host returns the host of an address: many clients open a connection for
// each call.
func host(peer string) string {
	if host, _, err := net.SplitHostPort(peer); err == nil {
		return host
	}
	return peer
}
