package test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// accessRules say of each method what the rules of a client can limit it by. A
// method that is missing here fails TestAccess.
var accessRules = map[string]string{
	"SendChannelMessage":        "channel",
	"SendDirectMessage":         "user",
	"SendDirectMessages":        "user",
	"GetGuildChannels":          "guild",
	"GetChannelMessage":         "channel",
	"ListChannelMessages":       "channel",
	"EditChannelMessage":        "channel",
	"EditDirectMessage":         "user",
	"DeleteChannelMessage":      "channel",
	"BulkDeleteChannelMessages": "channel",
	"CrosspostMessage":          "channel",
	"PinMessage":                "channel",
	"UnpinMessage":              "channel",
	"ListPinnedMessages":        "channel",
	"TriggerTyping":             "channel",
	"AddReaction":               "channel",
	"RemoveReaction":            "channel",
	"RemoveAllReactions":        "channel",
	"ListReactions":             "channel",
	"GetChannel":                "channel",
	"GetDirectMessageChannel":   "user",
	"StartThread":               "channel",
	"ListActiveThreads":         "guild",
	"AddThreadMember":           "channel",
	"RemoveThreadMember":        "channel",
	"GetGuild":                  "guild",
	"ListGuilds":                "",
	"GetGuildMember":            "guild",
	"ListGuildMembers":          "guild",
	"SearchGuildMembers":        "guild",
	"ModifyGuildMember":         "guild",
	"AddGuildMemberRole":        "guild",
	"RemoveGuildMemberRole":     "guild",
	"ListGuildRoles":            "guild",
	"GetUser":                   "user",
	"GetCurrentUser":            "",
	"ExecuteWebhook":            "",
	"EditWebhookMessage":        "",
	"DeleteWebhookMessage":      "",
	"GetRateLimitStatus":        "",
	"SubscribeEvents":           "every guild",
	"RespondInteraction":        "",
	"EditInteractionResponse":   "",
	"FollowupInteraction":       "",
	"SetApplicationCommands":    "",
}

// outcome is what a kind of caller gets: the code of the refusal and words in
// its text, or neither.
type outcome struct {
	code connect.Code
	text string
}

// callers are those of the test.
type callers struct {
	keys         map[string]string // by the client's name
	certificates map[string]tls.Certificate
}

// identities returns each kind of caller of a method, and what it gets over
// the API's protocols and over plain REST.
func (c *callers) identities(method string, other int) map[string]struct {
	id         proxytest.Identity
	typed, api outcome
} {
	type kind = struct {
		id         proxytest.Identity
		typed, api outcome
	}
	unknown := func(text string) outcome { return outcome{connect.CodeUnauthenticated, text} }
	about := accessRules[method]
	elsewhere := outcome{connect.CodePermissionDenied, "client elsewhere may not use " + about}
	if about == "" {
		elsewhere.text = "client elsewhere is restricted to certain"
	}
	certificate := func(name string) *tls.Certificate {
		certificate := c.certificates[name]
		return &certificate
	}
	without := []string{"odd", "even"}[other]
	denied := outcome{connect.CodePermissionDenied, "client " + without + " may not call "}
	wrong, _ := server.NewKey()
	return map[string]kind{
		"none":                {proxytest.Identity{}, unknown("a key is required"), unknown("a key is required")},
		"wrong key":           {proxytest.Identity{Key: wrong}, unknown("is unknown"), unknown("is unknown")},
		"unknown certificate": {proxytest.Identity{Certificate: certificate("stranger")}, unknown("stranger"), unknown("stranger")},
		"key without method":  {proxytest.Identity{Key: c.keys[without]}, outcome{denied.code, denied.text + method}, denied},
		"key elsewhere":       {proxytest.Identity{Key: c.keys["elsewhere"]}, elsewhere, outcome{elsewhere.code, "client elsewhere "}},
		"right key":           {proxytest.Identity{Key: c.keys["right"]}, outcome{}, outcome{}},
		"right certificate":   {proxytest.Identity{Certificate: certificate("robot")}, outcome{}, outcome{}},
	}
}

