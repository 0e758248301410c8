// Package gateway tests bots that use Discord's gateway through the whole server.
package gateway

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"

	"github.com/coder/websocket"
	"github.com/klauspost/compress/zstd"
)

// allIntents are the names of all intents, for --intents.
const allIntents = "default,GUILD_MEMBERS,GUILD_PRESENCES,MESSAGE_CONTENT"

// bot speaks the gateway's protocol by hand.
type bot struct {
	t       testing.TB
	ws      *websocket.Conn
	session string
	resume  string // resume_gateway_url
	seq     int64
	inflate func(io.Reader) (io.Reader, error) // nil for text
	stream  *streamed
}

// payload is what a gateway sends.
type payload struct {
	Op   int             `json:"op"`
	Seq  int64           `json:"s"`
	Type string          `json:"t"`
	Data json.RawMessage `json:"d"`
}

// through starts a proxy with the gateway, all intents, and args.
func through(t *testing.T, sb *sandbox.Sandbox, args ...string) *proxytest.Proxy {
	t.Helper()
	limits := sb.GatewayLimits()
	limits.IdentifyWindow = 0
	sb.SetGatewayLimits(limits)
	return proxytest.Against(t, sb, append([]string{"--no-gateway=false", "--intents", allIntents}, args...)...)
}

// dialBot connects and takes HELLO.
func dialBot(t testing.TB, url string) *bot {
	t.Helper()
	b := dialRaw(t, url)
	if hello := b.next(); hello.Op != 10 || !strings.Contains(string(hello.Data), `"heartbeat_interval":41250`) {
		t.Fatalf("HELLO is %+v", hello)
	}
	return b
}

func dialRaw(t testing.TB, url string) *bot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), proxytest.Patience)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	ws.SetReadLimit(-1)
	t.Cleanup(func() { _ = ws.CloseNow() })
	return &bot{t: t, ws: ws}
}

func gatewayURL(p *proxytest.Proxy) string {
	return "ws://" + p.Address + "/gateway/?v=10&encoding=json"
}

func (b *bot) send(op int, data any) {
	b.t.Helper()
	text, err := json.Marshal(map[string]any{"op": op, "d": data})
	if err != nil {
		b.t.Fatal(err)
	}
	b.raw(string(text))
}

func (b *bot) raw(text string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), proxytest.Patience)
	defer cancel()
	if err := b.ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bot) read(ctx context.Context) (payload, error) {
	ctx, cancel := context.WithTimeout(ctx, proxytest.Patience)
	defer cancel()
	kind, data, err := b.ws.Read(ctx)
	if err != nil {
		return payload{}, err
	}
	if kind == websocket.MessageBinary {
		if data, err = b.decompress(data); err != nil {
			return payload{}, err
		}
	}
	var p payload
	if err := json.Unmarshal(data, &p); err != nil {
		return p, err
	}
	if p.Seq > 0 {
		b.seq = p.Seq
	}
	return p, nil
}

