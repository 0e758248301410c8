// Command faults sends messages through a real server while everything between the server
// and Discord fails at random, and then compares the responses that the callers got with
// the messages that the sandbox has stored.
//
// The server and the sandbox are separate processes with their usual limits. Between them
// is toxiproxy, whose faults begin and end at random. The sandbox itself makes other
// faults, before and after it has carried out a call. With -signals, the server is also
// stopped at random moments by SIGTERM and SIGKILL, and started again.
//
// The exit code is 1 if a message was lost or duplicated, or a caller got a wrong response.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

type options struct {
	duration time.Duration
	callers  int
	seed     uint64
	signals  bool
	race     bool
}

func main() {
	var o options
	flag.DurationVar(&o.duration, "for", 20*time.Second, "how long messages are sent")
	flag.IntVar(&o.callers, "callers", 50, "callers that send at the same time")
	flag.Uint64Var(&o.seed, "seed", 0, "begins the random numbers; 0 is any")
	flag.BoolVar(&o.signals, "signals", false, "end the server again and again by SIGTERM and SIGKILL")
	flag.BoolVar(&o.race, "race", false, "build the server with the race detector")
	flag.Parse()
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, o options) (err error) {
	folder, err := os.MkdirTemp("", "faults")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(folder)
		} else {
			fmt.Fprintln(os.Stderr, "faults: the server's log is in", folder)
		}
	}()
	binary, err := build(ctx, folder, o.race)
	if err != nil {
		return err
	}
	discord, err := startDiscord(ctx, binary)
	if err != nil {
		return err
	}
	defer discord.end()
	channels, err := discord.addChannels(ctx, o.callers)
	if err != nil {
		return err
	}
	net, err := newNetwork(discord.address)
	if err != nil {
		return err
	}
	defer net.close()
	server := &server{binary: binary, logs: folder, token: discord.world.Token, discord: net.address()}
	if err := server.start(ctx); err != nil {
		return err
	}
	defer server.kill()

	began := time.Now()
	books := newLedger()
	callers := newCallers(server.address, books, channels, discord.world.Users)
	faulty, heal := context.WithTimeout(ctx, o.duration)
	defer heal()
	var working, breaking sync.WaitGroup
	var signals map[string]int
	var failure error // of the processes; written before breaking ends
	if err := discord.injectFaults(ctx); err != nil {
		return err
	}
	breaking.Go(func() { net.breakAtRandom(faulty, rand.New(rand.NewPCG(o.seed, 1))) })
	if o.signals {
		breaking.Go(func() { signals, failure = server.endAtRandom(faulty, rand.New(rand.NewPCG(o.seed, 2))) })
	} else {
		breaking.Go(func() { failure = server.mustLive(faulty) })
	}
	for n := range o.callers {
		working.Go(func() { callers.send(ctx, faulty, n, rand.New(rand.NewPCG(o.seed, uint64(100+n)))) })
	}
	breaking.Wait()
	struck, err := discord.removeFaults(ctx)
	if err != nil {
		return err
	}
	working.Wait()
	took := time.Since(began)
	// What is still under way for callers who left ends with the server.
	if err := errors.Join(failure, server.terminate()); err != nil {
		return err
	}
	stored, deduplicated, err := discord.contents(ctx)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "%d messages in %v, seed %d\n", books.len(), took.Round(time.Second), o.seed)
	_, _ = fmt.Fprintf(out, "faults of the network: %s\n", counts(net.struck))
	_, _ = fmt.Fprintf(out, "faults of Discord: %s; %d tries answered with the stored message\n", counts(struck), deduplicated)
	if o.signals {
		_, _ = fmt.Fprintf(out, "signals: %s\n", counts(signals))
	}
	return books.judge(out, stored, o.signals)
}

// build makes discordproxyserver.
func build(ctx context.Context, folder string, race bool) (binary string, err error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "discordproxy").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	binary = filepath.Join(folder, "discordproxyserver")
	args := []string{"build", "-o", binary}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./cli/discordproxyserver")...)
	cmd.Dir, cmd.Stderr = strings.TrimSpace(string(root)), os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build the server: %w", err)
	}
	return binary, nil
}
