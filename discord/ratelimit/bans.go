package ratelimit

import "time"

const (
	budgetSlot  = time.Second
	budgetSlots = 600 // ten minutes
)

// budget counts answers that Discord holds to be invalid requests, over ten
// minutes.
type budget struct {
	limit int
	total int
	slots [budgetSlots]int32
	last  int64 // number of the slot that is being counted
}

// advance drops counts that are older than ten minutes.
func (b *budget) advance(now instant) {
	slot := int64(now) / int64(budgetSlot)
	if slot-b.last >= budgetSlots {
		b.slots, b.total = [budgetSlots]int32{}, 0
		b.last = slot
	}
	for b.last < slot && b.total > 0 {
		b.last++
		i := b.last % budgetSlots
		b.total -= int(b.slots[i])
		b.slots[i] = 0
	}
	b.last = max(b.last, slot)
}

func (b *budget) add(now instant) {
	b.advance(now)
	b.slots[b.last%budgetSlots]++
	b.total++
}

// scarce reports whether calls that will probably be invalid are to be
// refused.
func (b *budget) scarce() bool { return b.total >= b.limit-max(b.limit/10, 1) }

// spent reports whether nothing may be sent any more, with n calls in flight
// that may all turn out invalid. A little is kept for what is not known here.
func (b *budget) spent(n int) bool { return b.total+n >= b.limit-max(b.limit/100, 1) }

// refill returns when enough counts have become old that calls may go again.
func (b *budget) refill(now instant, spent bool) instant {
	want := b.limit - max(b.limit/10, 1)
	if spent {
		want = b.limit - max(b.limit/100, 1)
	}
	left := b.total
	for i := int64(1); i <= budgetSlots; i++ {
		left -= int(b.slots[(b.last+i)%budgetSlots])
		if left < want {
			return instant((b.last + i) * int64(budgetSlot))
		}
	}
	return now
}

const (
	firstBan = time.Minute
	maxBan   = time.Hour
	// banMemory is how long after a ban another one counts as its follower.
	banMemory = 10 * time.Minute
)

// ban is the refusal of this address by Discord's edge.
type ban struct {
	active  bool
	since   uint64  // number of the last call sent before
	until   instant // when one call may probe
	strikes int
	probe   *call
}

// begin takes a ban into account that the call of number send met, when last
// was the last one sent. Each probe that fails doubles the wait for the next
// one.
func (b *ban) begin(now instant, send, last uint64, retryAfter time.Duration) {
	if b.active && send <= b.since { // in flight when the ban was met
		b.until = max(b.until, now.add(retryAfter))
		return
	}
	if !b.active && now.sub(b.until) > banMemory {
		b.strikes = 0
	}
	wait := min(firstBan<<min(b.strikes, 10), maxBan)
	*b = ban{active: true, since: last, until: now.add(max(retryAfter, wait)), strikes: b.strikes + 1}
}

const (
	firstRefusal = time.Minute
	maxRefusal   = time.Hour
)

// begin takes a 401 to the call of number send into account, when last was the
// last one sent.
func (r *refusal) begin(now instant, send, last uint64) {
	if r.active && send <= r.since {
		return
	}
	if !r.active {
		r.strikes = 0
	}
	wait := min(firstRefusal<<min(r.strikes, 10), maxRefusal)
	*r = refusal{active: true, since: last, retry: now.add(wait), strikes: r.strikes + 1}
}
