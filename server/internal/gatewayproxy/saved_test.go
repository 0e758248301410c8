package gatewayproxy_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/gateway"
	"discordproxy/server/internal/events"
	"discordproxy/server/internal/gatewayproxy"

	"github.com/coder/websocket"
)

// disk is what proxies store.
type disk struct {
	mu       sync.Mutex
	sessions map[string][]byte
	guilds   map[string][]byte
	hub      events.State
	events   map[uint64][]byte
}

// save stores what changed. Without failures it is what Config.Flush is for.
func (d *disk) save(r *rig) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	sessions, done := r.Export()
	for id, data := range sessions {
		if d.sessions[id] = data; data == nil {
			delete(d.sessions, id)
		}
	}
	x := r.hub.Export(0)
	d.hub, d.events = x.State, x.Events()
	if d.guilds == nil {
		d.guilds = make(map[string][]byte)
	}
	for name, part := range r.guilds.Export() {
		if d.guilds[name] = part; part == nil {
			delete(d.guilds, name)
		}
	}
	done()
	return true
}

// storing returns a rig that stores on a disk, whatever was stored there.
func storing(t *testing.T, d *disk) *rig {
	t.Helper()
	r := storingClosed(t, d)
	r.Open(r, nil, nil)
	return r
}

// storingClosed is storing before Open.
func storingClosed(t *testing.T, d *disk) *rig {
	t.Helper()
	var r *rig
	r = closedRig(t, gatewayproxy.Config{Flush: func() bool { return d.save(r) }, Logger: slog.New(slog.DiscardHandler)}, events.Config{})
	r.disk = d
	return r
}

// restart returns a rig that continues from what a disk has now, after a crash.
func restart(t *testing.T, d *disk) *rig {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := &disk{sessions: map[string][]byte{}, guilds: maps.Clone(d.guilds), hub: d.hub, events: d.events}
	for id, data := range d.sessions {
		kept.sessions[id] = data
	}
	r := storingClosed(t, kept)
	r.hub.Restore(kept.hub, kept.events, false)
	r.guilds.Import(maps.Clone(kept.guilds), time.Now())
	r.Restore(kept.sessions)
	r.Open(r, nil, nil)
	return r
}

func (r *rig) say(from, to int) {
	for i := from; i < to; i++ {
		r.dispatch("MESSAGE_CREATE", fmt.Sprintf(`{"id":"%d","guild_id":"1","channel_id":"3","content":"number %d"}`, i, i))
	}
}

func (b *bot) hear(from, to int) {
	b.t.Helper()
	for i := from; i < to; i++ {
		b.expect(0, "MESSAGE_CREATE", fmt.Sprintf(`"number %d"`, i))
	}
}

func (r *rig) resumedAtDiscord() {
	r.Changed(gateway.Status{State: gateway.Connected, Resumed: true, Since: time.Now()})
}

// TestRestart: what was stored is behind what a bot has had. Discord sends the events
// after it again, and the bot gets those that it has not had.
func TestRestart(t *testing.T) {
	d := &disk{sessions: make(map[string][]byte)}
	r := storing(t, d)
	r.connect()
	b := r.dial()
	b.identify(gateway.IntentGuildMessages | gateway.IntentMessageContent)
	r.say(0, 5)
	b.hear(0, 5)
	r.save(d)
	r.dispatch("TYPING_START", `{"guild_id":"1","channel_id":"3"}`) // not for the bot
	r.say(5, 10)
	b.hear(5, 10)
	last := b.seq

	again := restart(t, d)
	b.seq = last - 2 // it has not read the last ones
	resumes := make(chan *bot)
	go func() { resumes <- b.resume(again) }()
	again.dispatch("TYPING_START", `{"guild_id":"1","channel_id":"3"}`)
	again.say(5, 12)
	again.resumedAtDiscord()
	resumed := <-resumes
	resumed.session = b.session
	resumed.hear(8, 12)
	if resumed.seq != last+2 {
		t.Errorf("the last number is %d, want %d", resumed.seq, last+2)
	}
	if p := resumed.expect(0, "RESUMED", ""); p.Seq != last+3 {
		t.Errorf("RESUMED is %d", p.Seq)
	}
	// RESUMED is counted, too, though it is not in the hub.
	again.say(12, 14)
	resumed.hear(12, 14)
	third := restart(t, &disk{sessions: againSessions(again), hub: again.hub.Export(0).State, events: again.hub.Export(0).Events()})
	third.resumedAtDiscord()
	end := resumed.resume(third)
	if p := end.expect(0, "RESUMED", ""); p.Seq != last+6 {
		t.Errorf("the second RESUMED is %d, want %d", p.Seq, last+6)
	}
}

