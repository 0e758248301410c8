// Package gateway implements the bot's session at Discord's gateway: how it begins,
// survives lost connections, and ends.
//
// The package implements the protocol over a websocket library, because discordgo's
// gateway client cannot be supervised. That client does not expose the session's ID and
// sequence, so only the Session that lost a connection can resume it. It does not report
// the code with which Discord closed a connection, so codes after which no bot may
// reconnect go unnoticed. It begins a new session whenever Discord refuses to resume one,
// without regard to the daily budget. It also holds its lock while it opens and closes a
// connection, forever if Discord sends something unexpected.
// https://discord.com/developers/docs/events/gateway
package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"discordproxy/discord"
)

// maxActivityLength is the largest number of characters of an activity.
const maxActivityLength = 128

// Config configures a Gateway. Token, Discord and Handler are required.
type Config struct {
	// Token is the bot's token without the prefix "Bot ".
	Token string
	// Discord says where the gateway is. *discord.Client is one.
	Discord interface {
		GatewayBot(ctx context.Context) (discord.GatewayBot, error)
	}
	// API is the URL of Discord's API. The gateway's address must belong to it,
	// or the token is not sent there. Empty means discord.DefaultBaseURL.
	API string
	// Handler receives events and changes of the state.
	Handler Handler
	// Intents say which events come. They stay the same while Run runs.
	Intents Intents
	// Status is the bot's status: online, idle, dnd or invisible. Empty
	// means online.
	Status string
	// Activity is a text that shows under the bot's name, at most
	// 128 characters. Empty means none.
	Activity string
	// UserAgent names the program, see discord.Config.
	UserAgent string
	// Dial reaches the gateway. Nil means a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Logger takes one line when a connection is ready, is lost, or was the
	// last one, and when a pause begins. Nil means slog.Default().
	Logger *slog.Logger
	// Counted is an earlier run's count of IDENTIFYs; see Gateway.Counted. The zero value
	// means that none was sent.
	Counted BudgetCount
	// Spent is called when an IDENTIFY is counted, before it is sent. It must not
	// block. It may be nil.
	Spent func()
	// Session is the session of an earlier run; see Gateway.Session. Nil means that
	// one begins.
	Session *SavedSession
	// KeepSession leaves the session open when Run ends, so that a later run can
	// resume it. The bot then shows as online until Discord ends the session.
	KeepSession bool
}

// Dispatch is one event of Discord's.
type Dispatch struct {
	// Type is Discord's name, such as MESSAGE_CREATE.
	Type string
	// Data is Discord's JSON.
	Data json.RawMessage
	// Time is when it arrived.
	Time time.Time
	// Sequence is its number in the session.
	Sequence int64
}

// Handler receives what happens at the gateway, in the order in which it
// happens, one call at a time. It must not block: no event is read meanwhile.
// It may keep what it receives.
type Handler interface {
	// Dispatch receives an event. READY and RESUMED are reported as changes instead.
	Dispatch(Dispatch)
	// Changed takes a change of the state.
	Changed(Status)
}

// Handlers are several handlers, called one after the other.
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

// State is the state of the connection to the gateway.
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
	// Paused: the connection was lost or never made, its session cannot be
	// resumed, and only the reserve is left of the sessions that may begin in a
	// day. Status.Until says when the next one may begin.
	Paused
)

// States are all of them.
var States = []State{Off, Connecting, Connected, Disconnected, Ended, Paused}

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
	case Paused:
		return "paused"
	}
	return "unknown"
}

