package serve_test

import (
	"fmt"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

func text(content string) *pb.Component {
	return &pb.Component{Kind: &pb.Component_TextDisplay_{TextDisplay: &pb.Component_TextDisplay{Content: content}}}
}

func row(components ...*pb.Component) *pb.Component {
	return &pb.Component{Kind: &pb.Component_ActionRow_{ActionRow: &pb.Component_ActionRow{Components: components}}}
}

func button(b *pb.Component_Button) *pb.Component {
	return &pb.Component{Kind: &pb.Component_Button_{Button: b}}
}

func raw(json string) *pb.Component {
	return &pb.Component{Kind: &pb.Component_RawJson{RawJson: json}}
}

// layout holds every kind of component that a message may contain.
func layout() []*pb.Component {
	media := &pb.Component_Media{Url: "https://example.org/a.png"}
	return []*pb.Component{
		text("# Heading"),
		{Kind: &pb.Component_Section_{Section: &pb.Component_Section{
			Components: []*pb.Component{text("beside")},
			Accessory:  &pb.Component{Kind: &pb.Component_Thumbnail_{Thumbnail: &pb.Component_Thumbnail{Media: media, Description: "alt", Spoiler: true}}},
		}}},
		{Kind: &pb.Component_MediaGallery_{MediaGallery: &pb.Component_MediaGallery{Items: []*pb.Component_MediaGallery_Item{{Media: media}}}}},
		{Kind: &pb.Component_File_{File: &pb.Component_File{File: &pb.Component_Media{Url: "attachment://a.txt"}}}},
		{Kind: &pb.Component_Separator_{Separator: &pb.Component_Separator{Divider: proto.Bool(false), Spacing: 2}}},
		{Kind: &pb.Component_Container_{Container: &pb.Component_Container{AccentColor: proto.Int32(0), Components: []*pb.Component{
			text("inside"),
			row(button(&pb.Component_Button{Style: pb.Component_Button_LINK, Label: "open", Url: "https://example.org"})),
			row(&pb.Component{Kind: &pb.Component_StringSelect{StringSelect: &pb.Component_Select{
				CustomId: "s", MinValues: proto.Int32(0), MaxValues: proto.Int32(1),
				Options: []*pb.Component_Select_Option{{Label: "a", Value: "1", Emoji: &pb.Emoji{Name: "👍"}}},
			}}}),
			row(&pb.Component{Kind: &pb.Component_ChannelSelect{ChannelSelect: &pb.Component_Select{CustomId: "c", ChannelTypes: []pb.Channel_Type{pb.Channel_GUILD_TEXT}}}}),
			row(&pb.Component{Kind: &pb.Component_UserSelect{UserSelect: &pb.Component_Select{CustomId: "u", DefaultValues: []*pb.Component_Select_DefaultValue{{Id: 5, Type: "user"}}}}}),
		}}}},
	}
}

// TestSendEverything sends a message with all its parts over every protocol, and finds
// them in the sandbox and in the response.
func TestSendEverything(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	w := sb.World()
	sticker := sb.AddSticker(sandbox.Sticker{Name: "wave", Format: 1})
	for name, client := range p.Clients() {
		t.Run(name, func(t *testing.T) {
			first, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(w.General), Content: "first"})
			if err != nil {
				t.Fatal(err)
			}
			sent, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{
				ChannelId:             uint64(w.General),
				Content:               fmt.Sprintf("<@%d> <@%d>", w.Alice, w.Bob),
				Embeds:                []*pb.Embed{{Title: "T"}},
				AllowedMentions:       &pb.AllowedMentions{Users: []uint64{uint64(w.Bob)}},
				MessageReference:      &pb.MessageReference{MessageId: first.GetMessage().GetId(), FailIfNotExists: proto.Bool(true)},
				Attachments:           []*pb.AttachmentRequest{{Filename: "a.txt", Data: []byte("hello"), Description: proto.String("alt"), IsSpoiler: proto.Bool(true)}},
				Components:            []*pb.Component{row(button(&pb.Component_Button{Style: pb.Component_Button_DANGER, CustomId: "b", Emoji: &pb.Emoji{Name: "🔥"}, Disabled: true}))},
				StickerIds:            []uint64{uint64(sticker)},
				SuppressNotifications: true,
				Poll:                  &pb.Poll{Question: &pb.Poll_Media{Text: "?"}, Answers: []*pb.Poll_Answer{{PollMedia: &pb.Poll_Media{Text: "yes", Emoji: &pb.Emoji{Name: "👍"}}}}, Duration: 2, AllowMultiselect: true},
				Tts:                   true,
			})
			if err != nil {
				t.Fatal(err)
			}
			m := sent.GetMessage()
			a := m.GetAttachments()
			if len(a) != 1 || a[0].GetFilename() != "a.txt" || a[0].GetSize() != 5 || a[0].GetDescription() != "alt" || a[0].GetFlags()&8 == 0 {
				t.Errorf("attachments are %v", a)
			}
			if b := m.GetComponents()[0].GetActionRow().GetComponents()[0].GetButton(); b.GetStyle() != pb.Component_Button_DANGER || b.GetCustomId() != "b" || !b.GetDisabled() || b.GetEmoji().GetName() != "🔥" {
				t.Errorf("components are %v", m.GetComponents())
			}
			if m.GetType() != pb.Message_REPLY || m.GetReferencedMessage().GetContent() != "first" || len(m.GetMentions()) != 1 || m.GetMentions()[0].GetId() != uint64(w.Bob) {
				t.Errorf("it replies to %v and mentions %v", m.GetReferencedMessage(), m.GetMentions())
			}
			if m.GetFlags() != 4096 || len(m.GetStickerItems()) != 1 || m.GetPoll().GetAnswers()[0].GetPollMedia().GetEmoji().GetName() != "👍" || !m.GetPoll().GetAllowMultiselect() || !m.GetTts() || len(m.GetEmbeds()) != 1 {
				t.Errorf("the answer is %v", m)
			}

			direct, err := client.SendDirectMessage(t.Context(), &pb.SendDirectMessageRequest{
				UserId: uint64(w.Alice), Components: layout(),
				Attachments: []*pb.AttachmentRequest{{Filename: "a.txt", Data: []byte("hello")}},
			})
			if err != nil {
				t.Fatal(err)
			}
			got := direct.GetMessage()
			if got.GetFlags() != 32768 || len(got.GetComponents()) != 6 {
				t.Fatalf("the answer is %v", got)
			}
			container := got.GetComponents()[5].GetContainer()
			if container.AccentColor == nil || container.GetComponents()[3].GetActionRow().GetComponents()[0].GetChannelSelect().GetChannelTypes()[0] != pb.Channel_GUILD_TEXT ||
				container.GetComponents()[2].GetActionRow().GetComponents()[0].GetStringSelect().MinValues == nil ||
				got.GetComponents()[1].GetSection().GetAccessory().GetThumbnail().GetDescription() != "alt" ||
				got.GetComponents()[4].GetSeparator().Divider == nil {
				t.Errorf("the components came back as %v", got.GetComponents())
			}

			forward, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{
				ChannelId:        uint64(w.Random),
				MessageReference: &pb.MessageReference{Type: pb.Message_Reference_FORWARD, MessageId: first.GetMessage().GetId(), ChannelId: uint64(w.General)},
			})
			if err != nil {
				t.Fatal(err)
			}
			if s := forward.GetMessage().GetMessageSnapshots(); len(s) != 1 || s[0].GetMessage().GetContent() != "first" {
				t.Errorf("forwarded was %v", s)
			}
		})
	}
}

