// Package gateway knows Discord's gateway: how the bot's session begins, how it
// outlives the connections that carry it, and how it ends.
//
// It speaks the protocol itself, over a websocket library. discordgo's client
// of the gateway cannot be supervised: it keeps the session's id and sequence
// to itself, so that only the Session that lost a connection can resume it; it
// tells nobody the code with which Discord closed a connection, so that those
// after which no bot may come back are not seen; it begins a new session
// whenever Discord refuses to resume one, without regard to how many may begin;
// and it holds its own lock while it opens and closes, without an end when
// Discord says something unexpected.
// https://discord.com/developers/docs/events/gateway
package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"discordproxy/discord"
)

// MaxActivityLength is the largest number of characters of an activity.
const MaxActivityLength = 128

// Config configures a Gateway. Token, Discord and Handler are required.
type Config struct {
	// Token is the bot's token without the prefix "Bot ".
	Token string
	// Discord says where the gateway is. *discord.Client is one.
	Discord interface {
		GatewayBot(ctx context.Context) (discord.GatewayBot, error)
	}
	// Handler is told what happens.
	Handler Handler
	// Intents say which events come. They stay the same while Run runs.
	Intents Intents
	// Status is how the bot shows: online, idle, dnd or invisible. Empty
	// means online.
	Status string
	// Activity is a text that shows under the bot's name, at most
	// MaxActivityLength characters. Empty means none.
	Activity string
	// UserAgent names the program, see discord.Config.
	UserAgent string
	// Dial reaches the gateway. Nil means a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Logger takes one line when a connection is ready, is lost, or was the
	// last one. Nil means slog.Default().
	Logger *slog.Logger
}

// Dispatch is one event of Discord's.
type Dispatch struct {
	// Type is Discord's name, such as MESSAGE_CREATE.
	Type string
	// Data is Discord's JSON.
	Data json.RawMessage
	// Time is when it arrived.
	Time time.Time
}

// Handler is told what happens at the gateway, in the order in which it
// happens, from one goroutine. It must not block: no event is read meanwhile.
// It may keep what it is told.
type Handler interface {
	// Dispatch takes an event. READY and RESUMED come as changes instead.
	Dispatch(Dispatch)
	// Changed takes a change of the state.
	Changed(Status)
}

// Handlers are told one after the other.
type Handlers []Handler

// Dispatch implements Handler.
func (h Handlers) Dispatch(d Dispatch) {
	for _, handler := range h {
		handler.Dispatch(d)
	}
}

// Changed implements Handler.
func (h Handlers) Changed(s Status) {
	for _, handler := range h {
		handler.Changed(s)
	}
}

// State is how the bot stands with the gateway.
type State int

// The states, in the order in which they are first met.
const (
	// Off: Run has not begun, or ctx has ended it.
	Off State = iota
	// Connecting: a session is about to begin.
	Connecting
	// Connected: events come. Status.Resumed says whether all did that
	// happened since the last connection.
	Connected
	// Disconnected: the connection was lost.
	Disconnected
	// Ended: Discord wants no further connection.
	Ended
)

// States are all of them.
var States = []State{Off, Connecting, Connected, Disconnected, Ended}

// String returns the state in a word.
func (s State) String() string {
	switch s {
	case Off:
		return "off"
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Disconnected:
		return "disconnected"
	case Ended:
		return "ended"
	}
	return "unknown"
}

// Status is how the bot stands with the gateway, and since when.
type Status struct {
	State State
	Since time.Time
	// Resumed is whether a connection goes on with the session of the last
	// one, so that no event was lost.
	Resumed bool
	// Resumable is whether the session of a lost connection can be resumed as
	// far as is known.
	Resumable bool
	// Reason says in words why events do not come, empty while they do.
	Reason string
	// User is the bot's name, from the first READY on.
	User string
	// Latency is the time from the last heartbeat to Discord's answer, 0
	// before the first one.
	Latency time.Duration
}

// String returns the state and its reason in words.
func (s Status) String() string {
	if s.Reason == "" {
		return s.State.String()
	}
	return s.State.String() + ": " + s.Reason
}

// Trouble returns in words why events do not come although the bot is wanted at
// the gateway, "" while nothing is wrong.
func (s Status) Trouble() string {
	switch s.State {
	case Disconnected:
		return "Discord's gateway is not connected: " + s.Reason
	case Ended:
		return "Discord ended the bot's session at the gateway for good: " + s.Reason
	}
	return ""
}

// EndedError says why Discord wants no further connection.
type EndedError struct{ Reason string }

func (e *EndedError) Error() string { return e.Reason }

// Gateway is a bot at the gateway. Status and Stats may be called at any time.
type Gateway struct {
	config Config
	client *http.Client

	// What only Run and its callees know.
	session    *session  // to be resumed; nil if there is none
	identified time.Time // when a session was last begun
	failures   int       // connections in a row that did not last

	mu     sync.Mutex
	status Status
	stats  Stats
}

// New checks the configuration. It does not connect: see Run.
func New(c Config) (*Gateway, error) {
	c.Token = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(c.Token), "Bot "))
	if c.Token == "" || c.Discord == nil || c.Handler == nil {
		return nil, errors.New("gateway: Token, Discord and Handler are required")
	}
	switch c.Status {
	case "":
		c.Status = "online"
	case "online", "idle", "dnd", "invisible":
	default:
		return nil, fmt.Errorf("gateway: status %q is not one of online, idle, dnd, invisible", c.Status)
	}
	if n := utf8.RuneCountInString(c.Activity); n > MaxActivityLength {
		return nil, fmt.Errorf("gateway: an activity of %d characters, more than %d", n, MaxActivityLength)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return &Gateway{
		config: c,
		client: &http.Client{Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         c.Dial,
			TLSHandshakeTimeout: dialTimeout,
		}},
		status: Status{State: Off, Since: time.Now(), Reason: "not begun"},
	}, nil
}

