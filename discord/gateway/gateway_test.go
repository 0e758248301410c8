package gateway_test

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/gateway"
	"discordproxy/discord/gateway/wire"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is where a gateway stands: a listener whose other end each test plays
// by hand, in simulated time.
type place struct {
	t     *testing.T
	peers chan *peer
	dials chan net.Conn
	done  chan struct{}
	hung  sync.WaitGroup

	mu       sync.Mutex
	bot      discord.GatewayBot
	asked    int
	reported []string
	broken   bool   // nobody listens
	off      func() // called when Run is about to return
	// hangs are addresses that take connections and say nothing.
	hangs   map[string]bool
	dialled map[string]int
	instead http.Handler // answers instead of the websocket
}

func (p *place) Accept() (net.Conn, error) {
	select {
	case conn := <-p.dials:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *place) Close() error   { return nil }
func (p *place) Addr() net.Addr { return &net.IPAddr{} }

// hang lets addresses take connections and say nothing.
func (p *place) hang(addresses ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hangs = make(map[string]bool)
	for _, address := range addresses {
		p.hangs[address] = true
	}
}

func (p *place) dial(ctx context.Context, _, address string) (net.Conn, error) {
	p.mu.Lock()
	broken, hangs := p.broken, p.hangs[address]
	p.dialled[address]++
	p.mu.Unlock()
	if hangs {
		here, there := net.Pipe()
		p.hung.Go(func() {
			defer there.Close()
			_, _ = io.Copy(io.Discard, there)
		})
		return here, nil
	}
	if broken {
		return nil, errors.New("nobody listens")
	}
	here, there := net.Pipe()
	select {
	case p.dials <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *place) GatewayBot(context.Context) (discord.GatewayBot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return p.bot, nil
}

func (p *place) Dispatch(d gateway.Dispatch) { p.tell(d.Type + string(d.Data)) }

func (p *place) Changed(s gateway.Status) {
	what := s.State.String()
	if s.Resumed {
		what += " again"
	}
	if s.State == gateway.Disconnected && !s.Resumable {
		what += " for good"
	}
	p.tell(what)
	if s.State == gateway.Off && p.off != nil {
		p.off()
	}
}

func (p *place) tell(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reported = append(p.reported, what)
}

// heard returns what was reported since the last call.
func (p *place) heard() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	reported := strings.Join(p.reported, ", ")
	p.reported = nil
	return reported
}

func (p *place) wantHeard(want string) {
	p.t.Helper()
	if got := p.heard(); got != want {
		p.t.Errorf("reported %q, want %q", got, want)
	}
}

// peer is Discord's end of one connection.
type peer struct {
	t      *testing.T
	ctx    context.Context
	ws     *websocket.Conn
	url    string
	host   string
	frames chan frame
	silent atomic.Bool   // heartbeats are not acknowledged
	stuck  chan struct{} // when closed, nothing is read any more
	left   chan struct{}
	err    error // why the client left; valid when left is closed
}

type frame struct {
	Op   int             `json:"op"`
	Data json.RawMessage `json:"d"`
}

func (p *place) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	instead := p.instead
	p.mu.Unlock()
	if instead != nil {
		instead.ServeHTTP(w, r)
		return
	}
	ctx := context.WithoutCancel(r.Context()) // the request's ends when the connection is taken over
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		p.t.Error(err)
		return
	}
	defer func() { _ = ws.CloseNow() }()
	q := &peer{t: p.t, ctx: ctx, ws: ws, url: r.URL.String(), host: r.Host, frames: make(chan frame, 1000), stuck: make(chan struct{}), left: make(chan struct{})}
	select {
	case p.peers <- q:
	case <-p.done: // the test wants no further one
		return
	}
	defer close(q.left)
	defer close(q.frames)
	for {
		_, data, err := ws.Read(ctx)
		if err != nil {
			q.err = err
			return
		}
		var f frame
		if err := json.Unmarshal(data, &f); err != nil {
			p.t.Error(err)
		}
		if f.Op == 1 && !q.silent.Load() {
			q.send(11, "null")
		}
		q.frames <- f
		select {
		case <-q.stuck:
			<-p.done
			return
		default:
		}
	}
}

