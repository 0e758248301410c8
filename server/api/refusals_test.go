package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/api"
	"discordproxy/server/internal/discordjson"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// tryOnce returns a client of Discord whose calls are tried once, and one of
// the API's service.
func tryOnce(t *testing.T, token string, upstream http.RoundTripper) (*discord.Client, discordapiconnect.DiscordApiClient) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	below, err := discord.New(discord.Config{Token: token, Upstream: upstream, RetryFor: -1, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := api.New(api.Config{Discord: below, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return below, discordapiconnect.NewDiscordApiClient(http.DefaultClient, srv.URL)
}

// refusal is what clients read of an error: its status, the document in its
// message, and the details.
type refusal struct {
	status   connect.Code
	document string
	detail   *pb.DiscordError
}

func refusalOf(t *testing.T, err error) refusal {
	t.Helper()
	status, ok := errors.AsType[*connect.Error](err)
	if !ok {
		t.Fatalf("the error is %v", err)
	}
	r := refusal{status: status.Code(), document: status.Message()}
	for _, d := range status.Details() {
		value, err := d.Value()
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := value.(*pb.DiscordError); ok {
			r.detail = e
		}
	}
	if r.detail == nil {
		t.Fatalf("%v has no detail", err)
	}
	return r
}

// TestStatuses checks the documented table of statuses.
func TestStatuses(t *testing.T) {
	for status, want := range map[int]connect.Code{
		302: connect.CodeUnknown,
		400: connect.CodeInvalidArgument,
		401: connect.CodeUnauthenticated,
		402: connect.CodeFailedPrecondition,
		403: connect.CodePermissionDenied,
		404: connect.CodeNotFound,
		405: connect.CodeInvalidArgument,
		408: connect.CodeUnavailable,
		409: connect.CodeAborted,
		410: connect.CodeNotFound,
		413: connect.CodeInvalidArgument,
		415: connect.CodeInvalidArgument,
		422: connect.CodeInvalidArgument,
		429: connect.CodeResourceExhausted,
		500: connect.CodeInternal,
		501: connect.CodeInternal,
		502: connect.CodeUnavailable,
		503: connect.CodeInternal,
		504: connect.CodeDeadlineExceeded,
		520: connect.CodeInternal,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			fault := sandbox.Fault{Status: status, Body: `{"message":"Text of Discord","code":7}`}
			if status == http.StatusTooManyRequests {
				fault.Body = `{"message":"Text of Discord","code":7,"retry_after":600,"global":false}`
			}
			sb.InjectFault(fault)
			_, client := tryOnce(t, sb.World().Token, sb.Transport())
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := client.SendChannelMessage(ctx, &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "x"})
			got := refusalOf(t, err)
			if status == http.StatusTooManyRequests {
				// It cannot be waited out: the answer is that of a call which was not
				// sent for its deadline, and Discord's own is in the detail.
				if got.status != connect.CodeDeadlineExceeded || json.Valid([]byte(got.document)) || got.detail.GetRetryAfter().AsDuration() < 10*time.Minute {
					t.Errorf("got %v %s, %v", got.status, got.document, got.detail)
				}
				got.status, got.document = want, fmt.Sprintf(`{"type":"HTTPException","status":%d,"code":7,"text":"Text of Discord"}`, status)
			}
			document := fmt.Sprintf(`{"type":"HTTPException","status":%d,"code":7,"text":"Text of Discord"}`, status)
			if got.status != want || got.document != document {
				t.Errorf("got %v %s, want %v %s", got.status, got.document, want, document)
			}
			if d := got.detail; d.GetStatus() != int32(status) || d.GetCode() != 7 || d.GetText() != "Text of Discord" {
				t.Errorf("the detail is %v", d)
			}
		})
	}
}

