package discord_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
)

// one is the caller whose messages keep their order.
var one = &discord.Caller{Name: "one"}

// orderedWays are ways to create a message, each with the channel in which it
// ends up.
func orderedWays(t *testing.T, sb *sandbox.Sandbox, client *discord.Client) map[string]struct {
	channel func() sandbox.ID
	send    func(ctx context.Context, content string) error
} {
	t.Helper()
	type way = struct {
		channel func() sandbox.ID
		send    func(ctx context.Context, content string) error
	}
	w := sb.World()
	in := sb.AddInteraction(w.Random)
	if _, err := client.Call(t.Context(), nil, discord.CreateInteractionResponse, discord.Args{
		"interaction_id": uint64(in.ID), "interaction_token": in.Token, "type": 4, "data": map[string]any{"content": "first"},
	}); err != nil {
		t.Fatal(err)
	}
	of := func(id sandbox.ID) func() sandbox.ID { return func() sandbox.ID { return id } }
	fields := func(content string) discord.Args { return discord.Args{"content": content} }
	rest := func(path string) func(context.Context, string) error {
		return func(ctx context.Context, content string) error {
			resp, err := client.Forward(ctx, one, request(t, "POST", path, fmt.Sprintf(`{"content":%q}`, content)))
			if err == nil && resp.Status > 299 {
				return resp.Err()
			}
			return err
		}
	}
	return map[string]way{
		"message": {of(w.General), func(ctx context.Context, content string) error {
			_, err := client.CreateMessage(ctx, one, uint64(w.General), discord.Message{Fields: fields(content)})
			return err
		}},
		"plain message": {of(w.General), rest(fmt.Sprintf("/api/v10/channels/%s/messages", w.General))},
		"webhook": {of(w.Announcement), func(ctx context.Context, content string) error {
			_, err := client.Call(ctx, one, discord.ExecuteWebhook, discord.Args{"webhook_id": uint64(w.Webhook), "webhook_token": w.WebhookToken, "content": content, "wait": true})
			return err
		}},
		"plain webhook": {of(w.Announcement), rest(fmt.Sprintf("/api/v10/webhooks/%s/%s", w.Webhook, w.WebhookToken))},
		"follow-up": {of(w.Random), func(ctx context.Context, content string) error {
			_, err := client.Call(ctx, one, discord.CreateInteractionFollowup, discord.Args{"application_id": uint64(w.Bot), "interaction_token": in.Token, "content": content})
			return err
		}},
		"direct message": {func() sandbox.ID { return sb.DirectMessages(w.Bob) }, func(ctx context.Context, content string) error {
			_, err := client.SendDirectMessage(ctx, one, uint64(w.Bob), discord.Message{Fields: fields(content)})
			return err
		}},
	}
}

// ways are the names of orderedWays.
var ways = []string{"message", "plain message", "webhook", "plain webhook", "follow-up", "direct message"}

// stored returns the contents of a channel that have a prefix, without it, as
// Discord stored them.
func stored(sb *sandbox.Sandbox, channel sandbox.ID, prefix string) (contents []string) {
	for _, m := range sb.Messages(channel) {
		if rest, ok := strings.CutPrefix(m.Content, prefix); ok {
			contents = append(contents, rest)
		}
	}
	return contents
}

// TestOrder: messages of one caller to one place are stored in the order in
// which they were asked for, over ways of any length and with tries that fail.
func TestOrder(t *testing.T) {
	const n = 21
	limited := sandbox.Fault{
		Status: http.StatusTooManyRequests, Body: `{"message":"You are being rate limited.","retry_after":0.3,"global":false}`, Probability: 0.2,
		Header: map[string]string{"Retry-After": "1", "X-RateLimit-Scope": "shared"},
	}
	for name, trouble := range map[string][]sandbox.Fault{
		"none":          nil,
		"429":           {limited},
		"429 and 500":   {limited, {Probability: 0.15}, {After: true, Probability: 0.15}},
		"lost answers":  {{Kind: sandbox.FaultReset, After: true, Probability: 0.3}},
		"lost requests": {{Kind: sandbox.FaultReset, Probability: 0.3}},
	} {
		for _, way := range ways {
			for _, apart := range []time.Duration{0, 200 * time.Millisecond} {
				t.Run(fmt.Sprintf("%s, %s, %v apart", way, name, apart), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						testOrder(t, way, n, apart, trouble)
					})
				})
			}
		}
	}
}

