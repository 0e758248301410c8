package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Use is a user's action: using a command of the bot, pressing a button or choosing from
// a select menu of a message, or submitting a modal. The sandbox turns it into the
// interaction that Discord would, with the objects that it names.
type Use struct {
	Channel ID  `json:"channel_id"`
	User    ID  `json:"user"` // none means Alice
	Bot     ID  `json:"bot"`  // none means the default bot
	Type    int `json:"type"` // 0 means what the other fields are for

	// Of commands. Options are as in Discord's interaction data. The command
	// need not be registered. The options of one that is, and that has options, are
	// checked, and need no type.
	Name    string          `json:"name"` // empty means "ping"
	Options json.RawMessage `json:"options"`
	Target  ID              `json:"target"` // the user or message of a command in a context menu

	// Of buttons and selects, Values of selects only: the values of options, or
	// IDs of users, roles or channels. Without Message it is the newest message
	// of the channel that has the component.
	CustomID string   `json:"custom_id"`
	Message  ID       `json:"message"`
	Values   []string `json:"values"`

	// Of modals: the interaction that the bot answered with one, or none for the
	// newest, and what is filled in, by custom IDs. A value is text, a list of
	// text for selects and checkboxes, true or false for a single checkbox, or
	// names for files to upload.
	Interaction ID             `json:"interaction"`
	Fields      map[string]any `json:"fields"`

	// Data replaces the interaction data that is made of all this.
	Data json.RawMessage `json:"data"`

	opened *interaction // that the bot answered with the modal
}

// kind is the use's type, from the fields that are set.
func (u *Use) kind() int {
	switch {
	case u.Type != 0:
		return u.Type
	case u.Interaction != 0 || u.Fields != nil:
		return InteractionModal
	case u.CustomID != "":
		return InteractionComponent
	}
	return InteractionCommand
}

// cannot is a mistake in a Use.
func cannot(format string, args ...any) error {
	return errControl{fmt.Errorf("sandbox: "+format, args...)}
}

// used makes the data of an interaction, and names the message that it is about.
func (s *Sandbox) used(ch *channel, u *Use) (data map[string]any, err error) {
	switch {
	case u.Data != nil:
		return nil, nil
	case u.Type == InteractionComponent:
		return s.pressed(ch, u)
	case u.Type == InteractionModal:
		return s.submitted(ch, u)
	}
	return s.commanded(ch, u)
}

func (s *Sandbox) commanded(ch *channel, u *Use) (map[string]any, error) {
	data := map[string]any{"id": s.newID(), "name": u.Name, "type": commandChat}
	for _, scope := range []commandScope{{u.Bot, ch.GuildID}, {u.Bot, 0}} {
		if i := slices.IndexFunc(s.commands[scope], func(c *Command) bool { return c.Name == u.Name }); i >= 0 {
			command := s.commands[scope][i]
			data["id"], data["type"] = command.ID, command.Type
			if len(command.Options) > 0 {
				used, err := usedOptions(u.Name, command.Options, u.Options, u.Type == InteractionAutocomplete)
				if err != nil {
					return nil, err
				}
				u.Options = nil
				if len(used) > 0 {
					u.Options = mustJSON(used)
				}
			}
			if scope.guild != 0 {
				data["guild_id"] = scope.guild
			}
			break
		}
	}
	found := make(resolved)
	if u.Options != nil {
		data["options"] = u.Options
		s.resolve(found, ch, u.User, u.Options)
	}
	if u.Target != 0 {
		data["target_id"] = u.Target
		if m := ch.message(u.Target); m != nil {
			data["type"] = commandMessage
			found.add("messages", m.ID, s.view(m, u.Bot))
		} else {
			data["type"] = commandUser
			s.resolveUser(found, ch, u.Target)
		}
	}
	if len(found) > 0 {
		data["resolved"] = found
	}
	return data, nil
}

// eachComponent calls f with all components, those within others too, until it
// returns false.
func eachComponent(in any, f func(map[string]any) bool) bool {
	switch v := in.(type) {
	case []map[string]any:
		for _, c := range v {
			if !eachComponent(c, f) {
				return false
			}
		}
	case []any:
		for _, c := range v {
			if !eachComponent(c, f) {
				return false
			}
		}
	case map[string]any:
		return f(v) && eachComponent(v["components"], f) && eachComponent(v["accessory"], f) && eachComponent(v["component"], f)
	}
	return true
}

