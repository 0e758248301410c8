package server

import (
	"net/http"
	"sync/atomic"
	"time"

	"discordproxy/server/api"
	"discordproxy/server/internal/rest"
	"discordproxy/server/internal/store"
)

// seconds is over how many seconds load counts calls.
const seconds = 10

// load counts the calls that a server serves or forwards. It is safe for concurrent use.
type load struct {
	start      time.Time // of the counts
	inProgress atomic.Int64
	// ended has the calls that ended in a second: its number since start in the upper
	// half, and the count in the lower one. The newest second is not over.
	ended [2 * seconds]atomic.Uint64
}

func newLoad() *load { return &load{start: time.Now()} }

// count has the calls of a handler counted.
func (l *load) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !api.IsMethod(r.URL.Path) && !rest.Serves(r) || api.IsEndless(r) {
			next.ServeHTTP(w, r)
			return
		}
		l.inProgress.Add(1)
		defer l.end()
		next.ServeHTTP(w, r)
	})
}

func (l *load) end() {
	l.inProgress.Add(-1)
	now := l.second()
	slot := &l.ended[now%uint64(len(l.ended))]
	for {
		old := slot.Load()
		count := uint64(1)
		if old>>32 == now {
			count += old & (1<<32 - 1)
		}
		if slot.CompareAndSwap(old, now<<32|count) {
			return
		}
	}
}

// second is the number of the current second, from 1 on.
func (l *load) second() uint64 { return uint64(time.Since(l.start)/time.Second) + 1 }

// report returns the load, given how many calls wait.
func (l *load) report(waiting int) *store.Load {
	now, ended, over := l.second(), uint64(0), uint64(0)
	for past := uint64(1); past <= seconds && past < now; past++ {
		over++
		if slot := l.ended[(now-past)%uint64(len(l.ended))].Load(); slot>>32 == now-past {
			ended += slot & (1<<32 - 1)
		}
	}
	return &store.Load{
		InProgress: l.inProgress.Load(), Waiting: int64(waiting), CallsPerSecond: float64(ended) / float64(max(over, 1)),
	}
}

// currentLoad returns the load of this server.
func (b *bot) currentLoad() *store.Load {
	waiting := 0
	if up := b.way.Load(); up != nil {
		waiting, _ = up.client.Queued()
	}
	load := b.load.report(waiting)
	load.Refused = !b.couldLead()
	return load
}
