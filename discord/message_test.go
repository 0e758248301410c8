package discord_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
)

// upstream lets a test stand between the client and the sandbox.
type upstream func(*http.Request) (*http.Response, error)

func (u upstream) RoundTrip(r *http.Request) (*http.Response, error) { return u(r) }

// newClient returns a client of a sandbox. wrap may be nil.
func newClient(t *testing.T, sb *sandbox.Sandbox, wrap func(next http.RoundTripper) upstream) *discord.Client {
	t.Helper()
	transport := sb.Transport()
	if wrap != nil {
		transport = wrap(transport)
	}
	client, err := discord.New(discord.Config{
		Token: sb.World().Token, Upstream: transport, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// counter counts requests by method and path below the version.
type counter struct {
	mu    sync.Mutex
	calls []string
}

func (c *counter) wrap(next http.RoundTripper) upstream {
	return func(r *http.Request) (*http.Response, error) {
		c.mu.Lock()
		_, path, _ := strings.Cut(r.URL.Path, "/api/v10")
		c.calls = append(c.calls, r.Method+" "+path)
		c.mu.Unlock()
		return next.RoundTrip(r)
	}
}

func (c *counter) list() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.calls...)
}

func TestChannelMessageIsOneCall(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	var calls counter
	client := newClient(t, sb, calls.wrap)
	channel := sb.World().General
	data, err := client.CreateMessage(t.Context(), nil, uint64(channel), discord.Message{Fields: discord.Args{
		"content": "hi", "embeds": []json.RawMessage{json.RawMessage(`{"title":"t"}`)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(`"content":"hi"`)) {
		t.Errorf("the answer is %s", data)
	}
	if got := calls.list(); len(got) != 1 {
		t.Errorf("a message cost %v", got)
	}
	if got := sb.Messages(channel); len(got) != 1 || got[0].Content != "hi" || len(got[0].Embeds) != 1 {
		t.Errorf("the sandbox holds %+v", got)
	}
}

func TestDirectMessagesOpenTheChannelOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Latency: sandbox.RoundTrip(100 * time.Millisecond)})
		var calls counter
		client := newClient(t, sb, calls.wrap)
		user := uint64(sb.World().Users[0])
		var sent sync.WaitGroup
		for range 5 {
			sent.Go(func() {
				if _, err := client.SendDirectMessage(t.Context(), nil, user, discord.Message{Fields: discord.Args{"content": "hi"}}); err != nil {
					t.Error(err)
				}
			})
		}
		sent.Wait()
		if _, err := client.SendDirectMessage(t.Context(), nil, user, discord.Message{Fields: discord.Args{"content": "again"}}); err != nil {
			t.Error(err)
		}
		opened := 0
		for _, call := range calls.list() {
			if call == "POST /users/@me/channels" {
				opened++
			}
		}
		if got := len(calls.list()); opened != 1 || got != 7 {
			t.Errorf("6 messages to one user cost %d calls, %d of them to open the channel", got, opened)
		}
	})
}

// TestLeaderLeaves: if the caller that opens the channel gives up, another waiting caller
// takes over.
func TestLeaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Latency: sandbox.RoundTrip(2 * time.Second)})
		client := newClient(t, sb, nil)
		user := uint64(sb.World().Users[0])
		var sent sync.WaitGroup
		sent.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := client.SendDirectMessage(ctx, nil, user, discord.Message{Fields: discord.Args{"content": "impatient"}})
			if e, ok := errors.AsType[*discord.Error](err); !ok || e.Reason != discord.DeadlineExceeded {
				t.Errorf("the impatient caller got %v", err)
			}
		})
		synctest.Wait()
		sent.Go(func() {
			if _, err := client.SendDirectMessage(t.Context(), nil, user, discord.Message{Fields: discord.Args{"content": "patient"}}); err != nil {
				t.Error(err)
			}
		})
		sent.Wait()
	})
}

