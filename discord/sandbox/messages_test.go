package sandbox_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
)

func (r *rig) sendTo(channel sandbox.ID, body any) *answer {
	r.t.Helper()
	return r.do("POST", path("/channels/%d/messages", channel), body)
}

func TestSendAndRead(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	m := r.sendTo(r.w.General, obj{
		"content": "  hällo 👋 \n", "nonce": "n1", "tts": true, "flags": 4,
		"embeds": []obj{{
			"title": " T ", "description": "D", "url": "https://example.com/a", "color": 0xABCDEF, "timestamp": "2026-01-02T03:04:05.678Z",
			"image": obj{"url": "https://example.com/i.png"}, "thumbnail": obj{"url": "http://example.com/t.png"},
			"author": obj{"name": "A", "icon_url": "https://example.com/a.png"}, "footer": obj{"text": "F"},
			"fields": []obj{{"name": "N", "value": "V", "inline": true}},
		}},
		"components":  nil,
		"sticker_ids": nil,
	}).message()
	equal(t, "content", m.Content, "hällo 👋")
	equal(t, "nonce", string(m.Nonce), `"n1"`)
	equal(t, "author", m.Author.ID, r.w.Bot)
	equal(t, "title", m.Embeds[0].Title, "T")
	equal(t, "type", m.Embeds[0].Type, "rich")
	equal(t, "timestamp", m.Embeds[0].Timestamp, "2026-01-02T03:04:05.678000+00:00")
	stamp, err := time.Parse(time.RFC3339, m.Timestamp)
	equal(t, "timestamp error", err, nil)
	equal(t, "timestamp is the id's", stamp.UnixMilli(), m.ID.Time().UnixMilli())

	stored := r.Messages(r.w.General)
	equal(t, "stored", len(stored), 1)
	equal(t, "stored content", stored[0].Content, m.Content)
	r.do("GET", path("/channels/%d/messages/%d", r.w.General, m.ID), nil).is(200)
}

func TestListMessages(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	var ids []sandbox.ID
	for range 120 {
		ids = append(ids, r.sendTo(r.w.General, obj{"content": "x"}).message().ID)
	}
	list := func(query string) []sandbox.ID {
		t.Helper()
		var page []sandbox.Message
		r.do("GET", path("/channels/%d/messages%s", r.w.General, query), nil).is(200).into(&page)
		var out []sandbox.ID
		for _, m := range page {
			out = append(out, m.ID)
		}
		return out
	}
	equal(t, "default", len(list("")), 50)
	equal(t, "newest first", list("?limit=2"), []sandbox.ID{ids[119], ids[118]})
	equal(t, "before", list(path("?limit=2&before=%d", ids[10])), []sandbox.ID{ids[9], ids[8]})
	equal(t, "after", list(path("?limit=2&after=%d", ids[10])), []sandbox.ID{ids[12], ids[11]})
	equal(t, "around", list(path("?limit=3&around=%d", ids[10])), []sandbox.ID{ids[11], ids[10], ids[9]})
	equal(t, "nothing after the last", len(list(path("?after=%d", ids[119]))), 0)
	r.do("GET", path("/channels/%d/messages?limit=101", r.w.General), nil).complains("limit", "NUMBER_TYPE_MAX")
	r.do("GET", path("/channels/%d/messages?limit=0", r.w.General), nil).complains("limit", "NUMBER_TYPE_MIN")
	r.do("GET", path("/channels/%d/messages?before=x", r.w.General), nil).complains("before", "NUMBER_TYPE_COERCE")
}

