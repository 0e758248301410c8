package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// Why a connection ended, beside what the network and the close code say.
var (
	errReconnect      = errors.New("Discord asked for another connection")                      //nolint:staticcheck // Discord is a name
	errSessionInvalid = errors.New("Discord does not know the session")                         //nolint:staticcheck // Discord is a name
	errSessionRefused = errors.New("Discord refused the session for now")                       //nolint:staticcheck // Discord is a name
	errNoHello        = errors.New("Discord did not say hello")                                 //nolint:staticcheck // Discord is a name
	errNotReady       = errors.New("Discord did not begin or resume the session")               //nolint:staticcheck // Discord is a name
	errNoACK          = errors.New("Discord did not acknowledge a heartbeat: the line is dead") //nolint:staticcheck // Discord is a name
	errShutDown       = errors.New("the connection was not closed by Discord within its time")
)

// reasonOf says in words why a connection ended.
func reasonOf(err error) string {
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		return fmt.Sprintf("Discord closed the connection with code %d %.100q", closed.Code, closed.Reason)
	}
	return err.Error()
}

func closeCodeOf(err error) closeCode { return websocket.CloseStatus(err) }

// session is what outlives a connection.
type session struct {
	id, url  string
	sequence atomic.Int64 // of the last dispatch
}

// connection is one connection to the gateway.
type connection struct {
	gateway *Gateway
	ws      *websocket.Conn
	// session is resumed, or begins.
	session *session
	resumes bool
	// watchdog ends the connection when its next step is overdue.
	watchdog *time.Timer
	overdue  atomic.Pointer[error]
	end      context.CancelCauseFunc
	parts    sync.WaitGroup

	greeted bool
	ready   time.Time                 // zero before READY or RESUMED
	beat    atomic.Pointer[time.Time] // when the last heartbeat was sent
	acked   atomic.Bool
}

// connect carries the session over one connection, from its beginning to its
// end, and returns why it ended and how long events had come, 0 if none did.
func (g *Gateway) connect(ctx context.Context) (lasted time.Duration, err error) {
	address, err := g.locate(ctx)
	if err != nil {
		return 0, err
	}
	if address, err = gatewayURL(address); err != nil {
		return 0, err
	}
	ws, err := g.dial(ctx, address)
	if err != nil {
		return 0, err
	}
	ws.SetReadLimit(maxFrameBytes)

	// The connection outlives ctx by the time that a clean close takes.
	lives, end := context.WithCancelCause(context.WithoutCancel(ctx))
	c := &connection{gateway: g, ws: ws, session: g.session, resumes: g.session != nil, end: end}
	if !c.resumes {
		c.session = new(session)
	}
	c.acked.Store(true)
	c.overdue.Store(&errNoHello)
	c.watchdog = time.AfterFunc(helloTimeout, func() { end(*c.overdue.Load()) })
	defer func() {
		c.watchdog.Stop()
		end(nil)
		_ = ws.CloseNow()
		c.parts.Wait()
	}()
	c.parts.Go(func() {
		select {
		case <-ctx.Done():
			c.close()
		case <-lives.Done():
		}
	})
	err = c.read(lives)
	if !c.ready.IsZero() {
		lasted = max(time.Since(c.ready), 1)
	}
	return lasted, err
}

func (g *Gateway) dial(ctx context.Context, address string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	header := make(http.Header)
	if g.config.UserAgent != "" {
		header.Set("User-Agent", g.config.UserAgent)
	}
	ws, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: g.client, HTTPHeader: header}) //nolint:bodyclose // the library closes it
	if err != nil {
		return nil, fmt.Errorf("connect to the gateway: %w", err)
	}
	return ws, nil
}

// close says goodbye, so that the bot shows as offline at once.
func (c *connection) close() {
	timer := time.AfterFunc(closeTimeout, func() { c.end(errShutDown) })
	defer timer.Stop()
	_ = c.ws.Close(websocket.StatusNormalClosure, "")
}

