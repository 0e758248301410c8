package history

import (
	"math"
	"time"
)

// durations counts durations by size: below 1 ms, and then in classes that each reach
// a quarter further than the one before, up to more than a day.
type durations [classes]uint32

const (
	classes = 84
	least   = time.Millisecond
	growth  = 1.25
)

func classOf(d time.Duration) int {
	if d < least {
		return 0
	}
	return min(1+int(math.Log(float64(d)/float64(least))/math.Log(growth)), classes-1)
}

func (c *durations) add(d time.Duration) { c[classOf(d)]++ }

// quantile returns how long the part p of the durations took at most, in seconds,
// which is up to a tenth off. It is NaN without durations.
func (c *durations) quantile(p float64) float32 {
	total := uint64(0)
	for _, n := range c {
		total += uint64(n)
	}
	if total == 0 {
		return float32(math.NaN())
	}
	rank := uint64(math.Ceil(p * float64(total)))
	for class, n := range c {
		if rank > uint64(n) {
			rank -= uint64(n)
			continue
		}
		if class == 0 {
			return 0
		}
		low := least.Seconds() * math.Pow(growth, float64(class-1))
		return float32(low * math.Sqrt(growth)) // the middle of the class
	}
	return 0
}
