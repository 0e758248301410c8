package api

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"discordproxy/discord"
	"discordproxy/server/internal/discordjson"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// messageRequest contains the fields that all requests with a message have. Fields of
// some requests are read with their descriptor.
type messageRequest interface {
	proto.Message
	GetContent() string
	GetEmbeds() []*pb.Embed
	GetAllowedMentions() *pb.AllowedMentions
	GetSuppressMentions() bool
	GetAttachments() []*pb.AttachmentRequest
	GetComponents() []*pb.Component
	GetComponentsV2() bool
}

// notInBody holds the fields of requests that are no keys of Discord's message
// object: they are in the path, or become other keys.
var notInBody = []string{
	"suppress_mentions", "suppress_embeds", "suppress_notifications", "components_v2", "user_id",
}

// Bits of a message's flags.
// https://discord.com/developers/docs/resources/message#message-object-message-flags
const (
	flagSuppressEmbeds        = 1 << 2
	flagSuppressNotifications = 1 << 12
	flagComponentsV2          = 1 << 15
)

// composer makes Discord's messages from requests.
type composer struct {
	uploads
	icons *icons
}

// newMessage checks a request to post a message and converts it to the
// arguments of its operation.
func (c composer) newMessage(op discord.Operation, req messageRequest) (discord.Message, error) {
	m, err := c.message(op, req)
	if err != nil {
		return m, err
	}
	for _, part := range []string{"embeds", "components", "attachments", "sticker_ids", "poll"} {
		if m.Fields[part] != nil {
			return m, nil
		}
	}
	if reference, ok := m.Fields["message_reference"].(map[string]any); ok && reference["type"] != nil ||
		strings.TrimSpace(req.GetContent()) != "" {
		return m, nil
	}
	return m, discord.EmptyMessage()
}

// message checks what is in a request with a message and converts it. What
// Discord would certainly refuse is refused with the error that it would
// answer; the rest is for Discord to judge.
func (c composer) message(op discord.Operation, req messageRequest) (discord.Message, error) {
	f := new(form)
	r := c.withOneListOfEmbeds(req)
	f.request(op, r.Interface())
	f.mentions(req.GetAllowedMentions())
	f.poll(get[*pb.Poll](r, "poll"))
	reference := get[*pb.MessageReference](r, "message_reference")
	if reference.GetType() == pb.Message_Reference_FORWARD && reference.GetChannelId() == 0 {
		f.required("message_reference.channel_id")
	}
	v2 := isV2(req)
	f.sums(v2, len(req.GetComponents()))

	m := discord.Message{Fields: discordjson.Fields(r.Interface())}
	for _, name := range notInBody {
		delete(m.Fields, name)
	}
	for _, legacy := range []string{"content", "embeds", "sticker_ids", "poll"} {
		list, isList := m.Fields[legacy].([]any)
		if value := m.Fields[legacy]; v2 && value != nil && value != "" && (!isList || len(list) > 0) {
			f.add(legacy, ruleOnlyV2, "The '%s' field cannot be used when using MessageFlags.IS_COMPONENTS_V2", legacy)
		}
	}
	if flags, changed := flagsOf(req, v2); changed {
		m.Fields["flags"] = flags
	}
	if mentions := req.GetAllowedMentions(); mentions != nil || req.GetSuppressMentions() {
		// An empty object is a statement too, and would not be written.
		o := discordjson.Fields(mentions)
		if o["parse"] == nil {
			o["parse"] = []string{}
		}
		m.Fields["allowed_mentions"] = o
	}
	if err := c.attach(f, req, &m); err != nil && f.err() == nil {
		return m, err
	}
	return m, f.err()
}

// withOneListOfEmbeds returns the request with the one embed of older clients
// in the list. Embeds without any content are no embeds, and icons that
// Discord would refuse are left out. Only the request itself is copied, and
// embeds that lose an icon.
func (c composer) withOneListOfEmbeds(req messageRequest) protoreflect.Message {
	from := req.ProtoReflect()
	if len(req.GetEmbeds()) == 0 && !isSet(req, "embed") {
		return from
	}
	r := from.New()
	from.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		r.Set(fd, v)
		return true
	})
	fields := r.Descriptor().Fields()
	var embeds []*pb.Embed
	if one := fields.ByName("embed"); one != nil && r.Has(one) {
		embeds = append(embeds, get[*pb.Embed](r, "embed"))
		r.Clear(one)
	}
	embeds = append(embeds, req.GetEmbeds()...)
	list := r.NewField(fields.ByName("embeds"))
	for _, embed := range embeds {
		embed = c.icons.clean(embed)
		if len(discordjson.Fields(embed)) > 0 {
			list.List().Append(protoreflect.ValueOfMessage(embed.ProtoReflect()))
		}
	}
	r.Set(fields.ByName("embeds"), list)
	return r
}

