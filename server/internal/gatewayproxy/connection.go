package gatewayproxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"discordproxy/discord/gateway/wire"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/refusals"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"github.com/coder/websocket"
)

// Times of a connection.
const (
	// writeTimeout limits how long a client may take for one payload.
	writeTimeout = time.Minute
	// closeGrace is how long closing may take before the connection is cut.
	closeGrace = 2 * time.Second
	sendWindow = time.Minute
)

// connection is one connection of a bot. The goroutine of its request reads; others
// send events and answers, see pump and queue.
type connection struct {
	proxy   *Proxy
	ws      *websocket.Conn
	request *http.Request
	version string
	queue   *queue

	// work ends when the connection begins to close, lives when it is over.
	work     context.Context
	stopWork context.CancelFunc
	lives    context.Context
	parts    sync.WaitGroup
	ending   sync.Once
	leaving  sync.Once     // for reconnect
	closed   chan struct{} // closed after the close was sent
	why      error         // set before work ends

	// session is nil before READY or RESUME, and after INVALID_SESSION. invalid is
	// whether the client may identify itself again because of that.
	session atomic.Pointer[session]
	invalid atomic.Bool

	// Only the reader uses these.
	zombie     *time.Timer
	windowEnds time.Time
	received   int
	known      bool // who the client is

	writing  sync.Mutex // guards what follows, and the order of payloads
	compress *wire.Compressor
	buffer   []byte
	sent     int
	left     bool // the client was asked to come back
}

// ServeHTTP implements http.Handler: it speaks the gateway's protocol with one
// client until either side ends it.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = r.WithContext(rpc.Named(r.Context(), w, r))
	network := refusals.Network(r.RemoteAddr)
	if status, refused := p.enter(network, fromSameMachine(r)); refused != "" {
		http.Error(w, refused, status)
		return
	}
	identified := sync.OnceFunc(func() { p.identified(network) })
	defer func() {
		identified()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.connections--
	}()
	// The listener has checked where the request comes from.
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // the client has its answer
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(-1) // readCommand has a limit of its own
	lives, endLife := context.WithCancel(context.WithoutCancel(r.Context()))
	defer endLife()
	c := &connection{
		proxy: p, ws: ws, request: r, lives: lives, closed: make(chan struct{}),
		compress: wire.NewStreamCompressor(r.URL.Query().Get("compress")),
	}
	c.work, c.stopWork = context.WithCancel(lives)
	c.queue = newQueue(func() { p.slow(c) })
	defer context.AfterFunc(p.life, func() { c.reconnect(&closeShutdown) })()
	c.zombie = time.AfterFunc(identifyTimeout, func() { c.end(&closeTimedOut) })
	defer c.zombie.Stop()
	c.parts.Go(func() { c.queue.run(c) })
	err = c.greet()
	if err == nil {
		err = c.converse(identified)
	}
	c.hangUp(err)
}

// enter counts a connection, or says why there cannot be one.
func (p *Proxy) enter(network string, local bool) (status int, refused string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.open:
		return http.StatusForbidden, "the gateway proxy is off: " +
			"start the server with --gateway-proxy and without --no-gateway, or on a loopback address"
	case p.connections >= maxConnections || p.unidentified >= maxUnidentified:
		return http.StatusServiceUnavailable, "too many connections to the gateway"
	case !local && p.strangers[network] >= maxStrangers:
		return http.StatusTooManyRequests, "too many connections to the gateway from your network that have not identified themselves"
	}
	p.connections++
	p.unidentified++
	p.strangers[network]++
	return 0, ""
}

// identified counts a connection as one that may stay, or that is over.
func (p *Proxy) identified(network string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unidentified--
	if p.strangers[network]--; p.strangers[network] == 0 {
		delete(p.strangers, network)
	}
}

