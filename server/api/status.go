package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/rpc"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// toStatus translates the error of a handler into the status that its caller
// gets. The code of Discord's errors is that of package calls.
func toStatus(ctx context.Context, err error) *connect.Error {
	e, ok := errors.AsType[*discord.Error](err)
	if !ok {
		return calls.Status(ctx, err)
	}
	code, text := calls.CodeOf(e), statusText(e)
	if ended := rpc.Interrupted(ctx); ended != nil && e.Reason == discord.Canceled { // it was not the caller who left
		code, text = ended.Code(), ended.Message()
		if e.OutcomeUnknown {
			text += "; outcome unknown: the call may have taken effect"
		}
	}
	status := calls.Failed(code, text, err)
	details := []proto.Message{discordError(e)}
	if e.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	for _, m := range details {
		if d, err := connect.NewErrorDetail(m); err == nil {
			status.AddDetail(d)
		}
	}
	return status
}

// statusText is the status message. Clients parse it as JSON first: an error
// of Discord is a document, all else must not be valid JSON.
func statusText(e *discord.Error) string {
	if e.Reason != discord.Answered && e.Reason != discord.Invalid {
		return e.Error()
	}
	var document bytes.Buffer
	encoder := json.NewEncoder(&document)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		Type   string `json:"type"`
		Status int    `json:"status"`
		Code   int    `json:"code"`
		Text   string `json:"text"`
	}{"HTTPException", e.Status, e.Code, e.Lines()})
	if err != nil {
		return e.Error()
	}
	return strings.TrimSuffix(document.String(), "\n")
}

// failureOf is the error of a call as part of an answer.
func failureOf(ctx context.Context, err error) *pb.DiscordError {
	if e, ok := errors.AsType[*discord.Error](err); ok {
		failure := discordError(e)
		failure.Text = cmp.Or(failure.GetText(), e.Error())
		return failure
	}
	return &pb.DiscordError{Text: toStatus(ctx, err).Message()}
}

// maxDetailFields bounds the broken rules in a detail: it travels in the same
// metadata as the message, which names them too.
const maxDetailFields = 10

func discordError(e *discord.Error) *pb.DiscordError {
	detail := &pb.DiscordError{
		Status:         int32(e.Status),
		Code:           int32(e.Code),
		Text:           e.Text,
		OutcomeUnknown: e.OutcomeUnknown,
	}
	if e.RetryAfter > 0 {
		detail.RetryAfter = durationpb.New(e.RetryAfter.Round(time.Millisecond))
	}
	for _, f := range e.Fields[:min(len(e.Fields), maxDetailFields)] {
		detail.Errors = append(detail.Errors, &pb.DiscordError_FieldError{Field: f.Field, Code: f.Code, Message: f.Message})
	}
	return detail
}
