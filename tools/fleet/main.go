// Command fleet runs three servers with three bots on one PostgreSQL database against the sandbox,
// disturbs them at random, and compares the answers of callers with what the sandbox has.
//
// The servers are processes. Callers use a server at random for each call. One after the
// other, the leader of a bot is killed or paused, a server is restarted, PostgreSQL is restarted or
// killed, and toxiproxy delays, slows or cuts the way of a server to the database or to
// the other servers.
//
// The exit code is 1 when a message was lost or doubled, a caller got a wrong answer, an
// order was not kept, an event was missed, two servers sent for a bot, or Discord had to refuse more
// calls than a failover explains.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"
)

type options struct {
	duration time.Duration
	callers  int
	seed     uint64
}

func main() {
	var o options
	flag.DurationVar(&o.duration, "for", 20*time.Minute, "how long the servers are disturbed")
	flag.IntVar(&o.callers, "callers", 24, "callers, each with a channel of its own")
	flag.Uint64Var(&o.seed, "seed", 0, "begins the random numbers; 0 is any")
	flag.Parse()
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, o options) (err error) {
	fmt.Fprintf(out, "seed %d\n", o.seed)
	folder, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(folder)
		} else {
			fmt.Fprintln(os.Stderr, "fleet: the logs of the servers are in", folder)
		}
	}()
	binary := filepath.Join(folder, "discordproxyserver")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cli/discordproxyserver")
	build.Dir = filepath.Join("..", "..")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the server: %w: %s", err, text)
	}
	db, err := newPostgres()
	if err != nil {
		return err
	}
	defer db.remove()
	discord, err := newDiscord(o)
	if err != nil {
		return err
	}
	defer discord.close()
	f := &fleet{binary: binary, folder: folder, discord: discord, db: db}
	if err := f.configure(); err != nil {
		return err
	}
	defer f.close()
	for i := range f.replicas {
		if f.replicas[i], err = f.newReplica(ctx, i); err != nil {
			return err
		}
	}
	if err := f.serves(ctx, 30*time.Second); err != nil {
		return err
	}
	l := newLoad(f, o)
	if err := l.begin(ctx); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(o.seed, 2)) //nolint:gosec // it need not be secret
	began := time.Now()
	for kinds := order(rng); time.Since(began) < o.duration && ctx.Err() == nil; {
		if len(kinds) == 0 {
			kinds = order(rng)
		}
		if err := f.disturb(ctx, rng, kinds[0], l); err != nil {
			return err
		}
		kinds = kinds[1:]
	}
	if err := l.finish(ctx); err != nil {
		return err
	}
	return l.report(out)
}