// greet checks what the client asked for, and sends HELLO.
func (c *connection) greet() error {
	query := c.request.URL.Query()
	c.version = query.Get("v")
	switch {
	case query.Get("compress") != "" && c.compress == nil:
		return &closeCompression
	case c.version != "9" && c.version != "10":
		return &closeVersion
	case query.Get("encoding") != "json" && query.Get("encoding") != "":
		return &closeEncoding
	}
	hello := fmt.Appendf(nil, `{"heartbeat_interval":%d,"_trace":[]}`, c.proxy.config.HeartbeatInterval.Milliseconds())
	return c.send(wire.OpHello, hello)
}

// converse reads until the client has identified itself, and then until the end.
func (c *connection) converse(identified func()) error {
	for {
		in, err := c.read()
		if err != nil {
			return err
		}
	again:
		switch *in.Op {
		case wire.OpHeartbeat:
			err = c.heartbeat(in)
		case wire.OpIdentify:
			var hello identify
			if err = in.decode(&hello); err == nil {
				err = c.authenticate("IDENTIFY", hello.Token, identified, func(ctx context.Context) error { return c.identify(ctx, hello) })
			}
		case wire.OpResume:
			var back resume
			if err = in.decode(&back); err == nil {
				err = c.authenticate("RESUME", back.Token, identified, func(ctx context.Context) error { return c.resume(ctx, back) })
			}
		case wire.OpPresenceUpdate, wire.OpVoiceStateUpdate, wire.OpRequestMembers, wire.OpRequestSoundboard, wire.OpRequestChannelInfo:
			err = &closeNoIdentify
		default:
			err = &closeUnknownOp
		}
		if next, ok := errors.AsType[*againError](err); ok {
			in = next.command
			goto again
		}
		if err != nil {
			return err
		}
	}
}

// againError lets a client that got INVALID_SESSION identify again over the same connection.
type againError struct{ command command }

func (*againError) Error() string { return "the client sent a second Identify" }

// authenticate identifies the client by the token in a command, as the header
// Authorization would, and then serves it until the connection ends.
func (c *connection) authenticate(command, token string, identified func(), begin func(context.Context) error) (err error) {
	r := c.request.Clone(access.WithCommand(c.request.Context(), command))
	text := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(token), "Bot "))
	if text == "" {
		return &closeForeign
	}
	if other := c.proxy.config.OtherBot("Bot " + text); other != "" {
		// The token itself proves that the client may learn the bot's name.
		prefix := ""
		if access.PathPrefix(r.Context()) != "" {
			prefix = "/k/KEY" // the key itself is secret
		}
		err := connect.NewError(connect.CodeInvalidArgument,
			fmt.Errorf("the token is that of another bot: connect to %s/bots/%s%s", prefix, other, Path))
		c.report(r.Context(), "SubscribeEvents", err)
		return c.denied(err)
	}
	if !access.IsPlaceholder(text) {
		r.Header.Set("Authorization", "Bot "+text)
		if c.proxy.config.IsOwn("Bot " + text) {
			r.Header.Del("Authorization")
			r = r.WithContext(access.WithBotToken(r.Context()))
		}
	}
	serve := listener.Known(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		identified()
		// A key is gone from the header when it was one.
		if left, _ := access.KeyIn(r.Header.Get("Authorization")); left != "" && !access.IsKey(left) && !access.IsPlaceholder(left) {
			err = &closeForeign
			return
		}
		err = c.serve(r.Context(), begin)
	}))
	c.proxy.guard.Handler(serve, func(_ http.ResponseWriter, _ *http.Request, refused error) {
		if !access.IsQuiet(refused) {
			c.report(c.request.Context(), "SubscribeEvents", refused)
		}
		err = c.denied(refused)
	}).ServeHTTP(make(noResponse), r)
	return err
}

// noResponse takes the place of a response after the upgrade.
type noResponse http.Header

// Header implements http.ResponseWriter.
func (n noResponse) Header() http.Header { return http.Header(n) }

// WriteHeader implements http.ResponseWriter.
func (noResponse) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (noResponse) Write(p []byte) (int, error) { return len(p), nil }

