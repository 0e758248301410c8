package sandbox

import (
	"time"
)

// World names what the default world holds. Its ids are the same in every
// sandbox, so they can be written into examples.
type World struct {
	Token string `json:"token"` // of Bot, without "Bot "

	Bot      ID `json:"bot"`       // the user that Token belongs to
	OtherBot ID `json:"other_bot"` // cannot be sent direct messages
	Owner    ID `json:"owner"`     // owns Guild
	Alice    ID `json:"alice"`     // an ordinary member of Guild
	Bob      ID `json:"bob"`       // another one
	NoDMs    ID `json:"no_dms"`    // a member of Guild who refuses direct messages
	Stranger ID `json:"stranger"`  // shares no guild with Bot

	Guild        ID `json:"guild"`
	Category     ID `json:"category"`
	General      ID `json:"general"`      // text
	Random       ID `json:"random"`       // text, in Category
	Alerts       ID `json:"alerts"`       // text, in Category
	ReadOnly     ID `json:"read_only"`    // text, Bot may read but not send
	Forbidden    ID `json:"forbidden"`    // text, Bot may not even see it
	Announcement ID `json:"announcement"` // messages can be crossposted
	Voice        ID `json:"voice"`
	Forum        ID `json:"forum"`

	BotRole       ID `json:"bot_role"` // Bot's, with all but Administrator
	ModeratorRole ID `json:"moderator_role"`
	MemberRole    ID `json:"member_role"` // mentionable, below BotRole
	AdminRole     ID `json:"admin_role"`  // above BotRole

	Emoji ID `json:"emoji"` // :party: of Guild

	// What lies in Announcement.
	Message        ID     `json:"message"` // Bot's, which Alice and Bot have reacted to with 👍
	Pinned         ID     `json:"pinned"`  // Bot's, and pinned
	Thread         ID     `json:"thread"`  // Bot and Alice are in it
	Webhook        ID     `json:"webhook"`
	WebhookToken   string `json:"webhook_token"`
	WebhookMessage ID     `json:"webhook_message"` // Webhook's

	OtherGuild   ID `json:"other_guild"`   // Bot is not in it
	OtherChannel ID `json:"other_channel"` // text, in OtherGuild

	Channels []ID `json:"channels"` // text channels of Guild that Bot can send to
	Users    []ID `json:"users"`    // members of Guild who take direct messages
}

// base is the first id of the default world, made in May 2023.
const base ID = 1_100_000_000_000_000_000

// everyonePermissions are the permissions of everyone in a new guild.
const everyonePermissions = PermViewChannel | PermSendMessages | PermSendTTSMessages | PermEmbedLinks | PermAttachFiles |
	PermReadMessageHistory | PermMentionEveryone | PermUseExternalEmojis | PermAddReactions | PermConnect |
	PermChangeNickname | PermCreatePublicThreads | PermCreatePrivateThreads | PermSendMessagesInThreads |
	PermSendPolls | PermSendVoiceMessages | PermUseExternalStickers

