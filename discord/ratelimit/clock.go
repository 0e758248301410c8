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
	// A burst is the answers that are heard within sampleTime. burstSamples
	// bounds how much it counts: what delays one of them, such as a server that
	// has to wake up, delays the others too.
	sampleTime   = 100 * time.Millisecond
	burstSamples = 8
	// How many times the expected error of the fastest way is allowed for, as
	// it follows from single answers and from bursts. If ways are spread evenly,
	// the chance that one of n is faster than sampleGuard allows is exp(-16)/n.
	sampleGuard = 32
	burstGuard  = 16
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
	began instant
	low   time.Duration // largest of counted-heard
	high  time.Duration // smallest of counted-sent
	n     int
	sum   time.Duration // of n of counted-sent less the first one
	first time.Duration

	bursts  int
	burst   instant       // begin of the running one
	inBurst int           // samples in it that count
	fastest time.Duration // smallest of counted-sent in it
	fastSum time.Duration // of the smallest of the earlier bursts, less the first sample
}

func (s *clockSamples) add(sent, heard, counted instant) {
	low, high := counted.sub(heard)-headerStep, counted.sub(sent)+headerStep
	if s.n == 0 {
		*s = clockSamples{began: heard, low: low, high: high, first: high, burst: heard, bursts: 1, fastest: high}
	}
	s.low, s.high = max(s.low, low), min(s.high, high)
	if heard.sub(s.burst) >= sampleTime {
		s.fastSum += s.fastest - s.first
		s.burst, s.inBurst, s.fastest = heard, 0, high
		s.bursts++
	}
	s.fastest = min(s.fastest, high)
	if s.inBurst < burstSamples {
		s.inBurst++
		s.n++
		s.sum += high - s.first
	}
}

// mean returns the mean of counted-sent.
func (s *clockSamples) mean() time.Duration { return s.first + s.sum/time.Duration(s.n) }

// burstMean returns the mean of the smallest of counted-sent in each burst.
func (s *clockSamples) burstMean() time.Duration {
	return s.first + (s.fastSum+s.fastest-s.first)/time.Duration(s.bursts)
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
// on a call that is sent then arrives after it, however fast it travels.
func (c *clock) local(t instant) instant {
	low, high, n, bursts := c.now.low, c.now.high, c.now.n, c.now.bursts
	if n == 0 {
		return t.add(max(high-low, 0) - high)
	}
	if c.before.n > 0 {
		low, high = max(low, c.before.low), min(high, c.before.high)
		n += c.before.n
		bursts += c.before.bursts
	}
	// Nothing arrives before it is sent: low is certain. high is better, but a
	// call may be faster than all seen so far. The mean excess over the fastest,
	// shared among the samples, is about how far the fastest possible lies below
	// it. Few samples may agree by chance, so what is not certain is shared
	// among them too, and the factor makes it sure. Samples of one burst may all
	// be late together, so the same is asked of the fastest of each burst; and
	// because chance may hide fast ways for a while, a part of what is not
	// certain is kept until many bursts agree.
	gap := max(high-low, 0)
	guard := max(
		sampleGuard*(c.now.mean()-high+gap/time.Duration(n))/time.Duration(n+1),
		burstGuard*(c.now.burstMean()-high+gap/time.Duration(bursts))/time.Duration(bursts+1),
		2*gap/time.Duration(bursts),
		clockGuard,
	)
	return t.add(min(gap, guard) - high)
}

// earliest returns the earliest moment of our clock that a moment of Discord's
// clock can be.
func (c *clock) earliest(t instant) instant {
	high := c.now.high
	if c.before.n > 0 {
		high = min(high, c.before.high)
	}
	return t.add(-high)
}

// latest returns the latest moment of Discord's clock at which a call can have
// been counted that was answered at t.
func (c *clock) latest(t instant) instant { return t.add(c.now.high) }
