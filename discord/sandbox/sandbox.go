// Package sandbox implements a fake Discord: an [http.Handler] that serves Discord's
// REST API and gateway, with a small guild behind them that tests can set up, disturb and inspect.
package sandbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Config says what a [Sandbox] starts as. The zero value is a sandbox with the
// default world and Discord's usual limits.
type Config struct {
	// Token of the default bot, without "Bot ". Empty means one in the shape of
	// Discord's; see [World], and DefaultToken.
	Token string

	shortToken bool // DefaultToken works

	// Empty leaves out the default world, but for the bot itself.
	Empty bool

	// GatewayURL is the address that GET /gateway returns. Empty means this sandbox's
	// own, at the host of the request.
	GatewayURL string

	// Unlimited starts without rate limits and without their headers.
	Unlimited bool

	// Limits are set in addition to the default ones, or to none with
	// Unlimited. One replaces the default of its name.
	Limits []Limit

	// Latency is the simulated way to Discord and back.
	Latency Latency

	// Now is the clock; nil means time.Now. Delays always use real timers.
	Now func() time.Time

	// Seed makes jitter and the probabilities of faults repeatable.
	Seed uint64

	// UploadLimit is the size in bytes that a file may have; 0 means 20 MiB.
	UploadLimit int

	// Bounds of memory; the oldest is dropped. 0 means 10,000 for each.
	MaxMessages int // in each channel
	MaxCalls    int // in the log of calls
	MaxNonces   int
	MaxDMs      int // direct message channels

	// Logger gets bugs of the sandbox; nil discards them.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	orElse := func(n *int, def int) {
		if *n <= 0 {
			*n = def
		}
	}
	orElse(&c.MaxMessages, 10_000)
	orElse(&c.MaxCalls, 10_000)
	orElse(&c.MaxNonces, 10_000)
	orElse(&c.MaxDMs, 10_000)
	orElse(&c.UploadLimit, 20<<20)
	if c.Token == "" {
		c.Token, c.shortToken = shapedToken(base+1), true
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Sandbox is a fake Discord. All its methods are safe for concurrent use.
type Sandbox struct {
	config  Config
	tree    *tree
	control http.Handler
	latency atomic.Pointer[Latency]

	mu            sync.Mutex
	subscriptions []*subscription
	conns         []*gatewayConn // oldest first
	lastConn      int
	closed        bool // to connections to the gateway
	state
}

// state is everything that Reset throws away.
type state struct {
	advanced time.Duration
	shift    time.Duration
	lastID   ID
	rng      *rand.Rand
	world    World

	tokens   map[string]ID // by the whole Authorization header
	users    map[ID]*user
	guilds   map[ID]*guild
	channels map[ID]*channel
	dms      map[[2]ID]ID
	dmOrder  []ID
	stickers map[ID]Sticker
	webhooks map[ID]*webhook

	interactions     map[string]*webhook // by token
	interactionOrder []string
	commands         map[commandScope][]*Command

	commandPermissions []*commandPermissions
	invites            []*invite // oldest first

	oauth2

	nonces     map[nonceKey]nonceEntry
	nonceOrder []nonceKey

	limiter      limiter
	bans         map[string]Ban // by address; "" is everybody
	invalid      map[string]*invalidCount
	invalidLimit InvalidLimit

	faults    []*fault
	lastFault int

	gateway gateway

	record
}

// New makes a sandbox.
func New(config Config) *Sandbox {
	s := &Sandbox{config: config.withDefaults(), tree: newTree(routes())}
	s.control = s.controlHandler()
	s.Reset()
	return s
}

// Reset brings back the state after New: the default world, the
// configured limits and latency, no faults, an empty log, the clock not
// advanced. Subscriptions stay; connections to the gateway are closed.
func (s *Sandbox) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.end(closeReset)
	}
	s.clear()
	s.seed()
}

