package discordjson_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"discordproxy/server/internal/discordjson"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/google/go-cmp/cmp"
)

// objects are the messages that stand for objects of Discord.
var objects = []proto.Message{
	new(pb.Channel), new(pb.Embed), new(pb.Emoji), new(pb.Guild), new(pb.GuildMember),
	new(pb.Message), new(pb.Message_ChannelMention), new(pb.Role), new(pb.ThreadMember), new(pb.User),
	new(pb.AllowedMentions), new(pb.MessageReference),
}

// fillAll sets every field, down to a depth at which messages repeat. A list
// of messages of several kinds gets one of each.
func fillAll(m protoreflect.Message, depth int) {
	next := 1
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		next++
		var v protoreflect.Value
		switch f.Kind() {
		case protoreflect.MessageKind:
			if depth == 0 {
				continue
			}
			if v = m.NewField(f); f.IsList() {
				v = v.List().NewElement()
			}
			if kinds := kindsOf(v.Message()); kinds != nil {
				for i := range kinds.Len() {
					member := v.Message().New()
					fillKind(member, kinds.Get(i), depth-1)
					if f.IsList() {
						m.Mutable(f).List().Append(protoreflect.ValueOfMessage(member))
					} else {
						m.Set(f, protoreflect.ValueOfMessage(member))
					}
				}
				continue
			}
			fillAll(v.Message(), depth-1)
			if proto.Size(v.Message().Interface()) == 0 {
				continue // an empty message is not sent
			}
			if f.IsList() {
				m.Mutable(f).List().Append(v)
			} else {
				m.Set(f, v)
			}
			continue
		case protoreflect.BoolKind:
			v = protoreflect.ValueOfBool(true)
		case protoreflect.StringKind:
			v = protoreflect.ValueOfString(fmt.Sprintf("%s %d ünï", f.Name(), next))
		case protoreflect.Uint64Kind:
			v = protoreflect.ValueOfUint64(1<<62 + uint64(next))
		case protoreflect.Int64Kind:
			v = protoreflect.ValueOfInt64(1<<40 + int64(next))
		case protoreflect.Int32Kind:
			v = protoreflect.ValueOfInt32(int32(next))
		case protoreflect.DoubleKind:
			v = protoreflect.ValueOfFloat64(float64(next) + 0.5)
		case protoreflect.EnumKind:
			values := f.Enum().Values()
			v = protoreflect.ValueOfEnum(values.Get(values.Len() - 1).Number())
		default:
			panic("a kind that discordjson does not know: " + f.FullName())
		}
		if f.IsList() {
			m.Mutable(f).List().Append(v)
			m.Mutable(f).List().Append(v)
		} else {
			m.Set(f, v)
		}
	}
}

// kindsOf returns the kinds of a message that is one of several.
func kindsOf(m protoreflect.Message) protoreflect.FieldDescriptors {
	if oneofs := m.Descriptor().Oneofs(); oneofs.Len() == 0 || oneofs.Get(0).IsSynthetic() {
		return nil
	}
	return m.Descriptor().Oneofs().Get(0).Fields()
}

func fillKind(m protoreflect.Message, kind protoreflect.FieldDescriptor, depth int) {
	if kind.Kind() == protoreflect.StringKind {
		m.Set(kind, protoreflect.ValueOfString(`{"type":99,"wide":12345678901234567890}`))
		return
	}
	fillAll(m.Mutable(kind).Message(), depth)
}