// againSessions returns what a proxy stores of its sessions.
func againSessions(r *rig) map[string][]byte {
	sessions, _ := r.Export()
	return sessions
}

func (r *rig) save(d *disk) { d.save(r) }

// TestRestartRefused: if it is not known exactly which events a bot has received, its session ends.
func TestRestartRefused(t *testing.T) {
	d := &disk{sessions: make(map[string][]byte)}
	r := storing(t, d)
	r.connect()
	b := r.dial()
	b.identify(gateway.IntentGuilds | gateway.IntentGuildMessages | gateway.IntentMessageContent)
	r.say(0, 3)
	b.hear(0, 3)
	r.save(d)
	first := b.seq
	edit := func(field string, value any) func(map[string]any) {
		return func(s map[string]any) { s[field] = value }
	}
	for name, tt := range map[string]struct {
		edit  func(map[string]any)
		seq   int64 // after the stored one
		fresh bool  // Discord did not let the server resume
		ok    bool
	}{
		"nothing":           {ok: true},
		"one more":          {seq: 1, ok: true},
		"one too many":      {seq: 2},
		"one of the future": {seq: 1000},
		"one of READY":      {seq: -4},
		"another session":   {fresh: true},
		"other rules":       {edit: edit("sight", "other"), seq: 1},
		"other rules, same": {edit: edit("sight", "other"), ok: true},
		"open":              {edit: edit("open", true), seq: 1},
		"open, same":        {edit: edit("open", true), ok: true},
		"another epoch":     {edit: edit("epoch", "other")},
		"another client":    {edit: edit("client", "other")},
		"no bot":            {edit: edit("self", 0)},
		"no marks":          {edit: edit("marks", []any{})},
		"a bad mark":        {edit: edit("marks", []any{map[string]any{"sequence": -1, "place": 1}})},
		"a mark of nowhere": {edit: edit("marks", []any{map[string]any{"sequence": first, "place": 1 << 50}})},
		"bad intents":       {edit: edit("intents", -1)},
		"a bad shard":       {edit: edit("shard", []any{1, 1})},
		"a bad threshold":   {edit: edit("large_threshold", 1000)},
		"too long ago":      {edit: edit("left", time.Now().Add(-time.Hour))},
		"no session":        {edit: func(s map[string]any) { clear(s) }},
	} {
		t.Run(name, func(t *testing.T) {
			changed := &disk{sessions: map[string][]byte{"": []byte("x")}, hub: d.hub, events: d.events}
			for id, data := range d.sessions {
				var s map[string]any
				if err := json.Unmarshal(data, &s); err != nil {
					t.Fatal(err)
				}
				if tt.edit != nil {
					tt.edit(s)
				}
				changed.sessions[id], _ = json.Marshal(s)
			}
			r := restart(t, changed)
			if tt.fresh {
				r.connect()
			} else {
				r.say(3, 4) // comes again
				r.resumedAtDiscord()
			}
			seq := b.seq
			defer func() { b.seq = seq }()
			b.seq += tt.seq
			again := b.resume(r)
			if !tt.ok {
				again.expect(9, "", "false")
				return
			}
			again.hear(3+int(tt.seq), 4)
			again.expect(0, "RESUMED", "")
		})
	}
}