func TestMentions(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	client := proxytest.Against(t, sb).Clients()["gRPC"]
	w := sb.World()
	for name, tt := range map[string]struct {
		change func(*pb.SendChannelMessageRequest)
		pings  int
	}{
		"unset":           {func(*pb.SendChannelMessageRequest) {}, 1},
		"suppressed":      {func(r *pb.SendChannelMessageRequest) { r.SuppressMentions = true }, 0},
		"empty statement": {func(r *pb.SendChannelMessageRequest) { r.AllowedMentions = &pb.AllowedMentions{} }, 0},
		"parsed": {func(r *pb.SendChannelMessageRequest) {
			r.AllowedMentions = &pb.AllowedMentions{Parse: []string{"users"}}
		}, 1},
		"others only": {func(r *pb.SendChannelMessageRequest) { r.AllowedMentions = &pb.AllowedMentions{Users: []uint64{5}} }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			req := &pb.SendChannelMessageRequest{ChannelId: uint64(w.General), Content: fmt.Sprintf("<@%d>", w.Alice)}
			tt.change(req)
			sent, err := client.SendChannelMessage(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(sent.GetMessage().GetMentions()); got != tt.pings {
				t.Errorf("%d users were pinged, want %d", got, tt.pings)
			}
		})
	}
}

