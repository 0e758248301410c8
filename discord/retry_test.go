package discord_test

import (
	"context"
	"errors"
	"net"
	"net/http"
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
					_, err := client.CreateMessage(ctx, uint64(channel), discord.Message{Fields: discord.Args{"content": "once", "nonce": "n", "enforce_nonce": !duplicate}})
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
				_, err := client.CreateMessage(ctx, uint64(channel), discord.Message{Fields: discord.Args{"content": "once"}})
				e, ok := errors.AsType[*discord.Error](err)
				if !ok || !e.OutcomeUnknown || e.Reason == discord.DeadlineExceeded {
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
			if _, err := client.CreateMessage(t.Context(), uint64(channel), discord.Message{Fields: discord.Args{"content": text}}); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	})
}
