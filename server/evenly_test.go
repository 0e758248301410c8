//go:build unix

package server_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/store/storetest"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// TestBotsEvenly: three servers as processes lead two of six bots each. When one is stopped,
// the other two share its bots, and when it is back, only two bots move. No call fails.
func TestBotsEvenly(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	configuration := filepath.Join(t.TempDir(), "config.yaml")
	text := "bots:\n"
	var names []string
	for i := range 6 {
		b := addBot(t, sb, fmt.Sprint("bot", i))
		names = append(names, b.Name)
		text += fmt.Sprintf("- {name: %s, token: %s}\n", b.Name, b.Token)
	}
	if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address := storetest.Database(t)
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()

	// as makes a client name a bot.
	as := func(bot string) connect.ClientOption {
		return connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
			return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
				req.Header().Set("Discord-Bot", bot)
				return next(ctx, req)
			}
		}))
	}
	var all rotation
	start := func() *process {
		port := proxytest.FreeAddress(t)
		_, number, _ := strings.Cut(port, ":")
		p := startProcess(t, "--config", configuration, "--discord-api-url", discord.URL+"/api", "--database", address,
			"--no-dashboard", "--no-gateway", "--advertise", port, "--port", number)
		p.serves(t)
		go func() { // what it prints is read, so that it never waits for that
			for range p.lines {
			}
		}()
		all.add(p.address)
		return p
	}
	// even waits until n servers lead the same number of bots each, and returns how often a
	// bot has got a leader.
	even := func(n int) (moves int) {
		t.Helper()
		var last string
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
			rows, err := db.QueryContext(t.Context(), `SELECT COUNT(*), SUM(l.epoch) FROM leases l JOIN replicas r ON r.id = l.holder
				WHERE l.until_at > extract(epoch FROM clock_timestamp()) * 1000 GROUP BY r.process ORDER BY r.process`)
			if err != nil {
				t.Fatal(err)
			}
			var counts []int
			moves = 0
			for rows.Next() {
				var count, epochs int
				if err := rows.Scan(&count, &epochs); err != nil {
					t.Fatal(err)
				}
				counts, moves = append(counts, count), moves+epochs
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			if len(counts) == n && slices.Min(counts) == len(names)/n && slices.Max(counts) == len(names)/n {
				return moves
			}
			if last = fmt.Sprint(counts); time.Now().After(deadline) || t.Failed() {
				t.Fatalf("%d servers lead %s bots", n, last)
			}
		}
	}
	// late reports whether a server did not renew a lease in time, because the machine had
	// no time for it. Then, more bots move.
	late := func() bool {
		t.Helper()
		var n int
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM leases WHERE reason = 'expired'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
	processes := []*process{start(), start(), start()}
	channel := uint64(sb.World().General)
	for _, name := range names {
		c := discordapiconnect.NewDiscordApiClient(&http.Client{Transport: all.transport(t)}, "http://localhost", as(name))
		within(t, func() error {
			_, err := c.GetCurrentUser(t.Context(), new(pb.GetCurrentUserRequest))
			return err
		})
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	going := context.WithoutCancel(ctx)
	var calling sync.WaitGroup
	var calls atomic.Int64
	repeat := func(what string, call func(n int) error) {
		calling.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := call(n); err != nil {
					t.Errorf("%s %d: %v", what, n, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	for i, name := range names {
		option := []connect.ClientOption{connect.WithGRPC(), connect.WithGRPCWeb(), connect.WithProtoJSON()}[i%3]
		c := discordapiconnect.NewDiscordApiClient(&http.Client{Transport: all.transport(t)}, "http://localhost", option, as(name))
		repeat("message of "+name, func(n int) error {
			content := fmt.Sprint(name, " ", n)
			_, err := c.SendChannelMessage(going, &pb.SendChannelMessageRequest{ChannelId: channel, Content: content})
			return err
		})
		over := &http.Client{Transport: all.transport(t)}
		repeat("plain request of "+name, func(int) error {
			req, err := http.NewRequestWithContext(going, http.MethodGet, "http://localhost/bots/"+name+"/api/v10/users/@me", nil)
			if err != nil {
				return err
			}
			resp, err := over.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || !strings.Contains(string(text), name) {
				return fmt.Errorf("%s: %s", resp.Status, text)
			}
			time.Sleep(50 * time.Millisecond) // this machine does other things, too
			return nil
		})
	}
	began := time.Now()
	before := even(3)
	t.Logf("three servers lead two bots each after %v, and bots have got a leader %d times", time.Since(began).Round(time.Second), before)

	all.remove(processes[0].address)
	began = time.Now()
	processes[0].signal(t, syscall.SIGTERM)
	receive(t, processes[0].ended)
	two := even(2)
	t.Logf("two servers lead three bots each after %v", time.Since(began).Round(time.Second))
	if two != before+2 && !late() {
		t.Errorf("%d bots have got another leader after a server with two has ended", two-before)
	}

	began = time.Now()
	start()
	three := even(3)
	t.Logf("three servers lead two bots each after %v", time.Since(began).Round(time.Second))
	if three != two+2 && !late() {
		t.Errorf("%d bots have got another leader after a server has started", three-two)
	}
	var reasons []string
	rows, err := db.QueryContext(t.Context(), "SELECT reason FROM leases ORDER BY since_at DESC LIMIT 2")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var reason string
		if err := rows.Scan(&reason); err != nil {
			t.Fatal(err)
		}
		reasons = append(reasons, reason)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || !slices.Equal(reasons, []string{"balanced", "balanced"}) && !late() {
		t.Errorf("the last leaders have got their bots because of %q, %v", reasons, err)
	}
	served := calls.Load()
	within(t, func() error {
		if calls.Load() < served+12 && !t.Failed() {
			return errors.New("the calls do not go on")
		}
		return nil
	})
	cancel()
	calling.Wait()
	t.Logf("%d calls", calls.Load())
}
