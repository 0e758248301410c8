package forward

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

const (
	// tapeBytes is how much of a body is kept to be sent again.
	tapeBytes = 1 << 20
	// tapeShort is how much of each body is kept regardless of all others.
	tapeShort = 64 << 10
	// tapesBytes limits what is kept of all bodies beyond tapeShort.
	tapesBytes = 64 << 20
)

// Budget bounds what is kept of all bodies beyond a little of each. The zero value is ready
// for use.
type Budget struct{ used atomic.Int64 }

func (b *Budget) take(n int64) bool {
	if b.used.Add(n) <= tapesBytes {
		return true
	}
	b.used.Add(-n)
	return false
}

// Tape is the body of a request that may be read several times until stop, as long as it
// is short. A reader that was abandoned may still be reading when the next one begins.
type Tape struct {
	reading sync.Mutex // of the body
	body    io.ReadCloser
	budget  *Budget

	mu    sync.Mutex
	data  []byte // what was read so far
	taken int64  // from the budget
	err   error  // of the last read
	last  *tapeReader
	lost  bool // data is not all of it
}

// NewTape returns the tape of a request's body, or nil for a request without one. Release
// is to be called in the end.
func NewTape(body io.ReadCloser, b *Budget) *Tape {
	if body == nil || body == http.NoBody {
		return nil
	}
	return &Tape{body: body, budget: b}
}

// Whole reports whether a new reader would read the body from its beginning.
func (t *Tape) Whole() bool {
	if t == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.lost
}

// ended reports whether the body was read to its end.
func (t *Tape) ended() bool {
	if t == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Is(t.err, io.EOF)
}

// stop ends the recording: the reader in use is the last one.
func (t *Tape) stop() {
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.lost = true
	}
}

// Release gives back what was taken from the budget. The body is not read again.
func (t *Tape) Release() {
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.lost = true
		t.giveBack()
	}
}

func (t *Tape) giveBack() {
	t.budget.used.Add(-t.taken)
	t.taken = 0
}

// record keeps what was read, as far as the limits allow it.
func (t *Tape) record(p []byte) {
	t.data = append(t.data, p...)
	over := int64(len(t.data)) - tapeShort - t.taken
	switch {
	case t.lost || over <= 0:
	case len(t.data) <= tapeBytes && t.budget.take(over):
		t.taken += over
	default:
		t.lost = true
	}
}

// Reader returns a body that begins at the beginning.
func (t *Tape) Reader() io.ReadCloser {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = &tapeReader{tape: t}
	return t.last
}

var errLost = errors.New("the body cannot be read again")

// again returns another body like that of Reader.
func (t *Tape) again() (io.ReadCloser, error) {
	if !t.Whole() {
		return nil, errLost
	}
	return t.Reader(), nil
}

type tapeReader struct {
	tape   *Tape
	at     int // in data
	closed atomic.Bool
}

// Read implements io.Reader.
func (r *tapeReader) Read(p []byte) (int, error) {
	if n, err := r.replay(p); n > 0 || err != nil {
		return n, err
	}
	t := r.tape
	t.reading.Lock()
	defer t.reading.Unlock()
	// Another reader may have read meanwhile.
	if n, err := r.replay(p); n > 0 || err != nil {
		return n, err
	}
	t.mu.Lock()
	record := !t.lost
	if t.lost && t.last == r { // it has read all that was kept, and no other reader follows
		t.data, r.at = nil, 0
		t.giveBack()
	}
	t.mu.Unlock()
	n, err := t.body.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
	if record { // even if it was lost meanwhile: another reader may wait for what this one took
		t.record(p[:n])
		r.at += n
	}
	return n, err
}

// replay reads what was kept. It reads nothing if that is all read.
func (r *tapeReader) replay(p []byte) (int, error) {
	t := r.tape
	if r.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.at < len(t.data) {
		n := copy(p, t.data[r.at:])
		r.at += n
		return n, nil
	}
	return 0, t.err
}

// Close implements io.Closer. The server closes the body itself.
func (r *tapeReader) Close() error {
	r.closed.Store(true)
	return nil
}
