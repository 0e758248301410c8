package sandbox

import (
	"net/http"
	"slices"
	"strconv"
)

var channelRoutes = []route{
	{method: "GET", template: "/channels/{channel_id}", handle: (*Sandbox).getChannel},
	{method: "PATCH", template: "/channels/{channel_id}", handle: (*Sandbox).modifyChannel},
	{method: "DELETE", template: "/channels/{channel_id}", handle: (*Sandbox).deleteChannel},
	{method: "PUT", template: "/channels/{channel_id}/permissions/{overwrite_id}", handle: (*Sandbox).setOverwrite},
	{method: "DELETE", template: "/channels/{channel_id}/permissions/{overwrite_id}", handle: (*Sandbox).deleteOverwrite},
}

// maxChannels is the maximum number of channels in a guild.
const maxChannels = 500

// visible finds the channel that a call is about, and what its caller may do
// there. A channel that cannot be seen is Missing Access.
func (s *Sandbox) visible(c *call) (*channel, Permissions, error) {
	ch := s.channels[c.id("channel_id")]
	if ch == nil {
		return nil, 0, errUnknownChannel
	}
	p := s.permissions(c.user.ID, ch)
	if !p.Has(PermViewChannel) {
		return nil, 0, errMissingAccess
	}
	return ch, p, nil
}

func (s *Sandbox) getChannel(c *call) (any, error) {
	ch, _, err := s.visible(c)
	if err != nil {
		return nil, err
	}
	return s.channelView(ch, c.user.ID), nil
}

// channelView is a channel as someone sees it.
func (s *Sandbox) channelView(ch *channel, viewer ID) any {
	out := ch.Channel
	if ch.isThread() {
		out.Member = ch.threadMembers[viewer]
	}
	if ch.GuildID == 0 {
		out.Recipients = out.Recipients[:0:0]
		for _, id := range ch.recipients {
			if u := s.users[id]; id != viewer && u != nil {
				out.Recipients = append(out.Recipients, u.User)
			}
		}
	}
	return out.wire()
}

// channelBody is the body of a request that creates or changes a channel or a thread.
type channelBody struct {
	Name       *string      `json:"name"`
	Type       *ChannelType `json:"type"`
	Topic      *string      `json:"topic"`
	Position   *int         `json:"position"`
	Slowmode   *int         `json:"rate_limit_per_user"`
	NSFW       *bool        `json:"nsfw"`
	Bitrate    *int         `json:"bitrate"`
	UserLimit  *int         `json:"user_limit"`
	ParentID   reqID        `json:"parent_id"`
	Overwrites *[]Overwrite `json:"permission_overwrites"`
	Tags       *[]ForumTag  `json:"available_tags"`
	Flags      *int         `json:"flags"`
	Default    *int         `json:"default_auto_archive_duration"`

	Archived  *bool   `json:"archived"`
	Locked    *bool   `json:"locked"`
	Archive   *int    `json:"auto_archive_duration"`
	Invitable *bool   `json:"invitable"`
	Applied   []reqID `json:"applied_tags"`
}

