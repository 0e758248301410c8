package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"

	pb "discordproxy/gen/discord_api"
)

// allianceAuth is a site of Alliance Auth whose Discord service uses the proxy.
type allianceAuth struct {
	python string
	env    []string
}

// newAllianceAuth returns a site that finds Discord's API at an address of the
// proxy, such as http://127.0.0.1:50051/api/.
func newAllianceAuth(t *testing.T, sb *sandbox.Sandbox, api string) allianceAuth {
	t.Helper()
	site := require.Apps(t)
	require.Command(t, "redis-server", "apt-get install redis-server")
	w := sb.World()
	return allianceAuth{site.Python, append(
		os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "REDIS_SOCKET="+startRedis(t), "DISCORD_API_BASE_URL="+api,
		"DISCORD_GUILD_ID="+w.Guild.String(), "DISCORD_APP_ID="+w.Bot.String(), "DISCORD_BOT_TOKEN="+w.Token,
	)}
}

// run runs one of the site's programs, which ends with "passed N", and returns
// its last line.
func (a allianceAuth) run(t *testing.T, program string, input any) string {
	t.Helper()
	given, err := json.Marshal(input)
	if err != nil {
		t.Error(err)
		return ""
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, a.python, "-W", "ignore", filepath.Join("..", "apps", program))
	cmd.Env, cmd.Stdin = a.env, bytes.NewReader(given)
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	if err != nil || !strings.HasPrefix(last, "passed ") {
		t.Errorf("%s: %v\n%s", program, err, out)
	}
	return last
}

// entrances are the ways in which the programs of a site can reach a proxy, with
// the address at which they do.
var entrances = map[string]func(*testing.T, *sandbox.Sandbox) (base string){
	"bare": func(t *testing.T, sb *sandbox.Sandbox) string { return proxytest.Against(t, sb).URL() },
	"key in the path": func(t *testing.T, sb *sandbox.Sandbox) string {
		key, hash := server.NewKey()
		return proxytest.Guarded(t, sb, fmt.Sprintf("clients: [{name: auth, hashes: [%q]}]", hash)).URL() + "/k/" + key
	},
}

// TestAllianceAuth runs every method of Alliance Auth's DiscordClient, and what
// its users do, through the proxy.
func TestAllianceAuth(t *testing.T) {
	for name, enter := range entrances {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sb := sandbox.New(sandbox.Config{})
			site := newAllianceAuth(t, sb, enter(t, sb)+"/api/")
			w := sb.World()
			codes := make(map[sandbox.ID]string)
			for _, user := range []sandbox.ID{w.Stranger, w.Alice} {
				code, err := sb.Authorize(user, "identify", "guilds.join")
				if err != nil {
					t.Fatal(err)
				}
				codes[user] = code
			}
			site.run(t, "service.py", map[string]string{
				"alice": w.Alice.String(), "bob": w.Bob.String(), "stranger": w.Stranger.String(), "role": w.MemberRole.String(),
				"alice_code": codes[w.Alice], "stranger_code": codes[w.Stranger],
			})
			if limited := sb.Stats().Limited; len(limited) > 0 {
				t.Errorf("Discord limited %v", limited)
			}
		})
	}
}

// TestAllianceAuthNextToOthers: 20 threads of Alliance Auth's client change
// members while another program sends 200 messages to 10 channels.
func TestAllianceAuthNextToOthers(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	p := proxytest.Against(t, sb)
	site := newAllianceAuth(t, sb, p.URL()+"/api/")
	members := make([]string, 20)
	ids := make([]sandbox.ID, len(members))
	for i := range members {
		ids[i] = sb.AddUser(sandbox.User{Username: fmt.Sprintf("pilot%d", i)})
		if err := sb.AddMember(w.Guild, ids[i]); err != nil {
			t.Fatal(err)
		}
		members[i] = ids[i].String()
	}
	channels := make([]sandbox.ID, 10)
	for i := range channels {
		var err error
		if channels[i], err = sb.AddChannel(sandbox.Channel{GuildID: w.Guild, Name: fmt.Sprintf("channel-%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	const each = 20
	client := p.Clients()["gRPC"]
	var all sync.WaitGroup
	all.Go(func() {
		if got, want := site.run(t, "service_load.py", members), fmt.Sprintf("passed %d", 4*len(members)); got != want {
			t.Errorf("the threads: %s, want %s", got, want)
		}
	})
	for _, channel := range channels {
		all.Go(func() {
			for i := range each {
				if _, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{
					ChannelId: uint64(channel), Content: fmt.Sprint(i),
				}); err != nil {
					t.Errorf("message %d to %d: %v", i, channel, err)
				}
			}
		})
	}
	all.Wait()
	for _, channel := range channels {
		var got []string
		for _, m := range sb.Messages(channel) {
			got = append(got, m.Content)
		}
		var want []string
		for i := range each {
			want = append(want, fmt.Sprint(i))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("channel %d has %v", channel, got)
		}
	}
	if stats := sb.Stats(); stats.Routes["PATCH /guilds/{guild_id}/members/{user_id}"] != len(members) {
		t.Errorf("Discord was asked for %v", stats.Routes)
	}
}

// TestAuthbot: py-cord, which authbot uses, sends, edits, reacts and answers a command
// through the proxy.
func TestAuthbot(t *testing.T) {
	for name, enter := range entrances {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			python := require.Apps(t).Python
			sb := sandbox.New(sandbox.Config{})
			w := sb.World()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, python, "-W", "ignore", filepath.Join("..", "apps", "authbot.py"), enter(t, sb)+"/api/v10", w.Token, w.General.String())
			var errors bytes.Buffer
			cmd.Stderr = &errors
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			var last string
			for lines.Scan() {
				if last = lines.Text(); last == "ready" {
					if _, err := sb.Interact(sandbox.Use{Channel: w.General, Name: "lookup"}); err != nil {
						t.Error(err)
					}
				}
			}
			if err := cmd.Wait(); err != nil || last != "passed" {
				t.Fatalf("ended with %q: %v\n%s", last, err, errors.String())
			}
			var contents []string
			for _, m := range sb.Messages(w.General) {
				contents = append(contents, m.Content)
			}
			if got := fmt.Sprint(contents); got != "[edited by authbot found and more]" {
				t.Errorf("the channel has %s", got)
			}
			if got := sb.Stats().Routes["PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me"]; got != 1 {
				t.Errorf("%d reactions", got)
			}
		})
	}
}