// get returns a message in a field that not all requests have.
func get[M proto.Message](m protoreflect.Message, name protoreflect.Name) (value M) {
	if fd := m.Descriptor().Fields().ByName(name); fd != nil && m.Has(fd) {
		value, _ = m.Get(fd).Message().Interface().(M)
	}
	return value
}

// isSet reports whether a request has a field and it is set.
func isSet(m proto.Message, name protoreflect.Name) bool {
	r := m.ProtoReflect()
	fd := r.Descriptor().Fields().ByName(name)
	return fd != nil && r.Has(fd)
}

// isV2 reports whether a message consists of components only: because it is flagged so,
// or because a top-level component is of a type that other messages cannot have there.
func isV2(req messageRequest) bool {
	if req.GetComponentsV2() {
		return true
	}
	for _, c := range req.GetComponents() {
		var typed struct {
			Type int `json:"type"`
		}
		if raw := c.GetRawJson(); raw != "" && json.Unmarshal([]byte(raw), &typed) == nil && typed.Type != 1 ||
			raw == "" && c.GetKind() != nil && c.GetActionRow() == nil {
			return true
		}
	}
	return false
}

// flagsOf returns the message's flags, and whether the request says anything
// about them.
func flagsOf(req messageRequest, v2 bool) (flags int, changed bool) {
	if r, ok := req.(interface{ GetFlags() int32 }); ok {
		flags = int(r.GetFlags())
	}
	if r, ok := req.(interface{ GetSuppressEmbeds() bool }); ok && r.GetSuppressEmbeds() {
		flags |= flagSuppressEmbeds
	}
	if r, ok := req.(interface{ GetSuppressNotifications() bool }); ok && r.GetSuppressNotifications() {
		flags |= flagSuppressNotifications
	}
	if v2 {
		flags |= flagComponentsV2
	}
	return flags, flags != 0 || isSet(req, "suppress_embeds")
}

// attach takes the files out of a request and describes them to Discord. The
// request loses their contents, so that a request that waits holds them once,
// and nobody who shows it shows them.
func (u uploads) attach(f *form, req messageRequest, m *discord.Message) error {
	if len(req.GetAttachments()) == 0 {
		return nil
	}
	isEdit := req.ProtoReflect().Descriptor().Fields().ByName("clear_attachments") != nil
	described := make([]discord.Args, 0, len(req.GetAttachments()))
	tooLarge := discord.TooLarge()
	var total int64
	for i, a := range req.GetAttachments() {
		at := fmt.Sprintf("attachments.%d", i)
		o := discord.Args{}
		if a.GetFilename() != "" {
			o["filename"] = a.GetFilename()
		}
		if a.Description != nil {
			o["description"] = a.GetDescription()
		}
		if a.IsSpoiler != nil {
			o["is_spoiler"] = a.GetIsSpoiler()
		}
		size := int64(len(a.GetData()))
		switch {
		case a.GetId() != 0 && size > 0:
			f.add(at+".data", ruleExclusive, "Cannot be used with id.")
		case a.GetId() != 0 && !isEdit:
			f.add(at+".id", ruleNoFile, "Attachment data for this entry was not found.")
		case a.GetId() != 0:
			o["id"] = strconv.FormatUint(a.GetId(), 10)
		case size == 0:
			f.required(at + ".data")
		case a.GetFilename() == "":
			f.required(at + ".filename")
		default:
			o["id"] = strconv.Itoa(len(m.Files))
			m.Files = append(m.Files, discord.File{Name: a.GetFilename(), Data: a.GetData()})
		}
		a.Data = nil
		if size > u.file {
			tooLarge.Fields = append(tooLarge.Fields, discord.FieldError{
				Field: at + ".data", Code: ruleMaxLength, Message: fmt.Sprintf("Must be %d or fewer bytes.", u.file),
			})
		}
		total += size
		described = append(described, o)
	}
	m.Fields["attachments"] = described
	if total > u.all {
		tooLarge.Fields = append(tooLarge.Fields, discord.FieldError{
			Field: "attachments", Code: ruleMaxLength, Message: fmt.Sprintf("Must be %d or fewer bytes together.", u.all),
		})
	}
	if len(tooLarge.Fields) > 0 {
		return tooLarge
	}
	return nil
}
