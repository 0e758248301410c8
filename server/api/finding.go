package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/outbox"
	"discordproxy/server/internal/store"

	pb "discordproxy/gen/discord_api"
)

// clockError is how far Discord's clock may be behind that of this machine.
const clockError = 2 * time.Second

// maxHistory limits the messages that are read to find one.
const maxHistory = 2000

// Find implements outbox.Maker. It reads the messages that the channel has received since
// the attempt, and compares them with the call.
func (m *making) Find(ctx context.Context, d store.Delivery, request []byte) (outbox.Made, outbox.Found, error) {
	_, call, err := handlerOf(d.Method, request)
	if err != nil {
		return outbox.Made{}, outbox.Hidden, nil //nolint:nilerr // nobody can know
	}
	ctx, release := caller.Hold(caller.Named(ctx, d.Caller))
	defer release()
	s := search{making: m, after: discord.SnowflakeAt(d.TriedAt.Add(-clockError))}
	made, found, err := s.find(ctx, call)
	if e, ok := errors.AsType[*discord.Error](err); ok && e.Reason == discord.Answered && e.Status >= 400 && e.Status < 500 &&
		e.Status != http.StatusTooManyRequests {
		return outbox.Made{}, outbox.Hidden, nil // it may not be read, or is gone
	}
	return made, found, err
}

// search looks for what a call made after a moment.
type search struct {
	*making
	after uint64
}

func (s search) find(ctx context.Context, call any) (outbox.Made, outbox.Found, error) {
	switch call := call.(type) {
	case *pb.SendChannelMessageRequest:
		return s.message(ctx, call.GetChannelId(), 0, discord.CreateMessage, call)
	case *pb.SendDirectMessageRequest:
		var channel struct {
			ID uint64 `json:"id,string"`
		}
		if err := s.read(ctx, &channel, discord.CreateDM, discord.Args{"recipient_id": snowflakeText(call.GetUserId())}); err != nil {
			return outbox.Made{}, outbox.Hidden, err
		}
		return s.message(ctx, channel.ID, 0, discord.Operation{}, call)
	case *pb.ExecuteWebhookRequest:
		var webhook struct {
			Channel uint64 `json:"channel_id,string"`
		}
		args := discord.Args{"webhook_id": call.GetWebhookId(), "webhook_token": call.GetWebhookToken()}
		if err := s.read(ctx, &webhook, discord.GetWebhookWithToken, args); err != nil {
			return outbox.Made{}, outbox.Hidden, err
		}
		if call.GetThreadName() != "" {
			return outbox.Made{}, outbox.Hidden, nil // the thread cannot be distinguished from others
		}
		return s.message(ctx, cmp.Or(call.GetThreadId(), webhook.Channel), call.GetWebhookId(), discord.ExecuteWebhook, call)
	case *pb.StartThreadRequest:
		return s.thread(ctx, call)
	}
	return outbox.Made{}, outbox.Hidden, nil
}

func snowflakeText(id uint64) string {
	text, _ := json.Marshal(id)
	return string(text)
}

