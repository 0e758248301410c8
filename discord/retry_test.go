package discord_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
)

// refused is what dialling gives when nobody listens.
var refused = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

// away refuses all connections for a while and then lets requests through a
// real connection pool to the sandbox.
func away(t *testing.T, sb *sandbox.Sandbox, d time.Duration) *discord.Client {
	began := time.Now()
	pool := discord.NewUpstream(0)
	pool.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, refused }
	return newClient(t, sb, func(next http.RoundTripper) upstream {
		return func(r *http.Request) (*http.Response, error) {
			if time.Since(began) < d {
				return pool.RoundTrip(r)
			}
			return next.RoundTrip(r)
		}
	})
}

// TestDiscordIsAway: what was certainly not sent is tried for as long as its
// caller waits, whatever it is, and for half a minute if there is no deadline.
func TestDiscordIsAway(t *testing.T) {
	for name, tt := range map[string]struct {
		away, patience time.Duration // no patience is no deadline
		arrives        bool
		gaveUp         time.Duration // at the latest
	}{
		"for minutes":               {5 * time.Minute, 10 * time.Minute, true, 0},
		"for longer than the call":  {5 * time.Minute, 4 * time.Minute, false, 4 * time.Minute},
		"without deadline":          {15 * time.Second, 0, true, 0},
		"without deadline for long": {5 * time.Minute, 0, false, 30 * time.Second},
	} {
		for _, duplicate := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sb := sandbox.New(sandbox.Config{})
					client := away(t, sb, tt.away)
					ctx := t.Context()
					if tt.patience > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, tt.patience)
						defer cancel()
					}
					began, channel := time.Now(), sb.World().General
					_, err := client.CreateMessage(ctx, nil, uint64(channel), discord.Message{Fields: discord.Args{"content": "once", "nonce": "n", "enforce_nonce": !duplicate}})
					if tt.arrives != (err == nil) || tt.arrives != (len(sb.Messages(channel)) == 1) {
						t.Errorf("after %v: %v", time.Since(began), err)
					}
					if e, ok := errors.AsType[*discord.Error](err); err != nil && (!ok || e.Reason != discord.Unreachable || e.OutcomeUnknown) {
						t.Errorf("the caller gets %v", err)
					}
					if took := time.Since(began); err != nil && (took > tt.gaveUp || took < tt.gaveUp-20*time.Second) {
						t.Errorf("gave up after %v", took)
					}
				})
			})
		}
	}
}

func perTenMinutes(messages int) sandbox.Limit {
	return sandbox.Limit{Name: "few", Routes: []string{"POST /channels/{channel_id}/messages"}, Limit: messages, Window: 10 * time.Minute, Kind: sandbox.Fixed}
}

// TestNoTryAfterTwoMinutes: Discord forgets nonces. A message that may have
// been stored is not tried again later, neither when its limits are full nor
// when Discord itself asks for a longer wait.
func TestNoTryAfterTwoMinutes(t *testing.T) {
	for name, limit := range map[string]func(sb *sandbox.Sandbox){
		"limited by Discord": func(sb *sandbox.Sandbox) {
			sb.InjectFault(sandbox.Fault{
				Skip: 1, Status: http.StatusTooManyRequests,
				Header: map[string]string{"Via": "1.1 google", "Retry-After": "600", "X-RateLimit-Scope": "user", "Content-Type": "application/json"},
				Body:   `{"message":"You are being rate limited.","retry_after":600,"global":false}`,
			})
		},
		"full bucket": func(sb *sandbox.Sandbox) { sb.SetLimit(perTenMinutes(1)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sb := sandbox.New(sandbox.Config{Unlimited: true})
				var tries atomic.Int32
				client := newClient(t, sb, func(next http.RoundTripper) upstream {
					return func(r *http.Request) (*http.Response, error) {
						if tries.Add(1) > 1 {
							return next.RoundTrip(r)
						}
						// Stored, but its answer is lost.
						if _, err := next.RoundTrip(r); err != nil {
							return nil, err
						}
						return nil, errors.New("connection reset by peer")
					}
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began, channel := time.Now(), sb.World().General
				limit(sb)
				_, err := client.CreateMessage(ctx, nil, uint64(channel), discord.Message{Fields: discord.Args{"content": "once"}})
				e, ok := errors.AsType[*discord.Error](err)
				if !ok || !e.OutcomeUnknown || e.Reason != discord.TooLate {
					t.Errorf("the caller gets %v", err)
				}
				if took := time.Since(began); took > 2*time.Minute {
					t.Errorf("tried for %v", took)
				}
				if got := len(sb.Messages(channel)); got != 1 {
					t.Errorf("%d messages", got)
				}
			})
		})
	}
}

