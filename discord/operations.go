package discord

import "net/http"

// Paths that several operations share.
const (
	channelPath   = "/channels/{channel_id}"
	messagesPath  = channelPath + "/messages"
	messagePath   = messagesPath + "/{message_id}"
	pinsPath      = messagesPath + "/pins"
	reactionsPath = messagePath + "/reactions"
	emojiPath     = reactionsPath + "/{emoji_name}"
	guildPath     = "/guilds/{guild_id}"
	webhookPath   = "/webhooks/{webhook_id}/{webhook_token}"
	memberPath    = guildPath + "/members/{user_id}"
)

// Operations on messages.
// https://discord.com/developers/docs/resources/message
var (
	CreateMessage      = Operation{Name: "create_message", Method: http.MethodPost, Path: messagesPath, Returns: AnIdentity}
	UpdateMessage      = Operation{Name: "update_message", Method: http.MethodPatch, Path: messagePath, Repeatable: true, Returns: AnIdentity}
	ListMessages       = Operation{Name: "list_messages", Method: http.MethodGet, Path: messagesPath, Returns: AList}
	GetMessage         = Operation{Name: "get_message", Method: http.MethodGet, Path: messagePath, Returns: AnIdentity}
	DeleteMessage      = Operation{Name: "delete_message", Method: http.MethodDelete, Path: messagePath, Done: CodeUnknownMessage}
	BulkDeleteMessages = Operation{
		Name:       "bulk_delete_messages",
		Method:     http.MethodPost,
		Path:       messagesPath + "/bulk-delete",
		Repeatable: true,
	}
	CrosspostMessage = Operation{Name: "crosspost_message", Method: http.MethodPost, Path: messagePath + "/crosspost", Returns: AnIdentity}
	ListPins         = Operation{Name: "list_pins", Method: http.MethodGet, Path: pinsPath, Returns: AnObject}
	CreatePin        = Operation{Name: "create_pin", Method: http.MethodPut, Path: pinsPath + "/{message_id}"}
	DeletePin        = Operation{Name: "delete_pin", Method: http.MethodDelete, Path: pinsPath + "/{message_id}", Done: CodeUnknownMessage}
)

// Operations on reactions.
// https://discord.com/developers/docs/resources/message#create-reaction
var (
	AddMyReaction    = Operation{Name: "add_my_message_reaction", Method: http.MethodPut, Path: emojiPath + "/@me"}
	DeleteMyReaction = Operation{
		Name:   "delete_my_message_reaction",
		Method: http.MethodDelete,
		Path:   emojiPath + "/@me",
		Done:   codeUnknownEmoji,
	}
	DeleteUserReaction = Operation{
		Name:   "delete_user_message_reaction",
		Method: http.MethodDelete,
		Path:   emojiPath + "/{user_id}",
		Done:   codeUnknownEmoji,
	}
	DeleteReactionsByEmoji = Operation{
		Name:   "delete_all_message_reactions_by_emoji",
		Method: http.MethodDelete,
		Path:   emojiPath,
		Done:   codeUnknownEmoji,
	}
	DeleteAllReactions   = Operation{Name: "delete_all_message_reactions", Method: http.MethodDelete, Path: reactionsPath}
	ListReactionsByEmoji = Operation{Name: "list_message_reactions_by_emoji", Method: http.MethodGet, Path: emojiPath, Returns: AList}
)

