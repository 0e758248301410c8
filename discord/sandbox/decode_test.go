package sandbox_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
)

// TestNeighbouringTypes: requests use text for numbers, whole floats for integers and
// numbers for text, as libraries do.
func TestNeighbouringTypes(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	messages := path("/channels/%d/messages", r.w.General)
	commands := path("/applications/%d/commands", r.w.Bot)
	poll := func(duration any) obj {
		return obj{"poll": obj{"question": obj{"text": "q"}, "answers": []obj{{"poll_media": obj{"text": "a"}}}, "duration": duration}}
	}
	r.do("POST", messages, poll(1.0)).is(200)
	r.do("POST", messages, `{"poll":{"question":{"text":"q"},"answers":[{"poll_media":{"text":"a"}}],"duration":"24.0"}}`).complains("poll.duration", "NUMBER_TYPE_COERCE")
	r.do("POST", messages, `{"poll":{"question":{"text":"q"},"answers":[{"poll_media":{"text":"a"}}],"duration":2.40e1}}`).is(200)
	r.do("POST", messages, poll(1.5)).complains("poll.duration", "NUMBER_TYPE_COERCE")
	equal(t, "text", r.do("POST", messages, obj{"content": 123, "tts": "false", "flags": "4"}).message().Content, "123")
	r.do("POST", messages, obj{"content": obj{}}).complains("content", "STRING_TYPE_CONVERT")
	r.do("POST", messages, obj{"content": "x", "tts": "maybe"}).complains("tts", "BOOLEAN_TYPE_PARSE")
	r.do("POST", messages, obj{"embeds": []obj{{"title": "a"}, {"title": "b", "color": "255"}}}).is(200)
	r.do("POST", messages, obj{"embeds": []obj{{"title": "a"}, {"title": []int{}}}}).complains("embeds.1.title", "STRING_TYPE_CONVERT")
	r.do("POST", messages, obj{"embeds": obj{}}).complains("embeds", "LIST_TYPE_CONVERT")
	r.do("POST", messages, obj{"embeds": []any{5}}).complains("embeds.0", "DICT_TYPE_CONVERT")
	r.do("POST", messages, `{"content": "x"`).is(400, 50109)
	r.do("POST", messages, obj{"content": "x", "components": []obj{{"type": "1", "components": []obj{{"type": 2.0, "style": "1", "label": 5, "custom_id": "b"}}}}}).is(200)

	command := func(name string, more obj) obj {
		out := obj{"name": name, "description": "d"}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	made := r.do("POST", commands, command("a", obj{"type": "1", "contexts": []any{"0", 1.0}, "options": []obj{
		{"type": "4", "name": "n", "description": "d", "min_value": "1", "max_length": nil, "choices": []obj{{"name": "one", "value": "1"}}},
	}})).is(201).object()
	equal(t, "contexts", fmt.Sprint(made["contexts"]), "[0 1]")
	equal(t, "type", made["type"], any(1.0))
	equal(t, "choice", made["options"].([]any)[0].(obj)["choices"].([]any)[0].(obj)["value"], any(1.0))
	r.do("PUT", commands, []obj{command("a", nil), command("b", obj{"contexts": []any{"x"}})}).complains("1.contexts.0", "NUMBER_TYPE_COERCE")
	r.do("PUT", commands, []obj{command("a", nil), command("b", obj{"options": []obj{{"type": "three", "name": "n", "description": "d"}}})}).complains("1.options.0.type", "NUMBER_TYPE_COERCE")
	r.do("PUT", commands, []any{command("a", nil), 5}).complains("1", "DICT_TYPE_CONVERT")
	r.do("PUT", commands, obj{}).complains("", "LIST_TYPE_CONVERT")
	bulk := r.do("PUT", commands, []obj{command("a", obj{"contexts": []any{"7"}})})
	bulk.complains("0.contexts.0", "BASE_TYPE_CHOICES")
	r.do("PATCH", path("/guilds/%d/members/%d", r.w.Guild, r.w.Bob), obj{"roles": []any{"x"}}).complains("roles.0", "NUMBER_TYPE_COERCE")
	r.do("PUT", path("/channels/%d/permissions/%d", r.w.General, r.w.Bob), obj{"type": "1", "allow": "many"}).complains("allow", "NUMBER_TYPE_COERCE")
	r.do("PUT", path("/channels/%d/permissions/%d", r.w.General, r.w.Bob), obj{"type": "1", "allow": 1024}).is(204)
}

func TestFormBodies(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	send := path("/api/v10/channels/%d/messages", r.w.General)
	m := r.form(send, url.Values{"content": {"5"}, "tts": {"True"}, "flags": {"4"}, "nonce": {"7"}}).message()
	equal(t, "content", m.Content, "5")
	equal(t, "tts", m.TTS, true)
	equal(t, "flags", m.Flags, 4)
	other := m
	m = r.form(send, url.Values{"payload_json": {`{"content":"from a form","embeds":[{"title":"e"}]}`}}).message()
	equal(t, "embeds", len(m.Embeds), 1)
	r.form(send, url.Values{"payload_json": {`{"content"`}}).is(400, 50109)
	r.form(send, url.Values{"content": {"x"}, "flags": {"many"}}).complains("flags", "NUMBER_TYPE_COERCE")

	callback, _ := r.use(sandbox.Use{})
	r.as("").form("/api/v10"+callback, url.Values{"payload_json": {`{"type":4,"data":{"content":"answered"}}`}}).is(204)
	callback, _ = r.use(sandbox.Use{})
	r.as("").form("/api/v10"+callback, url.Values{"type": {"5"}}).is(204)
	r.form(path("/api/v10/channels/%d/messages/bulk-delete", r.w.General), url.Values{"messages": {m.ID.String(), other.ID.String()}}).is(204)
}

// TestSnowflakesAsNumbers: clients may write snowflakes as numbers, which a float64
// cannot represent.
func TestSnowflakesAsNumbers(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	changed := r.do("PATCH", path("/guilds/%d", r.w.Guild), obj{"system_channel_id": uint64(r.w.Random)}).is(200).object()
	equal(t, "channel", changed["system_channel_id"], any(r.w.Random.String()))
	users := []obj{{"type": 1, "components": []obj{{"type": 5, "custom_id": "u", "default_values": []obj{{"id": uint64(r.w.Bob), "type": "user"}}}}}}
	m := r.do("POST", path("/channels/%d/messages", r.w.General), obj{"components": users}).message()
	equal(t, "default value", m.Components[0]["components"].([]any)[0].(obj)["default_values"].([]any)[0].(obj)["id"], any(r.w.Bob.String()))
	r.do("POST", path("/channels/%d/messages", r.w.General), obj{"content": "1100000000000000010", "nonce": 1100000000000000011}).is(200)
	equal(t, "nonce", string(r.Messages(r.w.General)[1].Nonce), "1100000000000000011")
}

// TestEscapedLiterals: clients may escape characters that need no escape.
func TestEscapedLiterals(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	r.do("GET", "/users/%40me", nil).is(200)
	r.do("PATCH", path("/guilds/%d/members/%%40me", r.w.Guild), obj{"nick": "x"}).is(200)
	react := path("/channels/%d/messages/%d/reactions/%s", r.w.Announcement, r.w.Pinned, url.PathEscape("👍"))
	r.do("PUT", react+"/%40me", nil).is(204)
	r.do("DELETE", react+"/%40me", nil).is(204)
	callback, hook := r.use(sandbox.Use{})
	r.do("POST", callback, obj{"type": 5}).is(204)
	r.do("PATCH", hook+"/messages/%40original", obj{"content": "done"}).is(200)
	r.do("GET", hook+"/mess%61ges/%40ORIGINAL", nil).complains("message_id", "NUMBER_TYPE_COERCE")
	r.do("GET", "/channels%2F5", nil).is(404)
	equal(t, "route", r.Stats().Routes["GET /users/@me"], 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://sandbox/api/v%310/users/@me", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.send(req).is(200)
}

// TestTokens: both forms of the default token are the same token.
func TestTokens(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	if !regexp.MustCompile(`^[\w-]{24,28}\.[\w-]{6}\.[\w-]{27,38}$`).MatchString(r.w.Token) {
		t.Errorf("%q is not shaped like a token", r.w.Token)
	}
	r.SetLimit(sandbox.Limit{Name: "me", Routes: []string{"GET /users/@me"}, Limit: 1, Window: 1e9 * 60})
	r.do("GET", "/users/@me", nil).is(200)
	r.as("Bot "+sandbox.DefaultToken).do("GET", "/users/@me", nil).is(429)
	long, _ := r.login(0, obj{"token": r.w.Token})
	short, _ := r.login(0)
	r.RevokeToken("Bot " + sandbox.DefaultToken)
	long.closed(4004)
	short.closed(4004)
	r.do("GET", "/users/@me", nil).is(401)
	r.as("Bot "+sandbox.DefaultToken).do("GET", "/users/@me", nil).is(401)

	other := newRig(t, sandbox.Config{Token: "own"})
	equal(t, "token", other.w.Token, "own")
	other.do("GET", "/users/@me", nil).is(200)
	other.as("Bot "+sandbox.DefaultToken).do("GET", "/users/@me", nil).is(401)
	if strings.Contains(r.w.Token, "Bot ") {
		t.Error(r.w.Token)
	}
}
