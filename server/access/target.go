package access

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// kind is what a target is.
type kind string

const (
	guild   kind = "guild"
	channel kind = "channel"
	user    kind = "user"
)

// Target is a guild, channel or user that a call is about. Inside a guild or
// channel it does not matter which users a call names.
type Target struct {
	kind kind
	id   uint64
	// every means all of its kind, and no id.
	every bool
}

// ids are those of one kind that a client may name.
type ids struct {
	all bool
	ids map[uint64]bool
}

// Named returns the target that an id of this name means. Of what else there
// are ids, messages and roles, lies within a guild or channel.
func Named(name string, id uint64) (Target, bool) {
	name = strings.TrimSuffix(strings.TrimSuffix(name, "s"), "_id")
	for _, k := range []kind{guild, channel, user} {
		if name == string(k) || strings.HasSuffix(name, "_"+string(k)) {
			return Target{kind: k, id: id}, true
		}
	}
	return Target{}, false
}

// TargetsOf returns what the ids in a request of the contract mean. Guilds and
// channels count wherever they stand, since a message may be forwarded from
// another channel; users only where the request has no place for a guild or
// channel. Where there could be a list of them and is none, every one is meant.
func TargetsOf(request proto.Message) []Target {
	m := request.ProtoReflect()
	users, lists := true, false
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if t, ok := Named(string(f.Name()), 0); ok && t.kind != user && f.Kind() == protoreflect.Uint64Kind {
			users = false
			lists = lists || f.IsList()
		}
	}
	targets := appendTargets(nil, m, users)
	if lists && len(targets) == 0 {
		return []Target{{kind: guild, every: true}, {kind: channel, every: true}}
	}
	return targets
}

func appendTargets(targets []Target, m protoreflect.Message, users bool) []Target {
	add := func(f protoreflect.FieldDescriptor, v protoreflect.Value) {
		switch f.Kind() {
		case protoreflect.MessageKind:
			targets = appendTargets(targets, v.Message(), false)
		case protoreflect.Uint64Kind:
			if t, ok := Named(string(f.Name()), v.Uint()); ok && (users || t.kind != user) {
				targets = append(targets, t)
			}
		}
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				add(f.MapValue(), v)
				return true
			})
		case f.IsList():
			for i := range v.List().Len() {
				add(f, v.List().Get(i))
			}
		default:
			add(f, v)
		}
		return true
	})
	return targets
}

// TargetsNamed returns what the ids of a plain request mean: those of its path,
// and those of its query and body. Users count in the path of a user, and as
// recipients.
func TargetsNamed(path, others map[string][]uint64) []Target {
	var targets []Target
	add := func(ids map[string][]uint64, count func(Target) bool) {
		for name, list := range ids {
			for _, id := range list {
				if t, ok := Named(name, id); ok && count(t) {
					targets = append(targets, t)
				}
			}
		}
	}
	place := func(t Target) bool { return t.kind != user }
	add(path, place)
	if len(targets) == 0 {
		add(path, func(Target) bool { return true })
	}
	add(others, place)
	for _, name := range []string{"recipient_id", "recipients"} { // of a direct message
		for _, id := range others[name] {
			targets = append(targets, Target{kind: user, id: id})
		}
	}
	return targets
}