// denied returns how a connection ends whose client may not have it.
func (c *connection) denied(err error) error {
	why := closing{code: wire.CloseAuthenticationFailed, reason: "Authentication failed: " + rpc.Text(err), forget: true}
	switch connect.CodeOf(err) {
	case connect.CodeResourceExhausted, connect.CodeDeadlineExceeded, connect.CodeUnavailable:
		why.code, why.reason, why.forget = wire.CloseUnknownError, rpc.Text(err), false
	}
	return &why
}

// report notifies the observers of a command of a client, whether it was allowed or not.
func (c *connection) report(ctx context.Context, method string, err error) {
	_, end := c.proxy.observers.Begin(ctx, &calls.Call{Method: method, Protocol: "gateway"})
	end(err)
}

// serve begins or resumes the session of a known client, and serves it until the connection ends.
func (c *connection) serve(ctx context.Context, begin func(context.Context) error) (err error) {
	if err := access.MayCall(ctx, "SubscribeEvents"); err != nil {
		c.report(ctx, "SubscribeEvents", err)
		return c.denied(err)
	}
	holding, cancel := context.WithTimeout(ctx, c.proxy.config.ConnectWait)
	err = access.From(ctx).Hold(holding)
	cancel()
	if err != nil {
		c.report(ctx, "SubscribeEvents", err)
		return c.denied(err)
	}
	call := &calls.Call{Method: "SubscribeEvents", Protocol: "gateway", Stream: true}
	ctx, end := c.proxy.observers.Begin(ctx, call)
	revoked := access.Revoked(ctx)
	defer context.AfterFunc(revoked, func() { c.end(c.denied(context.Cause(revoked))) })()
	defer func() {
		_, again := errors.AsType[*againError](err)
		if !again {
			c.hangUp(err)
		}
		c.writing.Lock()
		call.Sent, c.sent = c.sent, 0
		c.writing.Unlock()
		if again {
			end(nil)
		} else {
			end(c.outcome())
		}
	}()
	c.known = true
	c.zombie.Reset(c.patience())
	if err := begin(ctx); err != nil {
		return err
	}
	for {
		in, err := c.read()
		if err != nil {
			return err
		}
		if op := *in.Op; (op == wire.OpIdentify || op == wire.OpResume) && c.invalid.Swap(false) {
			return &againError{in}
		}
		if err := c.obey(ctx, in); err != nil {
			return err
		}
	}
}

// outcome returns the error of the call that a connection is: none when the client
// left or is to come back.
func (c *connection) outcome() error {
	why, ok := errors.AsType[*closing](c.why)
	switch {
	case !ok:
		return connect.NewError(connect.CodeCanceled, context.Canceled)
	case why.code == wire.CloseAuthenticationFailed:
		return connect.NewError(connect.CodePermissionDenied, why)
	case why.reason == closeSlow.reason, why.code == wire.CloseRateLimited:
		return connect.NewError(connect.CodeResourceExhausted, why)
	case why.reason == closeShutdown.reason:
		return connect.NewError(connect.CodeUnavailable, why)
	case why.code == wire.CloseUnknownError:
		return nil
	}
	return connect.NewError(connect.CodeInvalidArgument, why)
}

// current returns the session, or nil before READY or RESUME.
func (c *connection) current() *session { return c.session.Load() }

// patience is how long a client may send no heartbeat.
func (c *connection) patience() time.Duration { return 2 * c.proxy.config.HeartbeatInterval }

// hangUp ends the connection because of an error of reading, and waits until
// nothing of it continues. It may be called more than once.
func (c *connection) hangUp(err error) {
	c.end(err)
	<-c.closed
	c.parts.Wait()
	s := c.current()
	if s == nil {
		return
	}
	s.detach(c, c.proxy.life.Err() != nil)
	why, ok := errors.AsType[*closing](c.why)
	status := websocket.CloseStatus(c.why)
	if ok && why.forget || status == websocket.StatusNormalClosure || status == websocket.StatusGoingAway {
		c.proxy.mu.Lock()
		defer c.proxy.mu.Unlock()
		if !s.connected() {
			c.proxy.forget(s)
		}
	}
}

