// Package names finds the names of guilds, channels and users without a call to
// Discord: in the gateway's events, or in Discord's responses to the calls of clients.
package names

import (
	"cmp"
	"encoding/json"

	"discordproxy/discord"
	"discordproxy/discord/gateway"
	"discordproxy/discord/rawjson"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxSeen is how many names of answers are kept, the newest.
const maxSeen = 10_000

// Names finds names. It is safe for concurrent use.
type Names struct {
	guilds *gateway.Guilds // may be nil
	seen   *lru.Cache[key, Name]
}

// Name is the name of a guild, channel or user, and a channel's guild.
type Name struct {
	Name string
	// Guild is the guild's name, or "" if that is not known.
	Guild string

	guild uint64
}

type key struct {
	kind kind
	id   uint64
}

type kind int

const (
	aGuild kind = iota
	aChannel
	aUser
)

// New returns Names from the gateway, or nil for none.
func New(guilds *gateway.Guilds) (*Names, error) {
	seen, err := lru.New[key, Name](maxSeen)
	return &Names{guilds, seen}, err
}

// Guild returns the name of a guild, if it is known.
func (n *Names) Guild(id uint64) (Name, bool) {
	if name := n.guilds.GuildName(id); name != "" {
		return Name{Name: name}, true
	}
	return n.seen.Get(key{aGuild, id})
}

// Channel returns the name of a channel or thread, if it is known.
func (n *Names) Channel(id uint64) (Name, bool) {
	if channel, guild := n.guilds.ChannelName(id); channel != "" {
		return Name{Name: channel, Guild: guild}, true
	}
	name, ok := n.seen.Get(key{aChannel, id})
	if ok && name.guild != 0 {
		guild, _ := n.Guild(name.guild)
		name.Guild = guild.Name
	}
	return name, ok
}

// User returns the name of a user, if it is known.
func (n *Names) User(id uint64) (Name, bool) {
	if name := n.guilds.UserName(id); name != "" {
		return Name{Name: name}, true
	}
	return n.seen.Get(key{aUser, id})
}

// answers are the operations whose answers have names, and of what.
var answers = map[string]kind{
	discord.GetChannel.Name: aChannel, discord.ListGuildChannels.Name: aChannel, discord.CreateThread.Name: aChannel,
	discord.GetGuild.Name: aGuild, discord.ListMyGuilds.Name: aGuild,
	discord.GetUser.Name: aUser, discord.GetGuildMember.Name: aUser, discord.ListGuildMembers.Name: aUser,
	discord.SearchGuildMembers.Name: aUser,
}

// object is a guild, channel, user or member.
type object struct {
	ID         rawjson.Snowflake `json:"id"`
	Name       string            `json:"name"`
	GuildID    rawjson.Snowflake `json:"guild_id"`
	Username   string            `json:"username"`
	GlobalName string            `json:"global_name"`
	User       *object           `json:"user"`
}

// Learn records the names in Discord's response to an operation.
func (n *Names) Learn(op discord.Operation, answer json.RawMessage) {
	what, ok := answers[op.Name]
	if !ok {
		return
	}
	list := make([]object, 1)
	if len(answer) > 0 && answer[0] == '[' {
		if json.Unmarshal(answer, &list) != nil {
			return
		}
	} else if json.Unmarshal(answer, &list[0]) != nil {
		return
	}
	for _, o := range list {
		if o.User != nil {
			o = *o.User
		}
		if name := cmp.Or(o.Name, o.GlobalName, o.Username); o.ID != 0 && name != "" {
			n.seen.Add(key{what, uint64(o.ID)}, Name{Name: name, guild: uint64(o.GuildID)})
		}
	}
}
