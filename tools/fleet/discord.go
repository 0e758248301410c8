package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"discordproxy/discord/sandbox"
)

// discord is the sandbox, and what it sees of the servers.
type discord struct {
	sandbox  *sandbox.Sandbox
	server   *httptest.Server
	channels []sandbox.ID
	bots     []*bot

	mu        sync.Mutex
	processes map[int]bool   // servers that run
	failovers int            // how often another process began to send
	overlaps  int            // messages from a process just after another one began to send
	limited   map[string]int // 429s by scope
}

// bot is a bot, as its messages show it.
type bot struct {
	name, token string            // the name is empty for the only bot
	sender      int               // the process that leads
	replaced    map[int]time.Time // when another process began to send after one
}

// botOf returns the number of the bot that a caller uses.
func (d *discord) botOf(caller int) int { return caller % len(d.bots) }

// soonest is the shortest time after which a server may lead again. It cannot do so
// before the next leader has ended, and there is more time between two disturbances.
const soonest = 2 * time.Second

type senderKey struct{}

func newDiscord(o options) (*discord, error) {
	d := &discord{
		sandbox: sandbox.New(sandbox.Config{
			Latency: sandbox.RoundTrip(30 * time.Millisecond), Seed: o.seed, MaxNonces: 1 << 20, MaxMessages: 1 << 20,
		}),
		processes: make(map[int]bool), limited: make(map[string]int),
	}
	names := []string{"first", "second", "third"}
	if o.older != "" { // whose servers may have one bot
		names = []string{""}
	}
	for _, name := range names {
		id := d.sandbox.AddUser(sandbox.User{Username: name, Bot: true})
		token := base64.RawStdEncoding.EncodeToString([]byte(id.String())) + ".fleet." + name
		if err := errors.Join(d.sandbox.AddToken("Bot "+token, id), d.sandbox.AddMember(d.sandbox.World().Guild, id)); err != nil {
			return nil, err
		}
		d.bots = append(d.bots, &bot{name: name, token: token, replaced: make(map[int]time.Time)})
	}
	for i := range o.callers + len(o.packages()) {
		id, err := d.sandbox.AddChannel(sandbox.Channel{GuildID: d.sandbox.World().Guild, Name: fmt.Sprintf("caller-%d", i)})
		if err != nil {
			return nil, err
		}
		d.channels = append(d.channels, id)
	}
	d.server = httptest.NewUnstartedServer(http.HandlerFunc(d.serve))
	d.server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, senderKey{}, d.processOf(c))
	}
	d.server.Start()
	return d, nil
}

func (d *discord) close() {
	d.server.CloseClientConnections()
	d.server.Close()
	d.sandbox.Close()
}

func (d *discord) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/messages") {
		process, _ := r.Context().Value(senderKey{}).(int)
		for _, b := range d.bots {
			if r.Header.Get("Authorization") == "Bot "+b.token {
				d.sent(process, b)
			}
		}
	}
	d.sandbox.ServeHTTP(&watched{w, d}, r)
}

// path begins the paths of requests for the bot.
func (b *bot) path() string {
	if b.name == "" {
		return ""
	}
	return "/bots/" + b.name
}

// sent notes that a process sends a message of a bot. Once another one has begun to send,
// it must not, until it leads again.
func (d *discord) sent(process int, b *bot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case process == 0, process == b.sender: // 0 has ended meanwhile
	case time.Since(b.replaced[process]) < soonest:
		d.overlaps++
	default:
		if b.sender != 0 {
			b.replaced[b.sender] = time.Now()
			d.failovers++
		}
		b.sender = process
	}
}

// leader returns the process that leads a bot, as its messages show.
func (d *discord) leader(b *bot) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return b.sender
}

// runs notes whether a process is a server.
func (d *discord) runs(process int, does bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if does {
		d.processes[process] = true
		return
	}
	delete(d.processes, process)
}

// watched notes why calls are refused.
type watched struct {
	http.ResponseWriter
	discord *discord
}

// Unwrap serves http.ResponseController.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *watched) WriteHeader(status int) {
	if status == http.StatusTooManyRequests {
		w.discord.mu.Lock()
		w.discord.limited[w.Header().Get("X-Ratelimit-Scope")]++
		w.discord.mu.Unlock()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Hijack serves the gateway's websockets.
func (w *watched) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// processOf returns the server that has made a connection, 0 if that cannot be said.
func (d *discord) processOf(c net.Conn) int {
	_, port, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return 0
	}
	inode := inodeOf(port)
	if inode == "" {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for process := range d.processes {
		folder := fmt.Sprintf("/proc/%d/fd", process)
		files, err := os.ReadDir(folder)
		if err != nil {
			continue
		}
		for _, file := range files {
			if to, err := os.Readlink(folder + "/" + file.Name()); err == nil && to == "socket:["+inode+"]" {
				return process
			}
		}
	}
	return 0
}

// inodeOf returns the socket with a local port of TCP, as Linux names it.
func inodeOf(port string) string {
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		return ""
	}
	suffix := fmt.Sprintf(":%04X", number)
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) > 9 && strings.HasSuffix(fields[1], suffix) {
				return fields[9]
			}
		}
	}
	return ""
}
