package gateway

import (
	"fmt"
	"math/bits"
	"strings"
)

// Intents is the set of groups of events that a session gets.
// https://discord.com/developers/docs/events/gateway#gateway-intents
type Intents uint32

// The groups of events. What each of them brings stands in Discord's
// documentation.
const (
	IntentGuilds                      Intents = 1 << 0
	IntentGuildMembers                Intents = 1 << 1 // privileged
	IntentGuildModeration             Intents = 1 << 2
	IntentGuildExpressions            Intents = 1 << 3
	IntentGuildIntegrations           Intents = 1 << 4
	IntentGuildWebhooks               Intents = 1 << 5
	IntentGuildInvites                Intents = 1 << 6
	IntentGuildVoiceStates            Intents = 1 << 7
	IntentGuildPresences              Intents = 1 << 8 // privileged
	IntentGuildMessages               Intents = 1 << 9
	IntentGuildMessageReactions       Intents = 1 << 10
	IntentGuildMessageTyping          Intents = 1 << 11
	IntentDirectMessages              Intents = 1 << 12
	IntentDirectMessageReactions      Intents = 1 << 13
	IntentDirectMessageTyping         Intents = 1 << 14
	IntentMessageContent              Intents = 1 << 15 // privileged
	IntentGuildScheduledEvents        Intents = 1 << 16
	IntentAutoModerationConfiguration Intents = 1 << 20
	IntentAutoModerationExecution     Intents = 1 << 21
	IntentGuildMessagePolls           Intents = 1 << 24
	IntentDirectMessagePolls          Intents = 1 << 25
)

// IntentsPrivileged are those that Discord gives only to bots for which they
// are switched on.
const IntentsPrivileged = IntentGuildMembers | IntentGuildPresences | IntentMessageContent

// intentNames are Discord's, in the order of their bits. switched is what the
// switch of a privileged one is called.
var intentNames = []struct {
	intent         Intents
	name, switched string
}{
	{IntentGuilds, "GUILDS", ""},
	{IntentGuildMembers, "GUILD_MEMBERS", "Server Members Intent"},
	{IntentGuildModeration, "GUILD_MODERATION", ""},
	{IntentGuildExpressions, "GUILD_EXPRESSIONS", ""},
	{IntentGuildIntegrations, "GUILD_INTEGRATIONS", ""},
	{IntentGuildWebhooks, "GUILD_WEBHOOKS", ""},
	{IntentGuildInvites, "GUILD_INVITES", ""},
	{IntentGuildVoiceStates, "GUILD_VOICE_STATES", ""},
	{IntentGuildPresences, "GUILD_PRESENCES", "Presence Intent"},
	{IntentGuildMessages, "GUILD_MESSAGES", ""},
	{IntentGuildMessageReactions, "GUILD_MESSAGE_REACTIONS", ""},
	{IntentGuildMessageTyping, "GUILD_MESSAGE_TYPING", ""},
	{IntentDirectMessages, "DIRECT_MESSAGES", ""},
	{IntentDirectMessageReactions, "DIRECT_MESSAGE_REACTIONS", ""},
	{IntentDirectMessageTyping, "DIRECT_MESSAGE_TYPING", ""},
	{IntentMessageContent, "MESSAGE_CONTENT", "Message Content Intent"},
	{IntentGuildScheduledEvents, "GUILD_SCHEDULED_EVENTS", ""},
	{IntentAutoModerationConfiguration, "AUTO_MODERATION_CONFIGURATION", ""},
	{IntentAutoModerationExecution, "AUTO_MODERATION_EXECUTION", ""},
	{IntentGuildMessagePolls, "GUILD_MESSAGE_POLLS", ""},
	{IntentDirectMessagePolls, "DIRECT_MESSAGE_POLLS", ""},
}

// ParseIntent returns the intent of one of Discord's names, in any case.
func ParseIntent(name string) (Intents, error) {
	for _, known := range intentNames {
		if strings.EqualFold(known.name, name) {
			return known.intent, nil
		}
	}
	return 0, fmt.Errorf("%q is not the name of an intent", name)
}

// String returns Discord's names, joined by commas.
func (i Intents) String() string {
	names := make([]string, 0, bits.OnesCount32(uint32(i)))
	for _, known := range intentNames {
		if i&known.intent != 0 {
			names = append(names, known.name)
		}
	}
	return strings.Join(names, ",")
}

// Switches says where the privileged ones among the intents are switched on.
// It is empty when none is privileged.
func (i Intents) Switches() string {
	var names []string
	for _, known := range intentNames {
		if i&known.intent != 0 && known.switched != "" {
			names = append(names, known.name+` ("`+known.switched+`")`)
		}
	}
	if names == nil {
		return ""
	}
	return "switch on " + strings.Join(names, ", ") + " at https://discord.com/developers/applications, in the application's settings under Bot, Privileged Gateway Intents"
}
