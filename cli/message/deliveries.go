package message

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	command "discordproxy/cli"
	"discordproxy/client"

	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// queueFlags are the options of one call that the proxy may keep and make later.
func queueFlags() []cli.Flag {
	return append(keepFlags(), &cli.StringFlag{
		Name: "id", Usage: "with --queue, `ID` of the delivery; the same call with the same ID is made once",
	})
}

// keepFlags are the options of calls that the proxy may keep and make later.
func keepFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "queue", Usage: "queue the call in the outbox of the proxy and do not wait for Discord"},
		&cli.StringFlag{Name: "at", Usage: "with --queue, make the call at `TIME`: 2026-12-24T18:00:00Z, \"2026-12-24 18:00\", or 90m from now"},
		&cli.DurationFlag{Name: "expires", Usage: "with --queue, give up after this time without success, such as 2h", DefaultText: "24h"},
	}
}

// queued reports whether the call is to be left with the proxy.
func (r *request) queued() (bool, error) {
	queued := r.flags.Bool("queue")
	for _, name := range []string{"at", "expires", "id", "follow"} {
		if r.flags.IsSet(name) && !queued {
			return false, command.Misuse(fmt.Errorf("--%s needs --queue", name))
		}
	}
	return queued, nil
}

// enqueue leaves a call with the proxy, unless the options are wrong. what names the call
// for the user.
func (r *request) enqueue(misused error, what string, req *pb.EnqueueRequest) error {
	if misused != nil {
		return misused
	}
	req.DeliveryId = r.flags.String("id")
	if err := r.schedule(req); err != nil {
		return err
	}
	_, err := callThen(r, r.client.Enqueue, req, func(res *pb.EnqueueResponse) error {
		return r.confirm(what + " queued as " + res.GetDelivery().GetId())
	})
	return err
}

// schedule sets when a call is made.
func (r *request) schedule(req *pb.EnqueueRequest) error {
	now := time.Now()
	begins := now
	if at := r.flags.String("at"); at != "" {
		t, err := parseTime(at, now)
		if err != nil {
			return command.Misuse(err)
		}
		req.NotBefore = timestamppb.New(t)
		if t.After(begins) {
			begins = t
		}
	}
	if r.flags.IsSet("expires") {
		if r.flags.Duration("expires") <= 0 {
			return command.Misuse(errors.New("--expires must be more than 0"))
		}
		req.ExpiresAt = timestamppb.New(begins.Add(r.flags.Duration("expires")))
	}
	return nil
}

// parseTime reads a moment, or a duration from now.
func parseTime(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf(
		"--at %q is neither a time such as 2026-12-24T18:00:00Z or \"2026-12-24 18:00\" nor a duration such as 90m",
		text,
	)
}

// deliveryActions are the actions on deliveries, and whether an ID follows.
var deliveryActions = map[string]bool{"list": false, "watch": false, "show": true, "cancel": true, "retry": true}

var deliveriesCommand = messageCommand{
	name: "deliveries", usage: "lists, shows, watches, cancels and retries messages that were sent with --queue",
	words: []string{"list|watch|show ID|cancel ID|retry ID"},
	check: func(args []string) error {
		if len(args) == 0 {
			return command.Misuse(errors.New("expected deliveries list, watch, show ID, cancel ID or retry ID"))
		}
		needsID, known := deliveryActions[args[0]]
		switch {
		case !known:
			return command.Misuse(fmt.Errorf("unknown action %q: expected list, watch, show, cancel or retry", args[0]))
		case needsID && len(args) != 2:
			return command.Misuse(fmt.Errorf("expected deliveries %s ID", args[0]))
		case !needsID && len(args) != 1:
			return command.Misuse(fmt.Errorf("deliveries %s takes no further arguments", args[0]))
		}
		return nil
	},
	flags: func() []cli.Flag {
		return []cli.Flag{
			&cli.StringSliceFlag{Name: "state", Usage: "`STATE` of the deliveries to list or watch, such as failed; repeatable"},
			&cli.StringFlag{Name: "caller", Usage: "`CLIENT` that queued the messages (default: this client, or all that it may see)"},
			&cli.IntFlag{Name: "limit", Usage: "number of deliveries to list, 1 to 1000", Value: 50},
			&cli.Uint64Flag{Name: "after", Usage: "with watch, start after `POSITION`; 0 is the oldest result", DefaultText: "new results only"},
		}
	},
	run: func(r *request) error {
		switch id := slices.Concat(r.words, []string{""})[1]; r.words[0] {
		case "list":
			return listDeliveries(r)
		case "watch":
			return watchDeliveries(r)
		case "show":
			return showDelivery(r, r.client.GetDelivery, &pb.GetDeliveryRequest{DeliveryId: id, Caller: r.flags.String("caller")})
		case "cancel":
			return showDelivery(r, r.client.CancelDelivery, &pb.CancelDeliveryRequest{DeliveryId: id, Caller: r.flags.String("caller")})
		default:
			return showDelivery(r, r.client.RetryDelivery, &pb.RetryDeliveryRequest{DeliveryId: id, Caller: r.flags.String("caller")})
		}
	},
}

