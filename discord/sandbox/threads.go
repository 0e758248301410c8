package sandbox

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

var threadRoutes = []route{
	{
		method:   "POST",
		template: "/channels/{channel_id}/messages/{message_id}/threads",
		handle:   (*Sandbox).threadFromMessage,
		status:   http.StatusCreated,
	},
	{method: "POST", template: "/channels/{channel_id}/threads", handle: (*Sandbox).createThread, status: http.StatusCreated},
	{method: "GET", template: "/guilds/{guild_id}/threads/active", handle: (*Sandbox).activeThreads},
	{method: "GET", template: "/channels/{channel_id}/threads/archived/public", handle: (*Sandbox).archivedPublic},
	{method: "GET", template: "/channels/{channel_id}/threads/archived/private", handle: (*Sandbox).archivedPrivate},
	{method: "GET", template: "/channels/{channel_id}/users/@me/threads/archived/private", handle: (*Sandbox).archivedJoined},
	{method: "GET", template: "/channels/{channel_id}/thread-members", handle: (*Sandbox).listThreadMembers},
	{method: "GET", template: "/channels/{channel_id}/thread-members/{user_id}", handle: (*Sandbox).getThreadMember},
	{method: "PUT", template: "/channels/{channel_id}/thread-members/@me", handle: (*Sandbox).joinThread},
	{method: "PUT", template: "/channels/{channel_id}/thread-members/{user_id}", handle: (*Sandbox).addThreadMember},
	{method: "DELETE", template: "/channels/{channel_id}/thread-members/@me", handle: (*Sandbox).leaveThread},
	{method: "DELETE", template: "/channels/{channel_id}/thread-members/{user_id}", handle: (*Sandbox).removeThreadMember},
}

const (
	maxThreads  = 1000 // active ones in a guild
	keptThreads = 5000 // of a guild, before old archived ones are dropped
)

type threadBody struct {
	Name      string       `json:"name"`
	Archive   int          `json:"auto_archive_duration"` // minutes
	Slowmode  int          `json:"rate_limit_per_user"`   // seconds
	Type      *ChannelType `json:"type"`
	Invitable *bool        `json:"invitable"`
	Tags      []reqID      `json:"applied_tags"`
	Message   *messageBody `json:"message"`
}

func (b *threadBody) check(f *formError) {
	f.length("name", clean(b.Name), 1, 100)
	f.archive(b.Archive)
	f.between("rate_limit_per_user", b.Slowmode, 0, 21600)
}

func (f *formError) archive(minutes int) {
	switch minutes {
	case 0, 60, 1440, 4320, 10080:
	default:
		f.add("auto_archive_duration", "BASE_TYPE_CHOICES", "Value must be one of (60, 1440, 4320, 10080).")
	}
}

// startThread makes a thread with its starter as the only member.
func (s *Sandbox) startThread(c *call, parent *channel, id ID, kind ChannelType, body *threadBody, owner ID) (*channel, error) {
	g := s.guilds[parent.GuildID]
	active := 0
	for _, id := range g.threads {
		if !s.channels[id].Thread.Archived {
			active++
		}
	}
	if active >= maxThreads {
		return nil, refuse(http.StatusBadRequest, 160006, "Maximum number of active threads reached.")
	}
	if len(g.threads) >= keptThreads {
		i := slices.IndexFunc(g.threads, func(id ID) bool { return s.channels[id].Thread.Archived })
		s.forgetChannel(s.channels[g.threads[i]])
	}
	minutes := body.Archive
	if minutes == 0 {
		minutes = max(parent.DefaultArchive, 60)
		if parent.DefaultArchive == 0 {
			minutes = 4320
		}
	}
	made := timestamp(c.now)
	ch := &channel{
		Channel: Channel{
			ID: id, Type: kind, GuildID: parent.GuildID, Name: clean(body.Name), ParentID: parent.ID, OwnerID: owner,
			Slowmode: body.Slowmode, MemberCount: 1,
			Thread: &ThreadMetadata{ArchiveTimestamp: made, CreateTimestamp: made, AutoArchive: minutes},
		},
		threadMembers: map[ID]*ThreadMember{owner: {ID: id, UserID: owner, JoinTimestamp: made, Flags: 1}},
	}
	if kind == ChannelPrivateThread {
		ch.Thread.Invitable = ptr(body.Invitable == nil || *body.Invitable)
	}
	for _, tag := range body.Tags {
		ch.AppliedTags = append(ch.AppliedTags, tag.ID)
	}
	s.channels[id] = ch
	g.threads = insert(g.threads, id)
	s.audit(c, g.ID, auditThread+auditCreated, id, nil, ch.wire())
	s.publish("THREAD_CREATE", ch.GuildID, ch.ID, func() any { return ch.wire() })
	s.threadMembersChanged(ch, owner)
	return ch, nil
}

