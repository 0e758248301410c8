package discord_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
)

const unauthorizedBody = `{"message":"401: Unauthorized","code":0}`

// scripted answers requests by their method and path below the version; paths
// that it does not have go to the sandbox. It counts what came.
type scripted struct {
	mu      sync.Mutex
	answers map[string]func() (status int, body string)
	came    map[string]int
}

func (s *scripted) client(t *testing.T, sb *sandbox.Sandbox) *discord.Client {
	s.came = make(map[string]int)
	return newClient(t, sb, func(next http.RoundTripper) upstream {
		return func(r *http.Request) (*http.Response, error) {
			name := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/api/v10")
			s.mu.Lock()
			s.came[name]++
			s.mu.Unlock()
			if answer := s.answers[name]; answer != nil {
				status, body := answer()
				return &http.Response{
					StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}, "Via": {"1.1 google"}},
					Body: io.NopCloser(strings.NewReader(body)), Request: r,
				}, nil
			}
			return next.RoundTrip(r)
		}
	})
}

func always(status int, body string) func() (int, string) {
	return func() (int, string) { return status, body }
}

// TestUnauthorizedRoute: a 401 of one route leaves all other calls of the
// token alone, once a check has shown that the token is good.
func TestUnauthorizedRoute(t *testing.T) {
	for _, authorization := range []string{"", "Bot another", "Bearer of-a-user"} {
		synctest.Test(t, func(t *testing.T) {
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			check := "GET /users/@me"
			if strings.HasPrefix(authorization, "Bearer") {
				check = "GET /oauth2/@me"
			}
			s := scripted{answers: map[string]func() (int, string){
				"GET /users/@me/connections": always(401, unauthorizedBody),
				"GET /users/@me/guilds":      always(200, "[]"),
				check:                        always(200, `{"id":"1"}`),
			}}
			client := s.client(t, sb)
			ask := func(path string) int {
				args := []string{}
				if authorization != "" {
					args = append(args, "Authorization", authorization)
				}
				resp, err := client.Forward(t.Context(), nil, request(t, "GET", "/api/v10"+path, "", args...))
				if e, ok := errors.AsType[*discord.Error](err); ok {
					if e.Reason != discord.Invalid || e.RetryAfter <= 0 {
						t.Errorf("%q: refused with %v", authorization, err)
					}
					return e.Status
				}
				return resp.Status
			}
			ask("/users/@me/guilds")
			for range 2 { // one 401 may be an accident
				ask("/users/@me/connections")
			}
			if n := s.came["GET /users/@me/connections"]; n != 2 {
				t.Errorf("%q: Discord was asked %d times by two calls", authorization, n)
			}
			for second := range 125 {
				if got := ask("/users/@me/connections"); got != 401 {
					t.Fatalf("%q: the poll is answered %d", authorization, got)
				}
				if got := ask("/users/@me/guilds"); got != 200 {
					t.Fatalf("%q: another route is answered %d after %d s", authorization, got, second)
				}
				time.Sleep(time.Second)
			}
			if n := s.came["GET /users/@me/connections"]; n < 3 || n > 10 {
				t.Errorf("%q: Discord was asked %d times", authorization, n)
			}
			if n := s.came[check]; n < 1 || n > 5 {
				t.Errorf("%q: %d checks", authorization, n)
			}
		})
	}
}

// TestRefusedToken: when the check is answered with 401, all calls of the token
// stop. Checks alone find out whether it is good again.
func TestRefusedToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Unlimited: true})
		bad := false
		gate := func(status int, body string) func() (int, string) {
			return func() (int, string) {
				if bad {
					return 401, unauthorizedBody
				}
				return status, body
			}
		}
		s := scripted{answers: map[string]func() (int, string){
			"GET /channels/1": gate(200, `{"id":"1"}`),
			"GET /users/@me":  gate(200, `{"id":"1"}`),
		}}
		client := s.client(t, sb)
		get := func() error {
			_, err := client.Call(t.Context(), nil, discord.GetChannel, discord.Args{"channel_id": 1})
			return err
		}
		refused := func(err error) bool {
			e, ok := errors.AsType[*discord.Error](err)
			return ok && e.Reason == discord.TokenRefused
		}
		if err := get(); err != nil {
			t.Fatal(err)
		}
		bad = true
		_ = get()
		if err := get(); !refused(err) || client.Usable() == nil {
			t.Errorf("after the token was revoked: %v", err)
		}
		before := s.came["GET /channels/1"]
		for range 10 * 60 {
			if err := get(); !refused(err) {
				t.Fatalf("while it is refused: %v", err)
			}
			time.Sleep(time.Second)
		}
		if n := s.came["GET /users/@me"]; s.came["GET /channels/1"] != before || n < 3 || n > 6 {
			t.Errorf("calls %d, checks %d", s.came["GET /channels/1"]-before, n)
		}
		bad = false
		time.Sleep(8 * time.Minute)
		if err := get(); err != nil || client.Usable() != nil {
			t.Errorf("when it is good again: %v, %v", err, client.Usable())
		}
	})
}

