package sandbox

import (
	"encoding/json"
	"slices"
	"time"
)

// User is a user object. See https://discord.com/developers/docs/resources/user.
type User struct {
	ID            ID      `json:"id"`
	Username      string  `json:"username"`
	Avatar        *string `json:"avatar"`
	Discriminator string  `json:"discriminator"`
	PublicFlags   int     `json:"public_flags"`
	Flags         int     `json:"flags"`
	Bot           bool    `json:"bot,omitempty"`
	System        bool    `json:"system,omitempty"`
	Banner        *string `json:"banner"`
	AccentColor   *int    `json:"accent_color"`
	GlobalName    *string `json:"global_name"`
	Decoration    any     `json:"avatar_decoration_data"`
	Collectibles  any     `json:"collectibles"`
	PrimaryGuild  any     `json:"primary_guild"`
}

// user is a user with what Discord does not show.
type user struct {
	User
	refusesDMs bool

	// Of a bot's application.
	emojis      []Emoji
	application map[string]any // what was changed, by keys
}

// ChannelType is a channel's type, in Discord's numbers.
type ChannelType int

// The channel types of the sandbox.
const (
	ChannelText               ChannelType = 0
	ChannelDM                 ChannelType = 1
	ChannelVoice              ChannelType = 2
	ChannelCategory           ChannelType = 4
	ChannelAnnouncement       ChannelType = 5
	ChannelAnnouncementThread ChannelType = 10
	ChannelPublicThread       ChannelType = 11
	ChannelPrivateThread      ChannelType = 12
	ChannelStage              ChannelType = 13
	ChannelForum              ChannelType = 15
	ChannelMedia              ChannelType = 16
)

// Overwrite types.
const (
	OverwriteRole   = 0
	OverwriteMember = 1
)

// Overwrite changes permissions of a role or a member in one channel.
type Overwrite struct {
	ID    ID          `json:"id"`
	Type  int         `json:"type"`
	Allow Permissions `json:"allow"`
	Deny  Permissions `json:"deny"`
}

// ForumTag is a tag that posts of a forum can carry.
type ForumTag struct {
	ID        ID      `json:"id"`
	Name      string  `json:"name"`
	Moderated bool    `json:"moderated"`
	EmojiID   nullID  `json:"emoji_id"`
	EmojiName *string `json:"emoji_name"`
}

// ThreadMetadata contains the additional fields of threads.
type ThreadMetadata struct {
	Archived         bool   `json:"archived"`
	ArchiveTimestamp string `json:"archive_timestamp"`
	AutoArchive      int    `json:"auto_archive_duration"` // minutes
	Locked           bool   `json:"locked"`
	CreateTimestamp  string `json:"create_timestamp,omitempty"`
	Invitable        *bool  `json:"invitable,omitempty"`
}

// Channel is a channel of any type. Its JSON has only the keys that Discord
// sends for the type.
// See https://discord.com/developers/docs/resources/channel.
type Channel struct {
	ID            ID          `json:"id"`
	Type          ChannelType `json:"type"`
	GuildID       ID          `json:"guild_id"`
	Name          string      `json:"name"`
	Topic         string      `json:"topic"`
	Position      int         `json:"position"`
	ParentID      ID          `json:"parent_id"`
	Overwrites    []Overwrite `json:"permission_overwrites"`
	NSFW          bool        `json:"nsfw"`
	Slowmode      int         `json:"rate_limit_per_user"` // seconds
	Bitrate       int         `json:"bitrate"`
	UserLimit     int         `json:"user_limit"`
	Flags         int         `json:"flags"`
	LastMessageID ID          `json:"last_message_id"`
	LastPin       string      `json:"last_pin_timestamp"`

	// Of direct messages: everyone but the bot.
	Recipients []User `json:"recipients"`

	// Of forums, and of what is posted there.
	AvailableTags []ForumTag `json:"available_tags"`
	AppliedTags   []ID       `json:"applied_tags"`

	// Of threads.
	OwnerID          ID              `json:"owner_id"`
	Thread           *ThreadMetadata `json:"thread_metadata"`
	MessageCount     int             `json:"message_count"`
	MemberCount      int             `json:"member_count"`
	TotalMessageSent int             `json:"total_message_sent"`
	Member           *ThreadMember   `json:"member"`
	DefaultArchive   int             `json:"default_auto_archive_duration"`
}