// Status is the state of the connection to the gateway, and since when.
type Status struct {
	State State
	Since time.Time
	// Resumed is whether a connection continues with the session of the last
	// one, so that no event was lost.
	Resumed bool
	// Resumable is whether the session of a lost connection can be resumed as
	// far as is known.
	Resumable bool
	// Reason says in words why events do not come, empty while they do.
	Reason string
	// Until is when a pause ends, the zero time in other states.
	Until time.Time
	// User is the bot's name, from the first READY on.
	User string
	// Ready is Discord's READY in a change that begins a session. It is nil in
	// other changes and in what Gateway.Status returns.
	Ready json.RawMessage
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

// Trouble returns why no events arrive although the bot should be connected, as text, or
// "" if nothing is wrong.
func (s Status) Trouble() string {
	switch s.State {
	case Disconnected:
		return "Discord's gateway is not connected: " + s.Reason
	case Ended:
		return "Discord ended the bot's session at the gateway for good: " + s.Reason
	case Paused:
		return "the connection to Discord's gateway is paused: " + s.Reason
	}
	return ""
}

// EndedError says why Discord wants no further connection.
type EndedError struct{ Reason string }

func (e *EndedError) Error() string { return e.Reason }

// Gateway is a bot at the gateway. Status and Stats may be called at any time.
type Gateway struct {
	config    Config
	addresses addresses
	token     atomic.Pointer[string]

	// Only Run and its callees use these.
	session  *session // to be resumed; nil if there is none
	resumes  resumption
	detour   bool // the session's own address did not work: use the general one
	failures int  // connections in a row that did not last

	outbox outbox

	mu     sync.Mutex
	status Status
	stats  Stats
	budget budget
	// resumable is session, for others.
	resumable *session
	// connection is the current one, or nil for none.
	connection *connection
}

// CheckPresence returns what is wrong with a status and an activity as in Config.
func CheckPresence(status, activity string) error {
	switch status {
	case "", "online", "idle", "dnd", "invisible":
	default:
		return fmt.Errorf("gateway: status %q is not one of online, idle, dnd, invisible", status)
	}
	if n := utf8.RuneCountInString(activity); n > maxActivityLength {
		return fmt.Errorf("gateway: an activity of %d characters, more than %d", n, maxActivityLength)
	}
	return nil
}

// New checks the configuration. It does not connect: see Run.
func New(c Config) (*Gateway, error) {
	c.Token = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(c.Token), "Bot "))
	if c.Token == "" || c.Discord == nil || c.Handler == nil {
		return nil, errors.New("gateway: Token, Discord and Handler are required")
	}
	if err := CheckPresence(c.Status, c.Activity); err != nil {
		return nil, err
	}
	c.Status = cmp.Or(c.Status, "online")
	addresses, err := addressesOf(cmp.Or(c.API, discord.DefaultBaseURL))
	if err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	now := time.Now()
	g := &Gateway{
		config: c, addresses: addresses, budget: newBudget(c.Counted, now), outbox: newOutbox(),
		status: Status{State: Off, Since: now, Reason: "not begun"},
	}
	g.token.Store(&c.Token)
	g.restore(c.Session)
	return g, nil
}

// SetToken makes later connections use another token of the same bot. The current
// connection stays open.
func (g *Gateway) SetToken(token string) {
	token = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(token), "Bot "))
	g.token.Store(&token)
}

// Status returns the state of the connection to the gateway.
func (g *Gateway) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.status
}

// change records a new state and notifies the handler.
func (g *Gateway) change(s Status) {
	g.mu.Lock()
	s.Since = time.Now()
	if s.User == "" {
		s.User = g.status.User
	}
	g.status = s
	g.status.Ready = nil // it is large
	g.mu.Unlock()
	g.config.Handler.Changed(s)
}

func (g *Gateway) setLatency(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status.Latency = d
}

// Times of a connection. Discord sends HELLO immediately, and READY within a
// second or two.
const (
	// dialTimeout bounds everything up to the end of the upgrade.
	dialTimeout  = 10 * time.Second
	helloTimeout = 10 * time.Second
	// readyTimeout is how long a connection may receive only heartbeats before READY or
	// RESUMED. A large READY may take longer, on a slow line.
	readyTimeout = 30 * time.Second
	// resumedTimeout is how long events must arrive before a connection counts as resumed
	// without RESUMED.
	resumedTimeout = 10 * time.Second
	writeTimeout   = 10 * time.Second
	// closeTimeout bounds a clean close.
	closeTimeout = 800 * time.Millisecond
)

// Waits between connections, as far as the budget does not ask for longer ones.
const (
	firstWait     = time.Second
	maxResumeWait = 30 * time.Second
	maxBeginWait  = 3 * time.Minute
	// settledAfter is how long a connection must last to count as a good one.
	settledAfter = 10 * time.Second
)

// Run keeps the bot at the gateway until ctx ends; it then closes the
// connection, within a second, and returns nil. It returns an *EndedError when
// Discord wants no further connection. It may be called again only after such an error.
func (g *Gateway) Run(ctx context.Context) error {
	for {
		end := g.connect(ctx)
		if ctx.Err() != nil {
			g.change(Status{State: Off, Reason: "shut down"})
			return nil
		}
		g.count(func(s *Stats) { s.Lost++ })
		if reason, ok := fatal(closeCodeOf(end.err), g.config.Intents); ok {
			g.config.Logger.ErrorContext(
				ctx,
				"Discord closed the gateway session permanently; calls continue without events",
				"reason",
				reason,
				"error",
				end.err,
			)
			g.change(Status{State: Ended, Reason: reason})
			return &EndedError{reason}
		}
		reason := g.conclude(end)
		wait := g.pause(end)
		g.config.Logger.WarnContext(
			ctx,
			"lost the connection to Discord's gateway; reconnecting",
			"error",
			end.err,
			"resumable",
			g.session != nil,
			"wait",
			wait.Round(time.Millisecond),
		)
		g.change(Status{State: Disconnected, Reason: reason, Resumable: g.session != nil})
		if discord.Sleep(ctx, wait) != nil {
			continue // connect returns immediately
		}
	}
}