func TestBadMessages(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	long := func(n int) string { return strings.Repeat("ä", n) }
	embed := func(e obj) obj { return obj{"embeds": []obj{e}} }
	fields := make([]obj, 26)
	for i := range fields {
		fields[i] = obj{"name": "n", "value": "v"}
	}
	tests := []struct {
		name       string
		body       any
		path, code string
	}{
		{"content", obj{"content": long(2001)}, "content", "BASE_TYPE_MAX_LENGTH"},
		{"content of a wrong type", obj{"content": obj{}}, "content", "STRING_TYPE_CONVERT"},
		{"embeds", obj{"embeds": make([]obj, 11)}, "embeds", "BASE_TYPE_MAX_LENGTH"},
		{"embed title", embed(obj{"title": long(257)}), "embeds.0.title", "BASE_TYPE_MAX_LENGTH"},
		{"embed description", embed(obj{"description": long(4097)}), "embeds.0.description", "BASE_TYPE_MAX_LENGTH"},
		{"embed color", embed(obj{"title": "t", "color": 1 << 24}), "embeds.0.color", "NUMBER_TYPE_MAX"},
		{"embed fields", embed(obj{"fields": fields}), "embeds.0.fields", "BASE_TYPE_MAX_LENGTH"},
		{"field without name", embed(obj{"fields": []obj{{"name": " ", "value": "v"}}}), "embeds.0.fields.0.name", "BASE_TYPE_REQUIRED"},
		{"field value", embed(obj{"fields": []obj{{"name": "n", "value": long(1025)}}}), "embeds.0.fields.0.value", "BASE_TYPE_MAX_LENGTH"},
		{"footer", embed(obj{"footer": obj{"text": long(2049)}}), "embeds.0.footer.text", "BASE_TYPE_MAX_LENGTH"},
		{"author", embed(obj{"author": obj{"name": long(257)}}), "embeds.0.author.name", "BASE_TYPE_MAX_LENGTH"},
		{"scheme", embed(obj{"title": "t", "url": "nonsense"}), "embeds.0.url", "URL_TYPE_INVALID_SCHEME"},
		{"host", embed(obj{"title": "t", "url": "https://nonsense"}), "embeds.0.url", "URL_TYPE_INVALID_URL"},
		{"time", embed(obj{"title": "t", "timestamp": "noon"}), "embeds.0.timestamp", "DATE_TIME_TYPE_PARSE"},
		{"sum", obj{"embeds": []obj{{"description": long(3001)}, {"description": long(3000)}}}, "embeds", "MAX_EMBED_SIZE_EXCEEDED"},
		{"nonce", obj{"content": "x", "nonce": long(26)}, "nonce", "BASE_TYPE_MAX_LENGTH"},
		{"reference", obj{"content": "x", "message_reference": obj{"message_id": "5"}}, "message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE"},
		{"mentions", obj{"content": "x", "allowed_mentions": obj{"parse": []string{"users"}, "users": []string{"1"}}}, "allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"},
		{"poll", obj{"poll": obj{"question": obj{"text": "?"}, "answers": []obj{}}}, "poll.answers", "BASE_TYPE_BAD_LENGTH"},
		{"row", obj{"components": []obj{{"type": 1, "components": []obj{}}}}, "components.0.components", "BASE_TYPE_BAD_LENGTH"},
		{"button", obj{"components": []obj{{"type": 1, "components": []obj{{"type": 2, "style": 1}}}}}, "components.0.components.0.custom_id", "BASE_TYPE_REQUIRED"},
		{"content with V2", obj{"content": "x", "flags": 1 << 15, "components": []obj{{"type": 10, "content": "y"}}}, "content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := *r
			r.t = t
			r.sendTo(r.w.General, test.body).complains(test.path, test.code)
		})
	}
	for _, body := range []any{obj{}, obj{"content": " \n"}, obj{"embeds": []obj{{}}}, obj{"content": nil}} {
		r.sendTo(r.w.General, body).is(400, 50006)
	}
	r.sendTo(r.w.General, `{"content":`).is(400, 50109)
	r.sendTo(r.w.General, obj{"content": "x", "sticker_ids": []string{"5"}}).is(400, 50081)
	equal(t, "nothing stored", len(r.Messages(r.w.General)), 0)

	r.sendTo(r.w.General, obj{"content": long(2000)}).is(200)
	r.sendTo(r.w.General, obj{"embeds": []obj{{"description": long(3000)}, {"description": long(3000)}}}).is(200)
}

func TestWhereMessagesMayGo(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	hi := obj{"content": "hi"}
	r.sendTo(5, hi).is(404, 10003)
	r.sendTo(r.w.Forbidden, hi).is(403, 50001)
	r.sendTo(r.w.OtherChannel, hi).is(403, 50001)
	r.sendTo(r.w.ReadOnly, hi).is(403, 50013)
	r.sendTo(r.w.Category, hi).is(400, 50008)
	r.sendTo(r.w.Forum, hi).is(400, 40058)
	r.sendTo(r.w.Voice, hi).is(200)

	// The permissions that parts of messages need.
	deny := func(p sandbox.Permissions) {
		if err := r.SetOverwrite(r.w.Random, sandbox.Overwrite{ID: r.w.Bot, Type: sandbox.OverwriteMember, Deny: p}); err != nil {
			t.Fatal(err)
		}
	}
	deny(sandbox.PermEmbedLinks)
	r.sendTo(r.w.Random, obj{"embeds": []obj{{"title": "t"}}}).is(403, 50013)
	m := r.sendTo(r.w.Random, hi).message()
	deny(sandbox.PermReadMessageHistory)
	r.sendTo(r.w.Random, obj{"content": "re", "message_reference": obj{"message_id": m.ID}}).is(403, 160002)
	r.do("GET", path("/channels/%d/messages/%d", r.w.Random, m.ID), nil).is(403, 50001)
	equal(t, "no history", string(r.do("GET", path("/channels/%d/messages", r.w.Random), nil).is(200).body), "[]")
}