func testOrder(t *testing.T, way string, n int, apart time.Duration, trouble []sandbox.Fault) {
	delay := sandbox.Delay{Max: 60 * time.Millisecond}
	sb := sandbox.New(sandbox.Config{Latency: sandbox.Latency{Request: delay, Response: delay}, Seed: uint64(apart) + uint64(len(trouble))})
	client := newClient(t, sb, nil)
	w := orderedWays(t, sb, client)[way]
	sb.ClearLimits()
	for _, route := range []string{"POST /channels/{channel_id}/messages", "POST /webhooks/{webhook_id}/{webhook_token}"} {
		sb.SetLimit(sandbox.Limit{Name: route, Routes: []string{route}, Limit: 5, Window: 5 * time.Second, Kind: sandbox.Fixed})
		for _, f := range trouble {
			f.Route = route
			sb.InjectFault(f)
		}
	}
	var sending sync.WaitGroup
	results := make([]error, n)
	for i := range n {
		sending.Go(func() {
			results[i] = w.send(t.Context(), fmt.Sprintf("one %02d", i))
		})
		if apart > 0 {
			time.Sleep(apart)
		}
		synctest.Wait() // it has its place
	}
	sending.Wait()
	got := stored(sb, w.channel(), "one ")
	if !slices.IsSorted(got) {
		t.Errorf("stored as %v", got)
	}
	// A message without a nonce is not sent again when it may have been stored.
	nonce := way == "message" || way == "direct message"
	for i, err := range results {
		text := fmt.Sprintf("%02d", i)
		times := len(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s != text }))
		if err == nil && times != 1 || nonce && err != nil || times > 1 {
			t.Errorf("message %d was stored %d times: %v", i, times, err)
		}
	}
}

// TestOrderDelaysNobodyElse: other callers and other channels continue while the
// messages of one caller wait for the tries of the first.
func TestOrderDelaysNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Latency: sandbox.RoundTrip(100 * time.Millisecond)})
		w := sb.World()
		client := newClient(t, sb, nil)
		post := func(caller string, channel sandbox.ID, content string) error {
			_, err := client.CreateMessage(t.Context(), &discord.Caller{Name: caller}, uint64(channel), discord.Message{Fields: discord.Args{"content": content}})
			return err
		}
		if err := post("one", w.General, "the bucket is known"); err != nil {
			t.Fatal(err)
		}
		// The first message fails for 20 s.
		broken := sb.InjectFault(sandbox.Fault{Path: fmt.Sprintf("/channels/%s/messages", w.General), Count: 1})
		var sending sync.WaitGroup
		sending.Go(func() {
			if err := post("one", w.General, "one 0"); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(60 * time.Millisecond)
		sb.RemoveFault(broken)
		began := time.Now()
		var mine time.Duration
		sending.Go(func() {
			if err := post("one", w.General, "one 1"); err != nil {
				t.Error(err)
			}
			mine = time.Since(began)
		})
		synctest.Wait()
		for _, other := range []struct {
			caller  string
			channel sandbox.ID
		}{{"two", w.General}, {"one", w.Random}} {
			asked := time.Now()
			if err := post(other.caller, other.channel, "other"); err != nil {
				t.Error(err)
			}
			if took := time.Since(asked); took > 100*time.Millisecond {
				t.Errorf("%s waited %v in channel %s", other.caller, took, other.channel)
			}
		}
		asked := time.Now()
		if _, err := client.Call(t.Context(), one, discord.ListMessages, discord.Args{"channel_id": uint64(w.General)}); err != nil {
			t.Error(err)
		}
		if took := time.Since(asked); took > 100*time.Millisecond {
			t.Errorf("another route waited %v", took)
		}
		sending.Wait()
		if got := stored(sb, w.General, "one "); !slices.Equal(got, []string{"0", "1"}) || mine < 200*time.Millisecond {
			t.Errorf("stored as %v, the second in %v", got, mine)
		}
	})
}