// conclude decides what the end of a connection means for the session, and
// returns why the connection ended, in words.
func (g *Gateway) conclude(end ending) (reason string) {
	reason = reasonOf(end.err)
	lost := end.session
	switch {
	case g.session == nil:
		// It has not begun, or cannot be resumed.
	case endsSession(end.err):
		g.keep(nil)
	case end.resumes && g.resumes.ended(end.greeted, end.lasted > 0):
		reason = fmt.Sprintf("%s; the session was given up after %d attempts to resume it", reason, g.resumes.failed)
		g.keep(nil)
	default:
		lost = nil
		if end.lasted > 0 {
			g.detour = false
		} else if end.resumes && !end.greeted {
			g.detour = !g.detour // both ways are tried in turn
		}
	}
	if g.session == nil {
		g.resumes, g.detour = resumption{}, false
	}
	if lost != nil && lost.identified {
		g.spend(func(b *budget, now time.Time) { b.ended(lost.lived, now) })
	}
	return reason
}

// pause returns how long to wait before the next connection.
func (g *Gateway) pause(end ending) time.Duration {
	settled := end.lasted >= settledAfter
	switch {
	case settled:
		g.failures = 0
	case end.greeted:
		// Discord can be reached. Resuming is free, and of the sessions that
		// begin the budget takes care.
		g.failures = min(g.failures, 1)
	}
	if settled && errors.Is(end.err, errReconnect) && g.session != nil {
		return 0
	}
	g.failures++
	longest := maxBeginWait
	if g.session != nil {
		longest = maxResumeWait
	}
	wait := min(firstWait<<min(g.failures-1, 10), longest)
	wait = wait/2 + rand.N(wait/2)
	if errors.Is(end.err, errSessionInvalid) || errors.Is(end.err, errSessionRefused) {
		// Discord asks for a random time of one to five seconds.
		wait = max(wait, time.Second+rand.N(4*time.Second))
	}
	if g.session == nil {
		// A pause is for locate, which asks Discord for its count first.
		if at, paused := g.mayIdentify(); !paused {
			wait = max(wait, time.Until(at))
		}
	}
	return wait
}

// locate returns the address to connect to. It waits until a session may begin
// when there is none to resume.
func (g *Gateway) locate(ctx context.Context) (string, error) {
	if g.Status().State == Off {
		g.change(Status{State: Connecting, Reason: "the session is about to begin"})
	}
	if g.session != nil && g.session.url != "" && !g.detour {
		return g.session.url, nil
	}
	for {
		bot, err := g.config.Discord.GatewayBot(ctx)
		if err != nil {
			return "", unlocated(err)
		}
		g.spend(func(b *budget, now time.Time) { b.setStartLimit(bot.Total, bot.Remaining, bot.ResetAfter, now) })
		if g.session != nil {
			return bot.URL, nil
		}
		at, paused := g.mayIdentify()
		wait := time.Until(at)
		if wait <= 0 {
			return bot.URL, nil
		}
		if paused {
			reason := g.exhausted(at)
			g.config.Logger.ErrorContext(
				ctx,
				"no gateway sessions left; calls continue without events",
				"reason",
				reason,
				"wait",
				wait.Round(time.Second),
			)
			g.change(Status{State: Paused, Reason: reason, Until: at})
		}
		if err := discord.Sleep(ctx, wait); err != nil {
			return "", err
		}
	}
}

// exhausted says why the bot pauses.
func (g *Gateway) exhausted(until time.Time) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Sprintf(
		"%d of the bot's %d sessions of a day are left, which is the reserve; the next session may begin at %s. "+
			"Another program uses the same token, or sessions end early",
		g.budget.left(time.Now()),
		g.budget.size(),
		until.UTC().Format("2006-01-02 15:04:05 UTC"),
	)
}

// mayIdentify returns when the next session may begin.
func (g *Gateway) mayIdentify() (at time.Time, paused bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.budget.next(time.Now())
}

// spend changes the budget, and shows it in the stats.
func (g *Gateway) spend(change func(b *budget, now time.Time)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	change(&g.budget, now)
	g.stats.Total, g.stats.Left = g.budget.size(), g.budget.left(now)
}

// Counted returns what the Gateway has counted of its IDENTIFYs, for the Config
// of a later run. It may be called at any time.
func (g *Gateway) Counted() BudgetCount {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.budget.count(time.Now())
}
