// Package clienttest runs a Discord Proxy with a sandbox in place of Discord, for tests
// of programs that use package client.
package clienttest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"discordproxy/client"
	"discordproxy/discord/sandbox"

	pb "discordproxy/gen/discord_api"
)

// Proxy is a running proxy.
type Proxy struct {
	*client.Client
	// Address is the address at which the proxy listens.
	Address string
	// Discord is the sandbox. World returns the IDs of its users and channels,
	// Messages the messages that were sent. InjectFault and SetLatency simulate
	// failures and delays.
	Discord *sandbox.Sandbox

	closers []func()
}

// Start starts a proxy that runs until the test ends. The options are those of its
// client.
func Start(t testing.TB, opts ...client.Option) *Proxy {
	t.Helper()
	p, err := New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// patience limits each wait. It is long because it is reached only if something has
// failed.
const patience = time.Minute

// New starts a proxy that runs until Close is called, for programs other than tests.
// When New returns, the proxy accepts calls and is connected to the gateway, so that
// no event is missed.
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
	folder, err := os.MkdirTemp("", "clienttest")
	if err != nil {
		return err
	}
	p.closers = append(p.closers, func() { _ = os.RemoveAll(folder) })
	token := p.Discord.World().Token
	if err := p.serve(
		"--token", token, "--discord-api-url", discord, "--global-rate-limit", "0",
		"--log-file-path", folder, "--data", filepath.Join(folder, "data"),
	); err != nil {
		return err
	}
	if p.Client, err = client.New(p.Address, opts...); err != nil {
		return err
	}
	p.closers = append(p.closers, p.Client.Close)
	return p.ready()
}

// ready waits until the proxy accepts calls and is connected to the gateway.
func (p *Proxy) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.New(p.Address, client.WithRetries(math.MaxInt))
	if err != nil {
		return err
	}
	p.closers = append(p.closers, c.Close) // not yet, while its stream may still end
	if _, err := c.GetCurrentUser(ctx, new(pb.GetCurrentUserRequest)); err != nil {
		return fmt.Errorf("the proxy takes no calls: %w", err)
	}
	// From the beginning, since the connection may be older than the subscription.
	all := &pb.SubscribeEventsRequest{After: new(pb.EventPosition)}
	for response, err := range client.All(c.SubscribeEvents(ctx, all)) {
		if err != nil {
			return fmt.Errorf("the proxy does not connect to the gateway: %w", err)
		}
		for _, event := range response.GetEvents() {
			if event.GetGatewayState().GetState() == pb.Event_GatewayState_CONNECTED {
				cancel() // the end of the loop waits for the end of the stream
				return nil
			}
		}
	}
	return errors.New("the proxy does not connect to the gateway")
}

// Close stops the client, the proxy and the sandbox.
func (p *Proxy) Close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		p.closers[i]()
	}
}