// TestGoneWebhook: later calls to a deleted webhook get Discord's last response, until
// one call may try again.
func TestGoneWebhook(t *testing.T) {
	const status, body = 404, `{"message":"Unknown Webhook","code":10015}`
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Unlimited: true})
		interaction := "/webhooks/1/aW50ZXJhY3Rpb246MTIz"
		s := scripted{answers: map[string]func() (int, string){
			"POST /webhooks/1/dead":             always(status, body),
			"PATCH /webhooks/1/dead/messages/5": always(status, body),
			"POST /webhooks/1/alive":            always(204, ""),
			"POST /webhooks/1/wrong":            always(401, `{"message":"Invalid Webhook Token","code":50027}`),
			"POST /webhooks/2/wrong":            always(401, unauthorizedBody),
			"POST " + interaction:               always(status, body),
		}}
		client := s.client(t, sb)
		send := func(method, path string) (got int, text string) {
			resp, err := client.Forward(t.Context(), nil, request(t, method, "/api/v10"+path, `{"content":"x"}`))
			if e, ok := errors.AsType[*discord.Error](err); ok {
				return e.Status, e.Text
			}
			if e := resp.Err(); e != nil {
				return resp.Status, e.Text
			}
			return resp.Status, ""
		}
		_, first := send("POST", "/webhooks/1/dead")
		for range 30 {
			if got, text := send("POST", "/webhooks/1/dead"); got != status || text != first {
				t.Fatalf("answered %d %s", got, text)
			}
		}
		send("PATCH", "/webhooks/1/dead/messages/5")
		if n := s.came["POST /webhooks/1/dead"] + s.came["PATCH /webhooks/1/dead/messages/5"]; n != 1 {
			t.Errorf("Discord was asked %d times", n)
		}
		if n := client.RateLimits().GoneWebhooks; n != 1 {
			t.Errorf("%d webhooks are shown as gone", n)
		}
		if got, _ := send("POST", "/webhooks/1/alive"); got != 204 {
			t.Errorf("another token of the webhook is answered %d", got)
		}
		// A wrong token says nothing about the webhook, and interactions end.
		for _, path := range []string{interaction, "/webhooks/1/wrong", "/webhooks/2/wrong"} {
			for range 3 {
				send("POST", path)
			}
			if n := s.came["POST "+path]; n != 3 {
				t.Errorf("Discord was asked %d times for %s", n, path)
			}
		}
		for minute := range 60 {
			time.Sleep(time.Minute)
			if got, _ := send("POST", "/webhooks/1/dead"); got != status {
				t.Fatalf("answered %d after %d min", got, minute)
			}
		}
		if n := s.came["POST /webhooks/1/dead"]; n < 5 || n > 7 {
			t.Errorf("Discord was asked %d times in an hour", n)
		}
		// One call asks again; those that come meanwhile do not.
		before := s.came["POST /webhooks/1/dead"]
		s.answers["POST /webhooks/1/dead"] = func() (int, string) {
			time.Sleep(time.Second)
			return status, body
		}
		time.Sleep(2 * time.Hour)
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() { send("POST", "/webhooks/1/dead") })
			time.Sleep(10 * time.Millisecond)
		}
		calls.Wait()
		if n := s.came["POST /webhooks/1/dead"] - before; n != 1 {
			t.Errorf("10 calls asked Discord %d times", n)
		}
		s.answers["POST /webhooks/1/dead"] = always(204, "")
		time.Sleep(4 * time.Hour)
		if got, _ := send("POST", "/webhooks/1/dead"); got != 204 || client.RateLimits().GoneWebhooks != 0 {
			t.Errorf("when it is back: %d, %d gone", got, client.RateLimits().GoneWebhooks)
		}
	})
}

