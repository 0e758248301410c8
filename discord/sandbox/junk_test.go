package sandbox_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
)

// TestJunk sends meaningless bodies to every route, with IDs that exist. Discord answers
// these with a 4xx; the sandbox must not fail.
func TestJunk(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	w := r.w
	fields := []string{
		"name", "content", "type", "data", "embeds", "components", "attachments", "flags", "poll", "message_reference", "sticker_ids", "options",
		"permissions", "roles", "messages", "recipient_id", "user_ids", "entity_type", "entity_metadata", "scheduled_start_time", "privacy_level",
		"channel_id", "status", "max_age", "image", "nick", "communication_disabled_until", "id", "position", "parent_id", "permission_overwrites",
		"available_tags", "message", "applied_tags", "allowed_mentions", "nonce", "afk_channel_id", "features", "description", "contexts", "tags",
	}
	bodies := []string{"", "null", "5", `"x"`, "[]", "[5]", "[null]", "[{}]", "{}", "{"}
	for i, value := range []string{"null", `"x"`, "[null]", "{}", "5", "-1", "1.5", "true", "[]", "[[]]", `{"x":null}`, `[{"type":1}]`, `"99999999999999999999999"`, `{"type":9,"custom_id":"c","components":[5]}`} {
		var all []string
		for _, f := range fields {
			all = append(all, fmt.Sprintf("%q:%s", f, value))
			if i < 4 { // one field at a time, of each kind
				bodies = append(bodies, fmt.Sprintf("{%q:%s}", f, value))
			}
		}
		bodies = append(bodies, "{"+strings.Join(all, ",")+"}", "[{"+strings.Join(all, ",")+"}]")
	}
	for _, key := range sandbox.RouteKeys() {
		method, template, _ := strings.Cut(key, " ")
		if method == http.MethodGet || method == http.MethodDelete {
			continue
		}
		for _, body := range bodies {
			var in sandbox.Interaction
			if strings.Contains(template, "interaction") {
				in = r.AddInteraction(w.General)
			}
			at := strings.NewReplacer(
				"{channel_id}", w.General.String(), "{guild_id}", w.Guild.String(), "{user_id}", w.Bob.String(), "{application_id}", w.Bot.String(),
				"{message_id}", w.Message.String(), "{webhook_id}", w.Webhook.String(), "{webhook_token}", w.WebhookToken, "{role_id}", w.MemberRole.String(),
				"{interaction_id}", in.ID.String(), "{interaction_token}", in.Token, "{overwrite_id}", w.Bob.String(), "{emoji_id}", w.Emoji.String(),
				"{emoji_name}", "%F0%9F%91%8D", "{command_id}", "1", "{sticker_id}", "1", "{guild_scheduled_event_id}", "1", "{code}", "x",
			).Replace(template)
			req, err := http.NewRequestWithContext(t.Context(), method, "http://sandbox/api/v10"+at, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", r.auth)
			resp, err := r.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode >= 500 {
				t.Errorf("%s with %s: %d %s", key, body, resp.StatusCode, answer)
			}
		}
	}
}
