package server_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"discordproxy/server"

	pb "discordproxy/gen/discord_api"
)

// logTo has a server log to a buffer.
func logTo(log *lockedBuffer) func(*server.Config) {
	return func(c *server.Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) }
}

// TestReloadOfFollower: a server that follows keeps its token if it is reloaded with one
// that Discord refuses, and can lead with it.
func TestReloadOfFollower(t *testing.T) {
	f := newFleet(t)
	leader := f.join(t)
	within(t, leader.ready)
	log := new(lockedBuffer)
	follower, srv := f.start(t, logTo(log))
	within(t, follower.ready)
	for token, want := range map[string]string{
		f.config.Token + "x":      "401",
		f.config.Token + "\u00e4": "invalid character",
	} {
		c := f.config
		c.Token = token
		if err := srv.Reload(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), token) {
			t.Errorf("a reload with a bad token: %v, want %s", err, want)
		}
	}
	if n := strings.Count(log.String(), "failed to reload the bot token; keeping the previous one"); n != 2 {
		t.Errorf("%d lines about failed reloads in\n%s", n, log)
	}
	if err := srv.Reload(t.Context(), f.config); err != nil {
		t.Errorf("a reload with the same token: %v", err)
	}
	leader.stop()
	<-leader.done // else it may still answer the call
	within(t, func() error {
		_, err := follower.GetCurrentUser(context.WithoutCancel(t.Context()), new(pb.GetCurrentUserRequest))
		return err
	})
	if !strings.Contains(log.String(), "acquired the lease") {
		t.Errorf("the follower does not lead:\n%s", log)
	}
}

// TestFollowerWithRefusedToken: a server whose token Discord refuses says so while it
// follows, and leaves the bot to others that could lead it.
func TestFollowerWithRefusedToken(t *testing.T) {
	for name, several := range map[string]bool{"one bot": false, "several": true} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			if several {
				f.config.Token, f.config.Bots = "", []server.BotConfig{addBot(t, f.sb, "first"), addBot(t, f.sb, "second")}
			}
			leader := f.join(t)
			within(t, leader.ready)
			log := new(lockedBuffer)
			follower := f.join(t, logTo(log), wrongToken)
			within(t, follower.ready)
			within(t, func() error {
				if !strings.Contains(log.String(), "this server cannot lead the bot") {
					return errEarly
				}
				return nil
			})
			if text := log.String(); several && strings.Contains(text, "cannot lead the bot\" bot=second") || strings.Contains(text, f.config.Token+"x") && !several {
				t.Errorf("the log:\n%s", text)
			}
			call := func(r *running) error {
				_, err := r.GetCurrentUser(context.WithoutCancel(t.Context()), new(pb.GetCurrentUserRequest))
				return err
			}
			within(t, func() error { return call(follower) })
			leader.stop()
			<-leader.done
			within(t, func() error { // it has seen that the lease is free
				if _, text := follower.get("/readyz"); !strings.Contains(text, "no server leads the bot") {
					return errors.New(text)
				}
				return nil
			})
			third := f.join(t)
			within(t, third.ready)
			within(t, func() error { return call(third) })
			within(t, func() error { return call(follower) })
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "acquired the lease") && !strings.Contains(line, "bot=second") {
					t.Errorf("it led: %s", line)
				}
			}
		})
	}
}

// wrongToken gives a server a token of its first bot that Discord refuses.
func wrongToken(c *server.Config) {
	if len(c.Bots) == 0 {
		c.Token += "x"
		return
	}
	c.Bots = slices.Clone(c.Bots)
	c.Bots[0].Token += "x"
}

// TestLeaderWithRefusedToken: a server with a list of bots hands over one whose token Discord
// refuses, as soon as another server could lead it. A list of one bot has nothing to balance.
func TestLeaderWithRefusedToken(t *testing.T) {
	f := newFleet(t)
	f.config.Token, f.config.Bots = "", []server.BotConfig{addBot(t, f.sb, "first")}
	log := new(lockedBuffer)
	wrong := f.join(t, logTo(log), wrongToken)
	within(t, func() error {
		if !strings.Contains(log.String(), "Discord refused the bot token") {
			return errEarly
		}
		return nil
	})
	right := f.join(t)
	for _, r := range []*running{wrong, right} {
		within(t, func() error {
			_, err := r.GetCurrentUser(t.Context(), new(pb.GetCurrentUserRequest))
			return err
		})
	}
}