// seed makes the default world. The lock is held.
func (s *Sandbox) seed() {
	w := World{Token: s.config.Token, Bot: base + 1}
	s.tokens["Bot "+w.Token] = w.Bot
	s.putUser(User{ID: w.Bot, Username: "sandbox", Discriminator: "4242", Bot: true})
	s.world = w
	if s.config.Empty {
		return
	}
	person := func(n ID, name, shown string) ID {
		s.putUser(User{ID: base + n, Username: name, GlobalName: &shown})
		return base + n
	}
	w.OtherBot = base + 2
	s.putUser(User{ID: w.OtherBot, Username: "otherbot", Discriminator: "0007", Bot: true})
	w.Owner = person(3, "olivia", "Olivia")
	w.Alice = person(4, "alice", "Alice")
	w.Bob = person(5, "bob", "Bob")
	w.NoDMs = person(6, "nadia", "Nadia")
	w.Stranger = person(7, "stranger", "Stranger")
	s.users[w.NoDMs].refusesDMs = true
	w.Users = []ID{w.Owner, w.Alice, w.Bob}

	w.Guild = base + 100
	w.Emoji = base + 190
	s.putGuild(Guild{
		ID: w.Guild, Name: "Sandbox", OwnerID: w.Owner, Description: "A guild of the sandbox",
		Emojis: []Emoji{{ID: w.Emoji, Name: "party", Roles: []ID{}, RequireColons: true, Available: true}},
	})
	g := s.guilds[w.Guild]
	role := func(n ID, r Role) ID {
		r.ID = base + n
		g.roles[r.ID] = &r
		return r.ID
	}
	w.MemberRole = role(101, Role{Name: "member", Position: 1, Mentionable: true, Color: 0x3498db})
	w.ModeratorRole = role(102, Role{Name: "moderator", Position: 2, Permissions: PermManageMessages | PermKickMembers})
	w.BotRole = role(103, Role{
		Name: "sandbox", Position: 3, Managed: true, Tags: &RoleTags{BotID: w.Bot}, Permissions: PermAll &^ PermAdministrator,
	})
	w.AdminRole = role(104, Role{Name: "admin", Position: 4, Permissions: PermAdministrator})
	for _, r := range g.roles {
		r.Colors.Primary = r.Color
	}
	s.join(g, w.Owner, w.AdminRole)
	s.join(g, w.Bot, w.BotRole)
	s.join(g, w.OtherBot)
	s.join(g, w.Alice, w.MemberRole, w.ModeratorRole)
	s.join(g, w.Bob, w.MemberRole)
	s.join(g, w.NoDMs)

	channel := func(n ID, c Channel) ID {
		c.ID, c.GuildID, c.Position = base+n, w.Guild, int(max(n, 10)-10)
		s.putChannel(c)
		return c.ID
	}
	w.Category = channel(9, Channel{Type: ChannelCategory, Name: "Talk"})
	w.General = channel(10, Channel{Name: "general", Topic: "All sorts of things"})
	w.Random = channel(11, Channel{Name: "random", ParentID: w.Category})
	w.Alerts = channel(12, Channel{Name: "alerts", ParentID: w.Category})
	w.ReadOnly = channel(13, Channel{Name: "read-only", Overwrites: []Overwrite{
		{ID: w.Guild, Type: OverwriteRole, Deny: PermSendMessages},
		{ID: w.BotRole, Type: OverwriteRole, Deny: PermSendMessages | PermAddReactions | PermManageMessages},
	}})
	w.Forbidden = channel(14, Channel{Name: "forbidden", Overwrites: []Overwrite{
		{ID: w.Guild, Type: OverwriteRole, Deny: PermViewChannel},
		{ID: w.ModeratorRole, Type: OverwriteRole, Allow: PermViewChannel},
		{ID: w.BotRole, Type: OverwriteRole, Deny: PermViewChannel},
	}})
	w.Announcement = channel(15, Channel{Type: ChannelAnnouncement, Name: "news"})
	w.Voice = channel(16, Channel{Type: ChannelVoice, Name: "Lounge", Bitrate: 64000})
	w.Forum = channel(17, Channel{
		Type: ChannelForum, Name: "help", Topic: "Ask here",
		AvailableTags: []ForumTag{{ID: base + 170, Name: "question"}, {ID: base + 171, Name: "solved", Moderated: true}},
	})
	w.Channels = []ID{w.General, w.Random, w.Alerts}
	s.seedAnnouncement(&w)

	w.OtherGuild = base + 200
	s.putGuild(Guild{ID: w.OtherGuild, Name: "Elsewhere", OwnerID: w.Stranger})
	s.join(s.guilds[w.OtherGuild], w.Stranger)
	w.OtherChannel = base + 20
	s.putChannel(Channel{ID: w.OtherChannel, GuildID: w.OtherGuild, Name: "elsewhere"})
	s.world = w
}

