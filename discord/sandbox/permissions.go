package sandbox

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Permissions is Discord's set of permission bits, in JSON a decimal string.
//
// See https://discord.com/developers/docs/topics/permissions.
type Permissions uint64

// The permissions that the sandbox looks at.
const (
	PermCreateInstantInvite   Permissions = 1 << 0
	PermKickMembers           Permissions = 1 << 1
	PermBanMembers            Permissions = 1 << 2
	PermAdministrator         Permissions = 1 << 3
	PermManageChannels        Permissions = 1 << 4
	PermManageGuild           Permissions = 1 << 5
	PermAddReactions          Permissions = 1 << 6
	PermViewAuditLog          Permissions = 1 << 7
	PermViewChannel           Permissions = 1 << 10
	PermSendMessages          Permissions = 1 << 11
	PermSendTTSMessages       Permissions = 1 << 12
	PermManageMessages        Permissions = 1 << 13
	PermEmbedLinks            Permissions = 1 << 14
	PermAttachFiles           Permissions = 1 << 15
	PermReadMessageHistory    Permissions = 1 << 16
	PermMentionEveryone       Permissions = 1 << 17
	PermUseExternalEmojis     Permissions = 1 << 18
	PermConnect               Permissions = 1 << 20
	PermMuteMembers           Permissions = 1 << 22
	PermDeafenMembers         Permissions = 1 << 23
	PermMoveMembers           Permissions = 1 << 24
	PermChangeNickname        Permissions = 1 << 26
	PermManageNicknames       Permissions = 1 << 27
	PermManageRoles           Permissions = 1 << 28
	PermManageWebhooks        Permissions = 1 << 29
	PermManageExpressions     Permissions = 1 << 30
	PermManageEvents          Permissions = 1 << 33
	PermManageThreads         Permissions = 1 << 34
	PermCreatePublicThreads   Permissions = 1 << 35
	PermCreatePrivateThreads  Permissions = 1 << 36
	PermUseExternalStickers   Permissions = 1 << 37
	PermSendMessagesInThreads Permissions = 1 << 38
	PermModerateMembers       Permissions = 1 << 40
	PermCreateExpressions     Permissions = 1 << 43
	PermCreateEvents          Permissions = 1 << 44
	PermSendVoiceMessages     Permissions = 1 << 46
	PermSendPolls             Permissions = 1 << 49
	PermPinMessages           Permissions = 1 << 51
	PermBypassSlowmode        Permissions = 1 << 52

	// PermAll contains all of Discord's permissions.
	PermAll Permissions = 1<<53 - 1
)

// Has reports whether every bit of want is set.
func (p Permissions) Has(want Permissions) bool { return p&want == want }

// MarshalJSON writes a decimal string.
func (p Permissions) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatUint(uint64(p), 10)), nil
}

// UnmarshalJSON reads a decimal string or a number; null is none.
func (p *Permissions) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" || text == "" {
		*p = 0
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("parse permissions: %w", err)
	}
	*p = Permissions(n)
	return nil
}

// guildPermissions returns a member's permissions in the guild as a whole; none for users
// who are not members.
func (g *guild) permissions(u ID, now time.Time) Permissions {
	m := g.members[u]
	switch {
	case m == nil:
		return 0
	case g.OwnerID == u:
		return PermAll
	}
	base := g.roles[g.ID].Permissions
	for _, id := range m.Roles {
		if r := g.roles[id]; r != nil {
			base |= r.Permissions
		}
	}
	if base.Has(PermAdministrator) {
		return PermAll
	}
	if m.timedOut(now) {
		base &= PermViewChannel | PermReadMessageHistory
	}
	return base
}

// permissions is what a user may do in a channel. Threads inherit those of
// their parent; in a direct message its recipients may do what one can there.
func (s *Sandbox) permissions(u ID, ch *channel) Permissions {
	if ch.GuildID == 0 {
		if ch.hasRecipient(u) {
			return PermViewChannel | PermSendMessages | PermReadMessageHistory | PermAddReactions |
				PermEmbedLinks | PermAttachFiles | PermSendTTSMessages | PermPinMessages | PermUseExternalEmojis |
				PermUseExternalStickers | PermSendPolls | PermSendVoiceMessages
		}
		return 0
	}
	in, send := ch, PermSendMessages
	if ch.isThread() {
		if in = s.channels[ch.ParentID]; in == nil {
			return 0
		}
		send = PermSendMessagesInThreads
	}
	p := s.overwritten(u, in)
	if ch.Type == ChannelPrivateThread && ch.threadMembers[u] == nil && !p.Has(PermManageThreads) {
		return 0
	}
	if !p.Has(PermViewChannel) || ch.Type == ChannelVoice && !p.Has(PermConnect) {
		return 0
	}
	if !p.Has(send) {
		p &^= PermMentionEveryone | PermSendTTSMessages | PermAttachFiles | PermEmbedLinks
	}
	return p
}

// overwritten is what a user may do in a channel of a guild by roles and
// overwrites, before what follows from them.
func (s *Sandbox) overwritten(u ID, ch *channel) Permissions {
	g := s.guilds[ch.GuildID]
	now := s.clock()
	p := g.permissions(u, now)
	m := g.members[u]
	if m == nil || p == PermAll {
		return p
	}
	apply := func(allow, deny Permissions) { p = p&^deny | allow }
	var allow, deny Permissions
	for _, o := range ch.Overwrites {
		if o.ID == g.ID {
			apply(o.Allow, o.Deny)
		} else if o.Type == OverwriteRole && m.has(o.ID) {
			allow |= o.Allow
			deny |= o.Deny
		}
	}
	apply(allow, deny)
	for _, o := range ch.Overwrites {
		if o.Type == OverwriteMember && o.ID == u {
			apply(o.Allow, o.Deny)
		}
	}
	if m.timedOut(now) {
		p &= PermViewChannel | PermReadMessageHistory
	}
	return p
}