// ThreadMember is someone's membership of a thread.
type ThreadMember struct {
	ID            ID      `json:"id"`
	UserID        ID      `json:"user_id"`
	JoinTimestamp string  `json:"join_timestamp"`
	Flags         int     `json:"flags"`
	Member        *Member `json:"member,omitempty"`
}

// nullID is an ID whose zero is written as null.
type nullID ID

func (n nullID) MarshalJSON() ([]byte, error) {
	if n == 0 {
		return []byte("null"), nil
	}
	return ID(n).MarshalJSON()
}

func (n *nullID) UnmarshalJSON(b []byte) error { return (*ID)(n).UnmarshalJSON(b) }

// nullString is a string whose zero is written as null.
type nullString string

func (n nullString) MarshalJSON() ([]byte, error) {
	if n == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(n))
}

type dmJSON struct {
	ID            ID          `json:"id"`
	Type          ChannelType `json:"type"`
	LastMessageID nullID      `json:"last_message_id"`
	LastPin       string      `json:"last_pin_timestamp,omitempty"`
	Flags         int         `json:"flags"`
	Recipients    []User      `json:"recipients"`
}

type guildChannelJSON struct {
	ID            ID          `json:"id"`
	Type          ChannelType `json:"type"`
	Flags         int         `json:"flags"`
	GuildID       ID          `json:"guild_id,omitzero"`
	Name          string      `json:"name"`
	Position      int         `json:"position"`
	ParentID      nullID      `json:"parent_id"`
	Overwrites    []Overwrite `json:"permission_overwrites"`
	LastMessageID *nullID     `json:"last_message_id,omitempty"`
	LastPin       string      `json:"last_pin_timestamp,omitempty"`
	Topic         *nullString `json:"topic,omitempty"`
	NSFW          *bool       `json:"nsfw,omitempty"`
	Slowmode      *int        `json:"rate_limit_per_user,omitempty"`
	Bitrate       int         `json:"bitrate,omitempty"`
	UserLimit     *int        `json:"user_limit,omitempty"`
	RTCRegion     *nullString `json:"rtc_region,omitempty"`
	AvailableTags *[]ForumTag `json:"available_tags,omitempty"`
	Reaction      *any        `json:"default_reaction_emoji,omitempty"`
	SortOrder     *any        `json:"default_sort_order,omitempty"`
	ForumLayout   *int        `json:"default_forum_layout,omitempty"`
	Archive       int         `json:"default_auto_archive_duration,omitempty"`
}

type threadJSON struct {
	ID               ID              `json:"id"`
	Type             ChannelType     `json:"type"`
	Flags            int             `json:"flags"`
	GuildID          ID              `json:"guild_id"`
	Name             string          `json:"name"`
	ParentID         ID              `json:"parent_id"`
	OwnerID          ID              `json:"owner_id"`
	Slowmode         int             `json:"rate_limit_per_user"`
	LastMessageID    nullID          `json:"last_message_id"`
	LastPin          string          `json:"last_pin_timestamp,omitempty"`
	Thread           *ThreadMetadata `json:"thread_metadata"`
	MessageCount     int             `json:"message_count"`
	MemberCount      int             `json:"member_count"`
	TotalMessageSent int             `json:"total_message_sent"`
	AppliedTags      []ID            `json:"applied_tags,omitempty"`
	Member           *ThreadMember   `json:"member,omitempty"`
}

func (c *Channel) wire() any {
	switch {
	case c.Type == ChannelDM:
		return dmJSON{c.ID, c.Type, nullID(c.LastMessageID), c.LastPin, c.Flags, c.Recipients}
	case c.isThread():
		return threadJSON{
			c.ID, c.Type, c.Flags, c.GuildID, c.Name, c.ParentID, c.OwnerID, c.Slowmode, nullID(c.LastMessageID),
			c.LastPin, c.Thread, c.MessageCount, c.MemberCount, c.TotalMessageSent, c.AppliedTags, c.Member,
		}
	}
	out := guildChannelJSON{
		ID: c.ID, Type: c.Type, Flags: c.Flags, GuildID: c.GuildID, Name: c.Name, Position: c.Position,
		ParentID: nullID(c.ParentID), Overwrites: c.Overwrites, LastPin: c.LastPin, Archive: c.DefaultArchive,
	}
	if out.Overwrites == nil {
		out.Overwrites = []Overwrite{}
	}
	if c.Type == ChannelCategory {
		return out
	}
	out.NSFW, out.Slowmode, out.LastMessageID = &c.NSFW, &c.Slowmode, ptr(nullID(c.LastMessageID))
	switch c.Type {
	case ChannelVoice, ChannelStage:
		out.Bitrate, out.UserLimit, out.RTCRegion = max(c.Bitrate, 64000), &c.UserLimit, new(nullString)
	case ChannelForum, ChannelMedia:
		out.Topic = ptr(nullString(c.Topic))
		out.AvailableTags = ptr(orEmpty(c.AvailableTags))
		out.Reaction, out.SortOrder, out.ForumLayout = new(any), new(any), new(int)
	default:
		out.Topic = ptr(nullString(c.Topic))
	}
	return out
}

