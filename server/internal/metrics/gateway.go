package metrics

import (
	"time"

	"discordproxy/discord/gateway"
	"discordproxy/server/internal/events"
	"discordproxy/server/internal/gatewayproxy"

	"github.com/prometheus/client_golang/prometheus"
)

// Gateway is what is read of the gateway and of the events that come from it.
// All are required. They are asked at each scrape.
type Gateway struct {
	Status func() gateway.Status
	Stats  func() gateway.Stats
	Events func() events.Stats
	Proxy  func() gatewayproxy.Stats
}

// Watch adds the gateway, until end is called. A server without it has no such series.
// There is one at a time.
func (m *Metrics) Watch(g Gateway) (end func()) { return m.watch(&gatewayCollector{g}) }

type gatewayCollector struct{ Gateway }

var (
	descGatewayState = desc(
		"gateway_state",
		"1 for the state of the bot at Discord's gateway, 0 for the others: off, connecting, connected, disconnected, ended or paused.",
		"state",
	)
	descGatewayPaused = desc(
		"gateway_paused_seconds",
		"Time until the next session may begin at the gateway, while only the reserve of the day's sessions is left. "+
			"0 while the gateway is not paused.",
	)
	descGatewayLatency = desc(
		"gateway_latency_seconds",
		"Time from the last heartbeat to Discord's answer, 0 before the first of a connection.",
	)
	descGatewayLost  = desc("gateway_connections_lost_total", "Connections to the gateway that were lost or could not be made.")
	descGatewayBegun = desc(
		"gateway_sessions_begun_total",
		"Sessions that began at the gateway. What happened before each of them did not come.",
	)
	descGatewayResumed = desc("gateway_sessions_resumed_total", "Connections that went on with the session of the last one.")
	descGatewayLeft    = desc(
		"gateway_sessions_left",
		"Sessions that may still begin today, by Discord's count or the server's, whichever is smaller.",
	)
	descGatewayTotal = desc("gateway_sessions_limit", "Sessions that may begin in a day. The server never uses the last tenth.")

	descProxySessions = desc(
		"gateway_proxy_sessions",
		"Sessions of bots that use the gateway through the server, by state: connected, or resumable while their connection is lost.",
		"state",
	)
	descProxyIdentified = desc("gateway_proxy_identified_total", "Sessions that bots began through the server.")
	descProxyResumed    = desc("gateway_proxy_resumed_total", "Sessions that bots resumed through the server.")
	descProxySlow       = desc("gateway_proxy_slow_total", "Connections of bots that were closed because the bot read too slowly.")

	descEvents            = desc("events_total", "Events that came from the gateway, by type.", "type")
	descEventsKept        = desc("events_kept", "Events that are kept for subscribers.")
	descEventsKeptBytes   = desc("events_kept_bytes", "Bytes of the events that are kept.")
	descEventSubscribers  = desc("event_subscribers", "Subscriptions of events.")
	descEventSubscrBehind = desc("event_subscribers_behind_total", "Subscriptions that ended because the client read too slowly.")
)

func (*gatewayCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descGatewayState, descGatewayPaused, descGatewayLatency, descGatewayLost,
		descGatewayBegun, descGatewayResumed, descGatewayLeft, descGatewayTotal,
		descProxySessions, descProxyIdentified, descProxyResumed, descProxySlow,
		descEvents, descEventsKept, descEventsKeptBytes, descEventSubscribers, descEventSubscrBehind,
	} {
		ch <- d
	}
}

func (c *gatewayCollector) Collect(ch chan<- prometheus.Metric) {
	set := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue

	status, stats, held := c.Status(), c.Stats(), c.Events()
	for _, state := range gateway.States {
		set(descGatewayState, gauge, number(status.State == state), state.String())
	}
	paused := time.Duration(0)
	if status.State == gateway.Paused {
		paused = max(time.Until(status.Until), 0)
	}
	set(descGatewayPaused, gauge, paused.Seconds())
	set(descGatewayLatency, gauge, status.Latency.Seconds())
	set(descGatewayLost, counter, float64(stats.Lost))
	set(descGatewayBegun, counter, float64(stats.Begun))
	set(descGatewayResumed, counter, float64(stats.Resumed))
	if stats.Total > 0 {
		set(descGatewayLeft, gauge, float64(stats.Left))
		set(descGatewayTotal, gauge, float64(stats.Total))
	}

	proxied := c.Proxy()
	set(descProxySessions, gauge, float64(proxied.Connected), "connected")
	set(descProxySessions, gauge, float64(proxied.Resumable), "resumable")
	set(descProxyIdentified, counter, float64(proxied.Identified))
	set(descProxyResumed, counter, float64(proxied.Resumed))
	set(descProxySlow, counter, float64(proxied.Slow))

	for kind, n := range held.Published {
		set(descEvents, counter, float64(n), kind.String())
	}
	set(descEventsKept, gauge, float64(held.Last+1-held.First))
	set(descEventsKeptBytes, gauge, float64(held.Bytes))
	set(descEventSubscribers, gauge, float64(held.Subscribers))
	set(descEventSubscrBehind, counter, float64(held.Behind))
}
