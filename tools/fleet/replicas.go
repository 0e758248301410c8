package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"discordproxy/gen/discord_api/discordapiconnect"

	"connectrpc.com/connect"
	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// fleet is the servers and what lies between them.
type fleet struct {
	binary, folder string
	older          string // the binary of an earlier version, empty if there is none
	only           string // part of the kinds' names
	discord        *discord
	db             *postgres
	replicas       [3]*replica
}

// replica is a place where a server runs, one process after the other.
type replica struct {
	fleet         *fleet
	number        int
	port, address string
	toDB, toPeer  *toxiproxy.Proxy                     // the way to the database, and the one of other servers to this one
	api           []discordapiconnect.DiscordApiClient // of the bots
	outbox        []discordapiconnect.OutboxClient
	log           *os.File
	binary        string // of the next process

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
}

func (f *fleet) newReplica(ctx context.Context, number int) (*replica, error) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // some parts of toxiproxy log by themselves
	links := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &replica{fleet: f, number: number, address: l.Addr().String(), binary: cmp.Or(f.older, f.binary)}
	if err := l.Close(); err != nil {
		return nil, err
	}
	_, r.port, _ = net.SplitHostPort(r.address) // it has one
	r.toDB = toxiproxy.NewProxy(links, fmt.Sprintf("database %d", number), "127.0.0.1:0", f.db.address)
	r.toPeer = toxiproxy.NewProxy(links, fmt.Sprintf("server %d", number), "127.0.0.1:0", r.address)
	if err := errors.Join(r.toDB.Start(), r.toPeer.Start()); err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{
		Protocols: protocols, HTTP2: &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 5 * time.Second},
	}}
	for _, b := range f.discord.bots {
		url := "http://" + r.address + b.path()
		r.api = append(r.api, discordapiconnect.NewDiscordApiClient(client, url, connect.WithGRPC()))
		r.outbox = append(r.outbox, discordapiconnect.NewOutboxClient(client, url, connect.WithGRPC()))
	}
	if r.log, err = os.Create(filepath.Join(f.folder, fmt.Sprintf("server%d.log", number))); err != nil {
		return nil, err
	}
	return r, r.start(ctx)
}

// configure writes the configuration file of all servers.
func (f *fleet) configure() error {
	if f.older != "" {
		return os.WriteFile(f.configuration(), []byte("token: "+f.discord.bots[0].token+"\n"), 0o600)
	}
	text := "bots:\n"
	for _, b := range f.discord.bots {
		text += fmt.Sprintf("- {name: %s, token: %s}\n", b.name, b.token)
	}
	return os.WriteFile(f.configuration(), []byte(text), 0o600)
}

func (f *fleet) configuration() string { return filepath.Join(f.folder, "config.yaml") }

// start starts a process.
func (r *replica) start(ctx context.Context) error {
	_, port, _ := net.SplitHostPort(r.toDB.Listen) // it has one
	cmd := exec.CommandContext(context.WithoutCancel(ctx), r.binary,
		"--config", r.fleet.configuration(), "--discord-api-url", r.fleet.discord.server.URL+"/api",
		"--database", "postgres://test@127.0.0.1:"+port+"/postgres?sslmode=disable",
		"--advertise", r.toPeer.Listen, "--port", r.port, "--no-dashboard", "--log-file-path", r.fleet.folder)
	cmd.Stdout, cmd.Stderr = r.log, r.log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	r.fleet.discord.runs(cmd.Process.Pid, true)
	go func() {
		_ = cmd.Wait() // its log says how it ended
		r.fleet.discord.runs(cmd.Process.Pid, false)
		close(ended)
	}()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cmd, r.ended = cmd, ended
	return nil
}

func (r *replica) process() (pid int, ended chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cmd.Process.Pid, r.ended
}

func (r *replica) signal(s syscall.Signal) {
	pid, ended := r.process()
	select {
	case <-ended:
	default:
		_ = syscall.Kill(pid, s) // it may end just now
	}
}

