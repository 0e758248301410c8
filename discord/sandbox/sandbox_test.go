package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/test/description"
)

// rig is a sandbox with a client whose answers are compared with Discord's
// description.
type rig struct {
	*sandbox.Sandbox
	t      testing.TB
	w      sandbox.World
	client *http.Client
	auth   string
}

func newRig(t testing.TB, config sandbox.Config) *rig {
	t.Helper()
	s := sandbox.New(config)
	w := s.World()
	return &rig{Sandbox: s, t: t, w: w, auth: "Bot " + w.Token, client: &http.Client{Transport: checked{t, s.Transport()}}}
}

// answer is a response that was read.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// as returns a rig that calls with another Authorization.
func (r *rig) as(auth string) *rig {
	other := *r
	other.auth = auth
	return &other
}

// do calls the API at v10. body is JSON when it is not nil or a string.
func (r *rig) do(method, path string, body any) *answer {
	r.t.Helper()
	var reader io.Reader
	if text, ok := body.(string); ok {
		reader = strings.NewReader(text)
	} else if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			r.t.Fatal(err)
		}
		reader = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://sandbox/api/v10"+path, reader)
	if err != nil {
		r.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return r.send(req)
}

func (r *rig) send(req *http.Request) *answer {
	r.t.Helper()
	if r.auth != "" {
		req.Header.Set("Authorization", r.auth)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return &answer{r.t, resp.StatusCode, resp.Header, b}
}

// is checks the status and, for errors, Discord's code.
func (a *answer) is(status int, code ...int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if len(code) > 0 {
		var e struct{ Code *int }
		if json.Unmarshal(a.body, &e) != nil || e.Code == nil || *e.Code != code[0] {
			a.t.Fatalf("body %s, want code %d", a.body, code[0])
		}
	}
	return a
}

// complains checks that a form error has a code at a dotted path.
func (a *answer) complains(path, code string) {
	a.t.Helper()
	a.is(http.StatusBadRequest, 50035)
	var e struct{ Errors any }
	if err := json.Unmarshal(a.body, &e); err != nil {
		a.t.Fatal(err)
	}
	node := e.Errors
	if path != "" {
		for part := range strings.SplitSeq(path, ".") {
			m, _ := node.(map[string]any)
			node = m[part]
		}
	}
	m, _ := node.(map[string]any)
	if !strings.Contains(fmt.Sprint(m["_errors"]), "code:"+code+" ") {
		a.t.Fatalf("no %s at %s: %s", code, path, a.body)
	}
}

func (a *answer) into(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		a.t.Fatalf("decode %s: %v", a.body, err)
	}
}

// object returns the body as a map.
func (a *answer) object() map[string]any {
	a.t.Helper()
	var m map[string]any
	a.into(&m)
	return m
}

func (a *answer) message() sandbox.Message {
	a.t.Helper()
	a.is(http.StatusOK)
	var m sandbox.Message
	a.into(&m)
	return m
}

func path(format string, args ...any) string { return fmt.Sprintf(format, args...) }

type obj = map[string]any

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestDescriptionIsThere(t *testing.T) {
	d, err := description.Load()
	if err != nil {
		t.Fatal(err)
	}
	if d == nil {
		t.Skip(description.Hint)
	}
}

