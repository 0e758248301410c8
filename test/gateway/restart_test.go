package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	"github.com/coder/websocket"
)

// restarted is a server that is ended and started again on one address and data
// folder.
type restarted struct {
	*proxytest.Process
	data string // the data folder
	args []string
}

func restartable(t *testing.T, sb *sandbox.Sandbox, args ...string) *restarted {
	t.Helper()
	limits := sb.GatewayLimits()
	limits.IdentifyWindow = 0
	sb.SetGatewayLimits(limits)
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	_, port, _ := strings.Cut(proxytest.FreeAddress(t), ":")
	data := filepath.Join(t.TempDir(), "data")
	r := &restarted{data: data, args: append([]string{
		"--sandbox=false", "--token", sb.World().Token, "--discord-api-url", discord.URL + "/api", "--intents", allIntents,
		"--data", data, "--port", port, "--shutdown-grace", "1s",
	}, args...)}
	r.Process = proxytest.StartProcess(t, nil, r.args...)
	return r
}

// again ends the server by a signal and starts it again.
func (r *restarted) again(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := r.Cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	_ = r.Cmd.Wait() // killed
	r.Process = proxytest.StartProcess(t, nil, r.args...)
}

func (r *restarted) url() string { return "ws://" + r.Address + "/gateway?v=10&encoding=json" }

// lasting is a bot that resumes until it cannot, and notes what it hears.
type lasting struct {
	*bot
	token string
	url   func() string

	mu    sync.Mutex
	heard []string
	chunk int // GUILD_MEMBERS_CHUNKs
	resumed,
	invalid int
}

func (l *lasting) run(ctx context.Context) {
	for ctx.Err() == nil {
		p, err := l.read(ctx)
		if err != nil {
			l.resume(ctx)
			continue
		}
		l.mu.Lock()
		switch {
		case p.Op == 9:
			l.invalid++
		case p.Type == "RESUMED":
			l.resumed++
		case p.Type == "GUILD_MEMBERS_CHUNK":
			l.chunk++
		case p.Type == "MESSAGE_CREATE":
			l.heard = append(l.heard, contentOf(p))
		}
		l.mu.Unlock()
		if p.Op == 9 {
			return
		}
	}
}

// resume connects until a server takes the RESUME.
func (l *lasting) resume(ctx context.Context) {
	_ = l.ws.CloseNow()
	for ctx.Err() == nil {
		ws, resp, err := websocket.Dial(ctx, l.url(), nil)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if resp.Body != nil {
			_ = resp.Body.Close()
		}
		ws.SetReadLimit(-1)
		l.ws = ws
		if _, err := l.read(ctx); err != nil {
			continue
		}
		resume := fmt.Sprintf(`{"op":6,"d":{"token":%q,"session_id":%q,"seq":%d}}`, l.token, l.session, l.seq)
		if ws.Write(ctx, websocket.MessageText, []byte(resume)) == nil {
			return
		}
	}
}

func (l *lasting) counts() (heard []string, resumed, invalid, chunks int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard, l.resumed, l.invalid, l.chunk
}

