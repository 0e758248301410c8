package discordjson

import (
	"encoding/json"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// unions holds the messages that stand for objects whose key "type" says which
// further keys they have. Each kind is a member of the message's oneof, and
// its number is Discord's type. The member raw_json is an object of any type.
var unions = map[protoreflect.FullName]bool{
	"discord_api.Component": true,
}

// rawJSON is the member of a union that holds Discord's own JSON.
const rawJSON = "raw_json"

// writeUnion returns nil for a message without a kind.
func writeUnion(m protoreflect.Message) any {
	kind := m.WhichOneof(m.Descriptor().Oneofs().Get(0))
	if kind == nil {
		return nil
	}
	if kind.Name() == rawJSON {
		return json.RawMessage(m.Get(kind).String())
	}
	o := write(m.Get(kind).Message())
	o["type"] = int(kind.Number())
	return o
}

func fillUnion(m protoreflect.Message, o value, depth int) {
	fields := m.Descriptor().Fields()
	if number, ok := integer(o.Member("type")); ok && number > 0 && int64(int32(number)) == number {
		kind := fields.ByNumber(protoreflect.FieldNumber(number))
		if kind != nil && kind.Name() != rawJSON {
			fill(m.Mutable(kind).Message(), o, depth)
			return
		}
	}
	if data, err := json.Marshal(o.Decoded()); err == nil {
		m.Set(fields.ByName(rawJSON), protoreflect.ValueOfString(string(data)))
	}
}