func TestAddresses(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	me := path("/users/%d", r.w.Bot)
	tests := []struct {
		name, method, url, auth string
		status                  int
		body                    string
	}{
		{"v10", "GET", "/api/v10/users/@me", r.auth, 200, ""},
		{"v9", "GET", "/api/v9/users/@me", r.auth, 200, ""},
		{"no version", "GET", "/api/users/@me", r.auth, 200, ""},
		{"version of the future", "GET", "/api/v99/users/@me", r.auth, 400, `{"message":"Invalid API version provided.","code":50041}`},
		{"no token", "GET", "/api/v10/users/@me", "", 401, `{"message":"401: Unauthorized","code":0}`},
		{"wrong token", "GET", "/api/v10" + me, "Bot nonsense", 401, `{"message":"401: Unauthorized","code":0}`},
		{"token without Bot", "GET", "/api/v10" + me, sandbox.DefaultToken, 401, `{"message":"401: Unauthorized","code":0}`},
		{"unknown route", "GET", "/api/v10/nonsense", r.auth, 404, `{"message":"404: Not Found","code":0}`},
		{"outside of the API", "GET", "/", r.auth, 404, `{"message":"404: Not Found","code":0}`},
		{"unknown method", "PUT", "/api/v10/users/@me", r.auth, 405, `{"message":"405: Method Not Allowed","code":0}`},
		{"gateway needs no token", "GET", "/api/v10/gateway", "", 200, `{"url":"ws://sandbox/gateway"}`},
		{"gateway for bots does", "GET", "/api/v10/gateway/bot", "", 401, ""},
		{"bad id", "GET", "/api/v10/users/abc", r.auth, 400, `{"message":"Invalid Form Body","code":50035,"errors":{"user_id":{"_errors":[{"code":"NUMBER_TYPE_COERCE","message":"Value \"abc\" is not snowflake."}]}}}`},
		{"huge id", "GET", "/api/v10/users/99999999999999999999", r.auth, 400, `{"message":"Invalid Form Body","code":50035,"errors":{"user_id":{"_errors":[{"code":"NUMBER_TYPE_MAX","message":"snowflake value should be less than or equal to 9223372036854775807."}]}}}`},
		{"form error without version", "GET", "/api/users/abc", r.auth, 400, `{"user_id":["Value \"abc\" is not snowflake."]}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), test.method, "http://sandbox"+test.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			a := r.as(test.auth).send(req)
			equal(t, "status", a.status, test.status)
			if test.body != "" {
				equal(t, "body", string(a.body), test.body)
			}
			equal(t, "Via", a.header.Get("Via"), "1.1 google")
		})
	}
}

func TestUsersAndDirectMessages(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	equal(t, "bot", r.do("GET", "/users/@me", nil).is(200).object()["id"], any(r.w.Bot.String()))
	equal(t, "alice", r.do("GET", path("/users/%d", r.w.Alice), nil).is(200).object()["global_name"], any("Alice"))
	r.do("GET", "/users/5", nil).is(404, 10013)

	open := func(id any) *answer { return r.do("POST", "/users/@me/channels", obj{"recipient_id": id}) }
	first := open(r.w.Alice).is(200).object()
	equal(t, "same channel", open(uint64(r.w.Alice)).is(200).object()["id"], first["id"])
	r.do("POST", path("/channels/%s/messages", first["id"]), obj{"content": "hi"}).is(200)

	open("abc").complains("recipient_id", "NUMBER_TYPE_COERCE")
	r.do("POST", "/users/@me/channels", obj{}).complains("recipient_id", "BASE_TYPE_REQUIRED")
	open("5").is(400, 50033)
	open(r.w.Bot).is(400, 50007)
	open(r.w.OtherBot).is(400, 50007)

	shy := open(r.w.NoDMs).is(200).object()
	r.do("POST", path("/channels/%s/messages", shy["id"]), obj{"content": "hi"}).is(403, 50007)
	far := open(r.w.Stranger).is(200).object()
	r.do("POST", path("/channels/%s/messages", far["id"]), obj{"content": "hi"}).is(403, 50278)
}

func TestChannels(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	for _, id := range []sandbox.ID{r.w.General, r.w.Category, r.w.Voice, r.w.Forum, r.w.Announcement, r.w.ReadOnly} {
		equal(t, "id", r.do("GET", path("/channels/%d", id), nil).is(200).object()["id"], any(id.String()))
	}
	r.do("GET", path("/channels/%d", r.w.Forbidden), nil).is(403, 50001)
	r.do("GET", path("/channels/%d", r.w.OtherChannel), nil).is(403, 50001)
	r.do("GET", "/channels/5", nil).is(404, 10003)

	var list []obj
	r.do("GET", path("/guilds/%d/channels", r.w.Guild), nil).is(200).into(&list)
	equal(t, "channels", len(list), 9)
	r.do("GET", path("/guilds/%d/channels", r.w.OtherGuild), nil).is(403, 50001)
	r.do("GET", "/guilds/5/channels", nil).is(404, 10004)
}