func TestNonce(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	send := func(body obj) sandbox.Message { return r.sendTo(r.w.General, body).message() }
	once := obj{"content": "once", "nonce": "abc", "enforce_nonce": true}
	first := send(once)
	equal(t, "the same message", send(once).ID, first.ID)
	equal(t, "stored once", len(r.Messages(r.w.General)), 1)
	equal(t, "counted", r.Stats().Deduplicated, 1)
	if send(obj{"content": "twice", "nonce": "abc"}).ID == first.ID {
		t.Error("deduplicated without enforce_nonce")
	}
	numbered := send(obj{"content": "n", "nonce": 77, "enforce_nonce": true})
	equal(t, "number", string(numbered.Nonce), "77")
	equal(t, "the same number", send(obj{"content": "n", "nonce": 77, "enforce_nonce": true}).ID, numbered.ID)

	r.do("DELETE", path("/channels/%d/messages/%d", r.w.General, numbered.ID), nil).is(204)
	r.sendTo(r.w.General, obj{"content": "n", "nonce": 77, "enforce_nonce": true}).is(404, 10008)

	r.Advance(10 * time.Minute)
	if send(once).ID == first.ID {
		t.Error("the nonce is still known after ten minutes")
	}
}

func TestEditAndDelete(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	m := r.sendTo(r.w.General, obj{"content": "a", "embeds": []obj{{"title": "t"}}}).message()
	at := path("/channels/%d/messages/%d", r.w.General, m.ID)
	edited := r.do("PATCH", at, obj{"content": "b"}).message()
	equal(t, "content", edited.Content, "b")
	equal(t, "embeds stay", len(edited.Embeds), 1)
	if edited.EditedTimestamp == nil {
		t.Error("no edited_timestamp")
	}
	equal(t, "content goes", r.do("PATCH", at, obj{"content": nil}).message().Content, "")
	r.do("PATCH", at, obj{"embeds": nil}).is(400, 50006)
	r.do("PATCH", at, obj{"content": strings.Repeat("x", 2001)}).complains("content", "BASE_TYPE_MAX_LENGTH")

	other, err := r.AddMessage(sandbox.Message{ChannelID: r.w.General, Content: "alice's", Author: &sandbox.User{ID: r.w.Alice}})
	if err != nil {
		t.Fatal(err)
	}
	others := path("/channels/%d/messages/%d", r.w.General, other)
	r.do("PATCH", others, obj{"content": "mine"}).is(403, 50005)
	equal(t, "flags of others", r.do("PATCH", others, obj{"flags": 4}).message().Flags, 4)
	r.do("DELETE", others, nil).is(204)
	r.do("DELETE", others, nil).is(404, 10008)
	r.do("DELETE", at, nil).is(204)
	r.do("PATCH", at, obj{"content": "x"}).is(404, 10008)
}