// TestTriesOfWhatNeedsNoNonce: a call that can be repeated at any time is tried again
// until its deadline, however long after an attempt that may have taken effect.
func TestTriesOfWhatNeedsNoNonce(t *testing.T) {
	for name, op := range map[string]discord.Operation{
		"GET": discord.GetChannel, "PATCH": discord.UpdateMessage, "PUT": discord.CreatePin, "DELETE": discord.DeleteMessage,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, n := answering(t, func(n int, _ *http.Request) (int, http.Header, string) {
					switch n {
					case 1:
						return http.StatusBadGateway, nil, ""
					case 2:
						return http.StatusTooManyRequests, http.Header{"X-Ratelimit-Scope": {"user"}},
							`{"message":"You are being rate limited.","retry_after":150,"global":false}`
					}
					return http.StatusOK, nil, `{"id":"5"}`
				})
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				began := time.Now()
				args := discord.Args{"channel_id": 5, "message_id": 6}
				if _, err := client.Call(ctx, nil, op, args); err != nil || *n != 3 {
					t.Errorf("after %v and %d attempts: %v", time.Since(began), *n, err)
				}
			})
		})
	}
}

// TestTriesBeginWithTheFirst: the time that a call waits for its turn does not
// count towards the time for which it is tried.
func TestTriesBeginWithTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Unlimited: true})
		const limit = 3
		sb.SetLimit(perTenMinutes(limit))
		sb.InjectFault(sandbox.Fault{Skip: limit, Count: 2, Status: http.StatusBadGateway})
		client := newClient(t, sb, nil)
		channel := sb.World().General
		for _, text := range []string{"1", "2", "3", "waits"} {
			if _, err := client.CreateMessage(t.Context(), nil, uint64(channel), discord.Message{Fields: discord.Args{"content": text}}); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	})
}

// answering returns a client whose requests are answered by a function, and how many
// there were.
func answering(t *testing.T, answer func(n int, r *http.Request) (int, http.Header, string)) (*discord.Client, *int) {
	n := new(int)
	return newClient(t, sandbox.New(sandbox.Config{Unlimited: true}), func(http.RoundTripper) upstream {
		return func(r *http.Request) (*http.Response, error) {
			*n++
			status, header, body := answer(*n, r)
			if header == nil {
				header = http.Header{}
			}
			return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		}
	}), n
}

// TestFailuresWithoutDeadline: a call without a deadline, to which Discord answers
// only failures, ends with the last of them after about RetryFor.
func TestFailuresWithoutDeadline(t *testing.T) {
	for _, status := range []int{500, 502, 503, 504, 520, 522, 530} {
		for _, slow := range []time.Duration{0, 3 * time.Second, 9 * time.Second} {
			for _, way := range []string{"message", "get", "dm", "forward"} {
				synctest.Test(t, func(t *testing.T) {
					client, n := answering(t, func(int, *http.Request) (int, http.Header, string) {
						time.Sleep(slow)
						return status, nil, "<html>bad"
					})
					began := time.Now()
					var err error
					got := 0
					switch way {
					case "message":
						_, err = client.CreateMessage(t.Context(), nil, 1, discord.Message{Fields: discord.Args{"content": "x"}})
					case "get":
						_, err = client.Call(t.Context(), nil, discord.GetChannel, discord.Args{"channel_id": 1})
					case "dm":
						_, err = client.SendDirectMessage(t.Context(), nil, 2, discord.Message{Fields: discord.Args{"content": "x"}})
					case "forward":
						var resp *discord.Response
						resp, err = client.Forward(t.Context(), nil, request(t, "GET", "/api/v10/channels/1", ""))
						if err == nil {
							got = resp.Status
						}
					}
					if e, ok := errors.AsType[*discord.Error](err); ok {
						got = e.Status
					}
					took := time.Since(began)
					if got != status || took < 15*time.Second || took > 45*time.Second {
						t.Errorf("%d %v %s: %v tries %d %v", status, slow, way, took, *n, err)
					}
				})
			}
		}
	}
}