// MarshalJSON writes the keys that Discord has for the channel's type.
func (c Channel) MarshalJSON() ([]byte, error) { return json.Marshal(c.wire()) }

func (c *Channel) isThread() bool {
	return c.Type >= ChannelAnnouncementThread && c.Type <= ChannelPrivateThread
}

// takesMessages reports whether messages can be sent there at all.
func (c *Channel) takesMessages() bool {
	switch c.Type {
	case ChannelCategory, ChannelForum, ChannelMedia:
		return false
	}
	return true
}

// channel is a channel with what is in it.
type channel struct {
	Channel
	messages      []*message // oldest first
	pins          []ID       // latest first
	recipients    []ID       // of a direct message, the bot among them
	threadMembers map[ID]*ThreadMember
}

func (ch *channel) hasRecipient(u ID) bool { return slices.Contains(ch.recipients, u) }

// Role is a role of a guild. See https://discord.com/developers/docs/topics/permissions#role-object.
type Role struct {
	ID           ID          `json:"id"`
	Name         string      `json:"name"`
	Description  *string     `json:"description"`
	Permissions  Permissions `json:"permissions"`
	Position     int         `json:"position"`
	Color        int         `json:"color"`
	Colors       RoleColors  `json:"colors"`
	Hoist        bool        `json:"hoist"`
	Managed      bool        `json:"managed"`
	Mentionable  bool        `json:"mentionable"`
	Icon         *string     `json:"icon"`
	UnicodeEmoji *string     `json:"unicode_emoji"`
	Flags        int         `json:"flags"`
	Tags         *RoleTags   `json:"tags,omitempty"`
}

// RoleColors are a role's colours; the second and third may be null.
type RoleColors struct {
	Primary   int  `json:"primary_color"`
	Secondary *int `json:"secondary_color"`
	Tertiary  *int `json:"tertiary_color"`
}

// RoleTags says what a managed role belongs to.
type RoleTags struct {
	BotID ID `json:"bot_id,omitzero"`
}

// Member is a user in a guild.
type Member struct {
	Avatar        *string `json:"avatar"`
	Banner        *string `json:"banner"`
	TimeoutUntil  *string `json:"communication_disabled_until"`
	Flags         int     `json:"flags"`
	JoinedAt      string  `json:"joined_at"`
	Nick          *string `json:"nick"`
	Pending       bool    `json:"pending"`
	PremiumSince  *string `json:"premium_since"`
	Roles         []ID    `json:"roles"`
	User          User    `json:"user"`
	Mute          bool    `json:"mute"`
	Deaf          bool    `json:"deaf"`
	timeoutExpiry time.Time
}

func (m *Member) has(role ID) bool { return slices.Contains(m.Roles, role) }

func (m *Member) timedOut(now time.Time) bool { return now.Before(m.timeoutExpiry) }

// Emoji is a guild's own emoji.
type Emoji struct {
	ID            ID     `json:"id"`
	Name          string `json:"name"`
	Roles         []ID   `json:"roles"`
	RequireColons bool   `json:"require_colons"`
	Managed       bool   `json:"managed"`
	Animated      bool   `json:"animated"`
	Available     bool   `json:"available"`
	User          *User  `json:"user,omitempty"`
}

// Guild describes a guild to add to the sandbox.
type Guild struct {
	ID          ID      `json:"id"`
	Name        string  `json:"name"`
	Description string  `json:"description"`
	OwnerID     ID      `json:"owner_id"`
	Emojis      []Emoji `json:"emojis"`
}

type guild struct {
	Guild
	roles   map[ID]*Role
	members map[ID]*Member
	order   []ID // of members, ascending
	bans    map[ID]*guildBan

	unavailable bool // in an outage

	channels []ID // ascending, without threads
	threads  []ID // ascending

	voice     map[ID]VoiceState
	settings  map[string]any // that were changed, by their keys
	scheduled []ScheduledEvent
	audit     []auditEntry // oldest first
}
