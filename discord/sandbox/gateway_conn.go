package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"discordproxy/discord/gateway/wire"

	"github.com/coder/websocket"
)

// closeGrace is how long a connection that is being closed has to take what is
// on its way and to answer, before it is cut.
const closeGrace = time.Second

// gatewayConn is a connection of a client with the gateway. The goroutine of
// its request reads, another one writes.
type gatewayConn struct {
	s       *Sandbox
	id      int
	server  any // the *http.Server that it came through
	url     string
	address string
	cancel  context.CancelFunc
	done    chan struct{} // closed when both goroutines have ended
	wake    chan struct{} // holds a token when the writer has something to do
	ws      *websocket.Conn
	raw     net.Conn

	// All below by the sandbox's lock.
	version    int
	compress   *wire.Compressor // nil does not compress
	at         time.Time
	faults     GatewayFaults
	open       bool // the upgrade and the faults before HELLO are done; ws and raw are set
	queue      []frame
	waiting    int // bytes in queue
	ending     *closing
	session    *session
	sends      bucket
	heartbeats int
	patience   time.Duration // from one heartbeat to the next
	timeout    *time.Timer   // ends what has no patience left
}

// rawConn notes the connection that is taken over by a websocket, which can be
// cut without ceremony.
type rawConn struct {
	http.ResponseWriter
	conn net.Conn
}

func (h *rawConn) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// gatewayURL returns the address of this sandbox's gateway: at the host of the request,
// or the configured address.
func (s *Sandbox) gatewayURL(r *http.Request) string {
	if s.config.GatewayURL != "" {
		return s.config.GatewayURL
	}
	scheme := "ws"
	if r.TLS != nil || r.URL.Scheme == "https" {
		scheme = "wss"
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	return scheme + "://" + host + "/gateway"
}

// serveGateway speaks the gateway's protocol with one client until either side
// has enough.
func (s *Sandbox) serveGateway(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c := &gatewayConn{
		s: s, server: r.Context().Value(http.ServerContextKey), url: s.gatewayURL(r), address: r.RemoteAddr,
		cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	faults, ok := s.enter(c)
	if !ok {
		http.Error(w, "the sandbox has shut down", http.StatusServiceUnavailable)
		return
	}
	defer s.leave(c)
	switch faults.Refuse {
	case RefuseHang:
		<-ctx.Done()
		return
	case RefuseReset:
		reset(w)
	case RefuseStatus:
		http.Error(w, "no healthy upstream", http.StatusServiceUnavailable)
		return
	}
	upgrade := &rawConn{ResponseWriter: w}
	ws, err := websocket.Accept(upgrade, r, nil)
	if err != nil {
		return // the client has the error
	}
	ws.SetReadLimit(-1) // readCommand has a limit of its own
	c.ws, c.raw = ws, upgrade.conn
	defer func() { _ = c.raw.Close() }()
	if sleep(ctx, faults.HelloDelay) != nil {
		return
	}
	s.greet(c, r)
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write(ctx)
	}()
	left := c.read(ctx)
	s.hangUp(c, left)
	<-written
}

func (h *rawConn) Hijack() (conn net.Conn, rw *bufio.ReadWriter, err error) {
	conn, rw, err = http.NewResponseController(h.ResponseWriter).Hijack()
	h.conn = conn
	return conn, rw, err
}

// enter counts a connection, unless the sandbox was closed. It returns the
// faults that hold at its beginning; later they may be changed.
func (s *Sandbox) enter(c *gatewayConn) (faults GatewayFaults, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return faults, false
	}
	s.lastConn++
	c.id, c.at, c.faults = s.lastConn, s.clock(), s.gateway.faultsOfNext()
	s.conns = append(s.conns, c)
	return c.faults, true
}

// leave forgets a connection; its session can be resumed for a while.
func (s *Sandbox) leave(c *gatewayConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = slices.DeleteFunc(s.conns, func(o *gatewayConn) bool { return o == c })
	if c.timeout != nil {
		c.timeout.Stop()
	}
	c.unbind()
	close(c.done)
}

// greet says HELLO.
func (s *Sandbox) greet(c *gatewayConn, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.open = true
	if s.closed {
		c.end(closeGoingAway)
		return
	}
	q := r.URL.Query()
	c.version, _ = strconv.Atoi(q.Get("v"))
	if method := q.Get("compress"); method != "" {
		if c.compress = wire.NewStreamCompressor(method); c.compress == nil {
			c.end(closeCompression)
		}
	}
	switch {
	case c.version != 9 && c.version != 10:
		c.end(closeVersion)
	case q.Get("encoding") != "json" && q.Get("encoding") != "":
		c.end(closeEncoding)
	}
	if c.ending != nil {
		return
	}
	limits := s.gateway.limits
	for _, op := range c.faults.First {
		c.sendOp(op)
	}
	if !c.faults.NoHello {
		c.send(frame{op: opHello, data: mustJSON(map[string]any{
			"heartbeat_interval": limits.HeartbeatInterval.Milliseconds(), "_trace": trace(),
		})})
	}
	c.patience = limits.HeartbeatInterval * 3 / 2
	c.timeout = time.AfterFunc(c.patience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.end(closeTimedOut)
	})
}

// trace is what Discord adds for its own people.
func trace() []string { return []string{`["gateway-sandbox",{"micros":0.0}]`} }

