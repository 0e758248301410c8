package sandbox

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

const webhookPath = "/webhooks/{webhook_id}/{webhook_token}"

// What is done with a webhook's token needs no Authorization and counts
// against the address.
var webhookRoutes = []route{
	{method: "POST", template: "/channels/{channel_id}/webhooks", handle: (*Sandbox).createWebhook},
	{method: "GET", template: "/channels/{channel_id}/webhooks", handle: (*Sandbox).channelWebhooks},
	{method: "GET", template: "/guilds/{guild_id}/webhooks", handle: (*Sandbox).guildWebhooks},
	{method: "GET", template: "/webhooks/{webhook_id}", handle: (*Sandbox).getWebhook},
	{method: "PATCH", template: "/webhooks/{webhook_id}", handle: (*Sandbox).modifyWebhook},
	{method: "DELETE", template: "/webhooks/{webhook_id}", handle: (*Sandbox).deleteWebhook},
	{method: "GET", template: webhookPath, handle: (*Sandbox).getWebhook, open: true, perIP: true},
	{method: "PATCH", template: webhookPath, handle: (*Sandbox).modifyWebhook, open: true, perIP: true},
	{method: "DELETE", template: webhookPath, handle: (*Sandbox).deleteWebhook, open: true, perIP: true},
	{method: "POST", template: webhookPath, handle: (*Sandbox).executeWebhook, open: true, perIP: true},
	{method: "POST", template: webhookPath + "/slack", handle: (*Sandbox).executeSlack, open: true, perIP: true},
	{method: "POST", template: webhookPath + "/github", handle: (*Sandbox).executeGitHub, open: true, perIP: true},
	{method: "GET", template: webhookPath + "/messages/{message_id}", handle: (*Sandbox).getWebhookMessage, open: true, perIP: true},
	{method: "PATCH", template: webhookPath + "/messages/{message_id}", handle: (*Sandbox).editWebhookMessage, open: true, perIP: true},
	{method: "DELETE", template: webhookPath + "/messages/{message_id}", handle: (*Sandbox).deleteWebhookMessage, open: true, perIP: true},
	{method: "GET", template: webhookPath + "/messages/@original", handle: (*Sandbox).getWebhookMessage, open: true, perIP: true},
	{method: "PATCH", template: webhookPath + "/messages/@original", handle: (*Sandbox).editWebhookMessage, open: true, perIP: true},
	{method: "DELETE", template: webhookPath + "/messages/@original", handle: (*Sandbox).deleteWebhookMessage, open: true, perIP: true},
}

// Webhook is an incoming webhook.
// See https://discord.com/developers/docs/resources/webhook.
type Webhook struct {
	ID            ID      `json:"id"`
	Type          int     `json:"type"` // 1, incoming
	Name          string  `json:"name"`
	Avatar        *string `json:"avatar"`
	ChannelID     ID      `json:"channel_id"`
	GuildID       ID      `json:"guild_id,omitzero"`
	ApplicationID nullID  `json:"application_id"`
	Token         string  `json:"token,omitempty"`
	URL           string  `json:"url,omitempty"`
	User          *User   `json:"user,omitempty"`
}

// webhook is a webhook with its hidden fields. The answers to an interaction go through
// one, too.
type webhook struct {
	Webhook
	interaction *interaction // nil of ordinary ones
}

// maxWebhooks is the maximum number of webhooks of a channel.
const maxWebhooks = 15

func (s *Sandbox) token(id ID) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", s.config.Seed, id))
	return base64.RawURLEncoding.EncodeToString(append(sum[:], sum[:18]...))
}

func webhookName(f *formError, name string) string {
	name = clean(name)
	f.length("name", name, 1, 80)
	for _, word := range []string{"clyde", "discord"} {
		if strings.Contains(strings.ToLower(name), word) {
			f.add("name", "USERNAME_INVALID_CONTAINS", fmt.Sprintf(`Username cannot contain "%s"`, word))
		}
	}
	return name
}