func (q *peer) send(op int, data string) {
	q.write(websocket.MessageText, fmt.Appendf(nil, `{"op":%d,"d":%s,"s":null,"t":null}`, op, data))
}

func (q *peer) write(kind websocket.MessageType, data []byte) {
	_ = q.ws.Write(q.ctx, kind, data)
}

func (q *peer) dispatch(sequence int, name, data string) {
	q.write(websocket.MessageText, fmt.Appendf(nil, `{"op":0,"d":%s,"s":%d,"t":%q}`, data, sequence, name))
}

// want returns the data of the next frame that is no heartbeat.
func (q *peer) want(op int) string {
	q.t.Helper()
	for f := range q.frames {
		if f.Op == op {
			return string(f.Data)
		}
		if f.Op != 1 {
			q.t.Fatalf("sent op %d, want %d", f.Op, op)
		}
	}
	q.t.Fatalf("the connection ended before op %d", op)
	return ""
}

const ready = `{"session_id":"s1","resume_gateway_url":"ws://discord.test:2","user":{"username":"bot"}}`

// welcome lets a new session begin.
func (q *peer) welcome() {
	q.t.Helper()
	q.send(10, `{"heartbeat_interval":41250}`)
	q.want(2)
	q.dispatch(1, "READY", ready)
}

// resumes lets the session continue.
func (q *peer) resumes(sequence int) {
	q.t.Helper()
	q.send(10, `{"heartbeat_interval":41250}`)
	if got, want := q.want(6), fmt.Sprintf(`{"token":"secret","session_id":"s1","seq":%d}`, sequence); got != want {
		q.t.Errorf("resumed with %s, want %s", got, want)
	}
	q.dispatch(sequence+1, "RESUMED", "{}")
}

// play runs a gateway against what the test does, and returns what Run
// returned. Without an end of Run before, its context ends after act.
func play(t *testing.T, c gateway.Config, act func(p *place, g *gateway.Gateway)) error {
	t.Helper()
	return playBot(t, c, discord.GatewayBot{Total: 1000, Remaining: 1000}, act)
}

// playBot is play with Discord's first answer about the gateway.
func playBot(t *testing.T, c gateway.Config, bot discord.GatewayBot, act func(p *place, g *gateway.Gateway)) error {
	t.Helper()
	bot.URL = cmp.Or(bot.URL, "ws://discord.test:1")
	var err error
	synctest.Test(t, func(t *testing.T) {
		p := &place{
			t: t, peers: make(chan *peer), dials: make(chan net.Conn), done: make(chan struct{}),
			bot: bot, dialled: make(map[string]int),
		}
		var serving, running sync.WaitGroup
		server := &http.Server{Handler: p}
		serving.Go(func() { _ = server.Serve(p) })
		c.Token, c.API, c.Discord, c.Handler, c.Dial, c.Logger = "Bot secret", "http://discord.test/api", p, p, p.dial, slog.New(slog.DiscardHandler)
		g, newErr := gateway.New(c)
		if newErr != nil {
			t.Fatal(newErr)
		}
		ctx, cancel := context.WithCancel(t.Context())
		running.Go(func() { err = g.Run(ctx) })
		act(p, g)
		cancel()
		running.Wait()
		close(p.done)
		_ = server.Close()
		serving.Wait()
		p.hung.Wait()
	})
	return err
}

