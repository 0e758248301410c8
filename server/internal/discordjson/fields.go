// Package discordjson converts between Discord's JSON objects and the messages of
// the API.
//
// The API names its fields as Discord does, so one walk along a message's descriptor
// converts every object, and a new field needs no code. The differences are in this
// file.
package discordjson

import (
	"strings"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// names holds the fields whose name in the API is not Discord's.
var names = map[protoreflect.FullName]string{
	"discord_api.Embed.Image.proxy_icon_url": "proxy_url",
	"discord_api.Embed.Video.proxy_icon_url": "proxy_url",
	"discord_api.Emoji.required_colons":      "require_colons",
	"discord_api.Role.Tag.id":                "bot_id",

	"discord_api.GetDirectMessageChannelRequest.user_id": "recipient_id",
}

// shifted holds the enums whose numbers are Discord's plus one.
var shifted = map[protoreflect.FullName]bool{
	"discord_api.Channel.Type": true,
}

// presence holds the flags that Discord sets by a key whose value is null.
var presence = map[protoreflect.FullName]bool{
	"discord_api.Role.Tag.premium_subscriber":     true,
	"discord_api.Role.Tag.available_for_purchase": true,
	"discord_api.Role.Tag.guild_connections":      true,
}

// keyed holds the lists whose elements Discord has in an object, by their ids.
// The value is the key of the object with the id that an element lacks, if any.
var keyed = map[protoreflect.FullName]string{
	"discord_api.Interaction.Data.Resolved.users":       "",
	"discord_api.Interaction.Data.Resolved.members":     "user",
	"discord_api.Interaction.Data.Resolved.roles":       "",
	"discord_api.Interaction.Data.Resolved.channels":    "",
	"discord_api.Interaction.Data.Resolved.messages":    "",
	"discord_api.Interaction.Data.Resolved.attachments": "",
}

// field is a field of a message with its name in Discord's JSON.
type field struct {
	protoreflect.FieldDescriptor
	name     string
	shift    protoreflect.EnumNumber
	presence bool
	keyed    bool
	lacks    string // of elements in keyed lists
	union    bool
	clears   *field
}

// Cleared returns the field whose value f removes, or nil if f is not such a flag:
// clear_nick removes the nick. Setting neither leaves the nick as it is.
func Cleared(f protoreflect.FieldDescriptor) protoreflect.FieldDescriptor {
	if name, ok := strings.CutPrefix(string(f.Name()), "clear_"); ok && f.Kind() == protoreflect.BoolKind {
		return f.ContainingMessage().Fields().ByName(protoreflect.Name(name))
	}
	return nil
}

// object is what is known of one kind of message.
type object struct {
	fields []field // in the order of the API
	byName map[string]*field
}

var objects sync.Map // protoreflect.MessageDescriptor to *object

func objectOf(d protoreflect.MessageDescriptor) *object {
	if o, ok := objects.Load(d); ok {
		return o.(*object)
	}
	o := &object{byName: make(map[string]*field)}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		f := field{FieldDescriptor: fd, name: string(fd.Name()), presence: presence[fd.FullName()]}
		f.lacks, f.keyed = keyed[fd.FullName()]
		f.union = fd.Kind() == protoreflect.MessageKind && unions[fd.Message().FullName()]
		if name, ok := names[fd.FullName()]; ok {
			f.name = name
		}
		if fd.Kind() == protoreflect.EnumKind && shifted[fd.Enum().FullName()] {
			f.shift = 1
		}
		o.fields = append(o.fields, f)
	}
	for i := range o.fields {
		o.byName[o.fields[i].name] = &o.fields[i]
	}
	for i := range o.fields {
		if cleared := Cleared(o.fields[i].FieldDescriptor); cleared != nil {
			o.fields[i].clears = &o.fields[cleared.Index()]
		}
	}
	objects.Store(d, o)
	return o
}