func (s *Sandbox) createWebhook(c *call) (any, error) {
	ch, p, err := s.visible(c)
	switch {
	case err != nil:
		return nil, err
	case ch.GuildID == 0:
		return nil, errOnDM
	case ch.isThread() || ch.Type == ChannelCategory:
		return nil, errChannelType
	case !p.Has(PermManageWebhooks):
		return nil, errMissingPerms
	}
	var body struct {
		Name string `json:"name"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	name := webhookName(&f, body.Name)
	if err := f.err(); err != nil {
		return nil, err
	}
	if len(s.webhooksOf(func(w *webhook) bool { return w.ChannelID == ch.ID })) >= maxWebhooks {
		return nil, refuse(http.StatusBadRequest, 30007, "Maximum number of webhooks reached (15)")
	}
	id := s.newID()
	w := &webhook{Webhook: Webhook{ID: id, Type: 1, Name: name, ChannelID: ch.ID, GuildID: ch.GuildID, Token: s.token(id), User: &c.user.User}}
	w.URL = fmt.Sprintf("https://discord.com/api/webhooks/%d/%s", w.ID, w.Token)
	if c.user.Bot {
		w.ApplicationID = nullID(c.user.ID)
	}
	s.webhooks[id] = w
	s.audit(c, w.GuildID, auditWebhook+auditCreated, w.ID, nil, w.Webhook)
	s.webhooksChanged(w)
	return w.Webhook, nil
}

func (s *Sandbox) webhooksChanged(w *webhook) {
	s.publish("WEBHOOKS_UPDATE", w.GuildID, w.ChannelID, func() any {
		return struct {
			GuildID   ID `json:"guild_id"`
			ChannelID ID `json:"channel_id"`
		}{w.GuildID, w.ChannelID}
	})
}

func (s *Sandbox) webhooksOf(want func(*webhook) bool) []Webhook {
	out := []Webhook{}
	for _, w := range s.webhooks {
		if want(w) {
			out = append(out, w.Webhook)
		}
	}
	slices.SortFunc(out, func(a, b Webhook) int { return int(int64(a.ID - b.ID)) })
	return out
}

func (s *Sandbox) channelWebhooks(c *call) (any, error) {
	ch, p, err := s.visible(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermManageWebhooks):
		return nil, errMissingPerms
	}
	return s.webhooksOf(func(w *webhook) bool { return w.ChannelID == ch.ID }), nil
}

func (s *Sandbox) guildWebhooks(c *call) (any, error) {
	g := s.guilds[c.id("guild_id")]
	switch {
	case g == nil:
		return nil, errUnknownGuild
	case !g.permissions(c.user.ID, c.at).Has(PermManageWebhooks):
		return nil, errMissingPerms
	}
	return s.webhooksOf(func(w *webhook) bool { return w.GuildID == g.ID }), nil
}

// hook finds the webhook that a call is about and checks its token, or, for a
// route without one, the caller's permissions.
func (s *Sandbox) hook(c *call) (*webhook, error) {
	token := c.value("webhook_token")
	if w := s.interactions[token]; w != nil && w.ID == c.id("webhook_id") {
		switch {
		case c.now.Sub(w.interaction.at) > followupWindow:
			return nil, errWebhookToken
		case w.interaction.answer == 0:
			return nil, errUnknownWebhook
		}
		return w, nil
	}
	w := s.webhooks[c.id("webhook_id")]
	switch {
	case w == nil:
		return nil, errUnknownWebhook
	case c.route.open:
		if token != w.Token {
			return nil, errWebhookToken
		}
	default:
		if ch := s.channels[w.ChannelID]; ch == nil || !s.permissions(c.user.ID, ch).Has(PermManageWebhooks) {
			return nil, errMissingPerms
		}
	}
	return w, nil
}

// shown is a webhook for its caller: by its token it shows no user.
func (w *webhook) shown(c *call) Webhook {
	out := w.Webhook
	if c.route.open {
		out.User = nil
	}
	return out
}

func (s *Sandbox) getWebhook(c *call) (any, error) {
	w, err := s.hook(c)
	if err != nil {
		return nil, err
	}
	return w.shown(c), nil
}

func (s *Sandbox) modifyWebhook(c *call) (any, error) {
	w, err := s.hook(c)
	if err != nil {
		return nil, err
	}
	var body struct {
		Name      *string `json:"name"`
		Avatar    *string `json:"avatar"`
		ChannelID reqID   `json:"channel_id"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	f.id("channel_id", body.ChannelID)
	name := w.Name
	if body.Name != nil {
		name = webhookName(&f, *body.Name)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	before := w.Webhook
	if body.ChannelID.set && !c.route.open {
		if ch := s.channels[body.ChannelID.ID]; ch == nil || ch.GuildID != w.GuildID {
			return nil, errUnknownChannel
		}
		w.ChannelID = body.ChannelID.ID
	}
	w.Name = name
	if c.has("avatar") {
		w.Avatar = nil
		if body.Avatar != nil {
			w.Avatar = ptr(s.token(s.newID())[:32])
		}
	}
	s.audit(c, w.GuildID, auditWebhook+auditUpdated, w.ID, before, w.Webhook)
	s.webhooksChanged(w)
	return w.shown(c), nil
}

func (s *Sandbox) deleteWebhook(c *call) (any, error) {
	w, err := s.hook(c)
	if err != nil {
		return nil, err
	}
	delete(s.webhooks, w.ID)
	s.audit(c, w.GuildID, auditWebhook+auditDeleted, w.ID, w.Webhook, nil)
	s.webhooksChanged(w)
	return nil, nil
}

// speaker is the author of a webhook's messages.
func (s *Sandbox) speaker(w *webhook, body *messageBody) author {
	if w.interaction != nil {
		return author{user: &s.users[w.ID].User, webhook: &w.Webhook, permissions: PermAll}
	}
	u := &User{ID: w.ID, Username: w.Name, Avatar: w.Avatar, Discriminator: "0000", Bot: true}
	if body.Username != nil && *body.Username != "" {
		u.Username = clean(*body.Username)
	}
	return author{user: u, webhook: &w.Webhook, permissions: PermAll}
}

func (s *Sandbox) executeWebhook(c *call) (any, error) {
	w, err := s.hook(c)
	if err != nil {
		return nil, err
	}
	ch := s.channels[w.ChannelID]
	if ch == nil {
		return nil, errUnknownChannel
	}
	var body messageBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	q := c.query()
	wait, thread := q.bool("wait"), q.snowflake("thread_id")
	if body.Username != nil {
		q.length("username", clean(*body.Username), 0, 80)
	}
	if err := q.err(); err != nil {
		return nil, err
	}
	named := body.ThreadName != nil && *body.ThreadName != ""
	forum := ch.Type == ChannelForum || ch.Type == ChannelMedia
	switch {
	case named && thread != 0:
		return nil, refuse(http.StatusBadRequest, 220002, "Webhooks can only have one of thread_name or thread_id")
	case named && !forum:
		return nil, refuse(http.StatusBadRequest, 220003, "Webhooks can only create threads in forum channels")
	case forum && !named && thread == 0:
		return nil, refuse(http.StatusBadRequest, 220001, "Webhooks posted to forum channels must have a thread_name or thread_id")
	case forum && named:
		post := &threadBody{Name: *body.ThreadName, Tags: body.Tags, Message: &body}
		var f formError
		if post.check(&f); f.err() != nil {
			return nil, f.err()
		}
		m, err := s.post(c, ch, s.speaker(w, &body), post)
		if err != nil || !wait {
			return nil, err
		}
		return m, nil
	case thread != 0:
		parent := ch.ID
		if ch = s.channels[thread]; ch == nil || ch.ParentID != parent {
			return nil, errUnknownChannel
		}
		s.wake(ch)
	}
	m, err := s.compose(c, ch, s.speaker(w, &body), &body)
	if err != nil {
		return nil, err
	}
	m.Nonce = nil
	if w.interaction != nil {
		s.followUp(w.interaction, ch, m)
		return s.view(m, 0), nil
	}
	s.store(ch, m)
	if !wait {
		return nil, nil
	}
	return s.view(m, 0), nil
}

// followUp stores a further answer to an interaction. The first one after a
// promise keeps it.
func (s *Sandbox) followUp(in *interaction, ch *channel, m *message) {
	m.Interaction = in.metadata(ch)
	if promised := ch.message(in.original); promised != nil && promised.Flags&flagLoading != 0 {
		m.ID, m.ChannelID, m.Timestamp = promised.ID, promised.ChannelID, promised.Timestamp
		m.Type, m.Reference = promised.Type, promised.Reference
		m.Flags |= promised.Flags & FlagEphemeral
		m.Interaction.Original = 0
		m.normalize()
		promised.Message = m.Message
		s.changed(ch, promised)
		return
	}
	s.store(ch, m)
}

// hookMessage finds a message that the webhook of a call has written.
func (s *Sandbox) hookMessage(c *call) (*webhook, *channel, *message, error) {
	w, err := s.hook(c)
	if err != nil {
		return nil, nil, nil, err
	}
	id := c.id("message_id")
	if id == 0 && w.interaction != nil {
		id = w.interaction.original
	}
	ch := s.channels[w.ChannelID]
	if q := c.query(); q.snowflake("thread_id") != 0 {
		parent := w.ChannelID
		if ch = s.channels[q.snowflake("thread_id")]; ch != nil && ch.ParentID != parent {
			ch = nil
		}
	}
	if ch == nil {
		return nil, nil, nil, errUnknownChannel
	}
	m := ch.message(id)
	if m == nil || m.WebhookID != w.ID && (w.interaction == nil || m.ID != w.interaction.original) {
		return nil, nil, nil, errUnknownMessage
	}
	return w, ch, m, nil
}

func (s *Sandbox) getWebhookMessage(c *call) (any, error) {
	_, _, m, err := s.hookMessage(c)
	if err != nil {
		return nil, err
	}
	return s.view(m, 0), nil
}

func (s *Sandbox) editWebhookMessage(c *call) (any, error) {
	w, ch, m, err := s.hookMessage(c)
	if err != nil {
		return nil, err
	}
	var body messageBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	return s.edit(c, ch, m, author{user: m.Author, webhook: &w.Webhook, permissions: PermAll}, &body)
}

func (s *Sandbox) deleteWebhookMessage(c *call) (any, error) {
	_, ch, m, err := s.hookMessage(c)
	if err != nil {
		return nil, err
	}
	s.remove(ch, m.ID)
	return nil, nil
}
