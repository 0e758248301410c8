package dropin

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"discordproxy/discord/sandbox"
)

// call is something that an app does with the old package.
type call struct {
	name    string
	do      string // a Python expression, see test/python/calls.py
	arrange func(*sandbox.Sandbox)
	timeout time.Duration // of the client; 0 for none
	args    []string      // of this server
	counts  bool          // compare the calls to Discord, too
	whole   bool          // compare the fields of usualDifferences, too
	why     string        // the servers differ; empty for those that do not
}

// usualDifferences are fields of messages that the cases of whole compare, and
// no others.
var usualDifferences = []string{"guild_id", "member", "timestamp", "nonce"}

// The calls that most cases make.
const (
	send     = `client.create_channel_message(general, "hi")`
	sendRaw  = `stub.SendChannelMessage(SendChannelMessageRequest(channel_id=general, content="hi"))`
	direct   = `client.create_direct_message(alice, "hi")`
	channels = `client.get_guild_channels(guild)`
)

const (
	postMessage  = "POST /channels/{channel_id}/messages"
	openDM       = "POST /users/@me/channels"
	guildChannel = "GET /guilds/{guild_id}/channels"
)

// fault arranges a fault with the calls of a route.
func fault(f sandbox.Fault) func(*sandbox.Sandbox) {
	return func(sb *sandbox.Sandbox) { sb.InjectFault(f) }
}

// talk makes sure that there is a message in a channel.
func talk(sb *sandbox.Sandbox) {
	w := sb.World()
	_, _ = sb.AddMessage(sandbox.Message{ChannelID: w.General, Author: &sandbox.User{ID: w.Alice}, Content: "hi"})
}

// embed is a call with an embed.
func embed(fields string) string {
	return fmt.Sprintf(`client.create_channel_message(general, embed=Embed(%s))`, fields)
}

// impatient makes this server give up after one try.
var impatient = []string{"--retry-for", "1ms"}

var allCalls = slices.Concat(messageCalls, embedCalls, targetCalls, statusCalls(), bodyCalls, limitCalls, networkCalls, wireCalls)

var messageCalls = []call{
	{name: "a channel message", why: "`guild_id` and `member` are on events of Discord's gateway only; fetching them would cost a call", do: send, whole: true},
	{name: "a direct message", why: "everything that Discord returns is passed on", do: direct, whole: true},
	{name: "a channel list", arrange: talk, why: "everything that Discord returns is passed on, except types that clients of 1.5 do not define", do: channels},
	{name: "calls to Discord for a channel message", why: "each call counts against the limits", do: send, counts: true},
	{name: "calls to Discord for a direct message", why: "each call counts against the limits", do: `client.create_direct_message(owner, "hi")`, counts: true},
	{name: "calls to Discord for a channel list", arrange: talk, why: "each call counts against the limits", do: channels, counts: true},
	{name: "a message without content and embed, by the stub", do: `stub.SendChannelMessage(SendChannelMessageRequest(channel_id=general))`},
	{name: "a direct message without content and embed, by the stub", do: `stub.SendDirectMessage(SendDirectMessageRequest(user_id=alice))`},
	{name: "a message without content and embed", do: `client.create_channel_message(general)`},
	{name: "a message of blanks", do: `client.create_channel_message(general, "  \n")`},
	{name: "a message with blanks around", do: `client.create_channel_message(general, "  hi  ")`},
	{name: "an empty embed", do: `client.create_channel_message(general, embed=Embed())`},
	{name: "an empty embed with content", why: "a part of an embed without content is left out", do: `client.create_channel_message(general, "hi", embed=Embed(author=Embed.Author()))`},
	{name: "2,000 characters", do: `client.create_channel_message(general, "ü" * 2000)`},
	{name: "2,000 characters of two UTF-16 units each", do: `client.create_channel_message(general, "😀" * 2000)`},
	{name: "2,001 characters", do: `client.create_channel_message(general, "x" * 2001)`},
	{name: "2,001 characters in a direct message", do: `client.create_direct_message(alice, "x" * 2001)`},
	{name: "a NUL character", do: `client.create_channel_message(general, "a\0b")`},
}

