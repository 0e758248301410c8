// Package history keeps what the server did in the last 24 hours, in fixed memory:
// the last hour in steps of 10 seconds, and the day in steps of a minute.
package history

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/calls"

	"connectrpc.com/connect"
)

// Steps and how long they are kept.
const (
	FineStep    = 10 * time.Second
	FineRange   = time.Hour
	CoarseStep  = time.Minute
	CoarseRange = 24 * time.Hour
)

// codes are the codes of calls, calls.OK first.
var codes = func() []string {
	all := []string{calls.OK}
	for code := connect.CodeCanceled; code <= connect.CodeUnauthenticated; code++ {
		all = append(all, code.String())
	}
	return all
}()

var placeOfCode = func() map[string]int {
	places := make(map[string]int, len(codes))
	for i, code := range codes {
		places[code] = i
	}
	return places
}()

// maxCodes is len(codes).
const maxCodes = 17

// slot is one step. Times at Discord and waits are counted by their size.
type slot struct {
	index   int64 // steps since 1970
	calls   [maxCodes]uint32
	waiting int32
	limited uint32
	busiest uint32
	waits   durations
	discord durations
}

// series are steps of one length, each at its index modulo their number.
type series struct {
	step  time.Duration
	slots []slot
}

func newSeries(step, kept time.Duration) series {
	return series{step, make([]slot, kept/step)}
}

func (s *series) indexOf(t time.Time) int64 { return t.UnixNano() / int64(s.step) }

// at returns the slot of a time, empty if it is a new one, and nil for a time whose
// slot was given up.
func (s *series) at(t time.Time) *slot {
	index := s.indexOf(t)
	c := &s.slots[index%int64(len(s.slots))]
	switch {
	case c.index > index:
		return nil
	case c.index < index:
		*c = slot{index: index}
	}
	return c
}

// History is an observer of calls and of requests to Discord. It is safe for
// concurrent use. New makes one.
type History struct {
	mu           sync.Mutex
	fine, coarse series
	began        time.Time
	// second is the newest second in which requests began, and how many did.
	second   int64
	requests uint32
}

// New returns an empty History.
func New() *History {
	return &History{fine: newSeries(FineStep, FineRange), coarse: newSeries(CoarseStep, CoarseRange), began: time.Now()}
}

// each calls do for the slots of a time.
func (h *History) each(t time.Time, do func(*slot)) {
	for _, s := range []*series{&h.fine, &h.coarse} {
		if c := s.at(t); c != nil {
			do(c)
		}
	}
}

// Ended implements calls.Observer.
func (h *History) Ended(_ context.Context, c *calls.Call) {
	if !c.Counts() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.each(time.Now(), func(s *slot) {
		if place, ok := placeOfCode[c.Code]; ok {
			s.calls[place]++
		}
		if c.Tries > 0 || c.Waited > 0 {
			s.waits.add(c.Waited)
		}
	})
}

// Tried implements discord.Observer.
func (h *History) Tried(_ context.Context, t discord.Try) {
	if t.Sent.IsZero() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	// Tries are reported when they end: one that took long counts for the second in
	// which it was reported, as those that end with it.
	if second := t.Ended.Unix(); second != h.second {
		h.second, h.requests = second, 0
	}
	h.requests++
	h.each(t.Ended, func(s *slot) {
		s.busiest = max(s.busiest, h.requests)
		if t.Limit != "" {
			s.limited++
		}
		if t.Status != 0 {
			s.discord.add(t.Ended.Sub(t.Sent))
		}
	})
}

// Waiting notes how many calls wait at the moment.
func (h *History) Waiting(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.each(time.Now(), func(s *slot) { s.waiting = max(s.waiting, int32(min(n, math.MaxInt32))) })
}

// Run notes every second how many calls wait, until ctx ends.
func (h *History) Run(ctx context.Context, waiting func() int) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			h.Waiting(waiting())
		}
	}
}

// Record is the history of a range: a value for each step, oldest first.
type Record struct {
	Start time.Time
	Step  time.Duration
	// Calls are those that ended, by code.
	Calls map[string][]int32
	// Waiting is the largest number of calls that waited at the same time, Limited
	// the number of answers that named a limit, and Busiest the largest number of
	// requests in a second.
	Waiting, Limited, Busiest []int32
	// Percentiles of times in seconds, NaN where nothing was measured.
	WaitedP50, WaitedP99, DiscordP50, DiscordP99 []float32
}

// Last returns the last steps, that of this moment included. A range up to FineRange
// has fine steps, and the start of the History bounds it.
func (h *History) Last(length time.Duration) Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &h.fine
	if length > FineRange {
		s = &h.coarse
	}
	now := s.indexOf(time.Now())
	n := min(max(int64(length/s.step), 1), int64(len(s.slots)))
	n = min(n, now-s.indexOf(h.began)+1)
	r := Record{Start: time.Unix(0, (now-n+1)*int64(s.step)), Step: s.step, Calls: make(map[string][]int32)}
	for i := range n {
		c := slot{}
		if kept := &s.slots[(now-n+1+i)%int64(len(s.slots))]; kept.index == now-n+1+i {
			c = *kept
		}
		for place, count := range c.calls {
			if count == 0 {
				continue
			}
			if r.Calls[codes[place]] == nil {
				r.Calls[codes[place]] = make([]int32, n)
			}
			r.Calls[codes[place]][i] = int32(count)
		}
		r.Waiting, r.Limited, r.Busiest = append(r.Waiting, c.waiting), append(r.Limited, int32(c.limited)), append(r.Busiest, int32(c.busiest))
		r.WaitedP50, r.WaitedP99 = append(r.WaitedP50, c.waits.quantile(0.5)), append(r.WaitedP99, c.waits.quantile(0.99))
		r.DiscordP50, r.DiscordP99 = append(r.DiscordP50, c.discord.quantile(0.5)), append(r.DiscordP99, c.discord.quantile(0.99))
	}
	return r
}

// Codes returns the codes of a Record, calls.OK first and the others by their names.
func (r Record) Codes() []string {
	return slices.SortedFunc(maps.Keys(r.Calls), func(a, b string) int { return placeOfCode[a] - placeOfCode[b] })
}