// TestSendingErrors: an error names the invalid field of a message as Discord names it,
// and nothing is sent.
func TestSendingErrors(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	client := proxytest.Against(t, sb, "--max-file", "1000", "--max-upload", "1500").Clients()["gRPC"]
	w := sb.World()
	file := func(size int) *pb.AttachmentRequest {
		return &pb.AttachmentRequest{Filename: "f", Data: make([]byte, size)}
	}
	deep := text("x")
	for range 50 {
		deep = &pb.Component{Kind: &pb.Component_Container_{Container: &pb.Component_Container{Components: []*pb.Component{deep}}}}
	}
	for name, tt := range map[string]struct {
		req  *pb.SendChannelMessageRequest
		want string
	}{
		"both ways to suppress": {&pb.SendChannelMessageRequest{SuppressMentions: true, AllowedMentions: &pb.AllowedMentions{}}, "In suppress_mentions: allowed_mentions and suppress_mentions are mutually exclusive."},
		"kind of mention":       {&pb.SendChannelMessageRequest{AllowedMentions: &pb.AllowedMentions{Parse: []string{"all"}}}, "In allowed_mentions.parse.0: Value must be one of ('users', 'everyone', 'roles')."},
		"mentions exclude":      {&pb.SendChannelMessageRequest{AllowedMentions: &pb.AllowedMentions{Parse: []string{"users"}, Users: []uint64{1}}}, `In allowed_mentions: parse:[\"users\"] and users: [ids...] are mutually exclusive.`},
		"mentioned users":       {&pb.SendChannelMessageRequest{AllowedMentions: &pb.AllowedMentions{Users: make([]uint64, 101)}}, "In allowed_mentions.users: Must be 100 or fewer in length."},
		"reply to nothing":      {&pb.SendChannelMessageRequest{MessageReference: &pb.MessageReference{}}, "In message_reference.message_id: This field is required"},
		"forward from nowhere":  {&pb.SendChannelMessageRequest{MessageReference: &pb.MessageReference{Type: 1, MessageId: 1}}, "In message_reference.channel_id: This field is required"},
		"files":                 {&pb.SendChannelMessageRequest{Attachments: slicesOf(11, file(1))}, "In attachments: Must be 10 or fewer in length."},
		"file without name":     {&pb.SendChannelMessageRequest{Attachments: []*pb.AttachmentRequest{{Data: []byte("x")}}}, "In attachments.0.filename: This field is required"},
		"file without data":     {&pb.SendChannelMessageRequest{Attachments: []*pb.AttachmentRequest{{Filename: "x"}}}, "In attachments.0.data: This field is required"},
		"file by id":            {&pb.SendChannelMessageRequest{Attachments: []*pb.AttachmentRequest{{Id: 4}}}, "In attachments.0.id: Attachment data for this entry was not found."},
		"large file":            {&pb.SendChannelMessageRequest{Attachments: []*pb.AttachmentRequest{file(1), file(1001)}}, `"status":413,"code":40005,"text":"Request entity too large\nIn attachments.1.data: Must be 1000 or fewer bytes."`},
		"large files":           {&pb.SendChannelMessageRequest{Attachments: []*pb.AttachmentRequest{file(800), file(701)}}, "In attachments: Must be 1500 or fewer bytes together."},
		"description":           {&pb.SendChannelMessageRequest{Attachments: []*pb.AttachmentRequest{{Filename: "x", Data: []byte("x"), Description: proto.String(strings.Repeat("ü", 1025))}}}, "In attachments.0.description: Must be 1024 or fewer in length."},
		"stickers":              {&pb.SendChannelMessageRequest{StickerIds: []uint64{1, 2, 3, 4}}, "In sticker_ids: Must be 3 or fewer in length."},
		"poll of nothing":       {&pb.SendChannelMessageRequest{Poll: &pb.Poll{Question: &pb.Poll_Media{Text: "?"}}}, "In poll.answers: This field is required"},
		"long poll":             {&pb.SendChannelMessageRequest{Poll: &pb.Poll{Question: &pb.Poll_Media{Text: "?"}, Answers: []*pb.Poll_Answer{{PollMedia: &pb.Poll_Media{Text: "x"}}}, Duration: 769}}, "In poll.duration: int value should be less than or equal to 768."},
		"long poll answer":      {&pb.SendChannelMessageRequest{Poll: &pb.Poll{Answers: []*pb.Poll_Answer{{PollMedia: &pb.Poll_Media{Text: strings.Repeat("x", 56)}}}}}, "In poll.answers.0.poll_media.text: Must be between 1 and 55 in length."},
		"no kind of component":  {&pb.SendChannelMessageRequest{Components: []*pb.Component{{}}}, "In components.0.type: This field is required"},
		"button on top":         {&pb.SendChannelMessageRequest{Components: []*pb.Component{button(&pb.Component_Button{Style: 1, CustomId: "c"})}}, `In components.0: Value of field \"type\" must be one of (1, 9, 10, 12, 13, 14, 17).`},
		"empty row":             {&pb.SendChannelMessageRequest{Components: []*pb.Component{row()}}, "In components.0.components: This field is required"},
		"full row":              {&pb.SendChannelMessageRequest{Components: []*pb.Component{row(slicesOf(6, button(&pb.Component_Button{Style: 1, CustomId: "c"}))...)}}, "In components.0.components: Must be between 1 and 5 in length."},
		"rows":                  {&pb.SendChannelMessageRequest{Components: slicesOf(6, row(button(&pb.Component_Button{Style: 1, CustomId: "c"})))}, "In components: Must be 5 or fewer in length."},
		"button without id":     {&pb.SendChannelMessageRequest{Components: []*pb.Component{row(button(&pb.Component_Button{Style: 1}))}}, "In components.0.components.0.custom_id: This field is required"},
		"button without link":   {&pb.SendChannelMessageRequest{Components: []*pb.Component{row(button(&pb.Component_Button{Style: 5}))}}, "In components.0.components.0.url: This field is required"},
		"button label":          {&pb.SendChannelMessageRequest{Components: []*pb.Component{row(button(&pb.Component_Button{Style: 1, CustomId: "c", Label: strings.Repeat("x", 81)}))}}, "In components.0.components.0.label: Must be 80 or fewer in length."},
		"text input":            {&pb.SendChannelMessageRequest{Components: []*pb.Component{row(&pb.Component{Kind: &pb.Component_TextInput_{TextInput: &pb.Component_TextInput{CustomId: "c"}}})}}, `In components.0.components.0: Value of field \"type\" must be one of (2, 3, 5, 6, 7, 8).`},
		"select of nothing":     {&pb.SendChannelMessageRequest{Components: []*pb.Component{row(&pb.Component{Kind: &pb.Component_StringSelect{StringSelect: &pb.Component_Select{CustomId: "c"}}})}}, "In components.0.components.0.options: This field is required"},
		"fewest of a select":    {&pb.SendChannelMessageRequest{Components: []*pb.Component{row(&pb.Component{Kind: &pb.Component_UserSelect{UserSelect: &pb.Component_Select{CustomId: "c", MinValues: proto.Int32(-1)}}})}}, "In components.0.components.0.min_values: int value should be greater than or equal to 0."},
		"components":            {&pb.SendChannelMessageRequest{Components: slicesOf(41, text("x"))}, "In components: The total number of components exceeds 40."},
		"text in components":    {&pb.SendChannelMessageRequest{Components: slicesOf(2, text(strings.Repeat("ü", 2001)))}, "In components: The total size of displayable text in components exceeds maximum size of 4000"},
		"content beside layout": {&pb.SendChannelMessageRequest{Content: "x", Components: []*pb.Component{text("x")}}, "In content: The 'content' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"},
		"nested for ever":       {&pb.SendChannelMessageRequest{Components: []*pb.Component{deep}}, `In components.0.components.0: Value of field \"type\" must be one of (1, 9, 10, 12, 13, 14).`},
		"raw without type":      {&pb.SendChannelMessageRequest{Components: []*pb.Component{raw(`{"a":1}`)}}, "In components.0: raw_json must be a JSON object with a number as its type."},
		"raw without sense":     {&pb.SendChannelMessageRequest{Components: []*pb.Component{raw(`{"type":1}},{`)}}, "In components.0: raw_json must be a JSON object with a number as its type."},
		"embed colour":          {&pb.SendChannelMessageRequest{Embed: &pb.Embed{Color: 1 << 24}}, "In embeds.0.color: int value should be less than or equal to 16777215."},
		"nothing but flags":     {&pb.SendChannelMessageRequest{SuppressNotifications: true, MessageReference: &pb.MessageReference{MessageId: 1}}, `"code":50006`},
		"for Discord to judge":  {&pb.SendChannelMessageRequest{StickerIds: []uint64{4}}, `"code":50081,"text":"Invalid Sticker"`},
	} {
		t.Run(name, func(t *testing.T) {
			tt.req.ChannelId = uint64(w.General)
			if tt.req.GetContent() == "" && !strings.Contains(tt.want, "50006") && len(tt.req.GetComponents()) == 0 {
				tt.req.Content = "x"
			}
			_, err := client.SendChannelMessage(t.Context(), tt.req)
			if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
	if got := len(sb.Messages(w.General)); got != 0 {
		t.Errorf("%d messages were stored", got)
	}
}

func slicesOf[T any](n int, element T) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = element
	}
	return list
}

// TestComponentOfNextYear: a component that the API does not define is sent to Discord
// and returned unchanged.
func TestComponentOfNextYear(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	client := proxytest.Against(t, sb).Clients()["gRPC"]
	w := sb.World()
	sent, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{
		ChannelId: uint64(w.General), Components: []*pb.Component{raw(`{"type":10,"content":"x"}`)},
	})
	if err != nil || sent.GetMessage().GetComponents()[0].GetTextDisplay().GetContent() != "x" {
		t.Errorf("%v %v", sent, err)
	}
	sb.InjectFault(sandbox.Fault{Route: "POST /channels/{channel_id}/messages", Count: 1, After: true, Status: 200, Header: map[string]string{"Content-Type": "application/json"}, Body: `{"id":"7","components":[{"type":99,"shape":"round"}]}`})
	sent, err = client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(w.General), Content: "x"})
	if err != nil || sent.GetMessage().GetId() != 7 || sent.GetMessage().GetComponents()[0].GetRawJson() != `{"shape":"round","type":99}` {
		t.Errorf("%v %v", sent, err)
	}
}

