package sandbox_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
)

func basic(name, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + password))
}

// form posts a form.
func (r *rig) form(path string, fields url.Values, header ...string) *answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://discord.example"+path, strings.NewReader(fields.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return r.send(req)
}

func TestOAuth2(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	w := r.w
	anyone := r.as("")
	client := url.Values{"client_id": {w.Bot.String()}, "client_secret": {sandbox.ClientSecret}}
	with := func(pairs ...string) url.Values {
		v := url.Values{}
		for name, values := range client {
			v[name] = values
		}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	code, err := r.Authorize(w.Stranger, "identify", "guilds", "guilds.join")
	if err != nil {
		t.Fatal(err)
	}
	exchange := with("grant_type", "authorization_code", "code", code)
	for name, tt := range map[string]struct {
		form   url.Values
		status int
		kind   string
	}{
		"no secret":    {url.Values{"client_id": {w.Bot.String()}, "grant_type": {"authorization_code"}, "code": {code}}, 401, "invalid_client"},
		"wrong secret": {with("grant_type", "authorization_code", "code", code, "client_secret", "x"), 401, "invalid_client"},
		"wrong code":   {with("grant_type", "authorization_code", "code", "x"), 400, "invalid_grant"},
		"no grant":     {with("code", code), 400, "unsupported_grant_type"},
	} {
		a := anyone.form("/api/oauth2/token", tt.form)
		if got := a.object()["error"]; a.status != tt.status || got != tt.kind {
			t.Errorf("%s: %d %v", name, a.status, got)
		}
	}
	granted := anyone.form("/api/oauth2/token", exchange).is(200).object()
	equal(t, "scope", granted["scope"], any("identify guilds guilds.join"))
	anyone.form("/api/oauth2/token", exchange).is(400) // a code is good once
	user := r.as("Bearer " + granted["access_token"].(string))

	equal(t, "user", user.do("GET", "/users/@me", nil).is(200).object()["id"], any(w.Stranger.String()))
	about := user.do("GET", "/oauth2/@me", nil).is(200).object()
	equal(t, "user of the authorization", about["user"].(obj)["id"], any(w.Stranger.String()))
	var guilds []struct{ ID string }
	user.do("GET", "/users/@me/guilds", nil).is(200).into(&guilds)
	equal(t, "guilds", fmt.Sprint(guilds), fmt.Sprintf("[{%s}]", w.OtherGuild))
	user.do("GET", path("/users/@me/guilds/%d/member", w.OtherGuild), nil).is(401) // another scope
	user.do("GET", path("/guilds/%d", w.OtherGuild), nil).is(401)                  // for bots alone
	r.do("GET", "/oauth2/@me", nil).is(401)

	member := path("/guilds/%d/members/%d", w.Guild, w.Stranger)
	r.do("PUT", member, obj{"access_token": "x"}).is(403, 50025)
	r.do("PUT", path("/guilds/%d/members/%d", w.Guild, w.Alice), obj{"access_token": granted["access_token"]}).is(403, 50025)
	r.do("PUT", member, obj{}).complains("access_token", "BASE_TYPE_REQUIRED")
	r.do("PUT", member, obj{"access_token": granted["access_token"], "roles": []sandbox.ID{w.AdminRole}}).is(403, 50013)
	joined := r.do("PUT", member, obj{"access_token": granted["access_token"], "nick": "Strange", "roles": []sandbox.ID{w.MemberRole}}).is(201).object()
	equal(t, "nick", joined["nick"], any("Strange"))
	equal(t, "roles", joined["roles"], any([]any{w.MemberRole.String()}))
	r.do("PUT", member, obj{"access_token": granted["access_token"]}).is(204)

	renewed := anyone.form("/api/v10/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {granted["refresh_token"].(string)}},
		"Authorization", "Basic "+basic(w.Bot.String(), sandbox.ClientSecret)).is(200).object()
	user.do("GET", "/users/@me", nil).is(401)
	user = r.as("Bearer " + renewed["access_token"].(string))
	user.do("GET", "/users/@me", nil).is(200)
	anyone.form("/api/v10/oauth2/token/revoke", with("token", renewed["access_token"].(string))).is(200)
	user.do("GET", "/users/@me", nil).is(401)

	own := anyone.form("/api/v10/oauth2/token", with("grant_type", "client_credentials", "scope", "identify")).is(200).object()
	user = r.as("Bearer " + own["access_token"].(string))
	equal(t, "owner", user.do("GET", "/users/@me", nil).is(200).object()["id"], any(w.Owner.String()))
	r.Advance(7*24*time.Hour + time.Second)
	user.do("GET", "/users/@me", nil).is(401)
}

func TestRolePositions(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	w := r.w
	move := func(body []obj) *answer { return r.do("PATCH", path("/guilds/%d/roles", w.Guild), body) }
	order := func(a *answer) []sandbox.ID {
		var roles []sandbox.Role
		a.is(200).into(&roles)
		slices.SortFunc(roles, func(a, b sandbox.Role) int { return a.Position - b.Position })
		var ids []sandbox.ID
		for _, role := range roles {
			ids = append(ids, role.ID)
		}
		return ids
	}
	equal(t, "up", order(move([]obj{{"id": w.MemberRole, "position": 2}})), []sandbox.ID{w.Guild, w.ModeratorRole, w.MemberRole, w.BotRole, w.AdminRole})
	equal(t, "down", order(move([]obj{{"id": w.MemberRole, "position": 1}})), []sandbox.ID{w.Guild, w.MemberRole, w.ModeratorRole, w.BotRole, w.AdminRole})
	equal(t, "both", order(move([]obj{{"id": w.MemberRole, "position": 2}, {"id": w.ModeratorRole, "position": 1}})), []sandbox.ID{w.Guild, w.ModeratorRole, w.MemberRole, w.BotRole, w.AdminRole})
	move([]obj{{"id": w.AdminRole, "position": 1}}).is(403, 50013)
	move([]obj{{"id": w.MemberRole, "position": 4}}).is(403, 50013)
	move([]obj{{"id": w.Alice, "position": 1}}).is(404, 10011)
	move([]obj{{"position": 1}}).complains("0.id", "BASE_TYPE_REQUIRED")
}

func TestOwnUser(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{Unlimited: true})
	c, _ := r.login(0)
	equal(t, "name", r.do("PATCH", "/users/@me", obj{"username": "renamed", "avatar": "data:image/png;base64,"}).is(200).object()["username"], any("renamed"))
	equal(t, "member", c.event("GUILD_MEMBER_UPDATE")["user"].(obj)["username"], any("renamed"))
	equal(t, "event", c.event("USER_UPDATE")["username"], any("renamed"))
	if me := r.do("GET", "/users/@me", nil).is(200).object(); me["username"] != "renamed" || me["avatar"] == nil {
		t.Errorf("afterwards it is %v", me)
	}
	equal(t, "avatar", r.do("PATCH", "/users/@me", obj{"avatar": nil}).is(200).object()["avatar"], nil)
	r.do("PATCH", "/users/@me", obj{"username": "x"}).complains("username", "BASE_TYPE_BAD_LENGTH")
	r.do("PATCH", "/users/@me", obj{"avatar": "http://x"}).complains("avatar", "IMAGE_INVALID")
	var sounds []obj
	r.do("GET", "/soundboard-default-sounds", nil).is(200).into(&sounds)
	if len(sounds) == 0 {
		t.Error("there are no sounds")
	}
}

