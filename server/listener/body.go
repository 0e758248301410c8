package listener

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"connectrpc.com/connect"
)

// bodyBudget is what the bodies of the requests in progress may still hold, in
// bytes.
type bodyBudget struct{ left atomic.Int64 }

// limitBody bounds the body of a request, and of all requests together until
// their handlers return.
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
		body := &budgetBody{ReadCloser: http.MaxBytesReader(w, r.Body, limit), budget: &s.budget}
		defer body.release()
		bounded := *r
		bounded.Body = body
		next.ServeHTTP(w, &bounded)
	})
}

// limitUpgrade bounds the body of an Upgrade request, which is read into memory
// as a whole before it reaches any handler as an HTTP/2 request. It counts
// towards the budget here while it is read, and there when it is read again.
func (s *Server) limitUpgrade(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			next.ServeHTTP(w, r)
			return
		}
		if r.ContentLength > s.cfg.MaxBodyBytes {
			w.Header().Set("Connection", "close")
			http.Error(w, "request body too large", http.StatusRequestEntityTooLarge)
			return
		}
		body := &budgetBody{
			ReadCloser: http.MaxBytesReader(w, r.Body, s.cfg.MaxBodyBytes),
			budget:     &s.budget, untilEOF: true,
		}
		defer body.release()
		bounded := *r
		bounded.Body = body
		next.ServeHTTP(w, &bounded)
	})
}

// errBudget answers a request for whose body there is no room.
var errBudget = errors.New("too many large requests in progress, try again later")

// budgetBody takes what is read from the budget until release.
type budgetBody struct {
	io.ReadCloser
	budget   *bodyBudget
	taken    atomic.Int64 // handlers may read in other goroutines
	untilEOF bool
}

// Read implements io.Reader.
func (b *budgetBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.taken.Add(int64(n))
	if b.budget.left.Add(-int64(n)) < 0 {
		return 0, connect.NewError(connect.CodeResourceExhausted, errBudget)
	}
	if err != nil && b.untilEOF {
		b.release()
	}
	return n, err
}

func (b *budgetBody) release() { b.budget.left.Add(b.taken.Swap(0)) }