func TestBulkDelete(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	seed := func(age time.Duration) sandbox.ID {
		id, err := r.AddMessage(sandbox.Message{ID: r.OldID(age), ChannelID: r.w.General, Content: "old"})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	ancient, old, older := seed(15*24*time.Hour), seed(time.Hour), seed(2*time.Hour)
	bulk := func(ids ...any) *answer {
		return r.do("POST", path("/channels/%d/messages/bulk-delete", r.w.General), obj{"messages": ids})
	}
	bulk(old).is(400, 50016)
	bulk(old, old).is(400, 50016)
	bulk(old, ancient).is(400, 50034)
	bulk(old, "x").complains("messages.1", "NUMBER_TYPE_COERCE")
	equal(t, "all there", len(r.Messages(r.w.General)), 3)
	bulk(old, older, r.OldID(0)).is(204)
	equal(t, "one left", r.Messages(r.w.General)[0].ID, ancient)
}

func TestReplyAndForward(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	first, err := r.AddMessage(sandbox.Message{ChannelID: r.w.General, Content: "question", Author: &sandbox.User{ID: r.w.Alice}})
	if err != nil {
		t.Fatal(err)
	}
	ref := obj{"message_id": first}
	reply := r.sendTo(r.w.General, obj{"content": "answer", "message_reference": ref}).message()
	equal(t, "type", reply.Type, sandbox.MessageReply)
	equal(t, "pings", reply.Mentions[0].ID, r.w.Alice)
	if reply.Referenced == nil {
		t.Error("no referenced_message")
	}
	silent := r.sendTo(r.w.General, obj{"content": "answer", "message_reference": ref, "allowed_mentions": obj{"parse": []string{}}}).message()
	equal(t, "pings nobody", len(silent.Mentions), 0)

	forward := r.sendTo(r.w.Random, obj{"message_reference": obj{"type": 1, "message_id": first, "channel_id": r.w.General}})
	m := forward.is(200)
	if !bytes.Contains(m.body, []byte(`"message_snapshots":[{"message":{"type":0,"content":"question"`)) {
		t.Errorf("no snapshot: %s", m.body)
	}
	r.do("DELETE", path("/channels/%d/messages/%d", r.w.General, first), nil).is(204)
	again := r.do("GET", path("/channels/%d/messages/%d", r.w.General, reply.ID), nil).is(200)
	if !bytes.Contains(again.body, []byte(`"referenced_message":null`)) {
		t.Errorf("a deleted message is not null: %s", again.body)
	}
	gone := obj{"message_id": first, "fail_if_not_exists": false}
	equal(t, "an ordinary message", r.sendTo(r.w.General, obj{"content": "x", "message_reference": gone}).message().Type, 0)
}

func TestMentions(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	content := path("@everyone <@%d> <@!%d> <@&%d> <@5>", r.w.Alice, r.w.Bob, r.w.MemberRole)
	tests := []struct {
		name     string
		allowed  any
		users    int
		roles    int
		everyone bool
	}{
		{"absent", nil, 2, 1, true},
		{"none", obj{"parse": []string{}}, 0, 0, false},
		{"users", obj{"parse": []string{"users"}}, 2, 0, false},
		{"one user", obj{"users": []any{r.w.Bob}}, 1, 0, false},
		{"roles and everyone", obj{"parse": []string{"roles", "everyone"}}, 0, 1, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := r.sendTo(r.w.General, obj{"content": content, "allowed_mentions": test.allowed}).message()
			equal(t, "users", len(m.Mentions), test.users)
			equal(t, "roles", len(m.MentionRoles), test.roles)
			equal(t, "everyone", m.MentionEveryone, test.everyone)
		})
	}
}

// A message that a control method adds mentions whom it names, as everybody's do.
func TestMentionsOfPeople(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	c, _ := r.login(sandbox.IntentGuildMessages)
	say := func(m sandbox.Message) obj {
		t.Helper()
		m.ChannelID, m.Author = r.w.General, &sandbox.User{ID: r.w.Alice}
		if _, err := r.AddMessage(m); err != nil {
			t.Fatal(err)
		}
		return c.event("MESSAGE_CREATE")
	}
	text := path("<@%d> and <@&%d>", r.w.Bot, r.w.MemberRole)
	m := say(sandbox.Message{Content: text})
	equal(t, "mentions", m["mentions"].([]any)[0].(obj)["id"], any(r.w.Bot.String()))
	equal(t, "roles", fmt.Sprint(m["mention_roles"]), path("[%d]", r.w.MemberRole))
	equal(t, "content for the one who is mentioned", m["content"], any(text))
	m = say(sandbox.Message{Content: text, Mentions: []*sandbox.User{}, MentionRoles: []sandbox.ID{}})
	equal(t, "stated mentions", fmt.Sprint(m["mentions"], m["mention_roles"]), "[] []")
	equal(t, "content for one who is not mentioned", m["content"], any(""))
}

// Without MENTION_EVERYONE only mentionable roles are pinged.
func TestMentionsWithoutPermission(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	if err := r.SetOverwrite(r.w.General, sandbox.Overwrite{ID: r.w.Bot, Type: sandbox.OverwriteMember, Deny: sandbox.PermMentionEveryone}); err != nil {
		t.Fatal(err)
	}
	m := r.sendTo(r.w.General, obj{"content": path("@here <@&%d> <@&%d>", r.w.MemberRole, r.w.ModeratorRole)}).message()
	equal(t, "roles", m.MentionRoles, []sandbox.ID{r.w.MemberRole})
	equal(t, "everyone", m.MentionEveryone, false)
}

