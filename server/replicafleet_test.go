package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"discordproxy/server"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
)

// fleet asks a server for the fleet.
func (r *running) fleet(t testing.TB) *pb.GetFleetResponse {
	t.Helper()
	f, err := r.dashboard.GetFleet(t.Context(), new(pb.GetFleetRequest))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFleet: each server says who they all are, who leads, and why.
func TestFleet(t *testing.T) {
	f := newFleet(t)
	first, second := f.pair(t, func(c *server.Config) { c.Version = "v1" })
	arrived, release := f.block("/messages")
	done := make(chan error, 1)
	go func() {
		_, err := second.SendChannelMessage(t.Context(), hello(f.sb, "hello"))
		done <- err
	}()
	<-arrived
	var seen *pb.GetFleetResponse
	within(t, func() error {
		seen = second.fleet(t) // the leader answers
		if len(seen.GetReplicas()) != 2 || seen.GetReplicas()[0].GetLoad().GetInProgress() != 1 || seen.GetReplicas()[1].GetLoad().GetInProgress() != 1 {
			return fmt.Errorf("%v", seen)
		}
		return nil
	})
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	check := func(seen *pb.GetFleetResponse) {
		t.Helper()
		if !seen.GetShared() || len(seen.GetBots()) != 1 {
			t.Fatalf("%v", seen)
		}
		for _, r := range seen.GetReplicas() {
			now, since, last := seen.GetTime().AsTime(), r.GetSince().AsTime(), r.GetSeen().AsTime()
			if r.GetId() == "" || r.GetVersion() != "v1" || now.Sub(since) > time.Minute || last.Before(since) || now.Sub(last) > time.Minute {
				t.Errorf("at %v: %v", now, r)
			}
		}
	}
	check(seen)
	bot, leader, other := seen.GetBots()[0], seen.GetReplicas()[0], seen.GetReplicas()[1]
	if bot.GetName() != "default" || bot.GetLeader() != leader.GetId() || bot.GetEpoch() != 1 || bot.GetReason() != "first" || bot.GetPrevious() != "" || bot.Since == nil {
		t.Errorf("the bot: %v", bot)
	}
	if leader.GetAddress() != first.address || !leader.GetAnswered() || len(leader.GetLeads()) != 1 || leader.GetLeads()[0] != "default" {
		t.Errorf("the leader: %v", leader)
	}
	if other.GetAddress() != second.address || other.GetAnswered() || len(other.GetLeads()) != 0 {
		t.Errorf("the other: %v", other)
	}

	first.stop()
	<-first.done
	if err := <-first.ended; err != nil {
		t.Fatal(err)
	}
	within(t, func() error {
		seen = second.fleet(t)
		if len(seen.GetReplicas()) != 1 || seen.GetBots()[0].GetLeader() != other.GetId() {
			return errors.New(seen.String())
		}
		return nil
	})
	check(seen)
	bot, leader = seen.GetBots()[0], seen.GetReplicas()[0]
	if bot.GetEpoch() != 2 || bot.GetReason() != "handed over" || bot.GetPrevious() != first.address {
		t.Errorf("the bot after the handover: %v", bot)
	}
	if leader.GetAddress() != second.address || !leader.GetAnswered() || len(leader.GetLeads()) != 1 {
		t.Errorf("the leader after the handover: %v", leader)
	}
}

// TestFleetOfOne: a server that shares nothing shows itself, with its lease if it has one.
func TestFleetOfOne(t *testing.T) {
	for name, change := range map[string]func(*server.Config){
		"nothing":  func(c *server.Config) { c.Database, c.Advertise = "", "" },
		"a folder": func(c *server.Config) { c.Database, c.Advertise, c.DataFolder = "", "", t.TempDir() },
		"a lease":  func(c *server.Config) { c.Advertise = "" },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			r := f.join(t, change)
			within(t, r.ready)
			if _, err := r.SendChannelMessage(t.Context(), hello(f.sb, "hello")); err != nil {
				t.Fatal(err)
			}
			var seen *pb.GetFleetResponse
			within(t, func() error {
				seen = r.fleet(t)
				if seen.GetReplicas()[0].GetLoad().GetCallsPerSecond() == 0 {
					return errors.New(seen.String())
				}
				return nil
			})
			if seen.GetShared() || len(seen.GetBots()) != 1 || len(seen.GetReplicas()) != 1 {
				t.Fatal(seen)
			}
			bot, me := seen.GetBots()[0], seen.GetReplicas()[0]
			if (bot.GetEpoch() == 1) != (name == "a lease") || bot.GetLeader() != me.GetId() || bot.GetReason() != "" {
				t.Errorf("the bot: %v", bot)
			}
			if me.GetAddress() != "" || !me.GetAnswered() || len(me.GetLeads()) != 1 || me.GetLeads()[0] != "default" ||
				me.GetLoad().GetInProgress() != 1 { // this call
				t.Errorf("the server: %v", me)
			}
		})
	}
}

// TestReplicasInBrowser opens the page of a server that forwards to another one, which then
// hands the bot over.
func TestReplicasInBrowser(t *testing.T) {
	f := newFleet(t)
	leader, entry := f.pair(t, func(c *server.Config) { c.Version = "v1" })
	control := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		leader.stop()
		<-leader.done
	}))
	defer control.Close()
	proxytest.Browse(t, "../dashboard", "PROXY=http://"+leader.address, "REPLICA=http://"+entry.address, "KEYS={}", "CONTROL="+control.URL)
}
