package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
)

const scheduledPath = "/guilds/{guild_id}/scheduled-events"

var scheduledRoutes = []route{
	{method: "GET", template: scheduledPath, handle: (*Sandbox).listScheduledEvents},
	{method: "POST", template: scheduledPath, handle: (*Sandbox).createScheduledEvent},
	{method: "GET", template: scheduledPath + "/{guild_scheduled_event_id}", handle: (*Sandbox).getScheduledEvent},
	{method: "PATCH", template: scheduledPath + "/{guild_scheduled_event_id}", handle: (*Sandbox).modifyScheduledEvent},
	{method: "DELETE", template: scheduledPath + "/{guild_scheduled_event_id}", handle: (*Sandbox).deleteScheduledEvent},
	{method: "GET", template: scheduledPath + "/{guild_scheduled_event_id}/users", handle: (*Sandbox).listScheduledEventUsers},
}

// maxScheduledEvents is the maximum number of scheduled or active events in a guild.
const maxScheduledEvents = 100

// Kinds and states of scheduled events.
const (
	scheduledStage    = 1
	scheduledVoice    = 2
	scheduledExternal = 3

	scheduledWaiting   = 1
	scheduledActive    = 2
	scheduledCompleted = 3
	scheduledCanceled  = 4
)

// ScheduledEvent is an event that a guild has announced. Nobody subscribes.
// See https://discord.com/developers/docs/resources/guild-scheduled-event.
type ScheduledEvent struct {
	ID          ID              `json:"id"`
	GuildID     ID              `json:"guild_id"`
	ChannelID   nullID          `json:"channel_id"`
	CreatorID   ID              `json:"creator_id"`
	Creator     *User           `json:"creator,omitempty"`
	Name        string          `json:"name"`
	Description *string         `json:"description"`
	Image       *string         `json:"image"`
	Start       string          `json:"scheduled_start_time"`
	End         *string         `json:"scheduled_end_time"`
	Privacy     int             `json:"privacy_level"`
	Status      int             `json:"status"`
	Type        int             `json:"entity_type"`
	EntityID    nullID          `json:"entity_id"`
	Metadata    *eventMetadata  `json:"entity_metadata"`
	Recurrence  json.RawMessage `json:"recurrence_rule"`
	Exceptions  []struct{}      `json:"guild_scheduled_event_exceptions"`
	UserCount   *int            `json:"user_count,omitempty"`
}

type eventMetadata struct {
	Location string `json:"location,omitempty"`
}

type scheduledBody struct {
	Name        *string         `json:"name"`
	Description *string         `json:"description"`
	Image       *string         `json:"image"`
	Start       *string         `json:"scheduled_start_time"`
	End         *string         `json:"scheduled_end_time"`
	Privacy     *int            `json:"privacy_level"`
	Type        *int            `json:"entity_type"`
	Status      *int            `json:"status"`
	ChannelID   reqID           `json:"channel_id"`
	Metadata    *eventMetadata  `json:"entity_metadata"`
	Recurrence  json.RawMessage `json:"recurrence_rule"`
}

// scheduling finds the guild whose events a call changes.
func (s *Sandbox) scheduling(c *call) (*guild, error) {
	g, p, err := s.inGuild(c)
	if err == nil && p&(PermManageEvents|PermCreateEvents) == 0 {
		err = errMissingPerms
	}
	return g, err
}

func (s *Sandbox) oneScheduledEvent(c *call, g *guild) (int, error) {
	i := slices.IndexFunc(g.scheduled, func(e ScheduledEvent) bool { return e.ID == c.id("guild_scheduled_event_id") })
	if i < 0 {
		return 0, refuse(http.StatusNotFound, 10070, "Unknown Guild Scheduled Event")
	}
	return i, nil
}

func (f *formError) time(path string, text *string) *string {
	if text == nil {
		return nil
	}
	at, err := parseTime(*text)
	if err != nil {
		f.add(path, "DATE_TIME_TYPE_PARSE", "Could not parse "+*text+". Should be ISO8601.")
		return nil
	}
	return ptr(timestamp(at))
}

// apply checks the body and changes an event by it.
func (b *scheduledBody) apply(s *Sandbox, c *call, e *ScheduledEvent) error {
	var f formError
	if b.Name != nil {
		e.Name = clean(*b.Name)
		f.length("name", e.Name, 1, 100)
	}
	if c.has("description") {
		if e.Description = b.Description; b.Description != nil {
			f.length("description", *b.Description, 0, 1000)
		}
	}
	if at := f.time("scheduled_start_time", b.Start); at != nil {
		if start, _ := parseTime(*at); !start.After(c.now) {
			f.add("scheduled_start_time", "GUILD_SCHEDULED_EVENT_SCHEDULE_PAST", "Cannot schedule event in the past.")
		}
		e.Start = *at
	}
	if c.has("scheduled_end_time") {
		e.End = f.time("scheduled_end_time", b.End)
	}
	if b.Privacy != nil {
		if e.Privacy = *b.Privacy; e.Privacy != 2 {
			f.add("privacy_level", "BASE_TYPE_CHOICES", "Value must be one of (2,).")
		}
	}
	setIf(&e.Type, b.Type)
	f.id("channel_id", b.ChannelID)
	if c.has("channel_id") {
		e.ChannelID = nullID(b.ChannelID.ID)
	}
	if c.has("entity_metadata") {
		e.Metadata = b.Metadata
	}
	if c.has("recurrence_rule") {
		e.Recurrence = b.Recurrence
	}
	if c.has("image") {
		e.Image = nil
		if b.Image != nil {
			e.Image = ptr(s.token(s.newID())[:32])
		}
	}
	e.check(&f, s.channels[ID(e.ChannelID)])
	if err := f.err(); err != nil {
		return err
	}
	if b.Status == nil || *b.Status == e.Status {
		return nil
	}
	next := map[int][]int{scheduledWaiting: {scheduledActive, scheduledCanceled}, scheduledActive: {scheduledCompleted}}
	if !slices.Contains(next[e.Status], *b.Status) {
		return refuse(http.StatusBadRequest, 180000, "Cannot update a finished event")
	}
	e.Status = *b.Status
	return nil
}

