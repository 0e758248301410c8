package metrics

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"discordproxy/server/internal/calls"

	"github.com/prometheus/client_golang/prometheus"
)

// buckets are the limits of the classic ones, in seconds, for those who read the
// text format. Calls wait for minutes where a limit is long.
var buckets = []float64{0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900}

// durations is a native histogram for each method, in seconds. In addition to its
// buckets there are the request IDs of calls as exemplars, so that a slow call can be
// found in the log: at most one in each second for a bucket, because they cost more
// than all else here.
type durations struct {
	*prometheus.HistogramVec
	series sync.Map // of *series, by method
}

// series is the histogram of a method.
type series struct {
	prometheus.Observer
	// seconds are those of the latest exemplar of each bucket.
	seconds []atomic.Int64
}

func newDurations(name, help string) *durations {
	return &durations{HistogramVec: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{"method"})}
}

// observe counts a part of a call's time.
func (d *durations) observe(c *calls.Call, part time.Duration) {
	known, ok := d.series.Load(c.Method)
	if !ok {
		known, _ = d.series.LoadOrStore(c.Method, &series{
			d.WithLabelValues(c.Method), make([]atomic.Int64, len(buckets)+1),
		})
	}
	s, seconds := known.(*series), part.Seconds()
	bucket, _ := slices.BinarySearch(buckets, seconds)
	ended, latest := c.Began.Add(c.Took).Unix(), s.seconds[bucket].Load()
	if ended != latest && s.seconds[bucket].CompareAndSwap(latest, ended) {
		s.Observer.(prometheus.ExemplarObserver).ObserveWithExemplar(seconds, prometheus.Labels{"request_id": c.RequestID})
		return
	}
	s.Observe(seconds)
}