// upload sends a message with files.
func (r *rig) upload(channel sandbox.ID, payload string, files map[string]string) *answer {
	r.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if payload != "" {
		part, _ := w.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {`form-data; name="payload_json"`}, "Content-Type": {"application/json"},
		})
		_, _ = part.Write([]byte(payload))
	}
	for name, data := range files {
		field, filename, _ := strings.Cut(name, "=")
		part, _ := w.CreateFormFile(field, filename)
		_, _ = part.Write([]byte(data))
	}
	if err := w.Close(); err != nil {
		r.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), "POST", path("http://sandbox/api/v10/channels/%d/messages", channel), &b)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	return r.send(req)
}

func TestFiles(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true, UploadLimit: 100})
	m := r.upload(r.w.General,
		`{"content":"see","attachments":[{"id":"0","description":"alt"}],"embeds":[{"title":"t","image":{"url":"attachment://my_cat.png"}}]}`,
		map[string]string{"files[0]=my cat.png": "png"}).message()
	equal(t, "files", len(m.Attachments), 1)
	a := m.Attachments[0]
	equal(t, "name", a.Filename, "my_cat.png")
	equal(t, "size", a.Size, 3)
	equal(t, "description", a.Description, "alt")
	equal(t, "content type", a.ContentType, "image/png")
	equal(t, "picture", m.Embeds[0].Image.URL, a.URL)

	equal(t, "no payload", len(r.upload(r.w.General, "", map[string]string{"files[0]=a.txt": "a"}).message().Attachments), 1)
	r.upload(r.w.General, `{"attachments":[{"id":3}]}`, map[string]string{"files[0]=a.txt": "a"}).complains("attachments.0", "ATTACHMENT_NOT_FOUND")
	r.upload(r.w.General, `{}`, map[string]string{"files[0]=a.txt": strings.Repeat("a", 101)}).is(413, 40005)
	eleven := map[string]string{}
	for i := range 11 {
		eleven[path("files[%d]=f%d", i, i)] = "x"
	}
	r.upload(r.w.General, `{}`, eleven).complains("attachments", "BASE_TYPE_MAX_LENGTH")

	at := path("/channels/%d/messages/%d", r.w.General, m.ID)
	equal(t, "kept", len(r.do("PATCH", at, obj{"content": "still"}).message().Attachments), 1)
	equal(t, "listed", r.do("PATCH", at, obj{"attachments": []obj{{"id": a.ID, "description": "new"}}}).message().Attachments[0].Description, "new")
	equal(t, "removed", len(r.do("PATCH", at, obj{"attachments": []obj{}}).message().Attachments), 0)

	req, _ := http.NewRequestWithContext(t.Context(), "POST", path("http://sandbox/api/v10/channels/%d/messages", r.w.General), strings.NewReader("hi"))
	req.Header.Set("Content-Type", "text/plain")
	r.send(req).is(400, 50035)
}

func TestComponentsAndPolls(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	m := r.sendTo(r.w.General, obj{"content": "press", "components": []obj{{"type": 1, "components": []obj{
		{"type": 2, "style": 1, "label": "Yes", "custom_id": "yes"}, {"type": 2, "style": 5, "label": "Go", "url": "https://example.com"},
	}}}}).message()
	equal(t, "row's id", m.Components[0]["id"], any(1.0))
	r.sendTo(r.w.General, obj{"flags": 1 << 15, "components": []obj{{"type": 10, "content": "text"}}}).is(200)
	poll := r.sendTo(r.w.General, obj{"poll": obj{
		"question": obj{"text": "Which?"}, "answers": []obj{{"poll_media": obj{"text": "A"}}, {"poll_media": obj{"text": "B"}}}, "duration": 2,
	}}).message()
	equal(t, "answers", len(poll.Poll.Answers), 2)
}

func TestMemoryIsBounded(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true, MaxMessages: 3, MaxCalls: 4, MaxNonces: 2, MaxDMs: 2})
	for _, content := range []string{"1", "2", "3", "4", "5"} {
		r.sendTo(r.w.General, obj{"content": content, "nonce": content, "enforce_nonce": true}).is(200)
	}
	messages := r.Messages(r.w.General)
	equal(t, "messages", len(messages), 3)
	equal(t, "oldest", messages[0].Content, "3")
	for _, u := range []sandbox.ID{r.w.Alice, r.w.Bob, r.w.NoDMs} {
		r.do("POST", "/users/@me/channels", obj{"recipient_id": u}).is(200)
	}
	equal(t, "first direct messages are gone", r.DirectMessages(r.w.Alice), sandbox.ID(0))
	calls := r.Calls()
	equal(t, "calls", len(calls), 4)
	equal(t, "oldest call", calls[0].Route, "POST /channels/{channel_id}/messages")
	equal(t, "counted", r.Stats().Calls, 8)
}