func TestForms(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	equal(t, "field", r.form(path("/api/v10/channels/%d/messages", r.w.General), url.Values{"content": {"a b"}}).message().Content, "a b")
	equal(t, "JSON", r.form(path("/api/v10/channels/%d/messages", r.w.General), url.Values{"payload_json": {`{"content":"c"}`}}).message().Content, "c")
}

func TestForeignWebhooks(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	hook := path("/webhooks/%d/%s", r.w.Webhook, r.w.WebhookToken)
	newest := func() sandbox.Message {
		messages := r.Messages(r.w.Announcement)
		return messages[len(messages)-1]
	}
	const slack = `{"text":"hello","username":"netdata","attachments":[{"color":"danger","title":"disk","title_link":"https://example.org","text":"full","fields":[{"title":"host","value":"a","short":true}],"footer":"f","ts":1700000000}]}`
	anyone := r.as("")
	for name, post := range map[string]func() *answer{
		"JSON": func() *answer { return anyone.do("POST", hook+"/slack", slack) },
		"form": func() *answer { return anyone.form("/api/v10"+hook+"/slack", url.Values{"payload": {slack}}) },
	} {
		equal(t, name, string(post().is(200).body), `"ok"`)
		m := newest()
		if m.Content != "hello" || m.Author.Username != "netdata" || len(m.Embeds) != 1 || m.Embeds[0].Title != "disk" || *m.Embeds[0].Color != 0xd50200 || m.Embeds[0].Fields[0].Value != "a" {
			t.Errorf("%s became %+v", name, m)
		}
	}
	anyone.do("POST", hook+"/slack", obj{}).is(400, 50006)
	const push = `{"ref":"refs/heads/main","compare":"https://example.org/c","commits":[{"id":"0123456789","message":"fix it\nlong","url":"https://example.org/1"}],"repository":{"full_name":"o/r"},"sender":{"login":"me"}}`
	before := newest().ID
	anyone.form("/api/v10"+hook+"/github", url.Values{"payload": {`{"zen":"x"}`}}, "X-GitHub-Event", "ping").is(204)
	equal(t, "ping", newest().ID, before)
	anyone.form("/api/v10"+hook+"/github", url.Values{"payload": {push}}, "X-GitHub-Event", "push").is(204)
	if m := newest(); len(m.Embeds) != 1 || m.Embeds[0].Title != "[o/r:main] 1 new commit" || m.Embeds[0].Author.Name != "me" || !strings.Contains(m.Embeds[0].Description, "fix it") {
		t.Errorf("a push became %+v", m)
	}
	anyone.form("/api/v10/webhooks/1/x/github", url.Values{"payload": {push}}, "X-GitHub-Event", "push").is(404, 10015)
}

