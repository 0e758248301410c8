package forward

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// tapeBytes is how much of a body is kept to be sent again.
const tapeBytes = 64 << 10

// Tape is the body of a request that may be read several times until stop, as long as it
// is short. A reader that was abandoned may still be reading when the next one begins.
type Tape struct {
	reading sync.Mutex // of the body
	body    io.ReadCloser

	mu   sync.Mutex
	data []byte // what was read so far
	err  error  // of the last read
	lost bool   // data is not all of it
}

// NewTape returns the tape of a request's body, nil for a request without one.
func NewTape(body io.ReadCloser) *Tape {
	if body == nil || body == http.NoBody {
		return nil
	}
	return &Tape{body: body}
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

// stop ends the recording: the reader in use is the last one.
func (t *Tape) stop() {
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.lost = true
	}
}

// Reader returns a body that begins at the beginning.
func (t *Tape) Reader() io.ReadCloser { return &tapeReader{tape: t} }

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
	t := r.tape
	t.reading.Lock()
	defer t.reading.Unlock()
	if r.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	t.mu.Lock()
	if r.at < len(t.data) {
		n := copy(p, t.data[r.at:])
		r.at += n
		t.mu.Unlock()
		return n, nil
	}
	err, record := t.err, !t.lost
	t.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := t.body.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
	if record { // even if it was lost meanwhile: another reader may wait for what this one took
		t.data = append(t.data, p[:n]...)
		r.at += n
		t.lost = t.lost || len(t.data) > tapeBytes
	}
	return n, err
}

// Close implements io.Closer. The server closes the body itself.
func (r *tapeReader) Close() error {
	r.closed.Store(true)
	return nil
}