var embedCalls = []call{
	{name: "an embed", do: embed(`title="t", description="d", url="https://example.org/x", color=255, fields=[Embed.Field(name="n", value="v", inline=True), Embed.Field(name="m", value="w")]`)},
	{name: "an embed with content", do: `client.create_channel_message(general, "hi", embed=Embed(description="d"))`},
	{name: "an embed with empty texts", why: "a part of an embed without content is left out", do: embed(`title="t", description="", url="", timestamp="", footer=Embed.Footer(text=""), fields=[]`)},
	{name: "an embed with a footer and an author", do: embed(`footer=Embed.Footer(text="f"), author=Embed.Author(name="a", url="https://example.org/a")`)},
	{name: "an embed with a timestamp", do: embed(`title="t", timestamp="2026-01-02T03:04:05+00:00"`)},
	{name: "an embed with a timestamp without a zone", do: embed(`title="t", timestamp="2026-01-02T03:04:05"`)},
	{name: "an embed with an invalid timestamp", why: "a message that was not sent must not look as if it were", do: embed(`title="t", timestamp="yesterday"`)},
	{name: "an embed of type image", do: embed(`title="t", type="image"`)},
	{name: "the icons of an author and a footer", why: "the Python server loses them", do: embed(`author=Embed.Author(name="a", icon_url="https://example.org/a.png"), footer=Embed.Footer(text="f", icon_url="https://example.org/f.png")`)},
	{name: "an icon with a relative path", do: embed(`author=Embed.Author(name="a", icon_url="/static/a.png")`)},
	{name: "an icon on localhost", do: embed(`author=Embed.Author(name="a", icon_url="http://localhost:8000/a.png")`)},
	{name: "an image", why: "the Python server cannot read Discord's answer", do: embed(`title="t", image=Embed.Image(url="https://example.org/i.png")`)},
	{name: "a thumbnail", why: "the Python server cannot read Discord's answer", do: embed(`title="t", thumbnail=Embed.Thumbnail(url="https://example.org/i.png")`)},
	{name: "an image without an address", do: embed(`title="t", image=Embed.Image(height=5)`)},
	{name: "a bad address of an image", do: embed(`title="t", image=Embed.Image(url="i.png")`)},
	{name: "a bad address of an embed", do: embed(`title="t", url="example.org"`)},
	{name: "a field without a value", why: "a message that was not sent must not look as if it were", do: embed(`fields=[Embed.Field(name="n")]`)},
	{name: "a field of blanks", do: embed(`fields=[Embed.Field(name="n", value=" ")]`)},
	{name: "26 fields", do: embed(`fields=[Embed.Field(name="n", value="v")] * 26`)},
	{name: "a title of 257 characters", do: embed(`title="x" * 257`)},
	{name: "an embed of 6,001 characters", do: embed(`description="x" * 4096, footer=Embed.Footer(text="x" * 1905)`)},
	{name: "a color out of range", do: embed(`title="t", color=0x1000000`)},
	{name: "a negative color", do: embed(`title="t", color=-1`)},
	{name: "two mistakes", do: `client.create_channel_message(general, "x" * 2001, embed=Embed(title="x" * 257))`},
	{name: "a mistake of each kind", why: "calls that Discord would refuse count against the bot's limits, so they are not sent; Discord reports the rules that only Discord checks after these mistakes are corrected", do: `client.create_channel_message(general, "x" * 2001, embed=Embed(title="t", url="example.org"))`},
	{name: "a video and a provider", do: embed(`title="t", video=Embed.Video(url="https://example.org/v"), provider=Embed.Provider(name="p")`)},
}

