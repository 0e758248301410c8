package api_test

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
)

// obliging is a Discord that agrees to everything and keeps the last body.
type obliging struct {
	t    *testing.T
	body string // with the contents of files behind it
}

func (r *obliging) RoundTrip(req *http.Request) (*http.Response, error) {
	answer := `{"id":"7"}`
	if req.Body != nil {
		r.body = r.read(req)
	}
	if strings.HasSuffix(req.URL.Path, "/commands") {
		answer = "[]"
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
		Body: io.NopCloser(strings.NewReader(answer)),
	}, nil
}

func (r *obliging) read(req *http.Request) string {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	kind, options, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if kind != "multipart/form-data" {
		return string(body)
	}
	var text strings.Builder
	for parts := multipart.NewReader(bytes.NewReader(body), options["boundary"]); ; {
		part, err := parts.NextPart()
		if err != nil {
			return text.String()
		}
		content, _ := io.ReadAll(part)
		if part.FileName() != "" {
			text.WriteString(" " + part.FormName() + " " + part.FileName() + ": ")
		}
		text.Write(content)
	}
}

type callbackData = pb.RespondInteractionRequest_Data

func callback(kind pb.RespondInteractionRequest_Type, data *callbackData) *pb.RespondInteractionRequest {
	return &pb.RespondInteractionRequest{InteractionId: 1, InteractionToken: "token", Type: kind, Data: data}
}

// TestCallbacks: each kind of response reaches Discord in the right form.
func TestCallbacks(t *testing.T) {
	discord := &obliging{t: t}
	_, client := tryOnce(t, "token", discord)
	file := []*pb.AttachmentRequest{{Filename: "a.txt", Data: []byte("contents")}}
	label := &pb.Component{Kind: &pb.Component_Label_{Label: &pb.Component_Label{Label: "Name", Component: &pb.Component{
		Kind: &pb.Component_TextInput_{TextInput: &pb.Component_TextInput{CustomId: "name", Style: pb.Component_TextInput_SHORT, Required: proto.Bool(false)}},
	}}}}
	for name, tt := range map[string]struct {
		req  *pb.RespondInteractionRequest
		want string
	}{
		"pong":       {callback(pb.RespondInteractionRequest_PONG, nil), `{"type":1}`},
		"later":      {callback(pb.RespondInteractionRequest_DEFERRED_CHANNEL_MESSAGE_WITH_SOURCE, &callbackData{Flags: 64}), `{"data":{"flags":64},"type":5}`},
		"deferred":   {callback(pb.RespondInteractionRequest_DEFERRED_UPDATE_MESSAGE, nil), `{"type":6}`},
		"components": {callback(pb.RespondInteractionRequest_CHANNEL_MESSAGE_WITH_SOURCE, &callbackData{Flags: 64, Components: texts(1, "x")}), `{"data":{"components":[{"content":"x","type":10}],"flags":32832},"type":4}`},
		"a file": {
			callback(pb.RespondInteractionRequest_CHANNEL_MESSAGE_WITH_SOURCE, &callbackData{Content: proto.String("see"), Attachments: file, SuppressMentions: true}),
			`{"data":{"allowed_mentions":{"parse":[]},"attachments":[{"filename":"a.txt","id":"0"}],"content":"see"},"type":4} files[0] a.txt: contents`,
		},
		"update": {
			callback(pb.RespondInteractionRequest_UPDATE_MESSAGE, &callbackData{Content: proto.String(""), ClearComponents: true, Attachments: []*pb.AttachmentRequest{{Id: 9}}}),
			`{"data":{"attachments":[{"id":"9"}],"components":[],"content":""},"type":7}`,
		},
		"modal": {
			callback(pb.RespondInteractionRequest_MODAL, &callbackData{CustomId: "form", Title: "Who?", Components: []*pb.Component{label}, Content: proto.String("is no part of it")}),
			`{"data":{"components":[{"component":{"custom_id":"name","required":false,"style":1,"type":4},"label":"Name","type":18}],"custom_id":"form","title":"Who?"},"type":9}`,
		},
		"suggestions": {
			callback(pb.RespondInteractionRequest_APPLICATION_COMMAND_AUTOCOMPLETE_RESULT, &callbackData{Choices: []*pb.RespondInteractionRequest_Data_Choice{
				{Name: "text", Value: "7"}, {Name: "whole", Value: "-7", Type: 4}, {Name: "broken", Value: "0.5", Type: 10},
			}}),
			`{"data":{"choices":[{"name":"text","value":"7"},{"name":"whole","value":-7},{"name":"broken","value":0.5}]},"type":8}`,
		},
		"no suggestions": {callback(pb.RespondInteractionRequest_APPLICATION_COMMAND_AUTOCOMPLETE_RESULT, nil), `{"data":{"choices":[]},"type":8}`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := client.RespondInteraction(t.Context(), tt.req); err != nil {
				t.Fatal(err)
			}
			if discord.body != tt.want {
				t.Errorf("Discord got %s\nwant %s", discord.body, tt.want)
			}
		})
	}
}