// Operations on channels and threads.
// https://discord.com/developers/docs/resources/channel
var (
	GetChannel    = Operation{Name: "get_channel", Method: http.MethodGet, Path: channelPath, Returns: AnIdentity}
	TriggerTyping = Operation{
		Name:       "trigger_typing_indicator",
		Method:     http.MethodPost,
		Path:       channelPath + "/typing",
		Repeatable: true,
	}
	CreateDM = Operation{
		Name:       "create_dm",
		Method:     http.MethodPost,
		Path:       openDMPath,
		Repeatable: true,
		Returns:    AnIdentity,
	}
	CreateThread            = Operation{Name: "create_thread", Method: http.MethodPost, Path: channelPath + "/threads", Returns: AnIdentity}
	CreateThreadFromMessage = Operation{
		Name:    "create_thread_from_message",
		Method:  http.MethodPost,
		Path:    messagePath + "/threads",
		Returns: AnIdentity,
	}
	ListActiveThreads = Operation{
		Name:    "get_active_guild_threads",
		Method:  http.MethodGet,
		Path:    guildPath + "/threads/active",
		Returns: AnObject,
	}
	JoinThread         = Operation{Name: "join_thread", Method: http.MethodPut, Path: channelPath + "/thread-members/@me"}
	AddThreadMember    = Operation{Name: "add_thread_member", Method: http.MethodPut, Path: channelPath + "/thread-members/{user_id}"}
	LeaveThread        = Operation{Name: "leave_thread", Method: http.MethodDelete, Path: channelPath + "/thread-members/@me"}
	DeleteThreadMember = Operation{
		Name:   "delete_thread_member",
		Method: http.MethodDelete,
		Path:   channelPath + "/thread-members/{user_id}",
	}
)

// Operations on guilds, their members and users.
// https://discord.com/developers/docs/resources/guild
var (
	GetGuild           = Operation{Name: "get_guild", Method: http.MethodGet, Path: guildPath, Returns: AnIdentity}
	ListGuildChannels  = Operation{Name: "list_guild_channels", Method: http.MethodGet, Path: guildPath + "/channels", Returns: AList}
	ListGuildRoles     = Operation{Name: "list_guild_roles", Method: http.MethodGet, Path: guildPath + "/roles", Returns: AList}
	ListGuildMembers   = Operation{Name: "list_guild_members", Method: http.MethodGet, Path: guildPath + "/members", Returns: AList}
	SearchGuildMembers = Operation{
		Name:    "search_guild_members",
		Method:  http.MethodGet,
		Path:    guildPath + "/members/search",
		Returns: AList,
	}
	GetGuildMember    = Operation{Name: "get_guild_member", Method: http.MethodGet, Path: memberPath, Returns: AnObject}
	UpdateGuildMember = Operation{
		Name:       "update_guild_member",
		Method:     http.MethodPatch,
		Path:       memberPath,
		Repeatable: true,
		Returns:    AnObject,
	}
	AddGuildMemberRole    = Operation{Name: "add_guild_member_role", Method: http.MethodPut, Path: memberPath + "/roles/{role_id}"}
	DeleteGuildMemberRole = Operation{Name: "delete_guild_member_role", Method: http.MethodDelete, Path: memberPath + "/roles/{role_id}"}
	ListMyGuilds          = Operation{Name: "list_my_guilds", Method: http.MethodGet, Path: "/users/@me/guilds", Returns: AList}
	GetMyUser             = Operation{Name: "get_my_user", Method: http.MethodGet, Path: "/users/@me", Returns: AnIdentity}
	GetUser               = Operation{Name: "get_user", Method: http.MethodGet, Path: "/users/{user_id}", Returns: AnIdentity}
)

// Operations on the messages of a webhook, which its token allows.
// https://discord.com/developers/docs/resources/webhook
var (
	GetWebhookWithToken = Operation{Name: "get_webhook_by_token", Method: http.MethodGet, Path: webhookPath, Returns: AnIdentity}
	ExecuteWebhook      = Operation{
		Name:    "execute_webhook",
		Method:  http.MethodPost,
		Path:    webhookPath,
		Query:   []string{"wait", "thread_id", "with_components"},
		Returns: AnIdentity,
	}
	UpdateWebhookMessage = Operation{
		Name:       "update_webhook_message",
		Method:     http.MethodPatch,
		Path:       webhookPath + "/messages/{message_id}",
		Query:      []string{"thread_id", "with_components"},
		Repeatable: true,
		Returns:    AnIdentity,
	}
	DeleteWebhookMessage = Operation{
		Name:   "delete_webhook_message",
		Method: http.MethodDelete,
		Path:   webhookPath + "/messages/{message_id}",
		Done:   CodeUnknownMessage,
	}
)
