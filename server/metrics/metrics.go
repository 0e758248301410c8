// Package metrics knows what Prometheus can read of the server: calls as they
// end, and what is held at the moment of a scrape.
package metrics

import (
	"context"
	"net/http"
	"time"

	"discordproxy/discord"
	"discordproxy/server/access"
	"discordproxy/server/calls"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "discordproxy"

// Config configures Metrics. Only Limits is required.
type Config struct {
	// Limits returns what is held at the moment. It is asked at each scrape.
	Limits func() Limits
	// DMCache returns how the memory of direct message channels is used. Nil
	// leaves it out.
	DMCache func() discord.DMCache
	// Ready returns nil while calls are taken. Nil means always.
	Ready func() error
	// Version names the build.
	Version string
}

// Metrics counts calls and the requests to Discord that they need. It is a
// calls.Observer and a discord.Observer, safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	ended    *prometheus.CounterVec
	took     *prometheus.HistogramVec
	waited   *prometheus.HistogramVec
	discord  *prometheus.HistogramVec
	tries    tries
}

// New returns Metrics with a registry of their own, in which the process and
// the Go runtime are too.
func New(c Config) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "calls_total",
			Help: "Calls that have ended, by method, protocol, status and the client's name where there are keys.",
		}, []string{"method", "protocol", "code", "client"}),
		took:    histogram("call_duration_seconds", "Time from the first byte of a call to its answer. Streams are left out."),
		waited:  histogram("call_waited_seconds", "Part of a call's time for which Discord's limits held it."),
		discord: histogram("call_discord_seconds", "Part of a call's time that its requests to Discord took."),
	}
	m.tries = newTries(m.registry)
	if c.DMCache != nil {
		m.registry.MustRegister(
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
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1; the version is a label.",
		ConstLabels: prometheus.Labels{"version": c.Version},
	}, func() float64 { return 1 })
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build,
		m.ended, m.took, m.waited, m.discord,
		limitsCollector{c.Limits, c.Ready},
	)
	return m
}

// histogram is a native one, with a few classic buckets for those who read
// the text format. Calls are held for minutes where a limit is long.
func histogram(name, help string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help,
		Buckets:                         []float64{0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{"method"})
}

// Handler answers scrapes of those who may call access.MetricsPage.
func (m *Metrics) Handler() http.Handler {
	return access.Page(access.MetricsPage, promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry:          m.registry,
		EnableOpenMetrics: true, // exemplars exist in this format and in protobuf alone
		Timeout:           10 * time.Second,
	}))
}

// Ended counts a call. The request's id stands beside the histograms as an
// exemplar, so that a slow call can be found in the log.
func (m *Metrics) Ended(_ context.Context, c *calls.Call) {
	client := ""
	if c.Key { // else it is an address, and of those there is no end
		client = c.Caller
	}
	m.ended.WithLabelValues(c.Method, c.Protocol, c.Code, client).Inc()
	exemplar := prometheus.Labels{"request_id": c.RequestID}
	observe := func(h *prometheus.HistogramVec, d time.Duration) {
		h.WithLabelValues(c.Method).(prometheus.ExemplarObserver).ObserveWithExemplar(d.Seconds(), exemplar)
	}
	if !c.Stream {
		observe(m.took, c.Took)
	}
	if c.Tries > 0 || c.Waited > 0 {
		observe(m.waited, c.Waited)
		observe(m.discord, c.AtDiscord)
	}
}
