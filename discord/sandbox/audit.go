package sandbox

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
)

var auditRoutes = []route{
	{method: "GET", template: "/guilds/{guild_id}/audit-logs", handle: (*Sandbox).listAuditLog},
}

// maxAudit is the maximum number of entries in a guild's audit log.
const maxAudit = 10_000

// The kinds of entries in the audit log.
// See https://discord.com/developers/docs/resources/audit-log#audit-log-entry-object-audit-log-events.
const (
	auditGuild           = 1
	auditChannel         = 10 // created; updated and deleted are the next two, as of all below that have three
	auditOverwrite       = 13
	auditKick            = 20
	auditPrune           = 21
	auditBan             = 22
	auditUnban           = 23
	auditMember          = 24
	auditMemberRole      = 25
	auditRole            = 30
	auditInvite          = 40
	auditWebhook         = 50
	auditEmoji           = 60
	auditMessageDelete   = 72
	auditBulkDelete      = 73
	auditPin             = 74
	auditUnpin           = 75
	auditSticker         = 90
	auditScheduledEvent  = 100
	auditThread          = 110
	auditCommandPerms    = 121
	auditCreated         = 0
	auditUpdated         = 1
	auditDeleted         = 2
	auditLogEntryCreated = "GUILD_AUDIT_LOG_ENTRY_CREATE"
)

type auditEntry struct {
	ID      ID             `json:"id"`
	UserID  ID             `json:"user_id"`
	Target  nullID         `json:"target_id"`
	Action  int            `json:"action_type"`
	Changes []auditChange  `json:"changes,omitempty"`
	Options map[string]any `json:"options,omitempty"`
	Reason  string         `json:"reason,omitempty"`
}

type auditChange struct {
	Key string `json:"key"`
	Old any    `json:"old_value,omitempty"`
	New any    `json:"new_value,omitempty"`
}

// reason is the reason of a call for the audit log.
func (c *call) reason() string {
	reason := c.r.Header.Get("X-Audit-Log-Reason")
	// What cannot be decoded is kept as it is.
	if decoded, err := url.PathUnescape(reason); err == nil {
		reason = decoded
	}
	return reason
}

// audit notes what a call did to an object, which before and after are; nil is
// of one that is not there.
func (s *Sandbox) audit(c *call, guild ID, action int, target ID, before, after any, options ...map[string]any) {
	g := s.guilds[guild]
	if g == nil || c.user == nil {
		return
	}
	e := auditEntry{
		ID:      s.newID(),
		UserID:  c.user.ID,
		Target:  nullID(target),
		Action:  action,
		Changes: changes(before, after),
		Reason:  c.reason(),
	}
	for _, o := range options {
		e.Options = o
	}
	if len(g.audit) >= maxAudit {
		g.audit = g.audit[1:]
	}
	g.audit = append(g.audit, e)
	s.publish(auditLogEntryCreated, guild, 0, func() any {
		return struct {
			auditEntry
			GuildID ID `json:"guild_id"`
		}{e, guild}
	})
}

// snapshot is an object's state at this moment.
func snapshot(object any) json.RawMessage { return mustJSON(object) }

// changes lists the keys in which two objects differ.
func changes(before, after any) []auditChange {
	from, to := objectOf(before), objectOf(after)
	keys := maps.Clone(from)
	maps.Copy(keys, to)
	var out []auditChange
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		switch key {
		case "id", "guild_id", "token", "user", "last_message_id":
			continue
		}
		if from[key] != nil || to[key] != nil {
			if string(mustJSON(from[key])) != string(mustJSON(to[key])) {
				out = append(out, auditChange{key, from[key], to[key]})
			}
		}
	}
	return out
}

func objectOf(object any) map[string]any {
	out := map[string]any{}
	if object != nil {
		_ = json.Unmarshal(mustJSON(object), &out) // what is no object has no fields
	}
	return out
}

func (s *Sandbox) listAuditLog(c *call) (any, error) {
	g, p, err := s.inGuild(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermViewAuditLog):
		return nil, errMissingPerms
	}
	q := c.query()
	limit, before, after := q.int("limit", 50, 1, 100), q.snowflake("before"), q.snowflake("after")
	user, action := q.snowflake("user_id"), q.int("action_type", 0, 0, 1000)
	target := q.snowflake("target_id")
	if err := q.err(); err != nil {
		return nil, err
	}
	found := []auditEntry{}
	for _, e := range g.audit {
		if (before == 0 || e.ID < before) && e.ID > after && (user == 0 || e.UserID == user) && (action == 0 || e.Action == action) &&
			(target == 0 || ID(e.Target) == target) {
			found = append(found, e)
		}
	}
	if after == 0 { // newest first
		slices.Reverse(found)
	}
	found = found[:min(len(found), limit)]
	users, seen := []User{}, map[ID]bool{}
	webhooks := []Webhook{}
	for _, e := range found {
		for _, id := range []ID{e.UserID, ID(e.Target)} {
			if u := s.users[id]; u != nil && !seen[id] {
				users = append(users, u.User)
			}
			if w := s.webhooks[id]; w != nil && !seen[id] {
				webhooks = append(webhooks, w.Webhook)
			}
			seen[id] = true
		}
	}
	return map[string]any{
		"audit_log_entries": found, "users": users, "webhooks": webhooks, "integrations": []any{}, "guild_scheduled_events": []any{},
		"threads": []any{}, "application_commands": []any{}, "auto_moderation_rules": []any{},
	}, nil
}
