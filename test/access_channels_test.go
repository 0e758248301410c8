package test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"

	pb "discordproxy/gen/discord_api"
)

// TestChannelsOfAGuild: a client with a guild and one channel gets that channel
// alone when it lists the guild's, over the API and plain REST.
func TestChannelsOfAGuild(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	w := sb.World()
	for entry, all := range map[string]bool{
		fmt.Sprintf("guilds: [%d]", w.Guild):                            true,
		fmt.Sprintf("guilds: [%d], channels: ['*']", w.Guild):           true,
		fmt.Sprintf("guilds: [%d], channels: [%d]", w.Guild, w.General): false,
	} {
		p, id := restricted(t, sb, entry)
		answer, err := p.ClientsAs(t, id)["gRPC"].GetGuildChannels(t.Context(), &pb.GetGuildChannelsRequest{GuildId: uint64(w.Guild)})
		if err != nil {
			t.Fatal(err)
		}
		if list := answer.GetChannels(); all != (len(list) > 1) || !all && (len(list) != 1 || list[0].GetId() != uint64(w.General)) {
			t.Errorf("%s: the API lists %v", entry, list)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/api/v10/guilds/%d/channels", p.URL(), w.Guild), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := p.HTTPClient(t, id, false).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), fmt.Sprint(w.General)) || strings.Contains(string(body), fmt.Sprint(w.Random)) == !all {
			t.Errorf("%s: plain REST answers %d %s, %v", entry, resp.StatusCode, body, err)
		}
	}
}
