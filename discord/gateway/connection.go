package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"discordproxy/discord/gateway/wire"

	"github.com/coder/websocket"
)

// session is the state that survives a connection.
type session struct {
	id, url  string
	sequence atomic.Int64 // the largest one of a dispatch

	identified bool      // an IDENTIFY was sent for it
	began      time.Time // zero before READY
	lived      time.Duration
}

// advance takes the number of a dispatch, and reports whether it is a new one.
// A number that goes backwards is not taken over: resuming from it would bring
// everything since then again, or be refused.
func (s *session) advance(sequence int64) bool {
	if sequence <= s.sequence.Load() {
		return false
	}
	s.sequence.Store(sequence)
	return true
}

// ending is how a connection ended.
type ending struct {
	err error
	// session is what the connection carried, or nil if it was never made.
	session *session
	// resumes is whether it was to resume the session.
	resumes bool
	// greeted is whether HELLO came.
	greeted bool
	// lasted is how long events had come, or 0 if none did.
	lasted time.Duration
}

// connection is one connection to the gateway.
type connection struct {
	gateway *Gateway
	ws      *websocket.Conn
	end     context.CancelCauseFunc
	parts   sync.WaitGroup
	// resumes is whether the session is resumed, else it begins.
	resumes bool
	session *session

	greeted bool          // only the reader uses it
	part    []byte        // the reader's buffer
	asked   chan struct{} // Discord wants a heartbeat now
	acked   atomic.Bool
	beat    atomic.Int64 // when the last heartbeat was sent, in Unix nanoseconds
	heard   atomic.Int64 // when the last byte came
	sends   sends        // only the goroutine that keeps the line alive uses it

	// mu is held while the handler is called.
	mu sync.Mutex
	// watchdog fires when the next step is overdue.
	watchdog *time.Timer
	awaits   step
	moved    time.Time // when something other than a heartbeat came
	inFrame  bool      // a large frame is on its way
	flowed   time.Time // when the first new event came without RESUMED
	ready    time.Time // zero before READY or RESUMED
	over     bool
}

// step is what a connection waits for.
type step int

const (
	stepHello step = iota
	stepReady
	stepNone
)

// connect carries the session over one connection, from its beginning to its
// end.
func (g *Gateway) connect(ctx context.Context) ending {
	lost := ending{session: g.session, resumes: g.session != nil}
	address, err := g.locate(ctx)
	if err == nil {
		address, err = g.addresses.dialable(address)
	}
	if err != nil {
		lost.err = err
		return lost
	}
	ws, closeIdle, err := g.dial(ctx, address)
	defer closeIdle()
	if err != nil {
		lost.err = err
		return lost
	}
	ws.SetReadLimit(maxFrameBytes)

	// The connection outlives ctx by the time that a clean close takes.
	lives, end := context.WithCancelCause(context.WithoutCancel(ctx))
	c := &connection{
		gateway: g, ws: ws, session: g.session, resumes: g.session != nil, end: end,
		asked: make(chan struct{}, 1), part: make([]byte, 32<<10),
	}
	if !c.resumes {
		c.session = new(session)
	}
	c.acked.Store(true)
	g.carry(c)
	defer g.carry(nil)
	c.watchdog = time.AfterFunc(helloTimeout, c.overdue)
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
	return c.ended(err)
}

func (c *connection) ended(err error) ending {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	e := ending{err: err, session: c.session, resumes: c.resumes, greeted: c.greeted}
	since := c.ready
	if since.IsZero() {
		since = c.flowed
	}
	if !since.IsZero() {
		now := time.Now()
		e.lasted = max(now.Sub(since), 1)
		if !c.session.began.IsZero() {
			c.session.lived = now.Sub(c.session.began)
		}
	}
	return e
}

// dial opens a websocket. closeIdle frees what is left of a refused attempt.
func (g *Gateway) dial(ctx context.Context, address string) (ws *websocket.Conn, closeIdle func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	header := make(http.Header)
	if g.config.UserAgent != "" {
		header.Set("User-Agent", g.config.UserAgent)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: g.config.Dial, TLSHandshakeTimeout: dialTimeout}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		// The address was checked, the one of the redirect was not.
		return &failure{reason: "Discord's gateway answered with a redirect, which is not followed"}
	}}
	options := &websocket.DialOptions{HTTPClient: client, HTTPHeader: header}
	ws, _, err = websocket.Dial(ctx, address, options) //nolint:bodyclose // the library closes it
	if err != nil {
		return nil, transport.CloseIdleConnections, unreachable(err)
	}
	return ws, transport.CloseIdleConnections, nil
}

// keepingClose is a code with which a client closes a connection without ending its
// session.
const keepingClose = websocket.StatusCode(4000)

// close says goodbye: with the code that ends the session, so that the bot shows as
// offline immediately, or with another one if it is to be resumed.
func (c *connection) close() {
	timer := time.AfterFunc(closeTimeout, func() { c.end(errShutDown) })
	defer timer.Stop()
	code := websocket.StatusNormalClosure
	if c.gateway.config.KeepSession {
		code = keepingClose
	}
	_ = c.ws.Close(code, "")
}

