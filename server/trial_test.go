package server_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"discordproxy/server"

	pb "discordproxy/gen/discord_api"
)

// joinAs starts another server with a configuration, and returns it, the server itself and
// its log.
func (f *fleet) joinAs(t *testing.T, c server.Config) (*running, *server.Server, *lockedBuffer) {
	t.Helper()
	lis, err := server.Listen(t.Context(), []string{"127.0.0.1"}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	log := new(lockedBuffer)
	c.Advertise, c.Logger = lis.Addr().String(), slog.New(slog.NewTextHandler(log, nil))
	srv, err := server.New(c)
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, srv, lis)
	t.Cleanup(func() {
		r.stop()
		<-r.done
		r.over.CloseIdleConnections()
	})
	return r, srv, log
}

// TestReloadOfFollower: a server that follows keeps its token if it is reloaded with one
// that Discord refuses, and can lead with it.
func TestReloadOfFollower(t *testing.T) {
	f := newFleet(t)
	leader := f.join(t)
	within(t, leader.ready)
	follower, srv, log := f.joinAs(t, f.config)
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
			wrong := f.config
			if several {
				first, second := addBot(t, f.sb, "first"), addBot(t, f.sb, "second")
				f.config.Token, f.config.Bots = "", []server.BotConfig{first, second}
				first.Token += "x"
				wrong.Token, wrong.Bots = "", []server.BotConfig{first, second}
			} else {
				wrong.Token += "x"
			}
			leader := f.join(t)
			within(t, leader.ready)
			follower, _, log := f.joinAs(t, wrong)
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
