package message

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// fleetCommand shows the servers that share a database.
var fleetCommand = messageCommand{
	name: "fleet", usage: "lists the replicas that share a database, and which of them leads each bot",
	run: func(r *request) error {
		_, err := callThen(r, r.client.GetFleet, new(pb.GetFleetRequest), func(f *pb.GetFleetResponse) error {
			return writeFleet(r.env.Out, f)
		})
		return err
	},
}

func writeFleet(out io.Writer, f *pb.GetFleetResponse) error {
	now := f.GetTime().AsTime()
	ago := func(t *timestamppb.Timestamp) string {
		if t == nil {
			return "-"
		}
		return round(max(0, now.Sub(t.AsTime()))).String()
	}
	names := make(map[string]string) // of the replicas
	for _, r := range f.GetReplicas() {
		names[r.GetId()] = cmp.Or(oneLine(r.GetAddress()), "this one")
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "BOT\tLEADER\tEPOCH\tFOR\tREASON\tPREVIOUS LEADER")
	for _, b := range f.GetBots() {
		leader := "none"
		if id := b.GetLeader(); id != "" {
			leader = cmp.Or(names[id], "one without --advertise")
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", oneLine(b.GetName()), leader, b.GetEpoch(), ago(b.GetSince()),
			cmp.Or(oneLine(b.GetReason()), "-"), cmp.Or(oneLine(b.GetPrevious()), "-"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(w, "\nREPLICA\tVERSION\tRUNNING FOR\tSEEN\tIN PROGRESS\tWAITING\tCALLS A SECOND\tANSWERED\tLEADS")
	for _, r := range f.GetReplicas() {
		load := "-\t-\t-"
		if l := r.GetLoad(); l != nil {
			load = fmt.Sprintf("%d\t%d\t%.1f", l.GetInProgress(), l.GetWaiting(), l.GetCallsPerSecond())
		}
		answered := "-"
		if r.GetAnswered() {
			answered = "yes"
		}
		seen := "-"
		if f.GetShared() {
			seen = ago(r.GetSeen()) + " ago"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", names[r.GetId()], oneLine(r.GetVersion()), ago(r.GetSince()), seen,
			load, answered, cmp.Or(oneLine(strings.Join(r.GetLeads(), ", ")), "-"))
	}
	return w.Flush()
}
