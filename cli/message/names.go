package message

import (
	"fmt"
	"slices"
	"strings"

	command "discordproxy/cli"

	pb "discordproxy/gen/discord_api"
)

// name is a channel or a user that was given by name instead of id.
type name struct {
	text    string // without its mark
	channel bool   // else a user
	into    int    // index of the id in request.ids
}

// parseName reads the argument of an id that is no number.
func parseName(argument, text string) (name, error) {
	switch {
	case argument == "CHANNEL_ID" && len(text) > 1 && text[0] == '#':
		return name{text: text[1:], channel: true}, nil
	case argument == "USER_ID" && len(text) > 1 && text[0] == '@':
		return name{text: text[1:]}, nil
	case argument == "CHANNEL_ID":
		return name{}, fmt.Errorf("CHANNEL_ID %q is not a number, nor a name such as '#general'", text)
	case argument == "USER_ID":
		return name{}, fmt.Errorf("USER_ID %q is not a number, nor a name such as @alice", text)
	}
	return name{}, fmt.Errorf("%s %q is not a number", argument, text)
}

// resolve finds the ids of what was given by name.
func (r *request) resolve() error {
	for _, n := range r.named {
		id, err := r.find(n)
		if err != nil {
			return err
		}
		r.ids[n.into] = id
	}
	return nil
}

func (r *request) find(n name) (uint64, error) {
	if n.channel {
		return r.channelNamed(n.text)
	}
	return r.userNamed(n.text)
}

// candidate is an object that a name may refer to.
type candidate struct {
	id    uint64
	about string
	exact bool
}

// only returns the id of the one candidate that has exactly the name. For errors,
// kind says what was searched, and named what it should be called.
func only(kind, named string, all []candidate) (uint64, error) {
	exact := slices.DeleteFunc(slices.Clone(all), func(c candidate) bool { return !c.exact })
	if len(exact) == 1 {
		return exact[0].id, nil
	}
	text, listed := fmt.Sprintf("no %s %s", kind, named), all
	if len(exact) > 1 {
		text, listed = fmt.Sprintf("more than one %s %s; give the ID", kind, named), exact
	}
	for i, c := range listed {
		switch {
		case i == 10:
			return 0, &failure{text: fmt.Sprintf("%s, and %d more", text, len(listed)-i), code: "not_found", exit: command.ExitFailed}
		case i == 0 && len(exact) == 0:
			text += "; similar: "
		case i == 0:
			text += ": "
		default:
			text += ", "
		}
		text += fmt.Sprintf("%d (%s)", c.id, oneLine(c.about))
	}
	return 0, &failure{text: text, code: "not_found", exit: command.ExitFailed}
}

func (r *request) channelNamed(text string) (uint64, error) {
	var found []candidate
	channels, err := r.allChannels()
	if err != nil {
		return 0, err
	}
	for _, c := range channels {
		if c.GetType() == pb.Channel_GUILD_CATEGORY {
			continue
		}
		exact := strings.EqualFold(c.GetName(), text)
		if exact || strings.Contains(strings.ToLower(c.GetName()), strings.ToLower(text)) {
			found = append(found, candidate{c.GetId(), fmt.Sprintf("#%s in guild %d", c.GetName(), c.GetGuildId()), exact})
		}
	}
	return only("channel that the bot sees", "is named #"+text, found)
}

// allChannels returns the channels of all guilds of the bot.
func (r *request) allChannels() ([]*pb.Channel, error) {
	guilds, err := r.allGuilds(false)
	if err != nil {
		return nil, err
	}
	var all []*pb.Channel
	for _, g := range guilds {
		response, err := r.client.GetGuildChannels(r.ctx, &pb.GetGuildChannelsRequest{GuildId: g.GetId()})
		if err != nil {
			return nil, r.failed(err)
		}
		for _, c := range response.GetChannels() {
			if c.GetGuildId() == 0 {
				c.GuildId = g.GetId()
			}
			all = append(all, c)
		}
	}
	return all, nil
}

func (r *request) userNamed(text string) (uint64, error) {
	guilds, err := r.allGuilds(false)
	if err != nil {
		return 0, err
	}
	seen := make(map[uint64]int) // index in found
	var found []candidate
	for _, g := range guilds {
		response, err := r.client.SearchGuildMembers(r.ctx, &pb.SearchGuildMembersRequest{GuildId: g.GetId(), Query: text, Limit: 100})
		if err != nil {
			return 0, r.failed(err)
		}
		for _, m := range response.GetMembers() {
			u := m.GetUser()
			exact := strings.EqualFold(u.GetUsername(), text) || strings.EqualFold(u.GetGlobalName(), text) || strings.EqualFold(m.GetNick(), text)
			if i, known := seen[u.GetId()]; known {
				found[i].exact = found[i].exact || exact
				continue
			}
			seen[u.GetId()] = len(found)
			found = append(found, candidate{u.GetId(), "@" + u.GetUsername(), exact})
		}
	}
	return only("user in the bot's guilds", "is named @"+text, found)
}
