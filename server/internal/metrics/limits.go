package metrics

import (
	"time"

	"discordproxy/discord"

	"github.com/prometheus/client_golang/prometheus"
)

// Limits is what the rate limits hold.
type Limits = discord.RateLimits

// limitsCollector reads what waits when it is scraped. Tokens of others and
// routes with their own credentials are summed up with the bot's: there may be
// many of them.
type limitsCollector struct {
	limits func() Limits
	ready  func() error
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

var (
	descReady         = desc("ready", "1 while calls are taken.")
	descQueued        = desc("queue_calls", "Calls that wait for a limit.")
	descQueuedMax     = desc("queue_calls_max", "Calls that may wait.")
	descQueuedBytes   = desc("queue_bytes", "Bytes of the bodies of waiting calls.")
	descQueueBytesMax = desc("queue_bytes_max", "Bytes that the bodies of waiting calls may have.")
	descInFlight      = desc("discord_in_flight", "Requests that Discord has not answered yet.")
	descBuckets       = desc(
		"buckets",
		"Known buckets: idle, busy (calls in flight), waiting (calls wait for them) or blocked (a 429 holds them).",
		"state",
	)
	descDrain        = desc("drain_seconds", "Time until the fullest bucket's queue is empty, by its own limit.")
	descGlobalLimit  = desc("global_limit", "Calls a second that Discord allows the bot, 0 when unlimited.")
	descGlobalUsed   = desc("global_used", "Calls that count against the bot's current second.")
	descGlobalPaused = desc("global_paused_seconds", "Time until the bot's calls go on after a global 429, 0 when they go.")
	descInvalid      = desc("invalid_requests", "Answers 401, 403 and 429 of the last ten minutes.")
	descInvalidMax   = desc("invalid_requests_limit", "Number of such answers at which Discord bans the address.")
	descBanned       = desc("banned_seconds", "Time until the next try while Discord's edge refuses this address, 0 when it does not.")
	descTokenRefused = desc("token_refused", "1 after Discord refused the bot's token.")
	descGoneWebhooks = desc("gone_webhooks", "Webhooks that are no longer called, because Discord does not know them.")
)

func (limitsCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descReady, descQueued, descQueuedMax, descQueuedBytes, descQueueBytesMax, descInFlight, descBuckets, descDrain,
		descGlobalLimit, descGlobalUsed, descGlobalPaused, descInvalid, descInvalidMax, descBanned, descTokenRefused, descGoneWebhooks,
	} {
		ch <- d
	}
}

func (c limitsCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.limits()
	set := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	until := func(t time.Time) float64 { return max(t.Sub(s.At), 0).Seconds() }

	set(descReady, number(c.ready == nil || c.ready() == nil))
	set(descQueued, float64(s.Waiting))
	set(descQueuedMax, float64(s.MaxWaiting))
	set(descQueuedBytes, float64(s.WaitingBytes))
	set(descQueueBytesMax, float64(s.MaxBytes))
	set(descInFlight, float64(s.InFlight))
	set(descInvalid, float64(s.Invalid.Count))
	set(descInvalidMax, float64(s.Invalid.Limit))
	banned := 0.0
	if s.Ban.Active {
		banned = until(s.Ban.Until)
	}
	set(descBanned, banned)

	var global discord.TokenLimits
	for _, t := range s.Tokens {
		if t.Token == discord.BotToken {
			global = t
		}
	}
	for state, n := range map[string]int{
		"idle": s.States.Idle, "busy": s.States.Busy, "waiting": s.States.Waiting, "blocked": s.States.Blocked,
	} {
		set(descBuckets, float64(n), state)
	}
	set(descDrain, s.Drain.Seconds())
	set(descGlobalLimit, float64(global.Global.Limit))
	set(descGlobalUsed, float64(global.Global.Used))
	set(descGlobalPaused, until(global.Global.PausedUntil))
	set(descTokenRefused, number(global.Refused))
	set(descGoneWebhooks, float64(s.GoneWebhooks))
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