// TestOldVersions: versions 6 and 7, and paths without a version, respond like those versions.
func TestOldVersions(t *testing.T) {
	for version, old := range map[string]bool{"": true, "/v6": true, "/v7": true, "/v8": false, "/v9": false, "/v10": false} {
		r := newRig(t, sandbox.Config{Limits: []sandbox.Limit{
			{Name: "member", Routes: []string{"PATCH /guilds/{guild_id}/members/{user_id}"}, Limit: 1, Window: time.Minute},
		}})
		patch := func(header ...string) *answer {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, fmt.Sprintf("http://discord.example/api%s/guilds/%d/members/%d", version, r.w.Guild, r.w.Bob), strings.NewReader(`{"nick":"b"}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			for i := 0; i < len(header); i += 2 {
				req.Header.Set(header[i], header[i+1])
			}
			return r.send(req)
		}
		success, after := 200, "60.000"
		if old {
			success, after = 204, "60"
		}
		a := patch().is(success)
		equal(t, version+" reset after", a.header.Get("X-RateLimit-Reset-After"), after)
		a = patch("X-RateLimit-Precision", "millisecond").is(429)
		wait := a.object()["retry_after"].(float64)
		if old != (wait > 1000) || old != (len(a.header.Get("Retry-After")) > 3) || !strings.Contains(a.header.Get("X-RateLimit-Reset-After"), ".") {
			t.Errorf("version %q: retry after %v, %v", version, wait, a.header)
		}
	}
}