// TestLargeFiles: only files may exceed the limit of ordinary requests, 4 MiB.
func TestLargeFiles(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb, "--max-file", "6000000", "--max-upload", "8000000")
	w := sb.World()
	file := &pb.AttachmentRequest{Filename: "large.bin", Data: make([]byte, 6_000_000)}
	for _, protocol := range []string{"gRPC", "gRPC-Web", "Connect JSON"} {
		t.Run(protocol, func(t *testing.T) {
			client := p.Clients()[protocol]
			sent, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{
				ChannelId: uint64(w.General), Attachments: []*pb.AttachmentRequest{file},
			})
			if err != nil {
				t.Fatal(err)
			}
			if a := sent.GetMessage().GetAttachments(); len(a) != 1 || a[0].GetSize() != 6_000_000 {
				t.Errorf("attached was %v", a)
			}
			_, err = client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{
				ChannelId: uint64(w.General), Attachments: []*pb.AttachmentRequest{file, file, file},
			})
			if connect.CodeOf(err) != connect.CodeResourceExhausted {
				t.Errorf("too much was answered with %v", err)
			}
			if protocol == "Connect JSON" {
				return
			}
			_, err = client.GetGuildChannels(t.Context(), unknownBytes(5<<20))
			if connect.CodeOf(err) != connect.CodeResourceExhausted {
				t.Errorf("a large request without files was answered with %v", err)
			}
		})
	}
}

// unknownBytes is a request of that size, by an unknown field.
func unknownBytes(size int) *pb.GetGuildChannelsRequest {
	req := new(pb.GetGuildChannelsRequest)
	req.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 1000, protowire.BytesType), make([]byte, size)))
	return req
}
