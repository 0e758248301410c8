package discord_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"discordproxy/discord"
)

// TestFormsThatParsersReadDifferently: what is passed on for a client with rules
// is written again, or refused.
func TestFormsThatParsersReadDifferently(t *testing.T) {
	const (
		head  = "--b\r\nContent-Disposition: form-data; name="
		end   = "\r\n--b--\r\n"
		plain = head + "\"payload_json\"\r\n\r\n{}"
	)
	read := func(header http.Header, query, body string) (*discord.Request, error) {
		path, err := discord.ParseAPIPath("/api/v10/channels/7/messages")
		if err != nil {
			t.Fatal(err)
		}
		r := &discord.Request{Method: http.MethodPost, Path: path, Query: query, Header: header, Body: []byte(body)}
		if err := r.ReadHead(); err != nil {
			return nil, err
		}
		_, err = r.Read()
		return r, err
	}
	form := func() http.Header { return http.Header{"Content-Type": {"multipart/form-data; boundary=b"}} }
	for name, body := range map[string]string{
		"plain":              plain + end,
		"no line at the end": plain + "\r\n--b--",
		"aiohttp":            "--b\r\nContent-Type: application/json\r\nContent-Disposition: form-data; name=\"payload_json\"\r\nContent-Length: 2\r\n\r\n{}" + end,
		"blob":               head + "\"payload_json\"; filename=\"blob\"\r\nContent-Type: application/json\r\n\r\n{}" + end,
		"file":               head + "\"files[0]\"; filename=\"a \\\"b\\\" c:\\d.txt\"\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\xff" + end,
		"extended filename":  head + "\"files[0]\"; filename*=utf-8''%C3%A4\r\n\r\nx" + end,
	} {
		r, err := read(form(), "", body)
		if err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data; boundary=") || string(r.Body) == body {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, body := range map[string]string{
		"name*":                    head + "\"x\"; name*=utf-8''payload_json\r\n\r\n{}" + end,
		"name twice":               head + "\"x\"; name=\"payload_json\"\r\n\r\n{}" + end,
		"disposition twice":        head + "\"x\"\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n{}" + end,
		"type twice":               head + "\"x\"\r\nContent-Type: text/plain\r\nContent-Type: text/plain\r\n\r\n{}" + end,
		"unknown header":           head + "\"x\"\r\nX-Name: y\r\n\r\n{}" + end,
		"folded header":            head + "\"x\";\r\n name=\"y\"\r\n\r\n{}" + end,
		"line feeds in the header": head + "\"x\"\nX: y\r\n\r\n{}" + end,
		"encoded":                  head + "\"payload_json\"\r\nContent-Transfer-Encoding: base64\r\n\r\ne30=" + end,
		"wrong length":             head + "\"x\"\r\nContent-Length: 5\r\n\r\n{}" + end,
		"no boundary":              "nothing",
		"only the end":             "--b--\r\n",
		"breaks off":               plain,
		"breaks off in the header": head + "\"x\"",
		"text before":              "x\r\n" + plain + end,
		"text behind":              plain + end + "x",
		"lone line feed":           plain + "\n--b\n" + end,
		"longer boundary":          plain + "\r\n--bb" + end,
		"part twice":               plain + "\r\n" + plain + end,
		"parts within":             head + "\"files[0]\"\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\nx" + end,
		"UTF-16":                   head + "\"payload_json\"\r\n\r\n\xff\xfe{\x00}\x00" + end,
		"override":                 head + "\"_method\"\r\n\r\nDELETE" + end,
	} {
		if _, err := read(form(), "", body); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	for name, header := range map[string]http.Header{
		"X-Http-Method-Override": {"X-Http-Method-Override": {"DELETE"}},
		"X-Method-Override":      {"X-Method-Override": {"DELETE"}},
		"X-Original-Url":         {"X-Original-Url": {"/"}},
		"encoding":               {"Content-Encoding": {"gzip"}},
		"types":                  {"Content-Type": {"application/json", "multipart/form-data; boundary=b"}},
		"charset":                {"Content-Type": {"application/json; charset=utf-16"}},
	} {
		if _, err := read(header, "", "{}"); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	json := http.Header{"Content-Type": {"application/json"}}
	for _, body := range []string{`{"a":1,"a":2}`, "\xef\xbb\xbf{}", "{} {}", "{\"a\":\"\xff\"}", `{"a":{"b":1,"\u0062":2}}`} {
		if _, err := read(json.Clone(), "", body); err == nil {
			t.Errorf("%q passes", body)
		}
	}
	urlencoded := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for body, want := range map[string]string{
		"content=b&a=%61+c":                      "a=a+c&content=b",
		"payload_json=%7B%22content%22:%22x%22}": "payload_json=%7B%22content%22%3A%22x%22%7D",
	} {
		if r, err := read(urlencoded.Clone(), "", body); err != nil || string(r.Body) != want {
			t.Errorf("%s is passed on as %v, %v", body, r, err)
		}
	}
	for _, body := range []string{
		"content=x&payload_json={}", "payload_json={}&payload_json={}", `payload_json={"a":1,"a":2}`, "payload_json=%ff", "payload_json=x", "payload_json=",
		"content=a&content=b", "content=%zz", "content=a;b", "embed[title]=x", "_method=DELETE", "content=%ff",
	} {
		if _, err := read(urlencoded.Clone(), "", body); err == nil {
			t.Errorf("%q passes", body)
		}
	}
	for _, query := range []string{"payload_json={}", "_method=DELETE", "a[b]=1", "a.b=1", "a=%zz", "a;b"} {
		if _, err := read(json.Clone(), query, "{}"); err == nil {
			t.Errorf("%q passes", query)
		}
	}
	if r, err := read(http.Header{"Content-Type": {"application/json"}, "X-Else": {"y"}, "X-Audit-Log-Reason": {"z"}}, "b=1&a=2", "{}"); err != nil || r.Query != "a=2&b=1" || len(r.Header) != 2 {
		t.Errorf("passed on as %v, %v", r, err)
	}
}

// TestGuildsOfReferences: the guild next to the channel of a reply or forward
// names no target, since Discord finds the message by the channel. Libraries
// such as discord.py always send it.
func TestGuildsOfReferences(t *testing.T) {
	const guild, channel = discord.GuildTarget, discord.ChannelTarget
	for body, want := range map[string][]discord.Target{
		`{"message_reference":{"message_id":"1","channel_id":"7","guild_id":"5"}}`:     {{Kind: channel, ID: 7}},
		`{"message_reference":{"guild_id":"5","channel_id":8,"message_id":"1"}}`:       {{Kind: channel, ID: 8}},
		`{"message":{"message_reference":{"guild_id":"5","channel_id":"7"}}}`:          {{Kind: channel, ID: 7}},
		`{"message_reference":{"message_id":"1","guild_id":"5"}}`:                      {{Kind: guild, ID: 5}},
		`{"message_reference":{"channel_id":null,"guild_id":"5"}}`:                     {{Kind: guild, ID: 5}},
		`{"message_reference":{"channel_id":"x","guild_id":"5"}}`:                      {{Kind: channel}, {Kind: guild, ID: 5}},
		`{"message_reference":{"Channel_id":"7","guild_id":"5"}}`:                      {{Kind: channel, ID: 7}, {Kind: guild, ID: 5}},
		`{"message_reference":{"channel_id":"7","guildId":"5"}}`:                       {{Kind: channel, ID: 7}, {Kind: guild, ID: 5}},
		`{"message_reference":{"channel_id":"7","a":{"guild_id":"5"}}}`:                {{Kind: channel, ID: 7}, {Kind: guild, ID: 5}},
		`{"message_reference":{"channel_id":"7"},"guild_id":"5"}`:                      {{Kind: channel, ID: 7}, {Kind: guild, ID: 5}},
		`{"Message_Reference":{"channel_id":"7","guild_id":"5"}}`:                      {{Kind: channel, ID: 7}, {Kind: guild, ID: 5}},
		`{"message_reference":{"channel_id":"7","guild_id":"5"},"x":{"guild_id":"6"}}`: {{Kind: channel, ID: 7}, {Kind: guild, ID: 6}},
		`{"message_reference":{"channel_id":["7","8"],"guild_id":"5"}}`:                {{Kind: channel, ID: 7}, {Kind: channel, ID: 8}, {Kind: guild, ID: 5}},
	} {
		if got := discord.TargetsInJSON([]byte(body)); !slices.Equal(got, want) {
			t.Errorf("%s names %v", body, got)
		}
	}
}
