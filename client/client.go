// Package client calls Discord through a running Discord Proxy.
//
// A [Client] has every method of the API, and takes and returns its messages. An
// error is an [*HTTPError] if Discord refused the call, and an [*Error] otherwise.
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

// DefaultTarget is where a proxy listens unless it is told otherwise.
const DefaultTarget = "localhost:50051"

// Client is a connection to a proxy. It is made with the first call and kept,
// also over a restart of the proxy. All methods may be called concurrently.
type Client struct {
	methods   discordapiconnect.DiscordApiClient
	outbox    discordapiconnect.OutboxClient
	dashboard discordapiconnect.DashboardClient
	transport *http.Transport
	retries   int

	// What further clients of the same connection are made of.
	over    *http.Client
	url     string
	options connect.ClientOption
}

// config is what options set.
type config struct {
	key     string
	timeout time.Duration
	retries int
	tls     *tls.Config
}

// Option changes how a client works.
type Option func(*config)

// WithKey gives the key that the proxy asks for. Without TLS it travels in
// clear text.
func WithKey(key string) Option { return func(c *config) { c.key = key } }

// WithTimeout bounds each call, its repetitions included, beside the deadline
// of its context. Streams are not bounded. Without a timeout, and for 0, a call
// waits for its turn at Discord as long as its context allows.
func WithTimeout(timeout time.Duration) Option { return func(c *config) { c.timeout = timeout } }

// WithRetries lets calls that failed with [ErrUnavailable] be made again, up to
// n times, where that can do no harm: when a call changes nothing, when it had
// no effect for sure, or when it sends a message, which gets a nonce for that
// so that Discord makes no second one.
func WithRetries(n int) Option { return func(c *config) { c.retries = n } }

// WithTLS encrypts the connection. Nil is a configuration with Go's defaults.
func WithTLS(settings *tls.Config) Option {
	return func(c *config) {
		if settings == nil {
			settings = new(tls.Config)
		}
		c.tls = settings
	}
}

// New returns a client of the proxy at target, host:port, or unix:PATH for a Unix
// socket. An empty target is DefaultTarget. It does not connect yet.
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
	if strings.ContainsFunc(c.key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, errors.New("the key must be printable ASCII")
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
		// A call may wait for minutes, in which a lost connection would else not
		// be noticed.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
	over, url := &http.Client{
		Transport: transport,
		// Another address must not get the key.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, scheme+"://"+authority
	options := connect.WithClientOptions(
		connect.WithGRPC(),
		connect.WithInterceptors(&caller{key: c.key, timeout: c.timeout, retries: c.retries}),
	)
	return &Client{
		methods:   discordapiconnect.NewDiscordApiClient(over, url, options),
		outbox:    discordapiconnect.NewOutboxClient(over, url, options),
		dashboard: discordapiconnect.NewDashboardClient(over, url, options),
		transport: transport, retries: c.retries,
		over: over, url: url, options: options,
	}, nil
}

// Close closes the connection unless a call uses it. A further call opens
// another.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// WatchStatus streams how the proxy is doing: first everything, then what
// changes, at most once a second. It is what the dashboard shows, and the proxy
// lets those call it who may see the dashboard.
func (c *Client) WatchStatus(
	ctx context.Context,
	req *pb.WatchStatusRequest,
) (*connect.ServerStreamForClient[pb.WatchStatusResponse], error) {
	return c.dashboard.WatchStatus(ctx, req)
}

// All ranges over what a stream brings. An error is the last pair. The stream
// is closed when the loop ends.
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
