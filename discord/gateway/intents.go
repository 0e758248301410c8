package gateway

import (
	"fmt"
	"math/bits"
	"strings"
)

// Intents is the set of groups of events that a session gets.
// https://discord.com/developers/docs/events/gateway#gateway-intents
type Intents uint32

// The groups of events. Discord's documentation lists the events of
// each.
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

// IntentsPrivileged are the intents that Discord gives only to bots for which they are turned on.
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
	return "switch on " + strings.Join(
		names,
		", ",
	) + " at https://discord.com/developers/applications, in the application's settings under Bot, Privileged Gateway Intents"
}

// intentsOfEvents are the intents for an event in a guild and in direct messages. Any
// one of them is enough. Events that are not here need none.
// https://discord.com/developers/docs/events/gateway#list-of-intents
var intentsOfEvents = map[string]struct{ guild, direct Intents }{
	"GUILD_CREATE":                      {guild: IntentGuilds},
	"GUILD_UPDATE":                      {guild: IntentGuilds},
	"GUILD_DELETE":                      {guild: IntentGuilds},
	"GUILD_ROLE_CREATE":                 {guild: IntentGuilds},
	"GUILD_ROLE_UPDATE":                 {guild: IntentGuilds},
	"GUILD_ROLE_DELETE":                 {guild: IntentGuilds},
	"CHANNEL_CREATE":                    {guild: IntentGuilds},
	"CHANNEL_UPDATE":                    {guild: IntentGuilds},
	"CHANNEL_DELETE":                    {guild: IntentGuilds},
	"CHANNEL_PINS_UPDATE":               {IntentGuilds, IntentDirectMessages},
	"VOICE_CHANNEL_STATUS_UPDATE":       {guild: IntentGuilds},
	"VOICE_CHANNEL_START_TIME_UPDATE":   {guild: IntentGuilds},
	"THREAD_CREATE":                     {guild: IntentGuilds},
	"THREAD_UPDATE":                     {guild: IntentGuilds},
	"THREAD_DELETE":                     {guild: IntentGuilds},
	"THREAD_LIST_SYNC":                  {guild: IntentGuilds},
	"THREAD_MEMBER_UPDATE":              {guild: IntentGuilds},
	"THREAD_MEMBERS_UPDATE":             {guild: IntentGuilds | IntentGuildMembers},
	"STAGE_INSTANCE_CREATE":             {guild: IntentGuilds},
	"STAGE_INSTANCE_UPDATE":             {guild: IntentGuilds},
	"STAGE_INSTANCE_DELETE":             {guild: IntentGuilds},
	"GUILD_MEMBER_ADD":                  {guild: IntentGuildMembers},
	"GUILD_MEMBER_UPDATE":               {guild: IntentGuildMembers},
	"GUILD_MEMBER_REMOVE":               {guild: IntentGuildMembers},
	"GUILD_AUDIT_LOG_ENTRY_CREATE":      {guild: IntentGuildModeration},
	"GUILD_BAN_ADD":                     {guild: IntentGuildModeration},
	"GUILD_BAN_REMOVE":                  {guild: IntentGuildModeration},
	"GUILD_EMOJIS_UPDATE":               {guild: IntentGuildExpressions},
	"GUILD_STICKERS_UPDATE":             {guild: IntentGuildExpressions},
	"GUILD_SOUNDBOARD_SOUND_CREATE":     {guild: IntentGuildExpressions},
	"GUILD_SOUNDBOARD_SOUND_UPDATE":     {guild: IntentGuildExpressions},
	"GUILD_SOUNDBOARD_SOUND_DELETE":     {guild: IntentGuildExpressions},
	"GUILD_SOUNDBOARD_SOUNDS_UPDATE":    {guild: IntentGuildExpressions},
	"GUILD_INTEGRATIONS_UPDATE":         {guild: IntentGuildIntegrations},
	"INTEGRATION_CREATE":                {guild: IntentGuildIntegrations},
	"INTEGRATION_UPDATE":                {guild: IntentGuildIntegrations},
	"INTEGRATION_DELETE":                {guild: IntentGuildIntegrations},
	"WEBHOOKS_UPDATE":                   {guild: IntentGuildWebhooks},
	"INVITE_CREATE":                     {guild: IntentGuildInvites},
	"INVITE_DELETE":                     {guild: IntentGuildInvites},
	"VOICE_STATE_UPDATE":                {guild: IntentGuildVoiceStates},
	"VOICE_CHANNEL_EFFECT_SEND":         {guild: IntentGuildVoiceStates},
	"PRESENCE_UPDATE":                   {guild: IntentGuildPresences},
	"MESSAGE_CREATE":                    {IntentGuildMessages, IntentDirectMessages},
	"MESSAGE_UPDATE":                    {IntentGuildMessages, IntentDirectMessages},
	"MESSAGE_DELETE":                    {IntentGuildMessages, IntentDirectMessages},
	"MESSAGE_DELETE_BULK":               {guild: IntentGuildMessages},
	"MESSAGE_REACTION_ADD":              {IntentGuildMessageReactions, IntentDirectMessageReactions},
	"MESSAGE_REACTION_REMOVE":           {IntentGuildMessageReactions, IntentDirectMessageReactions},
	"MESSAGE_REACTION_REMOVE_ALL":       {IntentGuildMessageReactions, IntentDirectMessageReactions},
	"MESSAGE_REACTION_REMOVE_EMOJI":     {IntentGuildMessageReactions, IntentDirectMessageReactions},
	"MESSAGE_POLL_VOTE_ADD":             {IntentGuildMessagePolls, IntentDirectMessagePolls},
	"MESSAGE_POLL_VOTE_REMOVE":          {IntentGuildMessagePolls, IntentDirectMessagePolls},
	"TYPING_START":                      {IntentGuildMessageTyping, IntentDirectMessageTyping},
	"GUILD_SCHEDULED_EVENT_CREATE":      {guild: IntentGuildScheduledEvents},
	"GUILD_SCHEDULED_EVENT_UPDATE":      {guild: IntentGuildScheduledEvents},
	"GUILD_SCHEDULED_EVENT_DELETE":      {guild: IntentGuildScheduledEvents},
	"GUILD_SCHEDULED_EVENT_USER_ADD":    {guild: IntentGuildScheduledEvents},
	"GUILD_SCHEDULED_EVENT_USER_REMOVE": {guild: IntentGuildScheduledEvents},
	"AUTO_MODERATION_RULE_CREATE":       {guild: IntentAutoModerationConfiguration},
	"AUTO_MODERATION_RULE_UPDATE":       {guild: IntentAutoModerationConfiguration},
	"AUTO_MODERATION_RULE_DELETE":       {guild: IntentAutoModerationConfiguration},
	"AUTO_MODERATION_ACTION_EXECUTION":  {guild: IntentAutoModerationExecution},
}

// Brings reports whether a session with these intents gets an event of this name.
// direct is whether it is about direct messages rather than a guild.
func (i Intents) Brings(event string, direct bool) bool {
	needed, ok := intentsOfEvents[event]
	if !ok {
		return true
	}
	if direct {
		return i&needed.direct != 0
	}
	return i&needed.guild != 0
}

// IntentsAll are all intents of this package.
const IntentsAll = 1<<17 - 1 | IntentAutoModerationConfiguration | IntentAutoModerationExecution |
	IntentGuildMessagePolls | IntentDirectMessagePolls