// clear leaves nothing in the world. The lock is held.
func (s *Sandbox) clear() {
	s.state = state{
		rng:      rand.New(rand.NewPCG(s.config.Seed, 0)),
		tokens:   map[string]ID{},
		users:    map[ID]*user{},
		guilds:   map[ID]*guild{},
		channels: map[ID]*channel{},
		dms:      map[[2]ID]ID{},
		stickers: map[ID]Sticker{},
		nonces:   map[nonceKey]nonceEntry{},
		webhooks: map[ID]*webhook{},

		interactions: map[string]*webhook{},
		commands:     map[commandScope][]*Command{},
		oauth2:       newOAuth2(),

		limiter: newLimiter(s.config.Unlimited, s.config.Limits...),
		bans:    map[string]Ban{},
		invalid: map[string]*invalidCount{},
		gateway: newGateway(),
		record:  newRecord(),
	}
	if !s.config.Unlimited {
		s.invalidLimit = DefaultInvalidLimit()
	}
	if start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); s.clock().Year() < 2015 {
		s.shift = start.Sub(s.clock())
	}
	s.latency.Store(ptr(s.config.Latency))
}

// clock is the sandbox's time, by which calls are counted. The lock is held.
func (s *Sandbox) clock() time.Time { return s.config.Now().Add(s.advanced) }

// now returns the time from which IDs are made. It differs from the clock only if the
// clock is before Discord's first snowflake, as it is in the bubbles of
// testing/synctest. The lock must be held.
func (s *Sandbox) now() time.Time { return s.clock().Add(s.shift) }

// Now returns the sandbox's time.
func (s *Sandbox) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock()
}

// Advance moves the sandbox's clock forward, by which limits refill, bans end
// and nonces are forgotten.
func (s *Sandbox) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advanced += d
}

// newID makes the next snowflake. The lock is held.
func (s *Sandbox) newID() ID {
	id := ID(max(s.now().UnixMilli()-epoch, 0)) << 22
	s.lastID = max(s.lastID+1, id)
	return s.lastID
}

// call is one request on its way through the sandbox.
type call struct {
	r       *http.Request
	at      time.Time // when it arrived, by the clock
	now     time.Time // the same, for IDs
	ip      string
	version int
	path    string // without the version
	route   *route // nil when there is none
	params  []param
	user    *user  // nil when the route needs none
	token   string // the Authorization header
	grant   *grant // of OAuth2, or nil of bots

	body  []byte // JSON, as far as known, or empty
	files map[string]*upload
	keys  map[string]json.RawMessage

	status       int // of a success with a body, when it is not the route's
	fault        string
	limited      LimitKind
	deduplicated bool // answered with the message that has the same nonce

	space [4]param
}

// id returns a parameter of the path.
func (c *call) id(name string) ID {
	for i := range c.params {
		if c.params[i].name == name {
			return c.params[i].id
		}
	}
	return 0
}

func (c *call) value(name string) string {
	for i := range c.params {
		if c.params[i].name == name {
			return c.params[i].value
		}
	}
	return ""
}

// answer is the result of a call.
type answer struct {
	status int
	header http.Header
	body   []byte
	fault  *fault // how it goes wrong on its way, if it does
}

var (
	viaValue  = []string{"1.1 google"}
	jsonValue = []string{"application/json"}
)

func (a *answer) set(status int, body any) error {
	a.status = status
	if body == nil {
		return nil
	}
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	a.body = b
	a.header["Content-Type"] = jsonValue
	return nil
}

