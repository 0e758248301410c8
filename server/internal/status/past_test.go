package status

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/history"
	"discordproxy/server/internal/names"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
)

func newPast(t *testing.T, c Config) *Service {
	t.Helper()
	c.Limits = func() *pb.GetRateLimitStatusResponse {
		return &pb.GetRateLimitStatusResponse{Global: &pb.GetRateLimitStatusResponse_Global{Limit: 50}}
	}
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGetNames(t *testing.T) {
	known, err := names.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	known.Learn(discord.GetChannel, []byte(`{"id":"1","name":"ops","guild_id":"7"}`))
	known.Learn(discord.GetGuild, []byte(`{"id":"7","name":"Guild"}`))
	known.Learn(discord.GetUser, []byte(`{"id":"3","username":"ann"}`))
	b := newPast(t, Config{Names: known})
	res, err := b.GetNames(t.Context(), &pb.GetNamesRequest{GuildIds: []uint64{7, 8}, ChannelIds: []uint64{1, 2}, UserIds: []uint64{3}})
	if err != nil || len(res.GetGuilds()) != 1 || len(res.GetChannels()) != 1 || res.GetChannels()[0].GetGuild() != "Guild" || res.GetUsers()[0].GetName() != "ann" {
		t.Errorf("the names are %v, %v", res, err)
	}
	if _, err := b.GetNames(t.Context(), &pb.GetNamesRequest{GuildIds: make([]uint64, 500), UserIds: make([]uint64, 501)}); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("1001 names are answered with %v", err)
	}
	if res, err := newPast(t, Config{}).GetNames(t.Context(), &pb.GetNamesRequest{UserIds: []uint64{3}}); err != nil || len(res.GetUsers()) > 0 {
		t.Errorf("without names there are %v, %v", res, err)
	}
}

func TestGetHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history.New()
		b := newPast(t, Config{History: h})
		for _, code := range []string{"unavailable", "ok"} {
			h.Ended(t.Context(), &calls.Call{Method: "SendChannelMessage", Code: code, Tries: 1, Waited: time.Second})
		}
		h.Ended(t.Context(), &calls.Call{Method: "WatchStatus", Code: "ok"}) // says nothing about applications
		time.Sleep(history.FineStep)
		res, err := b.GetHistory(t.Context(), new(pb.GetHistoryRequest))
		if err != nil {
			t.Fatal(err)
		}
		got := res.GetCalls()
		if len(got) != 2 || got[0].GetCode() != "ok" || got[0].GetCounts()[0] != 1 || res.GetGlobalLimit() != 50 || res.GetStep().AsDuration() != history.FineStep {
			t.Errorf("the history is %v", res)
		}
		if p := res.GetWaitedP50(); math.Abs(float64(p[0])-1) > 0.13 || !math.IsNaN(float64(p[1])) {
			t.Errorf("the waits are %v", p)
		}
		res, err = b.GetHistory(t.Context(), &pb.GetHistoryRequest{Range: durationpb.New(24 * time.Hour)})
		if err != nil || res.GetStep().AsDuration() != history.CoarseStep {
			t.Errorf("a day is %v, %v", res, err)
		}
		for _, odd := range []*durationpb.Duration{durationpb.New(0), durationpb.New(-1), durationpb.New(24*time.Hour + 1), {Seconds: 1, Nanos: -1}} {
			if _, err := b.GetHistory(t.Context(), &pb.GetHistoryRequest{Range: odd}); connect.CodeOf(err) != connect.CodeInvalidArgument {
				t.Errorf("a range of %v is answered with %v", odd, err)
			}
		}
	})
}
