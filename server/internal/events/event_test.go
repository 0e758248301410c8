package events_test

import (
	"testing"
	"time"

	"discordproxy/discord/gateway"
	"discordproxy/server/internal/events"

	pb "discordproxy/gen/discord_api"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// TestTyped reads one event of each type as Discord sends it.
func TestTyped(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	member := &pb.GuildMember{User: &pb.User{Id: 5, Username: "alice"}, Nick: "al"}
	const memberJSON = `"user":{"id":"5","username":"alice"},"nick":"al"`
	cases := map[string]struct {
		data string
		want *pb.Event
	}{
		"MESSAGE_CREATE":                {`{"id":"1","guild_id":"2","channel_id":"3","content":"hi"}`, &pb.Event{GuildId: 2, ChannelId: 3, Payload: &pb.Event_Message{Message: &pb.Message{Id: 1, GuildId: 2, ChannelId: 3, Content: "hi"}}}},
		"MESSAGE_UPDATE":                {`{"id":"1","channel_id":"3"}`, &pb.Event{ChannelId: 3, Payload: &pb.Event_Message{Message: &pb.Message{Id: 1, ChannelId: 3}}}},
		"MESSAGE_DELETE":                {`{"id":"1","channel_id":"3"}`, &pb.Event{ChannelId: 3, Payload: &pb.Event_MessageDelete_{MessageDelete: &pb.Event_MessageDelete{Id: 1, ChannelId: 3}}}},
		"MESSAGE_DELETE_BULK":           {`{"ids":["1","2"],"channel_id":"3"}`, &pb.Event{ChannelId: 3, Payload: &pb.Event_MessageDelete_{MessageDelete: &pb.Event_MessageDelete{Ids: []uint64{1, 2}, ChannelId: 3}}}},
		"MESSAGE_REACTION_ADD":          {`{"user_id":"5","channel_id":"3","message_id":"1","guild_id":"2","member":{` + memberJSON + `},"emoji":{"id":null,"name":"👍"},"burst":true}`, &pb.Event{GuildId: 2, ChannelId: 3, Payload: &pb.Event_Reaction_{Reaction: &pb.Event_Reaction{UserId: 5, ChannelId: 3, MessageId: 1, GuildId: 2, Member: member, Emoji: &pb.Emoji{Name: "👍"}, Burst: true}}}},
		"MESSAGE_REACTION_REMOVE":       {`{"user_id":"5","channel_id":"3"}`, &pb.Event{ChannelId: 3, Payload: &pb.Event_Reaction_{Reaction: &pb.Event_Reaction{UserId: 5, ChannelId: 3}}}},
		"MESSAGE_REACTION_REMOVE_ALL":   {`{"message_id":"1","channel_id":"3"}`, &pb.Event{ChannelId: 3, Payload: &pb.Event_Reaction_{Reaction: &pb.Event_Reaction{MessageId: 1, ChannelId: 3}}}},
		"MESSAGE_REACTION_REMOVE_EMOJI": {`{"emoji":{"id":"9"}}`, &pb.Event{Payload: &pb.Event_Reaction_{Reaction: &pb.Event_Reaction{Emoji: &pb.Emoji{Id: 9}}}}},
		"GUILD_MEMBER_ADD":              {`{"guild_id":"2",` + memberJSON + `}`, &pb.Event{GuildId: 2, Payload: &pb.Event_Member{Member: member}}},
		"GUILD_MEMBER_REMOVE":           {`{"guild_id":"2","user":{"id":"5"}}`, &pb.Event{GuildId: 2, Payload: &pb.Event_Member{Member: &pb.GuildMember{User: &pb.User{Id: 5}}}}},
		"GUILD_MEMBER_UPDATE":           {`{"guild_id":"2",` + memberJSON + `}`, &pb.Event{GuildId: 2, Payload: &pb.Event_Member{Member: member}}},
		"GUILD_BAN_ADD":                 {`{"guild_id":"2","user":{"id":"5"}}`, &pb.Event{GuildId: 2, Payload: &pb.Event_Ban_{Ban: &pb.Event_Ban{GuildId: 2, User: &pb.User{Id: 5}}}}},
		"GUILD_BAN_REMOVE":              {`{"guild_id":"2","user":{"id":"5"}}`, &pb.Event{GuildId: 2, Payload: &pb.Event_Ban_{Ban: &pb.Event_Ban{GuildId: 2, User: &pb.User{Id: 5}}}}},
		"GUILD_ROLE_CREATE":             {`{"guild_id":"2","role":{"id":"6","name":"r"}}`, &pb.Event{GuildId: 2, Payload: &pb.Event_Role{Role: &pb.Event_GuildRole{GuildId: 2, Role: &pb.Role{Id: 6, Name: "r"}}}}},
		"GUILD_ROLE_UPDATE":             {`{"guild_id":"2","role":{"id":"6"}}`, &pb.Event{GuildId: 2, Payload: &pb.Event_Role{Role: &pb.Event_GuildRole{GuildId: 2, Role: &pb.Role{Id: 6}}}}},
		"GUILD_ROLE_DELETE":             {`{"guild_id":"2","role_id":"6"}`, &pb.Event{GuildId: 2, Payload: &pb.Event_Role{Role: &pb.Event_GuildRole{GuildId: 2, RoleId: 6}}}},
		"CHANNEL_CREATE":                {`{"id":"3","type":0,"guild_id":"2","name":"c"}`, &pb.Event{GuildId: 2, ChannelId: 3, Payload: &pb.Event_Channel{Channel: &pb.Channel{Id: 3, Type: pb.Channel_GUILD_TEXT, GuildId: 2, Name: "c"}}}},
		"CHANNEL_UPDATE":                {`{"id":"3"}`, &pb.Event{ChannelId: 3, Payload: &pb.Event_Channel{Channel: &pb.Channel{Id: 3}}}},
		"CHANNEL_DELETE":                {`{"id":"3"}`, &pb.Event{ChannelId: 3, Payload: &pb.Event_Channel{Channel: &pb.Channel{Id: 3}}}},
		"THREAD_CREATE":                 {`{"id":"3","parent_id":"4"}`, &pb.Event{ChannelId: 3, Payload: &pb.Event_Channel{Channel: &pb.Channel{Id: 3, ParentId: 4}}}},
		"THREAD_UPDATE":                 {`{"id":"3"}`, &pb.Event{ChannelId: 3, Payload: &pb.Event_Channel{Channel: &pb.Channel{Id: 3}}}},
		"THREAD_DELETE":                 {`{"id":"3"}`, &pb.Event{ChannelId: 3, Payload: &pb.Event_Channel{Channel: &pb.Channel{Id: 3}}}},
		"GUILD_CREATE":                  {`{"id":"2","name":"g"}`, &pb.Event{GuildId: 2, Payload: &pb.Event_Guild{Guild: &pb.Guild{Id: 2, Name: "g"}}}},
		"GUILD_UPDATE":                  {`{"id":"2"}`, &pb.Event{GuildId: 2, Payload: &pb.Event_Guild{Guild: &pb.Guild{Id: 2}}}},
		"GUILD_DELETE":                  {`{"id":"2","unavailable":true}`, &pb.Event{GuildId: 2, Payload: &pb.Event_GuildDelete_{GuildDelete: &pb.Event_GuildDelete{Id: 2, Unavailable: true}}}},
		"INTERACTION_CREATE": {
			`{"id":"1","application_id":"8","type":2,"token":"t","guild_id":"2","channel_id":"3","member":{` + memberJSON + `},"data":{"id":"4","name":"roll","type":1,"options":[{"name":"sides","type":4,"value":6},{"name":"loud","type":5,"value":true},{"name":"sub","type":1,"options":[{"name":"to","type":6,"value":"5"}]}],` +
				`"resolved":{"users":{"10":{"id":"10"},"5":{"id":"5","username":"alice"}},"members":{"5":{"nick":"al","permissions":"8"}},"roles":{"6":{"id":"6","name":"r"}},"channels":{"3":{"id":"3","type":0}},"messages":{"1":{"id":"1","content":"hi"}},"attachments":{"9":{"id":"9","filename":"f"},"odd":1}}},"channel":{"id":"3","name":"general"},"attachment_size_limit":1024}`,
			&pb.Event{GuildId: 2, ChannelId: 3, Payload: &pb.Event_Interaction{Interaction: &pb.Interaction{
				Id: 1, ApplicationId: 8, Type: pb.Interaction_APPLICATION_COMMAND, Token: "t", GuildId: 2, ChannelId: 3, Member: member,
				Data: &pb.Interaction_Data{Id: 4, Name: "roll", Type: 1, Options: []*pb.Interaction_Data_Option{
					{Name: "sides", Type: 4, Value: "6"},
					{Name: "loud", Type: 5, Value: "true"},
					{Name: "sub", Type: 1, Options: []*pb.Interaction_Data_Option{{Name: "to", Type: 6, Value: "5"}}},
				}, Resolved: &pb.Interaction_Data_Resolved{
					Users:       []*pb.User{{Id: 10}, {Id: 5, Username: "alice"}},
					Members:     []*pb.GuildMember{{User: &pb.User{Id: 5}, Nick: "al", Permissions: "8"}},
					Roles:       []*pb.Role{{Id: 6, Name: "r"}},
					Channels:    []*pb.Channel{{Id: 3, Type: pb.Channel_GUILD_TEXT}},
					Messages:    []*pb.Message{{Id: 1, Content: "hi"}},
					Attachments: []*pb.Message_Attachment{{Id: 9, Filename: "f"}},
				}},
				Channel: &pb.Channel{Id: 3, Name: "general"}, AttachmentSizeLimit: 1024,
			}}},
		},
		"TYPING_START":    {`{"channel_id":"3","user_id":"5","timestamp":1767323045}`, &pb.Event{ChannelId: 3, Payload: &pb.Event_Typing_{Typing: &pb.Event_Typing{ChannelId: 3, UserId: 5, Timestamp: 1767323045}}}},
		"PRESENCE_UPDATE": {`{"user":{"id":"5"},"guild_id":"2","status":"idle","activities":[{"name":"n","type":4,"state":"s"}]}`, &pb.Event{GuildId: 2, Payload: &pb.Event_Presence_{Presence: &pb.Event_Presence{User: &pb.User{Id: 5}, GuildId: 2, Status: "idle", Activities: []*pb.Event_Presence_Activity{{Name: "n", Type: 4, State: "s"}}}}}},
	}
	for number, name := range pb.Event_Type_name {
		c, ok := cases[name]
		if !ok {
			if number >= 10 {
				t.Errorf("%s is not tested", name)
			}
			continue
		}
		c.want.Type, c.want.Name, c.want.Time = pb.Event_Type(number), name, timestamppb.New(at)
		e := events.Of(gateway.Dispatch{Type: name, Data: []byte(c.data), Time: at})
		for _, raw := range []bool{false, true} {
			got := new(pb.Event)
			if err := proto.Unmarshal(e.Encode(raw), got); err != nil {
				t.Fatal(err)
			}
			if raw {
				c.want.Raw = c.data
			}
			if diff := cmp.Diff(c.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("%s, raw %t: %s", name, raw, diff)
			}
		}
	}
}

// TestOdd: unexpected events are delivered with the parts that are understood.
func TestOdd(t *testing.T) {
	for _, d := range []gateway.Dispatch{
		{Type: "SOMETHING_NEW", Data: []byte(`{"guild_id":"2","x":1}`)},
		{Type: "GAP", Data: []byte(`{"guild_id":"2"}`)},
		{Type: "MESSAGE_CREATE", Data: []byte(`[]`)},
		{Type: "MESSAGE_CREATE", Data: []byte(`{"id":{},"guild_id":7,"content":1}`)},
		{Type: "MESSAGE_CREATE", Data: []byte("{\"content\":\"\xff\"}")},
		{Type: "UNTYPED", Data: []byte("\"\xff\"")},
		{Type: "GUILD_CREATE", Data: []byte(`null`)},
		{Type: ""},
	} {
		for _, raw := range []bool{false, true} {
			got := new(pb.Event)
			e := events.Of(d)
			if err := proto.Unmarshal(e.Encode(raw), got); err != nil || got.GetName() != d.Type {
				t.Errorf("%s %s: %v, %v", d.Type, d.Data, got, err)
			}
			if (raw || e.Type == pb.Event_UNTYPED) && len(d.Data) > 0 && got.GetRaw() == "" {
				t.Errorf("%s %s: no JSON", d.Type, d.Data)
			}
		}
	}
}
