package server_test

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"github.com/coder/websocket"
)

// addBot adds a bot to a sandbox and its first guild, and returns its configuration.
func addBot(t testing.TB, sb *sandbox.Sandbox, name string) server.BotConfig {
	t.Helper()
	return server.BotConfig{Name: name, Token: proxytest.AddBot(t, sb, name), Gateway: server.GatewayConfig{Off: true}}
}

// ask asks a server for a path of plain REST or a page.
func (r *running) ask(ctx context.Context, path string, headers ...string) (int, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.address+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	resp, err := r.over.RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	if _, err := w.Body.ReadFrom(resp.Body); err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, w.Body.String()
}

// askAs asks who the bot is that a request with a header is served by.
func (r *running) askAs(ctx context.Context, path, bot string, options ...connect.ClientOption) (string, error) {
	ctx, info := connect.NewClientContext(ctx)
	if bot != "" {
		info.RequestHeader().Set("Discord-Bot", bot)
	}
	c := discordapiconnect.NewDiscordApiClient(r.client(), "http://"+r.address+path, options...)
	user, err := c.GetCurrentUser(ctx, new(pb.GetCurrentUserRequest))
	return user.GetUser().GetUsername(), err
}

// TestBots: a request is served by the bot that its header, its path or its token names,
// else by the default bot, and the name does not reach Discord.
func TestBots(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	t.Cleanup(sb.Close)
	var passed atomic.Int64 // names that have reached Discord
	discord := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		passed.Add(int64(len(r.Header["Discord-Bot"])))
		sb.ServeHTTP(w, r)
	}))
	t.Cleanup(discord.Close)
	first, second, third := addBot(t, sb, "first"), addBot(t, sb, "second"), addBot(t, sb, "third")
	second.Default = true
	third.Gateway = server.GatewayConfig{}
	r := run(t, server.Config{Bots: []server.BotConfig{first, second, third}, APIURL: discord.URL + "/api", DataFolder: t.TempDir()})
	defer func() {
		r.stop()
		<-r.done
	}()
	r.answers(t)
	for _, name := range []string{"first", "second", "third"} {
		within(t, func() error { return readyAt(r, "/bots/"+name) })
	}
	for _, c := range []struct{ path, header, want, refusal string }{
		{"", "", "second", ""},
		{"", "second", "second", ""},
		{"", "first", "first", ""},
		{"/bots/first", "", "first", ""},
		{"/bots/third", "third", "third", ""},
		{"/bots/second", "", "second", ""},
		{"/bots/third", "first", "", "names two bots"},
		{"", "fourth", "", `no bot named "fourth"`},
		{"/bots/First", "", "", `no bot named "First"`},
		{"/bots/default", "", "", `no bot named "default"`},
	} {
		for kind, options := range map[string][]connect.ClientOption{
			"Connect": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()}, "JSON": {connect.WithProtoJSON()},
		} {
			got, err := r.askAs(t.Context(), c.path, c.header, options...)
			if got != c.want || (err == nil) != (c.refusal == "") || err != nil && !strings.Contains(err.Error(), c.refusal) {
				t.Errorf("%+v by %s: %q %v", c, kind, got, err)
			}
		}
		for _, path := range []string{"/api/v10/users/@me", "/api/users/@me"} {
			headers := []string{"Discord-Bot", c.header}
			if c.header == "" {
				headers = nil
			}
			code, text := r.ask(t.Context(), c.path+path, headers...)
			switch {
			case c.refusal == "" && (code != http.StatusOK || !strings.Contains(text, `"username":"`+c.want+`"`)):
				t.Errorf("%+v at %s: %d %s", c, path, code, text)
			case c.refusal != "" && (code < 400 || code >= 500 || !strings.Contains(strings.ReplaceAll(text, `\`, ""), c.refusal)):
				t.Errorf("%+v at %s: %d %s", c, path, code, text)
			}
		}
	}
	// Questions about health come from no client that may use bots.
	check, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://"+r.address+"/bots/fourth/grpc.health.v1.Health/Check", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	check.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(check)
	if err != nil {
		t.Fatal(err)
	}
	refusal, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if want := `{"code":"not_found","message":"there is no bot named \"fourth\""}`; err != nil || strings.TrimSpace(string(refusal)) != want {
		t.Errorf("the health of a bot that does not exist: %v %s, want %s", err, refusal, want)
	}
	// A library that sends the token of a bot.
	for _, b := range []server.BotConfig{first, second, third} {
		if code, text := r.ask(t.Context(), "/api/v10/users/@me", "Authorization", "Bot "+b.Token); code != http.StatusOK || !strings.Contains(text, b.Name) {
			t.Errorf("the token of %s: %d %s", b.Name, code, text)
		}
	}
	if code, text := r.ask(t.Context(), "/bots/first/api/v10/users/@me", "Authorization", "Bot "+second.Token); code != http.StatusBadRequest {
		t.Errorf("the token of another bot: %d %s", code, text)
	}
	within(t, func() error {
		// It finds the gateway of its bot at that bot's address.
		code, text := r.ask(t.Context(), "/api/v10/gateway/bot", "Authorization", "Bot "+third.Token)
		if want := "ws://" + r.address + "/bots/third/gateway"; code != http.StatusOK || !strings.Contains(text, want) {
			return fmt.Errorf("the gateway: %d %s, want %s", code, text, want)
		}
		return nil
	})
	for path, want := range map[string]int{
		"/bots/first/readyz": http.StatusOK, "/bots/first/": http.StatusOK, "/bots/first": http.StatusMovedPermanently,
		"/bots/": http.StatusNotFound, "/bots//readyz": http.StatusNotFound, "/bots": http.StatusNotFound, "/bots/fourth/": http.StatusNotFound,
	} {
		if code, text := r.ask(t.Context(), path); code != want {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	_, text := r.ask(t.Context(), "/metrics")
	for _, series := range []string{
		`discordproxy_calls_total{bot="first",`, `discordproxy_calls_total{bot="second",`, `discordproxy_ready{bot="third"} 1`,
		`discordproxy_build_info{version=`, "\ngo_goroutines ",
	} {
		if !strings.Contains(text, series) {
			t.Errorf("the metrics lack %s", series)
		}
	}
	fleet, err := r.dashboard.GetFleet(t.Context(), new(pb.GetFleetRequest))
	var names []string
	for _, b := range fleet.GetBots() {
		names = append(names, b.GetName())
	}
	if err != nil || !slices.Equal(names, []string{"first", "second", "third"}) || len(fleet.GetReplicas()) != 1 {
		t.Errorf("the fleet: %v %v", fleet, err)
	}
	other, err := discordapiconnect.NewDashboardClient(r.client(), "http://"+r.address+"/bots/first").GetFleet(t.Context(), new(pb.GetFleetRequest))
	if err != nil || fleet.GetBot() != "second" || other.GetBot() != "first" {
		t.Errorf("the fleet is asked of the bots %q and %q: %v", fleet.GetBot(), other.GetBot(), err)
	}
	if n := passed.Load(); n != 0 {
		t.Errorf("%d names of bots reached Discord", n)
	}
}

func readyAt(r *running, path string) error {
	if code, text := r.ask(context.Background(), path+"/readyz"); code != http.StatusOK {
		return fmt.Errorf("%s: %s", path, text)
	}
	return nil
}

// identifies identifies with a token at a bot's gateway, by the opcode of IDENTIFY or RESUME,
// and returns the type of the first payload after HELLO, or how the connection is closed.
func (r *running) identifies(t *testing.T, path string, op int, token string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, "ws://"+r.address+path+"?v=10&encoding=json", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	defer func() { _ = ws.CloseNow() }()
	hello := fmt.Sprintf(`{"op": %d, "d": {"token": %q, "properties": {}, "intents": 1, "session_id": "x", "seq": 1}}`, op, token)
	if err := ws.Write(ctx, websocket.MessageText, []byte(hello)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, data, err := ws.Read(ctx)
		if closed, ok := errors.AsType[websocket.CloseError](err); ok {
			return fmt.Sprintf("%d %s", closed.Code, closed.Reason)
		}
		var payload struct {
			Op   int
			Type string `json:"t"`
		}
		if err = cmp.Or(err, json.Unmarshal(data, &payload)); err != nil {
			t.Fatal(err)
		}
		if payload.Op != 10 {
			return payload.Type
		}
	}
	t.Fatal("there are two payloads HELLO")
	panic("unreachable")
}

// TestTokenOfAnotherBot: a client that identifies at the gateway of one bot with the token of
// another one learns which bot's token it is, and where that bot's gateway is.
func TestTokenOfAnotherBot(t *testing.T) {
	const refused = "4004 Authentication failed: "
	for name, guarded := range map[string]bool{"open": false, "with clients": true} {
		t.Run(name, func(t *testing.T) {
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			t.Cleanup(sb.Close)
			discord := httptest.NewServer(sb)
			t.Cleanup(discord.Close)
			first, second := addBot(t, sb, "first"), addBot(t, sb, strings.Repeat("s", 32))
			first.Gateway, second.Gateway = server.GatewayConfig{}, server.GatewayConfig{}
			var log lockedBuffer
			c := server.Config{
				Bots: []server.BotConfig{first, second}, APIURL: discord.URL + "/api", Logger: slog.New(slog.NewTextHandler(&log, nil)),
			}
			paths := []string{"/gateway", "/bots/first/gateway", "/bots/" + second.Name + "/gateway"}
			var key string
			if guarded {
				var hash string
				key, hash = server.NewKey()
				c.AuthFile, c.Auth = "auth.yaml", fmt.Appendf(nil, "clients: [{name: shop, hashes: [%q]}]", hash)
				paths = append(paths, "/k/"+key+"/gateway") // lets the client in, whatever its token
			}
			r := run(t, c)
			r.key = key
			defer func() {
				r.stop()
				<-r.done
			}()
			r.answers(t)
			for _, path := range paths {
				own, other := first, second
				if strings.Contains(path, second.Name) {
					own, other = second, first
				}
				if got := r.identifies(t, path, 2, own.Token); got != "READY" {
					t.Errorf("the bot's own token at %s: %s", path, got)
				}
				want := refused + "the token is that of another bot: connect to /bots/" + other.Name + "/gateway"
				if strings.HasPrefix(path, "/k/") {
					want = strings.Replace(want, "/bots/", "/k/KEY/bots/", 1)
				}
				for _, op := range []int{2, 6} {
					if got := r.identifies(t, path, op, other.Token); got != want {
						t.Errorf("opcode %d with the token of %s at %s: %s", op, other.Name, path, got)
					}
				}
				// Only the whole token proves anything.
				if got := r.identifies(t, path, 2, other.Token+"x"); !strings.HasPrefix(got, refused) || strings.Contains(got, other.Name) {
					t.Errorf("a wrong token at %s: %s", path, got)
				}
			}
			if text := log.String(); !strings.Contains(text, "the token is that of another bot: connect to /bots/first/gateway") ||
				strings.Contains(text, first.Token) || strings.Contains(text, second.Token) || guarded && strings.Contains(text, key) {
				t.Errorf("the log:\n%s", text)
			}
		})
	}
}

// TestBotsApart: a bot whose token Discord refuses does not keep others from working, and
// works once it has a good one.
func TestBotsApart(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	t.Cleanup(sb.Close)
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	good, bad := addBot(t, sb, "good"), addBot(t, sb, "bad")
	token := bad.Token
	bad.Token += "x"
	c := server.Config{Bots: []server.BotConfig{bad, good}, APIURL: discord.URL + "/api"}
	srv, err := server.New(c)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := server.Listen(t.Context(), []string{"127.0.0.1"}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, srv, lis)
	defer func() {
		r.stop()
		<-r.done
	}()
	within(t, func() error {
		if err := readyAt(r, "/bots/good"); err != nil {
			return err
		}
		code, text := r.ask(t.Context(), "/readyz")
		if code != http.StatusOK || !strings.Contains(text, "bot bad: cannot be used: Discord refused the bot token") {
			return fmt.Errorf("%d %s", code, text)
		}
		return nil
	})
	if code, _ := r.ask(t.Context(), "/bots/bad/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("the bot with a bad token is ready: %d", code)
	}
	if name, err := r.askAs(t.Context(), "", "good"); name != "good" || err != nil {
		t.Errorf("the other bot: %q %v", name, err)
	}
	if _, err := r.askAs(t.Context(), "", ""); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("a call of the bot with a bad token: %v", err)
	}
	c.Bots[0].Token = good.Token
	if err := srv.Reload(t.Context(), c); err == nil || !strings.Contains(err.Error(), "the token is that of another bot") {
		t.Errorf("the bot takes the token of the other one: %v", err)
	}
	if name, err := r.askAs(t.Context(), "/bots/bad", ""); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("a call of the bot with the token of the other one: %q %v", name, err)
	}
	empty := emptyFile(t)
	c.Bots[0].Token, c.Bots[0].TokenFile = "", empty
	if err := srv.Reload(t.Context(), c); err == nil || err.Error() != "the bot token cannot be used: token file "+empty+" is empty" {
		t.Errorf("a reload with an empty token file: %v", err)
	}
	c.Bots[0].Token, c.Bots[0].TokenFile = token, ""
	c.Bots = c.Bots[:1] // the other one keeps its token
	if err := srv.Reload(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	within(t, func() error { return readyAt(r, "/bots/bad") })
	if name, err := r.askAs(t.Context(), "", ""); name != "bad" || err != nil {
		t.Errorf("the bot with a good token: %q %v", name, err)
	}
}

// TestBotsLog: a line of the log names its bot once, by the name in the configuration.
func TestBotsLog(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	t.Cleanup(sb.Close)
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	first, second := addBot(t, sb, "one"), addBot(t, sb, "two")
	first.Name, second.Name = "first", "second"
	first.Gateway, second.Gateway = server.GatewayConfig{}, server.GatewayConfig{}
	var log lockedBuffer
	srv, err := server.New(server.Config{
		Bots: []server.BotConfig{first, second}, APIURL: discord.URL + "/api", Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	lis, err := server.Listen(t.Context(), []string{"127.0.0.1"}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, srv, lis)
	defer func() {
		r.stop()
		<-r.done
	}()
	within(t, func() error {
		if text := log.String(); strings.Count(text, `msg="connected to Discord's gateway"`) < 2 {
			return fmt.Errorf("not both bots are at the gateway:\n%s", text)
		}
		return nil
	})
	for line := range strings.Lines(log.String()) {
		if strings.Count(line, " bot=") > 1 {
			t.Errorf("a line names two bots: %s", line)
		}
		for bot, user := range map[string]string{"first": "one", "second": "two"} {
			if strings.Contains(line, " bot="+bot+" ") && strings.Contains(line, " username=") && !strings.Contains(line, " username="+user) {
				t.Errorf("bot %s is not %s: %s", bot, user, line)
			}
		}
	}
}

// TestBotsConfig: mistakes in the list of bots are errors that name the bot, and no token.
func TestBotsConfig(t *testing.T) {
	const token = "MTIz.secret"
	ok, empty := server.BotConfig{Name: "a", Token: token}, emptyFile(t)
	for want, c := range map[string]server.Config{
		"the name of bot 2 must be 1 to 32 lowercase letters": {Bots: []server.BotConfig{ok, {Name: "Ä", Token: token}}},
		"two bots are named a":                                {Bots: []server.BotConfig{ok, ok}},
		"Bots: b has no token":                                {Bots: []server.BotConfig{ok, {Name: "b"}}},
		"both a and b are the default":                        {Bots: []server.BotConfig{{Name: "a", Token: token, Default: true}, {Name: "b", Token: "x", Default: true}}},
		"Bots and Token or TokenFile exclude each other":      {Token: token, Bots: []server.BotConfig{ok}},
		"the tokens of a and b are those of the same bot":     {Bots: []server.BotConfig{ok, {Name: "b", Token: "MTIz.another"}}},
		"Bots: a: cannot read the token file":                 {Bots: []server.BotConfig{{Name: "a", TokenFile: t.TempDir() + "/none"}}},
		"Bots: a: token file " + empty + " is empty":          {Bots: []server.BotConfig{{Name: "a", TokenFile: empty}}},
		"Bots: a: Gateway.EventBuffer is negative":            {Bots: []server.BotConfig{{Name: "a", Token: token, Gateway: server.GatewayConfig{EventBuffer: -1}}}},
	} {
		srv, err := server.New(c)
		if err == nil {
			srv.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// TestBotsOfReplicas: a server forwards a request for a bot that another one leads there,
// however the request names the bot.
func TestBotsOfReplicas(t *testing.T) {
	f := newFleet(t)
	first, second := addBot(t, f.sb, "first"), addBot(t, f.sb, "second")
	second.Gateway = server.GatewayConfig{}
	f.config.Token, f.config.Bots = "", []server.BotConfig{first, second}
	leader, entry := f.pair(t)
	for _, r := range []*running{leader, entry} {
		for _, name := range []string{"first", "second"} {
			within(t, func() error { return readyAt(r, "/bots/"+name) })
			for _, how := range [][2]string{{"/bots/" + name, ""}, {"", name}} {
				for kind, options := range map[string][]connect.ClientOption{"Connect": nil, "gRPC": {connect.WithGRPC()}} {
					if got, err := r.askAs(t.Context(), how[0], how[1], options...); got != name || err != nil {
						t.Errorf("%q by %s: %q %v", how, kind, got, err)
					}
				}
				headers := []string{"Discord-Bot", how[1]}
				if how[1] == "" {
					headers = nil
				}
				if code, text := r.ask(t.Context(), how[0]+"/api/v10/users/@me", headers...); code != http.StatusOK || !strings.Contains(text, name) {
					t.Errorf("%q: %d %s", how, code, text)
				}
			}
		}
		if code, text := r.ask(t.Context(), "/api/v10/users/@me", "Authorization", "Bot "+second.Token); code != http.StatusOK || !strings.Contains(text, "second") {
			t.Errorf("a bot's own token: %d %s", code, text)
		}
		if got := r.identifies(t, "/bots/second/gateway", 2, first.Token); !strings.HasSuffix(got, "connect to /bots/first/gateway") {
			t.Errorf("the token of another bot: %s", got)
		}
		within(t, func() error {
			code, text := r.ask(t.Context(), "/bots/second/api/v10/gateway/bot")
			if want := "ws://" + r.address + "/bots/second/gateway"; code != http.StatusOK || !strings.Contains(text, want) {
				return fmt.Errorf("the gateway: %d %s, want %s", code, text, want)
			}
			return nil
		})
	}
	if got := entry.counts("discordproxy_forwarded_total", `bot="second"`, `outcome="answered"`); got == "" || got == "0" {
		t.Errorf("the second bot's requests were not forwarded: %q", got)
	}
	within(t, func() error {
		fleet, err := entry.dashboard.GetFleet(t.Context(), new(pb.GetFleetRequest))
		if err != nil || len(fleet.GetBots()) != 2 || len(fleet.GetReplicas()) != 2 {
			return fmt.Errorf("the fleet: %v %w", fleet, err)
		}
		return nil
	})
}

// TestBotsThatWait: a request that waits until its server leads the bot is served there, and
// the name of the bot does not reach Discord.
func TestBotsThatWait(t *testing.T) {
	f := newFleet(t)
	first, second := addBot(t, f.sb, "first"), addBot(t, f.sb, "second")
	f.config.Token, f.config.Bots = "", []server.BotConfig{first, second}
	db, err := sql.Open("pgx", f.config.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	f.join(t).answers(t) // which makes the tables
	var bots string
	within(t, func() error {
		return db.QueryRowContext(t.Context(), "SELECT string_agg(bot, ',') FROM leases HAVING count(*) = 2").Scan(&bots)
	})
	change := func(set string) {
		t.Helper()
		// A statement for each lease, as servers do: one for both can wait for a
		// transaction with changes of both, which waits for it.
		for _, bot := range strings.Split(bots, ",") {
			result, err := db.ExecContext(t.Context(), "UPDATE leases SET "+set+" WHERE bot = $1", bot)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := result.RowsAffected(); n != 1 || err != nil {
				t.Fatal(bot, n, err)
			}
		}
	}
	// Nobody can reach who leads the bots from here on.
	change("holder = 'nobody', epoch = epoch + 1, until_at = extract(epoch FROM clock_timestamp()) * 1000 + 60000")
	r := f.join(t)
	codes := make(chan int, 2)
	for _, how := range [][]string{{"/bots/second/api/v10/users/@me"}, {"/api/v10/users/@me", "Discord-Bot", "second"}} {
		go func() {
			code, _ := r.ask(context.WithoutCancel(t.Context()), how[0], how[1:]...)
			codes <- code
		}()
	}
	within(t, func() error {
		if n := r.counts("discordproxy_forwarded_in_progress", `bot="second"`); n != "2" {
			return fmt.Errorf("%s requests wait", n)
		}
		return nil
	})
	change("until_at = 0")
	for range 2 {
		if code := receive(t, codes); code != http.StatusOK {
			t.Errorf("a request that has waited: %d", code)
		}
	}
	if n := f.named.Load(); n != 0 {
		t.Errorf("%d names of bots reached Discord", n)
	}
}

// TestBotsShareAddress: a request of one bot that Discord refuses counts for all bots, since
// Discord bans the address that they share.
func TestBotsShareAddress(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	t.Cleanup(sb.Close)
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	r := run(t, server.Config{Bots: []server.BotConfig{addBot(t, sb, "first"), addBot(t, sb, "second")}, APIURL: discord.URL + "/api"})
	defer func() {
		r.stop()
		<-r.done
	}()
	within(t, func() error { return readyAt(r, "/bots/first") })
	if code, text := r.ask(t.Context(), "/bots/first/api/v10/channels/"+sb.World().Forbidden.String()+"/messages"); code != http.StatusForbidden {
		t.Fatalf("%d %s", code, text)
	}
	for _, bot := range []string{"first", "second"} {
		ctx, info := connect.NewClientContext(t.Context())
		info.RequestHeader().Set("Discord-Bot", bot)
		status, err := r.GetRateLimitStatus(ctx, new(pb.GetRateLimitStatusRequest))
		if err != nil || status.GetInvalidRequests().GetCount() != 1 {
			t.Errorf("%s has %d invalid requests: %v", bot, status.GetInvalidRequests().GetCount(), err)
		}
	}
}