// again starts a process after the one before has ended.
func (r *replica) again(ctx context.Context) error {
	_, ended := r.process()
	select {
	case <-ended:
		return r.start(ctx)
	case <-time.After(3 * time.Minute):
		return fmt.Errorf("server %d does not end", r.number)
	}
}

func (f *fleet) close() {
	for _, r := range f.replicas {
		if r == nil {
			continue
		}
		if r.cmd != nil {
			r.signal(syscall.SIGKILL)
			_, ended := r.process()
			<-ended
		}
		r.toDB.Stop()
		r.toPeer.Stop()
	}
}

// leader returns the server that has sent last for a bot, else any.
func (f *fleet) leader(b *bot) *replica {
	leader := f.discord.leader(b)
	for _, r := range f.replicas {
		if pid, _ := r.process(); pid == leader {
			return r
		}
	}
	return f.replicas[0]
}

// serves waits until every server is ready, and starts those that have ended.
func (f *fleet) serves(ctx context.Context, within time.Duration) error {
	deadline := time.Now().Add(within)
	for _, r := range f.replicas {
		for ready := 0; ready < 2; {
			_, ended := r.process()
			select {
			case <-ended:
				if err := r.start(ctx); err != nil {
					return err
				}
			default:
			}
			if time.Now().After(deadline) || ctx.Err() != nil {
				return fmt.Errorf("server %d is not ready within %v", r.number, within)
			}
			if ready++; !r.ready(ctx) {
				ready = 0
			}
			sleep(ctx, 100*time.Millisecond)
		}
	}
	return nil
}

// ready reports whether the server can serve calls for every bot.
func (r *replica) ready(ctx context.Context) bool {
	client := http.Client{Timeout: 3 * time.Second}
	for _, b := range r.fleet.discord.bots {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.address+b.path()+"/readyz", nil)
		if err != nil {
			return false
		}
		resp, err := client.Do(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return false
		}
	}
	return true
}

// kinds are what happens to the servers.
var kinds = []string{
	"kill the leader", "restart all", "restart one", "pause the leader", "pause another",
	"database: latency", "database: slow", "database: cut", "database: cut for all",
	"servers: latency", "servers: slow", "servers: cut", "restart PostgreSQL", "kill PostgreSQL",
}

