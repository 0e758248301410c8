package test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"discordproxy/discord/sandbox"

	pb "discordproxy/gen/discord_api"
)

var reactionCases = []methodCase{
	unary("unicode", cost{"PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me": 1},
		func(s *scene) *pb.AddReactionRequest {
			return &pb.AddReactionRequest{ChannelId: uint64(s.w.General), MessageId: s.message(s.w.General), EmojiName: "#️⃣"}
		},
		func(s *scene, req *pb.AddReactionRequest, _ *pb.AddReactionResponse) {
			if r := s.reactions(req.GetMessageId()); len(r) != 1 || r[0].Emoji.Name != "#️⃣" || !r[0].Me {
				s.Errorf("stored is %v", r)
			}
		}),
	unary("custom", cost{"PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me": 1},
		func(s *scene) *pb.AddReactionRequest {
			return &pb.AddReactionRequest{ChannelId: uint64(s.w.General), MessageId: s.message(s.w.General), EmojiName: "party:" + s.w.Emoji.String()}
		},
		func(s *scene, req *pb.AddReactionRequest, _ *pb.AddReactionResponse) {
			if r := s.reactions(req.GetMessageId()); len(r) != 1 || r[0].Emoji.Name != "party" || !r[0].Me {
				s.Errorf("stored is %v", r)
			}
		}),
	unary("of the bot", cost{"DELETE /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me": 1},
		func(s *scene) *pb.RemoveReactionRequest {
			return &pb.RemoveReactionRequest{ChannelId: uint64(s.w.General), MessageId: s.reacted("👍"), EmojiName: "👍"}
		},
		func(s *scene, req *pb.RemoveReactionRequest, _ *pb.RemoveReactionResponse) {
			if r := s.reactions(req.GetMessageId()); len(r) != 0 {
				s.Errorf("stored is %v", r)
			}
		}),
	unary("of a user", cost{"DELETE /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/{user_id}": 1},
		func(s *scene) *pb.RemoveReactionRequest {
			return &pb.RemoveReactionRequest{ChannelId: uint64(s.w.General), MessageId: s.reacted("👍"), EmojiName: "👍", UserId: uint64(s.w.Bot)}
		},
		func(s *scene, req *pb.RemoveReactionRequest, _ *pb.RemoveReactionResponse) {
			if r := s.reactions(req.GetMessageId()); len(r) != 0 {
				s.Errorf("stored is %v", r)
			}
		}),
	unary("of an emoji", cost{"DELETE /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}": 1},
		func(s *scene) *pb.RemoveAllReactionsRequest {
			return &pb.RemoveAllReactionsRequest{ChannelId: uint64(s.w.General), MessageId: s.reacted("👍", "👎"), EmojiName: "👎"}
		},
		func(s *scene, req *pb.RemoveAllReactionsRequest, _ *pb.RemoveAllReactionsResponse) {
			if r := s.reactions(req.GetMessageId()); len(r) != 1 || r[0].Emoji.Name != "👍" {
				s.Errorf("stored is %v", r)
			}
		}),
	unary("", cost{"DELETE /channels/{channel_id}/messages/{message_id}/reactions": 1},
		func(s *scene) *pb.RemoveAllReactionsRequest {
			return &pb.RemoveAllReactionsRequest{ChannelId: uint64(s.w.General), MessageId: s.reacted("👍", "👎")}
		},
		func(s *scene, req *pb.RemoveAllReactionsRequest, _ *pb.RemoveAllReactionsResponse) {
			if r := s.reactions(req.GetMessageId()); len(r) != 0 {
				s.Errorf("stored is %v", r)
			}
		}),
	unary("", cost{"GET /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}": 1},
		func(s *scene) *pb.ListReactionsRequest {
			return &pb.ListReactionsRequest{ChannelId: uint64(s.w.General), MessageId: s.reacted("👍"), EmojiName: "👍", Limit: 100}
		},
		func(s *scene, _ *pb.ListReactionsRequest, res *pb.ListReactionsResponse) {
			if users := res.GetUsers(); len(users) != 1 || users[0].GetId() != uint64(s.w.Bot) {
				s.Errorf("got %v", users)
			}
		}),
}