// overdue ends the connection when a step took too long. Discord may need long
// for READY, and a slow line for what READY or the events before RESUMED say, so
// as long as anything but heartbeats comes, the time begins again.
func (c *connection) overdue() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over, c.awaits == stepNone:
	case c.awaits == stepHello:
		c.end(errNoHello)
	case !c.flowed.IsZero():
		if c.inFrame {
			c.watchdog.Reset(time.Second)
			return
		}
		c.begun(Status{State: Connected, Resumed: true})
	default:
		if left := readyTimeout - time.Since(c.moved); left > 0 {
			c.watchdog.Reset(left)
			return
		}
		c.end(errNotReady)
	}
}

// read takes frames until the connection ends.
func (c *connection) read(ctx context.Context) error {
	for {
		f, err := c.frame(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		if err := c.handle(ctx, f); err != nil {
			return err
		}
	}
}

// smallFrame is what a frame without an event stays below. One that is larger
// is progress, even while it is on its way.
const smallFrame = 1 << 10

// frame reads the next frame, and notes each part of it as a sign of life.
func (c *connection) frame(ctx context.Context) (frame, error) {
	kind, r, err := c.ws.Reader(ctx)
	if err != nil {
		return frame{}, err
	}
	data := []byte(nil)
	defer c.progress(false)
	for {
		n, err := r.Read(c.part)
		c.heard.Store(time.Now().UnixNano())
		data = append(data, c.part[:n]...)
		if len(data) > smallFrame {
			c.progress(true)
		}
		if errors.Is(err, io.EOF) {
			return parseFrame(kind, data)
		}
		if err != nil {
			return frame{}, err
		}
	}
}

// progress notes that a large frame is on its way, or has come.
func (c *connection) progress(inFrame bool) {
	if !inFrame && !c.inFrame {
		return // only the reader writes it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved, c.inFrame = time.Now(), inFrame
}

func (c *connection) handle(ctx context.Context, f frame) error {
	switch f.Op {
	case wire.OpHello:
		return c.hello(ctx, f.Data)
	case wire.OpDispatch:
		c.dispatch(f)
	case wire.OpHeartbeat:
		select {
		case c.asked <- struct{}{}:
		default: // it is about to be sent
		}
	case wire.OpHeartbeatACK:
		c.acknowledge()
	case wire.OpReconnect:
		return errReconnect
	case wire.OpInvalidSession:
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
		return &failure{"Discord sent a HELLO that cannot be read", err}
	}
	interval := time.Duration(h.HeartbeatInterval * float64(time.Millisecond))
	if interval < time.Millisecond || interval > time.Hour {
		return &failure{reason: fmt.Sprintf("Discord sent a HELLO with a heartbeat interval of %s", interval)}
	}
	c.mu.Lock()
	c.greeted = true
	c.awaits, c.moved = stepReady, time.Now()
	c.watchdog.Reset(readyTimeout)
	c.mu.Unlock()
	op, command := wire.OpResume, any(resume{*c.gateway.token.Load(), c.session.id, c.session.sequence.Load()})
	if !c.resumes {
		c.session.identified = true
		c.gateway.spend((*budget).identified)
		if c.gateway.config.Spent != nil {
			c.gateway.config.Spent()
		}
		op, command = wire.OpIdentify, c.gateway.identify()
	}
	c.sends.sent(time.Now())
	c.parts.Go(func() { c.keepAlive(ctx, interval) })
	return c.send(ctx, op, command)
}

func (g *Gateway) identify() identify {
	i := identify{
		Token:      *g.token.Load(),
		Properties: identifyProperties{runtime.GOOS, "discordproxy", "discordproxy"},
		Compress:   true,
		Intents:    g.config.Intents,
	}
	if i.Presence = g.outbox.takePresence(); i.Presence == nil {
		shown := presence{Status: g.config.Status, Activities: []activity{}}
		if g.config.Activity != "" {
			shown.Activities = append(shown.Activities, activity{Name: "Custom Status", Type: customActivity, State: g.config.Activity})
		}
		i.Presence = shown
	}
	return i
}

func (c *connection) dispatch(f frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved = time.Now()
	switch f.Type {
	case "READY":
		c.welcomed(f)
	case "RESUMED":
		c.session.advance(f.Sequence)
		if c.ready.IsZero() {
			c.begun(Status{State: Connected, Resumed: true})
		}
	default:
		isNew := c.session.advance(f.Sequence)
		if isNew && c.resumes && c.ready.IsZero() && c.flowed.IsZero() {
			c.flowed = time.Now()
			c.watchdog.Reset(resumedTimeout)
		}
		c.gateway.config.Handler.Dispatch(Dispatch{f.Type, f.Data, time.Now(), f.Sequence})
	}
}

// welcomed takes READY: a session begins, also when another one was to be
// resumed.
func (c *connection) welcomed(f frame) {
	if c.awaits == stepNone && !c.resumes {
		return // it has begun
	}
	var r ready
	// A field that cannot be read is left empty: events arrive anyway.
	_ = json.Unmarshal(f.Data, &r)
	c.session.sequence.Store(f.Sequence)
	c.session.began, c.session.lived = time.Now(), 0
	c.session.id, c.session.url = r.SessionID, r.ResumeURL
	if r.ResumeURL != "" {
		if _, err := c.gateway.addresses.dialable(r.ResumeURL); err != nil {
			c.gateway.config.Logger.Warn("ignored Discord's address to resume the session", "reason", reasonOf(err))
			c.session.url = ""
		}
	}
	c.gateway.keep(nil)
	if r.SessionID != "" {
		c.gateway.keep(c.session)
	}
	c.resumes = false
	c.gateway.outbox.renew()
	c.begun(Status{State: Connected, User: r.User.Username, Ready: f.Data})
}

// begun notes that events come. mu is held.
func (c *connection) begun(s Status) {
	c.watchdog.Stop()
	c.awaits = stepNone
	c.ready = time.Now()
	c.gateway.count(func(stats *Stats) {
		if s.Resumed {
			stats.Resumed++
		} else {
			stats.Begun++
		}
	})
	c.gateway.change(s)
	c.gateway.outbox.poke()
	c.gateway.config.Logger.Info("connected to Discord's gateway", "username", c.gateway.Status().User, "resumed", s.Resumed)
}

// keepAlive sends until the connection ends: a heartbeat when Discord asks or the last
// one is an interval old, and what is in the outbox as the limit allows. It ends the
// connection when a heartbeat was not acknowledged within the interval and nothing else
// came either. While a large event comes over a slow line, acknowledgements queue behind it.
func (c *connection) keepAlive(ctx context.Context, interval time.Duration) {
	// Enough is left for the regular heartbeats of a minute.
	spare := min(int(sendWindow/interval)+2, wire.MaxSends/2)
	// The first is sent at a random time, so that clients that lost their connections at
	// the same time do not send theirs together.
	timer := time.NewTimer(rand.N(interval))
	defer timer.Stop()
	var later <-chan time.Time // when the limit allows more of the outbox
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.gateway.outbox.wake:
			wait, err := c.pass(ctx, spare)
			if err != nil {
				c.end(err)
				return
			}
			later = nil
			if wait > 0 {
				later = time.After(wait)
			}
			continue
		case <-later:
			c.gateway.outbox.poke()
			continue
		case <-c.asked:
			// If the limit leaves nothing for an answer, the answer is the next
			// regular heartbeat.
			if time.Until(c.sends.next(time.Now(), spare)) > 0 {
				continue
			}
		case <-timer.C:
			if !c.acked.Load() && c.heard.Load() <= c.beat.Load() {
				c.end(errNoACK)
				return
			}
			if wait := time.Until(c.sends.next(time.Now(), 0)); wait > 0 {
				timer.Reset(wait)
				continue
			}
		}
		timer.Reset(interval)
		if err := c.heartbeat(ctx); err != nil {
			c.end(err)
			return
		}
	}
}