// TestIdentifyAfterRestart: a bot whose library begins another session after a restart
// gets the guilds as they were when it was cut, and all events since then, once.
func TestIdentifyAfterRestart(t *testing.T) {
	const intents = gateway.IntentGuilds | gateway.IntentGuildMessages | gateway.IntentMessageContent
	d := &disk{sessions: make(map[string][]byte)}
	r := storing(t, d)
	r.connect()
	b, left, other := r.dial(), r.dial(), r.dial()
	b.identify(intents)
	left.identify(intents)
	other.identify(gateway.IntentGuildMessages)
	r.say(0, 3)
	b.hear(0, 3)
	left.hear(0, 3)
	// A bot that leaves does not want what comes.
	_ = left.ws.Close(1000, "")
	for end := time.Now().Add(patience); r.Stats().Connected > 2 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	r.save(d)

	again := restart(t, d)
	again.say(3, 5)
	again.dispatch("CHANNEL_CREATE", `{"id":"4","guild_id":"1","type":0,"name":"new"}`)
	again.say(5, 7)
	again.resumedAtDiscord()
	identify := func(r *rig) (b *bot, guild string) {
		b = r.dial()
		b.send(2, fmt.Sprintf(`{"token":"discordproxy","properties":{},"intents":%d}`, intents))
		b.began(b.expect(0, "READY", `"guilds":[{"id":"1"`))
		return b, string(b.expect(0, "GUILD_CREATE", `"name":"g"`).Data)
	}
	next, guild := identify(again)
	if strings.Contains(guild, `"new"`) {
		t.Errorf("the guild is %s, as it was later", guild)
	}
	next.hear(3, 5)
	next.expect(0, "CHANNEL_CREATE", `"new"`)
	next.hear(5, 7)
	again.say(7, 8)
	next.hear(7, 8)
	// Nobody else is this bot.
	another, guild := identify(again)
	if !strings.Contains(guild, `"new"`) {
		t.Errorf("the guild is %s, as it was before", guild)
	}
	again.say(8, 9)
	another.hear(8, 9)
	next.hear(8, 9)

	// What has been taken remains so.
	_ = another.ws.Close(1000, "")
	for end := time.Now().Add(patience); again.Stats().Connected > 1 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	again.save(again.disk)
	third := restart(t, again.disk)
	third.say(9, 11)
	third.resumedAtDiscord()
	last, _ := identify(third)
	last.hear(9, 11)
	newcomer, _ := identify(third)
	third.say(11, 12)
	newcomer.hear(11, 12)
	last.hear(11, 12)
	// The bot that was cut may resume all the same.
	next.resume(third).hear(9, 12)
}

// TestIdentifyAfterRefused: a bot that cannot resume after a restart, since it is not
// known exactly what it has had, identifies and misses nothing.
func TestIdentifyAfterRefused(t *testing.T) {
	d := &disk{sessions: make(map[string][]byte)}
	r := storing(t, d)
	r.connect()
	b := r.dial()
	b.identify(gateway.IntentGuilds | gateway.IntentGuildMessages | gateway.IntentMessageContent)
	r.say(0, 3)
	b.hear(0, 3)
	r.save(d)
	r.say(3, 4)
	b.hear(3, 4)
	for id, data := range d.sessions {
		d.sessions[id] = []byte(strings.Replace(string(data), `"sight":"`, `"sight":"other `, 1))
	}
	again := restart(t, d)
	again.say(3, 5)
	again.resumedAtDiscord()
	next := b.resume(again)
	next.expect(9, "", "false")
	next.identify(gateway.IntentGuilds | gateway.IntentGuildMessages | gateway.IntentMessageContent)
	next.hear(3, 5)
}

// TestIdentifyAfterRestartLost: without the events since a bot was cut, or with another
// session at Discord, it begins with what is.
func TestIdentifyAfterRestartLost(t *testing.T) {
	d := &disk{sessions: make(map[string][]byte)}
	r := storing(t, d)
	r.connect()
	b := r.dial()
	b.identify(gateway.IntentGuilds | gateway.IntentGuildMessages | gateway.IntentMessageContent)
	r.say(0, 3)
	b.hear(0, 3)
	r.save(d)
	begin := func(r *rig) {
		t.Helper()
		b := r.dial()
		b.identify(gateway.IntentGuilds | gateway.IntentGuildMessages | gateway.IntentMessageContent)
		r.say(10, 11)
		b.hear(10, 11)
	}
	t.Run("another session", func(t *testing.T) {
		r := restart(t, d)
		r.say(3, 4)
		r.connect()
		begin(r)
	})
	t.Run("events are gone", func(t *testing.T) {
		r := restart(t, d)
		r.say(100, 100+events.DefaultMaxEvents+1)
		r.resumedAtDiscord()
		begin(r)
	})
	t.Run("no guilds", func(t *testing.T) {
		r := restart(t, &disk{sessions: d.sessions, hub: d.hub, events: d.events})
		r.say(3, 4)
		r.resumedAtDiscord()
		go func() {
			<-r.sent // renew
			r.connect()
		}()
		begin(r)
	})
}

