package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"discordproxy/client"

	pb "discordproxy/gen/discord_api"
)

// packages are callers that use the packages for applications: one of each language.
func (o options) packages() (languages []string) {
	languages = append(languages, "go")
	if o.python != "" {
		languages = append(languages, "python")
	}
	if o.node != "" {
		languages = append(languages, "typescript")
	}
	return languages
}

// callWith makes calls with the package of a language until the load ends.
func (l *load) callWith(ctx, loading context.Context, language string, i int) error {
	if language == "go" {
		return l.callWithGo(ctx, loading, i)
	}
	args := []string{l.options.python, "caller.py"}
	if language == "typescript" {
		args = []string{"node", "caller.mjs", l.options.node}
	}
	args = append(args, l.who(i), l.fleet.discord.bots[l.fleet.discord.botOf(i)].name, fmt.Sprint(uint64(l.fleet.discord.channels[i])))
	for _, r := range l.fleet.replicas {
		args = append(args, r.address)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // the caller of this command names it
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join("..", "..", "python", "src"))
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := context.AfterFunc(loading, func() { _ = in.Close() })
	defer stop()
	l.read(i, out)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the caller in %s: %w", language, err)
	}
	return nil
}

func (l *load) who(i int) string { return fmt.Sprintf("caller %d", i) }

// read notes the outcomes that a caller prints.
func (l *load) read(i int, from io.Reader) {
	for lines := bufio.NewScanner(from); lines.Scan(); {
		outcome, text, _ := strings.Cut(lines.Text(), " ")
		l.note(i, outcome, text)
	}
}

func (l *load) note(i int, outcome, text string) {
	b := &l.books[i]
	switch outcome {
	case "sent":
		b.sent = append(b.sent, text)
	case "refused":
		b.refused = append(b.refused, text)
	default:
		b.unknown++
	}
}

func (l *load) callWithGo(ctx, loading context.Context, i int) error {
	bot, channel := l.fleet.discord.bots[l.fleet.discord.botOf(i)].name, uint64(l.fleet.discord.channels[i])
	var clients []*client.Client
	for _, r := range l.fleet.replicas {
		c, err := client.New(r.address, client.WithRetries(10), client.WithTimeout(time.Minute), client.WithBot(bot))
		if err != nil {
			return err
		}
		defer c.Close()
		clients = append(clients, c)
	}
	for n := 0; loading.Err() == nil; n++ {
		text, outcome := fmt.Sprintf("%s, %d", l.who(i), n), "sent"
		c := clients[rand.IntN(len(clients))] //nolint:gosec // it need not be secret
		_, err := c.SendChannelMessage(ctx, &pb.SendChannelMessageRequest{ChannelId: channel, Content: text})
		if err != nil {
			outcome = "refused"
			if isUnknown(err) {
				outcome = "unknown"
			}
		}
		l.note(i, outcome, text)
		sleep(loading, time.Duration(50+rand.IntN(300))*time.Millisecond) //nolint:gosec // as above
	}
	return nil
}

// isUnknown reports whether a call that failed may have been made.
func isUnknown(err error) bool {
	if e, ok := errors.AsType[*client.HTTPError](err); ok {
		return e.OutcomeUnknown
	}
	e, ok := errors.AsType[*client.Error](err)
	return !ok || e.OutcomeUnknown
}
