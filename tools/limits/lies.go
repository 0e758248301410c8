package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/discord/sandbox"
)

// lie is a limit that headers do not show, or show wrongly. Reads of messages
// fall under it; typing indicators in other channels show whether other routes
// are affected.
type lie struct {
	name     string
	calls    int
	channels int // that share the limit
	announce bool
	limit    sandbox.Limit // the true one
}

const (
	readRoute   = "GET /channels/{channel_id}/messages"
	typingRoute = "POST /channels/{channel_id}/typing"
	bystanders  = 20
)

func truth(limit int, window time.Duration, kind sandbox.WindowKind) sandbox.Limit {
	return sandbox.Limit{Name: "true", Routes: []string{readRoute}, Limit: limit, Window: window, Kind: kind, Sub: true}
}

func lies() []lie {
	base := lie{calls: 30, channels: 1, announce: true, limit: truth(5, 5*time.Second, sandbox.Sliding)}
	named := func(name string, change func(*lie)) lie {
		l := base
		l.name = name
		change(&l)
		return l
	}
	refusal := func(to sandbox.RefusalHeaders) func(*lie) {
		return func(l *lie) { l.limit.Refusal = to }
	}
	across := func(channels int) func(*lie) {
		return func(l *lie) { l.channels, l.limit.PerToken, l.limit.Refusal = channels, true, sandbox.RefusalSame }
	}
	return []lie{
		named("another bucket in the 429", refusal(sandbox.RefusalOwn)),
		named("the same bucket", refusal(sandbox.RefusalSame)),
		named("Remaining > 0", refusal(sandbox.RefusalOfRoute)),
		named("scope shared", func(l *lie) { l.limit.Shared = true }),
		named("a code in the body", func(l *lie) { l.limit.Code = 30046 }),
		named("no headers on the 429", refusal(sandbox.RefusalBare)),
		named("no headers on successes", func(l *lie) { l.announce = false; l.limit.Refusal = sandbox.RefusalOwn }),
		named("no headers at all", func(l *lie) { l.announce = false; l.limit.Refusal = sandbox.RefusalBare }),
		named("fixed 5 in 5 s", func(l *lie) { l.limit.Kind = sandbox.Fixed; l.limit.Refusal = sandbox.RefusalOwn }),
		named("10 in 10 s, 25 calls", func(l *lie) {
			l.limit.Limit, l.limit.Window, l.calls = 10, 10*time.Second, 25
			l.limit.Refusal = sandbox.RefusalSame
		}),
		named("one bucket behind 2 channels", across(2)),
		named("one bucket behind 3 channels", across(3)),
		named("one bucket behind 5 channels", across(5)),
		named("one bucket behind 30 channels", across(30)),
		named("one bucket behind 30 channels, no headers", func(l *lie) {
			l.channels, l.announce, l.limit.PerToken, l.limit.Refusal = 30, false, true, sandbox.RefusalBare
		}),
		named("150 calls, another bucket", func(l *lie) { l.calls = 150; l.limit.Refusal = sandbox.RefusalOwn }),
	}
}

func (l lie) bound(d time.Duration) time.Duration {
	over := l.calls - l.limit.Limit
	if l.limit.Kind == sandbox.Fixed {
		return time.Duration((l.calls+l.limit.Limit-1)/l.limit.Limit-1)*l.limit.Window + d
	}
	return time.Duration(over)*l.limit.Window/time.Duration(l.limit.Limit) + d
}

const lieRoundTrip = 100 * time.Millisecond

// limits sets what the lie is about on a sandbox.
func (l lie) limits(sb *sandbox.Sandbox) {
	sb.ClearLimits()
	sb.SetLimit(sandbox.Limit{Name: "announced", Routes: []string{readRoute}, Limit: 1000, Window: 5 * time.Second, Hidden: !l.announce})
	sb.SetLimit(l.limit)
	sb.SetLimit(sandbox.Limit{Name: "typing", Routes: []string{typingRoute}, Limit: 5, Window: 5 * time.Second})
	sb.SetGlobalLimit(sandbox.GlobalLimit{Limit: globalLimit, Kind: sandbox.Sliding})
}