// Status returns how the bot stands with the gateway.
func (g *Gateway) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.status
}

// change notes a new state and tells it.
func (g *Gateway) change(s Status) {
	g.mu.Lock()
	s.Since = time.Now()
	if s.User == "" {
		s.User = g.status.User
	}
	g.status = s
	g.mu.Unlock()
	g.config.Handler.Changed(s)
}

func (g *Gateway) setLatency(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status.Latency = d
}

// Times of a connection. Discord sends HELLO at once, and READY within a
// second or two.
const (
	dialTimeout  = 10 * time.Second
	helloTimeout = 15 * time.Second
	readyTimeout = 30 * time.Second
	writeTimeout = 10 * time.Second
	// closeTimeout bounds a clean close.
	closeTimeout = 800 * time.Millisecond
)

// Waits between connections. Sessions may begin about a thousand times a day:
// maxBeginWait alone keeps well below that.
const (
	firstWait     = time.Second
	maxResumeWait = 30 * time.Second
	maxBeginWait  = 3 * time.Minute
	// settledAfter is how long a connection lasts that counts as a good one.
	settledAfter = 10 * time.Second
	// identifyGap is the time between two sessions that begin.
	identifyGap = 5 * time.Second
	// lostURLAfter is the number of failures after which the address that
	// belongs to the session is given up, not the session.
	lostURLAfter = 3
)

// Run keeps the bot at the gateway until ctx ends; it then closes the
// connection, within a second, and returns nil. It returns an *EndedError when
// Discord wants no further connection. It may be called once.
func (g *Gateway) Run(ctx context.Context) error {
	defer g.client.CloseIdleConnections()
	for {
		lasted, err := g.connect(ctx)
		if ctx.Err() != nil {
			g.change(Status{State: Off, Reason: "shut down"})
			return nil
		}
		g.count(func(s *Stats) { s.Lost++ })
		if reason, ok := fatal(closeCodeOf(err), g.config.Intents); ok {
			g.config.Logger.ErrorContext(ctx, "Discord ended the bot's session at the gateway for good; calls go on, events do not come", "reason", reason, "error", err)
			g.change(Status{State: Ended, Reason: reason})
			return &EndedError{reason}
		}
		if endsSession(err) {
			g.session = nil
		}
		settled := lasted >= settledAfter
		switch {
		case settled:
			g.failures = 0
		case lasted > 0 && g.session != nil:
			// Resuming is free, and what was ready once may be so again: only
			// sessions that begin are to be spared.
			g.failures = min(g.failures, 1)
		}
		wait := g.pause(settled, err)
		g.config.Logger.WarnContext(ctx, "The connection to Discord's gateway was lost", "error", err, "resumable", g.session != nil, "wait", wait.Round(time.Millisecond))
		g.change(Status{State: Disconnected, Reason: reasonOf(err), Resumable: g.session != nil})
		if sleep(ctx, wait) != nil {
			continue // connect returns at once
		}
	}
}

// pause returns how long to wait before the next connection.
func (g *Gateway) pause(settled bool, err error) time.Duration {
	if settled && errors.Is(err, errReconnect) {
		return 0
	}
	g.failures++
	longest := maxBeginWait
	if g.session != nil {
		longest = maxResumeWait
	}
	wait := min(firstWait<<min(g.failures-1, 10), longest)
	wait = wait/2 + rand.N(wait/2)
	if errors.Is(err, errSessionInvalid) || errors.Is(err, errSessionRefused) {
		// Discord asks for a random time of one to five seconds.
		wait = max(wait, time.Second+rand.N(4*time.Second))
	}
	return wait
}

// locate returns the address to connect to. It waits until a session may begin
// when there is none to resume.
func (g *Gateway) locate(ctx context.Context) (string, error) {
	if g.session != nil && g.session.url != "" && g.failures < lostURLAfter {
		return g.session.url, nil
	}
	if g.session == nil {
		if g.Status().State != Disconnected {
			g.change(Status{State: Connecting, Reason: "the session is about to begin"})
		}
		if err := sleep(ctx, identifyGap-time.Since(g.identified)); err != nil {
			return "", err
		}
	}
	for {
		bot, err := g.config.Discord.GatewayBot(ctx)
		if err != nil {
			return "", fmt.Errorf("ask for the gateway's address: %w", err)
		}
		g.count(func(s *Stats) { s.Total, s.Left = bot.Total, bot.Remaining })
		if g.session != nil || bot.Remaining > 0 || bot.Total == 0 {
			return bot.URL, nil
		}
		wait := max(bot.ResetAfter, identifyGap)
		reason := fmt.Sprintf("all %d sessions of a day have been begun; the next may begin in %s", bot.Total, wait.Round(time.Second))
		g.config.Logger.WarnContext(ctx, "No session may begin at Discord's gateway", "reason", reason)
		g.change(Status{State: Disconnected, Reason: reason})
		if err := sleep(ctx, wait); err != nil {
			return "", err
		}
	}
}

// gatewayURL adds what a connection asks for to an address of the gateway.
func gatewayURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return "", fmt.Errorf("%.100q is not the address of a gateway", s)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	u.RawQuery = url.Values{"v": {apiVersion}, "encoding": {"json"}}.Encode()
	return u.String(), nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