func (s *Sandbox) threadFromMessage(c *call) (any, error) {
	ch, m, p, err := s.at(c)
	if err != nil {
		return nil, err
	}
	kind := ChannelPublicThread
	switch ch.Type {
	case ChannelText:
	case ChannelAnnouncement:
		kind = ChannelAnnouncementThread
	default:
		return nil, errChannelType
	}
	if !p.Has(PermCreatePublicThreads) {
		return nil, errMissingPerms
	}
	var body threadBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	body.check(&f)
	if err := f.err(); err != nil {
		return nil, err
	}
	if s.channels[m.ID] != nil {
		return nil, refuse(http.StatusBadRequest, 160004, "A thread has already been created for this message")
	}
	thread, err := s.startThread(c, ch, m.ID, kind, &body, c.user.ID)
	if err != nil {
		return nil, err
	}
	m.Flags |= FlagHasThread
	s.changed(ch, m)
	s.store(thread, &message{Message: Message{
		Type: MessageThreadStarter, Author: m.Author,
		Reference: &MessageReference{MessageID: m.ID, ChannelID: ch.ID, GuildID: ch.GuildID},
	}})
	thread.MessageCount, thread.TotalMessageSent = 0, 0
	return s.channelView(thread, c.user.ID), nil
}

func (s *Sandbox) createThread(c *call) (any, error) {
	ch, p, err := s.visible(c)
	if err != nil {
		return nil, err
	}
	var body threadBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	body.check(&f)
	if err := f.err(); err != nil {
		return nil, err
	}
	switch ch.Type {
	case ChannelForum, ChannelMedia:
		return s.post(c, ch, author{user: &c.user.User, permissions: p}, &body)
	case ChannelText, ChannelAnnouncement:
	default:
		return nil, errChannelType
	}
	kind := ChannelPrivateThread
	if body.Type != nil {
		kind = *body.Type
	}
	need := PermCreatePublicThreads
	switch kind {
	case ChannelPrivateThread:
		need = PermCreatePrivateThreads
	case ChannelPublicThread, ChannelAnnouncementThread:
	default:
		return nil, invalid("type", "BASE_TYPE_CHOICES", "Value must be one of (10, 11, 12).")
	}
	if !p.Has(need) {
		return nil, errMissingPerms
	}
	thread, err := s.startThread(c, ch, s.newID(), kind, &body, c.user.ID)
	if err != nil {
		return nil, err
	}
	if kind != ChannelPrivateThread {
		s.store(ch, &message{Message: Message{
			Type: MessageThreadCreated, Content: thread.Name, Author: &c.user.User,
			Reference: &MessageReference{ChannelID: thread.ID, GuildID: ch.GuildID},
		}})
	}
	return s.channelView(thread, c.user.ID), nil
}