// sandboxOfLie is the process of the sandbox of a lie.
func sandboxOfLie(l lie) error {
	sb := sandbox.New(sandbox.Config{Latency: sandbox.RoundTrip(lieRoundTrip)})
	channels, err := addChannels(sb, l.channels+bystanders)
	if err != nil {
		return err
	}
	l.limits(sb)
	return serve(sb, channels)
}

// tell runs a lie and returns its line of the table.
func (l lie) tell(ctx context.Context, index int) (line string, ok bool) {
	failed := func(err error) (string, bool) { return fmt.Sprintf("| %s | %v |", l.name, err), false }
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	address, stop, err := start(exec.CommandContext(ctx, os.Args[0], "-sandbox-of-lie", strconv.Itoa(index))) //nolint:gosec // itself
	if err != nil {
		return failed(err)
	}
	defer stop()
	limiter, err := ratelimit.New(ratelimit.Config{GlobalLimit: globalLimit})
	if err != nil {
		return failed(err)
	}
	defer limiter.Close()
	client, err := discord.New(discord.Config{
		Token: sandbox.DefaultToken, BaseURL: "http://" + address + "/api", Limiter: limiter,
		Logger: slog.New(slog.DiscardHandler), Upstream: discord.NewUpstream(0),
	})
	if err != nil {
		return failed(err)
	}
	var (
		mu     sync.Mutex
		done   sync.WaitGroup
		errs   []string
		others time.Duration
	)
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err.Error())
	}
	began := time.Now()
	for i := range l.calls {
		done.Go(func() {
			channel := uint64(firstChannel) + uint64(i%l.channels)
			if _, err := client.Call(ctx, nil, discord.ListMessages, discord.Args{"channel_id": channel}); err != nil {
				fail(err)
			}
		})
	}
	var bystanding sync.WaitGroup
	bystanding.Go(func() {
		for i := range bystanders { // while the limit is found out
			asked := time.Now()
			_, err := client.Call(ctx, nil, discord.TriggerTyping, discord.Args{"channel_id": uint64(firstChannel) + uint64(l.channels+i)})
			if err != nil {
				fail(err)
			}
			others = max(others, time.Since(asked))
		}
	})
	done.Wait()
	took := time.Since(began)
	bystanding.Wait()
	seen, err := judged(ctx, address)
	if err != nil {
		return failed(err)
	}
	refused := 0
	for _, n := range seen.Stats.Limited {
		refused += n
	}
	bound, most := l.bound(lieRoundTrip), 3+l.calls/10
	if l.limit.Shared {
		most++ // what others may use too is inferred from more than one refusal
	}
	touched := others > 5*lieRoundTrip // a hold would take longer still, a busy machine does not
	verdict := "ok"
	if len(errs) > 0 {
		verdict = "FAILED: " + strings.Join(errs, "; ")
	} else if refused > most || took > bound*5/4 || touched {
		verdict = "FAILED"
	}
	return fmt.Sprintf("| %s | %d | %.2f s | %.2f s | %.3f | %d | %d | %d ms | %s |", l.name, l.calls, bound.Seconds(), took.Seconds(),
		float64(took)/float64(bound), refused, most, others.Milliseconds(), verdict), verdict == "ok"
}

// tellLies runs all lies side by side and prints their table.
func tellLies(runs int) (ok bool) {
	_, _ = fmt.Fprintln(
		os.Stdout,
		"| lie | calls | bound | took | ratio | 429s | allowed | slowest call of other routes | |\n|---|---|---|---|---|---|---|---|---|",
	)
	ok = true
	for range runs {
		all := lies()
		lines := make([]string, len(all))
		good := make([]bool, len(all))
		var running sync.WaitGroup
		for i, l := range all {
			running.Go(func() {
				<-time.After(time.Duration(i) * rowsApart)
				lines[i], good[i] = l.tell(context.Background(), i)
			})
		}
		running.Wait()
		for i := range all {
			_, _ = fmt.Fprintln(os.Stdout, lines[i])
			ok = ok && good[i]
		}
	}
	return ok
}
