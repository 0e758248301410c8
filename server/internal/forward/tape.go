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

// tape is the body of a request that may be read several times until stop, as long as it
// is short. A reader that was abandoned may still be reading when the next one begins.
type tape struct {
	reading sync.Mutex // of the body
	body    io.ReadCloser

	mu   sync.Mutex
	data []byte // what was read so far
	err  error  // of the last read
	lost bool   // data is not all of it
}

func newTape(body io.ReadCloser) *tape {
	if body == nil || body == http.NoBody {
		return nil
	}
	return &tape{body: body}
}

// whole reports whether a new reader would read the body from its beginning.
func (t *tape) whole() bool {
	if t == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.lost
}

// stop ends the recording: the reader in use is the last one.
func (t *tape) stop() {
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.lost = true
	}
}

// reader returns a body that begins at the beginning.
func (t *tape) reader() io.ReadCloser { return &tapeReader{tape: t} }

var errLost = errors.New("the body cannot be read again")

// again returns another body like that of reader.
func (t *tape) again() (io.ReadCloser, error) {
	if !t.whole() {
		return nil, errLost
	}
	return t.reader(), nil
}

type tapeReader struct {
	tape   *tape
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