func (s *scene) reactions(message uint64) []sandbox.Reaction {
	s.Helper()
	return s.stored(s.w.General, message).Reactions
}

// reacted puts a message with reactions of the bot into a channel.
func (s *scene) reacted(emoji ...string) uint64 {
	s.Helper()
	id := s.message(s.w.General)
	for _, name := range emoji {
		must(s, s.client.AddReaction, &pb.AddReactionRequest{ChannelId: uint64(s.w.General), MessageId: id, EmojiName: name})
	}
	return id
}

var channelCases = []methodCase{
	unary("", cost{"GET /channels/{channel_id}": 1},
		func(s *scene) *pb.GetChannelRequest { return &pb.GetChannelRequest{ChannelId: uint64(s.w.General)} },
		func(s *scene, _ *pb.GetChannelRequest, res *pb.GetChannelResponse) {
			if c := res.GetChannel(); c.GetName() != "general" || c.GetType() != pb.Channel_GUILD_TEXT {
				s.Errorf("got %v", c)
			}
		}),
	unary("", cost{"GET /guilds/{guild_id}/channels": 1},
		func(s *scene) *pb.GetGuildChannelsRequest {
			return &pb.GetGuildChannelsRequest{GuildId: uint64(s.w.Guild)}
		},
		func(s *scene, _ *pb.GetGuildChannelsRequest, res *pb.GetGuildChannelsResponse) {
			if got := res.GetChannels(); len(got) != 9 {
				s.Errorf("%d channels", len(got))
			}
		}),
	unary("", cost{"POST /users/@me/channels": 1},
		func(s *scene) *pb.GetDirectMessageChannelRequest {
			return &pb.GetDirectMessageChannelRequest{UserId: uint64(s.w.Bob)}
		},
		func(s *scene, _ *pb.GetDirectMessageChannelRequest, res *pb.GetDirectMessageChannelResponse) {
			c := res.GetChannel()
			if c.GetId() != uint64(s.sb.DirectMessages(s.w.Bob)) || c.GetType() != pb.Channel_DM || len(c.GetRecipients()) != 1 {
				s.Errorf("got %v", c)
			}
		}),
	unary("from a message", cost{"POST /channels/{channel_id}/messages/{message_id}/threads": 1},
		func(s *scene) *pb.StartThreadRequest {
			return &pb.StartThreadRequest{
				ChannelId: uint64(s.w.General), MessageId: s.message(s.w.General), Name: "a thread",
				AutoArchiveDuration: 60, RateLimitPerUser: 5, AuditLogReason: "to talk",
			}
		},
		func(s *scene, req *pb.StartThreadRequest, res *pb.StartThreadResponse) {
			c := res.GetThread()
			if c.GetId() != req.GetMessageId() || c.GetType() != pb.Channel_PUBLIC_THREAD || c.GetName() != "a thread" ||
				c.GetThreadMetadata().GetAutoArchiveDuration() != 60 || c.GetRateLimitPerUser() != 5 {
				s.Errorf("got %v", c)
			}
		}),
	unary("without a message", cost{"POST /channels/{channel_id}/threads": 1},
		func(s *scene) *pb.StartThreadRequest {
			return &pb.StartThreadRequest{ChannelId: uint64(s.w.General), Name: "another", Type: pb.Channel_PRIVATE_THREAD, Invitable: new(bool)}
		},
		func(s *scene, _ *pb.StartThreadRequest, res *pb.StartThreadResponse) {
			c := res.GetThread()
			if c.GetType() != pb.Channel_PRIVATE_THREAD || c.GetThreadMetadata().GetInvitable() || c.GetParentId() != uint64(s.w.General) {
				s.Errorf("got %v", c)
			}
		}),
	unary("", cost{"GET /guilds/{guild_id}/threads/active": 1},
		func(s *scene) *pb.ListActiveThreadsRequest {
			s.thread()
			return &pb.ListActiveThreadsRequest{GuildId: uint64(s.w.Guild)}
		},
		func(s *scene, _ *pb.ListActiveThreadsRequest, res *pb.ListActiveThreadsResponse) {
			if len(res.GetThreads()) == 0 || len(res.GetMembers()) == 0 || res.GetMembers()[0].GetUserId() != uint64(s.w.Bot) {
				s.Errorf("got %v", res)
			}
		}),
	unary("a user", cost{"PUT /channels/{channel_id}/thread-members/{user_id}": 1},
		func(s *scene) *pb.AddThreadMemberRequest {
			return &pb.AddThreadMemberRequest{ChannelId: s.thread(), UserId: uint64(s.w.Bob)}
		},
		func(s *scene, req *pb.AddThreadMemberRequest, _ *pb.AddThreadMemberResponse) {
			s.members(req.GetChannelId(), 2)
		}),
	unary("the bot", cost{"PUT /channels/{channel_id}/thread-members/@me": 1},
		func(s *scene) *pb.AddThreadMemberRequest {
			req := &pb.AddThreadMemberRequest{ChannelId: s.thread()}
			must(s, s.client.RemoveThreadMember, &pb.RemoveThreadMemberRequest{ChannelId: req.GetChannelId()})
			return req
		},
		func(s *scene, req *pb.AddThreadMemberRequest, _ *pb.AddThreadMemberResponse) {
			s.members(req.GetChannelId(), 1)
		}),
	unary("the bot", cost{"DELETE /channels/{channel_id}/thread-members/@me": 1},
		func(s *scene) *pb.RemoveThreadMemberRequest {
			return &pb.RemoveThreadMemberRequest{ChannelId: s.thread()}
		},
		func(s *scene, req *pb.RemoveThreadMemberRequest, _ *pb.RemoveThreadMemberResponse) {
			s.members(req.GetChannelId(), 0)
		}),
	unary("a user", cost{"DELETE /channels/{channel_id}/thread-members/{user_id}": 1},
		func(s *scene) *pb.RemoveThreadMemberRequest {
			req := &pb.RemoveThreadMemberRequest{ChannelId: s.thread(), UserId: uint64(s.w.Bob)}
			must(s, s.client.AddThreadMember, &pb.AddThreadMemberRequest{ChannelId: req.GetChannelId(), UserId: req.GetUserId()})
			return req
		},
		func(s *scene, req *pb.RemoveThreadMemberRequest, _ *pb.RemoveThreadMemberResponse) {
			s.members(req.GetChannelId(), 1)
		}),
}