// TestRefusalsAreThoseOfDiscord: the server's own refusals equal Discord's.
func TestRefusalsAreThoseOfDiscord(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	below, client := tryOnce(t, sb.World().Token, sb.Transport())
	channel := uint64(sb.World().General)
	x := func(n int) string { return strings.Repeat("ü", n) }
	titled := func(e *pb.Embed) *pb.SendChannelMessageRequest {
		e.Title = "t"
		return &pb.SendChannelMessageRequest{Embed: e}
	}
	field := func(name, value string) *pb.SendChannelMessageRequest {
		return titled(&pb.Embed{Fields: []*pb.Embed_Field{{Name: "n", Value: "v"}, {Name: name, Value: value}}})
	}
	eleven := new(pb.SendChannelMessageRequest)
	for range 11 {
		eleven.Embeds = append(eleven.Embeds, &pb.Embed{Title: "t"})
	}
	fields := make([]*pb.Embed_Field, 26)
	for i := range fields {
		fields[i] = &pb.Embed_Field{Name: "n", Value: "v"}
	}
	for name, req := range map[string]*pb.SendChannelMessageRequest{
		"content":           {Content: x(2001)},
		"nothing":           {},
		"white space":       {Content: " \n\t"},
		"nonce":             {Content: "x", Nonce: x(26)},
		"title":             {Embed: &pb.Embed{Title: x(257)}},
		"description":       {Embed: &pb.Embed{Description: x(4097)}},
		"footer":            titled(&pb.Embed{Footer: &pb.Embed_Footer{Text: x(2049)}}),
		"author":            titled(&pb.Embed{Author: &pb.Embed_Author{Name: x(257)}}),
		"fields":            titled(&pb.Embed{Fields: fields}),
		"field name":        field(x(257), "v"),
		"field value":       field("n", x(1025)),
		"no field name":     field("", "v"),
		"empty field value": field("n", "  "),
		"embeds":            eleven,
		"sum of embeds":     {Embeds: []*pb.Embed{{Description: x(4000)}, {Description: x(2001)}}},
		"second embed":      {Embed: &pb.Embed{Title: "t"}, Embeds: []*pb.Embed{{Title: x(257)}}},

		"kind of mention":      {Content: "x", AllowedMentions: &pb.AllowedMentions{Parse: []string{"all"}}},
		"mentions exclude":     {Content: "x", AllowedMentions: &pb.AllowedMentions{Parse: []string{"users"}, Users: []uint64{1}}},
		"reply to nothing":     {Content: "x", MessageReference: &pb.MessageReference{GuildId: 1}},
		"forward from nowhere": {Content: "x", MessageReference: &pb.MessageReference{Type: 1, MessageId: 1}},
		"stickers":             {Content: "x", StickerIds: []uint64{1, 2, 3, 4}},
		"poll duration":        {Poll: poll(769, "yes")},
		"poll answer":          {Poll: poll(1, x(56))},
		"poll question":        {Poll: &pb.Poll{Question: &pb.Poll_Media{Text: x(301)}, Answers: poll(1, "yes").GetAnswers()}},
		"button on top":        layout(button(&pb.Component_Button{Style: 1, CustomId: "c"})),
		"full row":             components(row(buttons(6)...)),
		"rows":                 components(row(buttons(1)...), row(buttons(1)...), row(buttons(1)...), row(buttons(1)...), row(buttons(1)...), row(buttons(1)...)),
		"button without id":    components(row(button(&pb.Component_Button{Style: 1}))),
		"button without link":  components(row(button(&pb.Component_Button{Style: 5}))),
		"button without style": components(row(button(&pb.Component_Button{CustomId: "c"}))),
		"button label":         components(row(button(&pb.Component_Button{Style: 1, CustomId: "c", Label: x(81)}))),
		"text input":           components(row(&pb.Component{Kind: &pb.Component_TextInput_{TextInput: &pb.Component_TextInput{CustomId: "c"}}})),
		"select placeholder":   components(row(&pb.Component{Kind: &pb.Component_UserSelect{UserSelect: &pb.Component_Select{CustomId: "c", Placeholder: x(151)}}})),
		"values of a select":   components(row(&pb.Component{Kind: &pb.Component_UserSelect{UserSelect: &pb.Component_Select{CustomId: "c", MinValues: proto.Int32(-1)}}})),
		"option of a select":   components(row(&pb.Component{Kind: &pb.Component_StringSelect{StringSelect: &pb.Component_Select{CustomId: "c", Options: []*pb.Component_Select_Option{{Label: x(101)}}}}})),
		"components":           layout(texts(41, "x")...),
		"text of components":   layout(texts(2, x(2001))...),
		"content and layout":   {Content: "x", ComponentsV2: true, Components: texts(1, "x")},
		"section of nothing":   layout(&pb.Component{Kind: &pb.Component_Section_{Section: &pb.Component_Section{Accessory: button(&pb.Component_Button{Style: 1, CustomId: "c"})}}}),
		"gallery of nothing":   layout(&pb.Component{Kind: &pb.Component_MediaGallery_{MediaGallery: &pb.Component_MediaGallery{Id: 1}}}),
		"thumbnail":            layout(&pb.Component{Kind: &pb.Component_Section_{Section: &pb.Component_Section{Components: texts(1, "x"), Accessory: &pb.Component{Kind: &pb.Component_Thumbnail_{Thumbnail: &pb.Component_Thumbnail{Media: &pb.Component_Media{Url: "https://example.org"}, Description: x(1025)}}}}}}),
		"container in another": layout(&pb.Component{Kind: &pb.Component_Container_{Container: &pb.Component_Container{Components: []*pb.Component{{Kind: &pb.Component_Container_{Container: &pb.Component_Container{Components: texts(1, "x")}}}}}}}),
	} {
		t.Run(name, func(t *testing.T) {
			before := len(sb.Calls())
			req.ChannelId = channel
			_, err := client.SendChannelMessage(t.Context(), req)
			got := refusalOf(t, err)
			if asked := len(sb.Calls()) - before; asked != 0 {
				t.Errorf("Discord was asked %d times", asked)
			}

			create := discord.Message{Fields: discordjson.Fields(req)}
			delete(create.Fields, "channel_id")
			if req.GetComponentsV2() {
				create.Fields["flags"] = 1 << 15
			}
			if one, ok := create.Fields["embed"]; ok {
				more, _ := create.Fields["embeds"].([]any)
				create.Fields["embeds"] = append([]any{one}, more...)
				delete(create.Fields, "embed")
			}
			_, err = below.CreateMessage(t.Context(), nil, channel, create)
			e, ok := errors.AsType[*discord.Error](err)
			if !ok {
				t.Fatalf("Discord said %v", err)
			}
			var document struct {
				Type         string
				Status, Code int
				Text         string
			}
			if err := json.Unmarshal([]byte(got.document), &document); err != nil {
				t.Fatal(err)
			}
			if got.status != connect.CodeInvalidArgument || document.Type != "HTTPException" ||
				document.Status != e.Status || document.Code != e.Code || document.Text != e.Lines() {
				t.Errorf("got  %v %+v\nwant %d %d %q", got.status, document, e.Status, e.Code, e.Lines())
			}
			for i, f := range e.Fields {
				if d := got.detail.GetErrors()[i]; d.GetField() != f.Field || d.GetCode() != f.Code || d.GetMessage() != f.Message {
					t.Errorf("rule %d is %v, not %v", i, d, f)
				}
			}
		})
	}
}