// check finds what an event lacks as a whole.
func (e *ScheduledEvent) check(f *formError, ch *channel) {
	switch e.Type {
	case scheduledExternal:
		if e.Metadata == nil || e.Metadata.Location == "" {
			f.required("entity_metadata.location")
		} else {
			f.length("entity_metadata.location", e.Metadata.Location, 1, 100)
		}
		if e.End == nil && f.clean("scheduled_end_time") {
			f.required("scheduled_end_time")
		}
		e.ChannelID = 0
	case scheduledStage, scheduledVoice:
		kind := map[int]ChannelType{scheduledStage: ChannelStage, scheduledVoice: ChannelVoice}[e.Type]
		switch {
		case e.ChannelID == 0:
			f.required("channel_id")
		case ch == nil || ch.GuildID != e.GuildID || ch.Type != kind:
			f.add("channel_id", "GUILD_SCHEDULED_EVENT_INVALID_CHANNEL", "Invalid channel for this type of event")
		}
		e.Metadata = nil
	default:
		f.add("entity_type", "BASE_TYPE_CHOICES", "Value must be one of (1, 2, 3).")
	}
	if start, err := parseTime(e.Start); err == nil && e.End != nil {
		if end, _ := parseTime(*e.End); !end.After(start) {
			f.add("scheduled_end_time", "GUILD_SCHEDULED_EVENT_END_BEFORE_START", "Cannot schedule event to end before it starts.")
		}
	}
}

func (s *Sandbox) createScheduledEvent(c *call) (any, error) {
	g, err := s.scheduling(c)
	if err != nil {
		return nil, err
	}
	var body scheduledBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"name", body.Name != nil},
		{"privacy_level", body.Privacy != nil},
		{"scheduled_start_time", body.Start != nil},
		{"entity_type", body.Type != nil},
	} {
		if !field.given {
			f.required(field.name)
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	body.Status = nil
	e := ScheduledEvent{GuildID: g.ID, CreatorID: c.user.ID, Creator: &c.user.User, Status: scheduledWaiting, Exceptions: []struct{}{}}
	if err := body.apply(s, c, &e); err != nil {
		return nil, err
	}
	open := 0
	for _, o := range g.scheduled {
		if o.Status <= scheduledActive {
			open++
		}
	}
	if open >= maxScheduledEvents {
		return nil, refuse(http.StatusBadRequest, 30038, "Maximum number of guild scheduled events reached (100)")
	}
	e.ID = s.newID()
	g.scheduled = append(g.scheduled, e)
	s.scheduledChanged(c, auditCreated, "GUILD_SCHEDULED_EVENT_CREATE", nil, e)
	return e, nil
}

func (s *Sandbox) scheduledChanged(c *call, what int, kind string, before any, e ScheduledEvent) {
	var after any = e
	if what == auditDeleted {
		before, after = e, nil
	}
	s.audit(c, e.GuildID, auditScheduledEvent+what, e.ID, before, after)
	s.publish(kind, e.GuildID, ID(e.ChannelID), func() any { return e })
}

func (s *Sandbox) listScheduledEvents(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	q := c.query()
	counts := q.bool("with_user_count")
	if err := q.err(); err != nil {
		return nil, err
	}
	out := slices.Clone(orEmpty(g.scheduled))
	for i := range out {
		if counts {
			out[i].UserCount = new(int)
		}
	}
	return out, nil
}

func (s *Sandbox) getScheduledEvent(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	i, err := s.oneScheduledEvent(c, g)
	if err != nil {
		return nil, err
	}
	return g.scheduled[i], nil
}

func (s *Sandbox) modifyScheduledEvent(c *call) (any, error) {
	g, err := s.scheduling(c)
	if err != nil {
		return nil, err
	}
	i, err := s.oneScheduledEvent(c, g)
	if err != nil {
		return nil, err
	}
	var body scheduledBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	before := g.scheduled[i]
	e := before
	if err := body.apply(s, c, &e); err != nil {
		return nil, err
	}
	g.scheduled[i] = e
	s.scheduledChanged(c, auditUpdated, "GUILD_SCHEDULED_EVENT_UPDATE", before, e)
	return e, nil
}

func (s *Sandbox) deleteScheduledEvent(c *call) (any, error) {
	g, err := s.scheduling(c)
	if err != nil {
		return nil, err
	}
	i, err := s.oneScheduledEvent(c, g)
	if err != nil {
		return nil, err
	}
	e := g.scheduled[i]
	g.scheduled = slices.Delete(slices.Clone(g.scheduled), i, i+1)
	s.scheduledChanged(c, auditDeleted, "GUILD_SCHEDULED_EVENT_DELETE", nil, e)
	return nil, nil
}

func (s *Sandbox) listScheduledEventUsers(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	if _, err := s.oneScheduledEvent(c, g); err != nil {
		return nil, err
	}
	return []any{}, nil
}