// TestAccess calls every method as every kind of caller over every protocol.
func TestAccess(t *testing.T) {
	methods := server.Methods()
	for _, method := range methods {
		if _, known := accessRules[method]; !known {
			t.Errorf("%s has no rule", method)
		}
	}
	who := &callers{keys: make(map[string]string), certificates: make(map[string]tls.Certificate)}
	authority := proxytest.NewAuthority(t)
	folder := t.TempDir()
	authority.Files(t, folder, authority.Issue(t, proxytest.ServerName))
	for _, name := range []string{"stranger", "robot"} {
		who.certificates[name] = authority.Issue(t, name)
	}
	var rules strings.Builder
	rules.WriteString("clients:\n")
	entry := func(name, more string) {
		key, hash := server.NewKey()
		who.keys[name] = key
		fmt.Fprintf(&rules, "  - {name: %s, hashes: [%q], %s}\n", name, hash, more)
	}
	everywhere := `guilds: ["*"], channels: ["*"], users: ["*"], untargeted: true`
	half := func(first int) string {
		var names []string
		for i := first; i < len(methods); i += 2 {
			names = append(names, methods[i])
		}
		return "methods: [" + strings.Join(names, ", ") + "]"
	}
	entry("even", half(0))
	entry("odd", half(1))
	entry("elsewhere", "guilds: [1], channels: [1], users: [1]")
	entry("right", everywhere)
	entry("admin", "rate: 100000, burst: 1000")
	fmt.Fprintf(&rules, "  - {name: robot, certificates: [robot], %s}\n", everywhere)
	file := func(name string) string { return filepath.Join(folder, name) }
	if err := os.WriteFile(file("auth.yaml"), []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}

	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.AgainstTLS(t, sb, &tls.Config{RootCAs: authority.Pool()}, "--global-rate-limit", "0", "--auth-file", file("auth.yaml"),
		"--tls-cert", file("cert.pem"), "--tls-key", file("key.pem"), "--tls-client-ca", file("ca.pem"))
	admin := p.ClientsAs(t, proxytest.Identity{Key: who.keys["admin"]})["gRPC"]
	for i, method := range methods {
		req := requestOf(method)
		var cost cost
		if at := slices.IndexFunc(methodCases, func(tt methodCase) bool { return tt.method == method }); at >= 0 {
			cost = methodCases[at].cost
			req = methodCases[at].request(&scene{T: t, sb: sb, w: sb.World(), client: admin})
		}
		for name, caller := range who.identities(method, i%2) {
			t.Run(method+"/"+name, func(t *testing.T) {
				// An address may try so many wrong keys; see package access.
				caller.id.From = net.IPv4(127, 1, byte(i), 1)
				for protocol, client := range p.ClientsAs(t, caller.id) {
					checkTyped(t, protocol, &scene{T: t, sb: sb, client: client}, method, req, caller.typed)
				}
				for route := range cost {
					checkREST(t, sb, p, route, caller.id, caller.api)
				}
			})
		}
	}
	checkPages(t, p, who)
}

// requestOf returns an empty request of a method.
func requestOf(method string) proto.Message {
	input := pb.File_discord_api_discord_api_proto.Services().ByName("DiscordApi").Methods().ByName(protoreflect.Name(method)).Input()
	known, err := protoregistry.GlobalTypes.FindMessageByName(input.FullName())
	if err != nil {
		panic(err) // the API is registered
	}
	return known.New().Interface()
}

// checkTyped makes a call over one protocol, and compares what it gets. It
// matters who gets to Discord, not what it answers: others may have done the
// same before.
func checkTyped(t *testing.T, protocol string, s *scene, method string, req proto.Message, want outcome) {
	t.Helper()
	s.sb.ResetStats()
	_, err := s.call(method, req)
	asked := s.sb.Stats().Routes
	if want.code == 0 {
		if code := connect.CodeOf(err); len(asked) == 0 && err != nil && (code == connect.CodeUnauthenticated || code == connect.CodePermissionDenied) {
			t.Errorf("%s: %v", protocol, err)
		}
		return
	}
	if connect.CodeOf(err) != want.code || !strings.Contains(err.Error(), want.text) {
		t.Errorf("%s: got  %v\nwant %v: %s", protocol, err, want.code, want.text)
	}
	if len(asked) != 0 {
		t.Errorf("%s: Discord was asked for %v", protocol, asked)
	}
}

// restPaths counts what checkREST asks, so that each webhook is a new one: what
// Discord said of one before would be the answer to the next call.
var restPaths atomic.Int64

// checkREST asks for a route of Discord's by plain REST.
func checkREST(t *testing.T, sb *sandbox.Sandbox, p *proxytest.Proxy, route string, id proxytest.Identity, want outcome) {
	t.Helper()
	w := sb.World()
	method, path, _ := strings.Cut(route, " ")
	path = strings.NewReplacer("{channel_id}", fmt.Sprint(w.General), "{guild_id}", fmt.Sprint(w.Guild), "{user_id}", fmt.Sprint(w.Alice),
		"{message_id}", "7", "{role_id}", "8", "{webhook_id}", fmt.Sprint(restPaths.Add(1)), "{webhook_token}", "secret", "{interaction_id}", "5", "{interaction_token}", "secret", "{application_id}", "6", "{emoji_name}", "%F0%9F%91%8D").Replace(path)
	if strings.Contains(path, "{") {
		t.Fatalf("no id for %s", path)
	}
	body := ""
	if method == http.MethodPost || method == http.MethodPatch {
		body = fmt.Sprintf(`{"content":"x","recipient_id":"%d"}`, w.Alice)
		if path != "/users/@me/channels" {
			body = `{"content":"x"}`
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, p.URL()+"/api/v10"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	sb.ResetStats()
	resp, err := p.HTTPClient(t, id, false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	asked := len(sb.Stats().Routes)
	if want.code == 0 {
		if asked == 0 {
			t.Errorf("REST: %s did not get to Discord: %s", route, answer)
		}
		return
	}
	status := map[connect.Code]int{connect.CodeUnauthenticated: 401, connect.CodePermissionDenied: 403}[want.code]
	if resp.StatusCode != status || !strings.Contains(string(answer), want.text) || asked != 0 {
		t.Errorf("REST: %s: got  %d %s, and %d requests at Discord\nwant %d %s", route, resp.StatusCode, answer, asked, status, want.text)
	}
}
