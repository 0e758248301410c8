// Package sandbox knows how Discord's REST API answers, and pretends to be it:
// an [http.Handler] with a small world behind it that tests can arrange,
// disturb and inspect.
package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultToken is the bot token that works when [Config] names none. As with
// Discord, it is sent as "Authorization: Bot sandbox-token".
const DefaultToken = "sandbox-token"

// Config says what a [Sandbox] starts as. The zero value is a sandbox with the
// default world and Discord's usual limits.
type Config struct {
	// Token of the default bot, without "Bot "; empty means DefaultToken.
	Token string

	// Empty leaves out the default world, but for the bot itself.
	Empty bool

	// GatewayURL is what GET /gateway answers; empty means Discord's own.
	GatewayURL string

	// Unlimited starts without rate limits and without their headers.
	Unlimited bool

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
		c.Token = DefaultToken
	}
	if c.GatewayURL == "" {
		c.GatewayURL = "wss://gateway.discord.gg"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Sandbox is a pretend Discord. All its methods may be called concurrently.
type Sandbox struct {
	config  Config
	tree    *tree
	latency atomic.Pointer[Latency]

	mu            sync.Mutex
	subscriptions []*subscription
	state
}

// state is everything that Reset throws away.
type state struct {
	advanced time.Duration
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

	nonces     map[nonceKey]nonceEntry
	nonceOrder []nonceKey
}

// New makes a sandbox.
func New(config Config) *Sandbox {
	s := &Sandbox{config: config.withDefaults(), tree: newTree(routes())}
	s.Reset()
	return s
}

// Reset brings back the state after New: the default world, no messages, the
// configured limits and latency, no faults, an empty log, the clock not
// advanced. Subscriptions stay.
func (s *Sandbox) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state{
		rng:      rand.New(rand.NewPCG(s.config.Seed, 0)),
		tokens:   map[string]ID{},
		users:    map[ID]*user{},
		guilds:   map[ID]*guild{},
		channels: map[ID]*channel{},
		dms:      map[[2]ID]ID{},
		stickers: map[ID]Sticker{},
		nonces:   map[nonceKey]nonceEntry{},
	}
	s.latency.Store(ptr(s.config.Latency))
	s.seed()
}

// now is the sandbox's time. The lock is held.
func (s *Sandbox) now() time.Time { return s.config.Now().Add(s.advanced) }

// Now returns the sandbox's time.
func (s *Sandbox) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
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
	now     time.Time
	version int
	route   *route
	params  []param
	user    *user  // nil when the route needs none
	token   string // the Authorization header

	body  []byte
	files map[string]*upload
	keys  map[string]json.RawMessage

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

// answer is what comes of a call.
type answer struct {
	status int
	header http.Header
	body   []byte
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
	a, err := s.serve(r.Context(), r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// serve takes a call the whole way, there and back.
func (s *Sandbox) serve(ctx context.Context, r *http.Request) (*answer, error) {
	latency := s.latency.Load()
	if err := s.delay(ctx, latency.Request); err != nil {
		return nil, err
	}
	c := &call{r: r}
	a := s.carryOut(c)
	if err := s.delay(ctx, latency.Response); err != nil {
		return nil, err
	}
	return a, nil
}

// carryOut is what happens at Discord.
func (s *Sandbox) carryOut(c *call) *answer {
	a := &answer{header: make(http.Header, 12)}
	a.header["Via"] = viaValue
	err := s.prepare(c)

	s.mu.Lock()
	defer s.mu.Unlock()
	c.now = s.now()
	a.header["Date"] = []string{c.now.UTC().Format(http.TimeFormat)}
	if err == nil {
		err = s.authorize(c)
	}
	var body any
	if err == nil {
		body, err = c.route.handle(s, c)
	}
	if err == nil {
		status := http.StatusNoContent
		if body != nil {
			status = max(c.route.status, http.StatusOK)
		}
		err = a.set(status, body)
	}
	if err != nil {
		s.fail(c, a, err)
	}
	return a
}

// fail answers with an error.
func (s *Sandbox) fail(c *call, a *answer, err error) {
	e, ok := errors.AsType[*apiError](err)
	if !ok {
		s.config.Logger.Error("sandbox: handler failed", "method", c.r.Method, "path", c.r.URL.Path, "error", err)
		e = errInternal
	}
	var body any = e
	if c.version == 6 && e.Errors != nil {
		body = legacyShape(e.Errors)
	}
	if err := a.set(e.Status, body); err != nil {
		s.config.Logger.Error("sandbox: encode error", "error", err)
	}
}

// prepare does what needs no lock: it names the route and reads the body.
func (s *Sandbox) prepare(c *call) error {
	v, path, err := version(c.r.URL.EscapedPath())
	if err != nil {
		return err
	}
	c.version = v
	if err := s.match(c, c.r.Method, path); err != nil {
		return err
	}
	return s.readBody(c)
}

// authorize finds out who calls.
func (s *Sandbox) authorize(c *call) error {
	c.token = c.r.Header.Get("Authorization")
	if id, ok := s.tokens[c.token]; ok {
		c.user = s.users[id]
		return nil
	}
	if c.route.open {
		return nil
	}
	return errUnauthorized
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

// drain reads a body that is of no interest.
func drain(r io.ReadCloser) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
	_ = r.Close()
}
