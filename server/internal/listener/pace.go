package listener

import (
	"net/http"
	"sync"
	"time"
)

// minPace is how many bytes a second of a body extend the time in which it must
// have come.
const minPace = 16 << 10

// pace is the writer of a request whose body may take longer than the read timeout
// if enough of it has come. A read deadline that a handler sets through an
// http.ResponseController replaces the pace.
type pace struct {
	http.ResponseWriter
	timeout time.Duration
	began   time.Time

	mu       sync.Mutex // handlers may read in other goroutines
	read     int64
	extended int64 // what the deadline takes into account of read
	replaced bool
}

// Unwrap serves http.ResponseController.
func (p *pace) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// Flush implements http.Flusher, which handlers of streams look for.
func (p *pace) Flush() {
	// It fails only when the connection is gone.
	_ = http.NewResponseController(p.ResponseWriter).Flush()
}

// SetReadDeadline serves http.ResponseController.
func (p *pace) SetReadDeadline(deadline time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replaced = true
	return http.NewResponseController(p.ResponseWriter).SetReadDeadline(deadline)
}

// progress takes n bytes that have come. HTTP/2 sends each new deadline to the
// goroutine that serves the connection, so there is one for an eighth of what the
// timeout allows, and none for small bodies.
func (p *pace) progress(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read += int64(n)
	if p.replaced || worth(p.read-p.extended) < p.timeout/8 {
		return
	}
	p.extended = p.read
	// It fails where the connection has no deadlines, as in tests.
	_ = http.NewResponseController(p.ResponseWriter).SetReadDeadline(p.began.Add(p.timeout + worth(p.read)))
}

// worth is the time that so many bytes may take.
func worth(n int64) time.Duration { return time.Duration(n) * (time.Second / minPace) }