// TestOrderAfterCancelledCalls: a caller that disconnects while it waits or between two
// attempts does not delay later calls.
func TestOrderAfterCancelledCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Latency: sandbox.RoundTrip(100 * time.Millisecond)})
		w := sb.World()
		client := newClient(t, sb, nil)
		post := func(ctx context.Context, content string) error {
			_, err := client.CreateMessage(ctx, nil, uint64(w.General), discord.Message{Fields: discord.Args{"content": content}})
			return err
		}
		sb.InjectFault(sandbox.Fault{Count: 1})
		leaving, leave := context.WithCancel(t.Context())
		var sending sync.WaitGroup
		for i := range 2 {
			sending.Go(func() {
				if err := post(leaving, fmt.Sprint("left ", i)); err == nil {
					t.Error("a caller who left got a message")
				}
			})
			synctest.Wait()
		}
		for i := range 3 {
			sending.Go(func() {
				if err := post(t.Context(), fmt.Sprint("stayed ", i)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		time.Sleep(150 * time.Millisecond) // the first try has failed
		if n := len(sb.Messages(w.General)); n != 0 {
			t.Errorf("%d messages while the first is still tried", n)
		}
		leave()
		sending.Wait()
		if got := stored(sb, w.General, ""); !slices.Equal(got, []string{"stayed 0", "stayed 1", "stayed 2"}) {
			t.Errorf("stored as %q", got)
		}
	})
}

// TestOrderOfAnInteraction: follow-ups are sent after the first response and after its edit.
func TestOrderOfAnInteraction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delay := sandbox.Delay{Max: 60 * time.Millisecond}
		sb := sandbox.New(sandbox.Config{Latency: sandbox.Latency{Request: delay, Response: delay}})
		w := sb.World()
		client := newClient(t, sb, nil)
		for i := range 20 {
			in := sb.AddInteraction(w.General)
			var sending sync.WaitGroup
			call := func(op discord.Operation, args discord.Args) {
				sending.Go(func() {
					args["interaction_token"] = in.Token
					if _, err := client.Call(t.Context(), nil, op, args); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
			call(discord.CreateInteractionResponse, discord.Args{"interaction_id": uint64(in.ID), "type": 5})
			call(discord.UpdateInteractionResponse, discord.Args{"application_id": uint64(w.Bot), "content": fmt.Sprintf("%02d a", i)})
			call(discord.CreateInteractionFollowup, discord.Args{"application_id": uint64(w.Bot), "content": fmt.Sprintf("%02d b", i)})
			call(discord.CreateInteractionFollowup, discord.Args{"application_id": uint64(w.Bot), "content": fmt.Sprintf("%02d c", i)})
			sending.Wait()
			time.Sleep(time.Minute)
		}
		if got := stored(sb, w.General, ""); len(got) != 60 || !slices.IsSorted(got) {
			t.Errorf("stored as %q", got)
		}
	})
}

// TestOrderAcrossWays: messages keep their order also where a caller mixes typed
// calls and plain REST, and where they begin threads or posts of a forum.
func TestOrderAcrossWays(t *testing.T) {
	rest := func(path string) func(context.Context, *discord.Client, string) error {
		return func(ctx context.Context, c *discord.Client, content string) error {
			body := fmt.Sprintf(`{"content":%q,"name":%[1]q,"type":11,"message":{"content":%[1]q}}`, content)
			path, query, _ := strings.Cut(path, "?")
			r := request(t, "POST", path, body)
			r.Query = query
			_, err := c.Forward(ctx, one, r)
			return err
		}
	}
	call := func(op discord.Operation, args discord.Args) func(context.Context, *discord.Client, string) error {
		return func(ctx context.Context, c *discord.Client, content string) error {
			all := discord.Args{"content": content}
			maps.Copy(all, args)
			_, err := c.Call(ctx, one, op, all)
			return err
		}
	}
	typed := func(ctx context.Context, c *discord.Client, content string) error {
		_, err := c.CreateMessage(ctx, one, 1, discord.Message{Fields: discord.Args{"content": content}})
		return err
	}
	hook := discord.Args{"webhook_id": 3, "webhook_token": "secret"}
	hookAndWait := discord.Args{"webhook_id": 3, "webhook_token": "secret", "wait": true}
	hookInThread := discord.Args{"webhook_id": 3, "webhook_token": "secret", "thread_id": 7}
	for name, ways := range map[string][]func(context.Context, *discord.Client, string) error{
		"typed and plain":      {typed, rest("/api/v10/channels/1/messages")},
		"versions":             {rest("/api/v9/channels/1/messages"), rest("/api/v10/channels/1/messages"), rest("/api/channels/1/messages")},
		"messages and threads": {typed, rest("/api/v10/channels/1/threads")},
		"thread of a message":  {typed, rest("/api/v10/channels/1/messages/5/threads")},
		"forum":                {rest("/api/v10/channels/1/threads")},
		"webhook":              {call(discord.ExecuteWebhook, hook), rest("/api/v10/webhooks/3/secret")},
		"webhook, wait": {
			call(discord.ExecuteWebhook, hookAndWait), rest("/api/v10/webhooks/3/secret?wait=true"), rest("/api/v10/webhooks/3/secret?wait=false"),
		},
		"webhook, slack": {
			call(discord.ExecuteWebhook, hook), rest("/api/v10/webhooks/3/secret/slack"), rest("/api/v10/webhooks/3/secret/github?wait=true"),
		},
		"webhook, thread": {
			call(discord.ExecuteWebhook, hookInThread),
			rest("/api/v10/webhooks/3/secret?thread_id=7&wait=true"), rest("/api/v10/webhooks/3/secret?wait=true&thread_id=7"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var arrived []string
				tries := 0
				client := newClient(t, sandbox.New(sandbox.Config{Unlimited: true}), func(http.RoundTripper) upstream {
					return func(r *http.Request) (*http.Response, error) {
						body, _ := io.ReadAll(r.Body)
						mu.Lock()
						tries++
						n := tries
						mu.Unlock()
						time.Sleep(time.Duration(n*37%60) * time.Millisecond) // the way
						header := http.Header{"Via": {"1.1 google"}, "Content-Type": {"application/json"}}
						answer := func(status int, text string) *http.Response {
							return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: r}
						}
						if n%5 == 3 {
							header.Set("X-Ratelimit-Scope", "shared")
							return answer(429, `{"message":"limited","retry_after":0.4,"global":false}`), nil
						}
						i := strings.Index(string(body), "text ")
						mu.Lock()
						arrived = append(arrived, string(body[i:i+7]))
						mu.Unlock()
						return answer(200, `{"id":"9"}`), nil
					}
				})
				var sending sync.WaitGroup
				for i := range 21 {
					sending.Go(func() {
						if err := ways[i%len(ways)](t.Context(), client, fmt.Sprintf("text %02d", i)); err != nil {
							t.Error(err)
						}
					})
					synctest.Wait()
					if i%3 == 0 {
						time.Sleep(20 * time.Millisecond)
					}
				}
				sending.Wait()
				if len(arrived) != 21 || !slices.IsSorted(arrived) {
					t.Errorf("arrived as %v", arrived)
				}
			})
		})
	}
}