// TestGatewayProxyRestarts: bots continue when the server was ended, or killed, while
// events come. They miss nothing, get nothing twice, and the server resumes at Discord,
// also when another bot begins a session after each restart.
func TestGatewayProxyRestarts(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	keyA, entryA := ruleOf(t, "a", "    guilds: [\"*\"]\n")
	keyB, entryB := ruleOf(t, "b", fmt.Sprintf("    channels: [\"%d\"]\n", w.General))
	file := filepath.Join(t.TempDir(), "clients.yaml")
	rules := "clients:\n" + entryA + entryB
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	r := restartable(t, sb, "--auth-file", file)
	var bots []*lasting
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	for i, intents := range []int64{intentGuilds | intentMessages | intentContent, intentMessages | intentContent} {
		for _, key := range []string{keyA, keyB} {
			b := &lasting{bot: dialBot(t, r.url()), token: key, url: r.url}
			b.ready(key, intents)
			if i == 0 {
				b.send(8, map[string]any{"guild_id": w.Guild, "user_ids": []any{w.Bob}})
			}
			running.Go(func() { b.run(ctx) })
			bots = append(bots, b)
		}
	}
	defer cancel()
	var said []string
	speak := func(pause time.Duration, until func() bool) {
		t.Helper()
		for i := 0; i < 10 || !until(); i++ {
			text := fmt.Sprint("number ", len(said))
			say(t, sb, w.General, text)
			said = append(said, text)
			time.Sleep(pause)
		}
	}
	// newcomer begins a session, and returns the guild that it gets.
	newcomer := func() string {
		t.Helper()
		b := dialBot(t, r.url())
		b.ready(keyA, intentGuilds|intentMessages)
		var fields map[string]any
		if err := json.Unmarshal(b.until("GUILD_CREATE").Data, &fields); err != nil {
			t.Fatal(err)
		}
		for name, field := range fields {
			if list, ok := field.([]any); ok { // in no order
				slices.SortFunc(list, func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
				fields[name] = list
			}
		}
		return fmt.Sprint(fields)
	}
	guild := newcomer()
	soon := time.Now().Add(1500 * time.Millisecond)
	speak(10*time.Millisecond, func() bool { return time.Now().After(soon) })
	for round, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGKILL} {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.again(t, signal)
		}()
		speak(20*time.Millisecond, func() bool {
			select {
			case <-ended:
			default:
				return false
			}
			for _, b := range bots {
				if _, resumed, invalid, _ := b.counts(); resumed <= round && invalid == 0 {
					return false
				}
			}
			return true
		})
		if got := newcomer(); got != guild {
			t.Errorf("after %v a new bot gets the guild\n%s\nbefore\n%s", signal, got, guild)
		}
	}
	end := time.Now().Add(proxytest.Patience)
	for i, b := range bots {
		for {
			heard, resumed, invalid, chunks := b.counts()
			if invalid > 0 || time.Now().After(end) {
				t.Fatalf("bot %d heard %d of %d, resumed %d times, and got INVALID_SESSION %d times\n%s", i, len(heard), len(said), resumed, invalid, logOf(r))
			}
			if len(heard) >= len(said) && (chunks > 0 || i > 1) {
				if got := strings.Join(heard, ","); got != strings.Join(said, ",") {
					t.Errorf("bot %d heard %s", i, got)
				}
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	if counts := sb.GatewayCounts(); counts.Identifies != 1 {
		t.Errorf("%+v at Discord, want 1 identify", counts)
	}

	// A revoked key and other rules.
	_, entryC := ruleOf(t, "a", "    guilds: [\"*\"]\n")
	if err := os.WriteFile(file, []byte("clients:\n"+entryC+entryB), 0o600); err != nil {
		t.Fatal(err)
	}
	cancel()
	running.Wait()
	r.again(t, syscall.SIGKILL)
	revoked := dialBot(t, r.url())
	revoked.send(6, map[string]any{"token": keyA, "session_id": bots[0].session, "seq": bots[0].seq})
	if closed := revoked.closedWith(); closed.Code != 4004 {
		t.Errorf("with a revoked key the connection is closed with %v", closed)
	}
	foreign := dialBot(t, r.url())
	foreign.send(6, map[string]any{"token": keyB, "session_id": bots[0].session, "seq": bots[0].seq})
	if p := foreign.next(); p.Op != 9 {
		t.Errorf("the session of another client gives %+v", p)
	}
	files, err := filepath.Glob(filepath.Join(r.data, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if stored, err := os.ReadFile(file); err == nil && strings.Contains(string(stored), keyA) {
			t.Errorf("%s has a key", file)
		}
	}
}

// TestGatewayProxyIdentifiesAfterRestart: a bot that begins another session after each
// restart, and had heard everything before, hears what it missed: after an orderly end
// once, after a crash with what was sent just before.
func TestGatewayProxyIdentifiesAfterRestart(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	r := restartable(t, sb)
	said := 0
	speak := func() {
		say(t, sb, w.General, fmt.Sprint("number ", said))
		said++
	}
	numberOf := func(p payload) (n int) {
		if _, err := fmt.Sscanf(contentOf(p), "number %d", &n); err != nil {
			t.Fatalf("heard %q", contentOf(p))
		}
		return n
	}
	heard := 0
	// listen hears everything that was said.
	listen := func(b *bot) {
		t.Helper()
		for heard < said {
			if got := numberOf(b.until("MESSAGE_CREATE")); got != heard {
				t.Fatalf("heard number %d, want %d\n%s", got, heard, logOf(r))
			}
			heard++
		}
	}
	begin := func() *bot {
		b := dialBot(t, r.url())
		b.ready("discordproxy", intentGuilds|intentMessages|intentContent)
		b.until("GUILD_CREATE")
		return b
	}
	b := begin()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGTERM} {
		for range 20 {
			speak()
		}
		listen(b)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.again(t, signal)
		}()
		if signal == syscall.SIGTERM {
			for { // what is sent before the end is heard
				p, err := b.read(t.Context())
				if err != nil {
					break
				}
				if p.Type == "MESSAGE_CREATE" {
					heard = numberOf(p) + 1
				}
			}
		}
		_ = b.ws.CloseNow()
		for down := true; down; {
			select {
			case <-ended:
				down = false
			case <-time.After(20 * time.Millisecond):
				speak()
			}
		}
		b = begin()
		if signal == syscall.SIGKILL {
			first := numberOf(b.until("MESSAGE_CREATE"))
			if first > heard {
				t.Fatalf("after a crash number %d comes first, want at most %d", first, heard)
			}
			heard = first + 1
		}
		listen(b)
	}
	if counts := sb.GatewayCounts(); counts.Identifies != 1 {
		t.Errorf("%+v at Discord, want 1 identify", counts)
	}
}

// TestGatewayProxyLosesItsData: a bot whose session the data folder does not have, since
// it is an older copy or empty, begins another session. The copy is enough to continue with
// the session at Discord.
func TestGatewayProxyLosesItsData(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	r := restartable(t, sb)
	begin := func() *bot {
		b := dialBot(t, r.url())
		b.ready("discordproxy", intentMessages|intentContent)
		return b
	}
	// refused has a bot resume, which it cannot, and begin another session, which hears
	// what comes.
	refused := func(b *bot, text string) *bot {
		t.Helper()
		again := dialBot(t, r.url())
		again.send(6, map[string]any{"token": "discordproxy", "session_id": b.session, "seq": b.seq})
		if p := again.next(); p.Op != 9 || string(p.Data) != "false" {
			t.Fatalf("%s: RESUME gets %+v with %s", text, p, p.Data)
		}
		again.ready("discordproxy", intentMessages|intentContent)
		say(t, sb, w.General, text)
		if got := contentOf(again.until("MESSAGE_CREATE")); got != text {
			t.Errorf("heard %q, want %q", got, text)
		}
		return again
	}
	kill := func() {
		t.Helper()
		if err := r.Cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = r.Cmd.Wait() // killed
	}
	_ = begin().ws.Close(websocket.StatusNormalClosure, "") // the server has its session at Discord
	kill()
	backup := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(backup, os.DirFS(r.data)); err != nil {
		t.Fatal(err)
	}
	r.Process = proxytest.StartProcess(t, nil, r.args...)
	b := begin()
	kill()
	if err := os.RemoveAll(r.data); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(r.data, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	r.Process = proxytest.StartProcess(t, nil, r.args...)
	b = refused(b, "after an older copy")
	if counts := sb.GatewayCounts(); counts.Identifies != 1 {
		t.Errorf("%+v at Discord, want 1 identify", counts)
	}
	kill()
	if err := os.RemoveAll(r.data); err != nil {
		t.Fatal(err)
	}
	r.Process = proxytest.StartProcess(t, nil, r.args...)
	refused(b, "without the folder")
	if counts := sb.GatewayCounts(); counts.Identifies != 2 {
		t.Errorf("%+v at Discord, want 2 identifies", counts)
	}
}

func logOf(r *restarted) string {
	data, _ := os.ReadFile(r.Log)
	return string(data)
}
