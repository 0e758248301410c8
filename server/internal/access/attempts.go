package access

import (
	"time"

	"discordproxy/server/internal/refusals"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Attempts of one address: a burst, and one more every six seconds.
const (
	attemptBurst = 10
	attemptRate  = rate.Limit(1.0 / 6)
	// attemptPeers is how many addresses are remembered. One that is forgotten
	// may begin again.
	attemptPeers = 10_000
)

// attempts counts what an address tries, which is all that is recorded
// of it. Keys that NewKey made are good however many others were tried: nobody
// can lock out those who share an address.
type attempts struct {
	peers *lru.Cache[string, *rate.Limiter]
}

func newAttempts() *attempts {
	peers, err := lru.New[string, *rate.Limiter](attemptPeers)
	if err != nil {
		panic(err) // the size is no good
	}
	return &attempts{peers}
}

// take counts one and reports whether it was allowed.
func (a *attempts) take(peer string) bool {
	limiter, ok := a.peers.Get(peer)
	if !ok {
		limiter = rate.NewLimiter(attemptRate, attemptBurst)
		if known, ok, _ := a.peers.PeekOrAdd(peer, limiter); ok {
			limiter = known
		}
	}
	return limiter.Allow()
}

// giveBack undoes one take.
func (a *attempts) giveBack(peer string) {
	if limiter, ok := a.peers.Get(peer); ok {
		limiter.AllowN(time.Now(), -1)
	}
}

// peerOf returns the network of a peer.
func peerOf(remote string) string { return refusals.Network(remote) }

// AttemptInterval is how long an address without attempts waits for the next one.
const AttemptInterval = 6 * time.Second

// Attempts limits the wrong secrets that one address may try, as a Guard does
// for keys. It is safe for concurrent use.
type Attempts struct{ attempts *attempts }

// NewAttempts returns Attempts that have counted nothing.
func NewAttempts() *Attempts { return &Attempts{newAttempts()} }

// Take counts a wrong secret that came from the address of a connection, and
// reports whether it was within the limit.
func (a *Attempts) Take(remote string) bool {
	return a.attempts.take(peerOf(remote))
}
