"""The methods of DiscordClient.

Made by tools/generate.py from the protobuf definitions. Do not edit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TypeVar

import google.protobuf.duration_pb2
import google.protobuf.timestamp_pb2
from google.protobuf.message import Message

from . import discord_api_pb2 as pb
from . import outbox_pb2
from ._rpc import Rpc

Response = TypeVar("Response", bound=Message)
Item = TypeVar("Item")

_SEND_CHANNEL_MESSAGE = Rpc("SendChannelMessage", pb.SendChannelMessageResponse, needs_content=True)
_SEND_DIRECT_MESSAGE = Rpc("SendDirectMessage", pb.SendDirectMessageResponse, needs_content=True)
_SEND_DIRECT_MESSAGES = Rpc("SendDirectMessages", pb.SendDirectMessagesResponse)
_GET_GUILD_CHANNELS = Rpc("GetGuildChannels", pb.GetGuildChannelsResponse)
_GET_CHANNEL_MESSAGE = Rpc("GetChannelMessage", pb.GetChannelMessageResponse)
_LIST_CHANNEL_MESSAGES = Rpc("ListChannelMessages", pb.ListChannelMessagesResponse)
_DELETE_CHANNEL_MESSAGE = Rpc("DeleteChannelMessage", pb.DeleteChannelMessageResponse)
_BULK_DELETE_CHANNEL_MESSAGES = Rpc("BulkDeleteChannelMessages", pb.BulkDeleteChannelMessagesResponse)
_CROSSPOST_MESSAGE = Rpc("CrosspostMessage", pb.CrosspostMessageResponse)
_PIN_MESSAGE = Rpc("PinMessage", pb.PinMessageResponse)
_UNPIN_MESSAGE = Rpc("UnpinMessage", pb.UnpinMessageResponse)
_LIST_PINNED_MESSAGES = Rpc("ListPinnedMessages", pb.ListPinnedMessagesResponse)
_TRIGGER_TYPING = Rpc("TriggerTyping", pb.TriggerTypingResponse)
_ADD_REACTION = Rpc("AddReaction", pb.AddReactionResponse)
_REMOVE_REACTION = Rpc("RemoveReaction", pb.RemoveReactionResponse)
_REMOVE_ALL_REACTIONS = Rpc("RemoveAllReactions", pb.RemoveAllReactionsResponse)
_LIST_REACTIONS = Rpc("ListReactions", pb.ListReactionsResponse)
_GET_CHANNEL = Rpc("GetChannel", pb.GetChannelResponse)
_GET_DIRECT_MESSAGE_CHANNEL = Rpc("GetDirectMessageChannel", pb.GetDirectMessageChannelResponse)
_START_THREAD = Rpc("StartThread", pb.StartThreadResponse)
_LIST_ACTIVE_THREADS = Rpc("ListActiveThreads", pb.ListActiveThreadsResponse)
_ADD_THREAD_MEMBER = Rpc("AddThreadMember", pb.AddThreadMemberResponse)
_REMOVE_THREAD_MEMBER = Rpc("RemoveThreadMember", pb.RemoveThreadMemberResponse)
_GET_GUILD = Rpc("GetGuild", pb.GetGuildResponse)
_LIST_GUILDS = Rpc("ListGuilds", pb.ListGuildsResponse)
_GET_GUILD_MEMBER = Rpc("GetGuildMember", pb.GetGuildMemberResponse)
_LIST_GUILD_MEMBERS = Rpc("ListGuildMembers", pb.ListGuildMembersResponse)
_SEARCH_GUILD_MEMBERS = Rpc("SearchGuildMembers", pb.SearchGuildMembersResponse)
_MODIFY_GUILD_MEMBER = Rpc("ModifyGuildMember", pb.ModifyGuildMemberResponse)
_ADD_GUILD_MEMBER_ROLE = Rpc("AddGuildMemberRole", pb.AddGuildMemberRoleResponse)
_REMOVE_GUILD_MEMBER_ROLE = Rpc("RemoveGuildMemberRole", pb.RemoveGuildMemberRoleResponse)
_LIST_GUILD_ROLES = Rpc("ListGuildRoles", pb.ListGuildRolesResponse)
_GET_USER = Rpc("GetUser", pb.GetUserResponse)
_GET_CURRENT_USER = Rpc("GetCurrentUser", pb.GetCurrentUserResponse)
_DELETE_WEBHOOK_MESSAGE = Rpc("DeleteWebhookMessage", pb.DeleteWebhookMessageResponse)
_EDIT_CHANNEL_MESSAGE = Rpc("EditChannelMessage", pb.EditChannelMessageResponse)
_EXECUTE_WEBHOOK = Rpc("ExecuteWebhook", pb.ExecuteWebhookResponse)
_EDIT_WEBHOOK_MESSAGE = Rpc("EditWebhookMessage", pb.EditWebhookMessageResponse)
_GET_RATE_LIMIT_STATUS = Rpc("GetRateLimitStatus", pb.GetRateLimitStatusResponse)
_SUBSCRIBE_EVENTS = Rpc("SubscribeEvents", pb.SubscribeEventsResponse)
_RESPOND_INTERACTION = Rpc("RespondInteraction", pb.RespondInteractionResponse)
_EDIT_INTERACTION_RESPONSE = Rpc("EditInteractionResponse", pb.EditInteractionResponseResponse)
_FOLLOWUP_INTERACTION = Rpc("FollowupInteraction", pb.FollowupInteractionResponse)
_SET_APPLICATION_COMMANDS = Rpc("SetApplicationCommands", pb.SetApplicationCommandsResponse)
_ENQUEUE = Rpc("Enqueue", outbox_pb2.EnqueueResponse)
_ENQUEUE_MANY = Rpc("EnqueueMany", outbox_pb2.EnqueueManyResponse)
_GET_DELIVERY = Rpc("GetDelivery", outbox_pb2.GetDeliveryResponse)
_LIST_DELIVERIES = Rpc("ListDeliveries", outbox_pb2.ListDeliveriesResponse)
_WATCH_DELIVERIES = Rpc("WatchDeliveries", outbox_pb2.WatchDeliveriesResponse)
_CANCEL_DELIVERY = Rpc("CancelDelivery", outbox_pb2.CancelDeliveryResponse)
_RETRY_DELIVERY = Rpc("RetryDelivery", outbox_pb2.RetryDeliveryResponse)
_PURGE_DELIVERIES = Rpc("PurgeDeliveries", outbox_pb2.PurgeDeliveriesResponse)


class Methods(ABC):
    """The methods of the API, over three ways to make a call."""

    @abstractmethod
    def _unary(self, rpc: Rpc[Response], request: Message, timeout: float | None) -> Response: ...

    @abstractmethod
    def _stream(
        self,
        rpc: Rpc[Response],
        request: Message,
        timeout: float | None,
        item: Callable[[Response], Item],
    ) -> Generator[Item, None, None]: ...

    @abstractmethod
    def _exchange(
        self,
        rpc: Rpc[Response],
        requests: Iterable[Message],
        timeout: float | None,
        item: Callable[[Response], Item],
    ) -> Generator[Item, None, None]: ...

    def create_channel_message(
        self,
        channel_id: int,
        content: str = "",
        embed: pb.Embed | None = None,
        *,
        embeds: Iterable[pb.Embed] = (),
        nonce: str = "",
        enforce_nonce: bool | None = None,
        allowed_mentions: pb.AllowedMentions | None = None,
        suppress_mentions: bool = False,
        message_reference: pb.MessageReference | None = None,
        attachments: Iterable[pb.AttachmentRequest] = (),
        components: Iterable[pb.Component] = (),
        sticker_ids: Iterable[int] = (),
        suppress_embeds: bool = False,
        suppress_notifications: bool = False,
        poll: pb.Poll | None = None,
        tts: bool = False,
        components_v2: bool = False,
        timeout: float | None = None,
    ) -> pb.Message:
        """create_channel_message posts a message to a channel of a guild, a thread or a
        direct message channel.

        Discord: POST /channels/{channel_id}/messages.
        Permissions: VIEW_CHANNEL and SEND_MESSAGES (in threads
        SEND_MESSAGES_IN_THREADS), EMBED_LINKS for embeds, ATTACH_FILES for
        attachments, READ_MESSAGE_HISTORY to reply, MENTION_EVERYONE to ping
        everyone and roles that are not mentionable, SEND_POLLS for a poll.
        Errors: NOT_FOUND 10003 Unknown Channel, PERMISSION_DENIED 50001 Missing
        Access or 50013 Missing Permissions, INVALID_ARGUMENT 50006 Cannot send an
        empty message or 50035 Invalid Form Body.
        Cost: one call to Discord, usually limited to 5 in 5 seconds for each channel.

        Args:
            channel_id: Channel to post to.
            content: Text of the message, at most 2000 characters.
            embed: One embed, as older clients send it. It comes before `embeds`. An embed without
                content is ignored.
            embeds: Up to 10 embeds. Titles, descriptions, fields, footers and author names
                of all of them hold at most 6000 characters together.
            nonce: Identifies this message, at most 25 characters of the caller's choice. A call
                with the same nonce within a few minutes returns the existing message instead
                of posting another. By default, the proxy generates a nonce.
            enforce_nonce: Whether Discord looks for an existing message with this nonce. True by default.
                If set to false, two messages can have the same nonce, and the proxy does not
                retry an attempt with an unknown outcome.
            allowed_mentions: Users and roles that the message may ping. By default, everyone it mentions,
                and the author of the message it replies to.
            suppress_mentions: Whether the message pings nobody, like an empty allowed_mentions. Excludes
                allowed_mentions.
            message_reference: Message that this one replies to or forwards. A forward must not contain
                anything else.
            attachments: Up to 10 files. The server limits each file, to 20 MiB by default, and the
                whole request, to 25 MiB by default. Permission: ATTACH_FILES.
            components: Up to 5 action rows. With other components at the top level, up to 40
                components including nested ones.
            sticker_ids: Up to 3 stickers.
            suppress_embeds: Whether Discord hides all embeds, including those of links.
            suppress_notifications: Whether the message causes no push and desktop notifications.
            poll: A poll. Permission: SEND_POLLS.
            tts: Whether clients read the message aloud. Permission: SEND_TTS_MESSAGES,
                without which Discord ignores it.
            components_v2: Whether the message is made of components alone, without content, embeds,
                stickers and poll (IS_COMPONENTS_V2). Set automatically if a component other
                than an action row is at the top level.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _SEND_CHANNEL_MESSAGE,
            pb.SendChannelMessageRequest(
                channel_id=channel_id,
                content=content,
                embed=embed,
                embeds=embeds,
                nonce=nonce,
                enforce_nonce=enforce_nonce,
                allowed_mentions=allowed_mentions,
                suppress_mentions=suppress_mentions,
                message_reference=message_reference,
                attachments=attachments,
                components=components,
                sticker_ids=sticker_ids,
                suppress_embeds=suppress_embeds,
                suppress_notifications=suppress_notifications,
                poll=poll,
                tts=tts,
                components_v2=components_v2,
            ),
            timeout,
        ).message

    def create_direct_message(
        self,
        user_id: int,
        content: str = "",
        embed: pb.Embed | None = None,
        *,
        embeds: Iterable[pb.Embed] = (),
        nonce: str = "",
        enforce_nonce: bool | None = None,
        allowed_mentions: pb.AllowedMentions | None = None,
        suppress_mentions: bool = False,
        message_reference: pb.MessageReference | None = None,
        attachments: Iterable[pb.AttachmentRequest] = (),
        components: Iterable[pb.Component] = (),
        sticker_ids: Iterable[int] = (),
        suppress_embeds: bool = False,
        suppress_notifications: bool = False,
        poll: pb.Poll | None = None,
        tts: bool = False,
        components_v2: bool = False,
        timeout: float | None = None,
    ) -> pb.Message:
        """create_direct_message posts a message to a user. It opens the direct message
        channel first if the proxy does not know it yet.

        Discord: POST /users/@me/channels, then POST /channels/{channel_id}/messages.
        Permissions: the bot and the user share a guild and the user takes direct
        messages from its members.
        Errors: NOT_FOUND 10013 Unknown User, PERMISSION_DENIED 50007 Cannot send
        messages to this user, and those of create_channel_message.
        Cost: two calls to Discord the first time, one afterwards.

        Args:
            user_id: User to message.
            content: Text of the message, at most 2000 characters.
            embed: One embed, as older clients send it. It comes before `embeds`. An embed without
                content is ignored.
            embeds: Up to 10 embeds, with the limits of SendChannelMessageRequest.embeds.
            nonce: Identifies this message, at most 25 characters of the caller's choice. See
                SendChannelMessageRequest.nonce.
            enforce_nonce: See SendChannelMessageRequest.enforce_nonce.
            allowed_mentions: Users and roles that the message may ping. By default, everyone it mentions,
                and the author of the message it replies to.
            suppress_mentions: Whether the message pings nobody, like an empty allowed_mentions. Excludes
                allowed_mentions.
            message_reference: Message that this one replies to or forwards. A forward must not contain
                anything else.
            attachments: Up to 10 files. The server limits each file, to 20 MiB by default, and the
                whole request, to 25 MiB by default. Permission: ATTACH_FILES.
            components: Up to 5 action rows. With other components at the top level, up to 40
                components including nested ones.
            sticker_ids: Up to 3 stickers.
            suppress_embeds: Whether Discord hides all embeds, including those of links.
            suppress_notifications: Whether the message causes no push and desktop notifications.
            poll: A poll. Permission: SEND_POLLS.
            tts: Whether clients read the message aloud. Permission: SEND_TTS_MESSAGES,
                without which Discord ignores it.
            components_v2: Whether the message is made of components alone, without content, embeds,
                stickers and poll (IS_COMPONENTS_V2). Set automatically if a component other
                than an action row is at the top level.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _SEND_DIRECT_MESSAGE,
            pb.SendDirectMessageRequest(
                user_id=user_id,
                content=content,
                embed=embed,
                embeds=embeds,
                nonce=nonce,
                enforce_nonce=enforce_nonce,
                allowed_mentions=allowed_mentions,
                suppress_mentions=suppress_mentions,
                message_reference=message_reference,
                attachments=attachments,
                components=components,
                sticker_ids=sticker_ids,
                suppress_embeds=suppress_embeds,
                suppress_notifications=suppress_notifications,
                poll=poll,
                tts=tts,
                components_v2=components_v2,
            ),
            timeout,
        ).message

    def send_direct_messages(
        self,
        *,
        user_ids: Iterable[int] = (),
        message: pb.NewMessage | None = None,
        idempotency_key: str = "",
        timeout: float | None = None,
    ) -> Generator[pb.SendDirectMessagesResponse, None, None]:
        """send_direct_messages posts one message to many users. It streams a result for
        each user as soon as it is known, in any order. Users whom the bot may not
        message get a result with the error; the rest are unaffected.

        Each user's nonce is derived from the idempotency key and the user's ID. The
        same call can therefore be repeated, for example after a lost connection, for
        the few minutes in which Discord remembers nonces, and no user receives the
        message twice. If the client disconnects, the proxy sends no further messages.
        At the deadline, the stream ends with DEADLINE_EXCEEDED.

        Discord: POST /users/@me/channels, then POST /channels/{channel_id}/messages,
        for each user as create_direct_message does.
        Permissions: as create_direct_message.
        Errors: INVALID_ARGUMENT 50035 Invalid Form Body for the request; those of
        create_direct_message are in the results.
        Cost: one or two calls to Discord for each user.

        Args:
            user_ids: 1 to 10000 users. One who is named twice gets the message once.
            message: The message.
            idempotency_key: A text of the caller's own that names this sending, at most 200 characters.
                With the same key and another message, users who have the first one do not
                get the second. Without a key the call cannot be repeated safely.
            timeout: Seconds that the whole stream may take. By default it has no limit.
        """
        return self._stream(
            _SEND_DIRECT_MESSAGES,
            pb.SendDirectMessagesRequest(
                user_ids=user_ids,
                message=message,
                idempotency_key=idempotency_key,
            ),
            timeout,
            lambda response: response,
        )

    def get_guild_channels(
        self,
        guild_id: int,
        *,
        allow_cached: google.protobuf.duration_pb2.Duration | None = None,
        timeout: float | None = None,
    ) -> Sequence[pb.Channel]:
        """get_guild_channels lists the channels of a guild, without its threads.

        Discord: GET /guilds/{guild_id}/channels.
        Permissions: the bot is a member of the guild.
        Errors: NOT_FOUND 10004 Unknown Guild, PERMISSION_DENIED 50001 Missing Access.
        Cost: one call to Discord.

        Args:
            guild_id: The guild.
            allow_cached: Maximum age of a response from the gateway's data, without a call to
                Discord. The data is of age 0 while the gateway is connected, but for
                last_message_id and last_pin_timestamp. By default, and if the data is
                older, the proxy asks Discord. At least 0.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _GET_GUILD_CHANNELS,
            pb.GetGuildChannelsRequest(
                guild_id=guild_id,
                allow_cached=allow_cached,
            ),
            timeout,
        ).channels

    def get_channel_message(
        self,
        channel_id: int,
        message_id: int,
        *,
        timeout: float | None = None,
    ) -> pb.Message:
        """get_channel_message returns one message.

        Discord: GET /channels/{channel_id}/messages/{message_id}.
        Permissions: VIEW_CHANNEL and READ_MESSAGE_HISTORY.
        Errors: NOT_FOUND 10003 Unknown Channel or 10008 Unknown Message,
        PERMISSION_DENIED 50001 Missing Access.
        Cost: one call to Discord.

        Args:
            channel_id: Channel of the message.
            message_id: The message.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _GET_CHANNEL_MESSAGE,
            pb.GetChannelMessageRequest(
                channel_id=channel_id,
                message_id=message_id,
            ),
            timeout,
        ).message

    def list_channel_messages(
        self,
        channel_id: int,
        *,
        limit: int = 0,
        before: int = 0,
        after: int = 0,
        around: int = 0,
        timeout: float | None = None,
    ) -> Generator[pb.Message, None, None]:
        """list_channel_messages streams messages of a channel, one in each response,
        newest first. With `after`, the oldest message comes first.

        Without READ_MESSAGE_HISTORY, and in channels without messages, the stream is
        empty. Without the intent MESSAGE_CONTENT, Discord leaves out content, embeds,
        attachments and components of other users' messages.

        Discord: GET /channels/{channel_id}/messages.
        Permissions: VIEW_CHANNEL, in voice channels CONNECT too, and
        READ_MESSAGE_HISTORY.
        Errors: NOT_FOUND 10003 Unknown Channel, PERMISSION_DENIED 50001 Missing
        Access, INVALID_ARGUMENT 50035 Invalid Form Body.
        Cost: one call to Discord for each 100 messages.

        Args:
            channel_id: Channel of the messages.
            limit: Largest number of messages, from 1, with `around` at most 100. 50 by
                default.
            before: Only messages older than this one. It need not exist.
            after: Only messages newer than this one. It need not exist.
            around: This message and those around it.
            timeout: Seconds that the whole stream may take. By default it has no limit.
        """
        return self._stream(
            _LIST_CHANNEL_MESSAGES,
            pb.ListChannelMessagesRequest(
                channel_id=channel_id,
                limit=limit,
                before=before,
                after=after,
                around=around,
            ),
            timeout,
            lambda response: response.message,
        )

    def delete_channel_message(
        self,
        channel_id: int,
        message_id: int,
        *,
        audit_log_reason: str = "",
        timeout: float | None = None,
    ) -> None:
        """delete_channel_message deletes a message.

        Discord: DELETE /channels/{channel_id}/messages/{message_id}.
        Permissions: MANAGE_MESSAGES for messages of others, which cannot be deleted
        in direct messages.
        Errors: NOT_FOUND 10003 Unknown Channel or 10008 Unknown Message,
        PERMISSION_DENIED 50001 Missing Access, 50003 Cannot execute action on a DM
        channel, 50013 Missing Permissions or 50021 Cannot execute action on a
        system message.
        Cost: one call to Discord. Messages younger than 10 seconds, older than two
        weeks and all others have limits of their own in each channel, usually 5 in
        5 seconds, 30 in 120 seconds and 3 in one second.

        Args:
            channel_id: Channel of the message.
            message_id: The message.
            audit_log_reason: Reason shown in the guild's audit log, 1 to 512 characters.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        self._unary(
            _DELETE_CHANNEL_MESSAGE,
            pb.DeleteChannelMessageRequest(
                channel_id=channel_id,
                message_id=message_id,
                audit_log_reason=audit_log_reason,
            ),
            timeout,
        )

    def bulk_delete_channel_messages(
        self,
        channel_id: int,
        *,
        message_ids: Iterable[int] = (),
        audit_log_reason: str = "",
        timeout: float | None = None,
    ) -> Sequence[pb.BulkDeleteChannelMessagesResponse.Result]:
        """bulk_delete_channel_messages deletes many messages of a guild's channel, 100 at a
        time. Messages older than two weeks follow one by one, because Discord does
        not delete them in bulk.

        The response contains a result for each message. An error of one message does
        not end the call. An error of the channel does, and becomes the call's status
        if nothing was deleted.

        Discord: POST /channels/{channel_id}/messages/bulk-delete, and DELETE
        /channels/{channel_id}/messages/{message_id} for single messages.
        Permissions: MANAGE_MESSAGES.
        Errors: NOT_FOUND 10003 Unknown Channel, PERMISSION_DENIED 50001 Missing
        Access, 50003 Cannot execute action on a DM channel or 50013 Missing
        Permissions, INVALID_ARGUMENT 50035 Invalid Form Body.
        Cost: one call to Discord for each 100 messages, usually limited to one in
        a second for each channel, and one for each old message, usually limited to
        30 in 120 seconds: 100 old messages take more than six minutes.

        Args:
            channel_id: Channel of the messages.
            message_ids: The messages, 1 to 10000. One that is named twice counts once.
            audit_log_reason: Reason shown in the guild's audit log, 1 to 512 characters.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _BULK_DELETE_CHANNEL_MESSAGES,
            pb.BulkDeleteChannelMessagesRequest(
                channel_id=channel_id,
                message_ids=message_ids,
                audit_log_reason=audit_log_reason,
            ),
            timeout,
        ).results

    def crosspost_message(
        self,
        channel_id: int,
        message_id: int,
        *,
        timeout: float | None = None,
    ) -> pb.Message:
        """crosspost_message publishes a message of an announcement channel to the
        channels that follow it.

        Discord: POST /channels/{channel_id}/messages/{message_id}/crosspost.
        Permissions: SEND_MESSAGES, for messages of others MANAGE_MESSAGES too.
        Errors: NOT_FOUND 10003 Unknown Channel or 10008 Unknown Message,
        PERMISSION_DENIED 50001 Missing Access or 50013 Missing Permissions,
        INVALID_ARGUMENT 40033 This message has already been crossposted or 50024
        Cannot execute action on this channel type.
        Cost: one call to Discord, usually limited to 10 in an hour for each channel.

        Args:
            channel_id: Announcement channel of the message.
            message_id: The message.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _CROSSPOST_MESSAGE,
            pb.CrosspostMessageRequest(
                channel_id=channel_id,
                message_id=message_id,
            ),
            timeout,
        ).message

    def pin_message(
        self,
        channel_id: int,
        message_id: int,
        *,
        audit_log_reason: str = "",
        timeout: float | None = None,
    ) -> None:
        """pin_message pins a message. Discord posts a message of the type
        CHANNEL_PINNED_MESSAGE about it. Pinning a pinned message changes nothing.

        Discord: PUT /channels/{channel_id}/messages/pins/{message_id}.
        Permissions: VIEW_CHANNEL, READ_MESSAGE_HISTORY and PIN_MESSAGES.
        Errors: NOT_FOUND 10003 Unknown Channel or 10008 Unknown Message,
        PERMISSION_DENIED 50001 Missing Access or 50013 Missing Permissions,
        INVALID_ARGUMENT 30003 Maximum number of pins reached, which is 250.
        Cost: one call to Discord, usually limited to 5 in 5 seconds for each channel.

        Args:
            channel_id: Channel of the message.
            message_id: The message.
            audit_log_reason: Reason shown in the guild's audit log, 1 to 512 characters.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        self._unary(
            _PIN_MESSAGE,
            pb.PinMessageRequest(
                channel_id=channel_id,
                message_id=message_id,
                audit_log_reason=audit_log_reason,
            ),
            timeout,
        )

    def unpin_message(
        self,
        channel_id: int,
        message_id: int,
        *,
        audit_log_reason: str = "",
        timeout: float | None = None,
    ) -> None:
        """unpin_message unpins a message.

        Discord: DELETE /channels/{channel_id}/messages/pins/{message_id}.
        Permissions: VIEW_CHANNEL, READ_MESSAGE_HISTORY and PIN_MESSAGES.
        Errors: NOT_FOUND 10003 Unknown Channel or 10008 Unknown Message,
        PERMISSION_DENIED 50001 Missing Access or 50013 Missing Permissions.
        Cost: one call to Discord, usually limited to 5 in 5 seconds for each channel.

        Args:
            channel_id: Channel of the message.
            message_id: The message.
            audit_log_reason: Reason shown in the guild's audit log, 1 to 512 characters.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        self._unary(
            _UNPIN_MESSAGE,
            pb.UnpinMessageRequest(
                channel_id=channel_id,
                message_id=message_id,
                audit_log_reason=audit_log_reason,
            ),
            timeout,
        )

    def list_pinned_messages(
        self,
        channel_id: int,
        *,
        before: str = "",
        limit: int = 0,
        timeout: float | None = None,
    ) -> pb.ListPinnedMessagesResponse:
        """list_pinned_messages lists pinned messages, most recently pinned first. Without
        READ_MESSAGE_HISTORY, the list is empty.

        Discord: GET /channels/{channel_id}/messages/pins.
        Permissions: VIEW_CHANNEL and READ_MESSAGE_HISTORY.
        Errors: NOT_FOUND 10003 Unknown Channel, PERMISSION_DENIED 50001 Missing
        Access, INVALID_ARGUMENT 50035 Invalid Form Body.
        Cost: one call to Discord.

        Args:
            channel_id: The channel.
            before: Only messages pinned before this time, such as pinned_at of the last item.
            limit: Largest number of messages, 1 to 50. 50 by default.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _LIST_PINNED_MESSAGES,
            pb.ListPinnedMessagesRequest(
                channel_id=channel_id,
                before=before,
                limit=limit,
            ),
            timeout,
        )

    def trigger_typing(
        self,
        channel_id: int,
        *,
        timeout: float | None = None,
    ) -> None:
        """trigger_typing shows the bot as typing for 10 seconds, or until it posts a
        message.

        Discord: POST /channels/{channel_id}/typing.
        Permissions: VIEW_CHANNEL and SEND_MESSAGES.
        Errors: NOT_FOUND 10003 Unknown Channel, PERMISSION_DENIED 50001 Missing
        Access or 50013 Missing Permissions, INVALID_ARGUMENT 50008 Cannot send
        messages in a non-text channel.
        Cost: one call to Discord, usually limited to 5 in 5 seconds for each channel.

        Args:
            channel_id: The channel.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        self._unary(
            _TRIGGER_TYPING,
            pb.TriggerTypingRequest(
                channel_id=channel_id,
            ),
            timeout,
        )

    def add_reaction(
        self,
        channel_id: int,
        message_id: int,
        emoji_name: str,
        *,
        timeout: float | None = None,
    ) -> None:
        """add_reaction adds a reaction of the bot to a message. Adding it again changes
        nothing.

        Discord: PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me.
        Permissions: VIEW_CHANNEL and READ_MESSAGE_HISTORY; ADD_REACTIONS if nobody
        has reacted with the emoji yet, USE_EXTERNAL_EMOJIS for an emoji of
        another guild.
        Errors: NOT_FOUND 10003 Unknown Channel or 10008 Unknown Message,
        PERMISSION_DENIED 50001 Missing Access, 50013 Missing Permissions, 30010
        Maximum number of reactions reached, which is 20, or 90001 Reaction was
        blocked, INVALID_ARGUMENT 10014 Unknown Emoji.
        Cost: one call to Discord. Adding and removing share a limit in each
        channel, usually one call in a quarter of a second.

        Args:
            channel_id: Channel of the message.
            message_id: The message.
            emoji_name: A unicode emoji itself, such as 👍, or name:id of a custom one.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        self._unary(
            _ADD_REACTION,
            pb.AddReactionRequest(
                channel_id=channel_id,
                message_id=message_id,
                emoji_name=emoji_name,
            ),
            timeout,
        )

    def remove_reaction(
        self,
        channel_id: int,
        message_id: int,
        emoji_name: str,
        user_id: int = 0,
        *,
        timeout: float | None = None,
    ) -> None:
        """remove_reaction removes a reaction of the bot or of another user.

        Discord: DELETE /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me,
        of another user DELETE /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/{user_id}.
        Permissions: VIEW_CHANNEL and READ_MESSAGE_HISTORY; MANAGE_MESSAGES for
        reactions of others.
        Errors: NOT_FOUND 10003 Unknown Channel or 10008 Unknown Message,
        PERMISSION_DENIED 50001 Missing Access or 50013 Missing Permissions,
        INVALID_ARGUMENT 10014 Unknown Emoji.
        Cost: as AddReaction.

        Args:
            channel_id: Channel of the message.
            message_id: The message.
            emoji_name: A unicode emoji itself, such as 👍, or name:id of a custom one.
            user_id: Whose reaction is removed. The bot's by default.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        self._unary(
            _REMOVE_REACTION,
            pb.RemoveReactionRequest(
                channel_id=channel_id,
                message_id=message_id,
                emoji_name=emoji_name,
                user_id=user_id,
            ),
            timeout,
        )

    def remove_all_reactions(
        self,
        channel_id: int,
        message_id: int,
        emoji_name: str = "",
        *,
        timeout: float | None = None,
    ) -> None:
        """remove_all_reactions removes the reactions of all users, with one emoji or with
        every emoji.

        Discord: DELETE /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name},
        of all emoji DELETE /channels/{channel_id}/messages/{message_id}/reactions.
        Permissions: VIEW_CHANNEL, READ_MESSAGE_HISTORY and MANAGE_MESSAGES.
        Errors: NOT_FOUND 10003 Unknown Channel or 10008 Unknown Message,
        PERMISSION_DENIED 50001 Missing Access or 50013 Missing Permissions,
        INVALID_ARGUMENT 10014 Unknown Emoji.
        Cost: as AddReaction.

        Args:
            channel_id: Channel of the message.
            message_id: The message.
            emoji_name: A unicode emoji itself, such as 👍, or name:id of a custom one. Every emoji
                by default.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        self._unary(
            _REMOVE_ALL_REACTIONS,
            pb.RemoveAllReactionsRequest(
                channel_id=channel_id,
                message_id=message_id,
                emoji_name=emoji_name,
            ),
            timeout,
        )

    def list_reactions(
        self,
        channel_id: int,
        message_id: int,
        emoji_name: str,
        *,
        type: int = 0,
        after: int = 0,
        limit: int = 0,
        timeout: float | None = None,
    ) -> Sequence[pb.User]:
        """list_reactions lists the users who reacted with an emoji, in ascending order of
        their IDs.

        Discord: GET /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}.
        Permissions: VIEW_CHANNEL and READ_MESSAGE_HISTORY.
        Errors: NOT_FOUND 10003 Unknown Channel or 10008 Unknown Message,
        PERMISSION_DENIED 50001 Missing Access, INVALID_ARGUMENT 10014 Unknown
        Emoji or 50035 Invalid Form Body.
        Cost: one call to Discord.

        Args:
            channel_id: Channel of the message.
            message_id: The message.
            emoji_name: A unicode emoji itself, such as 👍, or name:id of a custom one.
            type: 0 ordinary reactions, 1 super reactions.
            after: Only users with a higher id, for example that of the last user.
            limit: Largest number of users, 1 to 100. 25 by default.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _LIST_REACTIONS,
            pb.ListReactionsRequest(
                channel_id=channel_id,
                message_id=message_id,
                emoji_name=emoji_name,
                type=type,
                after=after,
                limit=limit,
            ),
            timeout,
        ).users

    def get_channel(
        self,
        channel_id: int,
        *,
        timeout: float | None = None,
    ) -> pb.Channel:
        """get_channel returns a channel, thread or direct message channel.

        Discord: GET /channels/{channel_id}.
        Permissions: VIEW_CHANNEL.
        Errors: NOT_FOUND 10003 Unknown Channel, PERMISSION_DENIED 50001 Missing Access.
        Cost: one call to Discord.

        Args:
            channel_id: The channel.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _GET_CHANNEL,
            pb.GetChannelRequest(
                channel_id=channel_id,
            ),
            timeout,
        ).channel

    def get_direct_message_channel(
        self,
        user_id: int,
        *,
        timeout: float | None = None,
    ) -> pb.Channel:
        """get_direct_message_channel returns the direct message channel with a user. It
        opens the channel if there is none; the user does not notice.

        Discord: POST /users/@me/channels.
        Permissions: none.
        Errors: INVALID_ARGUMENT 50033 Invalid Recipient(s) for a user who does not
        exist or 50007 Cannot send messages to this user for a bot,
        PERMISSION_DENIED 40003 You are opening direct messages too fast.
        Cost: one call to Discord.

        Args:
            user_id: The other user.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _GET_DIRECT_MESSAGE_CHANNEL,
            pb.GetDirectMessageChannelRequest(
                user_id=user_id,
            ),
            timeout,
        ).channel

    def start_thread(
        self,
        channel_id: int,
        message_id: int = 0,
        *,
        name: str = "",
        auto_archive_duration: int = 0,
        rate_limit_per_user: int = 0,
        type: pb.Channel.Type.ValueType = pb.Channel.UNDEFINED,
        invitable: bool | None = None,
        audit_log_reason: str = "",
        message: pb.NewMessage | None = None,
        applied_tags: Iterable[int] = (),
        timeout: float | None = None,
    ) -> pb.Channel:
        """start_thread starts a thread, from a message or without one, or a post in a
        forum with its first message. A thread from a message has the message's ID.
        The proxy does not retry a post that may exist already.

        Discord: POST /channels/{channel_id}/messages/{message_id}/threads, without
        a message POST /channels/{channel_id}/threads.
        Permissions: VIEW_CHANNEL and CREATE_PUBLIC_THREADS or
        CREATE_PRIVATE_THREADS.
        Errors: NOT_FOUND 10003 Unknown Channel or 10008 Unknown Message,
        PERMISSION_DENIED 50001 Missing Access or 50013 Missing Permissions,
        INVALID_ARGUMENT 160004 A thread has already been created for this message,
        50024 Cannot execute action on this channel type or 50035 Invalid Form Body.
        Cost: one call to Discord, usually limited to 50 in 5 minutes for each
        channel, including threads that others start.

        Args:
            channel_id: Channel in which the thread starts.
            message_id: Message from which it starts. Not set is none.
            name: Name, 1 to 100 characters.
            auto_archive_duration: Minutes without activity after which it is hidden: 60, 1440, 4320 or
                10080. Not set is what the channel has as default.
            rate_limit_per_user: Seconds a user waits between two messages, at most 21600.
            type: Type of a thread without a message, which needs one: ANNOUNCEMENT_THREAD,
                PUBLIC_THREAD or PRIVATE_THREAD. With a message, and in a forum, Discord
                chooses.
            invitable: Whether members of a private thread may add others. Not set is true.
            audit_log_reason: Reason shown in the guild's audit log, 1 to 512 characters.
            message: First message of a post in a forum, which needs one. Not with message_id.
            applied_tags: Up to 5 tags of a post in a forum.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _START_THREAD,
            pb.StartThreadRequest(
                channel_id=channel_id,
                message_id=message_id,
                name=name,
                auto_archive_duration=auto_archive_duration,
                rate_limit_per_user=rate_limit_per_user,
                type=type,
                invitable=invitable,
                audit_log_reason=audit_log_reason,
                message=message,
                applied_tags=applied_tags,
            ),
            timeout,
        ).thread

    def list_active_threads(
        self,
        guild_id: int,
        *,
        timeout: float | None = None,
    ) -> pb.ListActiveThreadsResponse:
        """list_active_threads lists the threads of a guild that are not archived and that
        the bot can see, and the bot's memberships in them.

        Discord: GET /guilds/{guild_id}/threads/active.
        Permissions: the bot is a member of the guild.
        Errors: NOT_FOUND 10004 Unknown Guild, PERMISSION_DENIED 50001 Missing Access.
        Cost: one call to Discord.

        Args:
            guild_id: The guild.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _LIST_ACTIVE_THREADS,
            pb.ListActiveThreadsRequest(
                guild_id=guild_id,
            ),
            timeout,
        )

    def add_thread_member(
        self,
        channel_id: int,
        user_id: int = 0,
        *,
        timeout: float | None = None,
    ) -> None:
        """add_thread_member adds the bot or another user to a thread that is not
        archived. Adding a member again changes nothing.

        Discord: PUT /channels/{channel_id}/thread-members/{user_id}, of the bot
        PUT /channels/{channel_id}/thread-members/@me.
        Permissions: VIEW_CHANNEL of the thread; SEND_MESSAGES_IN_THREADS to add
        another user.
        Errors: NOT_FOUND 10003 Unknown Channel or 10007 Unknown Member,
        PERMISSION_DENIED 50001 Missing Access or 50013 Missing Permissions,
        INVALID_ARGUMENT 50024 Cannot execute action on this channel type or 50083
        Thread is archived.
        Cost: one call to Discord.

        Args:
            channel_id: The thread.
            user_id: The user. The bot by default.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        self._unary(
            _ADD_THREAD_MEMBER,
            pb.AddThreadMemberRequest(
                channel_id=channel_id,
                user_id=user_id,
            ),
            timeout,
        )

    def remove_thread_member(
        self,
        channel_id: int,
        user_id: int = 0,
        *,
        timeout: float | None = None,
    ) -> None:
        """remove_thread_member removes the bot or another user from a thread that is
        not archived.

        Discord: DELETE /channels/{channel_id}/thread-members/{user_id}, of the bot
        DELETE /channels/{channel_id}/thread-members/@me.
        Permissions: MANAGE_THREADS to remove another user, or having created the
        thread when it is private.
        Errors: as AddThreadMember.
        Cost: one call to Discord.

        Args:
            channel_id: The thread.
            user_id: The user. The bot by default.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        self._unary(
            _REMOVE_THREAD_MEMBER,
            pb.RemoveThreadMemberRequest(
                channel_id=channel_id,
                user_id=user_id,
            ),
            timeout,
        )

    def get_guild(
        self,
        guild_id: int,
        *,
        with_counts: bool = False,
        allow_cached: google.protobuf.duration_pb2.Duration | None = None,
        timeout: float | None = None,
    ) -> pb.Guild:
        """get_guild returns a guild that the bot is a member of.

        Discord: GET /guilds/{guild_id}.
        Permissions: the bot is a member of the guild.
        Errors: NOT_FOUND 10004 Unknown Guild.
        Cost: one call to Discord.

        Args:
            guild_id: The guild.
            with_counts: Whether the approximate numbers of members are wanted.
            allow_cached: Maximum age of a response from the gateway's data, without a call to
                Discord. The data is of age 0 while the gateway is connected. By
                default, and if the data is older, the proxy asks Discord or the numbers of members are wanted. At least 0.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _GET_GUILD,
            pb.GetGuildRequest(
                guild_id=guild_id,
                with_counts=with_counts,
                allow_cached=allow_cached,
            ),
            timeout,
        ).guild

    def list_guilds(
        self,
        *,
        before: int = 0,
        after: int = 0,
        limit: int = 0,
        with_counts: bool = False,
        timeout: float | None = None,
    ) -> Sequence[pb.Guild]:
        """list_guilds lists the guilds that the bot is a member of, in ascending order
        of their IDs. Discord returns only some fields of each.

        Discord: GET /users/@me/guilds.
        Permissions: none.
        Errors: INVALID_ARGUMENT 50035 Invalid Form Body.
        Cost: one call to Discord.

        Args:
            before: Only guilds with a lower id.
            after: Only guilds with a higher id, for example that of the last guild.
            limit: Largest number of guilds, 1 to 200. 200 by default.
            with_counts: Whether the approximate numbers of members are wanted.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _LIST_GUILDS,
            pb.ListGuildsRequest(
                before=before,
                after=after,
                limit=limit,
                with_counts=with_counts,
            ),
            timeout,
        ).guilds

    def get_guild_member(
        self,
        guild_id: int,
        user_id: int,
        *,
        timeout: float | None = None,
    ) -> pb.GuildMember:
        """get_guild_member returns a member of a guild.

        Discord: GET /guilds/{guild_id}/members/{user_id}.
        Permissions: the bot is a member of the guild.
        Errors: NOT_FOUND 10004 Unknown Guild, 10007 Unknown Member or 10013
        Unknown User, PERMISSION_DENIED 50001 Missing Access.
        Cost: one call to Discord.

        Args:
            guild_id: The guild.
            user_id: The user.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _GET_GUILD_MEMBER,
            pb.GetGuildMemberRequest(
                guild_id=guild_id,
                user_id=user_id,
            ),
            timeout,
        ).member

    def list_guild_members(
        self,
        guild_id: int,
        *,
        limit: int = 0,
        after: int = 0,
        timeout: float | None = None,
    ) -> Generator[pb.GuildMember, None, None]:
        """list_guild_members streams the members of a guild in ascending order of their
        IDs, one in each response.

        Discord: GET /guilds/{guild_id}/members.
        Permissions: the bot is a member of the guild and its application has the
        privileged intent GUILD_MEMBERS.
        Errors: NOT_FOUND 10004 Unknown Guild, PERMISSION_DENIED 50001 Missing Access.
        Cost: one call to Discord for each 1000 members.

        Args:
            guild_id: The guild.
            limit: Largest number of members, from 1. All by default.
            after: Only members whose user has a higher id.
            timeout: Seconds that the whole stream may take. By default it has no limit.
        """
        return self._stream(
            _LIST_GUILD_MEMBERS,
            pb.ListGuildMembersRequest(
                guild_id=guild_id,
                limit=limit,
                after=after,
            ),
            timeout,
            lambda response: response.member,
        )

    def search_guild_members(
        self,
        guild_id: int,
        *,
        query: str = "",
        limit: int = 0,
        timeout: float | None = None,
    ) -> Sequence[pb.GuildMember]:
        """search_guild_members lists the members of a guild whose user name or nickname
        begins with a text.

        Discord: GET /guilds/{guild_id}/members/search.
        Permissions: the bot is a member of the guild.
        Errors: NOT_FOUND 10004 Unknown Guild, PERMISSION_DENIED 50001 Missing
        Access, INVALID_ARGUMENT 50035 Invalid Form Body.
        Cost: one call to Discord.

        Args:
            guild_id: The guild.
            query: Beginning of the user name or nickname, 1 to 100 characters.
            limit: Largest number of members, 1 to 1000. 100 by default.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _SEARCH_GUILD_MEMBERS,
            pb.SearchGuildMembersRequest(
                guild_id=guild_id,
                query=query,
                limit=limit,
            ),
            timeout,
        ).members

    def modify_guild_member(
        self,
        guild_id: int,
        user_id: int,
        *,
        nick: str = "",
        clear_nick: bool = False,
        roles: Iterable[int] = (),
        clear_roles: bool = False,
        mute: bool | None = None,
        deaf: bool | None = None,
        communication_disabled_until: str = "",
        clear_communication_disabled_until: bool = False,
        audit_log_reason: str = "",
        timeout: float | None = None,
    ) -> pb.GuildMember:
        """modify_guild_member changes a member of a guild. It changes the fields that the
        request sets, removes those that it clears, and keeps all others.

        Discord: PATCH /guilds/{guild_id}/members/{user_id}.
        Permissions: MANAGE_NICKNAMES for nick, MANAGE_ROLES for roles, MUTE_MEMBERS
        for mute, DEAFEN_MEMBERS for deaf, MODERATE_MEMBERS for
        communication_disabled_until; and the bot's highest role is above the
        member's and above the roles to add or remove.
        Errors: NOT_FOUND 10004 Unknown Guild, 10007 Unknown Member, 10011 Unknown
        Role or 10013 Unknown User, PERMISSION_DENIED 50001 Missing Access or 50013
        Missing Permissions, INVALID_ARGUMENT 40032 Target user is not connected to
        voice or 50035 Invalid Form Body.
        Cost: one call to Discord.

        Args:
            guild_id: The guild.
            user_id: The user.
            nick: Nickname, at most 32 characters.
            clear_nick: Removes the nickname.
            roles: The member's new roles.
            clear_roles: Removes all roles.
            mute: Whether the member is muted in voice channels. The member must be in one.
            deaf: Whether the member is deafened in voice channels. The member must be in one.
            communication_disabled_until: Until when the member is timed out, ISO 8601, at most 28 days from now.
            clear_communication_disabled_until: Ends the timeout.
            audit_log_reason: Reason shown in the guild's audit log, 1 to 512 characters.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _MODIFY_GUILD_MEMBER,
            pb.ModifyGuildMemberRequest(
                guild_id=guild_id,
                user_id=user_id,
                nick=nick,
                clear_nick=clear_nick,
                roles=roles,
                clear_roles=clear_roles,
                mute=mute,
                deaf=deaf,
                communication_disabled_until=communication_disabled_until,
                clear_communication_disabled_until=clear_communication_disabled_until,
                audit_log_reason=audit_log_reason,
            ),
            timeout,
        ).member

    def add_guild_member_role(
        self,
        guild_id: int,
        user_id: int,
        role_id: int,
        *,
        audit_log_reason: str = "",
        timeout: float | None = None,
    ) -> None:
        """add_guild_member_role adds a role to a member. Adding it again changes nothing.

        Discord: PUT /guilds/{guild_id}/members/{user_id}/roles/{role_id}.
        Permissions: MANAGE_ROLES, and the bot's highest role is above the role.
        Errors: NOT_FOUND 10004 Unknown Guild, 10007 Unknown Member, 10011 Unknown
        Role or 10013 Unknown User, PERMISSION_DENIED 50001 Missing Access or 50013
        Missing Permissions, INVALID_ARGUMENT 50028 Invalid Role.
        Cost: one call to Discord. Adding and removing roles share a limit in each
        guild, usually 10 calls in 10 seconds.

        Args:
            guild_id: The guild.
            user_id: The user.
            role_id: The role.
            audit_log_reason: Reason shown in the guild's audit log, 1 to 512 characters.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        self._unary(
            _ADD_GUILD_MEMBER_ROLE,
            pb.AddGuildMemberRoleRequest(
                guild_id=guild_id,
                user_id=user_id,
                role_id=role_id,
                audit_log_reason=audit_log_reason,
            ),
            timeout,
        )

    def remove_guild_member_role(
        self,
        guild_id: int,
        user_id: int,
        role_id: int,
        *,
        audit_log_reason: str = "",
        timeout: float | None = None,
    ) -> None:
        """remove_guild_member_role removes a role from a member.

        Discord: DELETE /guilds/{guild_id}/members/{user_id}/roles/{role_id}.
        Permissions: as AddGuildMemberRole.
        Errors: as AddGuildMemberRole.
        Cost: as AddGuildMemberRole.

        Args:
            guild_id: The guild.
            user_id: The user.
            role_id: The role.
            audit_log_reason: Reason shown in the guild's audit log, 1 to 512 characters.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        self._unary(
            _REMOVE_GUILD_MEMBER_ROLE,
            pb.RemoveGuildMemberRoleRequest(
                guild_id=guild_id,
                user_id=user_id,
                role_id=role_id,
                audit_log_reason=audit_log_reason,
            ),
            timeout,
        )

    def list_guild_roles(
        self,
        guild_id: int,
        *,
        allow_cached: google.protobuf.duration_pb2.Duration | None = None,
        timeout: float | None = None,
    ) -> Sequence[pb.Role]:
        """list_guild_roles lists the roles of a guild.

        Discord: GET /guilds/{guild_id}/roles.
        Permissions: the bot is a member of the guild.
        Errors: NOT_FOUND 10004 Unknown Guild, PERMISSION_DENIED 50001 Missing Access.
        Cost: one call to Discord.

        Args:
            guild_id: The guild.
            allow_cached: Maximum age of a response from the gateway's data, without a call to
                Discord. The data is of age 0 while the gateway is connected. By
                default, and if the data is older, the proxy asks Discord. At least 0.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _LIST_GUILD_ROLES,
            pb.ListGuildRolesRequest(
                guild_id=guild_id,
                allow_cached=allow_cached,
            ),
            timeout,
        ).roles

    def get_user(
        self,
        user_id: int,
        *,
        timeout: float | None = None,
    ) -> pb.User:
        """get_user returns a user.

        Discord: GET /users/{user_id}.
        Permissions: none.
        Errors: NOT_FOUND 10013 Unknown User.
        Cost: one call to Discord, usually limited to 30 in 30 seconds.

        Args:
            user_id: The user.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _GET_USER,
            pb.GetUserRequest(
                user_id=user_id,
            ),
            timeout,
        ).user

    def get_current_user(
        self,
        *,
        timeout: float | None = None,
    ) -> pb.User:
        """get_current_user returns the bot.

        Discord: GET /users/@me.
        Permissions: none.
        Errors: none of its own.
        Cost: one call to Discord.

        Args:
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _GET_CURRENT_USER,
            pb.GetCurrentUserRequest(),
            timeout,
        ).user

    def delete_webhook_message(
        self,
        webhook_id: int,
        webhook_token: str,
        message_id: int,
        *,
        thread_id: int = 0,
        timeout: float | None = None,
    ) -> None:
        """delete_webhook_message deletes a message that the same webhook posted. The call
        uses the webhook's token in place of the bot's.

        Discord: DELETE /webhooks/{webhook_id}/{webhook_token}/messages/{message_id}.
        Permissions: those of the token.
        Errors: NOT_FOUND 10008 Unknown Message or 10015 Unknown Webhook,
        UNAUTHENTICATED 50027 Invalid Webhook Token, INVALID_ARGUMENT 50035 Invalid
        Form Body.
        Cost: one call to Discord.

        Args:
            webhook_id: The webhook.
            webhook_token: Token of the webhook. It is a secret: anyone who has it can post as the
                webhook.
            message_id: The message.
            thread_id: Thread of the message, if it is in one.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        self._unary(
            _DELETE_WEBHOOK_MESSAGE,
            pb.DeleteWebhookMessageRequest(
                webhook_id=webhook_id,
                webhook_token=webhook_token,
                message_id=message_id,
                thread_id=thread_id,
            ),
            timeout,
        )

    def edit_channel_message(
        self,
        channel_id: int,
        message_id: int,
        content: str | None = None,
        *,
        embeds: Iterable[pb.Embed] = (),
        allowed_mentions: pb.AllowedMentions | None = None,
        suppress_mentions: bool = False,
        attachments: Iterable[pb.AttachmentRequest] = (),
        components: Iterable[pb.Component] = (),
        suppress_embeds: bool | None = None,
        components_v2: bool = False,
        clear_embeds: bool = False,
        clear_components: bool = False,
        clear_attachments: bool = False,
        timeout: float | None = None,
    ) -> pb.Message:
        """edit_channel_message edits a message of the bot. Fields that are not set stay
        unchanged.

        Discord: PATCH /channels/{channel_id}/messages/{message_id}.
        Permissions: VIEW_CHANNEL. With MANAGE_MESSAGES suppress_embeds can be
        changed in messages of others too.
        Errors: NOT_FOUND 10003 Unknown Channel or 10008 Unknown Message,
        PERMISSION_DENIED 50005 Cannot edit a message authored by another user,
        INVALID_ARGUMENT 50006 Cannot send an empty message if nothing would remain,
        or 50035 Invalid Form Body.
        Cost: one call to Discord, usually limited to 5 in 5 seconds for each
        channel, and to fewer for messages older than an hour.

        Args:
            channel_id: Channel of the message.
            message_id: The message.
            content: New text, at most 2000 characters. Unset leaves the old one, "" removes it.
            embeds: New embeds in place of all old ones, with the limits of
                SendChannelMessageRequest.embeds. Unset leaves the old ones.
            allowed_mentions: Users and roles that the new content may ping. By default, everyone it
                mentions.
            suppress_mentions: Whether the message pings nobody, like an empty allowed_mentions. Excludes
                allowed_mentions.
            attachments: The files of the message from now on: old ones by their id, new ones by
                their data, up to 10. Unset leaves the old ones.
            components: New components in place of all old ones, with the limits of
                SendChannelMessageRequest.components. Unset leaves the old ones.
            suppress_embeds: Whether Discord shows embeds. Unset leaves it.
            components_v2: Whether the message becomes one of components alone, which is for good.
                Content and embeds must be removed. Set by itself when a component other
                than an action row is at the top level.
            clear_embeds: Whether all embeds are removed. Not with embeds.
            clear_components: Whether all components are removed. Not with components.
            clear_attachments: Whether all files are removed. Not with attachments.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _EDIT_CHANNEL_MESSAGE,
            pb.EditChannelMessageRequest(
                channel_id=channel_id,
                message_id=message_id,
                content=content,
                embeds=embeds,
                allowed_mentions=allowed_mentions,
                suppress_mentions=suppress_mentions,
                attachments=attachments,
                components=components,
                suppress_embeds=suppress_embeds,
                components_v2=components_v2,
                clear_embeds=clear_embeds,
                clear_components=clear_components,
                clear_attachments=clear_attachments,
            ),
            timeout,
        ).message

    def execute_webhook(
        self,
        webhook_id: int,
        webhook_token: str,
        content: str = "",
        *,
        embeds: Iterable[pb.Embed] = (),
        thread_id: int = 0,
        allowed_mentions: pb.AllowedMentions | None = None,
        suppress_mentions: bool = False,
        attachments: Iterable[pb.AttachmentRequest] = (),
        components: Iterable[pb.Component] = (),
        suppress_embeds: bool = False,
        suppress_notifications: bool = False,
        poll: pb.Poll | None = None,
        tts: bool = False,
        components_v2: bool = False,
        thread_name: str = "",
        username: str = "",
        avatar_url: str = "",
        applied_tags: Iterable[int] = (),
        timeout: float | None = None,
    ) -> pb.Message:
        """execute_webhook posts a message as a webhook, with the webhook's token in place
        of the bot's. The proxy never shows that token.

        Discord stores no nonce for such a message, so the proxy does not retry an
        attempt with an unknown outcome. The error's details say that it is unknown.

        Discord: POST /webhooks/{webhook_id}/{webhook_token}.
        Permissions: none but the token.
        Errors: NOT_FOUND 10015 Unknown Webhook, UNAUTHENTICATED 50027 Invalid
        Webhook Token, INVALID_ARGUMENT 220001 to 220004 for threads and forums,
        and those of create_channel_message.
        Cost: one call to Discord, usually limited to 5 in 2 seconds for each
        webhook. It does not count against the bot's global limit.

        Args:
            webhook_id: The webhook.
            webhook_token: Its token, the last part of its URL. A secret.
            content: Text of the message, at most 2000 characters.
            embeds: Up to 10 embeds, with the limits of SendChannelMessageRequest.embeds.
            thread_id: Thread of the webhook's channel to post to.
            allowed_mentions: Whom the message may ping. Unset means users, neither roles nor everyone.
            suppress_mentions: Whether the message pings nobody, like an empty allowed_mentions. Excludes
                allowed_mentions.
            attachments: Up to 10 files, see SendChannelMessageRequest.attachments.
            components: Components, see SendChannelMessageRequest.components. Only webhooks of an
                application can have buttons and selects that are more than links.
            suppress_embeds: Whether Discord hides all embeds, including those of links.
            suppress_notifications: Whether the message causes no push and desktop notifications.
            poll: A poll.
            tts: Whether clients read the message aloud.
            components_v2: See SendChannelMessageRequest.components_v2.
            thread_name: Name of a thread to be made in a forum, at most 100 characters.
            username: Name that the message shows in place of the webhook's, at most 80
                characters.
            avatar_url: Link to an avatar in place of the webhook's, http or https.
            applied_tags: Up to 5 tags of the thread to be made.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _EXECUTE_WEBHOOK,
            pb.ExecuteWebhookRequest(
                webhook_id=webhook_id,
                webhook_token=webhook_token,
                content=content,
                embeds=embeds,
                thread_id=thread_id,
                allowed_mentions=allowed_mentions,
                suppress_mentions=suppress_mentions,
                attachments=attachments,
                components=components,
                suppress_embeds=suppress_embeds,
                suppress_notifications=suppress_notifications,
                poll=poll,
                tts=tts,
                components_v2=components_v2,
                thread_name=thread_name,
                username=username,
                avatar_url=avatar_url,
                applied_tags=applied_tags,
            ),
            timeout,
        ).message

    def edit_webhook_message(
        self,
        webhook_id: int,
        webhook_token: str,
        message_id: int,
        *,
        content: str | None = None,
        embeds: Iterable[pb.Embed] = (),
        thread_id: int = 0,
        allowed_mentions: pb.AllowedMentions | None = None,
        suppress_mentions: bool = False,
        attachments: Iterable[pb.AttachmentRequest] = (),
        components: Iterable[pb.Component] = (),
        suppress_embeds: bool | None = None,
        components_v2: bool = False,
        clear_embeds: bool = False,
        clear_components: bool = False,
        clear_attachments: bool = False,
        timeout: float | None = None,
    ) -> pb.Message:
        """edit_webhook_message edits a message that the same webhook posted. Fields that
        are not set stay unchanged.

        Discord: PATCH /webhooks/{webhook_id}/{webhook_token}/messages/{message_id}.
        Permissions: none but the token.
        Errors: those of EditChannelMessage and ExecuteWebhook.
        Cost: one call to Discord.

        Args:
            webhook_id: The webhook.
            webhook_token: Its token, the last part of its URL. A secret.
            message_id: The message.
            content: New text, at most 2000 characters. Unset leaves the old one, "" removes it.
            embeds: New embeds in place of all old ones, with the limits of
                SendChannelMessageRequest.embeds. Unset leaves the old ones.
            thread_id: Thread of the message, when it is in one.
            allowed_mentions: Users and roles that the new content may ping. By default, everyone it
                mentions.
            suppress_mentions: Whether the message pings nobody, like an empty allowed_mentions. Excludes
                allowed_mentions.
            attachments: The files of the message from now on: old ones by their id, new ones by
                their data, up to 10. Unset leaves the old ones.
            components: New components in place of all old ones, with the limits of
                SendChannelMessageRequest.components. Unset leaves the old ones.
            suppress_embeds: Whether Discord shows embeds. Unset leaves it.
            components_v2: Whether the message becomes one of components alone, which is for good.
                Content and embeds must be removed. Set by itself when a component other
                than an action row is at the top level.
            clear_embeds: Whether all embeds are removed. Not with embeds.
            clear_components: Whether all components are removed. Not with components.
            clear_attachments: Whether all files are removed. Not with attachments.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _EDIT_WEBHOOK_MESSAGE,
            pb.EditWebhookMessageRequest(
                webhook_id=webhook_id,
                webhook_token=webhook_token,
                message_id=message_id,
                content=content,
                embeds=embeds,
                thread_id=thread_id,
                allowed_mentions=allowed_mentions,
                suppress_mentions=suppress_mentions,
                attachments=attachments,
                components=components,
                suppress_embeds=suppress_embeds,
                components_v2=components_v2,
                clear_embeds=clear_embeds,
                clear_components=clear_components,
                clear_attachments=clear_attachments,
            ),
            timeout,
        ).message

    def get_rate_limit_status(
        self,
        *,
        timeout: float | None = None,
    ) -> pb.GetRateLimitStatusResponse:
        """get_rate_limit_status returns the calls that are waiting, and for which limits.
        It never calls Discord.

        Args:
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _GET_RATE_LIMIT_STATUS,
            pb.GetRateLimitStatusRequest(),
            timeout,
        )

    def subscribe_events(
        self,
        *,
        types: Iterable[pb.Event.Type.ValueType] = (),
        guild_ids: Iterable[int] = (),
        channel_ids: Iterable[int] = (),
        after: pb.EventPosition | None = None,
        include_raw: bool = False,
        timeout: float | None = None,
    ) -> Generator[pb.SubscribeEventsResponse, None, None]:
        """subscribe_events streams events from Discord until the client ends the stream.

        Events are numbered. A client that lost its stream sends the last position it
        received, and receives the events since then, or a GAP event with the numbers
        that are lost. A HEARTBEAT event arrives after 15 seconds without another.

        Errors: INVALID_ARGUMENT for a type that is none, FAILED_PRECONDITION when the server runs without the gateway,
        without an intent that a type needs, or Discord has ended the session for
        good, RESOURCE_EXHAUSTED when the client is so slow that events are gone
        before it took them, with an EventPosition in the details, or when there
        are too many subscribers, UNAVAILABLE when the server shuts down.
        Cost: no call to Discord.

        Args:
            types: Types of events. By default, all types of the gateway session except
                PRESENCE_UPDATE. GATEWAY_STATE, GAP and HEARTBEAT always arrive.
            guild_ids: Guilds, at most 1000. By default, all events, including those outside of
                guilds.
            channel_ids: Channels and threads, at most 1000. Events without a channel, for example events
                of roles, are then left out. By default, all events.
            after: The last position of an earlier stream. The events since then come first, if
                they are still kept. By default, only new events.
            include_raw: Whether each event includes its raw JSON. Events of type UNTYPED always do.
            timeout: Seconds that the whole stream may take. By default it has no limit.
        """
        return self._stream(
            _SUBSCRIBE_EVENTS,
            pb.SubscribeEventsRequest(
                types=types,
                guild_ids=guild_ids,
                channel_ids=channel_ids,
                after=after,
                include_raw=include_raw,
            ),
            timeout,
            lambda response: response,
        )

    def respond_interaction(
        self,
        interaction_id: int,
        interaction_token: str,
        *,
        type: pb.RespondInteractionRequest.Type.ValueType = pb.RespondInteractionRequest.UNDEFINED,
        data: pb.RespondInteractionRequest.Data | None = None,
        timeout: float | None = None,
    ) -> None:
        """respond_interaction sends the first response to an interaction. Discord accepts
        it within 3 seconds of the interaction.

        Discord: POST /interactions/{interaction_id}/{interaction_token}/callback.
        Permissions: none but the token.
        Errors: NOT_FOUND 10062 Unknown interaction if it is too late,
        INVALID_ARGUMENT 40060 if it has a response already, 50006 Cannot send an
        empty message or 50035 Invalid Form Body, DEADLINE_EXCEEDED after three
        seconds.
        Cost: one call to Discord, which does not count against the global limit.

        Args:
            interaction_id: Interaction.id.
            interaction_token: Interaction.token.
            type: Kind of the answer. Required.
            data: What the answer says. A message needs at least one of content, an embed, an
                attachment, a component and a poll; a modal needs custom_id, title and
                components.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        self._unary(
            _RESPOND_INTERACTION,
            pb.RespondInteractionRequest(
                interaction_id=interaction_id,
                interaction_token=interaction_token,
                type=type,
                data=data,
            ),
            timeout,
        )

    def edit_interaction_response(
        self,
        application_id: int,
        interaction_token: str,
        content: str | None = None,
        *,
        embeds: Iterable[pb.Embed] = (),
        allowed_mentions: pb.AllowedMentions | None = None,
        suppress_mentions: bool = False,
        attachments: Iterable[pb.AttachmentRequest] = (),
        components: Iterable[pb.Component] = (),
        poll: pb.Poll | None = None,
        components_v2: bool = False,
        clear_embeds: bool = False,
        clear_components: bool = False,
        clear_attachments: bool = False,
        timeout: float | None = None,
    ) -> pb.Message:
        """edit_interaction_response edits the first response to an interaction, within 15
        minutes of the interaction.

        Discord: PATCH /webhooks/{application_id}/{interaction_token}/messages/@original.
        Permissions: none but the token.
        Errors: NOT_FOUND 10015 Unknown Webhook when there is no such interaction,
        10008 Unknown Message when it has not been answered, UNAUTHENTICATED 50027
        Invalid Webhook Token when it is too late.
        Cost: one call to Discord, which does not count against the global limit.

        Args:
            application_id: Interaction.application_id.
            interaction_token: Interaction.token.
            content: New text, at most 2000 characters. Unset leaves the old one, "" removes it.
            embeds: New embeds in place of all old ones, with the limits of
                SendChannelMessageRequest.embeds. Unset leaves the old ones.
            allowed_mentions: Whom the new content may ping. Unset means users, neither roles nor
                everyone.
            suppress_mentions: Whether the message pings nobody, like an empty allowed_mentions. Excludes
                allowed_mentions.
            attachments: The files of the message from now on: old ones by their id, new ones by
                their data, up to 10. Unset leaves the old ones.
            components: New components in place of all old ones, with the limits of
                SendChannelMessageRequest.components. Unset leaves the old ones.
            poll: A poll, only of a message after an answer that said that one will follow.
            components_v2: Whether the message becomes one of components alone, which is for good.
                Content and embeds must be removed. Set by itself when a component other
                than an action row is at the top level.
            clear_embeds: Whether all embeds are removed. Not with embeds.
            clear_components: Whether all components are removed. Not with components.
            clear_attachments: Whether all files are removed. Not with attachments.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _EDIT_INTERACTION_RESPONSE,
            pb.EditInteractionResponseRequest(
                application_id=application_id,
                interaction_token=interaction_token,
                content=content,
                embeds=embeds,
                allowed_mentions=allowed_mentions,
                suppress_mentions=suppress_mentions,
                attachments=attachments,
                components=components,
                poll=poll,
                components_v2=components_v2,
                clear_embeds=clear_embeds,
                clear_components=clear_components,
                clear_attachments=clear_attachments,
            ),
            timeout,
        ).message

    def followup_interaction(
        self,
        application_id: int,
        interaction_token: str,
        content: str = "",
        *,
        embeds: Iterable[pb.Embed] = (),
        flags: int = 0,
        allowed_mentions: pb.AllowedMentions | None = None,
        suppress_mentions: bool = False,
        attachments: Iterable[pb.AttachmentRequest] = (),
        components: Iterable[pb.Component] = (),
        poll: pb.Poll | None = None,
        tts: bool = False,
        components_v2: bool = False,
        timeout: float | None = None,
    ) -> pb.Message:
        """followup_interaction posts another response to an interaction, within 15
        minutes of the interaction.

        Discord: POST /webhooks/{application_id}/{interaction_token}.
        Permissions: none but the token.
        Errors: those of EditInteractionResponse. The proxy does not retry an attempt
        with an unknown outcome.
        Cost: one call to Discord, which does not count against the global limit.

        Args:
            application_id: Interaction.application_id.
            interaction_token: Interaction.token.
            content: Text, at most 2000 characters.
            embeds: Up to 10 embeds, with the limits of SendChannelMessageRequest.embeds.
            flags: Bit set: 4 suppresses embeds, 64 only the user sees the message, 4096 makes
                no notifications.
            allowed_mentions: Whom the message may ping. Unset means users, neither roles nor everyone.
            suppress_mentions: Whether the message pings nobody, like an empty allowed_mentions. Excludes
                allowed_mentions.
            attachments: Up to 10 files, see SendChannelMessageRequest.attachments.
            components: Components, see SendChannelMessageRequest.components.
            poll: A poll.
            tts: Whether clients read the message aloud.
            components_v2: See SendChannelMessageRequest.components_v2.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _FOLLOWUP_INTERACTION,
            pb.FollowupInteractionRequest(
                application_id=application_id,
                interaction_token=interaction_token,
                content=content,
                embeds=embeds,
                flags=flags,
                allowed_mentions=allowed_mentions,
                suppress_mentions=suppress_mentions,
                attachments=attachments,
                components=components,
                poll=poll,
                tts=tts,
                components_v2=components_v2,
            ),
            timeout,
        ).message

    def set_application_commands(
        self,
        guild_id: int = 0,
        *,
        commands: Iterable[pb.ApplicationCommand] = (),
        timeout: float | None = None,
    ) -> Sequence[pb.ApplicationCommand]:
        """set_application_commands replaces all commands of the bot, everywhere or in
        one guild.

        Discord: GET /applications/@me the first time, then
        PUT /applications/{application_id}/commands or
        PUT /applications/{application_id}/guilds/{guild_id}/commands.
        Permissions: none for the bot's own commands.
        Errors: INVALID_ARGUMENT 50035 Invalid Form Body, PERMISSION_DENIED 50001
        Missing Access when the bot is not in the guild.
        Cost: two calls to Discord the first time, one afterwards. Discord allows 200
        new commands a day for each guild.

        Args:
            guild_id: Guild that the commands are for. Unset means everywhere.
            commands: The commands, at most 100 slash commands and 15 of each other type. None
                removes all.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _SET_APPLICATION_COMMANDS,
            pb.SetApplicationCommandsRequest(
                guild_id=guild_id,
                commands=commands,
            ),
            timeout,
        ).commands

    def enqueue(
        self,
        *,
        send_channel_message: pb.SendChannelMessageRequest | None = None,
        send_direct_message: pb.SendDirectMessageRequest | None = None,
        edit_channel_message: pb.EditChannelMessageRequest | None = None,
        delete_channel_message: pb.DeleteChannelMessageRequest | None = None,
        execute_webhook: pb.ExecuteWebhookRequest | None = None,
        edit_webhook_message: pb.EditWebhookMessageRequest | None = None,
        delete_webhook_message: pb.DeleteWebhookMessageRequest | None = None,
        crosspost_message: pb.CrosspostMessageRequest | None = None,
        add_reaction: pb.AddReactionRequest | None = None,
        remove_reaction: pb.RemoveReactionRequest | None = None,
        remove_all_reactions: pb.RemoveAllReactionsRequest | None = None,
        pin_message: pb.PinMessageRequest | None = None,
        unpin_message: pb.UnpinMessageRequest | None = None,
        start_thread: pb.StartThreadRequest | None = None,
        add_thread_member: pb.AddThreadMemberRequest | None = None,
        remove_thread_member: pb.RemoveThreadMemberRequest | None = None,
        delivery_id: str = "",
        not_before: google.protobuf.timestamp_pb2.Timestamp | None = None,
        expires_at: google.protobuf.timestamp_pb2.Timestamp | None = None,
        priority: outbox_pb2.Delivery.Priority.ValueType = outbox_pb2.Delivery.NORMAL,
        replace_key: str = "",
        on_unknown: outbox_pb2.Delivery.OnUnknown.ValueType = outbox_pb2.Delivery.GIVE_UP,
        timeout: float | None = None,
    ) -> outbox_pb2.EnqueueResponse:
        """enqueue accepts a call and returns when it is on disk.

        Calls that Discord would certainly refuse fail as they would fail when made
        directly. Deliveries of one client to one channel, user or webhook keep
        their order within a priority; a delivery that cannot be made at the moment
        delays only those behind it.

        Other errors: ALREADY_EXISTS for a delivery_id that belongs to another call,
        RESOURCE_EXHAUSTED when the outbox is full, PERMISSION_DENIED for a call that
        the client may not make.

        Args:
            send_channel_message: Post a message to a channel.
            send_direct_message: Post a message to a user.
            edit_channel_message: Edit a message.
            delete_channel_message: Delete a message.
            execute_webhook: Post a message with a webhook.
            edit_webhook_message: Edit a webhook's message.
            delete_webhook_message: Delete a webhook's message.
            crosspost_message: Publish a message of an announcement channel.
            add_reaction: Add a reaction.
            remove_reaction: Remove a reaction.
            remove_all_reactions: Remove all reactions, or all with one emoji.
            pin_message: Pin a message.
            unpin_message: Unpin a message.
            start_thread: Start a thread or a forum post.
            add_thread_member: Add a member to a thread.
            remove_thread_member: Remove a member from a thread.
            delivery_id: ID of your own for this delivery, at most 64 printable ASCII characters
                without spaces. Enqueueing the same call again with the same ID returns the
                first delivery, so that you can repeat Enqueue safely. By default the
                outbox makes an ID.
            not_before: Time before which the call is not made. By default it is made as soon as
                possible.
            expires_at: Time after which the call is no longer made, and the delivery ends as
                expired. By default 24 hours after not_before.
            priority: Which of the deliveries of one client go first.
            replace_key: A delivery replaces a scheduled or waiting one of the same client with the
                same key, which ends as cancelled. At most 64 characters.
            on_unknown: What to do when it cannot be found out whether the call took effect.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _ENQUEUE,
            outbox_pb2.EnqueueRequest(
                send_channel_message=send_channel_message,
                send_direct_message=send_direct_message,
                edit_channel_message=edit_channel_message,
                delete_channel_message=delete_channel_message,
                execute_webhook=execute_webhook,
                edit_webhook_message=edit_webhook_message,
                delete_webhook_message=delete_webhook_message,
                crosspost_message=crosspost_message,
                add_reaction=add_reaction,
                remove_reaction=remove_reaction,
                remove_all_reactions=remove_all_reactions,
                pin_message=pin_message,
                unpin_message=unpin_message,
                start_thread=start_thread,
                add_thread_member=add_thread_member,
                remove_thread_member=remove_thread_member,
                delivery_id=delivery_id,
                not_before=not_before,
                expires_at=expires_at,
                priority=priority,
                replace_key=replace_key,
                on_unknown=on_unknown,
            ),
            timeout,
        )

    def enqueue_many(
        self,
        requests: Iterable[outbox_pb2.EnqueueRequest],
        *,
        timeout: float | None = None,
    ) -> Generator[outbox_pb2.EnqueueManyResponse, None, None]:
        """enqueue_many accepts calls as they arrive and answers each, in the same
        order. Calls that arrive together share one transaction, so that many of
        them are accepted faster than by Enqueue. A call that is refused does not
        affect the others: its answer carries the error.

        Args:
            requests: The requests, sent one after another while the answers come.
            timeout: Seconds that the whole stream may take. By default it has no limit.
        """
        return self._exchange(
            _ENQUEUE_MANY,
            (outbox_pb2.EnqueueManyRequest(enqueue=request) for request in requests),
            timeout,
            lambda response: response,
        )

    def get_delivery(
        self,
        delivery_id: str,
        *,
        caller: str = "",
        timeout: float | None = None,
    ) -> outbox_pb2.Delivery:
        """get_delivery returns one delivery. NOT_FOUND means that there is none with
        this ID, that it is another client's, or that its record has been purged.

        Args:
            delivery_id: ID of the delivery.
            caller: The client that enqueued it. By default the caller itself.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _GET_DELIVERY,
            outbox_pb2.GetDeliveryRequest(
                delivery_id=delivery_id,
                caller=caller,
            ),
            timeout,
        ).delivery

    def list_deliveries(
        self,
        *,
        states: Iterable[outbox_pb2.Delivery.State.ValueType] = (),
        caller: str = "",
        channel_id: int = 0,
        user_id: int = 0,
        webhook_id: int = 0,
        since: google.protobuf.timestamp_pb2.Timestamp | None = None,
        until: google.protobuf.timestamp_pb2.Timestamp | None = None,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> outbox_pb2.ListDeliveriesResponse:
        """list_deliveries returns a page of deliveries, the newest first.

        Args:
            states: States.
            caller: The client that enqueued them. By default all that the caller may see.
            channel_id: Channel that they are about.
            user_id: User that they are for.
            webhook_id: Webhook that they are about.
            since: Accepted at this time or later.
            until: Accepted before this time.
            page_size: Number of deliveries in a page, 1 to 1000, by default 100.
            page_token: The next_page_token of the page before. Empty for the first page.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _LIST_DELIVERIES,
            outbox_pb2.ListDeliveriesRequest(
                states=states,
                caller=caller,
                channel_id=channel_id,
                user_id=user_id,
                webhook_id=webhook_id,
                since=since,
                until=until,
                page_size=page_size,
                page_token=page_token,
            ),
            timeout,
        )

    def watch_deliveries(
        self,
        *,
        after: int | None = None,
        states: Iterable[outbox_pb2.Delivery.State.ValueType] = (),
        caller: str = "",
        timeout: float | None = None,
    ) -> Generator[outbox_pb2.WatchDeliveriesResponse, None, None]:
        """watch_deliveries streams the results of deliveries: each delivery once more
        whenever it ends as delivered, failed, expired, cancelled or unknown.

        The first response has no delivery, only the position from which the stream
        starts. A client that remembers the newest position it has received can
        continue there after a lost connection or a restart of the proxy.

        The stream lasts until the client ends it or the proxy shuts down, which is
        UNAVAILABLE.

        Args:
            after: Position after which the stream starts. 0 starts with the oldest result
                that is kept. Unset starts with the next result.
            states: States.
            caller: The client that enqueued them. By default all that the caller may see.
            timeout: Seconds that the whole stream may take. By default it has no limit.
        """
        return self._stream(
            _WATCH_DELIVERIES,
            outbox_pb2.WatchDeliveriesRequest(
                after=after,
                states=states,
                caller=caller,
            ),
            timeout,
            lambda response: response,
        )

    def cancel_delivery(
        self,
        delivery_id: str,
        *,
        caller: str = "",
        timeout: float | None = None,
    ) -> outbox_pb2.Delivery:
        """cancel_delivery cancels a delivery that is scheduled or waiting. A cancelled
        delivery stays cancelled. FAILED_PRECONDITION means that the delivery is
        being sent or has ended.

        Args:
            delivery_id: ID of the delivery.
            caller: The client that enqueued it. By default the caller itself.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _CANCEL_DELIVERY,
            outbox_pb2.CancelDeliveryRequest(
                delivery_id=delivery_id,
                caller=caller,
            ),
            timeout,
        ).delivery

    def retry_delivery(
        self,
        delivery_id: str,
        *,
        caller: str = "",
        expires_at: google.protobuf.timestamp_pb2.Timestamp | None = None,
        timeout: float | None = None,
    ) -> outbox_pb2.Delivery:
        """retry_delivery queues a delivery again that failed, expired, was cancelled or
        ended as unknown, after the others. FAILED_PRECONDITION means that the
        delivery is still in progress, was delivered, or was replaced by a newer one:
        the proxy does not keep the request of a replaced delivery.

        Args:
            delivery_id: ID of the delivery.
            caller: The client that enqueued it. By default the caller itself.
            expires_at: Time after which the call is no longer made. By default in 24 hours.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _RETRY_DELIVERY,
            outbox_pb2.RetryDeliveryRequest(
                delivery_id=delivery_id,
                caller=caller,
                expires_at=expires_at,
            ),
            timeout,
        ).delivery

    def purge_deliveries(
        self,
        *,
        states: Iterable[outbox_pb2.Delivery.State.ValueType] = (),
        caller: str = "",
        before: google.protobuf.timestamp_pb2.Timestamp | None = None,
        timeout: float | None = None,
    ) -> int:
        """purge_deliveries deletes the records of deliveries that have ended.

        Args:
            states: States. Those of deliveries in progress are refused.
            caller: The client that enqueued them. By default all that the caller may see.
            before: Ended before this time.
            timeout: Seconds that this call may take, instead of the client's. 0 means no limit.
        """
        return self._unary(
            _PURGE_DELIVERIES,
            outbox_pb2.PurgeDeliveriesRequest(
                states=states,
                caller=caller,
                before=before,
            ),
            timeout,
        ).purged
