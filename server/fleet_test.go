package server

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/store"

	pb "discordproxy/gen/discord_api"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// TestLoad: calls count from their beginning to their end, and then for ten seconds.
func TestLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoad()
		release := make(chan struct{})
		handler := l.count(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		var calls sync.WaitGroup
		call := func(method, path string) {
			calls.Go(func() {
				handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), method, path, nil))
			})
		}
		want := func(when string, inProgress int64, perSecond float64) {
			t.Helper()
			synctest.Wait()
			if got := l.report(3); *got != (store.Load{InProgress: inProgress, Waiting: 3, CallsPerSecond: perSecond}) {
				t.Errorf("%s: %+v", when, got)
			}
		}
		want("at the start", 0, 0)
		for range 20 {
			call(http.MethodPost, discordapiconnect.DiscordApiSendChannelMessageProcedure)
			call(http.MethodGet, "/api/v10/users/@me")
		}
		call(http.MethodPost, discordapiconnect.DiscordApiSubscribeEventsProcedure)
		call(http.MethodGet, "/dashboard/app.js")
		want("meanwhile", 40, 0)
		close(release)
		calls.Wait()
		want("in the second in which they ended", 0, 0)
		time.Sleep(time.Second)
		want("a second later", 0, 40)
		time.Sleep(3 * time.Second)
		want("4 seconds later", 0, 10)
		time.Sleep(6 * time.Second)
		want("10 seconds later", 0, 4)
		time.Sleep(time.Second)
		want("11 seconds later", 0, 0)
		time.Sleep(9 * time.Second) // the same slot as the first second's
		call(http.MethodGet, "/api/v10/users/@me")
		calls.Wait()
		time.Sleep(time.Second)
		want("once more", 0, 0.1)
	})
}

// TestShowFleet: servers have one entry each, however many bots they have, and who leads
// is known by the database's clock alone.
func TestShowFleet(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	clock := now.Add(-5 * time.Minute) // the database's
	at := func(ago time.Duration) time.Time { return clock.Add(-ago) }
	shown := func(ago time.Duration) *timestamppb.Timestamp { return timestamppb.New(at(ago)) }
	replica := func(id, bot, process string, since, seen time.Duration, load *store.Load) store.Replica {
		return store.Replica{
			ID: id, Bot: bot, Process: process, Address: process + ":1", Version: "v", Since: at(since), Seen: at(seen), Load: load,
		}
	}
	read := time.Second // ago
	one := botFleet{"one", store.Fleet{
		Now: at(read),
		Replicas: []store.Replica{
			replica("a1", "1", "a", time.Hour, 2*time.Second, &store.Load{InProgress: 1, Waiting: 2, CallsPerSecond: 3}),
			replica("old", "1", "", 2*time.Hour, 3*time.Second, nil),
		},
		Lease: store.Lease{
			Holder: "a1", Address: "a:1", Epoch: 7, Until: at(-time.Second), Since: at(time.Minute), Previous: "old:1", Reason: store.LeaseExpired,
		},
	}, now.Add(-read)}
	// Its lease has ended since it was read.
	two := botFleet{"another", store.Fleet{
		Now: at(read),
		Replicas: []store.Replica{
			replica("a2", "2", "a", 2*time.Minute, time.Second, &store.Load{InProgress: 10, Waiting: 20, CallsPerSecond: 30}),
			replica("b2", "2", "b", time.Minute, time.Second, nil),
		},
		Lease: store.Lease{Holder: "b2", Address: "b:1", Epoch: 3, Until: at(read / 2), Since: at(time.Minute), Reason: store.LeaseFirst},
	}, now.Add(-read)}
	// Its leader is not among the replicas.
	three := botFleet{"three", store.Fleet{Now: at(read), Lease: store.Lease{Holder: "hidden", Epoch: 1, Until: at(-time.Second)}}, now.Add(-read)}
	want := &pb.GetFleetResponse{
		Time: shown(0), Shared: true,
		Bots: []*pb.GetFleetResponse_Bot{
			{Name: "another", Epoch: 3, Previous: "b:1"},
			{Name: "one", Leader: "a", Epoch: 7, Since: shown(time.Minute), Previous: "old:1", Reason: "expired"},
			{Name: "three", Leader: "hidden", Epoch: 1},
		},
		Replicas: []*pb.GetFleetResponse_Replica{
			{Id: "old", Address: ":1", Version: "v", Since: shown(2 * time.Hour), Seen: shown(3 * time.Second)},
			{
				Id: "a", Address: "a:1", Version: "v", Since: shown(time.Hour), Seen: shown(time.Second), Answered: true, Leads: []string{"one"},
				Load: &pb.GetFleetResponse_Replica_Load{InProgress: 11, Waiting: 22, CallsPerSecond: 33},
			},
			{Id: "b", Address: "b:1", Version: "v", Since: shown(time.Minute), Seen: shown(time.Second)},
		},
	}
	if diff := cmp.Diff(want, showFleet(now, "a", true, one, two, three), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}
