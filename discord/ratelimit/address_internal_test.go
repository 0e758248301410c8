package ratelimit

import (
	"testing"
	"time"
)

// TestHearShorterBan: what a limiter hears of a ban never ends its own earlier.
func TestHearShorterBan(t *testing.T) {
	now := instant(time.Hour)
	for _, later := range []time.Duration{2 * time.Second, time.Minute, 2 * time.Minute, time.Hour} {
		c := newCore(Config{InvalidRequestLimit: 100})
		c.ban = ban{active: true, met: now, until: now.add(70 * time.Second)}
		c.hear(finding{ban: ban{active: true, met: now, until: now.add(time.Second)}}, later, now)
		if c.ban.until < now.add(70*time.Second) {
			t.Errorf("%v later than others: the ban ends in %v", later, c.ban.until.sub(now))
		}
	}
}
