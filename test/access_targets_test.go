package test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
)

// restricted starts a server with one client, who may do what the entry says.
func restricted(t *testing.T, sb *sandbox.Sandbox, entry string) (*proxytest.Proxy, proxytest.Identity) {
	t.Helper()
	key, hash := server.NewKey()
	return proxytest.Guarded(t, sb, fmt.Sprintf("clients: [{name: shop, hashes: [%q], %s}]", hash, entry)), proxytest.Identity{Key: key}
}

// TestTargets: a client that may use one channel and one user reaches no other, however a
// request names them.
func TestTargets(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	w := sb.World()
	p, id := restricted(t, sb, fmt.Sprintf("channels: [%d], users: [%d], untargeted: true", w.General, w.Alice))

	client := p.ClientsAs(t, id)["gRPC"]
	for name, tt := range map[string]struct {
		call    func() error
		allowed bool
	}{
		"forward from another channel": {func() error {
			_, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{
				ChannelId: uint64(w.General), MessageReference: &pb.MessageReference{Type: 1, MessageId: 7, ChannelId: uint64(w.Random)},
			})
			return err
		}, false},
		"reply": {func() error {
			_, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{
				ChannelId: uint64(w.General), Content: "x", MessageReference: &pb.MessageReference{MessageId: 7},
			})
			return err
		}, true},
		"reply with a guild": {func() error {
			_, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{
				ChannelId: uint64(w.General), Content: "x", MessageReference: &pb.MessageReference{MessageId: 7, ChannelId: uint64(w.General), GuildId: uint64(w.Guild)},
			})
			return err
		}, true},
		"reply by guild alone": {func() error {
			_, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{
				ChannelId: uint64(w.General), Content: "x", MessageReference: &pb.MessageReference{MessageId: 7, GuildId: uint64(w.Guild)},
			})
			return err
		}, false},
		"another user within the channel": {func() error {
			_, err := client.AddThreadMember(t.Context(), &pb.AddThreadMemberRequest{ChannelId: uint64(w.General), UserId: uint64(w.Bob)})
			return err
		}, true},
		"another user": {func() error {
			_, err := client.GetUser(t.Context(), &pb.GetUserRequest{UserId: uint64(w.Bob)})
			return err
		}, false},
		"one of several users": {func() error {
			stream, err := client.SendDirectMessages(t.Context(), &pb.SendDirectMessagesRequest{UserIds: []uint64{uint64(w.Alice), uint64(w.Bob)}})
			if err != nil {
				return err
			}
			defer stream.Close()
			stream.Receive()
			return stream.Err()
		}, false},
	} {
		if err := tt.call(); tt.allowed == (err != nil && strings.Contains(err.Error(), "client shop may not use")) {
			t.Errorf("%s: got %v", name, err)
		}
	}

	other := func(format string) string { return fmt.Sprintf(format, w.Random) }
	messages := fmt.Sprintf("/channels/%d/messages", w.General)
	const plain = "application/json"
	const urlencoded = "application/x-www-form-urlencoded"
	form := "multipart/form-data; boundary=b"
	part := func(header, body string) string {
		return "--b\r\nContent-Disposition: form-data; " + header + "\r\n\r\n" + body + "\r\n--b--\r\n"
	}
	for name, tt := range map[string]struct {
		method, path, contentType, body string
		allowed                         bool
	}{
		"own channel":             {"POST", messages, plain, `{"content":"x"}`, true},
		"files":                   {"POST", messages, form, part(`name="files[0]"; filename="a"`, "x"), true},
		"direct message":          {"POST", "/users/@me/channels", plain, fmt.Sprintf(`{"recipient_id":%d}`, w.Alice), true},
		"no target":               {"GET", "/users/@me", "", "", true},
		"user in a channel":       {"DELETE", fmt.Sprintf("/channels/%d/thread-members/%d", w.General, w.Bob), "", "", true},
		"other channel":           {"GET", other("/channels/%d"), "", "", false},
		"escaped id":              {"GET", strings.Replace(other("/channels/%d"), "/11", "/%31%31", 1), "", "", false},
		"id with a plus":          {"GET", other("/channels/+%d"), "", "", false},
		"channel behind much":     {"GET", strings.Repeat("/x", 16) + other("/channels/%d"), "", "", false},
		"other guild":             {"GET", fmt.Sprintf("/guilds/%d", w.Guild), "", "", false},
		"guild of an application": {"GET", fmt.Sprintf("/applications/1/guilds/%d/commands", w.Guild), "", "", false},
		"other user":              {"GET", fmt.Sprintf("/users/%d", w.Bob), "", "", false},
		"other direct message":    {"POST", "/users/@me/channels", plain, fmt.Sprintf(`{"recipient_id":"%d"}`, w.Bob), false},
		"several recipients":      {"POST", "/users/@me/channels", plain, fmt.Sprintf(`{"recipients":["%d"]}`, w.Bob), false},
		"reply with a guild":      {"POST", messages, plain, fmt.Sprintf(`{"content":"x","message_reference":{"channel_id":"%d","guild_id":"%d","message_id":"1","fail_if_not_exists":false}}`, w.General, w.Guild), true},
		"reply by guild alone":    {"POST", messages, plain, fmt.Sprintf(`{"content":"x","message_reference":{"guild_id":"%d","message_id":"1"}}`, w.Guild), false},
		"forward":                 {"POST", messages, plain, other(`{"message_reference":{"channel_id":"%d"}}`), false},
		"forward, twice":          {"POST", messages, plain, fmt.Sprintf(`{"message_reference":{"channel_id":"%d","channel_id":"%d"}}`, w.Random, w.General), false},
		"forward, escaped name":   {"POST", messages, plain, other(`{"message_reference":{"channel\u005fid":%d}}`), false},
		"forward, float":          {"POST", messages, plain, `{"message_reference":{"channel_id":1.1e18}}`, false},
		"forward in a form":       {"POST", messages, form, part(`name="payload_json"`, other(`{"message_reference":{"channel_id":"%d"}}`)), false},
		"own channel, plain form": {"POST", messages, urlencoded, "content=x", true},
		"own channel, JSON form":  {"POST", messages, urlencoded, url.Values{"payload_json": {`{"content":"x"}`}}.Encode(), true},
		"direct message, form":    {"POST", "/users/@me/channels", urlencoded, fmt.Sprintf("recipient_id=%d", w.Alice), true},
		"other in a plain form":   {"POST", "/users/@me/channels", urlencoded, fmt.Sprintf("recipient_id=%d", w.Bob), false},
		"both in a plain form":    {"POST", "/users/@me/channels", urlencoded, fmt.Sprintf("recipient_id=%d&recipient_id=%d", w.Alice, w.Bob), false},
		"forward in a plain form": {"POST", messages, urlencoded, url.Values{"message_reference": {other(`{"channel_id":"%d"}`)}}.Encode(), false},
		"forward in a JSON form":  {"POST", messages, urlencoded, url.Values{"payload_json": {other(`{"message_reference":{"channel_id":"%d"}}`)}}.Encode(), false},
		"JSON form and a field":   {"POST", messages, urlencoded, "content=x&payload_json=%7B%7D", false},
		"forward, dotted name":    {"POST", messages, form, part(`name="message_reference[channel_id]"`, other("%d")), false},
		"follower":                {"POST", fmt.Sprintf("/channels/%d/followers", w.General), plain, other(`{"webhook_channel_id":"%d"}`), false},
		"query":                   {"GET", messages + other("?channel_id=%d"), "", "", false},
		"not JSON":                {"POST", messages, plain, "{", false},
		"two documents":           {"POST", messages, plain, "{} {}", false},
		"UTF-16":                  {"POST", messages, plain + "; charset=utf-16", "{\x00}\x00", false},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, p.URL()+"/api/v10"+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", tt.contentType)
		sb.ResetStats()
		resp, err := p.HTTPClient(t, id, false).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if asked := len(sb.Stats().Routes) > 0; asked != tt.allowed || !tt.allowed && resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: answered %d, at Discord: %v", name, resp.StatusCode, asked)
		}
	}
}