// seedAnnouncement puts into the announcement channel what examples name.
func (s *Sandbox) seedAnnouncement(w *World) {
	ch := s.channels[w.Announcement]
	bot := s.users[w.Bot]
	put := func(n ID, m message) ID {
		m.ID, m.ChannelID = base+n, ch.ID
		m.Timestamp = timestamp(m.ID.Time())
		m.normalize()
		ch.messages = append(ch.messages, &m)
		ch.LastMessageID = m.ID
		return m.ID
	}
	w.Message = put(500, message{
		Message:   Message{Content: "Welcome", Author: &bot.User},
		reactions: []*reaction{{emoji: ReactionEmoji{Name: "👍"}, users: []ID{w.Bot, w.Alice}}},
	})
	w.Pinned = put(501, message{Message: Message{Content: "Read this first", Author: &bot.User, Pinned: true}})
	pinned := ch.message(w.Pinned)
	pinned.pinnedAt = pinned.ID.Time()
	ch.pins, ch.LastPin = []ID{pinned.ID}, pinned.Timestamp

	w.Webhook, w.WebhookToken = base+700, "sandbox-webhook-token"
	hook := &webhook{Webhook: Webhook{
		ID: w.Webhook, Type: 1, Name: "news", ChannelID: ch.ID, GuildID: ch.GuildID, ApplicationID: nullID(w.Bot), Token: w.WebhookToken,
		URL: "https://discord.com/api/webhooks/" + w.Webhook.String() + "/" + w.WebhookToken, User: &bot.User,
	}}
	s.webhooks[hook.ID] = hook
	w.WebhookMessage = put(502, message{Message: Message{
		Content: "News", WebhookID: hook.ID, ApplicationID: w.Bot,
		Author: &User{ID: hook.ID, Username: hook.Name, Discriminator: "0000", Bot: true},
	}})

	w.Thread = base + 600
	made := timestamp(w.Thread.Time())
	thread := &channel{
		Channel: Channel{
			ID: w.Thread, Type: ChannelAnnouncementThread, GuildID: ch.GuildID, Name: "a thread", ParentID: ch.ID, OwnerID: w.Bot, MemberCount: 2,
			Thread: &ThreadMetadata{ArchiveTimestamp: made, CreateTimestamp: made, AutoArchive: 10080},
		},
		threadMembers: map[ID]*ThreadMember{},
	}
	for _, u := range []ID{w.Bot, w.Alice} {
		thread.threadMembers[u] = &ThreadMember{ID: thread.ID, UserID: u, JoinTimestamp: made}
	}
	s.channels[thread.ID] = thread
	g := s.guilds[ch.GuildID]
	g.threads = insert(g.threads, thread.ID)
}

func (s *Sandbox) putUser(u User) ID {
	if u.ID == 0 {
		u.ID = s.newID()
	}
	if u.Discriminator == "" {
		u.Discriminator = "0"
	}
	s.users[u.ID] = &user{User: u}
	return u.ID
}

func (s *Sandbox) putGuild(in Guild) ID {
	if in.ID == 0 {
		in.ID = s.newID()
	}
	g := &guild{Guild: in, roles: map[ID]*Role{}, members: map[ID]*Member{}, bans: map[ID]*guildBan{}}
	g.roles[in.ID] = &Role{ID: in.ID, Name: "@everyone", Permissions: everyonePermissions}
	s.guilds[in.ID] = g
	return in.ID
}

func (s *Sandbox) putChannel(in Channel) ID {
	if in.ID == 0 {
		in.ID = s.newID()
	}
	ch := &channel{Channel: in}
	if old := s.channels[in.ID]; old != nil {
		ch.messages, ch.pins = old.messages, old.pins
	}
	s.channels[in.ID] = ch
	if g := s.guilds[in.GuildID]; g != nil {
		g.channels = insert(g.channels, in.ID)
	}
	return in.ID
}

// join makes a user a member of a guild, since the start of 2024.
func (s *Sandbox) join(g *guild, u ID, roles ...ID) {
	g.members[u] = &Member{
		JoinedAt: timestamp(time.Date(2024, 1, 1, 12, 0, 0, 123456000, time.UTC)),
		Roles:    append([]ID{}, roles...),
		User:     s.users[u].User,
	}
	g.order = insert(g.order, u)
}
