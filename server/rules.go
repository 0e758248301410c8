package server

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"discordproxy/discord"
	"discordproxy/server/discordjson"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rule is what Discord demands of a field beyond its type.
type rule struct {
	required bool
	// min and max bound the characters of a text, a number, or the elements
	// of a list. A max of 0 is none.
	min, max int64
	// oneOf are the only values of a number.
	oneOf []int64
}

// rules are found by a field's name, with the name of its request in front
// where requests differ. Ids need none: they are required where the path of
// the operation holds them. Limits of messages stand in validate.go.
var rules = map[string]rule{
	discord.ReasonArgument: {min: 1, max: 512},

	"ListChannelMessagesRequest.limit": {min: 1},
}

func ruleOf(f protoreflect.FieldDescriptor) rule {
	if r, ok := rules[string(f.Parent().Name())+"."+string(f.Name())]; ok {
		return r
	}
	return rules[string(f.Name())]
}

// request checks the fields of a request for an operation.
func (f *form) request(op discord.Operation, req proto.Message) {
	m := req.ProtoReflect()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		name, r := string(fd.Name()), ruleOf(fd)
		inPath := op.InPath(name)
		value := m.Get(fd)
		switch {
		case fd.IsList():
			f.list(name, fd, value.List(), r)
		case !m.Has(fd):
			switch {
			case inPath && fd.Kind() == protoreflect.Uint64Kind:
				f.id(name, 0)
			case inPath || r.required:
				f.add(name, ruleRequired, "This field is required")
			}
		default:
			if cleared := discordjson.Cleared(fd); cleared != nil && m.Has(cleared) {
				f.add(name, ruleExclusive, "%s and %s are mutually exclusive.", cleared.Name(), name)
			}
			f.value(name, fd, value, r)
			if inPath && fd.Kind() == protoreflect.StringKind && !discord.FitsPath(value.String()) {
				f.add(name, rulePattern, "String value did not match validation regex.")
			}
		}
	}
}

func (f *form) list(name string, fd protoreflect.FieldDescriptor, list protoreflect.List, r rule) {
	n := int64(list.Len())
	switch {
	case n == 0 && r.required:
		f.add(name, ruleRequired, "This field is required")
	case r.max > 0 && n > r.max:
		f.add(name, ruleMaxLength, "Must be %d or fewer in length.", r.max)
	default:
		for i := range list.Len() {
			f.value(fmt.Sprintf("%s.%d", name, i), fd, list.Get(i), rule{})
		}
	}
}

// value checks one value that is set.
func (f *form) value(name string, fd protoreflect.FieldDescriptor, value protoreflect.Value, r rule) {
	switch fd.Kind() {
	case protoreflect.Uint64Kind:
		f.id(name, value.Uint())
	case protoreflect.StringKind:
		n := int64(utf8.RuneCountInString(strings.TrimSpace(value.String())))
		switch {
		case r.min == 0 && r.max > 0 && n > r.max:
			f.add(name, ruleMaxLength, "Must be %d or fewer in length.", r.max)
		case r.max > 0 && (n < r.min || n > r.max):
			f.add(name, ruleBadLength, "Must be between %d and %d in length.", r.min, r.max)
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

// exclusive checks that at most one of some fields is set.
func (f *form) exclusive(req proto.Message, names ...protoreflect.Name) {
	first := protoreflect.Name("")
	for _, name := range names {
		switch {
		case !isSet(req, name):
		case first == "":
			first = name
		default:
			f.add(string(name), ruleExclusive, "%s and %s are mutually exclusive.", first, name)
		}
	}
}