// TestResumeAwaits: a bot that resumes while the server is not connected, or ends, is
// closed so that it tries again, and keeps its session.
func TestResumeAwaits(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{ConnectWait: 50 * time.Millisecond}, events.Config{})
	r.connect()
	b := r.dial()
	b.identify(gateway.IntentGuildMessages | gateway.IntentMessageContent)
	_ = b.ws.CloseNow()
	r.Changed(gateway.Status{State: gateway.Disconnected, Resumable: true, Since: time.Now()})
	again := b.resume(r)
	if _, err := again.read(); websocket.CloseStatus(err) != 4000 {
		t.Errorf("without Discord: %v", err)
	}
	r.say(0, 1)
	r.resumedAtDiscord()
	again = b.resume(r)
	again.hear(0, 1)
	again.expect(0, "RESUMED", "")
}

// TestStrangers: one network cannot use up the limit for unidentified connections.
func TestStrangers(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{}, events.Config{})
	r.connect()
	peer := "192.0.2.1:1"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		q.RemoteAddr = peer
		r.ServeHTTP(w, q)
	}))
	t.Cleanup(server.Close)
	r.url = strings.Replace(server.URL, "http", "ws", 1) + "/gateway?v=10&encoding=json"
	bots := make([]*bot, 100)
	for i := range bots {
		bots[i] = r.dial()
	}
	dial := func() int {
		ws, resp, err := websocket.Dial(t.Context(), r.url, nil)
		if err == nil {
			_ = ws.CloseNow()
		}
		if resp == nil {
			t.Fatal(err)
		}
		if resp.Body != nil {
			_ = resp.Body.Close()
		}
		return resp.StatusCode
	}
	if status := dial(); status != http.StatusTooManyRequests {
		t.Errorf("one more stranger gets %d", status)
	}
	bots[0].identify(gateway.IntentGuildMessages)
	if status := dial(); status != http.StatusSwitchingProtocols {
		t.Errorf("after one has identified itself another one gets %d", status)
	}
	peer = "192.0.2.2:1"
	if status := dial(); status != http.StatusSwitchingProtocols {
		t.Errorf("another network gets %d", status)
	}
}

// TestReason: a reason of a close is valid text, however long it is.
func TestReason(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{}, events.Config{})
	r.connect()
	b := r.dial()
	b.identify(gateway.IntentGuildMessages)
	r.Changed(gateway.Status{State: gateway.Ended, Reason: strings.Repeat("ä", 100), Since: time.Now()})
	if closed := b.closed(); closed.Reason != strings.Repeat("ä", 60)+"..." {
		t.Errorf("closed with %v", closed)
	}
}

// TestExportWhileResuming: bots resume sessions of an earlier run at the same time, and each
// of them has the server store all sessions.
func TestExportWhileResuming(t *testing.T) {
	d := &disk{sessions: make(map[string][]byte)}
	r := storing(t, d)
	r.connect()
	bots := make([]*bot, 20)
	for i := range bots {
		bots[i] = r.dial()
		bots[i].identify(gateway.IntentGuildMessages)
	}
	r.save(d)
	for range 5 {
		again := restart(t, d)
		again.resumedAtDiscord()
		// While the hub is in use, bots wait for it in the middle of resuming.
		over := make(chan struct{})
		var use, resuming sync.WaitGroup
		use.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					again.hub.Stats()
				}
			}
		})
		for _, b := range bots {
			resuming.Go(func() {
				back := b.resume(again)
				if p, err := back.read(); err != nil || p.Type != "RESUMED" {
					t.Errorf("got %+v, %v, want RESUMED", p, err)
				}
				_ = back.ws.CloseNow()
			})
		}
		resuming.Wait()
		close(over)
		use.Wait()
	}
}