func setIf[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// apply checks the body and changes a channel by it.
func (b *channelBody) apply(s *Sandbox, c *call, ch *Channel) error {
	var f formError
	if b.Name != nil {
		*b.Name = clean(*b.Name)
		f.length("name", *b.Name, 1, 100)
	}
	if b.Topic != nil {
		most := 1024
		if ch.Type == ChannelForum || ch.Type == ChannelMedia {
			most = 4096
		}
		f.length("topic", *b.Topic, 0, most)
	}
	if b.Slowmode != nil {
		f.between("rate_limit_per_user", *b.Slowmode, 0, 21600)
	}
	if b.Archive != nil {
		f.archive(*b.Archive)
	}
	f.id("parent_id", b.ParentID)
	if parent := s.channels[b.ParentID.ID]; b.ParentID.set &&
		(parent == nil || parent.Type != ChannelCategory || parent.GuildID != ch.GuildID) {
		f.add("parent_id", "CHANNEL_PARENT_INVALID", "Category does not exist")
	}
	if err := f.err(); err != nil {
		return err
	}
	setIf(&ch.Name, b.Name)
	setIf(&ch.Topic, b.Topic)
	setIf(&ch.Position, b.Position)
	setIf(&ch.Slowmode, b.Slowmode)
	setIf(&ch.NSFW, b.NSFW)
	setIf(&ch.Bitrate, b.Bitrate)
	setIf(&ch.UserLimit, b.UserLimit)
	setIf(&ch.Overwrites, b.Overwrites)
	setIf(&ch.Flags, b.Flags)
	setIf(&ch.DefaultArchive, b.Default)
	if c.has("topic") && b.Topic == nil {
		ch.Topic = ""
	}
	if c.has("parent_id") && !ch.isThread() {
		ch.ParentID = b.ParentID.ID
	}
	if b.Tags != nil {
		ch.AvailableTags = slices.Clone(*b.Tags)
		for i := range ch.AvailableTags {
			if ch.AvailableTags[i].ID == 0 {
				ch.AvailableTags[i].ID = s.newID()
			}
		}
	}
	if ch.Thread == nil {
		return nil
	}
	setIf(&ch.Thread.Locked, b.Locked)
	setIf(&ch.Thread.AutoArchive, b.Archive)
	if b.Invitable != nil && ch.Type == ChannelPrivateThread {
		ch.Thread.Invitable = b.Invitable
	}
	if b.Archived != nil && *b.Archived != ch.Thread.Archived {
		ch.Thread.Archived = *b.Archived
		ch.Thread.ArchiveTimestamp = timestamp(c.now)
	}
	if b.Applied != nil {
		ch.AppliedTags = nil
		for _, tag := range b.Applied {
			ch.AppliedTags = append(ch.AppliedTags, tag.ID)
		}
	}
	return nil
}

func (s *Sandbox) createChannel(c *call) (any, error) {
	g, p, err := s.inGuild(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermManageChannels):
		return nil, errMissingPerms
	case len(g.channels) >= maxChannels:
		return nil, refuse(http.StatusBadRequest, 30013, "Maximum number of server channels reached (500)")
	}
	var body channelBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.Name == nil {
		return nil, invalid("name", "BASE_TYPE_REQUIRED", "This field is required")
	}
	ch := Channel{GuildID: g.ID, Position: len(g.channels)}
	setIf(&ch.Type, body.Type)
	switch ch.Type {
	case ChannelText, ChannelVoice, ChannelCategory, ChannelAnnouncement, ChannelStage, ChannelForum, ChannelMedia:
	default:
		return nil, invalid("type", "BASE_TYPE_CHOICES", "Value must be one of (0, 2, 4, 5, 13, 14, 15, 16).")
	}
	if err := body.apply(s, c, &ch); err != nil {
		return nil, err
	}
	made := s.channels[s.putChannel(ch)]
	s.audit(c, g.ID, auditChannel+auditCreated, made.ID, nil, made.wire())
	s.publish("CHANNEL_CREATE", g.ID, made.ID, func() any { return made.wire() })
	return made.wire(), nil
}

func (s *Sandbox) modifyChannel(c *call) (any, error) {
	ch, p, err := s.visible(c)
	if err != nil {
		return nil, err
	}
	var body channelBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	own := ch.isThread() && ch.OwnerID == c.user.ID && body.Locked == nil
	switch {
	case ch.GuildID == 0:
		return nil, errOnDM
	case ch.isThread() && !own && !p.Has(PermManageThreads), !ch.isThread() && !p.Has(PermManageChannels):
		return nil, errMissingPerms
	case ch.isThread() && ch.Thread.Archived && (body.Archived == nil || *body.Archived):
		return nil, refuse(http.StatusBadRequest, 50083, "Thread is archived")
	}
	before := snapshot(ch.wire())
	if err := body.apply(s, c, &ch.Channel); err != nil {
		return nil, err
	}
	kind := "CHANNEL_UPDATE"
	if ch.isThread() {
		kind = "THREAD_UPDATE"
	}
	s.audit(c, ch.GuildID, ch.auditKind()+auditUpdated, ch.ID, before, ch.wire())
	s.publish(kind, ch.GuildID, ch.ID, func() any { return ch.wire() })
	return s.channelView(ch, c.user.ID), nil
}