func poll(hours int32, answer string) *pb.Poll {
	return &pb.Poll{Question: &pb.Poll_Media{Text: "?"}, Answers: []*pb.Poll_Answer{{PollMedia: &pb.Poll_Media{Text: answer}}}, Duration: hours}
}

func components(list ...*pb.Component) *pb.SendChannelMessageRequest {
	return &pb.SendChannelMessageRequest{Content: "x", Components: list}
}

func layout(list ...*pb.Component) *pb.SendChannelMessageRequest {
	return &pb.SendChannelMessageRequest{ComponentsV2: true, Components: list}
}

func row(list ...*pb.Component) *pb.Component {
	return &pb.Component{Kind: &pb.Component_ActionRow_{ActionRow: &pb.Component_ActionRow{Components: list}}}
}

func button(b *pb.Component_Button) *pb.Component {
	return &pb.Component{Kind: &pb.Component_Button_{Button: b}}
}

func buttons(n int) (list []*pb.Component) {
	for i := range n {
		list = append(list, button(&pb.Component_Button{Style: 1, CustomId: fmt.Sprint(i)}))
	}
	return list
}

func texts(n int, content string) (list []*pb.Component) {
	for range n {
		list = append(list, &pb.Component{Kind: &pb.Component_TextDisplay_{TextDisplay: &pb.Component_TextDisplay{Content: content}}})
	}
	return list
}