// TestFurtherAnswers: an edited answer and a further one are messages.
func TestFurtherAnswers(t *testing.T) {
	discord := &obliging{t: t}
	_, client := tryOnce(t, "token", discord)
	edited, err := client.EditInteractionResponse(t.Context(), &pb.EditInteractionResponseRequest{
		ApplicationId: 1, InteractionToken: "token", Content: proto.String(""), ClearEmbeds: true, Components: []*pb.Component{row(buttons(1)...)},
		Attachments: []*pb.AttachmentRequest{{Id: 9}, {Filename: "a.txt", Data: []byte("contents")}},
	})
	if err != nil || edited.GetMessage().GetId() != 7 {
		t.Errorf("%v, %v", edited, err)
	}
	if want := `{"attachments":[{"id":"9"},{"filename":"a.txt","id":"0"}],"components":[{"components":[{"custom_id":"0","style":1,"type":2}],"type":1}],"content":"","embeds":[]} files[0] a.txt: contents`; discord.body != want {
		t.Errorf("Discord got %s\nwant %s", discord.body, want)
	}
	posted, err := client.FollowupInteraction(t.Context(), &pb.FollowupInteractionRequest{
		ApplicationId: 1, InteractionToken: "token", Flags: 64, Poll: poll(1, "yes"), AllowedMentions: &pb.AllowedMentions{Users: []uint64{5}},
	})
	if err != nil || posted.GetMessage().GetId() != 7 {
		t.Errorf("%v, %v", posted, err)
	}
	if want := `{"allowed_mentions":{"parse":[],"users":["5"]},"flags":64,"poll":{"answers":[{"poll_media":{"text":"yes"}}],"duration":1,"question":{"text":"?"}}}`; discord.body != want {
		t.Errorf("Discord got %s\nwant %s", discord.body, want)
	}
}

// TestCommandChoices: values are of the type of their option.
func TestCommandChoices(t *testing.T) {
	discord := &obliging{t: t}
	_, client := tryOnce(t, "token", discord)
	choice := func(value string) []*pb.ApplicationCommand_Option_Choice {
		return []*pb.ApplicationCommand_Option_Choice{{Name: "n", Value: value}}
	}
	command := func(options ...*pb.ApplicationCommand_Option) *pb.SetApplicationCommandsRequest {
		return &pb.SetApplicationCommandsRequest{GuildId: 1, Commands: []*pb.ApplicationCommand{{Name: "c", Options: options}}}
	}
	if _, err := client.SetApplicationCommands(t.Context(), command(
		&pb.ApplicationCommand_Option{}, // has nothing, and shifts no other
		&pb.ApplicationCommand_Option{Type: 3, Choices: choice("7")},
		&pb.ApplicationCommand_Option{Type: 1, Options: []*pb.ApplicationCommand_Option{{Type: 4, Choices: choice("7")}, {Type: 10, Choices: choice("7.5"), MinValue: proto.Float64(0)}}},
		&pb.ApplicationCommand_Option{Type: 7, ChannelTypes: []pb.Channel_Type{pb.Channel_GUILD_TEXT}},
	)); err != nil {
		t.Fatal(err)
	}
	if want := `[{"name":"c","options":[{},{"choices":[{"name":"n","value":"7"}],"type":3},` +
		`{"options":[{"choices":[{"name":"n","value":7}],"type":4},{"choices":[{"name":"n","value":7.5}],"min_value":0,"type":10}],"type":1},` +
		`{"channel_types":[0],"type":7}]}]`; discord.body != want {
		t.Errorf("Discord got %s\nwant %s", discord.body, want)
	}
	_, err := client.SetApplicationCommands(t.Context(), command(&pb.ApplicationCommand_Option{Type: 1, Options: []*pb.ApplicationCommand_Option{{Type: 4, Choices: choice("7.5")}}}))
	wantBroken(t, err, "commands.0.options.0.options.0.choices.0.value NUMBER_TYPE_COERCE")
}

