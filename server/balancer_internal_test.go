package server

import (
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/server/internal/store"
)

// TestBalanceWithoutRefused: bots are not handed over to a server whose token for them
// Discord refuses.
func TestBalanceWithoutRefused(t *testing.T) {
	for name, refused := range map[string]bool{"could lead": false, "refused": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bots := []string{"a", "b"}
				b := newBalancer("me", bots)
				for _, bot := range bots {
					b.took(bot, true)
				}
				given := ""
				for began := time.Now(); time.Since(began) < 5*time.Minute && given == ""; time.Sleep(time.Second) {
					now := time.Now()
					for _, bot := range bots {
						b.met(bot, &meeting{at: now, Fleet: store.Fleet{Now: now, Replicas: []store.Replica{
							{ID: "1" + bot, Process: "me", Seen: now, Load: &store.Load{Leads: 2}},
							{ID: "2" + bot, Process: "other", Seen: now, Load: &store.Load{Refused: refused}},
						}}})
					}
					given, _ = b.give(false)
				}
				if (given == "") != refused {
					t.Errorf("handed over %q", given)
				}
			})
		})
	}
}