// states reads --state.
func (r *request) states() (states []pb.Delivery_State, err error) {
	for _, name := range r.flags.StringSlice("state") {
		state, ok := pb.Delivery_State_value[strings.ToUpper(name)]
		if !ok || state == 0 {
			return nil, command.Misuse(
				fmt.Errorf("--state %q is not one of scheduled, waiting, sending, delivered, failed, expired, cancelled, unknown", name),
			)
		}
		states = append(states, pb.Delivery_State(state))
	}
	return states, nil
}

func listDeliveries(r *request) error {
	states, err := r.states()
	if err != nil {
		return err
	}
	if limit := r.flags.Int("limit"); limit < 1 || limit > 1000 {
		return command.Misuse(fmt.Errorf("--limit %d is not between 1 and 1000", limit))
	}
	res, err := r.client.ListDeliveries(
		r.ctx,
		&pb.ListDeliveriesRequest{States: states, Caller: r.flags.String("caller"), PageSize: int32(r.flags.Int("limit"))},
	)
	if err != nil {
		return r.failed(err)
	}
	if r.output.structured() {
		for _, d := range res.GetDeliveries() {
			if err := r.writeAnswer(d); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(r.env.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tSTATE\tMETHOD\tTARGET\tCALLER\tQUEUED\tREASON")
	for _, d := range res.GetDeliveries() {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.GetId(), stateName(d), d.GetMethod(), deliveryTarget(d), oneLine(d.GetCaller()),
			d.GetEnqueuedAt().AsTime().Local().Format(time.DateTime), deliveryReason(d))
	}
	return w.Flush()
}

func watchDeliveries(r *request) error {
	states, err := r.states()
	if err != nil {
		return err
	}
	req := &pb.WatchDeliveriesRequest{States: states, Caller: r.flags.String("caller")}
	if r.flags.IsSet("after") {
		req.After = proto.Uint64(r.flags.Uint64("after"))
	}
	begun, position := false, uint64(0)
	for res, err := range client.All(r.client.WatchDeliveries(r.ctx, req)) {
		if err != nil {
			if r.over(err) { // the end that was asked for
				err = nil
			} else {
				err = r.failed(err)
			}
			if begun {
				_, _ = fmt.Fprintf(r.env.Err, "Continue with --after %d\n", position)
			}
			return err
		}
		if res.GetGap() {
			_, _ = fmt.Fprintf(r.env.Err, "Some results after position %d are missing: their records were deleted\n", res.GetPosition())
		}
		begun, position = true, res.GetPosition()
		d := res.GetDelivery()
		switch {
		case d == nil:
			continue
		case r.output.structured():
			err = r.writeAnswer(res)
		default:
			_, err = fmt.Fprintf(
				r.env.Out,
				"%d  %s  %s  %s  %s  %s\n",
				res.GetPosition(),
				d.GetId(),
				stateName(d),
				d.GetMethod(),
				deliveryTarget(d),
				deliveryReason(d),
			)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// answeredDelivery is an answer with a delivery.
type answeredDelivery interface {
	proto.Message
	GetDelivery() *pb.Delivery
}

// showDelivery makes one call about a delivery and writes what became of it.
func showDelivery[Request proto.Message, Response answeredDelivery](
	r *request, method func(context.Context, Request) (Response, error), req Request,
) error {
	_, err := callThen(r, method, req, func(res Response) error { return r.writeDelivery(res.GetDelivery()) })
	return err
}

// writeDelivery writes a delivery for a person.
func (r *request) writeDelivery(d *pb.Delivery) error {
	w := tabwriter.NewWriter(r.env.Out, 0, 0, 2, ' ', 0)
	row := func(name string, value any) {
		if text := fmt.Sprint(value); text != "" && text != "0" {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", name, oneLine(text))
		}
	}
	at := func(t *timestamppb.Timestamp) string {
		if t == nil {
			return ""
		}
		return t.AsTime().Local().Format(time.RFC3339)
	}
	row("id", d.GetId())
	row("state", stateName(d))
	row("method", d.GetMethod())
	row("target", deliveryTarget(d))
	row("caller", d.GetCaller())
	row("queued", at(d.GetEnqueuedAt()))
	row("not before", at(d.GetNotBefore()))
	row("expires", at(d.GetExpiresAt()))
	row("ended", at(d.GetFinishedAt()))
	row("tries", d.GetTries())
	row("message", d.GetMessageId())
	row("reason", deliveryReason(d))
	return w.Flush()
}

func stateName(d *pb.Delivery) string { return strings.ToLower(d.GetState().String()) }

// deliveryTarget names what a delivery is about.
func deliveryTarget(d *pb.Delivery) string {
	switch {
	case d.GetUserId() != 0:
		return fmt.Sprint("user ", d.GetUserId())
	case d.GetWebhookId() != 0:
		return fmt.Sprint("webhook ", d.GetWebhookId())
	}
	return fmt.Sprint("channel ", d.GetChannelId())
}

// deliveryReason says why a delivery failed or waits.
func deliveryReason(d *pb.Delivery) string {
	if e := d.GetError(); e != nil {
		return oneLine(fmt.Sprintf("%s: %s", d.GetStatus(), e.GetText()))
	}
	return oneLine(d.GetReason())
}
