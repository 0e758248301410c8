package discord

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Limits of the answers in memory, in bytes. The first part of every answer is
// read without a reservation, so that ordinary ones never wait. A longer answer
// reserves memory first: up to mediumAnswer from one pool, all it may have from
// another. A call waits for the second pool only while it has memory of the
// first, and never the other way round, so that calls cannot block each other
// for good.
const (
	smallAnswer   = 64 << 10
	mediumAnswer  = 1 << 20
	mediumAnswers = 128 << 20 // all of them together
	largeAnswers  = 128 << 20 // what they have beyond mediumAnswer

	// maxErrorAnswer limits an answer with an error status. Discord's have a
	// few kilobytes.
	maxErrorAnswer = mediumAnswer
)

// answerPools limits the memory of all answers of one client.
type answerPools struct {
	medium, large *semaphore.Weighted
}

func newAnswerPools() *answerPools {
	return &answerPools{semaphore.NewWeighted(mediumAnswers), semaphore.NewWeighted(largeAnswers)}
}

// read reads the body of an answer, of at most limit bytes. announced is the length
// that the answer's header states, or -1 without one. held holds its memory, and may be
// nil. It waits for memory until ctx ends.
// An error answer does not wait, because the rate limiter needs its status: if it is
// too large, or there is no memory, its body is replaced.
func (s *answerPools) read(ctx context.Context, held *AnswerMemory, a *answer, body io.Reader, announced, limit int64) (err error) {
	isError := a.status >= http.StatusBadRequest
	if isError {
		limit = min(limit, maxErrorAnswer)
	}
	var own reservation
	defer func() {
		if err != nil {
			own.release()
			return
		}
		own.trim(int64(len(a.body)) - smallAnswer)
		held.keep(&own)
	}()
	held.release() // the request is done with its last answer
	for _, part := range [...]struct {
		pool *semaphore.Weighted
		end  int64
	}{{nil, smallAnswer}, {s.medium, mediumAnswer}, {s.large, limit}} {
		end := min(part.end, limit)
		if part.pool != nil {
			size := min(max(end-int64(len(a.body)), 0), largeAnswers)
			if !own.take(ctx, part.pool, size, !isError) {
				if isError {
					a.replace()
					return nil
				}
				return fmt.Errorf("wait for memory for the answer: %w", context.Cause(ctx))
			}
		}
		more, err := readAll(io.LimitReader(body, end-int64(len(a.body))+1), announced-int64(len(a.body)))
		if len(a.body) == 0 {
			a.body = more
		} else {
			a.body = append(a.body, more...)
		}
		switch n := int64(len(a.body)); {
		case err != nil:
			return err
		case n <= end:
			return nil
		case n > limit && isError:
			a.replace()
			return nil
		case n > limit:
			return fmt.Errorf("an answer of more than %d bytes", limit)
		}
	}
	return nil
}

// readAll is io.ReadAll into memory of the size that is announced, if that is small.
func readAll(r io.Reader, announced int64) ([]byte, error) {
	if announced < 0 || announced > smallAnswer {
		return io.ReadAll(r)
	}
	b := bytes.NewBuffer(make([]byte, 0, announced+bytes.MinRead))
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
}

// replace puts an error of Discord's form in the place of a body that is not
// kept.
func (a *answer) replace() {
	// A struct of a string and a number always has JSON.
	a.body, _ = json.Marshal(struct {
		Message string `json:"message"`
		Code    int    `json:"code"`
	}{http.StatusText(a.status), 0})
	a.header = a.header.Clone()
	a.header.Set("Content-Type", "application/json")
	a.header.Del("Content-Length")
}

// reservation is memory that one answer has reserved.
type reservation struct{ parts []reserved }

// reserved are bytes of one pool.
type reserved struct {
	pool  *semaphore.Weighted
	bytes int64
}

// take reserves memory. It reports whether it got it, without waiting unless
// wait is set.
func (r *reservation) take(ctx context.Context, pool *semaphore.Weighted, bytes int64, wait bool) bool {
	if wait && pool.Acquire(ctx, bytes) != nil || !wait && !pool.TryAcquire(bytes) {
		return false
	}
	r.parts = append(r.parts, reserved{pool, bytes})
	return true
}

// trim returns what is reserved beyond the bytes in use.
func (r *reservation) trim(used int64) {
	for i := range r.parts {
		p := &r.parts[i]
		kept := min(max(used, 0), p.bytes)
		p.pool.Release(p.bytes - kept)
		p.bytes = kept
		used -= kept
	}
}

func (r *reservation) release() {
	r.trim(0)
	r.parts = nil
}

// AnswerMemory counts the newest answer to the calls of one Caller against the limit for all
// answers, until their next answer or until Release. It is safe for concurrent use, and
// the zero value is ready to use.
//
// The limit is 256 MiB. Answers up to 64 KiB do not count and never wait; a
// longer one waits for memory, within the time of its try and the deadline of
// its call.
type AnswerMemory struct {
	mu       sync.Mutex
	ended    bool
	reserved reservation
}

// keep takes a reservation over, or ends it if nobody would.
func (h *AnswerMemory) keep(r *reservation) {
	if h == nil {
		r.release()
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reserved.release()
	if h.ended {
		r.release()
		return
	}
	h.reserved = *r
}

func (h *AnswerMemory) release() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reserved.release()
}

// Release ends the count. Later answers count until their calls return.
func (h *AnswerMemory) Release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.reserved.release()
}