func componentOf(in []map[string]any, customID string) (found map[string]any) {
	eachComponent(in, func(c map[string]any) bool {
		if c["custom_id"] == customID {
			found = c
		}
		return found == nil
	})
	return found
}

func (s *Sandbox) pressed(ch *channel, u *Use) (map[string]any, error) {
	if u.Message == 0 {
		for _, m := range slices.Backward(ch.messages) {
			if componentOf(m.Components, u.CustomID) != nil {
				u.Message = m.ID
				break
			}
		}
	}
	m := ch.message(u.Message)
	if m == nil {
		return nil, cannot("no message with a component %q in channel %d", u.CustomID, ch.ID)
	}
	c := componentOf(m.Components, u.CustomID)
	switch {
	case c == nil:
		return nil, cannot("message %d has no component %q", m.ID, u.CustomID)
	case c["disabled"] == true:
		return nil, cannot("the component %q is disabled", u.CustomID)
	}
	kind, _ := wholeOf(c["type"])
	number, _ := wholeOf(c["id"])
	data := map[string]any{"id": max(number, 1), "custom_id": u.CustomID, "component_type": kind}
	if kind == componentButton {
		if len(u.Values) > 0 {
			return nil, cannot("the button %q takes no values", u.CustomID)
		}
		return data, nil
	}
	found := make(resolved)
	if err := s.pick(found, ch, u, c, u.Values); err != nil {
		return nil, err
	}
	data["values"] = orEmpty(u.Values)
	if len(found) > 0 {
		data["resolved"] = found
	}
	return data, nil
}

// pick checks the values that are picked from a component, and resolves them.
func (s *Sandbox) pick(found resolved, ch *channel, u *Use, c map[string]any, values []string) error {
	id, _ := c["custom_id"].(string)
	least, _ := wholeOf(cmp.Or(c["min_values"], any(0)))
	most, limited := wholeOf(c["max_values"])
	if c["required"] == false && len(values) == 0 {
		least = 0
	}
	if len(values) < least || limited && len(values) > most {
		return cannot("%q takes %d to %d values, not %d", id, least, most, len(values))
	}
	options, fixed := c["options"].([]any)
	channelTypes, _ := c["channel_types"].([]any)
	for i, value := range values {
		if slices.Contains(values[:i], value) {
			return cannot("%q takes %q once", id, value)
		}
		if fixed {
			if !slices.ContainsFunc(options, func(o any) bool { return o.(map[string]any)["value"] == value }) {
				return cannot("%q has no option %q", id, value)
			}
			continue
		}
		target, err := ParseID(value)
		if err != nil {
			return cannot("%q takes ids, not %q", id, value)
		}
		kind, _ := wholeOf(c["type"])
		before := found.len()
		s.resolveID(found, ch, u.User, selectOptions[kind], target)
		if found.len() == before {
			return cannot("%q: there is no %d to pick", id, target)
		}
		if picked := s.channels[target]; picked != nil && len(channelTypes) > 0 && !slices.ContainsFunc(channelTypes, func(one any) bool {
			number, _ := wholeOf(one)
			return number == int(picked.Type)
		}) {
			return cannot("%q takes no channel of type %d", id, picked.Type)
		}
	}
	return nil
}

// selectOptions are the kinds of options whose values selects pick.
var selectOptions = map[int]int{
	componentUsers: optionUser, componentRoles: optionRole, componentMentions: optionMention, componentChannels: optionChannel,
}

// modalOf finds the interaction that was answered with a modal.
func (s *Sandbox) modalOf(ch *channel, u *Use) *interaction {
	for _, token := range slices.Backward(s.interactionOrder) {
		w := s.interactions[token]
		if in := w.interaction; in.modal != nil && w.ID == u.Bot && w.ChannelID == ch.ID &&
			(u.Interaction == 0 || in.id == u.Interaction) && (u.CustomID == "" || in.modal.CustomID == u.CustomID) {
			return in
		}
	}
	return nil
}