var targetCalls = []call{
	{name: "an unknown channel", do: `client.create_channel_message(42, "hi")`},
	{name: "an unknown channel and 2,001 characters", why: "calls that Discord would refuse count against the bot's limits, so they are not sent", do: `client.create_channel_message(42, "x" * 2001)`},
	{name: "channel 0", do: `client.create_channel_message(0, "hi")`},
	{name: "channel 0 and 2,001 characters", do: `client.create_channel_message(0, "x" * 2001)`},
	{name: "a channel id above 2^63", do: `client.create_channel_message(2**64 - 1, "hi")`},
	{name: "a channel that the bot cannot see", do: `client.create_channel_message(forbidden, "hi")`},
	{name: "a channel that the bot cannot write to", do: `client.create_channel_message(read_only, "hi")`},
	{name: "a channel of a guild without the bot", do: `client.create_channel_message(other_channel, "hi")`},
	{name: "a category", why: "a message that was not sent must not look as if it were", do: `client.create_channel_message(category, "hi")`},
	{name: "a forum", why: "a message that was not sent must not look as if it were", do: `client.create_channel_message(forum, "hi")`},
	{name: "a voice channel", do: `client.create_channel_message(voice, "hi")`},
	{name: "an announcement channel", do: `client.create_channel_message(announcement, "hi")`},
	{name: "a thread", do: `client.create_channel_message(thread, "hi")`},
	{name: "an unknown user", do: `client.create_direct_message(42, "hi")`},
	{name: "an unknown user and 2,001 characters", why: "calls that Discord would refuse count against the bot's limits, so they are not sent", do: `client.create_direct_message(42, "x" * 2001)`},
	{name: "user 0", do: `client.create_direct_message(0, "hi")`},
	{name: "user 0 and 2,001 characters", do: `client.create_direct_message(0, "x" * 2001)`},
	{name: "a user id above 2^63", do: `client.create_direct_message(2**64 - 1, "hi")`},
	{name: "a user who takes no messages", do: `client.create_direct_message(no_dms, "hi")`},
	{name: "a user without a common guild", do: `client.create_direct_message(stranger, "hi")`},
	{name: "another bot", do: `client.create_direct_message(other_bot, "hi")`},
	{name: "the bot itself", do: `client.create_direct_message(bot, "hi")`},
	{name: "an unknown guild", do: `client.get_guild_channels(42)`},
	{name: "guild 0", do: `client.get_guild_channels(0)`},
	{name: "a guild id above 2^63", do: `client.get_guild_channels(2**64 - 1)`},
	{name: "a guild without the bot", do: `client.get_guild_channels(other_guild)`},
	{name: "names of the types of channels", do: `[Channel.Type.Name(c.type) for c in client.get_guild_channels(guild)]`},
	{name: "a negative id", do: `client.create_channel_message(-1, "hi")`},
	{name: "an id that is a text", do: `client.create_channel_message(str(general), "hi")`},
}

// statusCalls has each status that Discord or what is before it may answer.
func statusCalls() []call {
	const (
		nearest    = "the nearest meaning; `DiscordProxyHttpError` is the same"
		documented = "the Python server documents `INTERNAL` for these; `DiscordProxyHttpError` is the same"
	)
	whys := map[int]string{
		402: nearest, 406: nearest, 408: nearest, 409: nearest, 410: nearest, 413: nearest, 415: nearest, 418: nearest,
		422: nearest, 423: nearest, 451: nearest,
		501: documented, 503: documented, 520: documented, 524: documented, 530: documented,
		304: "a message that was not sent must not look as if it were",
	}
	var all []call
	for _, status := range []int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusRequestTimeout, http.StatusConflict, http.StatusGone,
		http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusTeapot, http.StatusUnprocessableEntity,
		http.StatusLocked, http.StatusUnavailableForLegalReasons,
		http.StatusInternalServerError, http.StatusNotImplemented, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout, 520, 524, 530,
		http.StatusMovedPermanently, http.StatusNotModified,
	} {
		all = append(all, call{
			name: fmt.Sprintf("Discord answers %d", status), do: sendRaw, args: impatient, why: whys[status],
			arrange: fault(sandbox.Fault{Route: postMessage, Status: status, Body: `{"message": "No.", "code": 123}`}),
		})
	}
	return all
}

