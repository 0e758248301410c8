package access

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"discordproxy/discord"
)

// SeesChannel is whether lists and events of a guild show the channel, or the
// thread of this parent, to the client. Only one whose rules have guilds and
// channels sees some channels of a guild and not others. A parent of 0 is not
// known.
func (c *Client) SeesChannel(id, parent uint64) bool {
	if !c.FiltersChannels() {
		return true
	}
	if c == nil {
		return false
	}
	known := c.places[discord.ChannelTarget]
	return known.has(id) || parent != 0 && known.has(parent)
}

// FiltersChannels reports whether the client sees only some channels of its guilds.
func (c *Client) FiltersChannels() bool {
	if c == nil {
		return true
	}
	known, some := c.places[discord.ChannelTarget]
	return some && !known.all
}

// SeesGuild reports whether the client may see what is about the guild as a whole.
func (c *Client) SeesGuild(id uint64) bool {
	return c != nil && (c.places == nil || c.places[discord.GuildTarget].has(id))
}

// SeesEvent is whether the client may have an event about this guild, channel and
// parent of a thread, each 0 if the event names none: whether a subscription that
// names the guild or the channel would be allowed, and bring it.
func (c *Client) SeesEvent(guild, channel, parent uint64) bool {
	switch {
	case c == nil || c.places == nil:
		return c != nil
	case guild != 0 && c.SeesGuild(guild):
		return channel == 0 || c.SeesChannel(channel, parent)
	case channel != 0:
		known := c.places[discord.ChannelTarget]
		return known.has(channel) || parent != 0 && known.has(parent)
	}
	return guild == 0 && c.untargeted
}

// Sight is a digest of the rules by which SeesEvent and VisibleEvent decide.
func (c *Client) Sight() string {
	if c == nil {
		return ""
	}
	sum := sha256.Sum256(fmt.Append(nil, c.places == nil, c.places, c.untargeted)) // maps are in order
	return hex.EncodeToString(sum[:8])
}

// VisibleEvent returns the data of an event about a whole guild without the parts about
// channels that the client does not see.
func (c *Client) VisibleEvent(data json.RawMessage) (json.RawMessage, error) {
	// As an element of a list, the event itself may be about a channel, such as an
	// entry of the audit log.
	visible, err := c.Visible(slices.Concat([]byte("["), data, []byte("]")))
	if err != nil {
		return nil, err
	}
	visible = bytes.TrimSuffix(bytes.TrimPrefix(visible, []byte("[")), []byte("]"))
	if len(visible) == 0 {
		visible = json.RawMessage("{}")
	}
	return visible, nil
}

// Visible returns Discord's response about a guild without the list elements about
// channels that the client does not see. It leaves everything else unchanged.
func (c *Client) Visible(data json.RawMessage) (json.RawMessage, error) {
	if c == nil {
		return nil, errUnguarded()
	}
	if !c.FiltersChannels() || len(data) == 0 {
		return data, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return nil, errors.New("access: an answer that must be filtered is not JSON")
	}
	v := view{client: c, threads: make(map[uint64]bool)}
	v.learn(document)
	return json.Marshal(v.filter("", document))
}

// view is what a client sees of a document.
type view struct {
	client *Client
	// threads are the threads of the client's channels, as the document says.
	threads map[uint64]bool
}

func (v view) sees(id uint64) bool { return id == 0 || v.threads[id] || v.client.SeesChannel(id, 0) }

// learn notes the threads in the document.
func (v view) learn(value any) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			v.learn(element)
		}
	case map[string]any:
		if value["thread_metadata"] != nil {
			v.threads[snowflake(value["id"])] = v.client.SeesChannel(snowflake(value["id"]), snowflake(value["parent_id"]))
		}
		for _, field := range value {
			v.learn(field)
		}
	}
}

// filter returns the value of a field without what the client does not see.
func (v view) filter(name string, value any) any {
	switch value := value.(type) {
	case []any:
		left := make([]any, 0, len(value))
		for _, element := range value {
			if o, ok := element.(map[string]any); ok && !v.shows(name, o) {
				continue
			}
			if list, ok := element.([]any); ok {
				// A group of messages that were found together.
				filtered, _ := v.filter(name, list).([]any)
				if len(filtered) == 0 && len(list) > 0 {
					continue
				}
				left = append(left, filtered)
				continue
			}
			left = append(left, v.filter(name, element))
		}
		return left
	case map[string]any:
		for key, field := range value {
			value[key] = v.filter(key, field)
		}
		return value
	}
	return value
}

// shows reports whether the client sees an element of a list of this name.
func (v view) shows(list string, o map[string]any) bool {
	switch {
	case !v.sees(snowflake(o["channel_id"])):
		return false
	case o["join_timestamp"] != nil, list == "channels", list == "threads", o["thread_metadata"] != nil, o["permission_overwrites"] != nil:
		// A channel, or the membership of a thread, which has the thread's id.
		if !v.sees(snowflake(o["id"])) {
			return false
		}
	}
	if channel, ok := o["channel"].(map[string]any); ok && !v.sees(snowflake(channel["id"])) {
		return false
	}
	action, isEntry := o["action_type"].(json.Number)
	if !isEntry {
		return true
	}
	// An entry of the audit log.
	// https://discord.com/developers/docs/resources/audit-log#audit-log-entry-object-audit-log-events
	if options, ok := o["options"].(map[string]any); ok && !v.sees(snowflake(options["channel_id"])) {
		return false
	}
	switch action {
	case "10", "11", "12", "13", "14", "15", "110", "111", "112":
		return v.sees(snowflake(o["target_id"]))
	}
	changes, _ := o["changes"].([]any)
	for _, change := range changes {
		if change, ok := change.(map[string]any); ok && change["key"] == "channel_id" &&
			(!v.sees(snowflake(change["old_value"])) || !v.sees(snowflake(change["new_value"]))) {
			return false
		}
	}
	return true
}

// snowflake returns an id, or 0 if the value is none.
func snowflake(value any) uint64 {
	text, _ := value.(string)
	if number, ok := value.(json.Number); ok {
		text = number.String()
	}
	id, _ := strconv.ParseUint(text, 10, 64)
	return id
}