// read calls an operation that changes nothing.
func (s search) read(ctx context.Context, into any, op discord.Operation, args discord.Args) error {
	data, err := s.discord.Call(ctx, caller.Of(ctx), op, args)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// written contains the parts of a message that can be compared.
type written struct {
	ID      uint64 `json:"id,string"`
	Webhook string `json:"webhook_id"`
	Author  struct {
		ID string `json:"id"`
	} `json:"author"`
	Content     string       `json:"content"`
	Embeds      []embed      `json:"embeds"`
	Attachments []attachment `json:"attachments"`
}

type embed struct {
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	URL         string `json:"url"`
	Footer      struct {
		Text string `json:"text"`
	} `json:"footer"`
	Author struct {
		Name string `json:"name"`
	} `json:"author"`
	Fields []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"fields"`
}

type attachment struct {
	Name string `json:"filename"`
	Size int    `json:"size"`
}

// message looks for a message in a channel.
func (s search) message(
	ctx context.Context,
	channel, webhook uint64,
	op discord.Operation,
	call messageRequest,
) (outbox.Made, outbox.Found, error) {
	wanted, err := s.wanted(op, call)
	if err != nil {
		return outbox.Made{}, outbox.Hidden, err
	}
	author := snowflakeText(webhook)
	if webhook == 0 {
		var me struct{ ID string }
		if err := s.read(ctx, &me, discord.GetMyUser, nil); err != nil {
			return outbox.Made{}, outbox.Hidden, err
		}
		author = me.ID
	}
	after, seen := s.after, 0
	for seen < maxHistory {
		var page []written
		args := discord.Args{"channel_id": channel, "after": snowflakeText(after), "limit": messagePage}
		if err := s.read(ctx, &page, discord.ListMessages, args); err != nil {
			return outbox.Made{}, outbox.Hidden, err
		}
		slices.SortFunc(page, func(a, b written) int { return cmp.Compare(a.ID, b.ID) })
		var same []int64
		for _, m := range page {
			after = max(after, m.ID)
			byWebhook := m.Webhook != ""
			if m.Author.ID == author && byWebhook == (webhook != 0) && m.says(wanted) {
				same = append(same, int64(m.ID))
			}
		}
		claimed, err := s.claimed(ctx, same)
		if err != nil {
			return outbox.Made{}, outbox.Hidden, err
		}
		for _, id := range same {
			if !claimed[id] { // else it is that of another delivery
				return outbox.Made{Channel: channel, Message: uint64(id)}, outbox.There, nil
			}
		}
		if seen += len(page); len(page) < messagePage {
			if seen > 0 {
				return outbox.Made{}, outbox.Missing, nil
			}
			return s.empty(ctx, channel)
		}
	}
	return outbox.Made{}, outbox.Hidden, nil
}

// empty says what it means that a channel shows no newer messages: Discord shows none
// without the permission to read the history, too.
func (s search) empty(ctx context.Context, channel uint64) (outbox.Made, outbox.Found, error) {
	var is struct {
		Last string `json:"last_message_id"`
	}
	if err := s.read(ctx, &is, discord.GetChannel, discord.Args{"channel_id": channel}); err != nil {
		return outbox.Made{}, outbox.Hidden, err
	}
	var last uint64
	_ = json.Unmarshal([]byte(cmp.Or(is.Last, "0")), &last)
	if last > s.after {
		return outbox.Made{}, outbox.Hidden, nil
	}
	return outbox.Made{}, outbox.Missing, nil
}

// wanted is what a message would be as it is stored.
func (s search) wanted(op discord.Operation, call messageRequest) (w written, err error) {
	m, err := s.composer.newMessage(op, call)
	if err != nil {
		return w, err
	}
	fields := m.Fields
	data, err := json.Marshal(map[string]any{"content": fields["content"], "embeds": fields["embeds"]})
	if err != nil {
		return w, err
	}
	for _, file := range m.Files {
		w.Attachments = append(w.Attachments, attachment{file.Name, len(file.Data)})
	}
	return w, json.Unmarshal(data, &w)
}

// says reports whether a message is what was to be written. Discord trims texts, adds
// the embeds of links, and changes names of files.
func (m written) says(w written) bool {
	text := strings.TrimSpace
	made := slices.DeleteFunc(slices.Clone(m.Embeds), func(e embed) bool { return e.Type != "" && e.Type != "rich" })
	return text(m.Content) == text(w.Content) &&
		slices.EqualFunc(made, w.Embeds, func(a, b embed) bool {
			if text(a.Title) != text(b.Title) || text(a.Description) != text(b.Description) || a.URL != b.URL ||
				text(a.Footer.Text) != text(b.Footer.Text) || text(a.Author.Name) != text(b.Author.Name) || len(a.Fields) != len(b.Fields) {
				return false
			}
			for i := range a.Fields {
				if text(a.Fields[i].Name) != text(b.Fields[i].Name) || text(a.Fields[i].Value) != text(b.Fields[i].Value) {
					return false
				}
			}
			return true
		}) &&
		slices.EqualFunc(m.Attachments, w.Attachments, func(a, b attachment) bool { return a.Size == b.Size && plain(a.Name) == plain(b.Name) })
}

// plain is a file's name without what Discord replaces.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.TrimPrefix(name, "SPOILER_"))
}

// thread looks for a thread.
func (s search) thread(ctx context.Context, call *pb.StartThreadRequest) (outbox.Made, outbox.Found, error) {
	if id := call.GetMessageId(); id != 0 {
		return s.threadOf(ctx, id)
	}
	var parent struct {
		Guild string `json:"guild_id"`
	}
	if err := s.read(ctx, &parent, discord.GetChannel, discord.Args{"channel_id": call.GetChannelId()}); err != nil {
		return outbox.Made{}, outbox.Hidden, err
	}
	var guild uint64
	if json.Unmarshal([]byte(cmp.Or(parent.Guild, "0")), &guild) != nil || guild == 0 {
		return outbox.Made{}, outbox.Hidden, nil
	}
	var me struct{ ID string }
	if err := s.read(ctx, &me, discord.GetMyUser, nil); err != nil {
		return outbox.Made{}, outbox.Hidden, err
	}
	var active struct {
		Threads []struct {
			ID     uint64 `json:"id,string"`
			Name   string `json:"name"`
			Parent string `json:"parent_id"`
			Owner  string `json:"owner_id"`
		} `json:"threads"`
	}
	if err := s.read(ctx, &active, discord.ListActiveThreads, discord.Args{"guild_id": guild}); err != nil {
		return outbox.Made{}, outbox.Hidden, err
	}
	for _, thread := range active.Threads {
		if thread.ID > s.after && thread.Owner == me.ID && thread.Parent == snowflakeText(call.GetChannelId()) &&
			strings.TrimSpace(thread.Name) == strings.TrimSpace(call.GetName()) {
			claimed, err := s.claimed(ctx, []int64{int64(thread.ID)})
			if err != nil || !claimed[int64(thread.ID)] {
				return outbox.Made{Message: thread.ID}, outbox.There, err
			}
		}
	}
	return outbox.Made{}, outbox.Missing, nil
}

// threadOf looks for the thread of a message, which has the ID of the message.
// Discord refuses to start another one, so a thread that is not found may be started
// again.
func (s search) threadOf(ctx context.Context, message uint64) (outbox.Made, outbox.Found, error) {
	var me struct{ ID string }
	if err := s.read(ctx, &me, discord.GetMyUser, nil); err != nil {
		return outbox.Made{}, outbox.Hidden, err
	}
	var thread struct {
		Owner string `json:"owner_id"`
	}
	err := s.read(ctx, &thread, discord.GetChannel, discord.Args{"channel_id": message})
	e, ok := errors.AsType[*discord.Error](err)
	if ok && e.Reason == discord.Answered && e.Status == http.StatusNotFound || err == nil && thread.Owner != me.ID {
		return outbox.Made{}, outbox.Missing, nil
	}
	return outbox.Made{Message: message}, outbox.There, err
}

// claimed returns those of the messages that belong to a delivery.
func (s search) claimed(ctx context.Context, messages []int64) (map[int64]bool, error) {
	return s.outbox.Claimed(ctx, messages)
}