func (b *bot) next() payload {
	b.t.Helper()
	p, err := b.read(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// until returns the next event of a name and drops what comes before it.
func (b *bot) until(name string) payload {
	b.t.Helper()
	for {
		if p := b.next(); p.Type == name {
			return p
		}
	}
}

// get asks for a page.
func get(t testing.TB, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return http.DefaultClient.Do(req)
}

// closedWith returns how the server closes the connection.
func (b *bot) closedWith() websocket.CloseError {
	b.t.Helper()
	for {
		_, err := b.read(b.t.Context())
		if closed, ok := errors.AsType[websocket.CloseError](err); ok {
			return closed
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

// identity is IDENTIFY with intents.
func identity(token string, intents int64, more ...any) map[string]any {
	d := map[string]any{"token": token, "intents": intents, "properties": map[string]any{"os": "linux"}}
	for i := 0; i < len(more); i += 2 {
		d[more[i].(string)] = more[i+1]
	}
	return d
}

const (
	intentGuilds   = 1 << 0
	intentMembers  = 1 << 1
	intentMessages = 1 << 9
	intentTyping   = 1 << 11
	intentContent  = 1 << 15
)

// ready identifies and takes READY.
func (b *bot) ready(token string, intents int64, more ...any) map[string]json.RawMessage {
	b.t.Helper()
	b.send(2, identity(token, intents, more...))
	p := b.next()
	if p.Type != "READY" || p.Seq != 1 {
		b.t.Fatalf("got %+v, want READY", p)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(p.Data, &fields); err != nil {
		b.t.Fatal(err)
	}
	_ = json.Unmarshal(fields["session_id"], &b.session)
	_ = json.Unmarshal(fields["resume_gateway_url"], &b.resume)
	return fields
}

func say(t testing.TB, sb *sandbox.Sandbox, channel sandbox.ID, content string) {
	t.Helper()
	if _, err := sb.AddMessage(sandbox.Message{ChannelID: channel, Content: content, Author: &sandbox.User{ID: sb.World().Bob}}); err != nil {
		t.Fatal(err)
	}
}

func contentOf(p payload) string {
	var m struct{ Content string }
	_ = json.Unmarshal(p.Data, &m)
	return m.Content
}

// TestGatewayThroughProxy: a bot finds the gateway, identifies with the placeholder,
// gets the guild, hears, and its heartbeats are acknowledged. All that costs one
// IDENTIFY at Discord however many bots there are.
func TestGatewayThroughProxy(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := through(t, sb)
	w := sb.World()
	for _, path := range []string{"/api/v10/gateway", "/api/gateway/bot"} {
		resp, err := get(t, "http://"+p.Address+path)
		if err != nil {
			t.Fatal(err)
		}
		var found struct {
			URL    string
			Shards int
			Limit  struct{ Remaining int } `json:"session_start_limit"`
		}
		err = json.NewDecoder(resp.Body).Decode(&found)
		_ = resp.Body.Close()
		isBot := strings.HasSuffix(path, "bot")
		if err != nil || found.URL != "ws://"+p.Address+"/gateway" || isBot && (found.Shards != 1 || found.Limit.Remaining == 0) {
			t.Errorf("%s: %+v, %v", path, found, err)
		}
	}
	for _, token := range []string{"discordproxy", "Bot discordproxy", w.Token, "MTIz.abc.discordproxy"} {
		b := dialBot(t, gatewayURL(p))
		b.send(1, nil)
		if ack := b.next(); ack.Op != 11 {
			t.Errorf("the heartbeat is answered by %+v", ack)
		}
		ready := b.ready(token, intentGuilds|intentMembers|intentMessages|intentContent, "shard", []int{0, 1})
		for name, want := range map[string]string{
			"v": "10", "shard": "[0,1]", "resume_gateway_url": `"ws://` + p.Address + `/gateway"`,
			"guilds": fmt.Sprintf(`[{"id":"%d","unavailable":true}]`, w.Guild),
		} {
			if got := string(ready[name]); got != want {
				t.Errorf("%s of READY is %s, want %s", name, got, want)
			}
		}
		var user struct{ ID sandbox.ID }
		if err := json.Unmarshal(ready["user"], &user); err != nil || user.ID == 0 || len(ready["application"]) < 10 {
			t.Errorf("READY is %v", ready)
		}
		guild := b.until("GUILD_CREATE")
		var g struct {
			ID       sandbox.ID
			Name     string
			Members  []json.RawMessage
			Count    int `json:"member_count"`
			Channels []struct{ ID sandbox.ID }
			Roles    []json.RawMessage
		}
		if err := json.Unmarshal(guild.Data, &g); err != nil || g.ID != w.Guild || g.Name == "" || len(g.Members) != g.Count || g.Count < 3 || len(g.Roles) == 0 ||
			!slices.ContainsFunc(g.Channels, func(c struct{ ID sandbox.ID }) bool { return c.ID == w.General }) {
			t.Errorf("GUILD_CREATE is %s, %v", guild.Data, err)
		}
		say(t, sb, w.General, "hello "+token)
		if m := b.until("MESSAGE_CREATE"); contentOf(m) != "hello "+token || m.Seq != 3 {
			t.Errorf("heard %+v", m)
		}
	}
	if counts := sb.GatewayCounts(); counts.Identifies != 1 {
		t.Errorf("%+v at Discord, want 1 identify", counts)
	}
}

// TestGatewayProxyResumes: a bot that lost its connection continues where it was, and
// one that says goodbye does not.
func TestGatewayProxyResumes(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := through(t, sb)
	w := sb.World()
	b := dialBot(t, gatewayURL(p))
	b.ready("discordproxy", intentGuilds|intentMessages|intentContent)
	say(t, sb, w.General, "one")
	b.until("MESSAGE_CREATE")
	other := dialBot(t, gatewayURL(p)) // a session of other events
	other.ready("discordproxy", intentMessages|intentContent)
	_ = b.ws.CloseNow()
	for i := range 30 {
		say(t, sb, w.General, fmt.Sprint("missed ", i))
		if m := other.until("MESSAGE_CREATE"); contentOf(m) != fmt.Sprint("missed ", i) {
			t.Fatalf("the other bot heard %+v", m)
		}
	}
	again := dialBot(t, b.resume+"?v=10&encoding=json")
	again.send(6, map[string]any{"token": "discordproxy", "session_id": b.session, "seq": b.seq})
	for i := range 30 {
		if m := again.next(); contentOf(m) != fmt.Sprint("missed ", i) || m.Seq != b.seq+int64(i)+1 {
			t.Fatalf("after resuming got %+v, want missed %d", m, i)
		}
	}
	if m := again.next(); m.Type != "RESUMED" || m.Seq != b.seq+31 {
		t.Fatalf("got %+v, want RESUMED", m)
	}
	say(t, sb, w.General, "two")
	if m := again.next(); contentOf(m) != "two" {
		t.Fatalf("after RESUMED got %+v", m)
	}

	// The same session once more, while its connection stands.
	third := dialBot(t, gatewayURL(p))
	third.send(6, map[string]any{"token": "discordproxy", "session_id": b.session, "seq": again.seq - 1})
	if m := third.next(); contentOf(m) != "two" {
		t.Fatalf("after resuming elsewhere got %+v", m)
	}
	if closed := again.closedWith(); closed.Code != 4000 {
		t.Errorf("the connection before is closed with %v", closed)
	}
	third.until("RESUMED")
	_ = third.ws.Close(websocket.StatusNormalClosure, "")
	fourth := third
	for {
		fourth = dialBot(t, gatewayURL(p))
		fourth.send(6, map[string]any{"token": "discordproxy", "session_id": b.session, "seq": third.seq})
		if fourth.next().Op == 9 {
			break
		}
		_ = fourth.ws.Close(websocket.StatusNormalClosure, "") // the server had not taken the goodbye yet
	}
	for _, seq := range []any{third.seq, int64(1), nil} {
		fourth.send(6, map[string]any{"token": "discordproxy", "session_id": b.session, "seq": seq})
		if m := fourth.next(); m.Op != 9 || string(m.Data) != "false" {
			t.Fatalf("resuming what was given up gives %+v", m)
		}
	}
	fourth.ready("discordproxy", intentGuilds) // over the same connection
	fourth.until("GUILD_CREATE")
	fifth := dialBot(t, gatewayURL(p))
	fifth.send(6, map[string]any{"token": "discordproxy", "session_id": fourth.session, "seq": 1000})
	if closed := fifth.closedWith(); closed.Code != 4007 {
		t.Errorf("a sequence of the future is closed with %v", closed)
	}
}

// TestGatewayProxyUpstream: sessions outlive the server's connection to Discord when
// it is resumed, and end when it is not. Before it is there, bots wait.
func TestGatewayProxyUpstream(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := through(t, sb)
	w := sb.World()
	b := dialBot(t, gatewayURL(p))
	b.ready("discordproxy", intentGuilds|intentMessages|intentContent)
	b.until("GUILD_CREATE")
	if err := sb.DropGateway(0); err != nil {
		t.Fatal(err)
	}
	say(t, sb, w.General, "meanwhile")
	if m := b.next(); contentOf(m) != "meanwhile" || m.Seq != 3 {
		t.Errorf("after the server resumed got %+v", m)
	}
	if err := sb.InvalidateSessions(0, false); err != nil {
		t.Fatal(err)
	}
	if m := b.next(); m.Op != 9 || string(m.Data) != "false" {
		t.Errorf("after the server began a new session got %+v", m)
	}
	b.ready("discordproxy", intentGuilds|intentMessages|intentContent)
	b.until("GUILD_CREATE")
	say(t, sb, w.General, "after")
	if m := b.until("MESSAGE_CREATE"); contentOf(m) != "after" {
		t.Errorf("after identifying again got %+v", m)
	}
}

// TestGatewayProxyShutdown: bots are asked to reconnect when the server ends.
func TestGatewayProxyShutdown(t *testing.T) {
	p := through(t, sandbox.New(sandbox.Config{}))
	b := dialBot(t, gatewayURL(p))
	b.ready("discordproxy", intentMessages)
	stranger := dialBot(t, gatewayURL(p)) // has not identified itself
	go p.Stop()
	if m := stranger.next(); m.Op != 7 {
		t.Errorf("got %+v, want RECONNECT", m)
	}
	if m := b.next(); m.Op != 7 {
		t.Errorf("got %+v, want RECONNECT", m)
	}
	if closed := b.closedWith(); closed.Code != 4000 {
		t.Errorf("closed with %v", closed)
	}
}

// TestGatewayProxyCloses: after invalid payloads, connections are closed with Discord's codes.
func TestGatewayProxyCloses(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	limits := sb.GatewayLimits()
	limits.IdentifyWindow = 0
	sb.SetGatewayLimits(limits)
	p := proxytest.Against(t, sb, "--no-gateway=false")
	const identified = "\x00"
	text := func(op int, data any) string {
		encoded, err := json.Marshal(map[string]any{"op": op, "d": data})
		if err != nil {
			t.Fatal(err)
		}
		return string(encoded)
	}
	for name, tt := range map[string]struct {
		query  string // in place of v=10&encoding=json
		sends  []string
		code   websocket.StatusCode
		reason string
	}{
		"an unknown opcode":         {sends: []string{text(99, nil)}, code: 4001},
		"one of the server's own":   {sends: []string{identified, text(10, nil)}, code: 4001},
		"no JSON":                   {sends: []string{"{"}, code: 4002},
		"no opcode":                 {sends: []string{"{}"}, code: 4002},
		"no object":                 {sends: []string{`[1]`}, code: 4002},
		"no data":                   {sends: []string{text(2, nil)}, code: 4002},
		"no properties":             {sends: []string{text(2, map[string]any{"token": "discordproxy", "intents": 1})}, code: 4002},
		"a large payload":           {sends: []string{text(1, nil) + strings.Repeat(" ", 4096)}, code: 4002, reason: "4096"},
		"a threshold":               {sends: []string{text(2, identity("discordproxy", 1, "large_threshold", 251))}, code: 4002},
		"a presence before":         {sends: []string{text(3, map[string]any{})}, code: 4003},
		"members before":            {sends: []string{text(8, map[string]any{})}, code: 4003},
		"another token":             {sends: []string{text(2, identity("MTIz.abc.def", 1))}, code: 4004, reason: "client key"},
		"an empty token":            {sends: []string{text(2, identity("", 1))}, code: 4004},
		"resuming with another one": {sends: []string{text(6, map[string]any{"token": "x", "session_id": "y", "seq": 1})}, code: 4004},
		"twice":                     {sends: []string{identified, text(2, identity("discordproxy", 1))}, code: 4005},
		"resuming while identified": {sends: []string{identified, text(6, map[string]any{"token": "discordproxy"})}, code: 4005},
		"a shard beyond":            {sends: []string{text(2, identity("discordproxy", 1, "shard", []int{1, 1}))}, code: 4010},
		"half a shard":              {sends: []string{text(2, identity("discordproxy", 1, "shard", []int{1}))}, code: 4010},
		"two shards":                {sends: []string{text(2, identity("discordproxy", 1, "shard", []int{0, 2}))}, code: 4010, reason: "one shard"},
		"an old version":            {query: "v=8&encoding=json", code: 4012},
		"no version":                {query: "encoding=json", code: 4012},
		"ETF":                       {query: "v=10&encoding=etf", code: 4002, reason: "ETF is not supported"},
		"an unknown compression":    {query: "v=10&encoding=json&compress=br", code: 4002, reason: "zlib-stream"},
		"an unknown intent":         {sends: []string{text(2, identity("discordproxy", 1<<40))}, code: 4013},
		"no intents":                {sends: []string{text(2, map[string]any{"token": "discordproxy", "properties": map[string]any{}})}, code: 4013},
		"an intent too many":        {sends: []string{text(2, identity("discordproxy", intentGuilds|intentMembers))}, code: 4014, reason: "--intents: GUILD_MEMBERS"},
		"a status that is none":     {sends: []string{identified, text(3, map[string]any{"status": "asleep"})}, code: 4002},
		"an activity without name":  {sends: []string{identified, text(3, map[string]any{"status": "dnd", "activities": []any{map[string]any{"type": 1}}})}, code: 4002},
		"members of two guilds":     {sends: []string{identified, text(8, map[string]any{"guild_id": []string{"1", "2"}, "query": ""})}, code: 4002},
		"voice nowhere":             {sends: []string{identified, text(4, map[string]any{"channel_id": "1"})}, code: 4002},
		"a heartbeat of text":       {sends: []string{text(1, "x")}, code: 4002},
		"too many payloads":         {sends: slices.Repeat([]string{text(1, nil)}, 121), code: 4008},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.query == "" {
				tt.query = "v=10&encoding=json"
			}
			b := dialRaw(t, "ws://"+p.Address+"/gateway?"+tt.query)
			for _, send := range tt.sends {
				if send == identified {
					b.next()
					b.ready("discordproxy", intentGuilds)
					continue
				}
				ctx, cancel := context.WithTimeout(t.Context(), proxytest.Patience)
				_ = b.ws.Write(ctx, websocket.MessageText, []byte(send)) // it may be closed before the last
				cancel()
			}
			closed := b.closedWith()
			if closed.Code != tt.code || !strings.Contains(closed.Reason, tt.reason) || closed.Reason == "" {
				t.Errorf("closed with %v, want %d with %q", closed, tt.code, tt.reason)
			}
		})
	}
	if sb.GatewayCounts().Identifies != 1 {
		t.Errorf("%+v at Discord", sb.GatewayCounts())
	}
}

// streamed is a compressed stream; each message is a part of it.
type streamed struct {
	from    *io.PipeWriter
	decoder *json.Decoder
}

func (b *bot) decompress(data []byte) ([]byte, error) {
	if b.inflate == nil { // each payload by itself
		r, err := zlib.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	}
	if b.stream == nil {
		in, out := io.Pipe()
		b.t.Cleanup(func() { _ = out.Close() })
		ready := make(chan *json.Decoder, 1)
		go func() {
			r, err := b.inflate(in)
			if err != nil {
				_ = in.CloseWithError(err)
				return
			}
			ready <- json.NewDecoder(r)
		}()
		b.stream = &streamed{from: out}
		go func() { _, _ = out.Write(data) }()
		b.stream.decoder = <-ready
	} else {
		go func() { _, _ = b.stream.from.Write(data) }()
	}
	var one json.RawMessage
	return one, b.stream.decoder.Decode(&one)
}

// TestGatewayProxyCompresses tests each compression that clients can request.
func TestGatewayProxyCompresses(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := through(t, sb)
	for name, tt := range map[string]struct {
		query   string
		inflate func(io.Reader) (io.Reader, error)
		more    []any
	}{
		"zlib-stream": {"&compress=zlib-stream", func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }, nil},
		"zstd-stream": {"&compress=zstd-stream", func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r, zstd.WithDecoderConcurrency(1)) }, nil},
		"payloads":    {"", nil, []any{"compress", true}},
	} {
		t.Run(name, func(t *testing.T) {
			b := dialRaw(t, gatewayURL(p)+tt.query)
			b.inflate = tt.inflate
			if hello := b.next(); hello.Op != 10 {
				t.Fatalf("HELLO is %+v", hello)
			}
			b.ready("discordproxy", intentGuilds|intentMessages|intentContent, tt.more...)
			b.until("GUILD_CREATE")
			for i := range 5 {
				say(t, sb, sb.World().General, fmt.Sprint("message ", i))
				if m := b.until("MESSAGE_CREATE"); contentOf(m) != fmt.Sprint("message ", i) {
					t.Fatalf("heard %+v", m)
				}
			}
		})
	}
}

// TestGatewayProxyNeedsKeys: the gateway proxy requires keys on addresses that others can
// reach, and can be turned off.
func TestGatewayProxyNeedsKeys(t *testing.T) {
	_, err := proxytest.Run("--sandbox", "--host", "0.0.0.0", "--gateway-proxy", "--log-file-path", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "--gateway-proxy would let anyone who can reach the server run the bot: it needs --auth-file or --tls-client-ca, or a loopback address") {
		t.Errorf("an open server says %v", err)
	}
	for name, args := range map[string][]string{
		"off":            {"--gateway-proxy=false", "--no-gateway=false"},
		"no gateway":     {"--gateway-proxy"},
		"other machines": {"--host", "0.0.0.0", "--no-gateway=false"},
	} {
		sb := sandbox.New(sandbox.Config{})
		p := proxytest.Against(t, sb, append(args, "--rest-proxy")...)
		_, port, _ := strings.Cut(strings.TrimPrefix(p.Address, "[::]"), ":")
		resp, err := get(t, "http://127.0.0.1:"+port+"/gateway")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if name != "no gateway" && (resp.StatusCode != http.StatusForbidden || !strings.Contains(string(text), "the gateway proxy is off")) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, text)
		}
		resp, err = get(t, "http://127.0.0.1:"+port+"/api/v10/gateway")
		if err != nil {
			t.Fatal(err)
		}
		text, _ = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if strings.Contains(string(text), p.Address) || !strings.Contains(string(text), "ws://127.0.0.1:") {
			t.Errorf("%s: the gateway is at %s", name, text)
		}
	}
}

// guardedBots starts a proxy with an auth file. It returns the file.
func guardedBots(t *testing.T, sb *sandbox.Sandbox, rules string) (*proxytest.Proxy, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "auth.yaml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	return through(t, sb, "--auth-file", file, "--log-console-level", "INFO"), file
}

// ruleOf is an entry of an auth file for a new key.
func ruleOf(t *testing.T, name, rest string) (key, entry string) {
	t.Helper()
	key, hash := server.NewKey()
	return key, fmt.Sprintf("  - name: %s\n    hashes: [%q]\n%s", name, hash, rest)
}
