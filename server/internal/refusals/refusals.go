// Package refusals limits what refused requests write to the log: how much of
// a request a line shows, and how many lines there are.
package refusals

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// maxShown is how many characters of a value Shorten keeps.
const maxShown = 100

// Shorten returns the first 100 characters of a value that a client chose, for
// a line in a log. Bytes that are not UTF-8 become U+FFFD.
func Shorten(value string) string {
	const mostBytes = 4 * maxShown // of 100 characters
	cut := value
	if len(cut) > mostBytes {
		cut = cut[:mostBytes]
	}
	return strings.Clone(fmt.Sprintf("%.*s", maxShown, strings.ToValidUTF8(cut, "\uFFFD")))
}

// credential finds what follows the ID of a webhook or an interaction in a path:
// its token, which is enough to use it.
var credential = regexp.MustCompile(`(?is)(/+(?:webhooks|interactions)/+[^/]*/+)[^/].*`)

// Path returns the path of a request as a line of the log shows it: shortened,
// and without the tokens of webhooks and interactions.
func Path(path string) string { return Shorten(credential.ReplaceAllString(path, "${1}...")) }

// The lines of one network, and of all networks together: so many immediately,
// then so many a second.
const (
	networkBurst = 10
	networkRate  = rate.Limit(1.0 / 6)
	allBurst     = 100
	allRate      = rate.Limit(1)
	// maxNetworks is how many networks are remembered.
	maxNetworks = 10_000
)

// Log decides which refusals are worth a line in a log. It is safe for
// concurrent use.
type Log struct {
	mu       sync.Mutex
	networks *lru.Cache[string, *rate.Limiter]
	all      *rate.Limiter
	omitted  int // of all networks, since the last line
}

// NewLog returns a Log that allows 10 lines for each network and then one in 6
// seconds, and 100 lines for all networks and then one a second.
func NewLog() *Log {
	networks, err := lru.New[string, *rate.Limiter](maxNetworks)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &Log{networks: networks, all: rate.NewLimiter(allRate, allBurst)}
}

// Allow reports whether the refusal of a request from a remote address, with or
// without port, is worth a line. omitted is how many refusals had none since
// the last line.
func (l *Log) Allow(remote string) (allowed bool, omitted int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	network := Network(remote)
	own, ok := l.networks.Get(network)
	if !ok {
		own = rate.NewLimiter(networkRate, networkBurst)
		l.networks.Add(network, own)
	}
	if !own.Allow() || !l.all.Allow() {
		l.omitted++
		return false, 0
	}
	omitted, l.omitted = l.omitted, 0
	return true, omitted
}

// Network returns the address of a peer without its port. For IPv6 it is the
// network of 64 bits that one customer of a provider has.
func Network(remote string) string {
	addr, err := netip.ParseAddr(remote)
	if at, failed := netip.ParseAddrPort(remote); failed == nil {
		addr, err = at.Addr(), nil
	}
	if err != nil {
		return remote
	}
	addr = addr.Unmap()
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return addr.String()
}
