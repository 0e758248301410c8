package ratelimit

import (
	"math"
	"time"
)

// instant is a moment in nanoseconds since the Unix epoch, by a clock that
// never steps: the limiter's own or, where said, Discord's.
type instant int64

// never is later than any moment.
const never = instant(math.MaxInt64)

func (t instant) add(d time.Duration) instant { return t + instant(d) }
func (t instant) sub(u instant) time.Duration { return time.Duration(t - u) }

const (
	// headerStep is the resolution of times in headers.
	headerStep = time.Millisecond
	// clockSpan is how long a sample of Discord's clock counts, at least.
	clockSpan = time.Minute
	// clockGuard is the least error assumed of the estimate.
	clockGuard = 2 * time.Millisecond
	// sampleSlot and slotSamples bound how much a burst of answers counts: what
	// delays one of them, such as a server that has to wake up, delays the
	// others too.
	sampleSlot  = 100 * time.Millisecond
	slotSamples = 8
	// After firstSlots half of what is not certain is believed, and half of the
	// rest after each further moreSlots.
	firstSlots = 4
	moreSlots  = 16
)

// How many times the expected error of the fastest way is allowed for. A
// bucket's next unit is used by one call, which must not come early. A second
// of the global limit becomes overfull only if, besides, all that is on its
// way arrives in time for it.
const (
	bucketGuard = 32
	poolGuard   = 16
	// clockOutliers is how many answers in a row must contradict the estimate
	// before they replace it.
	clockOutliers = 3
)

// clock relates Discord's clock to ours. X-RateLimit-Reset minus
// X-RateLimit-Reset-After is the moment Discord counted a call, free of the
// jitter of the network. It lies between sending and hearing the answer, so
// each answer bounds the offset between the clocks:
//
//	counted-heard <= offset <= counted-sent
//
// The upper bound also contains the shortest way to Discord, which is what is
// needed to say when a call sent now arrives at the earliest.
type clock struct {
	now, before clockSamples // the running span and the one before it
	odd         clockSamples // answers in a row that contradict both
	// epoch counts how often the estimate was begun. Moments of Discord's
	// clock from different epochs cannot be compared.
	epoch uint32
}

type clockSamples struct {
	began  instant
	low    time.Duration // largest of counted-heard
	high   time.Duration // smallest of counted-sent
	n      int
	sum    time.Duration // of n of counted-sent less the first one
	first  time.Duration
	slots  int
	slot   instant // begin of the running slot
	inSlot int     // samples in it that count
}

func (s *clockSamples) add(sent, heard, counted instant) {
	low, high := counted.sub(heard)-headerStep, counted.sub(sent)+headerStep
	if s.n == 0 {
		*s = clockSamples{began: heard, low: low, high: high, first: high, slot: heard, slots: 1}
	}
	s.low, s.high = max(s.low, low), min(s.high, high)
	if heard.sub(s.slot) >= sampleSlot {
		s.slot, s.inSlot = heard, 0
		s.slots++
	}
	if s.inSlot < slotSamples {
		s.inSlot++
		s.n++
		s.sum += high - s.first
	}
}

// fits reports whether a sample agrees with those in s, give or take the
// drift of a clock.
func (s *clockSamples) fits(sent, heard, counted instant) bool {
	const drift = 10 * time.Millisecond
	return s.n == 0 || counted.sub(heard) <= s.high+drift && counted.sub(sent) >= s.low-drift
}

// learn takes the moment, by Discord's clock, at which a call was counted that
// was sent and answered at the given moments of ours. It reports whether the
// moment can be believed.
func (c *clock) learn(sent, heard, counted instant) bool {
	if !c.now.fits(sent, heard, counted) || !c.before.fits(sent, heard, counted) {
		if !c.odd.fits(sent, heard, counted) {
			c.odd = clockSamples{}
		}
		c.odd.add(sent, heard, counted)
		if c.odd.n < clockOutliers {
			return false
		}
		*c = clock{now: c.odd, epoch: c.epoch + 1}
		return true
	}
	c.odd = clockSamples{}
	if c.now.n == 0 {
		c.epoch++
	}
	if c.now.n > 0 && heard.sub(c.now.began) > clockSpan {
		c.before, c.now = c.now, clockSamples{}
	}
	c.now.add(sent, heard, counted)
	return true
}

// local turns a moment of Discord's clock into the moment of ours from which
// on a call that is sent then arrives after it, however fast it travels. The
// factor is one of the guards.
func (c *clock) local(t instant, factor time.Duration) instant {
	low, high, n, slots := c.now.low, c.now.high, c.now.n, c.now.slots
	mean := c.now.first
	if n > 0 {
		mean += c.now.sum / time.Duration(n)
	}
	if c.before.n > 0 {
		low, high = max(low, c.before.low), min(high, c.before.high)
		n += c.before.n
		slots += c.before.slots
	}
	// Nothing arrives before it is sent: low is certain. high is better, but
	// a call may be faster than all seen so far. The mean excess over the
	// fastest, shared among the samples, is about how far the fastest possible
	// lies below it; few samples may agree by chance; the factor makes it sure.
	// Samples of one burst may all be late together, and chance may hide fast
	// ways for a while: at first only low is trusted, then half of the gap is
	// kept, and less only after many bursts that agree.
	gap := max(high-low, 0)
	if n == 0 {
		return t.add(gap - high)
	}
	halvings := 0
	if slots >= firstSlots {
		halvings = min(1+(slots-firstSlots)/moreSlots, 30)
	}
	guard := factor * (mean - high + gap/time.Duration(n)) / time.Duration(n+1)
	return t.add(min(gap, max(guard, gap>>halvings, clockGuard)) - high)
}

// latest returns the latest moment of Discord's clock at which a call can have
// been counted that was answered at t.
func (c *clock) latest(t instant) instant { return t.add(c.now.high) }
