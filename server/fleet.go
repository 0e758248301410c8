package server

import (
	"cmp"
	"context"
	"slices"
	"time"

	"discordproxy/server/internal/access"
	"discordproxy/server/internal/store"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// botFleet is a bot and the replicas that use it, as they were at a time of this
// server's clock.
type botFleet struct {
	name  string
	fleet store.Fleet
	at    time.Time
}

// fleet returns the replicas that this server knows of, itself included, as far as they
// use bots that the client of ctx may use.
func (s *Server) fleet(ctx context.Context) *pb.GetFleetResponse {
	process, shared := "alone", false
	var all []botFleet
	visible := access.Bots(ctx, BotNames(s.config))
	for _, b := range s.bots {
		if !slices.Contains(visible, b.name) {
			continue
		}
		if r := b.replica; r != nil {
			met := r.met.Load()
			process, shared = r.me.Process, true
			all = append(all, botFleet{b.name, met.Fleet, met.at})
		} else {
			all = append(all, b.alone())
		}
	}
	return showFleet(time.Now(), process, shared, all...)
}

// fleet returns the replicas to a client that asks this bot.
func (b *bot) fleet(ctx context.Context) *pb.GetFleetResponse {
	f := b.fleets(ctx)
	f.Bot = b.name
	return f
}

// alone is a server that others do not know of.
func (b *bot) alone() botFleet {
	now := time.Now()
	r := store.Replica{
		ID: "alone", Process: "alone", Version: b.config.Version, Since: b.load.start, Seen: now, Load: b.currentLoad(),
	}
	l := store.Lease{Holder: r.ID, Until: now.Add(time.Second), Since: r.Since}
	if t := b.leads.Load(); t != nil && t.data != nil && t.data.lease != nil {
		l.Epoch, l.Since = t.data.lease.Epoch(), time.Time{} // only the database has it
		if t.data.leads() != nil {
			l.Until = time.Time{}
		}
	}
	return botFleet{b.name, store.Fleet{Now: now, Replicas: []store.Replica{r}, Lease: l}, now}
}

// showFleet describes the replicas of bots at a time. process is this one's.
func showFleet(now time.Time, process string, shared bool, bots ...botFleet) *pb.GetFleetResponse {
	f := &pb.GetFleetResponse{Shared: shared}
	replicas := make(map[string]*pb.GetFleetResponse_Replica)
	for _, b := range bots {
		at := b.fleet.Now.Add(now.Sub(b.at)) // by the database's clock
		f.Time = timestamppb.New(at)
		bot := showBot(b.name, b.fleet.Lease, at)
		f.Bots = append(f.Bots, bot)
		for _, r := range b.fleet.Replicas {
			id := cmp.Or(r.Process, r.ID)
			of := replicas[id]
			if of == nil {
				of = &pb.GetFleetResponse_Replica{
					Id: id, Address: r.Address, Version: r.Version, Answered: id == process,
					Since: timestamppb.New(r.Since), Seen: timestamppb.New(r.Seen),
				}
				replicas[id] = of
				f.Replicas = append(f.Replicas, of)
			}
			if r.ID == bot.Leader {
				bot.Leader = id
				of.Leads = append(of.Leads, b.name)
			}
			addReplica(of, r)
		}
	}
	slices.SortFunc(f.Bots, func(a, b *pb.GetFleetResponse_Bot) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(f.Replicas, func(a, b *pb.GetFleetResponse_Replica) int {
		return cmp.Or(a.Since.AsTime().Compare(b.Since.AsTime()), cmp.Compare(a.Id, b.Id))
	})
	for _, r := range f.Replicas {
		slices.Sort(r.Leads)
	}
	return f
}

// showBot describes who leads a bot. The leader is the ID in the lease.
func showBot(name string, l store.Lease, at time.Time) *pb.GetFleetResponse_Bot {
	bot := &pb.GetFleetResponse_Bot{Name: name, Epoch: l.Epoch}
	if !l.Until.After(at) {
		bot.Previous = l.Address
		return bot
	}
	bot.Leader, bot.Previous, bot.Reason = l.Holder, l.Previous, string(l.Reason)
	if !l.Since.IsZero() {
		bot.Since = timestamppb.New(l.Since)
	}
	return bot
}

// addReplica adds what a server has to do for one more bot.
func addReplica(to *pb.GetFleetResponse_Replica, r store.Replica) {
	if r.Since.Before(to.Since.AsTime()) {
		to.Since = timestamppb.New(r.Since)
	}
	if r.Seen.After(to.Seen.AsTime()) {
		to.Seen = timestamppb.New(r.Seen)
	}
	if r.Load == nil {
		return
	}
	if to.Load == nil {
		to.Load = new(pb.GetFleetResponse_Replica_Load)
	}
	to.Load.InProgress += r.Load.InProgress
	to.Load.Waiting += r.Load.Waiting
	to.Load.CallsPerSecond += r.Load.CallsPerSecond
}
