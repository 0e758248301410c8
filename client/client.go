// Package client implements a client of Discord Proxy, which calls Discord through a
// running proxy.
//
// A [Client] has a method for every method of the services DiscordApi and Outbox, and some
// of the service Dashboard; [Client.Call] calls the others. The methods take and return the
// API's messages. If Discord refuses a call, the method returns an [*HTTPError]; every
// other failure is an [*Error].
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"strings"
	"time"

	"discordproxy/gen/discord_api/discordapiconnect"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// DefaultTarget is the address at which a proxy listens by default.
const DefaultTarget = "localhost:50051"

// Client is a connection to a proxy. It is opened by the first call, and opened
// again after a restart of the proxy. All methods are safe for concurrent use.
type Client struct {
	unary     map[string]*procedure // by their paths
	transport *http.Transport
	retries   int

	// Settings of all procedures.
	over    *http.Client
	url     string
	options connect.ClientOption
}

// config contains the settings of the options.
type config struct {
	key     string
	bot     string
	timeout time.Duration
	retries int
	tls     *tls.Config
}

// Option configures a client.
type Option func(*config)

// WithKey sets the key that the client sends with every call. Without TLS it is
// sent in clear text.
func WithKey(key string) Option { return func(c *config) { c.key = key } }

// WithBot names the bot that the client's calls are for, if the proxy has several. A bot
// that the proxy does not have is refused with NOT_FOUND. By default, and for "", the
// proxy's default bot makes the calls.
func WithBot(name string) Option { return func(c *config) { c.bot = name } }

// WithTimeout limits the time of each call, including its retries, in addition to
// the deadline of its context. It does not limit streams. By default, and for 0, a
// call waits for Discord's rate limits as long as its context allows.
func WithTimeout(timeout time.Duration) Option { return func(c *config) { c.timeout = timeout } }

// WithRetries retries calls that failed with [ErrUnavailable] up to n times if that
// is safe: if the call changes nothing, if it certainly had no effect, or if it
// sends a message. Messages get a nonce, so that Discord does not create a second
// one. A call that could succeed only after more than 30 s is not retried. By default,
// and for 0, no call is retried.
func WithRetries(n int) Option { return func(c *config) { c.retries = n } }

// WithTLS encrypts the connection. A nil configuration means Go's defaults.
func WithTLS(settings *tls.Config) Option {
	return func(c *config) {
		if settings == nil {
			settings = new(tls.Config)
		}
		c.tls = settings
	}
}

// New returns a client of the proxy at target, which is host:port, or unix:PATH for
// a Unix socket. An empty target means DefaultTarget. New does not connect yet.
func New(target string, opts ...Option) (*Client, error) {
	var c config
	for _, opt := range opts {
		opt(&c)
	}
	if target == "" {
		target = DefaultTarget
	}
	authority := target
	socket, bySocket := strings.CutPrefix(target, "unix:")
	if absolute, ok := strings.CutPrefix(socket, "//"); ok {
		socket = absolute
	}
	if bySocket {
		authority = "localhost"
	} else if _, _, err := net.SplitHostPort(target); err != nil {
		return nil, fmt.Errorf("target %q is not of the form host:port or unix:PATH", target)
	}
	if bySocket && socket == "" {
		return nil, fmt.Errorf("target %q has no path", target)
	}
	if c.retries < 0 {
		return nil, errors.New("retries must not be negative")
	}
	if c.timeout < 0 {
		return nil, errors.New("the timeout must not be negative")
	}
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	if strings.ContainsFunc(c.key, unprintable) {
		return nil, errors.New("the key must be printable ASCII")
	}
	if strings.ContainsFunc(c.bot, unprintable) {
		return nil, errors.New("the name of the bot must be printable ASCII")
	}

	protocols, scheme := new(http.Protocols), "http"
	if c.tls == nil {
		protocols.SetUnencryptedHTTP2(true)
	} else {
		protocols.SetHTTP2(true)
		scheme = "https"
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	dial := dialer.DialContext
	if bySocket {
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	transport := &http.Transport{
		Protocols: protocols, TLSClientConfig: c.tls, DialContext: dial,
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 5 * time.Minute,
		// A call may wait for minutes. Without pings, a lost connection would not
		// be noticed in that time.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
	over, url := &http.Client{
		Transport: transport,
		// Another address must not receive the key.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, scheme+"://"+authority
	options := connect.WithClientOptions(
		connect.WithGRPC(),
		connect.WithInterceptors(&caller{key: c.key, bot: c.bot, timeout: c.timeout, retries: c.retries}),
	)
	client := &Client{transport: transport, retries: c.retries, over: over, url: url, options: options}
	var err error
	if client.unary, err = client.unaryProcedures(); err != nil {
		return nil, err
	}
	return client, nil
}

// Close closes the connection if no call uses it. The next call opens it again.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// WatchStatus streams the state of the proxy that the dashboard shows: first the whole
// state, then the changes, at most once a second. The key needs the right to see the
// dashboard.
func (c *Client) WatchStatus(
	ctx context.Context,
	req *pb.WatchStatusRequest,
) (*connect.ServerStreamForClient[pb.WatchStatusResponse], error) {
	return serverStream[pb.WatchStatusResponse](ctx, c, discordapiconnect.DashboardWatchStatusProcedure, req)
}

// GetFleet returns the servers that share a database, and which of them leads each bot.
// The key needs the right to see the dashboard.
func (c *Client) GetFleet(ctx context.Context, req *pb.GetFleetRequest) (*pb.GetFleetResponse, error) {
	return unary[*pb.GetFleetResponse](ctx, c, discordapiconnect.DashboardGetFleetProcedure, req)
}

// All returns an iterator over the responses of a stream. If the stream fails, the
// last pair is the error. The stream is closed when the loop ends.
//
//	for response, err := range client.All(c.ListChannelMessages(ctx, request)) {
func All[T any](stream *connect.ServerStreamForClient[T], err error) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		if err != nil {
			yield(nil, err)
			return
		}
		defer stream.Close()
		for stream.Receive() {
			if !yield(stream.Msg(), nil) {
				return
			}
		}
		if err := stream.Err(); err != nil {
			yield(nil, err)
		}
	}
}