// TestRetryAfterOfEveryFailure: Retry-After counts with each status of a failure, if
// it makes sense.
func TestRetryAfterOfEveryFailure(t *testing.T) {
	for _, status := range []int{500, 502, 503, 504, 520, 524} {
		for value, want := range map[string][2]time.Duration{
			"20": {20 * time.Second, 21 * time.Second}, "date": {19 * time.Second, 21 * time.Second}, "20.5": {20 * time.Second, 21 * time.Second},
			"0": {0, time.Second}, "-5": {0, time.Second}, "x": {0, time.Second}, "NaN": {0, time.Second}, "past": {0, time.Second},
		} {
			synctest.Test(t, func(t *testing.T) {
				client, n := answering(t, func(n int, r *http.Request) (int, http.Header, string) {
					if n > 1 {
						return 200, nil, `{"id":"5"}`
					}
					v := value
					if v == "date" {
						v = time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat)
					}
					if v == "past" {
						v = time.Now().Add(-20 * time.Second).UTC().Format(http.TimeFormat)
					}
					return status, http.Header{"Retry-After": {v}}, ""
				})
				began := time.Now()
				_, err := client.CreateMessage(t.Context(), nil, 1, discord.Message{Fields: discord.Args{"content": "x"}})
				if took := time.Since(began); err != nil || *n != 2 || took < want[0] || took > want[1] {
					t.Errorf("%d %s: %v %d %v", status, value, took, *n, err)
				}
			})
		}
	}
}

// TestFirst429BeyondTheDeadline: a 429 that cannot be waited out is the end of the
// deadline, whatever limit it is about, and holds what Discord said.
func TestFirst429BeyondTheDeadline(t *testing.T) {
	for name, header := range map[string]http.Header{
		"user": {
			"Via": {"1.1 google"}, "Retry-After": {"60"}, "X-Ratelimit-Scope": {"user"}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Limit": {"5"}, "X-Ratelimit-Reset-After": {"60"},
		},
		"sub": {
			"Via": {"1.1 google"}, "Retry-After": {"60"}, "X-Ratelimit-Scope": {"user"}, "X-Ratelimit-Remaining": {"4"}, "X-Ratelimit-Limit": {"5"}, "X-Ratelimit-Reset-After": {"1"},
		},
		"shared": {"Via": {"1.1 google"}, "Retry-After": {"60"}, "X-Ratelimit-Scope": {"shared"}},
		"global": {"Via": {"1.1 google"}, "Retry-After": {"60"}, "X-Ratelimit-Global": {"true"}, "X-Ratelimit-Scope": {"global"}},
		"none":   {},
	} {
		for _, way := range []string{"message", "dm", "hook", "thread", "get", "delete", "forward"} {
			synctest.Test(t, func(t *testing.T) {
				client, n := answering(t, func(n int, r *http.Request) (int, http.Header, string) {
					return 429, header.Clone(), `{"message":"You are being rate limited.","retry_after":60,"global":false}`
				})
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				began := time.Now()
				var err error
				switch way {
				case "message":
					_, err = client.CreateMessage(ctx, nil, 1, discord.Message{Fields: discord.Args{"content": "x"}})
				case "dm":
					_, err = client.SendDirectMessage(ctx, nil, 2, discord.Message{Fields: discord.Args{"content": "x"}})
				case "hook":
					_, err = client.Call(ctx, nil, discord.ExecuteWebhook, discord.Args{"webhook_id": 1, "webhook_token": "t", "content": "x"})
				case "thread":
					_, err = client.Call(ctx, nil, discord.CreateThread, discord.Args{"channel_id": 3, "name": "x", "type": 11})
				case "get":
					_, err = client.Call(ctx, nil, discord.GetChannel, discord.Args{"channel_id": 1})
				case "delete":
					_, err = client.Call(ctx, nil, discord.DeleteMessage, discord.Args{"channel_id": 1, "message_id": 2})
				case "forward":
					_, err = client.Forward(ctx, nil, request(t, "GET", "/api/v10/channels/1", ""))
				}
				e, ok := errors.AsType[*discord.Error](err)
				if !ok || e.Reason != discord.DeadlineExceeded || e.Status != 429 || e.OutcomeUnknown ||
					e.RetryAfter < 55*time.Second || e.RetryAfter > 62*time.Second || *n != 1 || time.Since(began) > time.Second {
					t.Errorf("%s %s: %+v n=%d after %v", name, way, err, *n, time.Since(began))
				}
			})
		}
	}
}
