// Command fleet runs three servers with three bots on one PostgreSQL database against the
// sandbox, disturbs them at random, and compares the answers of callers with what the
// sandbox has.
//
// The servers are processes. Callers, one of them with the Go package and others with those
// of other languages if they are there, use a server at random for each call. One after the
// other, the leader of a bot is killed or paused, a server is restarted, PostgreSQL is
// restarted or killed, and toxiproxy delays, slows or cuts the way of a server to the
// database or to the other servers.
//
// With -older, the servers have one bot, begin as that binary of an earlier version, and
// are first upgraded one after the other. Later they are downgraded and upgraded again, and some
// run as one version and some as the other, unless the older version cannot use the
// newer one's schema.
//
// The exit code is 1 when a message was lost or doubled, a caller got a wrong answer, an
// order was not kept, an event was missed, two servers sent for a bot, or Discord had to
// refuse more calls than a failover explains.
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
	older    string
	only     string
	python   string
	node     string
}

func main() {
	var o options
	flag.DurationVar(&o.duration, "for", 20*time.Minute, "how long the servers are disturbed")
	flag.IntVar(&o.callers, "callers", 24, "callers, each with a channel of its own")
	flag.Uint64Var(&o.seed, "seed", 0, "begins the random numbers; 0 is any")
	flag.StringVar(&o.older, "older", "", "path of the server's binary of an earlier version, to upgrade from")
	flag.StringVar(&o.only, "only", "", "the kinds of disturbances whose names contain this, such as upgrade")
	flag.StringVar(&o.python, "python", "", "interpreter with grpcio and protobuf: the Python package of this repository then calls, too")
	flag.StringVar(&o.node, "node", "", "folder of the built TypeScript package, which then calls, too")
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
	_, _ = fmt.Fprintf(out, "seed %d\n", o.seed)
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
	db, err := newPostgres(ctx)
	if err != nil {
		return err
	}
	defer db.remove(ctx)
	discord, err := newDiscord(o)
	if err != nil {
		return err
	}
	defer discord.close()
	f := &fleet{binary: binary, older: o.older, folder: folder, only: o.only, discord: discord, db: db}
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
	var kinds []string
	if o.older != "" {
		kinds = []string{"upgrade"}
	}
	for time.Since(began) < o.duration && ctx.Err() == nil {
		if len(kinds) == 0 {
			kinds = f.order(ctx, rng)
		}
		if len(kinds) == 0 {
			return fmt.Errorf("no kind of disturbance contains %q", o.only)
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
