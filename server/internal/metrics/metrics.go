// Package metrics provides the server's Prometheus metrics: finished calls, and the
// state at the moment of a scrape.
package metrics

import (
	"context"
	"net/http"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/calls"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "discordproxy"

// Config configures Metrics. Only Limits is required.
type Config struct {
	// Limits returns the waiting calls and the limits. It is called for each scrape.
	Limits func() Limits
	// DMCache returns the statistics of the remembered direct message channels. Nil omits
	// the metrics.
	DMCache func() discord.DMCache
	// Ready returns nil while calls are accepted. A nil Ready means always.
	Ready func() error
	// Version names the build.
	Version string
	// Bot is the value of the label "bot" of all series but those of the process. Empty
	// means no such label.
	Bot string
	// With are the Metrics of another bot of this process, whose page shows these, too. Nil
	// means a page of their own, which also has the series of the process.
	With *Metrics
}

// Metrics counts calls and the requests to Discord that they need. It is a
// calls.Observer and a discord.Observer, safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	own      prometheus.Registerer // of registry, with the label of the bot
	ended    *prometheus.CounterVec
	took     *durations
	waited   *durations
	discord  *durations
	tries    tries
}

// New returns Metrics, which include those of the process and of the Go runtime.
func New(c Config) *Metrics {
	m := &Metrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "calls_total",
			Help: "Calls that have ended, by method, protocol, status and the client's name where there are keys.",
		}, []string{"method", "protocol", "code", "client"}),
		took:    newDurations("call_duration_seconds", "Time from the first byte of a call to its answer. Streams are left out."),
		waited:  newDurations("call_waited_seconds", "Part of a call's time for which Discord's limits held it."),
		discord: newDurations("call_discord_seconds", "Part of a call's time that its requests to Discord took."),
	}
	if c.With != nil {
		m.registry = c.With.registry
	} else {
		m.registry = newRegistry(c.Version)
	}
	m.own = m.registry
	if c.Bot != "" {
		m.own = prometheus.WrapRegistererWith(prometheus.Labels{"bot": c.Bot}, m.registry)
	}
	m.tries = newTries(m.own)
	if c.DMCache != nil {
		m.own.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Namespace: namespace, Name: "dm_channels", Help: "Users whose direct message channel is remembered.",
			}, func() float64 { return float64(c.DMCache().Size) }),
			prometheus.NewCounterFunc(prometheus.CounterOpts{
				Namespace: namespace, Name: "dm_channel_hits_total", Help: "Direct messages whose channel was remembered.",
			}, func() float64 { return float64(c.DMCache().Hits) }),
			prometheus.NewCounterFunc(prometheus.CounterOpts{
				Namespace: namespace, Name: "dm_channel_misses_total", Help: "Direct message channels that had to be opened.",
			}, func() float64 { return float64(c.DMCache().Opened) }),
		)
	}
	m.own.MustRegister(m.ended, m.took.HistogramVec, m.waited.HistogramVec, m.discord.HistogramVec, limitsCollector{c.Limits, c.Ready})
	return m
}

// newRegistry returns a registry with the series of the process.
func newRegistry(version string) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1; the version is a label.",
		ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 })
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build)
	return registry
}

// watch adds series, until end is called.
func (m *Metrics) watch(c prometheus.Collector) (end func()) {
	m.own.MustRegister(c)
	return func() { m.own.Unregister(c) }
}

// Handler serves scrapes to clients that may call access.MetricsPage.
func (m *Metrics) Handler() http.Handler {
	return access.Page(access.MetricsPage, promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry:          m.registry,
		EnableOpenMetrics: true, // exemplars exist in this format and in protobuf alone
		Timeout:           10 * time.Second,
	}))
}

// Ended counts a call.
func (m *Metrics) Ended(_ context.Context, c *calls.Call) {
	client := ""
	if c.Key { // else it is an address, and of those there is no end
		client = c.Caller
	}
	m.ended.WithLabelValues(c.Method, c.Protocol, c.Code, client).Inc()
	if !c.Stream {
		m.took.observe(c, c.Took)
	}
	if c.Tries > 0 || c.Waited > 0 {
		m.waited.observe(c, c.Waited)
		m.discord.observe(c, c.AtDiscord)
	}
}