// TestRememberedChannelIsGone: a remembered direct message channel does not exist at Discord.
func TestRememberedChannelIsGone(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	var calls counter
	client := newClient(t, sb, calls.wrap)
	user := sb.World().Alice
	if _, err := client.SendDirectMessage(t.Context(), nil, uint64(user), discord.Message{Fields: discord.Args{"content": "first"}}); err != nil {
		t.Fatal(err)
	}
	if err := sb.RemoveChannel(sb.DirectMessages(user)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.SendDirectMessage(t.Context(), nil, uint64(user), discord.Message{Fields: discord.Args{"content": "second"}}); err != nil {
		t.Error(err)
	}
	if got := len(calls.list()); got != 5 {
		t.Errorf("the two messages cost %v", calls.list())
	}
	if got := sb.Messages(sb.DirectMessages(user)); len(got) != 1 || got[0].Content != "second" {
		t.Errorf("the channel holds %+v", got)
	}
}

// TestHungChannel: a call that hangs in one channel does not delay other channels.
func TestHungChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		client := newClient(t, sb, nil)
		w := sb.World()
		sb.InjectFault(sandbox.Fault{Path: "/channels/" + w.Random.String() + "/messages", Kind: sandbox.FaultHang})
		ctx, leave := context.WithCancel(t.Context())
		var hanging sync.WaitGroup
		for range 3 {
			hanging.Go(func() {
				if _, err := client.CreateMessage(ctx, nil, uint64(w.Random), discord.Message{Fields: discord.Args{"content": "hangs"}}); err == nil {
					t.Error("a message arrived in the channel that hangs")
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if _, err := client.CreateMessage(t.Context(), nil, uint64(w.General), discord.Message{Fields: discord.Args{"content": "goes"}}); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("another channel took %v", took)
		}
		leave()
		hanging.Wait()
	})
}

// TestLimitedCallIsHeld: a 429 reaches nobody whose deadline allows waiting,
// and who cannot wait gets Discord's own answer.
func TestLimitedCallIsHeld(t *testing.T) {
	limited := sandbox.Fault{
		Status: http.StatusTooManyRequests, Count: 1,
		Header: map[string]string{"Via": "1.1 google", "Retry-After": "7", "X-RateLimit-Scope": "user", "Content-Type": "application/json"},
		Body:   `{"message":"You are being rate limited.","retry_after":6.5,"global":false}`,
	}
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		client := newClient(t, sb, nil)
		channel := uint64(sb.World().General)
		sb.InjectFault(limited)
		began := time.Now()
		if _, err := client.CreateMessage(t.Context(), nil, channel, discord.Message{Fields: discord.Args{"content": "patient"}}); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 6500*time.Millisecond || took > 8*time.Second {
			t.Errorf("the call was held for %v", took)
		}
		sb.RemoveFault(0)
		sb.InjectFault(limited)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began = time.Now()
		_, err := client.CreateMessage(ctx, nil, channel, discord.Message{Fields: discord.Args{"content": "impatient"}})
		e, ok := errors.AsType[*discord.Error](err)
		if !ok || e.Reason != discord.DeadlineExceeded || e.Status != 429 || e.Text != "You are being rate limited." || e.RetryAfter < 6*time.Second {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the refusal took %v", took)
		}
	})
}

func TestUnknownUserIsAskedFor(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	client := newClient(t, sb, nil)
	_, err := client.SendDirectMessage(t.Context(), nil, 4242, discord.Message{Fields: discord.Args{"content": "hi"}})
	if e, ok := errors.AsType[*discord.Error](err); !ok || e.Status != 404 || e.Code != 10013 {
		t.Errorf("an unknown user is %v", err)
	}
	_, err = client.SendDirectMessage(t.Context(), nil, uint64(sb.World().NoDMs), discord.Message{Fields: discord.Args{"content": "hi"}})
	if e, ok := errors.AsType[*discord.Error](err); !ok || e.Status != 403 || e.Code != 50007 {
		t.Errorf("a user who refuses messages is %v", err)
	}
}

