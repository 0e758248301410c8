package message

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	command "discordproxy/cli"
	"discordproxy/client"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/types/known/durationpb"
)

// statusTimeout bounds how long the command status waits for an answer unless
// --timeout does.
const statusTimeout = 10 * time.Second

// statusCommand shows once what the dashboard shows all the time.
var statusCommand = messageCommand{
	name: "status", usage: "shows how the proxy is doing",
	flags: func() []cli.Flag {
		return []cli.Flag{
			&cli.BoolFlag{Name: "watch", Usage: "refresh the status until --timeout or Ctrl-C"},
			&cli.DurationFlag{Name: "interval", Value: 2 * time.Second, Usage: "refresh interval of --watch"},
		}
	},
	run: func(r *request) error {
		if err := r.plan(new(pb.WatchStatusRequest)); err != nil {
			return err
		}
		interval := r.flags.Duration("interval")
		if interval <= 0 {
			return command.Misuse(errors.New("--interval must be more than 0"))
		}
		for shown := false; ; shown = true {
			status, err := askStatus(r)
			switch {
			case shown && r.over(err):
				return nil // the end that was asked for
			case err != nil:
				return err
			}
			if err := r.showStatus(status, shown); err != nil || !r.flags.Bool("watch") {
				return err
			}
			select {
			case <-r.ctx.Done():
				return nil
			case <-time.After(interval):
			}
		}
	},
}

// clearScreen moves to the top of an empty terminal.
const clearScreen = "\033[H\033[2J"

// showStatus writes a status. Again says that it is not the first.
func (r *request) showStatus(status *pb.WatchStatusResponse, again bool) error {
	if r.output.structured() {
		return r.writeAnswer(status)
	}
	between := ""
	switch {
	case command.IsTerminal(r.env.Out) && r.flags.Bool("watch"):
		between = clearScreen
	case again:
		between = "\n"
	}
	if _, err := io.WriteString(r.env.Out, between); err != nil {
		return err
	}
	return writeStatus(r.env.Out, r.address, status)
}

// askStatus returns the first message of the stream, which has everything.
func askStatus(r *request) (*pb.WatchStatusResponse, error) {
	ctx, cancel := r.ctx, context.CancelFunc(nil)
	if _, bounded := ctx.Deadline(); bounded {
		ctx, cancel = context.WithCancel(ctx)
	} else {
		ctx, cancel = context.WithTimeout(ctx, statusTimeout)
	}
	defer cancel()
	for status, err := range client.All(r.client.WatchStatus(ctx, new(pb.WatchStatusRequest))) {
		if ctx.Err() == context.DeadlineExceeded {
			return nil, &failure{text: "the proxy did not respond in time", code: connect.CodeDeadlineExceeded.String(), exit: command.ExitTryAgain}
		}
		if err != nil {
			return nil, r.failed(err)
		}
		cancel() // the end of the loop waits for the end of the stream
		return status, nil
	}
	return nil, errors.New("the proxy returned no status")
}

