package ratelimit

import (
	"slices"
	"time"
)

const (
	// firstPause is the wait after a limit within a bucket that does not say
	// how long it lasts.
	firstPause = 5 * time.Second
	// maxPause bounds that wait.
	maxPause = maxStall
)

// block holds back one kind of calls of a route, after a limit within the
// bucket was hit. From its end on one call goes at a time, until one is taken.
//
// A limit that says nothing of its length, such as that on the opening of
// direct message channels, has its pace found out: the pause between calls is
// doubled by each refusal and halved by each success.
type block struct {
	kind  string
	until instant       // none goes before
	pause time.Duration // between calls; 0 where Discord says how long to wait
	probe *call         // in flight
	// strikes is how many refusals in a row said how long to wait.
	strikes int
}

// find returns the block of a kind, nil if there is none.
func (r *route) find(kind string) *block {
	for i := range r.blocks {
		if r.blocks[i].kind == kind {
			return &r.blocks[i]
		}
	}
	return nil
}

// block returns the block of a kind, made if need be.
func (r *route) block(kind string) *block {
	if k := r.find(kind); k != nil {
		return k
	}
	r.blocks = append(r.blocks, block{kind: kind})
	return &r.blocks[len(r.blocks)-1]
}

// blockedUntil returns a moment before which no call of a kind can go; 0 if
// there is none.
func (r *route) blockedUntil(kind string) instant {
	if k := r.find(kind); k != nil {
		return k.until
	}
	return 0
}

// heldUntil returns the moment from which on a call of a kind may go; never if
// the answer to another one must come first.
func (r *route) heldUntil(kind string) instant {
	k := r.find(kind)
	switch {
	case k == nil:
		return 0
	case k.probe != nil:
		return never
	}
	return k.until
}

// refuse extends a block after a call that was sent at the given moment hit
// the limit. wait is how long Discord said to wait, if told.
func (k *block) refuse(now, sent instant, wait time.Duration, told bool) {
	if !told {
		if sent >= k.until { // not one of several that hit the same wall
			k.pause = min(max(2*k.pause, firstPause), maxPause)
		}
		wait = k.pause
	} else if sent >= k.until {
		k.strikes++
		wait += extraWait(k.strikes)
	}
	k.until = max(k.until, now.add(wait+headerStep))
}

// answered takes an answer into account that was no limit. It reports whether
// calls of the kind are still held.
func (r *route) answered(x *call, taken bool, now instant) bool {
	k := r.find(x.kind)
	if k == nil || x.sentAt < k.until {
		return k != nil
	}
	if taken {
		if k.pause /= 2; k.pause < firstPause {
			r.blocks = slices.DeleteFunc(r.blocks, func(b block) bool { return b.kind == x.kind })
			return false
		}
	}
	k.until = now.add(k.pause)
	return true
}