// wantBroken has an error name fields and the rules that they break.
func wantBroken(t *testing.T, err error, want ...string) {
	t.Helper()
	var got []string
	for _, e := range refusalOf(t, err).detail.GetErrors() {
		got = append(got, e.GetField()+" "+e.GetCode())
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("broken are %q, want %q", got, want)
	}
}

// TestRefusedCallbacks: mistakes are reported without a request to Discord.
func TestRefusedCallbacks(t *testing.T) {
	discord := &obliging{t: t}
	_, client := tryOnce(t, "token", discord)
	long := strings.Repeat("x", 2001)
	for name, tt := range map[string]struct {
		req  *pb.RespondInteractionRequest
		want []string
	}{
		"nothing":        {&pb.RespondInteractionRequest{}, []string{"interaction_id NUMBER_TYPE_MIN", "interaction_token BASE_TYPE_REQUIRED", "type BASE_TYPE_REQUIRED"}},
		"text":           {callback(pb.RespondInteractionRequest_UPDATE_MESSAGE, &callbackData{Content: &long}), []string{"data.content BASE_TYPE_MAX_LENGTH"}},
		"mentions":       {callback(pb.RespondInteractionRequest_CHANNEL_MESSAGE_WITH_SOURCE, &callbackData{Content: proto.String("x"), SuppressMentions: true, AllowedMentions: &pb.AllowedMentions{}}), []string{"data.suppress_mentions MUTUALLY_EXCLUSIVE"}},
		"input":          {callback(pb.RespondInteractionRequest_CHANNEL_MESSAGE_WITH_SOURCE, &callbackData{Components: []*pb.Component{row(&pb.Component{Kind: &pb.Component_TextInput_{TextInput: &pb.Component_TextInput{}}})}}), []string{"data.components.0.components.0 UNION_TYPE_CHOICES"}},
		"modal":          {callback(pb.RespondInteractionRequest_MODAL, nil), []string{"data.custom_id BASE_TYPE_REQUIRED", "data.title BASE_TYPE_REQUIRED", "data.components BASE_TYPE_REQUIRED"}},
		"button":         {callback(pb.RespondInteractionRequest_MODAL, &callbackData{CustomId: "c", Title: "t", Components: []*pb.Component{row(buttons(1)...)}}), []string{"data.components.0.components.0 UNION_TYPE_CHOICES"}},
		"title":          {callback(pb.RespondInteractionRequest_MODAL, &callbackData{CustomId: "c", Title: long, Components: texts(6, "x")}), []string{"data.title BASE_TYPE_BAD_LENGTH", "data.components BASE_TYPE_BAD_LENGTH"}},
		"suggestions":    {callback(pb.RespondInteractionRequest_APPLICATION_COMMAND_AUTOCOMPLETE_RESULT, &callbackData{Choices: slices.Repeat([]*pb.RespondInteractionRequest_Data_Choice{{Name: "n", Value: "v"}}, 26)}), []string{"data.choices BASE_TYPE_MAX_LENGTH"}},
		"kind of choice": {callback(pb.RespondInteractionRequest_APPLICATION_COMMAND_AUTOCOMPLETE_RESULT, &callbackData{Choices: []*pb.RespondInteractionRequest_Data_Choice{{Name: "n", Value: "v", Type: 5}, {Value: "1", Type: 4}, {Name: "n", Value: "NaN", Type: 10}}}), []string{"data.choices.1.name BASE_TYPE_REQUIRED", "data.choices.0.type BASE_TYPE_CHOICES", "data.choices.2.value NUMBER_TYPE_COERCE"}},
	} {
		t.Run(name, func(t *testing.T) {
			discord.body = ""
			_, err := client.RespondInteraction(t.Context(), tt.req)
			if discord.body != "" {
				t.Errorf("Discord got %s", discord.body)
			}
			wantBroken(t, err, tt.want...)
		})
	}
	_, err := client.RespondInteraction(t.Context(), callback(pb.RespondInteractionRequest_CHANNEL_MESSAGE_WITH_SOURCE, nil))
	if got := refusalOf(t, err); got.detail.GetCode() != 50006 {
		t.Errorf("an empty message is refused with %v", got.detail)
	}
}