// TestOrderOfThreads: the messages of a webhook to one thread wait for each other,
// but not for those to another thread or to the channel.
func TestOrderOfThreads(t *testing.T) {
	const hook = "/api/v10/webhooks/3/secret"
	for _, tt := range []struct {
		first, second string
		waits         bool
	}{
		{"thread_id=7", "thread_id=7", true},
		{"", "wait=true", true},
		{"thread_id=7", "thread_id=8", false},
		{"thread_id=7", "", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			client := newClient(t, sandbox.New(sandbox.Config{Unlimited: true}), func(http.RoundTripper) upstream {
				return func(r *http.Request) (*http.Response, error) {
					body, _ := io.ReadAll(r.Body)
					if strings.Contains(string(body), "slow") {
						time.Sleep(10 * time.Second)
					}
					header := http.Header{"X-Ratelimit-Limit": {"5"}, "X-Ratelimit-Remaining": {"4"}, "X-Ratelimit-Reset-After": {"1"}, "X-Ratelimit-Bucket": {"hook"}}
					return &http.Response{StatusCode: 204, Header: header, Body: http.NoBody, Request: r}, nil
				}
			})
			send := func(query, content string) {
				r := request(t, "POST", hook, fmt.Sprintf(`{"content":%q}`, content))
				r.Query = query
				if _, err := client.Forward(t.Context(), one, r); err != nil {
					t.Error(err)
				}
			}
			send(tt.first, "the bucket is known")
			var sending sync.WaitGroup
			sending.Go(func() { send(tt.first, "slow") })
			synctest.Wait()
			began := time.Now()
			send(tt.second, "next")
			if took := time.Since(began); (took > 5*time.Second) != tt.waits {
				t.Errorf("%q after %q took %v", tt.second, tt.first, took)
			}
			sending.Wait()
		})
	}
}
