package gateway

import (
	"slices"
	"time"
)

// Discord's rule about sessions, which holds for the bot as a whole and for
// every program that uses its token.
const (
	budgetWindow = 24 * time.Hour
	// budgetTotal is the budget of a bot with one connection. Discord gives larger
	// numbers only to bots with several.
	budgetTotal = 1000
	// resetUnknown is how long a number from Discord without the time of its reset stays valid.
	resetUnknown = 10 * time.Minute
)

// Waits between two IDENTIFYs.
const (
	// identifyGap is Discord's own minimum.
	identifyGap = 5 * time.Second
	// A session that lived longer than the longest wait is a good one. The
	// longest wait grows from calmWait, with an unused budget, to thriftyWait,
	// when the reserve is all that is left.
	calmWait    = time.Minute
	thriftyWait = 15 * time.Minute
)

// budget decides when the bot may send its next IDENTIFY.
//
// A bot may begin 1,000 sessions in 24 hours. At the next one Discord resets
// the bot's token, which ends every program that uses it. A session that can be
// resumed costs nothing, so only those that end early are a danger: a bot that
// loses its session every six seconds would spend the budget in 100 minutes.
//
//   - The time from one IDENTIFY to the next is at least 5 seconds. It doubles
//     with each session in a row that did not live long enough, up to a longest
//     wait. What counts is how long the session lived, not how it ended.
//   - The longest wait grows with the share of the budget that is used, from one
//     minute to 15 minutes. A session has lived long enough when it outlived the
//     longest wait.
//   - A tenth of the budget is a reserve for restarts and for other programs.
//     Before it is touched, the bot pauses until enough of the budget is back.
//
// The budget counts for itself and takes Discord's session_start_limit into
// account. The worse of the two counts: Discord's number includes what other
// programs and earlier runs used, and the budget's own holds when Discord's is
// missing or wrong.
//
// All methods are plain functions of the state and a given time. A budget is
// for one goroutine.
type budget struct {
	begun []time.Time // IDENTIFYs of the last 24 hours, oldest first
	short int         // sessions in a row that did not live long enough

	// What Discord said last.
	total     int // 0: nothing
	remaining int // sessions that were left, less those that began since; -1: nothing
	reset     time.Time
}

// BudgetCount is a Gateway's count of its IDENTIFYs: a plain value that can be stored and
// passed to the Gateway of a later run.
type BudgetCount struct {
	// Begun are the times of the IDENTIFYs of the last 24 hours, oldest first.
	Begun []time.Time `json:"begun"`
	// Short is the number of sessions in a row that did not live long enough.
	Short int `json:"short"`
}

// newBudget returns a budget that continues from a count. Times in the future or
// more than 24 hours old are dropped.
func newBudget(from BudgetCount, now time.Time) budget {
	b := budget{begun: slices.Clone(from.Begun), short: max(from.Short, 0), remaining: -1}
	slices.SortFunc(b.begun, time.Time.Compare)
	b.begun = slices.DeleteFunc(b.begun, func(t time.Time) bool { return t.After(now) })
	b.forget(now)
	return b
}

func (b *budget) count(now time.Time) BudgetCount {
	b.forget(now)
	return BudgetCount{Begun: slices.Clone(b.begun), Short: b.short}
}

// forget drops the IDENTIFYs that no longer count.
func (b *budget) forget(now time.Time) {
	b.begun = slices.DeleteFunc(b.begun, func(t time.Time) bool { return now.Sub(t) >= budgetWindow })
}

// setStartLimit takes Discord's session_start_limit: total 0 and remaining -1 mean that
// Discord did not give the number.
func (b *budget) setStartLimit(total, remaining int, resetAfter time.Duration, now time.Time) {
	if resetAfter <= 0 {
		resetAfter = resetUnknown
	}
	b.total, b.remaining, b.reset = max(total, 0), remaining, now.Add(min(resetAfter, budgetWindow))
}

// identified counts an IDENTIFY. It is called before the IDENTIFY is sent: one
// whose fate is unknown counts.
func (b *budget) identified(now time.Time) {
	b.forget(now)
	b.begun = append(b.begun, now)
	if b.remaining > 0 {
		b.remaining--
	}
}

// ended takes the end of a session that lived that long, or 0 for an IDENTIFY that
// led to none.
func (b *budget) ended(lived time.Duration, now time.Time) {
	if lived >= b.longest(now) {
		b.short = 0
	} else {
		b.short++
	}
}

// size is the number of sessions in a day.
func (b *budget) size() int {
	if b.total == 0 {
		return budgetTotal
	}
	return min(b.total, budgetTotal)
}

// reserve is the part of the budget that stays.
func (b *budget) reserve() int { return min((b.size()+9)/10, b.size()-1) }

// left is how many sessions may still begin, the reserve included.
func (b *budget) left(now time.Time) int {
	b.forget(now)
	left := b.size() - len(b.begun)
	if b.believed(now) {
		left = min(left, b.remaining)
	}
	return max(left, 0)
}

// believed reports whether Discord's number is still valid.
func (b *budget) believed(now time.Time) bool { return b.remaining >= 0 && now.Before(b.reset) }

// longest is the longest wait, and the shortest life of a good session.
func (b *budget) longest(now time.Time) time.Duration {
	usable := max(b.size()-b.reserve(), 1)
	used := min(b.size()-b.left(now), usable)
	return calmWait + (thriftyWait-calmWait)*time.Duration(used)/time.Duration(usable)
}

// next returns when the next IDENTIFY may be sent: now, or later. paused is
// whether it has to wait because only the reserve is left.
func (b *budget) next(now time.Time) (at time.Time, paused bool) {
	at = now
	if b.left(now) <= b.reserve() {
		if b.believed(now) && b.remaining <= b.reserve() {
			at = b.reset
		}
		// So many of the oldest must be forgotten that one more is allowed.
		if over := len(b.begun) - (b.size() - b.reserve() - 1); over > 0 && over <= len(b.begun) {
			at = latest(at, b.begun[over-1].Add(budgetWindow))
		}
		return at, true
	}
	if n := len(b.begun); n > 0 {
		gap := min(identifyGap<<min(b.short, 10), b.longest(now))
		at = latest(at, b.begun[n-1].Add(gap))
	}
	return at, false
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
