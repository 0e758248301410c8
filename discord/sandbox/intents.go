package sandbox

import "strings"

// Intents choose which events a session of the gateway gets.
//
// See https://discord.com/developers/docs/events/gateway#gateway-intents.
type Intents uint64

// Discord's intents.
const (
	IntentGuilds                 Intents = 1 << 0
	IntentGuildMembers           Intents = 1 << 1 // privileged
	IntentGuildModeration        Intents = 1 << 2
	IntentGuildExpressions       Intents = 1 << 3
	IntentGuildIntegrations      Intents = 1 << 4
	IntentGuildWebhooks          Intents = 1 << 5
	IntentGuildInvites           Intents = 1 << 6
	IntentGuildVoiceStates       Intents = 1 << 7
	IntentGuildPresences         Intents = 1 << 8 // privileged
	IntentGuildMessages          Intents = 1 << 9
	IntentGuildMessageReactions  Intents = 1 << 10
	IntentGuildMessageTyping     Intents = 1 << 11
	IntentDirectMessages         Intents = 1 << 12
	IntentDirectMessageReactions Intents = 1 << 13
	IntentDirectMessageTyping    Intents = 1 << 14
	IntentMessageContent         Intents = 1 << 15 // privileged
	IntentGuildScheduledEvents   Intents = 1 << 16
	IntentEmbeddedActivities     Intents = 1 << 17 // undocumented; some libraries send it
	IntentAutoModConfiguration   Intents = 1 << 20
	IntentAutoModExecution       Intents = 1 << 21
	IntentGuildMessagePolls      Intents = 1 << 24
	IntentDirectMessagePolls     Intents = 1 << 25

	// IntentsPrivileged must be allowed to an application by Discord.
	IntentsPrivileged = IntentGuildMembers | IntentGuildPresences | IntentMessageContent

	// IntentsAll contains all of Discord's intents.
	IntentsAll = 1<<18 - 1 | IntentAutoModConfiguration | IntentAutoModExecution | IntentGuildMessagePolls | IntentDirectMessagePolls
)

// Has reports whether every bit of want is set.
func (i Intents) Has(want Intents) bool { return i&want == want }

// intentsOf are the intents that an event needs, any one of them; 0 is an
// event that needs none.
func intentsOf(kind string, direct bool) Intents {
	either := func(guild, dm Intents) Intents {
		if direct {
			return dm
		}
		return guild
	}
	switch kind {
	case "CHANNEL_PINS_UPDATE":
		return either(IntentGuilds, IntentDirectMessages)
	case "GUILD_BAN_ADD", "GUILD_BAN_REMOVE":
		return IntentGuildModeration
	case "GUILD_EMOJIS_UPDATE", "GUILD_STICKERS_UPDATE":
		return IntentGuildExpressions
	case auditLogEntryCreated:
		return IntentGuildModeration
	case "INVITE_CREATE", "INVITE_DELETE":
		return IntentGuildInvites
	case "VOICE_STATE_UPDATE":
		return IntentGuildVoiceStates
	case "MESSAGE_POLL_VOTE_ADD", "MESSAGE_POLL_VOTE_REMOVE":
		return either(IntentGuildMessagePolls, IntentDirectMessagePolls)
	case "WEBHOOKS_UPDATE":
		return IntentGuildWebhooks
	case "PRESENCE_UPDATE":
		return IntentGuildPresences
	case "TYPING_START":
		return either(IntentGuildMessageTyping, IntentDirectMessageTyping)
	}
	switch {
	case strings.HasPrefix(kind, "GUILD_SCHEDULED_EVENT_"):
		return IntentGuildScheduledEvents
	case strings.HasPrefix(kind, "GUILD_MEMBER_"):
		return IntentGuildMembers
	case strings.HasPrefix(kind, "MESSAGE_REACTION_"):
		return either(IntentGuildMessageReactions, IntentDirectMessageReactions)
	case strings.HasPrefix(kind, "MESSAGE_"):
		return either(IntentGuildMessages, IntentDirectMessages)
	case strings.HasPrefix(kind, "GUILD_"), strings.HasPrefix(kind, "CHANNEL_"), strings.HasPrefix(kind, "THREAD_"):
		return IntentGuilds
	}
	return 0
}