var bodyCalls = []call{
	{name: "a 403 with plain text", do: send, arrange: fault(sandbox.Fault{Route: postMessage, Status: 403, Body: "error code: 1010"})},
	{name: "a 400 with plain text", do: send, arrange: fault(sandbox.Fault{Route: postMessage, Status: 400, Body: "Bad request, said the edge.\n"})},
	{name: "a 403 with an HTML page", why: "an HTML page does not help a reader of an exception or a log", do: send, arrange: fault(sandbox.Fault{Route: postMessage, Status: 403, Body: "<html><head><title>Access denied</title></head></html>"})},
	{name: "a 403 without a body", why: "an error needs a text", do: send, arrange: fault(sandbox.Fault{Route: postMessage, Status: 403, Body: " "})},
	{name: "a 403 with JSON that has no message", why: "an error needs a text", do: send, arrange: fault(sandbox.Fault{Route: postMessage, Status: 403, Body: `{"captcha_key": ["captcha-required"]}`})},
	{name: "a 403 with a message without a code", do: send, arrange: fault(sandbox.Fault{Route: postMessage, Status: 403, Body: `{"message": "No."}`})},
	{name: "a 403 with a JSON list", why: "Discord has no such errors", do: send, arrange: fault(sandbox.Fault{Route: postMessage, Status: 403, Body: `["No."]`})},
	{name: "a 503 with plain text", do: send, args: impatient, arrange: fault(sandbox.Fault{Route: postMessage, Status: 503, Body: "upstream connect error or disconnect/reset before headers. reset reason: overflow"})},
	{name: "a 502 with an HTML page", why: "an HTML page does not help a reader of an exception or a log", do: send, args: impatient, arrange: fault(sandbox.Fault{Route: postMessage, Status: 502})},
	{name: "a form with several broken rules", do: send, arrange: fault(sandbox.Fault{Route: postMessage, Status: 400, Body: `{"message": "Invalid Form Body", "code": 50035, "errors": {` +
		`"embeds": {"1": {"url": {"_errors": [{"code": "A", "message": "One."}, {"code": "B", "message": "Two."}]}}, "0": {"title": {"_errors": [{"code": "C", "message": "Three."}]}}},` +
		`"content": {"_errors": [{"code": "D", "message": "Four."}]}}}`})},
	{name: "a form that breaks rules of an object and of its fields", why: "all rules are reported", do: send, arrange: fault(sandbox.Fault{Route: postMessage, Status: 400, Body: `{"message": "Invalid Form Body", "code": 50035, "errors": {` +
		`"embeds": {"_errors": [{"code": "A", "message": "One."}], "0": {"title": {"_errors": [{"code": "C", "message": "Three."}]}}}}}`})},
	{name: "a 200 without a body", why: "a message that was not sent must not look as if it were", do: send, args: impatient, arrange: fault(sandbox.Fault{Route: postMessage, Status: 200, Body: " "})},
	{name: "a 200 that is not a message", why: "a message that was not sent must not look as if it were", do: send, args: impatient, arrange: fault(sandbox.Fault{Route: postMessage, Status: 200, Body: "{}"})},
	{name: "a 200 with an HTML page", why: "a message that was not sent must not look as if it were", do: send, args: impatient, arrange: fault(sandbox.Fault{Route: postMessage, Status: 200, Body: "<html></html>"})},
	{name: "a 204 for a message", why: "a message that was not sent must not look as if it were", do: send, args: impatient, arrange: fault(sandbox.Fault{Route: postMessage, Status: 204, Body: " "})},
	{name: "a channel list that is not a list", why: "an answer that cannot be read must not look like one", do: channels, args: impatient, arrange: fault(sandbox.Fault{Route: guildChannel, Status: 200, Body: "{}"})},
	{name: "an empty channel list", do: channels, arrange: fault(sandbox.Fault{Route: guildChannel, Status: 200, Body: "[]"})},
	{name: "a channel of an unknown type", why: "one new type must not hide all channels", do: channels, arrange: fault(sandbox.Fault{Route: guildChannel, Status: 200, Body: `[{"id": "5", "type": 99, "name": "new", "position": 0, "guild_id": "1100000000000000100"}, {"id": "6", "type": 0, "name": "old", "position": 0, "guild_id": "1100000000000000100"}]`})},
	{name: "a 404 for the opening of a direct message", do: `client.create_direct_message(bob, "hi")`, arrange: fault(sandbox.Fault{Route: openDM, Status: 404, Body: `{"message": "Unknown Channel", "code": 10003}`})},
	{name: "a 400 for the opening of a direct message", do: `client.create_direct_message(bob, "hi")`, arrange: fault(sandbox.Fault{Route: openDM, Status: 400, Body: `{"message": "Cannot send messages to this user", "code": 50007}`})},
	{name: "a 401 for a channel list", do: channels, arrange: fault(sandbox.Fault{Route: guildChannel, Status: 401, Body: `{"message": "401: Unauthorized", "code": 0}`})},
}

// limited is a 429 as Discord answers it.
func limited(route string, seconds float64, count int) func(*sandbox.Sandbox) {
	return fault(sandbox.Fault{
		Route: route, Count: count, Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "1"},
		Body: fmt.Sprintf(`{"message": "You are being rate limited.", "retry_after": %g, "global": false}`, seconds),
	})
}

