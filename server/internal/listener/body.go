package listener

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
)

// bodyBudget is what the bodies of the requests in progress may still hold, in
// bytes.
type bodyBudget struct{ left atomic.Int64 }

// limitBody bounds the body of a request, and of all requests together until
// their handlers return. The body of a stream is bounded by its handler, message by
// message, and counts as one body of the largest size at most.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		limit := s.cfg.MaxBodyBytes
		if s.cfg.LargeBody != nil {
			limit = max(limit, s.cfg.LargeBody(r))
		}
		body := &requestBody{
			budgetBody: budgetBody{ReadCloser: r.Body, budget: &s.budget},
			pace:       pace{ResponseWriter: w, timeout: s.cfg.ReadTimeout},
		}
		if s.cfg.IsStream != nil && s.cfg.IsStream(r) {
			body.most = limit
		} else {
			body.ReadCloser = http.MaxBytesReader(w, r.Body, limit)
		}
		defer body.release()
		r.Body = body // its own request, see watchBody
		body.pace.began = time.Now()
		next.ServeHTTP(&body.pace, r)
	})
}

// requestBody is the body of a request, which is read at the pace of its client.
type requestBody struct {
	budgetBody
	pace pace
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.budgetBody.Read(p)
	if err == nil {
		b.pace.progress(n)
	}
	return n, err
}

// limitUpgrade bounds the body of an Upgrade request, which is read into memory
// as a whole before it reaches any handler as an HTTP/2 request. It counts
// towards the budget here while it is read, and there when it is read again.
func (s *Server) limitUpgrade(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > s.cfg.MaxBodyBytes {
			refuseUpgrade(w, new(http.MaxBytesError))
			return
		}
		body := &budgetBody{
			ReadCloser: http.MaxBytesReader(w, r.Body, s.cfg.MaxBodyBytes),
			budget:     &s.budget, untilEOF: true,
		}
		defer body.release()
		bounded := *r
		bounded.Body = body
		next.ServeHTTP(upgradeWriter{w, body}, &bounded)
	})
}

// upgradeWriter says why the body of an Upgrade was not taken. Package h2c
// would answer 500 without a word.
type upgradeWriter struct {
	http.ResponseWriter
	body *budgetBody
}

// Unwrap serves http.ResponseController.
func (w upgradeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w upgradeWriter) WriteHeader(status int) {
	if status == http.StatusInternalServerError && w.body.failed != nil {
		refuseUpgrade(w.ResponseWriter, w.body.failed)
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func refuseUpgrade(w http.ResponseWriter, err error) {
	w.Header().Set("Connection", "close")
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		http.Error(w, "request body too large", http.StatusRequestEntityTooLarge)
	case errors.Is(err, errBudget):
		http.Error(w, errBudget.Error(), http.StatusServiceUnavailable)
	default:
		http.Error(w, "request body cannot be read", http.StatusBadRequest)
	}
}

// errBudget answers a request for whose body there is no room.
var errBudget = errors.New("too many large requests in progress, try again later")

// budgetBody takes what is read from the budget until release.
type budgetBody struct {
	io.ReadCloser
	budget   *bodyBudget
	taken    atomic.Int64 // handlers may read in other goroutines
	most     int64        // that is taken; 0 means all that is read
	untilEOF bool
	failed   error // of reading, if untilEOF
}

// Read implements io.Reader.
func (b *budgetBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	take := int64(n)
	if b.most > 0 {
		take = min(take, b.most-b.taken.Load())
	}
	b.taken.Add(take)
	if b.budget.left.Add(-take) < 0 {
		n, err = 0, connect.NewError(connect.CodeResourceExhausted, errBudget)
	}
	if err != nil && b.untilEOF {
		b.release()
		if !errors.Is(err, io.EOF) {
			b.failed = err
		}
	}
	return n, err
}

func (b *budgetBody) release() { b.budget.left.Add(b.taken.Swap(0)) }
