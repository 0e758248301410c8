"""The methods of AsyncDiscordClient.

Made by tools/generate.py from the protobuf definitions. Do not edit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
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


class AsyncMethods(ABC):
    """The methods of the API, over three ways to make a call."""

    @abstractmethod
    async def _unary(self, rpc: Rpc[Response], request: Message, timeout: float | None) -> Response: ...

    @abstractmethod
    def _stream(
        self,
        rpc: Rpc[Response],
        request: Message,
        timeout: float | None,
        item: Callable[[Response], Item],
    ) -> AsyncGenerator[Item, None]: ...

    @abstractmethod
    def _exchange(
        self,
        rpc: Rpc[Response],
        requests: Iterable[Message],
        timeout: float | None,
        item: Callable[[Response], Item],
    ) -> AsyncGenerator[Item, None]: ...

    async def create_channel_message(
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
        """As create_channel_message of DiscordClient."""
        response = await self._unary(
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
        )
        return response.message

    async def create_direct_message(
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
        """As create_direct_message of DiscordClient."""
        response = await self._unary(
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
        )
        return response.message

    def send_direct_messages(
        self,
        *,
        user_ids: Iterable[int] = (),
        message: pb.NewMessage | None = None,
        idempotency_key: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[pb.SendDirectMessagesResponse, None]:
        """As send_direct_messages of DiscordClient."""
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

    async def get_guild_channels(
        self,
        guild_id: int,
        *,
        allow_cached: google.protobuf.duration_pb2.Duration | None = None,
        timeout: float | None = None,
    ) -> Sequence[pb.Channel]:
        """As get_guild_channels of DiscordClient."""
        response = await self._unary(
            _GET_GUILD_CHANNELS,
            pb.GetGuildChannelsRequest(
                guild_id=guild_id,
                allow_cached=allow_cached,
            ),
            timeout,
        )
        return response.channels

    async def get_channel_message(
        self,
        channel_id: int,
        message_id: int,
        *,
        timeout: float | None = None,
    ) -> pb.Message:
        """As get_channel_message of DiscordClient."""
        response = await self._unary(
            _GET_CHANNEL_MESSAGE,
            pb.GetChannelMessageRequest(
                channel_id=channel_id,
                message_id=message_id,
            ),
            timeout,
        )
        return response.message

    def list_channel_messages(
        self,
        channel_id: int,
        *,
        limit: int = 0,
        before: int = 0,
        after: int = 0,
        around: int = 0,
        timeout: float | None = None,
    ) -> AsyncGenerator[pb.Message, None]:
        """As list_channel_messages of DiscordClient."""
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

    async def delete_channel_message(
        self,
        channel_id: int,
        message_id: int,
        *,
        audit_log_reason: str = "",
        timeout: float | None = None,
    ) -> None:
        """As delete_channel_message of DiscordClient."""
        await self._unary(
            _DELETE_CHANNEL_MESSAGE,
            pb.DeleteChannelMessageRequest(
                channel_id=channel_id,
                message_id=message_id,
                audit_log_reason=audit_log_reason,
            ),
            timeout,
        )

    async def bulk_delete_channel_messages(
        self,
        channel_id: int,
        *,
        message_ids: Iterable[int] = (),
        audit_log_reason: str = "",
        timeout: float | None = None,
    ) -> Sequence[pb.BulkDeleteChannelMessagesResponse.Result]:
        """As bulk_delete_channel_messages of DiscordClient."""
        response = await self._unary(
            _BULK_DELETE_CHANNEL_MESSAGES,
            pb.BulkDeleteChannelMessagesRequest(
                channel_id=channel_id,
                message_ids=message_ids,
                audit_log_reason=audit_log_reason,
            ),
            timeout,
        )
        return response.results

    async def crosspost_message(
        self,
        channel_id: int,
        message_id: int,
        *,
        timeout: float | None = None,
    ) -> pb.Message:
        """As crosspost_message of DiscordClient."""
        response = await self._unary(
            _CROSSPOST_MESSAGE,
            pb.CrosspostMessageRequest(
                channel_id=channel_id,
                message_id=message_id,
            ),
            timeout,
        )
        return response.message

    async def pin_message(
        self,
        channel_id: int,
        message_id: int,
        *,
        audit_log_reason: str = "",
        timeout: float | None = None,
    ) -> None:
        """As pin_message of DiscordClient."""
        await self._unary(
            _PIN_MESSAGE,
            pb.PinMessageRequest(
                channel_id=channel_id,
                message_id=message_id,
                audit_log_reason=audit_log_reason,
            ),
            timeout,
        )

    async def unpin_message(
        self,
        channel_id: int,
        message_id: int,
        *,
        audit_log_reason: str = "",
        timeout: float | None = None,
    ) -> None:
        """As unpin_message of DiscordClient."""
        await self._unary(
            _UNPIN_MESSAGE,
            pb.UnpinMessageRequest(
                channel_id=channel_id,
                message_id=message_id,
                audit_log_reason=audit_log_reason,
            ),
            timeout,
        )

    async def list_pinned_messages(
        self,
        channel_id: int,
        *,
        before: str = "",
        limit: int = 0,
        timeout: float | None = None,
    ) -> pb.ListPinnedMessagesResponse:
        """As list_pinned_messages of DiscordClient."""
        return await self._unary(
            _LIST_PINNED_MESSAGES,
            pb.ListPinnedMessagesRequest(
                channel_id=channel_id,
                before=before,
                limit=limit,
            ),
            timeout,
        )

    async def trigger_typing(
        self,
        channel_id: int,
        *,
        timeout: float | None = None,
    ) -> None:
        """As trigger_typing of DiscordClient."""
        await self._unary(
            _TRIGGER_TYPING,
            pb.TriggerTypingRequest(
                channel_id=channel_id,
            ),
            timeout,
        )

    async def add_reaction(
        self,
        channel_id: int,
        message_id: int,
        emoji_name: str,
        *,
        timeout: float | None = None,
    ) -> None:
        """As add_reaction of DiscordClient."""
        await self._unary(
            _ADD_REACTION,
            pb.AddReactionRequest(
                channel_id=channel_id,
                message_id=message_id,
                emoji_name=emoji_name,
            ),
            timeout,
        )

    async def remove_reaction(
        self,
        channel_id: int,
        message_id: int,
        emoji_name: str,
        user_id: int = 0,
        *,
        timeout: float | None = None,
    ) -> None:
        """As remove_reaction of DiscordClient."""
        await self._unary(
            _REMOVE_REACTION,
            pb.RemoveReactionRequest(
                channel_id=channel_id,
                message_id=message_id,
                emoji_name=emoji_name,
                user_id=user_id,
            ),
            timeout,
        )

    async def remove_all_reactions(
        self,
        channel_id: int,
        message_id: int,
        emoji_name: str = "",
        *,
        timeout: float | None = None,
    ) -> None:
        """As remove_all_reactions of DiscordClient."""
        await self._unary(
            _REMOVE_ALL_REACTIONS,
            pb.RemoveAllReactionsRequest(
                channel_id=channel_id,
                message_id=message_id,
                emoji_name=emoji_name,
            ),
            timeout,
        )

    async def list_reactions(
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
        """As list_reactions of DiscordClient."""
        response = await self._unary(
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
        )
        return response.users

    async def get_channel(
        self,
        channel_id: int,
        *,
        timeout: float | None = None,
    ) -> pb.Channel:
        """As get_channel of DiscordClient."""
        response = await self._unary(
            _GET_CHANNEL,
            pb.GetChannelRequest(
                channel_id=channel_id,
            ),
            timeout,
        )
        return response.channel

    async def get_direct_message_channel(
        self,
        user_id: int,
        *,
        timeout: float | None = None,
    ) -> pb.Channel:
        """As get_direct_message_channel of DiscordClient."""
        response = await self._unary(
            _GET_DIRECT_MESSAGE_CHANNEL,
            pb.GetDirectMessageChannelRequest(
                user_id=user_id,
            ),
            timeout,
        )
        return response.channel

    async def start_thread(
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
        """As start_thread of DiscordClient."""
        response = await self._unary(
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
        )
        return response.thread

    async def list_active_threads(
        self,
        guild_id: int,
        *,
        timeout: float | None = None,
    ) -> pb.ListActiveThreadsResponse:
        """As list_active_threads of DiscordClient."""
        return await self._unary(
            _LIST_ACTIVE_THREADS,
            pb.ListActiveThreadsRequest(
                guild_id=guild_id,
            ),
            timeout,
        )

    async def add_thread_member(
        self,
        channel_id: int,
        user_id: int = 0,
        *,
        timeout: float | None = None,
    ) -> None:
        """As add_thread_member of DiscordClient."""
        await self._unary(
            _ADD_THREAD_MEMBER,
            pb.AddThreadMemberRequest(
                channel_id=channel_id,
                user_id=user_id,
            ),
            timeout,
        )

    async def remove_thread_member(
        self,
        channel_id: int,
        user_id: int = 0,
        *,
        timeout: float | None = None,
    ) -> None:
        """As remove_thread_member of DiscordClient."""
        await self._unary(
            _REMOVE_THREAD_MEMBER,
            pb.RemoveThreadMemberRequest(
                channel_id=channel_id,
                user_id=user_id,
            ),
            timeout,
        )

    async def get_guild(
        self,
        guild_id: int,
        *,
        with_counts: bool = False,
        allow_cached: google.protobuf.duration_pb2.Duration | None = None,
        timeout: float | None = None,
    ) -> pb.Guild:
        """As get_guild of DiscordClient."""
        response = await self._unary(
            _GET_GUILD,
            pb.GetGuildRequest(
                guild_id=guild_id,
                with_counts=with_counts,
                allow_cached=allow_cached,
            ),
            timeout,
        )
        return response.guild

    async def list_guilds(
        self,
        *,
        before: int = 0,
        after: int = 0,
        limit: int = 0,
        with_counts: bool = False,
        timeout: float | None = None,
    ) -> Sequence[pb.Guild]:
        """As list_guilds of DiscordClient."""
        response = await self._unary(
            _LIST_GUILDS,
            pb.ListGuildsRequest(
                before=before,
                after=after,
                limit=limit,
                with_counts=with_counts,
            ),
            timeout,
        )
        return response.guilds

    async def get_guild_member(
        self,
        guild_id: int,
        user_id: int,
        *,
        timeout: float | None = None,
    ) -> pb.GuildMember:
        """As get_guild_member of DiscordClient."""
        response = await self._unary(
            _GET_GUILD_MEMBER,
            pb.GetGuildMemberRequest(
                guild_id=guild_id,
                user_id=user_id,
            ),
            timeout,
        )
        return response.member

    def list_guild_members(
        self,
        guild_id: int,
        *,
        limit: int = 0,
        after: int = 0,
        timeout: float | None = None,
    ) -> AsyncGenerator[pb.GuildMember, None]:
        """As list_guild_members of DiscordClient."""
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

    async def search_guild_members(
        self,
        guild_id: int,
        *,
        query: str = "",
        limit: int = 0,
        timeout: float | None = None,
    ) -> Sequence[pb.GuildMember]:
        """As search_guild_members of DiscordClient."""
        response = await self._unary(
            _SEARCH_GUILD_MEMBERS,
            pb.SearchGuildMembersRequest(
                guild_id=guild_id,
                query=query,
                limit=limit,
            ),
            timeout,
        )
        return response.members

    async def modify_guild_member(
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
        """As modify_guild_member of DiscordClient."""
        response = await self._unary(
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
        )
        return response.member

    async def add_guild_member_role(
        self,
        guild_id: int,
        user_id: int,
        role_id: int,
        *,
        audit_log_reason: str = "",
        timeout: float | None = None,
    ) -> None:
        """As add_guild_member_role of DiscordClient."""
        await self._unary(
            _ADD_GUILD_MEMBER_ROLE,
            pb.AddGuildMemberRoleRequest(
                guild_id=guild_id,
                user_id=user_id,
                role_id=role_id,
                audit_log_reason=audit_log_reason,
            ),
            timeout,
        )

    async def remove_guild_member_role(
        self,
        guild_id: int,
        user_id: int,
        role_id: int,
        *,
        audit_log_reason: str = "",
        timeout: float | None = None,
    ) -> None:
        """As remove_guild_member_role of DiscordClient."""
        await self._unary(
            _REMOVE_GUILD_MEMBER_ROLE,
            pb.RemoveGuildMemberRoleRequest(
                guild_id=guild_id,
                user_id=user_id,
                role_id=role_id,
                audit_log_reason=audit_log_reason,
            ),
            timeout,
        )

    async def list_guild_roles(
        self,
        guild_id: int,
        *,
        allow_cached: google.protobuf.duration_pb2.Duration | None = None,
        timeout: float | None = None,
    ) -> Sequence[pb.Role]:
        """As list_guild_roles of DiscordClient."""
        response = await self._unary(
            _LIST_GUILD_ROLES,
            pb.ListGuildRolesRequest(
                guild_id=guild_id,
                allow_cached=allow_cached,
            ),
            timeout,
        )
        return response.roles

    async def get_user(
        self,
        user_id: int,
        *,
        timeout: float | None = None,
    ) -> pb.User:
        """As get_user of DiscordClient."""
        response = await self._unary(
            _GET_USER,
            pb.GetUserRequest(
                user_id=user_id,
            ),
            timeout,
        )
        return response.user

    async def get_current_user(
        self,
        *,
        timeout: float | None = None,
    ) -> pb.User:
        """As get_current_user of DiscordClient."""
        response = await self._unary(
            _GET_CURRENT_USER,
            pb.GetCurrentUserRequest(),
            timeout,
        )
        return response.user

    async def delete_webhook_message(
        self,
        webhook_id: int,
        webhook_token: str,
        message_id: int,
        *,
        thread_id: int = 0,
        timeout: float | None = None,
    ) -> None:
        """As delete_webhook_message of DiscordClient."""
        await self._unary(
            _DELETE_WEBHOOK_MESSAGE,
            pb.DeleteWebhookMessageRequest(
                webhook_id=webhook_id,
                webhook_token=webhook_token,
                message_id=message_id,
                thread_id=thread_id,
            ),
            timeout,
        )

    async def edit_channel_message(
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
        """As edit_channel_message of DiscordClient."""
        response = await self._unary(
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
        )
        return response.message

    async def execute_webhook(
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
        """As execute_webhook of DiscordClient."""
        response = await self._unary(
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
        )
        return response.message

    async def edit_webhook_message(
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
        """As edit_webhook_message of DiscordClient."""
        response = await self._unary(
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
        )
        return response.message

    async def get_rate_limit_status(
        self,
        *,
        timeout: float | None = None,
    ) -> pb.GetRateLimitStatusResponse:
        """As get_rate_limit_status of DiscordClient."""
        return await self._unary(
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
    ) -> AsyncGenerator[pb.SubscribeEventsResponse, None]:
        """As subscribe_events of DiscordClient."""
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

    async def respond_interaction(
        self,
        interaction_id: int,
        interaction_token: str,
        *,
        type: pb.RespondInteractionRequest.Type.ValueType = pb.RespondInteractionRequest.UNDEFINED,
        data: pb.RespondInteractionRequest.Data | None = None,
        timeout: float | None = None,
    ) -> None:
        """As respond_interaction of DiscordClient."""
        await self._unary(
            _RESPOND_INTERACTION,
            pb.RespondInteractionRequest(
                interaction_id=interaction_id,
                interaction_token=interaction_token,
                type=type,
                data=data,
            ),
            timeout,
        )

    async def edit_interaction_response(
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
        """As edit_interaction_response of DiscordClient."""
        response = await self._unary(
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
        )
        return response.message

    async def followup_interaction(
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
        """As followup_interaction of DiscordClient."""
        response = await self._unary(
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
        )
        return response.message

    async def set_application_commands(
        self,
        guild_id: int = 0,
        *,
        commands: Iterable[pb.ApplicationCommand] = (),
        timeout: float | None = None,
    ) -> Sequence[pb.ApplicationCommand]:
        """As set_application_commands of DiscordClient."""
        response = await self._unary(
            _SET_APPLICATION_COMMANDS,
            pb.SetApplicationCommandsRequest(
                guild_id=guild_id,
                commands=commands,
            ),
            timeout,
        )
        return response.commands

    async def enqueue(
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
        """As enqueue of DiscordClient."""
        return await self._unary(
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
    ) -> AsyncGenerator[outbox_pb2.EnqueueManyResponse, None]:
        """As enqueue_many of DiscordClient."""
        return self._exchange(
            _ENQUEUE_MANY,
            (outbox_pb2.EnqueueManyRequest(enqueue=request) for request in requests),
            timeout,
            lambda response: response,
        )

    async def get_delivery(
        self,
        delivery_id: str,
        *,
        caller: str = "",
        timeout: float | None = None,
    ) -> outbox_pb2.Delivery:
        """As get_delivery of DiscordClient."""
        response = await self._unary(
            _GET_DELIVERY,
            outbox_pb2.GetDeliveryRequest(
                delivery_id=delivery_id,
                caller=caller,
            ),
            timeout,
        )
        return response.delivery

    async def list_deliveries(
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
        """As list_deliveries of DiscordClient."""
        return await self._unary(
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
    ) -> AsyncGenerator[outbox_pb2.WatchDeliveriesResponse, None]:
        """As watch_deliveries of DiscordClient."""
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

    async def cancel_delivery(
        self,
        delivery_id: str,
        *,
        caller: str = "",
        timeout: float | None = None,
    ) -> outbox_pb2.Delivery:
        """As cancel_delivery of DiscordClient."""
        response = await self._unary(
            _CANCEL_DELIVERY,
            outbox_pb2.CancelDeliveryRequest(
                delivery_id=delivery_id,
                caller=caller,
            ),
            timeout,
        )
        return response.delivery

    async def retry_delivery(
        self,
        delivery_id: str,
        *,
        caller: str = "",
        expires_at: google.protobuf.timestamp_pb2.Timestamp | None = None,
        timeout: float | None = None,
    ) -> outbox_pb2.Delivery:
        """As retry_delivery of DiscordClient."""
        response = await self._unary(
            _RETRY_DELIVERY,
            outbox_pb2.RetryDeliveryRequest(
                delivery_id=delivery_id,
                caller=caller,
                expires_at=expires_at,
            ),
            timeout,
        )
        return response.delivery

    async def purge_deliveries(
        self,
        *,
        states: Iterable[outbox_pb2.Delivery.State.ValueType] = (),
        caller: str = "",
        before: google.protobuf.timestamp_pb2.Timestamp | None = None,
        timeout: float | None = None,
    ) -> int:
        """As purge_deliveries of DiscordClient."""
        response = await self._unary(
            _PURGE_DELIVERIES,
            outbox_pb2.PurgeDeliveriesRequest(
                states=states,
                caller=caller,
                before=before,
            ),
            timeout,
        )
        return response.purged