// pass sends what is in the outbox, as far as the limit leaves spare for
// heartbeats. It returns how long to wait for more, or 0 when nothing is left.
func (c *connection) pass(ctx context.Context, spare int) (wait time.Duration, err error) {
	c.mu.Lock()
	ready := !c.ready.IsZero()
	c.mu.Unlock()
	if !ready {
		return 0, nil // begun wakes the outbox
	}
	for {
		out, ok := c.gateway.outbox.first()
		if !ok {
			return 0, nil
		}
		now := time.Now()
		if wait := c.sends.next(now, spare).Sub(now); wait > 0 {
			return wait, nil
		}
		c.sends.sent(now)
		if err := c.send(ctx, out.op, out.data); err != nil {
			return 0, err
		}
		c.gateway.outbox.sent(out)
	}
}

func (c *connection) heartbeat(ctx context.Context) error {
	now := time.Now()
	c.sends.sent(now)
	c.acked.Store(false)
	c.beat.Store(now.UnixNano())
	if n := c.session.sequence.Load(); n > 0 {
		return c.send(ctx, wire.OpHeartbeat, n)
	}
	return c.send(ctx, wire.OpHeartbeat, nil)
}

func (c *connection) acknowledge() {
	c.acked.Store(true)
	if sent := c.beat.Load(); sent > 0 {
		c.gateway.setLatency(time.Since(time.Unix(0, sent)))
	}
}

func (c *connection) send(ctx context.Context, op wire.Opcode, data any) error {
	frame, err := json.Marshal(command{op, data})
	if err != nil {
		return fmt.Errorf("encode a frame: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, frame); err != nil {
		return &failure{"nothing can be sent to Discord", err}
	}
	return nil
}
