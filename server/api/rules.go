package api

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"discordproxy/discord"
	"discordproxy/server/internal/discordjson"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rule is a requirement of Discord for a field, in addition to its type.
type rule struct {
	required bool
	// unless names fields; without any of them this one is required.
	unless []protoreflect.Name
	// excludes are fields that cannot be set together with this one.
	excludes []protoreflect.Name
	// min and max bound the characters of a text, a number, or the elements
	// of a list. A max of 0 is none.
	min, max int64
	// oneOf are the only values of a number.
	oneOf []int64
	// says what a text must be that goes into the path.
	says string
	// embedText: the text counts against the sum over all embeds.
	embedText bool
}

// rules are found by a field's name, with the name of its request in front
// where requests differ. Ids need none: they are required where the path of
// the operation holds them. Rules for the parts of
// requests are in components.go.
var rules = map[string]rule{
	discord.ReasonArgument:  {min: 1, max: 512},
	"emoji_name":            {max: 100, says: "Must be a unicode emoji, or name:id of a custom one."},
	"webhook_token":         {max: 512, says: "Must be the token of a webhook."},
	"interaction_token":     {max: 512, says: "Must be the token of an interaction."},
	"auto_archive_duration": {oneOf: []int64{60, 1440, 4320, 10080}},
	"rate_limit_per_user":   {max: 21600},
	"nick":                  {max: 32},

	"content":      {max: 2000},
	"nonce":        {max: discord.MaxNonceLength},
	"embeds":       {max: 10},
	"attachments":  {max: 10},
	"sticker_ids":  {max: 3},
	"username":     {max: 80},
	"avatar_url":   {max: 2048},
	"thread_name":  {max: 100},
	"applied_tags": {max: 5},

	"suppress_mentions": {excludes: []protoreflect.Name{"allowed_mentions"}},

	"SendDirectMessageRequest.user_id": {required: true},

	"SendDirectMessagesRequest.user_ids":        {required: true, max: 10000},
	"SendDirectMessagesRequest.message":         {required: true},
	"SendDirectMessagesRequest.idempotency_key": {max: 200},

	"BulkDeleteChannelMessagesRequest.message_ids": {required: true, max: 10000},

	"GetDirectMessageChannelRequest.user_id": {required: true},

	"ListChannelMessagesRequest.limit":  {min: 1},
	"ListChannelMessagesRequest.after":  {excludes: []protoreflect.Name{"before"}},
	"ListChannelMessagesRequest.around": {excludes: []protoreflect.Name{"before", "after"}},

	"ListGuildMembersRequest.limit":   {min: 1},
	"ListGuildsRequest.limit":         {min: 1, max: 200},
	"ListPinnedMessagesRequest.limit": {min: 1, max: 50},

	"ListReactionsRequest.limit": {min: 1, max: 100},
	"ListReactionsRequest.type":  {oneOf: []int64{0, 1}},

	"SearchGuildMembersRequest.limit": {min: 1, max: 1000},
	"SearchGuildMembersRequest.query": {required: true, min: 1, max: 100},

	"StartThreadRequest.name": {required: true, min: 1, max: 100},
	"StartThreadRequest.type": {
		unless:   []protoreflect.Name{"message_id", "message"},
		excludes: []protoreflect.Name{"message_id", "message"},
	},
	"StartThreadRequest.message":   {excludes: []protoreflect.Name{"message_id"}},
	"StartThreadRequest.invitable": {excludes: []protoreflect.Name{"message_id"}},

	"RespondInteractionRequest.type": {required: true},
	"Data.choices":                   {max: 25},

	"SetApplicationCommandsRequest.commands": {max: 130},
}

// ruleBook returns the rules of fields, and remembers them.
type ruleBook struct {
	lookUp func(protoreflect.FieldDescriptor) rule
	found  sync.Map // protoreflect.FieldDescriptor to *rule
}

var (
	requestRules = ruleBook{lookUp: func(f protoreflect.FieldDescriptor) rule {
		if r, ok := rules[string(f.Parent().Name())+"."+string(f.Name())]; ok {
			return r
		}
		return rules[string(f.Name())]
	}}
	rulesOfParts = ruleBook{lookUp: func(f protoreflect.FieldDescriptor) rule { return partRules[inContract(f)] }}
)

