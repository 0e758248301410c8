package events

import (
	"discordproxy/discord/gateway"
	"discordproxy/server/internal/rpc"

	pb "discordproxy/gen/discord_api"
)

// Dispatch keeps an event of Discord's. With Changed it makes the hub a
// gateway.Handler.
func (h *Hub) Dispatch(d gateway.Dispatch) { h.Publish(Of(d)) }

// EndedError ends subscriptions when Discord does not accept another connection.
type EndedError struct{ Reason string }

func (e *EndedError) Error() string { return e.Reason }

// Changed keeps a change of the connection as an event, and ends all
// subscriptions with the connection. However often it fails to
// connect, the loss is one event; another one says that the session cannot be
// resumed any more, and another one that the gateway pauses. While Config.Unsaved
// reports true, only a new session and the end of the connection are kept.
func (h *Hub) Changed(s gateway.Status) {
	state := &pb.Event_GatewayState{Reason: s.Reason, Resumable: s.Resumable}
	switch s.State {
	case gateway.Connected:
		state.State = pb.Event_GatewayState_CONNECTED
		if s.Resumed {
			state.State = pb.Event_GatewayState_RESUMED
		}
	case gateway.Disconnected:
		state.State = pb.Event_GatewayState_DISCONNECTED
		if h.isLost(s.Resumable) {
			return
		}
	case gateway.Paused:
		// It is one more event of the loss, for its reason.
		state.State = pb.Event_GatewayState_DISCONNECTED
	case gateway.Ended:
		state.State = pb.Event_GatewayState_ENDED
	case gateway.Off:
		h.End(rpc.ErrShuttingDown)
		return
	default:
		return
	}
	// Discord sends its own events again to a later run, which gives them the same numbers.
	// It does not know of this one, whose number it would give to another event.
	unsaved := h.unsaved()
	switch {
	case s.State == gateway.Connected && !s.Resumed:
		if h.settle(false); unsaved {
			h.begin()
		}
	case unsaved && s.State == gateway.Connected:
		h.settle(true)
		return
	case unsaved && s.State != gateway.Ended:
		return
	}
	h.Publish(&Event{Type: pb.Event_GATEWAY_STATE, State: state, Time: s.Since})
	if s.State == gateway.Connected {
		h.settle(true)
	}
	if s.State == gateway.Ended {
		h.End(&EndedError{s.Reason})
	}
}

// isLost reports whether the loss of the connection was reported to subscribers, and
// whether its session can be resumed.
func (h *Hub) isLost(resumable bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost != nil && h.lost.State.GetResumable() == resumable
}