// hangUp handles the end of reading: a client that closes with 1000 or 1001 gives up its session.
func (s *Sandbox) hangUp(c *gatewayConn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if why, ok := errors.AsType[closing](err); ok {
		c.end(why)
		return
	}
	if c.ending != nil {
		return // the writer closes, or has closed
	}
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway:
		if c.session != nil {
			s.gateway.forget(c.session)
		}
	}
	c.cancel()
}

// read takes commands until the connection ends, and says why it did.
func (c *gatewayConn) read(ctx context.Context) error {
	for {
		_, r, err := c.ws.Reader(ctx)
		if err != nil {
			return err
		}
		if err := c.s.obey(c, r); err != nil {
			return err
		}
	}
}

// obey carries out the next command.
func (s *Sandbox) obey(c *gatewayConn, r io.Reader) error {
	s.mu.Lock()
	most := s.gateway.limits.MaxPayload
	s.mu.Unlock()
	in, err := readCommand(r, most)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.ending != nil {
		return nil
	}
	l := s.gateway.limits
	if l.Sends > 0 && c.sends.take(&Limit{Kind: Fixed, Limit: l.Sends, Window: l.SendWindow}, s.clock()).retryAfter > 0 {
		return closeLimited
	}
	return s.command(c, in)
}

// write sends what is queued until the connection ends.
func (c *gatewayConn) write(ctx context.Context) {
	var buffer []byte
	for {
		f, why := c.next()
		switch {
		case f != nil:
			buffer = f.appendTo(buffer[:0])
			if err := c.put(ctx, buffer); err != nil {
				c.cancel()
				return
			}
		case why != nil:
			_ = c.ws.Close(websocket.StatusCode(why.code), why.reason)
			c.cancel()
			return
		default:
			select {
			case <-c.wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

// next returns the writer's next action: send a payload, or close.
func (c *gatewayConn) next() (*frame, *closing) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if len(c.queue) == 0 {
		c.queue = nil
		return nil, c.ending
	}
	f := c.queue[0]
	c.queue[0] = frame{}
	c.queue = c.queue[1:]
	c.waiting -= f.size()
	return &f, nil
}

// put writes one payload, compressed if the client asked for it.
func (c *gatewayConn) put(ctx context.Context, p []byte) error {
	c.s.mu.Lock()
	d, speed := c.compress, c.faults.BytesPerSecond
	c.s.mu.Unlock()
	p, binary, err := d.Compress(p)
	if err != nil {
		return err
	}
	kind := websocket.MessageText
	if binary {
		kind = websocket.MessageBinary
	}
	return c.trickle(ctx, kind, p, speed)
}

// trickle writes a payload at the speed of the line, in bytes per second, or 0 for
// any.
func (c *gatewayConn) trickle(ctx context.Context, kind websocket.MessageType, p []byte, speed int) error {
	if speed <= 0 {
		return c.ws.Write(ctx, kind, p)
	}
	w, err := c.ws.Writer(ctx, kind)
	if err != nil {
		return err
	}
	// The library sends parts of 4 KiB or more in one piece.
	for part := range slices.Chunk(p, 8<<10) {
		if err := sleep(ctx, time.Duration(len(part))*time.Second/time.Duration(speed)); err != nil {
			return err
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return w.Close()
}

// send queues a payload. A client that does not keep up is closed. The lock is
// held, as in all that follows.
func (c *gatewayConn) send(f frame) {
	if c.ending != nil {
		return
	}
	if len(c.queue) > 0 && c.waiting+f.size() > c.s.gateway.limits.MaxQueue {
		c.queue = nil
		c.end(closeSlow)
		return
	}
	c.queue = append(c.queue, f)
	c.waiting += f.size()
	c.poke()
}

// sendOp queues a payload that only has an opcode, as far as that makes sense.
func (c *gatewayConn) sendOp(op int) {
	f := frame{op: op}
	if op == opInvalidSession {
		f.data = json.RawMessage("false")
	}
	c.send(f)
}

func (c *gatewayConn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// end closes the connection after what is queued, or cuts it when the client
// does not take that.
func (c *gatewayConn) end(why closing) {
	if c.ending != nil {
		return
	}
	if !c.open {
		c.cancel()
		return
	}
	c.ending = &why
	if c.session != nil && why.endsSession() {
		c.s.gateway.forget(c.session)
	}
	c.unbind()
	if c.timeout != nil {
		c.timeout.Stop()
	}
	c.timeout = time.AfterFunc(closeGrace, func() { _ = c.raw.Close() })
	c.poke()
}

// drop cuts the connection as a broken network does.
func (c *gatewayConn) drop() {
	if c.open {
		if tcp, ok := c.raw.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.raw.Close()
	}
	c.cancel()
}

// unbind leaves the session to be resumed.
func (c *gatewayConn) unbind() {
	if c.session != nil && c.session.conn == c {
		c.session.conn, c.session.left = nil, c.s.clock()
	}
	c.session = nil
}

// Close ends all connections to the gateway, in good order, and waits until
// they have ended; there will be no new ones. The rest of the sandbox continues
// to answer.
func (s *Sandbox) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.await(func(c *gatewayConn) bool {
		c.end(closeGoingAway)
		return true
	})
}

// await waits until the connections that are wanted have ended.
func (s *Sandbox) await(want func(*gatewayConn) bool) {
	s.mu.Lock()
	var waiting []*gatewayConn
	for _, c := range s.conns {
		if want(c) {
			waiting = append(waiting, c)
		}
	}
	s.mu.Unlock()
	for _, c := range waiting {
		<-c.done
	}
}
