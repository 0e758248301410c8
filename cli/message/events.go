package message

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	command "discordproxy/cli"
	"discordproxy/client"

	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
)

var eventsCommand = messageCommand{
	name: "events", usage: "prints Discord's events until --timeout or Ctrl-C",
	flags: func() []cli.Flag {
		return []cli.Flag{
			&cli.StringSliceFlag{Name: "type", Usage: "`TYPE` of events, such as MESSAGE_CREATE; repeatable"},
			&cli.StringSliceFlag{Name: "channel", Usage: "`CHANNEL_ID` or '#name' whose events to print; repeatable"},
			&cli.StringSliceFlag{Name: "guild", Usage: "`GUILD_ID` whose events to print; repeatable"},
			&cli.StringFlag{Name: "since", Usage: "start with past events: `POSITION` printed by an earlier run, or a duration such as 10m"},
			&cli.BoolFlag{Name: "raw", Usage: "add Discord's own JSON to each event, with --output json or yaml"},
		}
	},
	run: followEvents,
}

func followEvents(r *request) error {
	req, err := eventsRequest(r)
	if err != nil {
		return err
	}
	var begin time.Time
	if since := r.flags.String("since"); since != "" {
		if d, isDuration := parseDuration(since); isDuration {
			begin = time.Now().Add(-d)
		} else if req.After, err = parsePosition(since); err != nil {
			return command.Misuse(err)
		}
	}
	if err := r.plan(req); err != nil {
		return err
	}
	if !begin.IsZero() {
		position, err := r.eventPosition()
		if err != nil {
			return err
		}
		req.After = &pb.EventPosition{Epoch: position.GetEpoch()} // the oldest that is kept
	}
	var position *pb.EventPosition
	for response, err := range client.All(r.client.SubscribeEvents(r.ctx, req)) {
		if err != nil {
			if r.over(err) { // the end that was asked for
				err = nil
			} else {
				err = r.failed(err)
			}
			if position != nil {
				_, _ = fmt.Fprintf(r.env.Err, "Continue with --since %s:%d\n", position.GetEpoch(), position.GetSequence())
			}
			return err
		}
		position = response.GetPosition()
		for _, e := range response.GetEvents() {
			if e.GetType() == pb.Event_HEARTBEAT || !begin.IsZero() && e.GetTime().AsTime().Before(begin) {
				continue
			}
			if err := r.writeEvent(e, position.GetEpoch()); err != nil {
				return err
			}
		}
	}
	return nil
}

// eventsRequest reads the options for which events are wanted.
func eventsRequest(r *request) (*pb.SubscribeEventsRequest, error) {
	req := &pb.SubscribeEventsRequest{IncludeRaw: r.flags.Bool("raw")}
	for _, text := range r.flags.StringSlice("type") {
		n, known := pb.Event_Type_value[strings.ToUpper(text)]
		if !known || n == 0 {
			if likely := command.Nearest(strings.ToUpper(text), eventTypes()); likely != "" {
				return nil, command.Misuse(fmt.Errorf("--type %q is not an event type; did you mean %s?", text, likely))
			}
			return nil, command.Misuse(fmt.Errorf("--type %q is not an event type; see docs/events.md", text))
		}
		req.Types = append(req.Types, pb.Event_Type(n))
	}
	for _, text := range r.flags.StringSlice("guild") {
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, command.Misuse(fmt.Errorf("--guild %q is not a number", text))
		}
		req.GuildIds = append(req.GuildIds, id)
	}
	for _, text := range r.flags.StringSlice("channel") {
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			n, err := parseName("CHANNEL_ID", text)
			if err != nil {
				return nil, command.Misuse(fmt.Errorf("--channel: %w", err))
			}
			if id, err = r.find(n); err != nil {
				return nil, err
			}
		}
		req.ChannelIds = append(req.ChannelIds, id)
	}
	return req, nil
}

