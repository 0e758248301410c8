package discord

import (
	"cmp"
	"slices"
	"sync"
)

// turns keeps the order of one caller's messages to one user until each of
// them has its place in the queue of the user's channel, which keeps it from
// there on. The zero value is ready to use.
type turns struct {
	mu    sync.Mutex
	count uint64
	lines map[turnKey][]*turn // in order; only those without a place
}

type turnKey struct {
	caller string
	user   uint64
}

// turn is one message. Its methods belong to the goroutine that sends it, but
// for pass.
type turn struct {
	turns  *turns
	key    turnKey
	number uint64
	first  chan struct{} // gets one value when no other message is before it
}

// enter begins the turn of a message that comes after all others that were
// entered. It must end with pass.
func (t *turns) enter(caller string, user uint64) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count++
	x := &turn{turns: t, key: turnKey{caller, user}, number: t.count, first: make(chan struct{}, 1)}
	x.join()
	return x
}

// join adds a turn where its number belongs.
func (x *turn) join() {
	t := x.turns
	if t.lines == nil {
		t.lines = make(map[turnKey][]*turn)
	}
	line := t.lines[x.key]
	i, _ := slices.BinarySearchFunc(line, x, func(a, b *turn) int { return cmp.Compare(a.number, b.number) })
	t.lines[x.key] = slices.Insert(line, i, x)
}

// wait returns when all messages before this one have their place, are sent or
// have failed, or with the error of await.
func (x *turn) wait(await func(<-chan struct{}) error) error {
	for {
		x.turns.mu.Lock()
		first := x.turns.lines[x.key][0] == x
		x.turns.mu.Unlock()
		if first {
			return nil
		}
		if err := await(x.first); err != nil {
			return err
		}
	}
}

// pass lets the next message be queued, after this one. It may be called more than once.
func (x *turn) pass() {
	t := x.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	line := t.lines[x.key]
	i := slices.Index(line, x)
	if i < 0 {
		return
	}
	line = slices.Delete(line, i, i+1)
	if len(line) == 0 {
		delete(t.lines, x.key)
		return
	}
	t.lines[x.key] = line
	select {
	case line[0].first <- struct{}{}:
	default: // it has not looked yet since the last one
	}
}

// back takes the place away again: the message must be sent to another channel.
func (x *turn) back() {
	x.turns.mu.Lock()
	defer x.turns.mu.Unlock()
	x.join()
}