func TestEveryFieldComesBack(t *testing.T) {
	for _, empty := range objects {
		t.Run(string(empty.ProtoReflect().Descriptor().Name()), func(t *testing.T) {
			full := proto.Clone(empty)
			fillAll(full.ProtoReflect(), 3)
			data, err := discordjson.Marshal(full)
			if err != nil {
				t.Fatal(err)
			}
			back := proto.Clone(empty)
			if err := discordjson.Unmarshal(data, back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(full, back, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNamesOfDiscord compares with JSON as Discord writes it, where it
// differs from the API.
func TestNamesOfDiscord(t *testing.T) {
	for _, tt := range []struct {
		name, json string
		want       proto.Message
	}{
		{"channel type is one more", `{"id":"7","type":0}`, &pb.Channel{Id: 7, Type: pb.Channel_GUILD_TEXT}},
		{"channel type of next year", `{"type":42}`, &pb.Channel{Type: 43}},
		{"image proxy", `{"image":{"url":"u","proxy_url":"p"}}`, &pb.Embed{Image: &pb.Embed_Image{Url: "u", ProxyIconUrl: "p"}}},
		{"video proxy", `{"video":{"proxy_url":"p"}}`, &pb.Embed{Video: &pb.Embed_Video{ProxyIconUrl: "p"}}},
		{"thumbnail proxy", `{"thumbnail":{"proxy_url":"p"}}`, &pb.Embed{Thumbnail: &pb.Embed_Thumbnail{ProxyUrl: "p"}}},
		{"icons", `{"author":{"icon_url":"i","proxy_icon_url":"p"},"footer":{"icon_url":"i","proxy_icon_url":"p"}}`, &pb.Embed{Author: &pb.Embed_Author{IconUrl: "i", ProxyIconUrl: "p"}, Footer: &pb.Embed_Footer{IconUrl: "i", ProxyIconUrl: "p"}}},
		{"emoji of a reaction", `{"emoji":{"id":null,"name":"👍"}}`, &pb.Message_Reaction{Emoji: &pb.Emoji{Name: "👍"}}},
		{"require_colons", `{"require_colons":true}`, &pb.Emoji{RequiredColons: true}},
		{"tags are one object", `{"tags":{"bot_id":"5","premium_subscriber":null}}`, &pb.Role{Tags: []*pb.Role_Tag{{Id: 5, PremiumSubscriber: true}}}},
		{"mentioned channels are objects", `{"mention_channels":[{"id":"1","guild_id":"2","type":0,"name":"n"},{"id":"3"}]}`, &pb.Message{MentionChannels: []uint64{1, 3}}},
		{"nonce is a number", `{"nonce":123456789012345678}`, &pb.Message{Nonce: "123456789012345678"}},
		{"components", `{"components":[{"type":1,"id":1,"components":[{"type":2,"style":5,"url":"u","label":"l"},{"type":3,"custom_id":"c","min_values":0,"options":[{"label":"a","value":"b"}]}]},{"type":17,"accent_color":0,"components":[{"type":14,"divider":false}]}]}`, &pb.Message{Components: []*pb.Component{
			{Kind: &pb.Component_ActionRow_{ActionRow: &pb.Component_ActionRow{Id: 1, Components: []*pb.Component{
				{Kind: &pb.Component_Button_{Button: &pb.Component_Button{Style: pb.Component_Button_LINK, Url: "u", Label: "l"}}},
				{Kind: &pb.Component_StringSelect{StringSelect: &pb.Component_Select{CustomId: "c", MinValues: proto.Int32(0), Options: []*pb.Component_Select_Option{{Label: "a", Value: "b"}}}}},
			}}}},
			{Kind: &pb.Component_Container_{Container: &pb.Component_Container{AccentColor: proto.Int32(0), Components: []*pb.Component{
				{Kind: &pb.Component_Separator_{Separator: &pb.Component_Separator{Divider: proto.Bool(false)}}},
			}}}},
		}}},
		{"components of next year", `{"components":[{"type":99,"new":[1]},{"type":1000},{"type":"x"},{}]}`, &pb.Message{Components: []*pb.Component{
			{Kind: &pb.Component_RawJson{RawJson: `{"new":[1],"type":99}`}},
			{Kind: &pb.Component_RawJson{RawJson: `{"type":1000}`}},
			{Kind: &pb.Component_RawJson{RawJson: `{"type":"x"}`}},
			{Kind: &pb.Component_RawJson{RawJson: `{}`}},
		}}},
		{"null is not set", `{"content":null,"edited_timestamp":null,"member":null,"embeds":null}`, &pb.Message{}},
		{"flags beyond 31 bits", `{"flags":1125899906842628}`, &pb.User{Flags: 4}},
		{"the last one counts if it cannot be read, too", `{"content":"a","embeds":[{"title":"a"}],"author":{"id":"1"},"content":{},"embeds":[],"author":7}`, new(pb.Message)},
		{"of two values the last one counts", `{"content":"a","embeds":[{"title":"a"}],"tts":true,"content":"b","embeds":[{"title":"b"}],"tts":null}`, &pb.Message{Content: "b", Embeds: []*pb.Embed{{Title: "b"}}}},
		{"space and escapes", " {\n\"c\\u006fntent\" : \"a\\n\\u00fc\\ud83d\\udc4d\\\"]}\" ,\t\"embeds\" : [ { } , { \"title\" : \"]\" } ] , \"mentions\" : [ ] } ", &pb.Message{Content: "a\nü👍\"]}", Embeds: []*pb.Embed{{}, {Title: "]"}}}},
		{"what is odd is left out", `{"id":{},"content":[],"tts":"x","embeds":[1,{"title":"t"}],"author":"me","type":"a","flags":1e400,"new":{"deep":[1]},"position":3.0}`, &pb.Message{Embeds: []*pb.Embed{{Title: "t"}}, Position: 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.want.ProtoReflect().New().Interface()
			if err := discordjson.Unmarshal([]byte(tt.json), got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEmptyIsNotSent(t *testing.T) {
	data, err := discordjson.Marshal(&pb.Embed{Footer: &pb.Embed_Footer{}, Image: &pb.Embed_Image{}, Fields: []*pb.Embed_Field{{}}})
	if err != nil || data != nil {
		t.Errorf("an empty embed became %s, %v", data, err)
	}
	data, err = discordjson.Marshal(&pb.Embed{Title: "t", Image: &pb.Embed_Image{}, Author: &pb.Embed_Author{Name: "a"}})
	if err != nil || string(data) != `{"author":{"name":"a"},"title":"t"}` {
		t.Errorf("got %s, %v", data, err)
	}
}

// TestFields: fields that are not set stay unchanged, and cleared fields are removed.
func TestFields(t *testing.T) {
	for want, m := range map[string]proto.Message{
		`{"guild_id":"1"}`: &pb.ModifyGuildMemberRequest{GuildId: 1},
		`{"nick":"n","roles":["2","3"],"mute":false}`: &pb.ModifyGuildMemberRequest{Nick: "n", Roles: []uint64{2, 3}, Mute: new(bool)},
		`{"communication_disabled_until":null,"nick":null,"roles":[]}`: &pb.ModifyGuildMemberRequest{
			ClearNick: true, ClearRoles: true, ClearCommunicationDisabledUntil: true,
		},
		`{"recipient_id":"5"}`: &pb.GetDirectMessageChannelRequest{UserId: 5},
		`{"type":11}`:          &pb.StartThreadRequest{Type: pb.Channel_PUBLIC_THREAD},
	} {
		got, err := json.Marshal(discordjson.Fields(m))
		var a, b any
		if err != nil || json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(want), &b) != nil || !cmp.Equal(a, b) {
			t.Errorf("%v became %s, not %s", m, got, want)
		}
	}
}

func TestUnmarshalAnswer(t *testing.T) {
	for _, tt := range []struct {
		json string
		want proto.Message // nil when it is refused
		into proto.Message
	}{
		{`{"id":"1"}`, &pb.GetUserResponse{User: &pb.User{Id: 1}}, nil},
		{`{}`, &pb.GetUserResponse{User: &pb.User{}}, nil},
		{`[{"id":"1"},7,{"id":"2"}]`, &pb.ListGuildRolesResponse{Roles: []*pb.Role{{Id: 1}, {Id: 2}}}, nil},
		{`[]`, &pb.ListGuildRolesResponse{}, nil},
		{`{"threads":[{"id":"1","type":11}],"members":[{"user_id":"2"}],"has_more":false}`, &pb.ListActiveThreadsResponse{
			Threads: []*pb.Channel{{Id: 1, Type: pb.Channel_PUBLIC_THREAD}}, Members: []*pb.ThreadMember{{UserId: 2}},
		}, nil},
		{``, &pb.PinMessageResponse{}, nil},
		{`{"message_send_cooldown_ms":1}`, &pb.TriggerTypingResponse{}, nil},
		{`{"id":"1"}`, nil, &pb.ListGuildRolesResponse{}},
		{`[{"id":"1"}]`, nil, &pb.GetUserResponse{}},
		{`null`, nil, &pb.GetUserResponse{}},
		{`null`, nil, &pb.ListGuildRolesResponse{}},
		{`[]`, nil, &pb.ListActiveThreadsResponse{}},
		{`<html>`, nil, &pb.GetUserResponse{}},
	} {
		into := tt.into
		if tt.want != nil {
			into = tt.want.ProtoReflect().New().Interface()
		}
		err := discordjson.UnmarshalAnswer([]byte(tt.json), into)
		if (err == nil) != (tt.want != nil) {
			t.Errorf("%s: %v", tt.json, err)
		} else if err == nil && !proto.Equal(into, tt.want) {
			t.Errorf("%s became %v", tt.json, into)
		}
	}
}

func TestNotAnObject(t *testing.T) {
	for _, s := range []string{"", "null", "[]", "3", "<html>", `{"a":1}x`, `{"a":`} {
		if err := discordjson.Unmarshal([]byte(s), new(pb.Message)); err == nil {
			t.Errorf("%q was read as an object", s)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	full := new(pb.Message)
	fillAll(full.ProtoReflect(), 3)
	data, err := discordjson.Marshal(full)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(data))
	f.Add([]byte(`{"id":"1","referenced_message":` + strings.Repeat(`{"referenced_message":`, 40) + "null" + strings.Repeat("}", 41)))
	f.Add([]byte(`{"content":"\ud800","embeds":[{"fields":[{}]}],"nonce":1.5e3,"flags":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := new(pb.Message)
		if discordjson.Unmarshal(data, m) != nil {
			return
		}
		if !json.Valid(data) {
			t.Errorf("read %q, which is not JSON", data)
		}
		if _, err := proto.Marshal(m); err != nil {
			t.Errorf("the message cannot be sent on: %v", err)
		}
	})
}

func BenchmarkUnmarshal(b *testing.B) {
	data := []byte(`{"type":0,"content":"hello","mentions":[],"mention_roles":[],"attachments":[],"embeds":[{"type":"rich","title":"t","description":"d","color":255,"fields":[{"name":"a","value":"b","inline":true}]}],"timestamp":"2026-11-23T19:54:32.123000+00:00","edited_timestamp":null,"flags":0,"components":[],"id":"1574513502838587392","channel_id":"1100000000000000010","author":{"id":"1100000000000000001","username":"sandbox","avatar":null,"discriminator":"0000","public_flags":0,"flags":0,"bot":true,"banner":null,"accent_color":null,"global_name":null,"avatar_decoration_data":null,"collectibles":null,"primary_guild":null},"pinned":false,"mention_everyone":false,"tts":false,"nonce":"abc"}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := discordjson.Unmarshal(data, new(pb.Message)); err != nil {
			b.Fatal(err)
		}
	}
}

// TestDocumentsThatTakeTooMuchMemory: a document of few bytes and many values
// is refused before it is read.
func TestDocumentsThatTakeTooMuchMemory(t *testing.T) {
	list := func(element string, n int) []byte {
		return []byte("[" + strings.Repeat(element+",", n-1) + element + "]")
	}
	for name, tt := range map[string]struct {
		data []byte
		fine bool
	}{
		"as many members as Discord lists": {list(`{"user":{"id":"1"},"roles":["1","2","3"]}`, 1000), true},
		"text with brackets and commas":    {list(`{"nick":"`+strings.Repeat(`{,[\"`, 1000)+`"}`, 500), true},
		"empty objects":                    {list(`{}`, 1<<18), false},
		"empty lists":                      {list(`[]`, 1<<20), false},
		"numbers":                          {list(`1`, 1<<21), false},
	} {
		members, err := discordjson.UnmarshalList[pb.GuildMember](tt.data)
		if (err == nil) != tt.fine || tt.fine && len(members) < 500 {
			t.Errorf("%s: %d, %v", name, len(members), err)
		}
	}
}