// TestPagesOfOtherSites: what a browser sends for a page without asking first
// gets to no method, whether it says where it comes from or not.
func TestPagesOfOtherSites(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	w := sb.World()
	p := proxytest.Against(t, sb)
	message := fmt.Sprintf(`{"channel_id":"%d","content":"x"}`, w.General)
	typed, rest := "/discord_api.DiscordApi/SendChannelMessage", fmt.Sprintf("/api/v10/channels/%d/messages", w.General)
	form := "--b\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n" + message + "\r\n--b--\r\n"
	bodies := map[string]string{
		"":                                  message,
		"text/plain":                        message,
		"text/plain;charset=UTF-8":          message,
		"application/x-www-form-urlencoded": "channel_id=1&content=x",
		"multipart/form-data; boundary=b":   form,
	}
	marks := map[string]http.Header{
		"of a modern browser": {"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}, "Origin": {"https://evil.example"}},
		"of an older one":     {"Origin": {"https://evil.example"}},
		"of a sandbox":        {"Origin": {"null"}},
		"without a mark":      {},
	}
	send := func(path, contentType, body string, header http.Header) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header.Clone()
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		resp, err := p.HTTPClient(t, proxytest.Identity{}, false).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for mark, header := range marks {
		for contentType, body := range bodies {
			for _, path := range []string{typed, rest} {
				if path == rest && mark == "without a mark" && strings.Contains(contentType, "form") {
					continue // a program, such as a library that sends files, or curl -d
				}
				sb.ResetStats()
				status := send(path, contentType, body, header)
				if asked := sb.Stats().Routes; len(asked) > 0 || status != http.StatusForbidden && status != http.StatusUnsupportedMediaType {
					t.Errorf("%s: %q to %s is answered %d, Discord was asked for %v", mark, contentType, path, status, asked)
				}
			}
		}
	}
	for path, contentType := range map[string]string{typed: "application/json", rest: "multipart/form-data; boundary=b"} {
		body := bodies[contentType]
		if body == "" {
			body = message
		}
		if status := send(path, contentType, body, http.Header{}); status != http.StatusOK {
			t.Errorf("a program is answered %d by %s", status, path)
		}
	}
}
