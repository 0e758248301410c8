package access

import (
	"context"
	"sync"

	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
)

// Slow hashes take about a second and up to 256 MiB each.
const (
	// maxProving is how many are computed at the same time, each for another
	// address.
	maxProving = 2
	// maxWaiting is how many wait in all, maxWaitingPeer of one address.
	maxWaiting     = 16
	maxWaitingPeer = 2
)

// proving lets callers compute slow hashes. The one that waits longest goes
// first, unless another of its address is at it.
type proving struct {
	mu      sync.Mutex
	running map[string]bool // by address
	waiting []*turn
}

type turn struct {
	peer string
	mine chan struct{} // closed when it is its turn
}

// enter waits for the turn of an address, until leave.
func (p *proving) enter(ctx context.Context, peer string) (leave func(), err error) {
	p.mu.Lock()
	own := 0
	for _, t := range p.waiting {
		if t.peer == peer {
			own++
		}
	}
	if own >= maxWaitingPeer || len(p.waiting) >= maxWaiting {
		p.mu.Unlock()
		return nil, refuse(connect.CodeResourceExhausted, "too many keys are being checked, try again later")
	}
	t := &turn{peer, make(chan struct{})}
	p.waiting = append(p.waiting, t)
	p.next()
	p.mu.Unlock()
	select {
	case <-t.mine:
		return func() { p.leave(peer) }, nil
	case <-ctx.Done():
	}
	code, _ := rpc.ContextCode(ctx.Err())
	ended := connect.NewError(code, context.Cause(ctx))
	p.mu.Lock()
	for i, other := range p.waiting {
		if other == t {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			p.mu.Unlock()
			return nil, ended
		}
	}
	p.mu.Unlock()
	p.leave(peer) // its turn came at the same moment
	return nil, ended
}

func (p *proving) leave(peer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, peer)
	p.next()
}

// next lets begin who can. p.mu is held.
func (p *proving) next() {
	kept := p.waiting[:0]
	for _, t := range p.waiting {
		if len(p.running) >= maxProving || p.running[t.peer] {
			kept = append(kept, t)
			continue
		}
		p.running[t.peer] = true
		close(t.mine)
	}
	clear(p.waiting[len(kept):])
	p.waiting = kept
}