// ServeHTTP answers as Discord below /api/, and as the sandbox itself below
// /sandbox/.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/sandbox/") {
		s.control.ServeHTTP(w, r)
		return
	}
	if r.URL.Path == "/gateway" || r.URL.Path == "/gateway/" {
		s.serveGateway(w, r)
		return
	}
	c, refused := s.receive(r)
	// What a client has sent arrives, even when the client does not wait.
	if sleep(context.WithoutCancel(r.Context()), s.draw(s.latency.Load().Request)) != nil {
		return
	}
	a := s.carryOut(c, refused)
	if err := s.deliver(r.Context(), a); err != nil {
		reset(w)
	}
	maps.Copy(w.Header(), a.header)
	body, length := a.stream(r.Context())
	if length >= 0 && a.status != http.StatusNoContent {
		w.Header()["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	}
	w.WriteHeader(a.status)
	if a.fault == nil {
		_, _ = w.Write(a.body)
		return
	}
	if _, err := io.Copy(flusher{w, http.NewResponseController(w)}, body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// flusher sends every piece of a body immediately.
type flusher struct {
	io.Writer
	*http.ResponseController
}

func (f flusher) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err == nil {
		_ = f.Flush() // a writer that cannot is a recorder in a test
	}
	return n, err
}

// reset ends the connection without an answer, by RST where that is possible.
func reset(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}

// errReset is the error of a caller whose connection was reset.
var errReset = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}

// deliver takes an answer the way back. An error means that none arrives.
func (s *Sandbox) deliver(ctx context.Context, a *answer) error {
	wait := s.draw(s.latency.Load().Response)
	if a.fault != nil {
		if a.fault.Kind == FaultHang && a.fault.Delay == 0 {
			<-ctx.Done()
			return ctx.Err()
		}
		wait += a.fault.Delay
	}
	if err := sleep(ctx, wait); err != nil {
		return err
	}
	if a.fault != nil && (a.fault.Kind == FaultReset || a.fault.Kind == FaultHang) {
		return errReset
	}
	return nil
}

// carryOut does what Discord does when a call arrives.
func (s *Sandbox) carryOut(c *call, refused error) *answer {
	a := &answer{header: make(http.Header, 8)}
	a.header["Via"] = viaValue

	s.mu.Lock()
	defer s.mu.Unlock()
	c.at, c.now = s.clock(), s.now()
	a.header["Date"] = []string{c.at.UTC().Format(http.TimeFormat)}
	if c.route == nil || s.globalCounts(c) {
		s.arrive(c.at)
	}
	if s.banned(c, a) {
		c.limited = LimitedCloudflare
	} else if err := s.answer(c, a, refused); err != nil {
		s.fail(c, a, err)
	}
	s.note(c, a)
	return a
}

// answer lets the call pass token, limits and faults, and carries it out.
func (s *Sandbox) answer(c *call, a *answer, refused error) error {
	if c.route == nil {
		return refused
	}
	if err := s.authorize(c); err != nil {
		return err
	}
	shown, limited := s.limit(c)
	if limited != nil && limited.limit != nil && limited.limit.Status != 0 {
		return refuse(limited.limit.Status, limited.limit.Code, limited.limit.Text)
	}
	if limited != nil {
		c.limited = limited.kind
		if limited.kind != LimitedGlobal {
			shown.show(a.header, c, http.StatusTooManyRequests)
		}
		return limited.answer(a, c)
	}
	shown.show(a.header, c, http.StatusOK)
	fault := s.befalls(c)
	if fault != nil && !fault.After {
		fault.apply(a)
		return nil
	}
	var body any
	err := refused
	if err == nil {
		body, err = c.route.handle(s, c)
	}
	if err == nil {
		status := http.StatusNoContent
		if body != nil {
			status = cmp.Or(c.status, c.route.status, http.StatusOK)
		}
		err = a.set(status, body)
	}
	if err != nil {
		s.fail(c, a, err)
	}
	if fault != nil {
		fault.apply(a)
	}
	return nil
}

// fail answers with an error.
func (s *Sandbox) fail(c *call, a *answer, err error) {
	e, ok := errors.AsType[*apiError](err)
	if !ok {
		s.config.Logger.Error("sandbox: handler failed", "method", c.r.Method, "path", c.r.URL.Path, "error", err)
		e = errInternal
	}
	var body any = e
	switch {
	case e.OAuth2 != "":
		body = oauth2Error{e.OAuth2, e.Description}
	case c.version < 8 && e.Errors != nil:
		body = legacyShape(e.Errors)
	}
	if err := a.set(e.Status, body); err != nil {
		s.config.Logger.Error("sandbox: encode error", "error", err)
	}
}

// receive does what needs no lock: it names the route and reads the body. The
// error is Discord's refusal of either.
func (s *Sandbox) receive(r *http.Request) (*call, error) {
	c := &call{r: r, token: s.canonical(r.Header.Get("Authorization")), ip: "in process"}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		c.ip = host
	}
	v, path, err := version(r.URL.EscapedPath())
	if err != nil {
		return c, err
	}
	c.version, c.path = v, "/"+path
	if err := s.match(c, r.Method, path); err != nil {
		return c, err
	}
	return c, s.readBody(c)
}

// authorize identifies the caller.
func (s *Sandbox) authorize(c *call) error {
	if id, ok := s.tokens[c.token]; ok {
		c.user = s.users[id]
		return nil
	}
	if c.route.open {
		return nil
	}
	given, err := s.bearer(c)
	if given == nil {
		return cmp.Or(err, error(errUnauthorized))
	}
	c.grant, c.user = given, s.users[given.user]
	return nil
}

// World returns the ids of the default world.
func (s *Sandbox) World() World {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.world
	w.Channels = slices.Clone(w.Channels)
	w.Users = slices.Clone(w.Users)
	return w
}