// thread starts a thread that the bot is a member of.
func (s *scene) thread() uint64 {
	s.Helper()
	return must(s, s.client.StartThread, &pb.StartThreadRequest{
		ChannelId: uint64(s.w.General), Name: "a thread", Type: pb.Channel_PUBLIC_THREAD,
	}).GetThread().GetId()
}

// members compares the number of members of a thread.
func (s *scene) members(thread uint64, want int) {
	s.Helper()
	all := s.sb.Channels()
	i := slices.IndexFunc(all, func(c sandbox.Channel) bool { return uint64(c.ID) == thread })
	if i < 0 || all[i].MemberCount != want {
		s.Errorf("the thread has not %d members", want)
	}
}

// webhookMessage makes a webhook and lets it write a message.
func (s *scene) webhookMessage() (sandbox.Webhook, uint64) {
	s.Helper()
	post := func(url, body string, into any) {
		s.Helper()
		req, err := http.NewRequestWithContext(s.Context(), http.MethodPost, "https://discord.com/api/v10"+url, strings.NewReader(body))
		if err != nil {
			s.Fatal(err)
		}
		req.Header.Set("Authorization", "Bot "+s.w.Token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := s.sb.Client().Do(req)
		if err != nil {
			s.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
			s.Fatal(resp.Status, err)
		}
	}
	var hook sandbox.Webhook
	post("/channels/"+s.w.General.String()+"/webhooks", `{"name":"hook"}`, &hook)
	var m sandbox.Message
	post("/webhooks/"+hook.ID.String()+"/"+hook.Token+"?wait=true", `{"content":"hi"}`, &m)
	return hook, uint64(m.ID)
}
