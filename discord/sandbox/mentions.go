package sandbox

import (
	"fmt"
	"slices"
	"strings"
)

// allowedMentions limits whom a message pings. See
// https://discord.com/developers/docs/resources/message#allowed-mentions-object.
type allowedMentions struct {
	Parse       []string `json:"parse"`
	Roles       []reqID  `json:"roles"`
	Users       []reqID  `json:"users"`
	RepliedUser bool     `json:"replied_user"`
}

func (a *allowedMentions) check(f *formError) {
	const at = "allowed_mentions"
	for i, p := range a.Parse {
		if p != "roles" && p != "users" && p != "everyone" {
			f.add(join(at+".parse", i), "BASE_TYPE_CHOICES", "Value must be one of ('users', 'everyone', 'roles').")
		}
	}
	each := func(name string, list []reqID) {
		if len(list) > 100 {
			f.add(at+"."+name, "BASE_TYPE_MAX_LENGTH", "Must be 100 or fewer in length.")
		}
		for i, id := range list {
			f.id(join(at+"."+name, i), id)
		}
		if len(list) > 0 && slices.Contains(a.Parse, name) {
			f.add(at, "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
				fmt.Sprintf(`parse:["%s"] and %s: [ids...] are mutually exclusive.`, name, name))
		}
	}
	each("roles", a.Roles)
	each("users", a.Users)
}

func (a *allowedMentions) allows(kind string, list []reqID, id ID) bool {
	return slices.Contains(a.Parse, kind) || slices.ContainsFunc(list, func(r reqID) bool { return r.ID == id })
}

// mention determines whom a message actually mentions.
func (s *Sandbox) mention(ch *channel, by author, m *message, allowed *allowedMentions) {
	pingAuthor := allowed == nil || allowed.RepliedUser
	if allowed == nil {
		allowed = &allowedMentions{Parse: []string{"users", "roles", "everyone"}}
		if by.webhook != nil {
			allowed.Parse = allowed.Parse[:1]
		}
	}
	if m.Type == MessageReply && m.Reference != nil && pingAuthor {
		if from := s.channels[m.Reference.ChannelID]; from != nil {
			if target := from.message(m.Reference.MessageID); target != nil && target.WebhookID == 0 {
				m.Mentions = append(m.Mentions, target.Author)
			}
		}
	}
	may := by.permissions.Has(PermMentionEveryone) || by.webhook != nil
	if may && slices.Contains(allowed.Parse, "everyone") &&
		(strings.Contains(m.Content, "@everyone") || strings.Contains(m.Content, "@here")) {
		m.MentionEveryone = true
	}
	for text := m.Content; ; {
		_, rest, found := strings.Cut(text, "<@")
		if !found {
			return
		}
		text = rest
		number, _, closed := strings.Cut(rest, ">")
		if !closed {
			return
		}
		role := strings.HasPrefix(number, "&")
		id, err := ParseID(strings.TrimLeft(number, "&!"))
		if err != nil {
			continue
		}
		if role {
			if g := s.guilds[ch.GuildID]; g != nil && g.roles[id] != nil && allowed.allows("roles", allowed.Roles, id) &&
				(may || g.roles[id].Mentionable) && !slices.Contains(m.MentionRoles, id) {
				m.MentionRoles = append(m.MentionRoles, id)
			}
			continue
		}
		u := s.users[id]
		if u != nil && allowed.allows("users", allowed.Users, id) &&
			!slices.ContainsFunc(m.Mentions, func(o *User) bool { return o.ID == id }) {
			m.Mentions = append(m.Mentions, &u.User)
		}
	}
}