// end begins to close the connection, because of the first error that it is called
// with, and reports whether this is the first. It does not wait.
func (c *connection) end(err error) (first bool) {
	c.ending.Do(func() {
		first = true
		c.why = err
		c.stopWork()
		go func() {
			defer close(c.closed)
			why, ok := errors.AsType[*closing](err)
			if !ok { // the client left, or is gone
				_ = c.ws.CloseNow()
				return
			}
			cut := time.AfterFunc(closeGrace, func() { _ = c.ws.CloseNow() })
			defer cut.Stop()
			_ = c.ws.Close(why.code, why.text())
		}()
	})
	return first
}

// reconnect asks the client to come back and closes the connection.
func (c *connection) reconnect(why *closing) {
	c.leaving.Do(func() {
		go func() {
			c.writing.Lock()
			c.left = true // a client that is leaving ignores events
			_ = c.write(wire.OpReconnect, "", 0, nil)
			c.writing.Unlock()
			c.end(why)
		}()
		time.AfterFunc(closeGrace, func() { c.end(why) }) // when it takes nothing
	})
}

// slow closes a connection whose client reads too slowly.
func (p *Proxy) slow(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.end(&closeSlow) {
		p.stats.Slow++
	}
}

// command is a payload from a client.
type command struct {
	Op   *wire.Opcode    `json:"op"`
	Data json.RawMessage `json:"d"`
}

// decode reads the command's data.
func (in command) decode(into any) error {
	if len(in.Data) == 0 || string(in.Data) == "null" || json.Unmarshal(in.Data, into) != nil {
		return &closeDecode
	}
	return nil
}

// read returns the next command.
func (c *connection) read() (in command, err error) {
	_, r, err := c.ws.Reader(c.lives)
	if err != nil {
		return in, err
	}
	data, err := io.ReadAll(io.LimitReader(r, wire.MaxPayload+1))
	switch {
	case err != nil:
		return in, err
	case len(data) > wire.MaxPayload:
		return in, &closeTooLarge
	}
	if now := time.Now(); now.After(c.windowEnds) {
		c.windowEnds, c.received = now.Add(sendWindow), 0
	}
	if c.received++; c.received > wire.MaxSends {
		return in, &closeLimited
	}
	if json.Unmarshal(data, &in) != nil || in.Op == nil {
		return in, &closeDecode
	}
	return in, nil
}

func (c *connection) heartbeat(in command) error {
	var sequence *int64
	if len(in.Data) > 0 && json.Unmarshal(in.Data, &sequence) != nil {
		return &closeDecode
	}
	if c.known {
		c.zombie.Reset(c.patience())
	}
	return c.send(wire.OpHeartbeatACK, nil)
}

// send sends a payload that is not an event.
func (c *connection) send(op wire.Opcode, data json.RawMessage) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.write(op, "", 0, data)
}

// dispatch sends an event.
func (c *connection) dispatch(e event) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	s := c.current()
	if s == nil {
		return nil // it was for a session that is gone
	}
	if c.left {
		return &closeShutdown
	}
	sequence, unsaved, ok := s.number(c, e)
	if !ok {
		return &closeReplaced
	}
	if unsaved && !c.proxy.config.Flush() {
		return &closeShutdown
	}
	c.sent++
	return c.write(wire.OpDispatch, e.kind, sequence, e.data)
}

// write writes a payload. The lock writing must be held.
func (c *connection) write(op wire.Opcode, kind string, sequence int64, data json.RawMessage) error {
	c.buffer = wire.AppendPayload(c.buffer[:0], op, kind, sequence, data)
	payload, binary, err := c.compress.Compress(c.buffer)
	if err != nil {
		return err
	}
	message := websocket.MessageText
	if binary {
		message = websocket.MessageBinary
	}
	ctx, cancel := context.WithTimeout(c.lives, writeTimeout)
	defer cancel()
	if err = c.ws.Write(ctx, message, payload); errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.proxy.slow(c)
	}
	if cap(c.buffer) > 1<<20 {
		c.buffer = nil // a large guild comes seldom
	}
	return err
}
