package test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"discordproxy/client"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
)

// severalBots writes the configuration of servers with the bots first and second, which
// may write in the world's channels.
func severalBots(t *testing.T, sb *sandbox.Sandbox) (config string) {
	t.Helper()
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	text := "discord-api-url: " + discord.URL + "/api\nbots:\n"
	for _, name := range []string{"first", "second"} {
		text += fmt.Sprintf("- {name: %s, token: %s}\n", name, proxytest.AddBot(t, sb, name))
	}
	config = filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

// clientOf returns a client of a bot, when the bot can be used.
func clientOf(t *testing.T, address, bot string) *client.Client {
	t.Helper()
	c, err := client.New(address, client.WithBot(bot))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for deadline := time.Now().Add(proxytest.Patience); ; time.Sleep(20 * time.Millisecond) {
		user, err := c.GetCurrentUser(t.Context(), new(pb.GetCurrentUserRequest))
		if err == nil && user.GetUser().GetUsername() == bot {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatalf("bot %s is %s: %v", bot, user.GetUser().GetUsername(), err)
		}
	}
}

// TestBotsCrash: what several bots have in their outboxes survives a crash, apart from each
// other, even under the same names.
func TestBotsCrash(t *testing.T) {
	t.Parallel()
	const messages = 12
	sb := sandbox.New(sandbox.Config{})
	channel := sb.World().General
	sb.SetLimit(sandbox.Limit{Name: "send", Routes: []string{"POST /channels/{channel_id}/messages"}, Limit: 3, Window: time.Second})
	config, data := severalBots(t, sb), t.TempDir()
	start := func() *proxytest.Process {
		return proxytest.StartProcess(t, nil, "--sandbox=false", "--config", config, "--data", data)
	}
	p := start()
	for _, bot := range []string{"first", "second"} {
		c := clientOf(t, p.Address, bot)
		for i := range messages {
			_, err := c.Enqueue(t.Context(), &pb.EnqueueRequest{DeliveryId: fmt.Sprint(i), Call: &pb.EnqueueRequest_SendChannelMessage{
				SendChannelMessage: &pb.SendChannelMessageRequest{ChannelId: uint64(channel), Content: fmt.Sprintf("%s %d", bot, i)},
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.Cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = p.Cmd.Wait()
	if n := len(sb.Messages(channel)); n >= 2*messages {
		t.Fatalf("all %d messages were sent before the crash", n)
	}
	start()
	sent := make(map[string]int)
	for deadline := time.Now().Add(proxytest.Patience); len(sent) < 2*messages && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		clear(sent)
		for _, m := range sb.Messages(channel) {
			sent[m.Content]++
			if bot, _, _ := strings.Cut(m.Content, " "); m.Author.Username != bot {
				t.Fatalf("%s wrote %q", m.Author.Username, m.Content)
			}
		}
	}
	if len(sent) != 2*messages {
		t.Errorf("%d of %d messages were sent", len(sent), 2*messages)
	}
	for content, n := range sent {
		if n != 1 {
			t.Errorf("%q was sent %d times", content, n)
		}
	}
}

// TestBotsDoNotWaitForEachOther: a bot whose calls wait for its limits does not delay those
// of another bot of the server.
func TestBotsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{})
	channel := uint64(sb.World().General)
	sb.SetLimit(sandbox.Limit{Name: "send", Routes: []string{"POST /channels/{channel_id}/messages"}, Limit: 1, Window: time.Hour})
	p := proxytest.StartProcess(t, nil, "--sandbox=false", "--no-data", "--max-queue", "10", "--config", severalBots(t, sb))
	first, second := clientOf(t, p.Address, "first"), clientOf(t, p.Address, "second")
	for range 20 { // more than fit into the queue of a bot
		go func() {
			_, _ = first.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: channel, Content: "first"})
		}()
	}
	for deadline := time.Now().Add(proxytest.Patience); ; time.Sleep(20 * time.Millisecond) {
		status, err := first.GetRateLimitStatus(t.Context(), new(pb.GetRateLimitStatusRequest))
		if err == nil && status.GetWaiting() == 10 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d calls wait: %v", status.GetWaiting(), err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), proxytest.Patience)
	defer cancel()
	if _, err := second.SendChannelMessage(ctx, &pb.SendChannelMessageRequest{ChannelId: channel, Content: "second"}); err != nil {
		t.Errorf("the other bot: %v", err)
	}
	if status, err := second.GetRateLimitStatus(ctx, new(pb.GetRateLimitStatusRequest)); err != nil || status.GetWaiting() != 0 {
		t.Errorf("%d calls of the other bot wait: %v", status.GetWaiting(), err)
	}
}
