package gateway

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"discordproxy/discord/gateway/wire"
)

// maxOutbox is how many commands may wait to be sent.
const maxOutbox = 1000

var errBusy = errors.New("too many commands wait for the limit of Discord's gateway, 120 in 60 s")

// outgoing is a command that waits to be sent.
type outgoing struct {
	op     wire.Opcode
	data   json.RawMessage
	number uint64
}

func (o outgoing) setsPresence() bool { return o.op == wire.OpPresenceUpdate }

// outbox holds commands of others until a connection sends them. It is safe for
// concurrent use.
type outbox struct {
	wake chan struct{} // holds a token when there may be something to send

	mu       sync.Mutex
	queue    []outgoing
	last     uint64
	presence json.RawMessage
}

func newOutbox() outbox { return outbox{wake: make(chan struct{}, 1)} }

// Send sends a command, such as a presence update, when the bot is connected and
// Discord's limit allows it, after earlier commands. A presence replaces one that still
// waits, and is that of later sessions too. Other commands that a session has not sent
// when it ends are dropped. It fails if too many commands wait, and never blocks.
func (g *Gateway) Send(op wire.Opcode, data json.RawMessage) error {
	o := &g.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	out := outgoing{op, data, o.last}
	if op == wire.OpPresenceUpdate {
		o.presence = data
		o.queue = slices.DeleteFunc(o.queue, outgoing.setsPresence)
	}
	if len(o.queue) >= maxOutbox {
		return errBusy
	}
	o.queue = append(o.queue, out)
	o.poke()
	return nil
}

func (o *outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) first() (outgoing, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return outgoing{}, false
	}
	return o.queue[0], true
}

// sent removes what first returned, unless it was replaced.
func (o *outbox) sent(out outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) > 0 && o.queue[0].number == out.number {
		o.queue = o.queue[1:]
	}
}

// renew drops what was for the lost session when another one begins. A presence stays:
// it was set after IDENTIFY, which has no later one.
func (o *outbox) renew() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = slices.DeleteFunc(o.queue, func(out outgoing) bool { return !out.setsPresence() })
}

// takePresence returns the last presence for an IDENTIFY, or nil for none. It need not
// be sent any more. The result is for a field of type any.
func (o *outbox) takePresence() any {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = slices.DeleteFunc(o.queue, outgoing.setsPresence)
	if o.presence == nil {
		return nil
	}
	return o.presence
}