func (s *Sandbox) deleteChannel(c *call) (any, error) {
	ch, p, err := s.visible(c)
	switch {
	case err != nil:
		return nil, err
	case ch.GuildID == 0:
		// Closing a direct message does not lose it: opening it again brings it back.
		return s.channelView(ch, c.user.ID), nil
	case ch.isThread() && !p.Has(PermManageThreads), !ch.isThread() && !p.Has(PermManageChannels):
		return nil, errMissingPerms
	}
	out := s.channelView(ch, c.user.ID)
	s.audit(c, ch.GuildID, ch.auditKind()+auditDeleted, ch.ID, ch.wire(), nil)
	s.forgetChannel(ch)
	return out, nil
}

// forgetChannel deletes a channel of a guild with its threads and webhooks.
func (s *Sandbox) forgetChannel(ch *channel) {
	g := s.guilds[ch.GuildID]
	for _, id := range slices.Clone(g.threads) {
		if s.channels[id].ParentID == ch.ID {
			s.forgetChannel(s.channels[id])
		}
	}
	for id, w := range s.webhooks {
		if w.ChannelID == ch.ID {
			delete(s.webhooks, id)
		}
	}
	for _, id := range g.channels {
		if other := s.channels[id]; other.ParentID == ch.ID {
			other.ParentID = 0
		}
	}
	delete(s.channels, ch.ID)
	g.channels, g.threads = without(g.channels, ch.ID), without(g.threads, ch.ID)
	kind := "CHANNEL_DELETE"
	if ch.isThread() {
		kind = "THREAD_DELETE"
	}
	s.publish(kind, ch.GuildID, ch.ID, func() any { return ch.wire() })
}

// auditKind is the first of the entries about channels or threads.
func (ch *channel) auditKind() int {
	if ch.isThread() {
		return auditThread
	}
	return auditChannel
}

// overwriting finds the channel whose overwrites a call changes.
func (s *Sandbox) overwriting(c *call) (*channel, error) {
	ch, p, err := s.visible(c)
	switch {
	case err != nil:
		return nil, err
	case ch.GuildID == 0:
		return nil, errOnDM
	case ch.isThread():
		return nil, errChannelType
	case !p.Has(PermManageRoles):
		return nil, errMissingPerms
	}
	return ch, nil
}

func (s *Sandbox) setOverwrite(c *call) (any, error) {
	ch, err := s.overwriting(c)
	if err != nil {
		return nil, err
	}
	var body Overwrite
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.Type != OverwriteRole && body.Type != OverwriteMember {
		return nil, invalid("type", "BASE_TYPE_CHOICES", "Value must be one of (0, 1).")
	}
	body.ID = c.id("overwrite_id")
	what, before := auditCreated, any(nil)
	if i := slices.IndexFunc(ch.Overwrites, func(o Overwrite) bool { return o.ID == body.ID }); i >= 0 {
		what, before = auditUpdated, ch.Overwrites[i]
	}
	s.auditOverwrite(c, ch, what, body, before, body)
	ch.Overwrites = append(slices.DeleteFunc(slices.Clone(ch.Overwrites), func(o Overwrite) bool { return o.ID == body.ID }), body)
	s.publish("CHANNEL_UPDATE", ch.GuildID, ch.ID, func() any { return ch.wire() })
	return nil, nil
}

func (s *Sandbox) deleteOverwrite(c *call) (any, error) {
	ch, err := s.overwriting(c)
	if err != nil {
		return nil, err
	}
	id := c.id("overwrite_id")
	i := slices.IndexFunc(ch.Overwrites, func(o Overwrite) bool { return o.ID == id })
	if i < 0 {
		return nil, refuse(http.StatusNotFound, 10009, "Unknown Overwrite")
	}
	s.auditOverwrite(c, ch, auditDeleted, ch.Overwrites[i], ch.Overwrites[i], nil)
	ch.Overwrites = slices.Delete(slices.Clone(ch.Overwrites), i, i+1)
	s.publish("CHANNEL_UPDATE", ch.GuildID, ch.ID, func() any { return ch.wire() })
	return nil, nil
}

func (s *Sandbox) auditOverwrite(c *call, ch *channel, what int, o Overwrite, before, after any) {
	options := map[string]any{"id": o.ID, "type": strconv.Itoa(o.Type)}
	if r := s.guilds[ch.GuildID].roles[o.ID]; r != nil {
		options["role_name"] = r.Name
	}
	s.audit(c, ch.GuildID, auditOverwrite+what, ch.ID, before, after, options)
}