// post starts a thread in a forum; thread and first message have one id.
func (s *Sandbox) post(c *call, ch *channel, by author, body *threadBody) (any, error) {
	if by.webhook == nil && !by.permissions.Has(PermSendMessages) {
		return nil, errMissingPerms
	}
	if body.Message == nil {
		return nil, invalid("message", "BASE_TYPE_REQUIRED", "This field is required")
	}
	for i, tag := range body.Tags {
		if !slices.ContainsFunc(ch.AvailableTags, func(t ForumTag) bool { return t.ID == tag.ID }) {
			return nil, invalid(join("applied_tags", i), "FORUM_TAG_INVALID", "Unknown tag")
		}
	}
	m, err := s.compose(c, ch, by, body.Message)
	if err != nil {
		return nil, err
	}
	m.Nonce = nil
	thread, err := s.startThread(c, ch, s.newID(), ChannelPublicThread, body, by.user.ID)
	if err != nil {
		return nil, err
	}
	m.ID = thread.ID
	s.store(thread, m)
	thread.MessageCount, thread.TotalMessageSent = 0, 0
	ch.LastMessageID = thread.ID
	if by.webhook != nil {
		return s.view(m, 0), nil
	}
	view := s.channelView(thread, c.user.ID).(threadJSON)
	return struct {
		threadJSON
		Message *Message `json:"message"`
	}{view, s.view(m, c.user.ID)}, nil
}

// wake un-archives a thread that is written to.
func (s *Sandbox) wake(ch *channel) {
	if !ch.Thread.Archived {
		return
	}
	ch.Thread.Archived = false
	ch.Thread.ArchiveTimestamp = timestamp(s.now())
	s.publish("THREAD_UPDATE", ch.GuildID, ch.ID, func() any { return ch.wire() })
}

type threadList struct {
	Threads []any           `json:"threads"`
	Members []*ThreadMember `json:"members"`
	HasMore bool            `json:"has_more"`
}

func (l *threadList) add(s *Sandbox, ch *channel, viewer ID) {
	l.Threads = append(l.Threads, s.channelView(ch, viewer))
	if m := ch.threadMembers[viewer]; m != nil {
		l.Members = append(l.Members, m)
	}
}

func (s *Sandbox) activeThreads(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	out := &threadList{Threads: []any{}, Members: []*ThreadMember{}}
	for _, id := range slices.Backward(g.threads) {
		if ch := s.channels[id]; !ch.Thread.Archived && s.permissions(c.user.ID, ch).Has(PermViewChannel) {
			out.add(s, ch, c.user.ID)
		}
	}
	return out, nil
}

func (s *Sandbox) archivedPublic(c *call) (any, error) {
	return s.archived(c, func(ch *channel) bool { return ch.Type != ChannelPrivateThread })
}

func (s *Sandbox) archivedPrivate(c *call) (any, error) {
	return s.archived(c, func(ch *channel) bool { return ch.Type == ChannelPrivateThread })
}

func (s *Sandbox) archivedJoined(c *call) (any, error) {
	return s.archived(c, func(ch *channel) bool {
		return ch.Type == ChannelPrivateThread && ch.threadMembers[c.user.ID] != nil
	})
}

func (s *Sandbox) archived(c *call, want func(*channel) bool) (any, error) {
	parent, p, err := s.visible(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermReadMessageHistory):
		return nil, errMissingPerms
	}
	q := c.query()
	limit := q.int("limit", 50, 1, 100)
	if err := q.err(); err != nil {
		return nil, err
	}
	before := time.Time{}
	if text := q.values.Get("before"); text != "" {
		before, _ = parseTime(text)
	}
	var found []*channel
	for _, id := range s.guilds[parent.GuildID].threads {
		ch := s.channels[id]
		if ch.ParentID != parent.ID || !ch.Thread.Archived || !want(ch) {
			continue
		}
		if at, _ := parseTime(ch.Thread.ArchiveTimestamp); before.IsZero() || at.Before(before) {
			found = append(found, ch)
		}
	}
	slices.SortStableFunc(found, func(a, b *channel) int {
		x, _ := parseTime(a.Thread.ArchiveTimestamp)
		y, _ := parseTime(b.Thread.ArchiveTimestamp)
		return y.Compare(x)
	})
	out := &threadList{Threads: []any{}, Members: []*ThreadMember{}, HasMore: len(found) > limit}
	for _, ch := range found[:min(len(found), limit)] {
		out.add(s, ch, c.user.ID)
	}
	return out, nil
}

