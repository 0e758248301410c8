//go:build unix

package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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

// rotation is the addresses that new connections are made to, as a load balancer would.
type rotation struct {
	mu        sync.Mutex
	addresses []string
	next      int
}

func (r *rotation) add(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addresses = append(r.addresses, address)
}

func (r *rotation) remove(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addresses = slices.DeleteFunc(r.addresses, func(a string) bool { return a == address })
}

// transport returns one with connections of its own.
func (r *rotation) transport(t *testing.T) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	over := &http.Transport{Protocols: protocols, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		r.mu.Lock()
		address := r.addresses[r.next%len(r.addresses)]
		r.next++
		r.mu.Unlock()
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	t.Cleanup(over.CloseIdleConnections)
	return over
}

// TestRollingRestart: three servers as processes are replaced one after the other, while
// calls wait for limits at each of them. No call fails, and each message is sent once.
func TestRollingRestart(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	address := storetest.Database(t)
	get := func(p *process) error {
		_, err := p.client.GetCurrentUser(t.Context(), new(pb.GetCurrentUserRequest))
		return err
	}
	var all rotation
	start := func() *process {
		port := proxytest.FreeAddress(t)
		_, number, _ := strings.Cut(port, ":")
		p := startProcess(t, "--token", sb.World().Token, "--discord-api-url", discord.URL+"/api", "--database", address,
			"--no-dashboard", "--advertise", port, "--port", number)
		p.serves(t)
		within(t, func() error { return get(p) })
		go func() { // what it prints is read, so that it never waits for that
			for range p.lines {
			}
		}()
		all.add(p.address)
		return p
	}
	processes := []*process{start(), start(), start()}

	channel := uint64(sb.World().General)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	going := context.WithoutCancel(ctx)
	var calling sync.WaitGroup
	var sent, read atomic.Int64
	client := func(n int) discordapiconnect.DiscordApiClient {
		option := []connect.ClientOption{connect.WithGRPC(), connect.WithGRPCWeb(), connect.WithProtoJSON()}[n%3]
		return discordapiconnect.NewDiscordApiClient(&http.Client{Transport: all.transport(t)}, "http://localhost", option)
	}
	repeat := func(what string, count *atomic.Int64, call func(n int) error) {
		calling.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := call(n); err != nil {
					t.Errorf("%s %d: %v", what, n, err)
					return
				}
				count.Add(1)
			}
		})
	}
	for i := range 3 { // most of them wait
		c := client(i)
		repeat(fmt.Sprint("message ", i), &sent, func(n int) error {
			_, err := c.SendChannelMessage(going, &pb.SendChannelMessageRequest{ChannelId: channel, Content: fmt.Sprint("message ", i, " ", n)})
			return err
		})
	}
	for i := range 2 {
		over := &http.Client{Transport: all.transport(t)}
		repeat(fmt.Sprint("plain ", i), &sent, func(n int) error {
			body := strings.NewReader(fmt.Sprintf(`{"content": "plain %d %d"}`, i, n))
			req, err := http.NewRequestWithContext(going, http.MethodPost, fmt.Sprintf("http://localhost/api/v10/channels/%d/messages", channel), body)
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := over.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s", resp.Status, text)
			}
			return nil
		})
	}
	for i := range 3 {
		c := client(i)
		repeat(fmt.Sprint("read ", i), &read, func(int) error {
			_, err := c.GetCurrentUser(going, new(pb.GetCurrentUserRequest))
			return err
		})
	}
	more := func() {
		t.Helper()
		messages, reads := sent.Load()+3, read.Load()+6
		within(t, func() error {
			if (sent.Load() < messages || read.Load() < reads) && !t.Failed() {
				return errors.New("the calls do not go on")
			}
			return nil
		})
	}
	for _, p := range processes {
		more()
		all.remove(p.address)
		began := time.Now()
		p.signal(t, syscall.SIGTERM)
		receive(t, p.ended)
		t.Logf("a server ended after %v, with code %d", time.Since(began).Round(time.Millisecond), p.cmd.ProcessState.ExitCode())
		start()
	}
	more()
	cancel()
	calling.Wait()
	contents := make(map[string]int)
	stream, err := client(0).ListChannelMessages(t.Context(), &pb.ListChannelMessagesRequest{ChannelId: channel, Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for stream.Receive() {
		if text := stream.Msg().GetMessage().GetContent(); strings.HasPrefix(text, "message ") || strings.HasPrefix(text, "plain ") {
			contents[text]++
		}
	}
	if stream.Err() != nil {
		t.Fatal(stream.Err())
	}
	for content, n := range contents {
		if n > 1 {
			t.Errorf("%q was sent %d times", content, n)
		}
	}
	if got := int64(len(contents)); got != sent.Load() {
		t.Errorf("Discord got %d messages, %d were reported as sent", got, sent.Load())
	}
	t.Logf("%d messages, %d reads", sent.Load(), read.Load())
}