// order returns all kinds at random, with those of two versions if the older one still
// starts.
func (f *fleet) order(ctx context.Context, r *rand.Rand) []string {
	out := slices.Clone(kinds)
	if f.olderStarts(ctx) {
		out = append(out, "downgrade and upgrade", "mix versions")
	}
	out = slices.DeleteFunc(out, func(kind string) bool { return !strings.Contains(kind, f.only) })
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// olderStarts reports whether the older version can use the database, whose schema the
// newer one may have changed.
func (f *fleet) olderStarts(ctx context.Context) bool {
	if f.older == "" {
		return false
	}
	return exec.CommandContext(ctx, f.older, "check", "--offline", "--token", f.discord.bots[0].token,
		"--database", "postgres://test@"+f.db.address+"/postgres?sslmode=disable").Run() == nil
}

// disturb does something of a kind to the fleet, and waits until all servers serve.
func (f *fleet) disturb(ctx context.Context, rng *rand.Rand, kind string, l *load) error {
	leader, other := f.leader(f.discord.bots[rng.IntN(len(f.discord.bots))]), f.replicas[rng.IntN(len(f.replicas))]
	for other == leader {
		other = f.replicas[rng.IntN(len(f.replicas))]
	}
	one := f.replicas[rng.IntN(len(f.replicas))]
	seconds := func(least, most int) time.Duration {
		return time.Duration(least)*time.Second + time.Duration(rng.IntN((most-least)*1000))*time.Millisecond
	}
	began := time.Now()
	var err error
	switch kind {
	case "kill the leader":
		leader.signal(syscall.SIGKILL)
		err = leader.again(ctx)
	case "restart one":
		one.signal(syscall.SIGTERM)
		err = one.again(ctx)
	case "restart all":
		err = f.restart(ctx)
	case "upgrade":
		err = f.restart(ctx, f.binary, f.binary, f.binary)
	case "downgrade and upgrade": // so that each version takes over from the other
		if err = f.restart(ctx, f.older, f.older, f.older); err == nil {
			err = f.restart(ctx, f.binary, f.binary, f.binary)
		}
	case "mix versions":
		one := []string{f.older, f.binary, f.binary}
		rng.Shuffle(len(one), func(i, j int) { one[i], one[j] = one[j], one[i] })
		err = f.restart(ctx, one...)
	case "pause the leader", "pause another":
		r := leader
		if kind == "pause another" {
			r = other
		}
		r.signal(syscall.SIGSTOP)
		sleep(ctx, seconds(10, 20))
		r.signal(syscall.SIGCONT)
	case "database: latency":
		err = poison(ctx, one.toDB, "latency", map[string]int{"latency": 100 + rng.IntN(900)}, seconds(5, 15))
	case "database: slow":
		err = poison(ctx, leader.toDB, "bandwidth", map[string]int{"rate": 2 + rng.IntN(20)}, seconds(5, 15))
	case "database: cut":
		err = cut(ctx, seconds(3, 15), one.toDB)
	case "database: cut for all":
		err = cut(ctx, seconds(3, 15), f.replicas[0].toDB, f.replicas[1].toDB, f.replicas[2].toDB)
	case "servers: latency":
		err = poison(ctx, leader.toPeer, "latency", map[string]int{"latency": 50 + rng.IntN(500)}, seconds(5, 15))
	case "servers: slow":
		err = poison(ctx, leader.toPeer, "bandwidth", map[string]int{"rate": 5 + rng.IntN(20)}, seconds(5, 15))
	case "servers: cut":
		err = cut(ctx, seconds(3, 15), leader.toPeer)
	case "restart PostgreSQL", "kill PostgreSQL":
		if err = f.db.stop(ctx, kind == "kill PostgreSQL"); err == nil {
			sleep(ctx, seconds(0, 8))
			err = f.db.start(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	if err := f.serves(ctx, 90*time.Second); err != nil {
		return fmt.Errorf("after %s: %w", kind, err)
	}
	sleep(ctx, 2*time.Second)
	l.disturbed(kind, began)
	return nil
}

// restart restarts one server after the other, as the binaries given, else as before.
func (f *fleet) restart(ctx context.Context, binaries ...string) error {
	for i, r := range f.replicas {
		if binaries != nil {
			r.binary = binaries[i]
		}
		r.signal(syscall.SIGTERM)
		if err := errors.Join(r.again(ctx), f.serves(ctx, time.Minute)); err != nil {
			return err
		}
	}
	return nil
}

// poison keeps a toxic in a link for a while, in both directions.
func poison(ctx context.Context, p *toxiproxy.Proxy, kind string, attributes map[string]int, d time.Duration) error {
	for _, stream := range []string{"upstream", "downstream"} {
		toxic, err := json.Marshal(map[string]any{"name": stream, "type": kind, "stream": stream, "toxicity": 1, "attributes": attributes})
		if err != nil {
			return err
		}
		if _, err := p.Toxics.AddToxicJson(bytes.NewReader(toxic)); err != nil {
			return err
		}
	}
	sleep(ctx, d)
	p.Toxics.ResetToxics(context.WithoutCancel(ctx))
	return nil
}

// cut takes links away for a while.
func cut(ctx context.Context, d time.Duration, links ...*toxiproxy.Proxy) error {
	for _, p := range links {
		p.Stop()
	}
	sleep(ctx, d)
	var err error
	for _, p := range links {
		err = errors.Join(err, p.Start())
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
