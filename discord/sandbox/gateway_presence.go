package sandbox

// The statuses that a user can have.
const (
	StatusOnline    = "online"
	StatusIdle      = "idle"
	StatusDND       = "dnd"
	StatusInvisible = "invisible" // others see offline
	StatusOffline   = "offline"
)

// Presence is the status and the activities of a user.
//
// See https://discord.com/developers/docs/events/gateway-events#update-presence.
type Presence struct {
	Status     string     `json:"status"`
	Activities []Activity `json:"activities"`
	AFK        bool       `json:"afk,omitempty"`
}

// Activity is what a user is doing.
type Activity struct {
	Name  string `json:"name"`
	Type  int    `json:"type"` // 0 playing, 1 streaming, 2 listening, 3 watching, 4 custom, 5 competing
	State string `json:"state,omitempty"`
	URL   string `json:"url,omitempty"`
}

// presenceBody is a presence as clients of the gateway send it; game is the older form of
// activities.
type presenceBody struct {
	Since      any        `json:"since"`
	Activities []Activity `json:"activities"`
	Game       *Activity  `json:"game"`
	Status     string     `json:"status"`
	AFK        bool       `json:"afk"`
}

func (b *presenceBody) presence() (Presence, error) {
	p := Presence{Status: b.Status, Activities: orEmpty(b.Activities), AFK: b.AFK}
	if b.Game != nil && b.Game.Name != "" && len(p.Activities) == 0 {
		p.Activities = append(p.Activities, *b.Game)
	}
	switch p.Status {
	case "":
		p.Status = StatusOnline
	case StatusOnline, StatusIdle, StatusDND, StatusInvisible, StatusOffline:
	default:
		return p, closeDecode
	}
	for _, a := range p.Activities {
		if a.Type < 0 || a.Type > 5 || a.Name == "" {
			return p, closeDecode
		}
	}
	return p, nil
}

// presenceEvent is a presence as others see it.
type presenceEvent struct {
	User    onlyID `json:"user"`
	GuildID ID     `json:"guild_id,omitzero"`
	Presence
	Clients map[string]string `json:"client_status"` // status by "desktop", "mobile" or "web"
}

// presenceEvent is a user's presence in events; guild is not set within a guild's own event.
func (s *Sandbox) presenceEvent(user, guild ID) presenceEvent {
	out := presenceEvent{User: onlyID{user}, GuildID: guild, Presence: s.presenceOf(user), Clients: map[string]string{}}
	if out.Status != StatusOffline {
		out.Clients["web"] = out.Status
	}
	return out
}

type onlyID struct {
	ID ID `json:"id"`
}

func (s *Sandbox) updatePresence(c *gatewayConn, in command) error {
	var body presenceBody
	if err := in.decode(&body); err != nil {
		return err
	}
	p, err := body.presence()
	if err != nil {
		return err
	}
	c.session.presence = p
	s.presenceChanged(c.session.user)
	return nil
}

// presenceOf returns a user's presence: that of its sessions, or the one that was set.
func (s *Sandbox) presenceOf(user ID) Presence {
	p, ok := s.gateway.presences[user]
	for _, ss := range s.gateway.order {
		if ss.user == user && ss.conn != nil {
			p, ok = ss.presence, true
		}
	}
	if !ok || p.Status == StatusInvisible || p.Status == StatusOffline {
		return Presence{Status: StatusOffline, Activities: []Activity{}}
	}
	p.AFK = false
	return p
}

func (s *Sandbox) presenceChanged(user ID) {
	for id, g := range s.guilds {
		if g.members[user] != nil {
			s.publish("PRESENCE_UPDATE", id, 0, func() any { return s.presenceEvent(user, id) })
		}
	}
}

// SetPresence sets the presence of a user that is not a client of the gateway.
func (s *Sandbox) SetPresence(user ID, p Presence) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[user] == nil {
		return errNoUser
	}
	p.Activities = orEmpty(p.Activities)
	s.gateway.presences[user] = p
	s.presenceChanged(user)
	return nil
}

// Presence returns a user's presence as others see it. The default bot is online while it is
// connected to the gateway.
func (s *Sandbox) Presence(user ID) Presence {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.presenceOf(user)
}