func (s *Sandbox) submitted(ch *channel, u *Use) (map[string]any, error) {
	in := s.modalOf(ch, u)
	if in == nil {
		return nil, cannot("no interaction in channel %d was answered with that modal", ch.ID)
	}
	u.Message, u.opened = in.message, in
	found := make(resolved)
	fields := map[string]bool{}
	var components []any
	for _, c := range in.modal.Components {
		filled, err := s.fill(found, ch, u, c, fields)
		if err != nil {
			return nil, err
		}
		components = append(components, filled)
	}
	for name := range u.Fields {
		if !fields[name] {
			return nil, cannot("the modal %q has no field %q", in.modal.CustomID, name)
		}
	}
	data := map[string]any{"custom_id": in.modal.CustomID, "components": components}
	if len(found) > 0 {
		data["resolved"] = found
	}
	return data, nil
}

// fill returns a component of a modal as it is submitted.
func (s *Sandbox) fill(found resolved, ch *channel, u *Use, c map[string]any, fields map[string]bool) (map[string]any, error) {
	out := map[string]any{"type": c["type"], "id": c["id"]}
	if inner, ok := c["component"].(map[string]any); ok {
		filled, err := s.fill(found, ch, u, inner, fields)
		out["component"] = filled
		return out, err
	}
	if inner, ok := c["components"].([]any); ok {
		var list []any
		for _, one := range inner {
			filled, err := s.fill(found, ch, u, one.(map[string]any), fields)
			if err != nil {
				return nil, err
			}
			list = append(list, filled)
		}
		out["components"] = list
		return out, nil
	}
	id, ok := c["custom_id"].(string)
	if !ok {
		return out, nil
	}
	fields[id] = true
	out["custom_id"] = id
	return out, s.fillField(found, ch, u, c, out)
}

func (s *Sandbox) fillField(found resolved, ch *channel, u *Use, c, out map[string]any) error {
	id := c["custom_id"].(string)
	kind, _ := wholeOf(c["type"])
	given := u.Fields[id]
	text, isText := given.(string)
	switch kind {
	case componentInput:
		if given == nil {
			text, _ = c["value"].(string)
		} else if !isText {
			return cannot("the field %q takes text", id)
		}
		n := utf8.RuneCountInString(text)
		least, _ := wholeOf(c["min_length"])
		most, limited := wholeOf(c["max_length"])
		switch {
		case n == 0 && c["required"] != false:
			return cannot("the field %q is required", id)
		case n > 0 && n < least, limited && n > most, n > 4000:
			return cannot("the field %q takes %d to %d characters, not %d", id, least, cmp.Or(most, 4000), n)
		}
		out["value"] = text
		return nil
	case componentCheckbox:
		checked, isBool := given.(bool)
		if given == nil {
			checked, _ = c["default"].(bool)
		} else if !isBool {
			return cannot("the field %q takes true or false", id)
		}
		out["value"] = checked
		return nil
	}
	values, err := texts(id, given)
	if err != nil {
		return err
	}
	if len(values) == 0 && c["required"] != false {
		return cannot("the field %q is required", id)
	}
	if kind == componentUpload {
		for i, name := range values {
			a := s.uploaded(&formError{}, ch, &upload{filename: name, size: 1}, "", &attachmentBody{})
			found.add("attachments", a.ID, a)
			values[i] = a.ID.String()
		}
	} else if err := s.pick(found, ch, u, c, values); err != nil {
		return err
	}
	if kind == componentRadio {
		out["value"] = nil
		if len(values) > 0 {
			out["value"] = strings.Join(values, ",")
		}
		return nil
	}
	out["values"] = values
	return nil
}

// texts reads a field's value as a list of text.
func texts(field string, given any) ([]string, error) {
	out := []string{}
	switch v := given.(type) {
	case nil:
	case string:
		out = append(out, v)
	case []string:
		out = append(out, v...)
	case []any:
		for _, one := range v {
			text, ok := one.(string)
			if !ok {
				return nil, cannot("the field %q takes text, not %v", field, one)
			}
			out = append(out, text)
		}
	default:
		return nil, cannot("the field %q takes text or a list of text", field)
	}
	return out, nil
}
