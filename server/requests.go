package server

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"time"

	"discordproxy/discord"
	"discordproxy/server/api"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/forward"

	"connectrpc.com/connect"
)

// requests are those in progress that a server serves while others share its database.
// The zero value has none.
type requests struct {
	mu      sync.Mutex
	all     map[*request]struct{}
	bodies  forward.Budget
	began   time.Time      // when the limits of the tenure begin
	passing bool           // no later request is begun
	reason  *connect.Error // why
	since   time.Time      // of that
	ended   chan struct{}  // has a value after the end of one; nil if nobody asks
}

// request is one in progress.
type request struct {
	// unmade and body are nil for a request that cannot be passed on.
	unmade *discord.Unmade
	body   *forward.Tape
	// ends is whether the request can be ended at any time, such as one that lasts until
	// one side ends it.
	ends   bool
	cancel context.CancelCauseFunc
}

// serve has handler serve a request. If the request is to be passed on instead, serve
// returns it, with as much of its body as was kept, and whether that is all.
func (q *requests) serve(handler http.Handler, w http.ResponseWriter, r *http.Request) (passed *http.Request, whole bool) {
	passable := api.IsPassable(r)
	one := &request{ends: api.IsEndless(r) || api.IsStream(r) || r.Header.Get("Upgrade") != "" || !passable && !api.Settles(r)}
	if one.ends || !passable {
		var ctx context.Context
		ctx, one.cancel = context.WithCancelCause(r.Context())
		defer one.cancel(nil)
		if !q.add(one) {
			return r, true
		}
		defer q.remove(one)
		handler.ServeHTTP(w, r.WithContext(ctx))
		return nil, false
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	unmade := discord.NewUnmade(cancel, q.began.Sub(forward.Came(r)))
	ctx = caller.With(ctx, func(by *discord.Caller) { by.Unmade = unmade })
	one.cancel, one.unmade, one.body = cancel, unmade, forward.NewTape(r.Body, &q.bodies)
	if !q.add(one) {
		return r, true
	}
	defer q.remove(one)
	defer func() {
		if passed == nil {
			one.body.Release()
		}
	}()
	before := maps.Clone(w.Header())
	in := r.WithContext(ctx)
	if one.body != nil {
		in.Body = one.body.Reader()
	}
	handler.ServeHTTP(&undecided{ResponseWriter: w, unmade: unmade}, in)
	if !unmade.Taken() {
		return nil, false
	}
	header := w.Header()
	clear(header)
	maps.Copy(header, before)
	passed = r.WithContext(r.Context())
	if one.body != nil {
		passed.Body = one.body.Reader()
		context.AfterFunc(r.Context(), one.body.Release)
	}
	return passed, one.body.Whole()
}

// add notes a request. It reports false if the request is to be passed on.
func (q *requests) add(one *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.passing {
		return false
	}
	if q.all == nil {
		q.all = make(map[*request]struct{})
	}
	q.all[one] = struct{}{}
	return true
}

// why returns the reason of pass.
func (q *requests) why() *connect.Error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.reason
}

func (q *requests) remove(one *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.all, one)
	select {
	case q.ended <- struct{}{}:
	default:
	}
}

// pass ends the requests that have had no effect yet, so that they are passed on, and
// streams with a reason. Later requests are passed on, too.
func (q *requests) pass(reason *connect.Error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.passing, q.reason, q.since, q.ended = true, reason, time.Now(), make(chan struct{}, 1)
	for one := range q.all {
		switch {
		case one.ends:
			one.cancel(reason)
		case one.unmade != nil && one.body.Whole():
			one.unmade.Take()
		}
	}
}

// cancel ends all requests with a reason.
func (q *requests) cancel(reason error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for one := range q.all {
		one.cancel(reason)
	}
}

// settle waits after pass until everything that was begun has ended, and reports whether
// it did within a time. A request that will be passed on when its client has sent it does
// nothing.
func (q *requests) settle(limit time.Duration) bool {
	timer, streams := time.NewTimer(limit), time.NewTimer(lastCalls)
	defer timer.Stop()
	defer streams.Stop()
	for !q.settled() {
		select {
		case <-q.ended:
		case <-streams.C:
		case <-timer.C:
			return q.settled()
		}
	}
	return true
}

// settled reports whether nothing goes on that has to end here. Streams have a moment to
// end: some wait for their clients.
func (q *requests) settled() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for one := range q.all {
		switch {
		case one.unmade != nil && one.unmade.Taken():
		case one.ends && time.Since(q.since) >= lastCalls:
		default:
			return false
		}
	}
	return true
}

// undecided is the writer of a response to a request that may still be passed on. From
// the response's first byte on, it is kept.
type undecided struct {
	http.ResponseWriter
	unmade *discord.Unmade
	kept   bool
}

// Unwrap serves http.ResponseController.
func (u *undecided) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func (u *undecided) keep() bool {
	u.kept = u.kept || u.unmade.Keep()
	return u.kept
}

// WriteHeader implements http.ResponseWriter.
func (u *undecided) WriteHeader(status int) {
	if u.keep() {
		u.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter. What a request that is passed on says is dropped.
func (u *undecided) Write(p []byte) (int, error) {
	if !u.keep() {
		return len(p), nil
	}
	return u.ResponseWriter.Write(p)
}

// Flush implements http.Flusher, which handlers of streams look for.
func (u *undecided) Flush() { _ = u.FlushError() }

// FlushError serves http.ResponseController.
func (u *undecided) FlushError() error {
	if !u.keep() {
		return nil
	}
	return http.NewResponseController(u.ResponseWriter).Flush()
}
