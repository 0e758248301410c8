package discord

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// messageReference is the field of a message that names another one. Discord
// finds that one by channel_id, so that a guild_id next to it names no target.
// https://discord.com/developers/docs/resources/message#message-reference-structure
const messageReference = "message_reference"

// json finds the targets in a JSON document. It refuses what parsers read in
// several ways, such as a name that an object has twice. isBody says that the
// document is the whole body.
func (f *fields) json(data []byte, isBody bool) error {
	if !utf8.Valid(data) {
		return errors.New("the JSON is not UTF-8")
	}
	if !json.Valid(data) {
		return errors.New("it is not one JSON document")
	}
	w := jsonWalk{f, json.NewDecoder(bytes.NewReader(data))}
	w.decoder.UseNumber()
	if isBody {
		return w.value("", atRoot)
	}
	return w.value("", within)
}

// TargetsInJSON returns the guilds, the channels and the recipients of direct
// messages that a valid JSON document names.
func TargetsInJSON(data []byte) []Target {
	f := new(fields)
	if err := f.json(data, false); err != nil {
		// Parsers may read it differently, so that it could name anything.
		return []Target{{Kind: GuildTarget}, {Kind: ChannelTarget}}
	}
	return f.others
}

// jsonWalk visits the values of a document.
type jsonWalk struct {
	fields  *fields
	decoder *json.Decoder
}

// place is the position of a value in a document.
type place int

const (
	atRoot    place = iota // the body itself
	topField               // a field of the body
	inTopList              // an element of the list that a field of the body is
	within                 // anywhere else
)

// value visits the next value, which has a name, or is in a list that has one.
func (w *jsonWalk) value(name string, at place) error {
	token, err := w.decoder.Token()
	if err != nil {
		return err
	}
	top := at == topField || at == inTopList
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return w.object(name, at)
		}
		return w.list(name, at)
	case string:
		w.fields.value(name, token, top)
	case json.Number:
		w.fields.value(name, token.String(), top)
	case bool:
		w.fields.value(name, "", top)
	}
	return nil
}

// object visits the fields of an object, which has a name, or is in a list that
// has one.
func (w *jsonWalk) object(name string, at place) error {
	inside := within
	if at == atRoot {
		inside = topField
	}
	f := w.fields
	seen := make(map[string]bool)
	var guild []Target // of a reference
	placed := false    // whether its channel says where the message is
	for w.decoder.More() {
		token, err := w.decoder.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string) // a key is one
		if seen[key] {
			return fmt.Errorf("an object has the field %.40q twice", key)
		}
		seen[key] = true
		if unknownUsers[key] && len(bodyTargets[f.route]) > 0 {
			f.others = append(f.others, Target{Kind: UserTarget})
		}
		before := len(f.others)
		if err := w.value(key, inside); err != nil {
			return err
		}
		switch {
		case name != messageReference:
		case key == "guild_id":
			guild = slices.Clone(f.others[before:])
			f.others = f.others[:before]
		case key == "channel_id":
			placed = len(f.others) == before+1 && f.others[before].ID != 0
		}
	}
	if !placed {
		f.others = append(f.others, guild...)
	}
	_, err := w.decoder.Token()
	return err
}

func (w *jsonWalk) list(name string, at place) error {
	inside := within
	if at == topField {
		inside = inTopList
	}
	for w.decoder.More() {
		if err := w.value(name, inside); err != nil {
			return err
		}
	}
	_, err := w.decoder.Token()
	return err
}
