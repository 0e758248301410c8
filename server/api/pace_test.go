package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/api"

	pb "discordproxy/gen/discord_api"
)

// slow sends one message after another and notes when each has ended.
type slow struct {
	api.Discord
	takes  func(n int) time.Duration // nil for as long as Discord takes
	limits func() discord.RateLimits // nil for those of Discord

	turn  chan struct{} // a mutex would stop the clock of the test
	mu    sync.Mutex
	begun int
	ended []time.Time
}

func (s *slow) SendDirectMessage(ctx context.Context, by *discord.Caller, user uint64, m discord.Message) (json.RawMessage, error) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = append(s.ended, time.Now())
	}()
	if s.takes == nil {
		return s.Discord.SendDirectMessage(ctx, by, user, m)
	}
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	time.Sleep(s.takes(s.begun))
	s.begun++
	return json.RawMessage("{}"), nil
}

func (s *slow) RateLimits() discord.RateLimits {
	if s.limits == nil {
		return s.Discord.RateLimits()
	}
	return s.limits()
}

// sendToMany sends a message to n users and returns what each result says of the time
// left, and how much there was.
func sendToMany(t *testing.T, s *slow, users []uint64) (estimated, actual []time.Duration) {
	t.Helper()
	s.turn = make(chan struct{}, 1)
	handler, err := api.New(api.Config{Discord: s, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	client := discordapiconnect.NewDiscordApiClient(&http.Client{Transport: direct{handler}}, "http://proxy")
	stream, err := client.SendDirectMessages(t.Context(), &pb.SendDirectMessagesRequest{UserIds: users, Message: &pb.NewMessage{Content: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for stream.Receive() {
		if stream.Msg().GetError() != nil {
			t.Fatal(stream.Msg())
		}
		estimated = append(estimated, stream.Msg().GetEstimatedLeft().AsDuration())
	}
	if stream.Err() != nil || len(estimated) != len(users) || len(s.ended) != len(users) {
		t.Fatalf("%d results: %v", len(estimated), stream.Err())
	}
	end := s.ended[len(s.ended)-1]
	for _, ended := range s.ended {
		actual = append(actual, end.Sub(ended))
	}
	return estimated, actual
}

func manyUsers(n int) []uint64 {
	users := make([]uint64, n)
	for i := range users {
		users[i] = uint64(i + 1)
	}
	return users
}

// TestTimeLeftFollowsThePace: the time left is that at the newest pace, however fast the
// first messages were.
func TestTimeLeftFollowsThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const users, change = 200, 100
		s := &slow{
			takes: func(n int) time.Duration {
				if n < change {
					return 10 * time.Millisecond
				}
				return 5 * time.Second
			},
			limits: func() discord.RateLimits { return discord.RateLimits{At: time.Now()} },
		}
		estimated, actual := sendToMany(t, s, manyUsers(users))
		for i := range estimated {
			want := actual[i]
			switch {
			case i < change: // nothing shows yet what is to come
				want = time.Duration(users-i-1) * 10 * time.Millisecond
			case i < change+20:
				continue
			}
			if estimated[i] != want {
				t.Errorf("after %d results %s are left, want %s", i+1, estimated[i], want)
			}
		}
	})
}

// TestTimeLeftKnowsTheLimits: the time left includes the known waits for limits.
func TestTimeLeftKnowsTheLimits(t *testing.T) {
	for name, test := range map[string]struct {
		limits func(at time.Time) discord.RateLimits
		want   time.Duration // in addition to the time at the pace
		most   time.Duration // at least, in all
	}{
		"none": {limits: func(at time.Time) discord.RateLimits { return discord.RateLimits{At: at} }},
		"pause over all routes": {
			limits: func(at time.Time) discord.RateLimits {
				token := discord.TokenLimits{Token: discord.BotToken}
				token.Global.PausedUntil = at.Add(time.Minute)
				return discord.RateLimits{At: at, Tokens: []discord.TokenLimits{{Token: "other"}, token}}
			},
			want: time.Minute,
		},
		"ban": {
			limits: func(at time.Time) discord.RateLimits {
				l := discord.RateLimits{At: at}
				l.Ban.Active, l.Ban.Until = true, at.Add(time.Hour)
				return l
			},
			want: time.Hour,
		},
		"new channels": {
			limits: func(at time.Time) discord.RateLimits {
				return discord.RateLimits{At: at, Tokens: []discord.TokenLimits{{
					Token: discord.BotToken,
					Buckets: []discord.BucketLimits{
						{Routes: []string{"GET /users/{user.id}"}, EstimatedWait: time.Hour},
						{Routes: []string{"POST /users/@me/channels"}, EstimatedWait: 10 * time.Minute},
					},
				}}}
			},
			most: 10 * time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slow{
					takes:  func(int) time.Duration { return 2 * time.Second },
					limits: func() discord.RateLimits { return test.limits(time.Now()) },
				}
				estimated, actual := sendToMany(t, s, manyUsers(50))
				for i, left := range actual {
					if want := max(left+test.want, test.most); left > 0 && estimated[i] != want {
						t.Errorf("after %d results %s are left, want %s", i+1, estimated[i], want)
					}
				}
				if last := estimated[len(estimated)-1]; last != 0 {
					t.Errorf("%s are left in the end", last)
				}
			})
		})
	}
}

// TestTimeLeftOfNewChannels: while the first messages have all been sent and others wait
// for the limit on new channels, the estimate says so.
func TestTimeLeftOfNewChannels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Unlimited: true})
		sb.SetLimit(sandbox.Limit{Name: "open", Routes: []string{"POST /users/@me/channels"}, Limit: 10, Window: 10 * time.Minute})
		var users []uint64
		for i := range 40 {
			id := sb.AddUser(sandbox.User{Username: fmt.Sprint("user", i)})
			if err := sb.AddMember(sb.World().Guild, id); err != nil {
				t.Fatal(err)
			}
			users = append(users, uint64(id))
		}
		estimated, actual := sendToMany(t, &slow{Discord: discordClient(t, sb)}, users)
		if actual[0] < 15*time.Minute {
			t.Fatalf("it took %s in all", actual[0])
		}
		for i, left := range estimated {
			switch {
			case i >= 10 && left < min(5*time.Minute, actual[i]-time.Second):
				t.Errorf("after %d results %s are left, and it is %s", i+1, left, actual[i])
			case i >= 30 && (left-actual[i]).Abs() > time.Second:
				t.Errorf("after %d results %s are left, and it is %s", i+1, left, actual[i])
			}
		}
	})
}