// read takes frames until the connection ends.
func (c *connection) read(ctx context.Context) error {
	for {
		kind, data, err := c.ws.Read(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		f, err := parseFrame(kind, data)
		if err != nil {
			return err
		}
		if err := c.handle(ctx, f); err != nil {
			return err
		}
	}
}

// expect gives Discord the time d for the next step.
func (c *connection) expect(d time.Duration, overdue *error) {
	c.overdue.Store(overdue)
	c.watchdog.Reset(d)
}

func (c *connection) handle(ctx context.Context, f frame) error {
	switch f.Op {
	case opHello:
		return c.hello(ctx, f.Data)
	case opDispatch:
		c.dispatch(ctx, f)
	case opHeartbeat:
		return c.heartbeat(ctx)
	case opHeartbeatACK:
		c.acknowledge()
	case opReconnect:
		return errReconnect
	case opInvalidSession:
		var resumable bool
		if json.Unmarshal(f.Data, &resumable) == nil && resumable {
			return errSessionRefused
		}
		return errSessionInvalid
	}
	return nil // what is not known needs no answer
}

// hello begins or resumes the session.
func (c *connection) hello(ctx context.Context, data json.RawMessage) error {
	if c.greeted {
		return nil
	}
	var h hello
	if err := json.Unmarshal(data, &h); err != nil {
		return fmt.Errorf("a HELLO that cannot be read: %w", err)
	}
	interval := time.Duration(h.HeartbeatInterval * float64(time.Millisecond))
	if interval < time.Millisecond || interval > time.Hour {
		return fmt.Errorf("a HELLO with a heartbeat interval of %s", interval)
	}
	c.greeted = true
	c.expect(readyTimeout, &errNotReady)
	c.parts.Go(func() { c.keepAlive(ctx, interval) })
	if c.resumes {
		return c.send(ctx, opResume, resume{c.gateway.config.Token, c.session.id, c.session.sequence.Load()})
	}
	c.gateway.identified = time.Now()
	c.gateway.count(func(s *Stats) { s.Left = max(s.Left-1, 0) })
	return c.send(ctx, opIdentify, c.gateway.identify())
}

func (g *Gateway) identify() identify {
	i := identify{
		Token:      g.config.Token,
		Properties: identifyProperties{runtime.GOOS, "discordproxy", "discordproxy"},
		Compress:   true,
		Intents:    g.config.Intents,
		Presence:   presence{Status: g.config.Status, Activities: []activity{}},
	}
	if g.config.Activity != "" {
		i.Presence.Activities = append(i.Presence.Activities, activity{Name: "Custom Status", Type: customActivity, State: g.config.Activity})
	}
	return i
}

func (c *connection) dispatch(ctx context.Context, f frame) {
	if f.Sequence > 0 {
		c.session.sequence.Store(f.Sequence)
	}
	switch f.Type {
	case "READY":
		var r ready
		// A field that cannot be read is left empty: events come all the same.
		_ = json.Unmarshal(f.Data, &r)
		if r.SessionID != "" {
			c.session.id, c.session.url = r.SessionID, r.ResumeURL
			c.gateway.session = c.session
		}
		c.gateway.count(func(s *Stats) { s.Begun++ })
		c.begun(ctx, Status{State: Connected, User: r.User.Username})
	case "RESUMED":
		c.gateway.count(func(s *Stats) { s.Resumed++ })
		c.begun(ctx, Status{State: Connected, Resumed: true})
	default:
		if c.ready.IsZero() {
			c.expect(readyTimeout, &errNotReady)
		}
		c.gateway.config.Handler.Dispatch(Dispatch{f.Type, f.Data, time.Now()})
	}
}

func (c *connection) begun(ctx context.Context, s Status) {
	c.watchdog.Stop()
	c.ready = time.Now()
	c.gateway.change(s)
	c.gateway.config.Logger.InfoContext(ctx, "connected to Discord's gateway", "bot", c.gateway.Status().User, "resumed", s.Resumed)
}

// keepAlive sends heartbeats until the connection ends, and ends it when one
// was not acknowledged before the next.
func (c *connection) keepAlive(ctx context.Context, interval time.Duration) {
	// The first is sent at a random time, so that clients that lost their
	// connections together do not come together.
	timer := time.NewTimer(rand.N(interval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if !c.acked.Swap(false) {
			c.end(errNoACK)
			return
		}
		if err := c.heartbeat(ctx); err != nil {
			c.end(err)
			return
		}
		timer.Reset(interval)
	}
}

func (c *connection) heartbeat(ctx context.Context) error {
	now := time.Now()
	c.beat.Store(&now)
	if n := c.session.sequence.Load(); n > 0 {
		return c.send(ctx, opHeartbeat, n)
	}
	return c.send(ctx, opHeartbeat, nil)
}

func (c *connection) acknowledge() {
	c.acked.Store(true)
	if sent := c.beat.Load(); sent != nil {
		c.gateway.setLatency(time.Since(*sent))
	}
}

func (c *connection) send(ctx context.Context, op opcode, data any) error {
	frame, err := json.Marshal(command{op, data})
	if err != nil {
		return fmt.Errorf("encode a frame: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, frame); err != nil {
		return fmt.Errorf("send to the gateway: %w", err)
	}
	return nil
}