func TestSession(t *testing.T) {
	err := play(t, gateway.Config{Intents: gateway.IntentGuilds | gateway.IntentGuildMessages, Status: "idle", Activity: "selling"}, func(p *place, g *gateway.Gateway) {
		q := <-p.peers
		if q.url != "/?encoding=json&v=10" {
			t.Errorf("connected to %s", q.url)
		}
		q.send(10, `{"heartbeat_interval":41250}`)
		want := `"intents":513,"presence":{"since":null,"activities":[{"name":"Custom Status","type":4,"state":"selling"}],"status":"idle","afk":false}}`
		if got := q.want(2); !strings.HasPrefix(got, `{"token":"secret"`) || !strings.HasSuffix(got, want) {
			t.Errorf("identified with %s", got)
		}
		q.dispatch(1, "READY", ready)
		q.dispatch(2, "MESSAGE_CREATE", `{"id":"7"}`)
		// A large frame comes compressed.
		var packed bytes.Buffer
		z := zlib.NewWriter(&packed)
		_, _ = z.Write([]byte(`{"op":0,"d":{"id":"8"},"s":3,"t":"MESSAGE_CREATE"}`))
		_ = z.Close()
		q.write(websocket.MessageBinary, packed.Bytes())
		p.wantHeard(`connecting, connected, MESSAGE_CREATE{"id":"7"}, MESSAGE_CREATE{"id":"8"}`)
		// Heartbeats come once in an interval and carry the last number.
		time.Sleep(10 * 41250 * time.Millisecond)
		synctest.Wait()
		if n := len(q.frames); n != 10 {
			t.Errorf("%d heartbeats in ten intervals", n)
		}
		if f := <-q.frames; string(f.Data) != "3" {
			t.Errorf("a heartbeat with %s", f.Data)
		}
		// One that is asked for is sent immediately.
		for len(q.frames) > 0 {
			<-q.frames
		}
		q.send(1, "null")
		if f := <-q.frames; f.Op != 1 {
			t.Errorf("sent op %d", f.Op)
		}
		if s := g.Status(); s.State != gateway.Connected || s.User != "bot" || s.String() != "connected" {
			t.Errorf("the state is %+v", s)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPresence: the last presence is that of the session, whenever it was set. Other
// commands are for the session in which they were sent.
func TestPresence(t *testing.T) {
	_ = play(t, gateway.Config{Status: "idle"}, func(p *place, g *gateway.Gateway) {
		set := func(status string) {
			t.Helper()
			if err := g.Send(wire.OpPresenceUpdate, json.RawMessage(`{"status":"`+status+`"}`)); err != nil {
				t.Fatal(err)
			}
		}
		q := <-p.peers
		sent := func(want string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for len(q.frames) > 0 {
				f := <-q.frames
				var identify struct{ Presence struct{ Status string } }
				if _ = json.Unmarshal(f.Data, &identify); f.Op == 2 {
					got = append(got, "IDENTIFY "+identify.Presence.Status)
				} else if f.Op == 3 || f.Op == 8 {
					got = append(got, string(f.Data))
				}
			}
			if got := strings.Join(got, ", "); got != want {
				t.Errorf("sent %s, want %s", got, want)
			}
		}
		q.greet()
		sent("IDENTIFY idle")
		set("invisible")
		set("dnd")
		if err := g.Send(wire.OpRequestMembers, json.RawMessage(`{"guild_id":"1"}`)); err != nil {
			t.Fatal(err)
		}
		sent("")
		q.dispatch(1, "READY", ready)
		sent(`{"status":"dnd"}`)
		set("online")
		sent(`{"status":"online"}`)

		q.send(9, "false")
		q = <-p.peers
		set("away")
		q.greet()
		sent("IDENTIFY away")
		q.dispatch(1, "READY", ready)
		sent("")
	})
}

// TestGoodbye: the connection is closed with the code that ends the session,
// and within a second also when Discord does not answer.
func TestGoodbye(t *testing.T) {
	for _, answers := range []bool{true, false} {
		var q *peer
		var began time.Time
		var took time.Duration
		err := play(t, gateway.Config{}, func(p *place, _ *gateway.Gateway) {
			q = <-p.peers
			q.welcome()
			p.heard()
			if !answers {
				close(q.stuck)
				q.send(1, "null") // upon whose answer the peer is stuck
				synctest.Wait()
			}
			began = time.Now()
			p.reported = nil
			p.off = func() { took = time.Since(began) }
		})
		if err != nil {
			t.Error(err)
		}
		if answers && websocket.CloseStatus(q.err) != websocket.StatusNormalClosure {
			t.Errorf("the connection ended with %v", q.err)
		}
		if took > time.Second || !answers && took == 0 {
			t.Errorf("answered %t: closing took %s", answers, took)
		}
	}
}

func TestResume(t *testing.T) {
	for _, tt := range []struct {
		name  string
		leave func(q *peer)
	}{
		{"the connection breaks", func(q *peer) { _ = q.ws.CloseNow() }},
		{"Discord closes", func(q *peer) { _ = q.ws.Close(4000, "unknown error") }},
		{"Discord restarts", func(q *peer) { _ = q.ws.Close(1012, "") }},
		{"Discord asks for another connection", func(q *peer) { q.send(7, "null") }},
		{"the session may be resumed", func(q *peer) { q.send(9, "true") }},
		{"nonsense", func(q *peer) { q.write(websocket.MessageText, []byte("{")) }},
		{"compressed nonsense", func(q *peer) { q.write(websocket.MessageBinary, []byte("{")) }},
		{"no heartbeat is acknowledged", func(q *peer) {
			q.silent.Store(true)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_ = play(t, gateway.Config{}, func(p *place, _ *gateway.Gateway) {
				q := <-p.peers
				q.welcome()
				q.dispatch(7, "A", "1")
				p.wantHeard("connecting, connected, A1")
				tt.leave(q)
				q = <-p.peers
				p.wantHeard("disconnected")
				q.send(10, `{"heartbeat_interval":41250}`)
				q.want(6)
				q.dispatch(8, "B", "2")
				q.dispatch(9, "RESUMED", "{}")
				q.dispatch(10, "C", "3")
				p.wantHeard("B2, connected again, C3")
				if p.asked != 1 {
					t.Errorf("the address was asked for %d times", p.asked)
				}
				// The session continues over a third connection.
				_ = q.ws.CloseNow()
				(<-p.peers).resumes(10)
				p.wantHeard("disconnected, connected again")
			})
		})
	}
}

// TestNewSession: if a session cannot be resumed, a new one begins at least five seconds
// after the last one began.
func TestNewSession(t *testing.T) {
	for _, tt := range []struct {
		name  string
		leave func(p *place, q *peer)
		heard string
	}{
		{"invalid session", func(_ *place, q *peer) { q.send(9, "false") }, "disconnected for good"},
		{"session timed out", func(_ *place, q *peer) { _ = q.ws.Close(4009, "") }, "disconnected for good"},
		{"invalid sequence", func(_ *place, q *peer) { _ = q.ws.Close(4007, "") }, "disconnected for good"},
		{"invalid session after a break", func(p *place, q *peer) {
			_ = q.ws.CloseNow()
			q = <-p.peers
			q.send(10, `{"heartbeat_interval":41250}`)
			q.want(6)
			q.send(9, "false")
		}, "disconnected, disconnected for good"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_ = play(t, gateway.Config{}, func(p *place, _ *gateway.Gateway) {
				q := <-p.peers
				q.welcome()
				began := time.Now()
				p.heard()
				tt.leave(p, q)
				q = <-p.peers
				if took := time.Since(began); took < 5*time.Second || took > 15*time.Second {
					t.Errorf("a new session after %s", took)
				}
				q.welcome()
				p.wantHeard(tt.heard + ", connected")
				if p.asked != 2 {
					t.Errorf("the address was asked for %d times", p.asked)
				}
			})
		})
	}
}

// TestOddBeginnings: after each of them, the gateway begins the next session.
func TestOddBeginnings(t *testing.T) {
	for _, tt := range []struct {
		name  string
		begin func(q *peer)
		ends  bool // the connection
	}{
		{"RECONNECT first", func(q *peer) { q.send(7, "null") }, true},
		{"RECONNECT before READY", func(q *peer) { q.send(10, `{"heartbeat_interval":41250}`); q.want(2); q.send(7, "null") }, true},
		{"INVALID_SESSION for an identify", func(q *peer) { q.send(10, `{"heartbeat_interval":41250}`); q.want(2); q.send(9, "false") }, true},
		{"no HELLO", func(*peer) {}, true},
		{"no READY", func(q *peer) { q.send(10, `{"heartbeat_interval":41250}`) }, true},
		{"closed immediately", func(q *peer) { _ = q.ws.CloseNow() }, true},
		{"a HELLO without an interval", func(q *peer) { q.send(10, `{}`) }, true},
		{"a HELLO of another form", func(q *peer) { q.send(10, `[]`) }, true},
		{"an ACK first", func(q *peer) { q.send(11, "null"); q.welcome() }, false},
		{"an unknown op first", func(q *peer) { q.send(99, `{"x":1}`); q.welcome() }, false},
		{"an ACK before READY", func(q *peer) {
			q.send(10, `{"heartbeat_interval":41250}`)
			q.want(2)
			q.send(11, "null")
			q.dispatch(1, "READY", ready)
		}, false},
		{"two HELLOs", func(q *peer) { q.welcome(); q.send(10, `{"heartbeat_interval":1}`) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_ = play(t, gateway.Config{}, func(p *place, _ *gateway.Gateway) {
				tt.begin(<-p.peers)
				if !tt.ends {
					p.wantHeard("connecting, connected")
					return
				}
				(<-p.peers).welcome()
				p.wantHeard("connecting, disconnected for good, connected")
			})
		})
	}
}

// TestFatal: after a permanent close code, the gateway does not connect again.
func TestFatal(t *testing.T) {
	for code, want := range map[int]string{
		4004: "token",
		4010: "shard",
		4011: "more guilds",
		4012: "version 10",
		4013: "GUILDS,GUILD_MEMBERS",
		4014: `GUILD_MEMBERS ("Server Members Intent")`,
	} {
		for _, early := range []bool{true, false} {
			t.Run(fmt.Sprint(code, early), func(t *testing.T) {
				err := play(t, gateway.Config{Intents: gateway.IntentGuilds | gateway.IntentGuildMembers}, func(p *place, g *gateway.Gateway) {
					q := <-p.peers
					if early {
						q.send(10, `{"heartbeat_interval":41250}`)
						q.want(2)
					} else {
						q.welcome()
					}
					_ = q.ws.Close(websocket.StatusCode(code), "no")
					time.Sleep(time.Hour)
					select {
					case <-p.peers:
						t.Error("it came back")
					default:
					}
					if s := g.Status(); s.State != gateway.Ended || !strings.Contains(s.Reason, want) {
						t.Errorf("the state is %s", s)
					}
				})
				if ended, ok := errors.AsType[*gateway.EndedError](err); !ok || !strings.Contains(ended.Reason, want) {
					t.Errorf("Run returned %v", err)
				}
			})
		}
	}
}

// TestFewSessions: the gateway rarely connects if Discord accepts no connection, and
// never if no sessions are left.
func TestFewSessions(t *testing.T) {
	_ = play(t, gateway.Config{}, func(p *place, _ *gateway.Gateway) {
		n := 0
		for began := time.Now(); time.Since(began) < 24*time.Hour; n++ {
			q := <-p.peers
			q.send(10, `{"heartbeat_interval":41250}`)
			q.want(2)
			_ = q.ws.CloseNow()
		}
		if n < 200 || n > 800 {
			t.Errorf("%d sessions were begun in a day", n)
		}
	})
	_ = play(t, gateway.Config{}, func(p *place, g *gateway.Gateway) {
		q := <-p.peers
		q.welcome()
		p.mu.Lock()
		p.bot.Remaining, p.bot.ResetAfter = 0, 3*time.Hour
		p.mu.Unlock()
		began := time.Now()
		q.send(9, "false")
		time.Sleep(time.Minute)
		if s := g.Status(); s.State != gateway.Paused || !strings.Contains(s.Reason, "0 of the bot's 1000 sessions of a day are left, which is the reserve") {
			t.Errorf("the state is %s", s)
		}
		time.Sleep(2 * time.Hour)
		p.mu.Lock()
		p.bot.Remaining = 1000
		p.mu.Unlock()
		(<-p.peers).welcome()
		if took := time.Since(began); took < 3*time.Hour {
			t.Errorf("a session began after %s", took)
		}
	})
}

// TestOutage: while nobody listens the session is kept, and its address is
// given up for the general one.
func TestOutage(t *testing.T) {
	_ = play(t, gateway.Config{}, func(p *place, _ *gateway.Gateway) {
		q := <-p.peers
		q.welcome()
		synctest.Wait()
		p.mu.Lock()
		p.broken = true
		p.mu.Unlock()
		_ = q.ws.CloseNow()
		time.Sleep(5 * time.Minute)
		p.mu.Lock()
		p.broken = false
		p.mu.Unlock()
		(<-p.peers).resumes(1)
		if p.asked < 2 {
			t.Error("the general address was not asked for")
		}
	})
}

// TestStats counts connections and sessions.
func TestStats(t *testing.T) {
	_ = playBot(t, gateway.Config{}, discord.GatewayBot{Total: 1000, Remaining: 700}, func(p *place, g *gateway.Gateway) {
		want := func(want gateway.Stats) {
			t.Helper()
			synctest.Wait()
			if got := g.Stats(); got != want {
				t.Errorf("counted are %+v, want %+v", got, want)
			}
		}
		q := <-p.peers
		want(gateway.Stats{Total: 1000, Left: 700})
		q.welcome()
		want(gateway.Stats{Begun: 1, Total: 1000, Left: 699})
		_ = q.ws.CloseNow()
		q = <-p.peers
		want(gateway.Stats{Begun: 1, Lost: 1, Total: 1000, Left: 699})
		if s := g.Status(); !strings.HasPrefix(s.Trouble(), "Discord's gateway is not connected: ") {
			t.Errorf("the trouble is %q", s.Trouble())
		}
		q.resumes(1)
		want(gateway.Stats{Begun: 1, Resumed: 1, Lost: 1, Total: 1000, Left: 699})
		if s := g.Status(); s.Trouble() != "" {
			t.Errorf("the trouble is %q", s.Trouble())
		}
	})
}

// TestRestless: a session that can be resumed is, within seconds, however often
// its connections are lost.
func TestRestless(t *testing.T) {
	_ = play(t, gateway.Config{}, func(p *place, _ *gateway.Gateway) {
		q := <-p.peers
		q.welcome()
		for i := range 50 {
			p.heard()
			_ = q.ws.CloseNow()
			lost := time.Now()
			q = <-p.peers
			if took := time.Since(lost); took > 3*time.Second {
				t.Fatalf("connection %d came after %s", i, took)
			}
			q.resumes(i + 1)
		}
	})
}

// TestStopped: the end of the context ends Run at any point.
func TestStopped(t *testing.T) {
	for _, act := range []func(p *place){
		func(*place) {},
		func(p *place) { <-p.peers },
		func(p *place) { (<-p.peers).send(10, `{"heartbeat_interval":41250}`) },
		func(p *place) { q := <-p.peers; q.welcome(); q.send(9, "false"); time.Sleep(500 * time.Millisecond) },
	} {
		if err := play(t, gateway.Config{}, func(p *place, _ *gateway.Gateway) { act(p) }); err != nil {
			t.Error(err)
		}
	}
}

func TestConfig(t *testing.T) {
	p := new(place)
	for _, c := range []gateway.Config{
		{Discord: p, Handler: p},
		{Token: "t", Handler: p},
		{Token: "t", Discord: p},
		{Token: "t", Discord: p, Handler: p, Status: "away"},
		{Token: "t", Discord: p, Handler: p, Activity: strings.Repeat("x", 129)},
	} {
		if _, err := gateway.New(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

func TestIntents(t *testing.T) {
	all := gateway.Intents(0)
	for bit := range 32 {
		intent := gateway.Intents(1) << bit
		if intent.String() == "" {
			continue
		}
		got, err := gateway.ParseIntent(strings.ToLower(intent.String()))
		if err != nil || got != intent {
			t.Errorf("%s is %d, %v", intent, got, err)
		}
		all |= intent
	}
	if all != 0x331ffff {
		t.Errorf("all intents are %x", all)
	}
	if _, err := gateway.ParseIntent("MESSAGES"); err == nil {
		t.Error("MESSAGES is an intent")
	}
}
