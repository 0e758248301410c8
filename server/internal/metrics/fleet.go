package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Fleet is a server among others that share its database.
type Fleet struct {
	Leads bool
	// Epoch is that of the lease, or 0 before this server had it.
	Epoch                   int64
	Renewed, FailedRenewals int64
	// RenewalTime is how long these renewals took in all.
	RenewalTime time.Duration
	// Replicas are the servers that the others know of, this one included. Versions
	// are how many versions of the program these have.
	Replicas, Versions int
	// Requests that came while this server did not lead, by what became of them.
	Answered, Refused, Broken, InProgress int64
}

// WatchFleet adds the state of a server among others. A server that shares nothing has no
// such series. It may be called once.
func (m *Metrics) WatchFleet(read func() Fleet) { m.own.MustRegister(fleetCollector{read}) }

type fleetCollector struct{ read func() Fleet }

var (
	descLeads     = desc("leads", "1 while this server has the lease of the bot, 0 while it forwards to the one that has.")
	descEpoch     = desc("lease_epoch", "Epoch of the lease that this server has or had, which grows with each new holder.")
	descRenewals  = desc("lease_renewals_total", "Renewals of the lease, by whether they succeeded: ok or failed.", "outcome")
	descRenewing  = desc("lease_renewal_seconds_total", "Time that renewals of the lease took, failed ones included.")
	descReplicas  = desc("replicas", "Servers that share the database for this bot and that others can reach.")
	descVersions  = desc("replica_versions", "Versions of the program that these servers have.")
	descForwarded = desc(
		"forwarded_total",
		"Requests forwarded to the server that leads, by outcome: answered, refused (none led in time) or broken (it failed meanwhile).",
		"outcome",
	)
	descForwarding = desc("forwarded_in_progress", "Requests that are being forwarded or wait for a server that leads.")
)

func (fleetCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descLeads, descEpoch, descRenewals, descRenewing, descReplicas, descVersions, descForwarded, descForwarding,
	} {
		ch <- d
	}
}

func (c fleetCollector) Collect(ch chan<- prometheus.Metric) {
	f := c.read()
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	counter := func(d *prometheus.Desc, v int64, label string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), label)
	}
	gauge(descLeads, number(f.Leads))
	gauge(descEpoch, float64(f.Epoch))
	counter(descRenewals, f.Renewed, "ok")
	counter(descRenewals, f.FailedRenewals, "failed")
	ch <- prometheus.MustNewConstMetric(descRenewing, prometheus.CounterValue, f.RenewalTime.Seconds())
	gauge(descReplicas, float64(f.Replicas))
	gauge(descVersions, float64(f.Versions))
	counter(descForwarded, f.Answered, "answered")
	counter(descForwarded, f.Refused, "refused")
	counter(descForwarded, f.Broken, "broken")
	gauge(descForwarding, float64(f.InProgress))
}