// eventTypes are the names for --type.
func eventTypes() []string {
	var all []string
	for n, name := range pb.Event_Type_name {
		if n != 0 {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func parseDuration(text string) (time.Duration, bool) {
	if _, err := strconv.ParseUint(text, 10, 32); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d > 0
}

func parsePosition(text string) (*pb.EventPosition, error) {
	i := strings.LastIndexByte(text, ':')
	if i > 0 {
		if sequence, err := strconv.ParseUint(text[i+1:], 10, 64); err == nil {
			return &pb.EventPosition{Epoch: text[:i], Sequence: sequence}, nil
		}
	}
	return nil, fmt.Errorf("--since %q is neither a duration such as 10m nor a position such as EPOCH:SEQUENCE", text)
}

// eventPosition returns how far events have got.
func (r *request) eventPosition() (*pb.EventPosition, error) {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	for response, err := range client.All(r.client.SubscribeEvents(ctx, new(pb.SubscribeEventsRequest))) {
		if err != nil {
			return nil, r.failed(err)
		}
		cancel() // the end of the loop waits for the end of the stream
		return response.GetPosition(), nil
	}
	return nil, errors.New("the proxy sent no events")
}

func (r *request) writeEvent(e *pb.Event, epoch string) error {
	if !r.output.structured() {
		_, err := fmt.Fprintln(r.env.Out, eventLine(e))
		return err
	}
	if r.output.bare {
		return r.writeAnswer(e)
	}
	value, err := plain(e)
	if err != nil {
		return err
	}
	value.(map[string]any)["epoch"] = epoch
	return r.output.write(value)
}

// eventLine is an event in a line: when, which, where, and what there is to say.
func eventLine(e *pb.Event) string {
	text := e.GetTime().AsTime().Local().Format(time.DateTime) + " " + cmp.Or(e.GetName(), e.GetType().String())
	if id := e.GetChannelId(); id != 0 {
		text += fmt.Sprintf(" channel %d", id)
	} else if id := e.GetGuildId(); id != 0 {
		text += fmt.Sprintf(" guild %d", id)
	}
	if said := payloadText(e); said != "" {
		text += " " + said
	}
	return oneLine(text)
}

func payloadText(e *pb.Event) string {
	switch p := e.GetPayload().(type) {
	case *pb.Event_Message:
		return fmt.Sprintf("message %d %s: %s", p.Message.GetId(), p.Message.GetAuthor().GetUsername(), p.Message.GetContent())
	case *pb.Event_MessageDelete_:
		if id := p.MessageDelete.GetId(); id != 0 {
			return fmt.Sprintf("message %d", id)
		}
		return fmt.Sprintf("%d messages", len(p.MessageDelete.GetIds()))
	case *pb.Event_Reaction_:
		return fmt.Sprintf("message %d user %d %s", p.Reaction.GetMessageId(), p.Reaction.GetUserId(), p.Reaction.GetEmoji().GetName())
	case *pb.Event_Member:
		return p.Member.GetUser().GetUsername()
	case *pb.Event_Ban_:
		return p.Ban.GetUser().GetUsername()
	case *pb.Event_Role:
		return cmp.Or(p.Role.GetRole().GetName(), fmt.Sprintf("role %d", p.Role.GetRoleId()))
	case *pb.Event_Channel:
		return "#" + p.Channel.GetName()
	case *pb.Event_Guild:
		return p.Guild.GetName()
	case *pb.Event_GatewayState_:
		return strings.TrimSpace(p.GatewayState.GetState().String() + " " + p.GatewayState.GetReason())
	case *pb.Event_Gap_:
		return fmt.Sprintf("events %d to %d are lost", p.Gap.GetFirst(), p.Gap.GetLast())
	case *pb.Event_Interaction:
		return fmt.Sprintf("interaction %d", p.Interaction.GetId())
	case *pb.Event_Typing_:
		return fmt.Sprintf("user %d", p.Typing.GetUserId())
	case *pb.Event_Presence_:
		return fmt.Sprintf("user %d %s", p.Presence.GetUser().GetId(), p.Presence.GetStatus())
	}
	return ""
}