func (b *ruleBook) of(f protoreflect.FieldDescriptor) *rule {
	if r, ok := b.found.Load(f); ok {
		return r.(*rule)
	}
	r := b.lookUp(f)
	if cleared := discordjson.Cleared(f); cleared != nil {
		r.excludes = []protoreflect.Name{cleared.Name()}
	}
	b.found.Store(f, &r)
	return &r
}

// request checks the fields of a request for an operation, and those of the
// messages in them.
func (f *form) request(op discord.Operation, req proto.Message) {
	f.fields("", req.ProtoReflect(), op, &requestRules)
}

// fields checks the fields of the message at path in the form. path is empty for a
// request.
func (f *form) fields(path string, m protoreflect.Message, op discord.Operation, book *ruleBook) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		name, r := string(fd.Name()), book.of(fd)
		if !m.Has(fd) {
			if op.InPath(name) || r.required ||
				r.unless != nil && !slices.ContainsFunc(r.unless, func(other protoreflect.Name) bool { return m.Has(fields.ByName(other)) }) {
				f.missing(path, fd)
			}
			continue
		}
		for _, other := range r.excludes {
			if m.Has(fields.ByName(other)) {
				f.add(path+name, ruleExclusive, "%s and %s are mutually exclusive.", other, name)
			}
		}
		if fd.IsList() {
			f.list(path+name, fd, m.Get(fd).List(), r)
		} else {
			f.value(path+name, fd, m.Get(fd), r)
		}
	}
}

func (f *form) missing(path string, fd protoreflect.FieldDescriptor) {
	if path == "" && fd.Kind() == protoreflect.Uint64Kind && !fd.IsList() {
		f.id(string(fd.Name()), 0)
		return
	}
	f.required(path + string(fd.Name()))
}

func (f *form) list(name string, fd protoreflect.FieldDescriptor, list protoreflect.List, r *rule) {
	switch n := int64(list.Len()); {
	case r.max == 0 || n <= r.max:
		for i := range list.Len() {
			f.value(fmt.Sprintf("%s.%d", name, i), fd, list.Get(i), new(rule))
		}
	case r.min > 0:
		f.add(name, ruleBadLength, "Must be between %d and %d in length.", r.min, r.max)
	default:
		f.add(name, ruleMaxLength, "Must be %d or fewer in length.", r.max)
	}
}

// value checks one value that is set.
func (f *form) value(name string, fd protoreflect.FieldDescriptor, value protoreflect.Value, r *rule) {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		switch part := value.Message().Interface().(type) {
		case *pb.Component:
			f.component(name, fd, part)
		case *pb.NewMessage:
			// It is checked as any message, where it is converted.
		default:
			f.fields(name+".", value.Message(), discord.Operation{}, &rulesOfParts)
		}
	case protoreflect.Uint64Kind:
		f.id(name, value.Uint())
	case protoreflect.StringKind:
		n := int64(utf8.RuneCountInString(strings.TrimSpace(value.String())))
		switch {
		case r.min == 0 && r.max > 0 && n > r.max:
			f.add(name, ruleMaxLength, "Must be %d or fewer in length.", r.max)
		case r.max > 0 && (n < r.min || n > r.max):
			f.add(name, ruleBadLength, "Must be between %d and %d in length.", r.min, r.max)
		case r.says != "" && !discord.FitsPath(value.String()):
			f.add(name, rulePattern, "%s", r.says)
		}
		if r.required && r.min == 0 && n == 0 {
			f.required(name)
		}
		if r.embedText {
			f.embedText += int(n)
		}
	case protoreflect.Int32Kind:
		n := value.Int()
		switch {
		case len(r.oneOf) > 0:
			f.oneOf(name, n, r.oneOf)
		case n < r.min:
			f.add(name, ruleNumberMin, "int value should be greater than or equal to %d.", r.min)
		case r.max > 0 && n > r.max:
			f.add(name, ruleNumberMax, "int value should be less than or equal to %d.", r.max)
		}
	}
}

func (f *form) oneOf(name string, n int64, choices []int64) {
	text := make([]string, len(choices))
	for i, choice := range choices {
		if n == choice {
			return
		}
		text[i] = fmt.Sprint(choice)
	}
	f.add(name, ruleChoices, "Value must be one of (%s).", strings.Join(text, ", "))
}
