package access

import (
	"encoding/json"
	"slices"

	"discordproxy/discord"
	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Target is a guild, channel or user that a call names. Inside a guild or
// channel it does not matter which users a call names.
type Target struct {
	kind discord.TargetKind
	id   uint64
	// every means all of its kind, and no id.
	every bool
}

// ids are those of one kind that a client may name.
type ids struct {
	all bool
	ids map[uint64]bool
}

// has reports whether the client may name the id.
func (i ids) has(id uint64) bool { return i.all || i.ids[id] }

// Reading contains what a call names: its targets, and other IDs, which can only restrict it.
type Reading struct {
	about, others []Target
}

// ReadingOf returns what a request of plain REST names.
func ReadingOf(r discord.Reading) Reading {
	return Reading{about: targets(r.About), others: targets(r.Others)}
}

func targets(named []discord.Target) []Target {
	list := make([]Target, len(named))
	for i, t := range named {
		list[i] = Target{kind: t.Kind, id: t.ID}
	}
	return list
}

// Read returns what a request of the API names. It is about the guilds and
// channels in its own fields, or about the users if it has no field for those.
// Guilds and channels count anywhere else too, since a message may be forwarded
// from another channel. Where there could be a list of them and is none, every
// one is meant.
func Read(request proto.Message) Reading {
	m := request.ProtoReflect()
	users, lists := true, false
	var r Reading
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch f.Name() {
		case "guild_id", "channel_id":
			users = false
		case "guild_ids", "channel_ids":
			users, lists = false, true
		}
	}
	r.fields(m, users, true)
	if lists && len(r.about) == 0 {
		r.about = []Target{{kind: discord.GuildTarget, every: true}, {kind: discord.ChannelTarget, every: true}}
	}
	return r
}

// aboutFields are the fields of a request that say what it is about.
var aboutFields = []protoreflect.Name{"guild_id", "guild_ids", "channel_id", "channel_ids", "user_id", "user_ids"}

// fields adds the targets in a message, top in the request itself.
func (r *Reading) fields(m protoreflect.Message, users, top bool) {
	add := func(f protoreflect.FieldDescriptor, v protoreflect.Value) {
		switch f.Kind() {
		case protoreflect.MessageKind:
			r.fields(v.Message(), false, false)
		case protoreflect.StringKind:
			if f.Name() == "raw_json" && json.Valid([]byte(v.String())) {
				r.others = append(r.others, targets(discord.TargetsInJSON([]byte(v.String())))...)
			}
		case protoreflect.Uint64Kind:
			kind, ok := discord.TargetKindOf(string(f.Name()))
			if !ok || kind == discord.UserTarget && !users {
				return
			}
			t := Target{kind: kind, id: v.Uint()}
			if top && slices.Contains(aboutFields, f.Name()) {
				r.about = append(r.about, t)
			} else {
				r.others = append(r.others, t)
			}
		}
	}
	reference, placed := m.Interface().(*pb.MessageReference)
	placed = placed && reference.GetChannelId() != 0
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case placed && f.Name() == "guild_id": // Discord finds the message by its channel
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
}