func writeStatus(out io.Writer, address string, s *pb.WatchStatusResponse) error {
	proxy, limits := s.GetProxy(), s.GetLimits()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("proxy", "%s at %s", proxy.GetVersion(), address)
	if len(proxy.GetReasons()) == 0 {
		row("state", "ready")
	}
	for _, reason := range proxy.GetReasons() {
		row("state", "not ready: %s", reason)
	}
	if bot := proxy.GetBot(); bot != "" {
		row("bot", "%s", bot)
	}
	if proxy.GetSandbox() {
		row("discord", "the sandbox")
	}
	if g := proxy.GetGateway(); g != nil {
		row("gateway", "%s", gatewayStatus(g, s.GetTime().AsTime()))
	}
	row("running for", "%s", round(s.GetTime().AsTime().Sub(proxy.GetStarted().AsTime())))
	if proxy.GetOpen() {
		row("access", "open: anyone who can reach the address can use the bot")
	}
	row("calls", "%.1f per second; in the last hour %s", s.GetCallsPerSecond(), lastHour(s.GetSlots()))
	waiting := fmt.Sprintf("%d of %d", limits.GetWaiting(), limits.GetMaxWaiting())
	if s.DrainsIn != nil {
		waiting += fmt.Sprintf(", all sent in about %s", round(s.GetDrainsIn().AsDuration()))
	}
	row("waiting", "%s", waiting)
	row("at Discord", "%d", limits.GetInFlight())
	row("global limit", "%s", globalLimit(limits.GetGlobal()))
	invalid := limits.GetInvalidRequests()
	refusing := ""
	if invalid.GetRefusing() {
		refusing = ", calls are refused to avoid a ban"
	}
	row("invalid requests", "%d of %d in 10 minutes%s", invalid.GetCount(), invalid.GetLimit(), refusing)
	if ban := limits.GetBan(); ban != nil {
		row("ban", "%s, next attempt in %s", ban.GetReason(), round(ban.GetRetryAfter().AsDuration()))
	}
	if limits.GetTokenRefused() {
		row("token", "refused by Discord")
	}
	if n := limits.GetGoneWebhooks(); n > 0 {
		row("webhooks", "%d skipped because Discord reported them as unknown", n)
	}
	row("limits", "%d known, %d busy", limits.GetKnownBuckets(), len(limits.GetBuckets()))
	if err := w.Flush(); err != nil {
		return err
	}
	if len(limits.GetBuckets()) == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(w, "\nQUEUE\tCLEARS IN\tLEFT\tRESETS IN\tRESOURCE\tROUTE")
	for _, b := range limits.GetBuckets() {
		left := "unknown"
		if b.GetLimit() > 0 {
			left = fmt.Sprintf("%d/%d", b.GetRemaining(), b.GetLimit())
		}
		if b.GetBlockedFor() != nil {
			left += ", blocked for " + wait(b.GetBlockedFor())
		}
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", b.GetWaiting(), wait(b.GetEstimatedWait()), left, wait(b.GetResetAfter()),
			b.GetResource(), strings.Join(b.GetRoutes(), ", "))
	}
	return w.Flush()
}

// gatewayStatus describes the state of the connection to the gateway.
func gatewayStatus(g *pb.WatchStatusResponse_Proxy_Gateway, now time.Time) string {
	text := fmt.Sprintf("%s for %s", g.GetState(), round(now.Sub(g.GetSince().AsTime())))
	if g.Latency != nil {
		text += fmt.Sprintf(", latency %s", g.GetLatency().AsDuration().Round(time.Millisecond))
	}
	text += fmt.Sprintf(", %d subscribers", g.GetSubscribers())
	if g.GetReason() != "" {
		text += ": " + g.GetReason()
	}
	return text
}

// lastHour sums up calls by their code, the most frequent first.
func lastHour(slots []*pb.WatchStatusResponse_Slot) string {
	sum, total := make(map[string]int), 0
	for _, slot := range slots {
		for code, n := range slot.GetCalls() {
			sum[code] += int(n)
			total += int(n)
		}
	}
	codes := slices.Sorted(maps.Keys(sum))
	slices.SortStableFunc(codes, func(a, b string) int { return sum[b] - sum[a] })
	if total == 0 {
		return "none"
	}
	for i, code := range codes {
		codes[i] = fmt.Sprintf("%d %s", sum[code], code)
	}
	return fmt.Sprintf("%d: %s", total, strings.Join(codes, ", "))
}

func globalLimit(g *pb.GetRateLimitStatusResponse_Global) string {
	switch {
	case g.GetPausedFor() != nil:
		return fmt.Sprintf("paused by Discord for %s", round(g.GetPausedFor().AsDuration()))
	case g.GetLimit() == 0:
		return "off"
	}
	return fmt.Sprintf("%d of %d per second", g.GetUsed(), g.GetLimit())
}

// wait writes a duration that may not be there.
func wait(d *durationpb.Duration) string {
	if d == nil {
		return "-"
	}
	return round(d.AsDuration()).String()
}

// round leaves out what nobody reads.
func round(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}