// TestRetryAfterOfFailures: the time that a 503 names is waited out before the
// next try; what cannot be waited out fails immediately.
func TestRetryAfterOfFailures(t *testing.T) {
	for _, value := range []string{"20", "date"} {
		synctest.Test(t, func(t *testing.T) {
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			var sent []time.Duration
			began := time.Now()
			client := newClient(t, sb, func(next http.RoundTripper) upstream {
				return func(r *http.Request) (*http.Response, error) {
					sent = append(sent, time.Since(began))
					if len(sent) > 1 {
						return next.RoundTrip(r)
					}
					h := http.Header{"Retry-After": {value}}
					if value == "date" {
						h.Set("Retry-After", time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat))
					}
					return &http.Response{StatusCode: 503, Header: h, Body: http.NoBody, Request: r}, nil
				}
			})
			channel := sb.World().General
			if _, err := client.CreateMessage(t.Context(), nil, uint64(channel), discord.Message{Fields: discord.Args{"content": "x"}}); err != nil {
				t.Fatal(err)
			}
			if len(sent) != 2 || sent[1] < 19*time.Second || sent[1] > 22*time.Second {
				t.Errorf("%s: sent after %v", value, sent)
			}
			if got := len(sb.Messages(channel)); got != 1 {
				t.Errorf("%d messages", got)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Unlimited: true})
		sb.InjectFault(sandbox.Fault{Status: 503, Header: map[string]string{"Retry-After": "600"}})
		client := newClient(t, sb, nil)
		began := time.Now()
		_, err := client.CreateMessage(t.Context(), nil, uint64(sb.World().General), discord.Message{Fields: discord.Args{"content": "x"}})
		e, ok := errors.AsType[*discord.Error](err)
		if took := time.Since(began); !ok || e.Status != 503 || e.RetryAfter != 10*time.Minute || took > time.Second {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// TestAnswersWithoutWhatWasMade: a success without the object that the operation returns
// counts as a lost response.
func TestAnswersWithoutWhatWasMade(t *testing.T) {
	for _, tt := range []struct {
		op     discord.Operation
		args   discord.Args
		status int
		body   string
		ok     bool
	}{
		{discord.CrosspostMessage, discord.Args{"channel_id": 1, "message_id": 2}, 200, "null", false},
		{discord.CrosspostMessage, discord.Args{"channel_id": 1, "message_id": 2}, 200, "{}", false},
		{discord.CrosspostMessage, discord.Args{"channel_id": 1, "message_id": 2}, 200, "[]", false},
		{discord.CrosspostMessage, discord.Args{"channel_id": 1, "message_id": 2}, 204, "", false},
		{discord.CrosspostMessage, discord.Args{"channel_id": 1, "message_id": 2}, 202, "", false},
		{discord.CrosspostMessage, discord.Args{"channel_id": 1, "message_id": 2}, 200, `{"id":"0"}`, false},
		{discord.CrosspostMessage, discord.Args{"channel_id": 1, "message_id": 2}, 200, `{"id":"no"}`, false},
		{discord.CrosspostMessage, discord.Args{"channel_id": 1, "message_id": 2}, 200, `{"id":"99999999999999999999"}`, false},
		{discord.CrosspostMessage, discord.Args{"channel_id": 1, "message_id": 2}, 200, `{"id":7,"content":[]}`, true},
		{discord.SetApplicationCommands, discord.Args{"application_id": 1, "commands": []any{}}, 200, "null", false},
		{discord.SetApplicationCommands, discord.Args{"application_id": 1, "commands": []any{}}, 200, "{}", false},
		{discord.SetApplicationCommands, discord.Args{"application_id": 1, "commands": []any{}}, 200, " []", true},
		{discord.UpdateGuildMember, discord.Args{"guild_id": 1, "user_id": 2}, 204, "", false},
		{discord.UpdateGuildMember, discord.Args{"guild_id": 1, "user_id": 2}, 200, `{"nick":null}`, true},
		{discord.UpdateGuildMember, discord.Args{"guild_id": 1, "user_id": 2}, 200, "{}", false},
		{discord.ExecuteWebhook, discord.Args{"webhook_id": 1, "webhook_token": "t"}, 204, "", true},
		{discord.ExecuteWebhook, discord.Args{"webhook_id": 1, "webhook_token": "t", "wait": true}, 204, "", false},
		{discord.ExecuteWebhook, discord.Args{"webhook_id": 1, "webhook_token": "t", "wait": true}, 200, `{"id":"7"}`, true},
		{discord.ListMessages, discord.Args{"channel_id": 1}, 200, "null", false},
		{discord.AddMyReaction, discord.Args{"channel_id": 1, "message_id": 2, "emoji_name": "x"}, 204, "", true},
	} {
		synctest.Test(t, func(t *testing.T) {
			client := newClient(t, sandbox.New(sandbox.Config{}), func(http.RoundTripper) upstream {
				return func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: tt.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(tt.body)), Request: r}, nil
				}
			})
			_, err := client.Call(t.Context(), nil, tt.op, tt.args)
			if tt.ok {
				if err != nil {
					t.Errorf("%s, %d %s: %v", tt.op.Name, tt.status, tt.body, err)
				}
				return
			}
			e, ok := errors.AsType[*discord.Error](err)
			if !ok || e.Reason != discord.Unreachable || e.OutcomeUnknown != (tt.op.Method != http.MethodGet) {
				t.Errorf("%s, %d %s: %v", tt.op.Name, tt.status, tt.body, err)
			}
		})
	}
}

