package server_test

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
	"discordproxy/server"
	"discordproxy/server/discordjson"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// tryOnce returns a client of Discord whose calls are tried once, and one of
// the contract above it.
func tryOnce(t *testing.T, token string, upstream http.RoundTripper) (*discord.Client, discordapiconnect.DiscordApiClient) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	below, err := discord.New(discord.Config{Token: token, Upstream: upstream, RetryFor: -1, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := server.New(server.Config{Discord: below, Logger: quiet})
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

// TestStatuses is the table that clients know.
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
			_, err := client.SendChannelMessage(ctx, connect.NewRequest(&pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "x"}))
			got := refusalOf(t, err)
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

// TestRefusalsAreThoseOfDiscord: what is refused without asking Discord looks
// as if Discord had been asked.
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
	} {
		t.Run(name, func(t *testing.T) {
			before := len(sb.Calls())
			req.ChannelId = channel
			_, err := client.SendChannelMessage(t.Context(), connect.NewRequest(req))
			got := refusalOf(t, err)
			if asked := len(sb.Calls()) - before; asked != 0 {
				t.Errorf("Discord was asked %d times", asked)
			}

			create := discord.MessageCreate{Content: req.GetContent(), Nonce: req.GetNonce()}
			embeds := req.GetEmbeds()
			if req.GetEmbed() != nil {
				embeds = append([]*pb.Embed{req.GetEmbed()}, embeds...)
			}
			for _, embed := range embeds {
				data, err := discordjson.Marshal(embed)
				if err != nil {
					t.Fatal(err)
				}
				create.Embeds = append(create.Embeds, data)
			}
			_, err = below.CreateMessage(t.Context(), channel, create)
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