var limitCalls = []call{
	{name: "a 429", do: send, arrange: limited(postMessage, 0.01, 1)},
	{name: "429s that last longer than the deadline", why: "the caller can do something else, and learns when to retry", do: send, timeout: time.Second, arrange: limited(postMessage, 30, 0)},
	{name: "a 429 of Cloudflare", why: "further calls would prolong the ban", do: send, timeout: time.Second, arrange: fault(sandbox.Fault{Route: postMessage, Status: http.StatusTooManyRequests, Header: map[string]string{"Via": ""}, Body: "error code: 1015"})},
	{name: "direct messages that are opened too fast", do: `client.create_direct_message(bob, "hi")`, timeout: time.Second, arrange: fault(sandbox.Fault{Route: openDM, Status: 403, Body: `{"message": "You are opening direct messages too fast", "code": 40003}`})},
	{name: "a slow mode", why: "the caller can do something else, and learns when to retry", do: send, timeout: time.Second, arrange: fault(sandbox.Fault{Route: postMessage, Status: 429, Header: map[string]string{"Retry-After": "30"}, Body: `{"message": "This action cannot be performed due to slowmode rate limit.", "code": 20016, "retry_after": 30}`})},
}

var networkCalls = []call{
	{name: "a connection that is reset", why: "a message that was not sent must not look as if it were", do: send, args: impatient, arrange: fault(sandbox.Fault{Route: postMessage, Kind: sandbox.FaultReset})},
	{name: "a connection that is reset after the message was stored", why: "the message is sent again with a nonce, by which Discord recognizes it", do: send, arrange: fault(sandbox.Fault{Route: postMessage, Kind: sandbox.FaultReset, After: true, Count: 1})},
	{name: "a truncated response", why: "the outcome is unknown", do: send, args: impatient, arrange: fault(sandbox.Fault{Route: postMessage, Kind: sandbox.FaultTruncate, After: true})},
	{name: "a 502 although the message was stored", why: "the message is sent again with a nonce, by which Discord recognizes it", do: send, arrange: fault(sandbox.Fault{Route: postMessage, Status: 502, After: true, Count: 1})},
	{name: "a 503, then a success", do: send, arrange: fault(sandbox.Fault{Route: postMessage, Status: 503, Count: 1})},
	{name: "a deadline that passes", do: send, timeout: 500 * time.Millisecond, arrange: fault(sandbox.Fault{Route: postMessage, Kind: sandbox.FaultHang, Delay: 2 * time.Second})},
	{name: "a deadline that passes, by the stub", do: `stub.GetGuildChannels(GetGuildChannelsRequest(guild_id=guild), timeout=0.5)`, arrange: fault(sandbox.Fault{Route: guildChannel, Kind: sandbox.FaultHang, Delay: 2 * time.Second})},
	{name: "a deadline that has passed", do: `stub.GetGuildChannels(GetGuildChannelsRequest(guild_id=guild), timeout=-1)`},
}

var wireCalls = []call{
	{name: "a method that does not exist", do: `channel.unary_unary("/discord_api.DiscordApi/Nope")(b"")`},
	{name: "a service that does not exist", do: `channel.unary_unary("/other.Service/Nope")(b"")`},
	{name: "a request that is no protobuf", do: `channel.unary_unary("/discord_api.DiscordApi/SendChannelMessage")(b"\xff")`},
	{name: "a text that is no UTF-8", do: `channel.unary_unary("/discord_api.DiscordApi/SendChannelMessage")(b"\x08\x01\x12\x01\xff")`},
	{name: "a request with unknown fields", do: `len(channel.unary_unary("/discord_api.DiscordApi/GetGuildChannels")(GetGuildChannelsRequest(guild_id=guild).SerializeToString() + b"\xf8\x7f\x01")) > 0`},
	{name: "a request of more than 4 MiB", why: "calls that Discord would refuse count against the bot's limits, so they are not sent", do: `client.create_channel_message(general, "x" * (4 << 20))`},
	{name: "a compressed request", do: `stub.GetGuildChannels(GetGuildChannelsRequest(guild_id=guild), compression=grpc.Compression.Gzip).channels[0].name`},
	{name: "a name with metadata", do: `stub.GetGuildChannels(GetGuildChannelsRequest(guild_id=guild), metadata=(("app", "x"), ("app-bin", b"\xff"))).channels[0].name`},
	{name: "a client with options", do: `DiscordClient(client.target, options=(("grpc.lb_policy_name", "round_robin"),), timeout=5).get_guild_channels(guild)[0].name`},
}