// inThread finds the thread that a call is about.
func (s *Sandbox) inThread(c *call) (*channel, Permissions, error) {
	ch, p, err := s.visible(c)
	if err == nil && !ch.isThread() {
		err = errChannelType
	}
	return ch, p, err
}

func (s *Sandbox) threadMember(c *call, ch *channel, m *ThreadMember) *ThreadMember {
	out := *m
	if c.query().bool("with_member") {
		out.Member = s.guilds[ch.GuildID].members[m.UserID]
	}
	return &out
}

func (s *Sandbox) listThreadMembers(c *call) (any, error) {
	ch, _, err := s.inThread(c)
	if err != nil {
		return nil, err
	}
	q := c.query()
	paged := q.bool("with_member") // a page has members with what they are in the guild
	limit, after := q.int("limit", 100, 1, 100), q.snowflake("after")
	if err := q.err(); err != nil {
		return nil, err
	}
	out := []*ThreadMember{}
	for _, id := range slices.Sorted(maps.Keys(ch.threadMembers)) {
		if !paged || id > after && len(out) < limit {
			out = append(out, s.threadMember(c, ch, ch.threadMembers[id]))
		}
	}
	return out, nil
}

func (s *Sandbox) getThreadMember(c *call) (any, error) {
	ch, _, err := s.inThread(c)
	if err != nil {
		return nil, err
	}
	m := ch.threadMembers[c.id("user_id")]
	if m == nil {
		return nil, errUnknownMember
	}
	return s.threadMember(c, ch, m), nil
}

func (s *Sandbox) joinThread(c *call) (any, error) { return s.changeThreadMember(c, c.user.ID, true) }

func (s *Sandbox) addThreadMember(c *call) (any, error) {
	return s.changeThreadMember(c, c.id("user_id"), true)
}

func (s *Sandbox) leaveThread(c *call) (any, error) { return s.changeThreadMember(c, c.user.ID, false) }

func (s *Sandbox) removeThreadMember(c *call) (any, error) {
	return s.changeThreadMember(c, c.id("user_id"), false)
}

func (s *Sandbox) changeThreadMember(c *call, u ID, in bool) (any, error) {
	ch, p, err := s.inThread(c)
	switch {
	case err != nil:
		return nil, err
	case ch.Thread.Archived:
		return nil, refuse(http.StatusBadRequest, 50083, "Thread is archived")
	case s.guilds[ch.GuildID].members[u] == nil:
		return nil, errUnknownMember
	case in && u != c.user.ID && !p.Has(PermSendMessagesInThreads),
		!in && u != c.user.ID && !p.Has(PermManageThreads) && (ch.Type != ChannelPrivateThread || ch.OwnerID != c.user.ID):
		return nil, errMissingPerms
	case in && len(ch.threadMembers) >= 1000:
		return nil, refuse(http.StatusBadRequest, 30033, "Maximum number of thread participants reached (1000)")
	}
	if in == (ch.threadMembers[u] != nil) {
		return nil, nil
	}
	if in {
		ch.threadMembers[u] = &ThreadMember{ID: ch.ID, UserID: u, JoinTimestamp: timestamp(c.now)}
	} else {
		delete(ch.threadMembers, u)
	}
	ch.MemberCount = len(ch.threadMembers)
	s.threadMembersChanged(ch, u)
	return nil, nil
}

// threadMembersChanged says that a user has joined or left a thread.
func (s *Sandbox) threadMembersChanged(ch *channel, u ID) {
	s.publish("THREAD_MEMBERS_UPDATE", ch.GuildID, ch.ID, func() any {
		event := struct {
			ID          ID              `json:"id"`
			GuildID     ID              `json:"guild_id"`
			MemberCount int             `json:"member_count"`
			Added       []*ThreadMember `json:"added_members,omitempty"`
			Removed     []ID            `json:"removed_member_ids,omitempty"`
		}{ID: ch.ID, GuildID: ch.GuildID, MemberCount: ch.MemberCount}
		if m := ch.threadMembers[u]; m != nil {
			event.Added = []*ThreadMember{ptr(*m)}
		} else {
			event.Removed = []ID{u}
		}
		return event
	})
}
