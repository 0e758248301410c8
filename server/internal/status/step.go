package status

import (
	"sync"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// step is what has changed between two views. All watchers who take it share its
// message.
type step struct {
	changed bool // whether anything has changed
	plain   *pb.WatchStatusResponse

	once   sync.Once
	binary *pb.WatchStatusResponse
	err    error
}

// message returns the message of the step, which must not be changed. In the binary
// form it was encoded already: to the message, all fields are unknown ones, which it
// writes as they are, and so the reader finds them.
func (s *step) message(asJSON bool) (*pb.WatchStatusResponse, error) {
	if asJSON {
		return s.plain, nil
	}
	s.once.Do(func() {
		var wire []byte
		wire, s.err = proto.Marshal(s.plain)
		s.binary = new(pb.WatchStatusResponse)
		s.binary.ProtoReflect().SetUnknown(wire)
	})
	return s.binary, s.err
}

// stepFrom returns the step from a view, or nil for none, to the newest. b.mu must be
// held.
func (b *Service) stepFrom(known *view) *step {
	v := b.view
	if s := v.steps[known]; s != nil {
		return s
	}
	from := known
	if from == nil {
		from = new(view)
	}
	m := &pb.WatchStatusResponse{Time: timestamppb.New(v.at), CallsPerSecond: v.rate, DrainsIn: drainsIn(v.limits)}
	s := &step{plain: m, changed: known == nil || v.rate != from.rate || v.calls != from.calls || v.messages != from.messages}
	if v.proxy != from.proxy {
		m.Proxy, s.changed = v.proxy, true
	}
	if v.limits != from.limits {
		m.Limits, s.changed = v.limits, true
	}
	if v.sandbox != from.sandbox {
		m.Sandbox, s.changed = v.sandbox, true
	}
	m.Slots = b.slots.after(from.calls, v.at)
	if !b.config.Open {
		m.Calls = b.calls.between(from.calls, v.calls)
	}
	m.SandboxMessages = b.messages.between(from.messages, v.messages)
	v.steps[known] = s
	return s
}
