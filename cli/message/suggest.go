package message

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"time"

	command "discordproxy/cli"
)

// suggestTimeout bounds how long a shell waits for the ids of channels.
const suggestTimeout = time.Second

// suggest returns what may follow in a shell beyond options and files.
func suggest(ctx context.Context) command.Suggest {
	return func(t command.Typed) []command.Suggestion {
		switch t.Flag {
		case "output":
			return words(formats)
		case "context":
			return contextNames()
		case "type":
			return words(eventTypes())
		case "channel":
			return channelIDs(ctx, t)
		case "":
		default:
			return nil
		}
		if (t.Path == "context use" || t.Path == "context remove") && len(t.Arguments) == 0 {
			return contextNames()
		}
		if t.Path == "call" && len(t.Arguments) == 0 {
			var names []string
			for _, m := range methods() {
				names = append(names, string(m.Name()))
			}
			return words(names)
		}
		for _, m := range messageCommands {
			if n := len(t.Arguments); m.name == t.Path && n < len(m.ids) && m.ids[n] == "CHANNEL_ID" {
				return channelIDs(ctx, t)
			}
		}
		return nil
	}
}

func words(all []string) []command.Suggestion {
	var found []command.Suggestion
	for _, word := range all {
		found = append(found, command.Suggestion{Word: word})
	}
	return found
}

func contextNames() []command.Suggestion {
	all, err := readContexts()
	if err != nil {
		return nil
	}
	var names []string
	for name := range all.Named {
		names = append(names, name)
	}
	slices.Sort(names)
	return words(names)
}

// channelIDs asks the proxy that the typed options name, and returns nothing when
// it does not answer quickly.
func channelIDs(ctx context.Context, t command.Typed) []command.Suggestion {
	ctx, cancel := context.WithTimeout(ctx, suggestTimeout)
	defer cancel()
	var args []string
	for _, option := range append(contextOptions, "context") {
		if value, given := t.Options[option]; given {
			args = append(args, "--"+option+"="+value)
		}
	}
	var out bytes.Buffer
	if command.Run(ctx, Command, command.Env{Args: append(args, "--json", "channels"), Out: &out, Err: io.Discard}) != 0 {
		return nil
	}
	var answer struct {
		Channels []struct{ ID, Name, Type string }
	}
	if json.Unmarshal(out.Bytes(), &answer) != nil {
		return nil
	}
	var found []command.Suggestion
	for _, c := range answer.Channels {
		if c.Type != "GUILD_CATEGORY" {
			found = append(found, command.Suggestion{Word: c.ID, About: "#" + c.Name})
		}
	}
	return found
}
