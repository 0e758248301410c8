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

// TestGatewayProxyRestarts: bots go on when the server was ended, or killed, while
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
				t.Fatalf("bot %d heard %d of %d, resumed %d times, and was told %d times that it cannot\n%s", i, len(heard), len(said), resumed, invalid, logOf(r))
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

func logOf(r *restarted) string {
	data, _ := os.ReadFile(r.Log)
	return string(data)
}