// TestRetries: each entry lists what happens to the attempts of one call, in order.
func TestRetries(t *testing.T) {
	reset := errors.New("connection reset by peer")
	status := func(code int) func(*http.Request, http.RoundTripper) (*http.Response, error) {
		return func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err != nil {
				return nil, err
			}
			return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<html>")), Request: resp.Request}, nil
		}
	}
	stored := map[string]func(*http.Request, http.RoundTripper) (*http.Response, error){
		//nolint:bodyclose // the functions are called by the transport, which closes
		"500": status(500), "502": status(502), "503": status(503), "504": status(504), "520": status(520),
		"reset": func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if _, err := next.RoundTrip(r); err != nil {
				return nil, err
			}
			return nil, reset
		},
		"cut": func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				resp.Body = io.NopCloser(io.MultiReader(io.LimitReader(resp.Body, 10), failing{reset}))
			}
			return resp, err
		},
		"html": status(200), //nolint:bodyclose // as above
		"hang": func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if _, err := next.RoundTrip(r); err != nil {
				return nil, err
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
	}
	for name, fault := range stored {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sb := sandbox.New(sandbox.Config{})
				var tries atomic.Int32
				faults := int32(2)
				if name == "hang" {
					faults = 1 // two of them take the two minutes that a call is tried for
				}
				client := newClient(t, sb, func(next http.RoundTripper) upstream {
					return func(r *http.Request) (*http.Response, error) {
						if tries.Add(1) <= faults {
							return fault(r, next)
						}
						return next.RoundTrip(r)
					}
				})
				channel := sb.World().General
				if _, err := client.CreateMessage(t.Context(), nil, uint64(channel), discord.Message{Fields: discord.Args{"content": "once"}}); err != nil {
					t.Fatal(err)
				}
				if got := len(sb.Messages(channel)); got != 1 || tries.Load() != faults+1 {
					t.Errorf("%d messages after %d tries", got, tries.Load())
				}
			})
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestOutcomeUnknown: if the last attempt fails, the error says that the outcome is unknown.
func TestOutcomeUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		client := newClient(t, sb, func(next http.RoundTripper) upstream {
			return func(r *http.Request) (*http.Response, error) {
				if _, err := next.RoundTrip(r); err != nil {
					return nil, err
				}
				return nil, errors.New("reset")
			}
		})
		channel := sb.World().General
		began := time.Now()
		_, err := client.CreateMessage(t.Context(), nil, uint64(channel), discord.Message{Fields: discord.Args{"content": "once"}})
		e, ok := errors.AsType[*discord.Error](err)
		if !ok || e.Reason != discord.Unreachable || !e.OutcomeUnknown {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > 2*time.Minute {
			t.Errorf("tried for %v", took)
		}
		if got := len(sb.Messages(channel)); got != 1 {
			t.Errorf("%d messages", got)
		}
	})
}

// TestDuplicateAllowed: without enforce_nonce a try of unknown outcome is the
// last one.
func TestDuplicateAllowed(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	client := newClient(t, sb, func(next http.RoundTripper) upstream {
		return func(r *http.Request) (*http.Response, error) {
			if _, err := next.RoundTrip(r); err != nil {
				return nil, err
			}
			return nil, errors.New("reset")
		}
	})
	_, err := client.CreateMessage(t.Context(), nil, uint64(sb.World().General), discord.Message{Fields: discord.Args{"content": "once", "nonce": "n", "enforce_nonce": false}})
	if e, ok := errors.AsType[*discord.Error](err); !ok || !e.OutcomeUnknown {
		t.Errorf("got %v", err)
	}
	if got := len(sb.Messages(sb.World().General)); got != 1 {
		t.Errorf("%d messages", got)
	}
}

// TestSameNonce: a client that repeats its own call gets the stored message.
func TestSameNonce(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	client := newClient(t, sb, nil)
	channel := sb.World().General
	m := discord.Message{Fields: discord.Args{"content": "once", "nonce": "my own"}}
	first, err := client.CreateMessage(t.Context(), nil, uint64(channel), m)
	if err != nil {
		t.Fatal(err)
	}
	second, err := client.CreateMessage(t.Context(), nil, uint64(channel), m)
	if err != nil {
		t.Fatal(err)
	}
	var a, b struct{ ID string }
	if json.Unmarshal(first, &a) != nil || json.Unmarshal(second, &b) != nil || a.ID == "" || a.ID != b.ID {
		t.Errorf("two messages: %s and %s", first, second)
	}
}

// TestNothingOfTheTokenIsShown looks at every text that a failing call makes.
func TestNothingOfTheTokenIsShown(t *testing.T) {
	const token = "MTk4-secret-token"
	var logged bytes.Buffer
	client, err := discord.New(discord.Config{
		Token: token, Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})), RetryFor: -1,
		Upstream: upstream(func(r *http.Request) (*http.Response, error) {
			return nil, errors.New("cannot send " + r.Method)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CreateMessage(t.Context(), nil, 1, discord.Message{Fields: discord.Args{"content": "hi"}})
	if err == nil {
		t.Fatal("the call succeeded")
	}
	for err != nil {
		if strings.Contains(err.Error(), token) {
			t.Errorf("the error shows the token: %v", err)
		}
		err = errors.Unwrap(err)
	}
	if strings.Contains(logged.String(), token) {
		t.Errorf("the log shows the token: %s", logged.String())
	}
}

func TestNewRefuses(t *testing.T) {
	for name, config := range map[string]discord.Config{
		"no token":           {},
		"a token of two":     {Token: "a\nb"},
		"no host":            {Token: "x", BaseURL: "https:///api"},
		"no scheme":          {Token: "x", BaseURL: "discord.com/api"},
		"credentials in URL": {Token: "x", BaseURL: "https://me:secret@discord.com/api"},
	} {
		if _, err := discord.New(config); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
