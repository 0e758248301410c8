package listener

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds for reading bodies that handlers left unread.
const (
	// maxUnreadBytes is what is read of one body. Where larger bodies are allowed,
	// it is their bound.
	maxUnreadBytes = 64 << 20
	// maxUnreadTime is how long one body may take.
	maxUnreadTime = 5 * time.Second
	// maxUnreadPause is how long the client may send nothing of a body of unknown
	// length: it may be waiting for the answer before it sends more.
	maxUnreadPause = time.Second
	// maxUnread is how many bodies are read at a time, and maxUnreadPerConnection
	// how many of them on one connection.
	maxUnread, maxUnreadPerConnection = 256, 64
)

// readUnread reads and drops what a handler left unread of a request's body before
// the answer ends, within bounds of bytes, time and number. body is that of watchBody.
//
// If the answer ended first, HTTP/2 would reset the stream and HTTP/1.1 would
// close the connection. nginx and HAProxy then lose the answer and report an
// error of their own. Bodies beyond the bounds still end that way.
func (s *Server) readUnread(w http.ResponseWriter, r *http.Request, body *openBody) {
	if body == nil || body.ended.Load() {
		return
	}
	if r.Header.Get("Expect") != "" && !body.begun.Load() {
		return // reading would make the client send the body
	}
	r.Body = body.ReadCloser
	if leave, ok := s.enterUnread(r); ok {
		defer leave()
		s.drop(w, r)
	}
}

// watchBody returns a request whose body records how far it was read, and the body,
// nil for a request without one.
func watchBody(r *http.Request) (*http.Request, *openBody) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	body := &openBody{ReadCloser: r.Body}
	if r.ProtoMajor < 2 { // net/http looks at the body of its request when it answers
		kept := *r
		r = &kept
	}
	r.Body = body
	return r, body
}

// enterUnread counts a body that is about to be dropped. It returns false when
// there are too many.
func (s *Server) enterUnread(r *http.Request) (leave func(), ok bool) {
	connection, ok := r.Context().Value(connectionKey{}).(*unknownConnection)
	if !ok {
		return nil, false // a handler that is tested without its server
	}
	leave = func() {
		s.unread.Add(-1)
		connection.unread.Add(-1)
	}
	all, own := s.unread.Add(1), connection.unread.Add(1)
	if all > maxUnread || own > maxUnreadPerConnection {
		leave()
		return nil, false
	}
	return leave, true
}

// drop reads the rest of a body until its end or a bound.
func (s *Server) drop(w http.ResponseWriter, r *http.Request) {
	pause := maxUnreadPause
	if r.ContentLength > 0 {
		pause = maxUnreadTime // its client has yet to send what it announced
	}
	left := int64(maxUnreadBytes)
	if s.cfg.LargeBody != nil {
		left = max(left, s.cfg.LargeBody(r))
	}
	rest := newPatientBody(w, r.Body, pause)
	defer rest.stop()
	_, _ = io.CopyN(io.Discard, rest, left)
}

// patientBody reads a body until the client pauses for too long or end has come.
// It sets the read deadline only then, because HTTP/2 sends each new deadline to
// the goroutine that serves the connection.
type patientBody struct {
	io.Reader
	pause time.Duration
	end   time.Time
	timer *time.Timer

	mu      sync.Mutex
	stopped bool
}

func newPatientBody(w http.ResponseWriter, body io.Reader, pause time.Duration) *patientBody {
	b := &patientBody{Reader: body, pause: pause, end: time.Now().Add(maxUnreadTime)}
	b.timer = time.AfterFunc(pause, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if !b.stopped {
			// It fails only when the connection is gone.
			_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
		}
	})
	return b
}

// Read implements io.Reader.
func (b *patientBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == nil {
		b.timer.Reset(min(b.pause, time.Until(b.end)))
	}
	return n, err
}

// stop makes sure that no deadline is set later: the writer must not be used
// after its handler has returned.
func (b *patientBody) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	b.timer.Stop()
}

// openBody is a body that handlers cannot close, and that records whether they
// read it.
type openBody struct {
	io.ReadCloser
	begun, ended, closed atomic.Bool
}

// Read implements io.Reader.
func (b *openBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	b.begun.Store(true)
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.ended.Store(true)
	}
	return n, err
}

// Close implements io.Closer. The server closes the body itself in the end.
func (b *openBody) Close() error {
	b.closed.Store(true)
	return nil
}
