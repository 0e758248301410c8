package metrics

import (
	"context"
	"time"

	"discordproxy/server/internal/outbox"
	"discordproxy/server/internal/store"

	"github.com/prometheus/client_golang/prometheus"
)

// WatchOutbox adds the outbox, until end is called. A server without one has no such
// series. There is one at a time.
func (m *Metrics) WatchOutbox(o *outbox.Outbox) (end func()) { return m.watch(&outboxCollector{o}) }

type outboxCollector struct{ outbox *outbox.Outbox }

var (
	descOutboxWaiting = desc("outbox_deliveries", "Deliveries in the outbox that have not ended.")
	descOutboxRecords = desc("outbox_records", "Records of deliveries that have ended.")
	descOutboxBytes   = desc("outbox_bytes", "Bytes of the requests in the outbox.")
	descOutboxEnded   = desc(
		"outbox_ended_total",
		"Deliveries that have ended, by state: delivered, failed, expired, cancelled or unknown.",
		"state",
	)
	descOutboxFailing = desc("outbox_failing", "1 while the outbox cannot be written, else 0.")
)

// outboxStates are the states in which deliveries end.
var outboxStates = map[string]store.DeliveryState{
	"delivered": store.Delivered, "failed": store.Failed, "expired": store.Expired, "cancelled": store.Cancelled, "unknown": store.Unknown,
}

func (*outboxCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descOutboxWaiting, descOutboxRecords, descOutboxBytes, descOutboxEnded, descOutboxFailing} {
		ch <- d
	}
}

// scrapeTimeout bounds how long a scrape waits for the records.
const scrapeTimeout = 5 * time.Second

func (c *outboxCollector) Collect(ch chan<- prometheus.Metric) {
	set := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	if counts, err := c.outbox.Counts(ctx); err == nil {
		set(descOutboxWaiting, prometheus.GaugeValue, float64(counts.Unfinished))
		set(descOutboxRecords, prometheus.GaugeValue, float64(counts.Finished))
		set(descOutboxBytes, prometheus.GaugeValue, float64(counts.Bytes))
	}
	for name, state := range outboxStates {
		set(descOutboxEnded, prometheus.CounterValue, float64(c.outbox.Ended(state)), name)
	}
	set(descOutboxFailing, prometheus.GaugeValue, number(c.outbox.Failing() != nil))
}
