// Package clienttest runs a Discord Proxy with a pretend Discord, for the tests
// of programs that use package client.
package clienttest

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"discordproxy/client"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
)

// Proxy is a running proxy.
type Proxy struct {
	*client.Client
	// Address is where it listens.
	Address string
	// Discord is what it takes for Discord. World tells the ids of users and
	// channels, Messages what was sent, InjectFault and SetLatency disturb it.
	Discord *sandbox.Sandbox

	closers []func()
}

// Start runs a proxy until the test ends. Its client has the options.
func Start(t testing.TB, opts ...client.Option) *Proxy {
	t.Helper()
	p, err := New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// New runs a proxy until Close is called, for programs that are no tests. It
// takes calls when New returns.
func New(opts ...client.Option) (*Proxy, error) {
	p := &Proxy{Discord: sandbox.New(sandbox.Config{Unlimited: true})}
	discord := httptest.NewServer(p.Discord)
	p.closers = append(p.closers, p.Discord.Close, discord.Close)
	if err := p.start(discord.URL+"/api", opts); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Proxy) start(discord string, opts []client.Option) error {
	logs, err := os.MkdirTemp("", "clienttest")
	if err != nil {
		return err
	}
	p.closers = append(p.closers, func() { _ = os.RemoveAll(logs) })
	proxy, err := proxytest.Run("--token", p.Discord.World().Token, "--discord-api-url", discord, "--global-rate-limit", "0", "--log-file-path", logs)
	if err != nil {
		return err
	}
	p.Address = proxy.Address
	p.closers = append(p.closers, func() { proxy.Stop() })
	if p.Client, err = client.New(p.Address, opts...); err != nil {
		return err
	}
	p.closers = append(p.closers, p.Client.Close)

	patient, err := client.New(p.Address, client.WithRetries(100), client.WithTimeout(time.Minute))
	if err != nil {
		return err
	}
	defer patient.Close()
	if _, err := patient.GetCurrentUser(context.Background(), new(pb.GetCurrentUserRequest)); err != nil {
		return fmt.Errorf("the proxy takes no calls: %w", err)
	}
	return nil
}

// Close ends the client, the proxy and the pretend Discord.
func (p *Proxy) Close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		p.closers[i]()
	}
}
