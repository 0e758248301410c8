package metrics

import (
	"context"
	"strconv"

	"discordproxy/discord"

	"github.com/prometheus/client_golang/prometheus"
)

// tries counts requests to Discord.
type tries struct {
	requests *prometheus.CounterVec
	limited  *prometheus.CounterVec
	repeated *prometheus.CounterVec
	avoided  prometheus.Counter
}

func newTries(registry prometheus.Registerer) tries {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
		registry.MustRegister(c)
		return c
	}
	t := tries{
		requests: counter(
			"discord_requests_total",
			"Tries at Discord, by route, HTTP status (0 without an answer) and how they ended.",
			"route",
			"status",
			"outcome",
		),
		limited: counter(
			"discord_limited_total",
			"Answers of Discord that a limit was hit, by limit: bucket, sub, shared, global or address.",
			"limit",
		),
		repeated: counter("discord_repeated_total", "Tries that were not the first, by how the one before ended.", "after"),
		avoided: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "duplicates_avoided_total",
			Help: "Creations that were sent again although Discord may have stored them, and that a nonce kept single.",
		}),
	}
	registry.MustRegister(t.avoided)
	for _, limit := range []string{"bucket", "sub", "shared", "global", "address"} {
		t.limited.WithLabelValues(limit) // so that a first 429 is an increase
	}
	return t
}

// Tried counts a request to Discord.
func (m *Metrics) Tried(_ context.Context, t discord.Try) {
	m.tries.requests.WithLabelValues(t.Route, strconv.Itoa(t.Status), t.Outcome.String()).Inc()
	if t.Limit != "" {
		m.tries.limited.WithLabelValues(t.Limit).Inc()
	}
	if t.Number == 1 {
		return
	}
	m.tries.repeated.WithLabelValues(t.Before.String()).Inc()
	if t.Once && t.Outcome == discord.Settled && t.Status < 300 && (t.Before == discord.Failed || t.Before == discord.Lost) {
		m.tries.avoided.Inc()
	}
}
