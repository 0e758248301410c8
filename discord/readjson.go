package discord

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

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

// place is where a value is in a document.
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
			return w.object(at)
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

func (w *jsonWalk) object(at place) error {
	inside := within
	if at == atRoot {
		inside = topField
	}
	seen := make(map[string]bool)
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
		if unknownUsers[key] && len(bodyTargets[w.fields.route]) > 0 {
			w.fields.others = append(w.fields.others, Target{Kind: UserTarget})
		}
		if err := w.value(key, inside); err != nil {
			return err
		}
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