// TestGoneWebhookIsFoundByAnyCall: whatever call Discord answers with 10015,
// the others to the webhook are not made. Other errors do not say that it is gone.
func TestGoneWebhookIsFoundByAnyCall(t *testing.T) {
	const hook = "/webhooks/1/secret"
	calls := []string{
		"POST " + hook, "POST " + hook + "?wait=true&thread_id=7", "POST " + hook + "/slack", "POST " + hook + "/github",
		"GET " + hook, "PATCH " + hook, "DELETE " + hook,
		"GET " + hook + "/messages/5", "PATCH " + hook + "/messages/5", "DELETE " + hook + "/messages/5", "PATCH " + hook + "/messages/5?thread_id=7",
	}
	for _, tt := range []struct {
		status int
		body   string
		gone   bool
	}{
		{404, `{"message":"Unknown Webhook","code":10015}`, true},
		{404, `{"message":"Unknown Webhook","code":10015,"extra":null}`, true},
		{404, `{"message":"Unknown Message","code":10008}`, false},
		{404, `{"message":"Unknown Channel","code":10003}`, false},
		{404, `{"message":"404: Not Found","code":0}`, false},
		{404, ``, false},
		{403, `{"message":"Missing Access","code":50001}`, false},
		{400, `{"message":"Unknown Webhook","code":10015}`, false},
	} {
		for _, first := range calls {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				client := newClient(t, sandbox.New(sandbox.Config{Unlimited: true}), func(http.RoundTripper) upstream {
					return func(r *http.Request) (*http.Response, error) {
						asked++
						return &http.Response{StatusCode: tt.status, Header: http.Header{"Via": {"1.1 google"}}, Body: io.NopCloser(strings.NewReader(tt.body)), Request: r}, nil
					}
				})
				send := func(call string) {
					method, path, _ := strings.Cut(call, " ")
					path, query, _ := strings.Cut(path, "?")
					r := request(t, method, "/api/v10"+path, "")
					r.Query = query
					resp, err := client.Forward(t.Context(), nil, r)
					status := 0
					if e, ok := errors.AsType[*discord.Error](err); ok {
						status = e.Status
					} else if err == nil {
						status = resp.Status
					}
					if status != tt.status {
						t.Errorf("%s is answered %d (%v)", call, status, err)
					}
				}
				send(first)
				for _, call := range calls {
					send(call)
				}
				if want := map[bool]int{true: 1, false: 1 + len(calls)}[tt.gone]; asked != want {
					t.Errorf("after %s with %d %s Discord was asked %d times, want %d", first, tt.status, tt.body, asked, want)
				}
			})
		}
	}
}
