// Package discord implements a client of Discord's REST API: its operations, the
// meaning of responses, and retries that are safe.
//
// Every call goes through one transport. The transport waits until Discord's rate
// limits allow the call (see package ratelimit), and retries it if its outcome is
// unknown and a retry is safe.
package discord

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"discordproxy/discord/ratelimit"
)

// DefaultBaseURL is the URL of Discord's API.
const DefaultBaseURL = "https://discord.com/api"

// DefaultRetryFor is how long a call without a deadline is retried.
const DefaultRetryFor = 30 * time.Second

// apiVersion is the version of Discord's API that calls of this package speak.
const apiVersion = "v10"

// Config configures a Client. Only Token is required.
type Config struct {
	// Token is the bot's token without the prefix "Bot ".
	Token string
	// BaseURL is the URL of Discord's API without the version. Empty means
	// DefaultBaseURL. A trailing version is cut off.
	BaseURL string
	// UserAgent names the program to Discord, which blocks other forms than
	// "DiscordBot (URL, version)". Empty means one without a version.
	UserAgent string
	// Limiter holds calls until they may be sent. Nil means one with
	// Discord's ordinary limits.
	Limiter *ratelimit.Limiter
	// Upstream sends one request. Nil means a connection pool made for
	// Discord; see NewUpstream. It must not follow redirects.
	Upstream http.RoundTripper
	// TryTimeout limits one attempt, from sending to the last byte of the response. An
	// attempt may take one more second for each 256 KiB of its body. 0 means 60 seconds.
	TryTimeout time.Duration
	// RetryFor is how long a call without a deadline is retried while its attempts fail.
	// Waits for rate limits and the time of attempts without a response do not count. A
	// call with a deadline is retried until the deadline. No message is retried more than
	// two minutes after an attempt that may have taken effect. 0 means 30 seconds, a
	// negative duration a single try.
	RetryFor time.Duration
	// MaxResponseBytes limits the body of a response. 0 means 32 MiB. All
	// answers together have a limit too; see AnswerMemory.
	MaxResponseBytes int64
	// DMChannels is the number of users whose direct message channel is
	// remembered. 0 means 50,000.
	DMChannels int
	// Logger receives what happens during a call, such as retries. Nil means slog.Default().
	Logger *slog.Logger
	// Observers are notified of every request to Discord.
	Observers []Observer
	// MayNotSend is called immediately before each attempt, and returns why this process
	// may not send at the moment. The call then waits like one that cannot reach Discord.
	// Nil means that it always may.
	MayNotSend func() error
}

// Client calls Discord as one bot. It is safe for concurrent use.
type Client struct {
	base        *url.URL
	transport   *transport
	limiter     *ratelimit.Limiter
	dms         *dmChannels
	turns       turns
	application atomic.Uint64 // 0 until it is known
}

// New returns a Client. It makes no call: see CheckToken.
func New(c Config) (*Client, error) {
	token, err := parseToken(c.Token)
	if err != nil {
		return nil, err
	}
	base, err := parseBaseURL(c.BaseURL)
	if err != nil {
		return nil, err
	}
	limiter := c.Limiter
	if limiter == nil {
		if limiter, err = ratelimit.New(ratelimit.Config{}); err != nil {
			return nil, err
		}
	}
	dms, err := newDMChannels(cmp.Or(c.DMChannels, 50_000))
	if err != nil {
		return nil, err
	}
	upstream := c.Upstream
	if upstream == nil {
		upstream = NewUpstream(0)
	}
	logger := c.Logger
	if logger == nil {
		logger = slog.Default()
	}
	userAgent := cmp.Or(c.UserAgent, "DiscordBot (https://discordproxy.invalid, 0)")
	return &Client{
		base:    base,
		limiter: limiter,
		dms:     dms,
		transport: &transport{
			base:       base.String(),
			token:      botToken{session: newSession("Bot "+token, userAgent)},
			bare:       newSession("", userAgent),
			upstream:   upstream,
			limiter:    limiter,
			tryTimeout: cmp.Or(c.TryTimeout, time.Minute),
			retryFor:   cmp.Or(c.RetryFor, DefaultRetryFor),
			maxBytes:   cmp.Or(c.MaxResponseBytes, 32<<20),
			memory:     newAnswerPools(),
			logger:     logger,
			observers:  c.Observers,
			mayNotSend: c.MayNotSend,
			pauses:     pauses{limiter: limiter, channels: make(map[string]*pause)},
		},
	}, nil
}

// parseBaseURL reads the address of an API, with or without a version.
func parseBaseURL(s string) (*url.URL, error) {
	u, err := url.Parse(cmp.Or(s, DefaultBaseURL))
	if err != nil {
		return nil, errors.New("discord: the API's URL cannot be read")
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("discord: the API's URL is not of the form https://host/path") // it may contain a password
	}
	path := strings.TrimRight(u.Path, "/")
	path = strings.TrimSuffix(strings.TrimSuffix(path, "/v10"), "/v9")
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: path}, nil
}

// maxName limits the bot's name, which is logged and shown, in bytes. Discord
// allows 32 characters.
const maxName = 200

// ErrNoUser is the error of CheckToken when the API answered with something
// other than a user, so that it is unknown whether the token is valid.
var ErrNoUser = errors.New(
	"the API answered GET /users/@me with something other than a user with an ID: check --discord-api-url and any proxy on the way",
)

// getTokenUser is GetMyUser for an API that may be none of Discord's.
var getTokenUser = Operation{Name: "get_my_user", Method: http.MethodGet, Path: "/users/@me"}

// CheckToken asks Discord for the bot's user. It finds out whether the token is valid
// even while other calls with the token are refused.
func (c *Client) CheckToken(ctx context.Context) (username string, err error) {
	var user struct {
		ID       string `json:"id"`
		Username string `json:"username"`
	}
	r, err := getTokenUser.request(nil, nil, nil)
	if err != nil {
		return "", err
	}
	r.probe = true
	data, err := c.call(ctx, r)
	if err != nil {
		return "", err
	}
	// A name of an unexpected form is not a failure: unknown fields are ignored.
	_ = json.Unmarshal(data, &user)
	bot := parseID(user.ID)
	if bot == 0 {
		return "", ErrNoUser
	}
	c.transport.token.identify(uint64(bot))
	return cut(user.Username, maxName), nil
}

// BotToken names the bot's own token in what RateLimits returns.
const BotToken = "bot"

// The calls that wait, and why.
type (
	// RateLimits is the state of all limits.
	RateLimits = ratelimit.Snapshot
	// TokenLimits is the state of one token's limits.
	TokenLimits = ratelimit.TokenStatus
	// BucketLimits is the state of routes that are limited together.
	BucketLimits = ratelimit.Bucket
)

// shownBuckets is how many buckets RateLimits returns.
const shownBuckets = 500

// RateLimits returns the calls that wait at the moment, and why. Counts include all
// buckets; details are only those of the 500 busiest.
func (c *Client) RateLimits() RateLimits { return c.limiter.Status(shownBuckets) }

// Queued returns how many calls wait, and the bytes of their bodies.
func (c *Client) Queued() (calls int, bytes int64) { return c.limiter.Queued() }

// Usable returns nil while calls may be sent. Otherwise it returns the reason, which may
// be shown to anyone: Discord refused the token, or has banned this address.
func (c *Client) Usable() error {
	if err := c.limiter.Barred(BotToken); err != nil {
		return refusal(context.Background(), err)
	}
	return nil
}
