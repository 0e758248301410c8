package server

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"discordproxy/discord"

	pb "discordproxy/gen/discord_api"
)

// Limits of a message, in characters unless said otherwise. Discord counts
// Unicode code points, and in embeds only what remains when white space around
// a text is cut off.
// https://discord.com/developers/docs/resources/message#create-message
const (
	maxContent          = 2000
	maxEmbeds           = 10 // embeds
	maxEmbedTitle       = 256
	maxEmbedDescription = 4096
	maxEmbedFields      = 25 // fields
	maxEmbedFieldName   = 256
	maxEmbedFieldValue  = 1024
	maxEmbedFooter      = 2048
	maxEmbedAuthor      = 256
	maxEmbedText        = 6000 // over all embeds of a message
)

// Names of rules as Discord gives them.
const (
	ruleRequired  = "BASE_TYPE_REQUIRED"
	ruleMaxLength = "BASE_TYPE_MAX_LENGTH"
	ruleEmbedSize = "MAX_EMBED_SIZE_EXCEEDED"
	ruleNumberMin = "NUMBER_TYPE_MIN"
	ruleNumberMax = "NUMBER_TYPE_MAX"
	ruleBadLength = "BASE_TYPE_BAD_LENGTH"
	ruleChoices   = "BASE_TYPE_CHOICES"
	rulePattern   = "STRING_TYPE_REGEX"
	ruleExclusive = "MUTUALLY_EXCLUSIVE"
)

// form collects what is wrong with a request.
type form struct {
	broken []discord.FieldError
}

func (f *form) add(field, rule, format string, args ...any) {
	f.broken = append(f.broken, discord.FieldError{Field: field, Code: rule, Message: fmt.Sprintf(format, args...)})
}

// id checks a snowflake, which Discord keeps as a signed number.
func (f *form) id(field string, id uint64) {
	switch {
	case id == 0:
		f.add(field, ruleNumberMin, "snowflake value should be greater than or equal to 1.")
	case id > math.MaxInt64:
		f.add(field, ruleNumberMax, "snowflake value should be less than or equal to %d.", uint64(math.MaxInt64))
	}
}

// atMost checks the length of a text and returns it.
func (f *form) atMost(field, text string, limit int) int {
	n := utf8.RuneCountInString(text)
	if n > limit {
		f.add(field, ruleMaxLength, "Must be %d or fewer in length.", limit)
	}
	return n
}

// err returns Discord's answer to the form, nil for one without mistakes.
func (f *form) err() error {
	if len(f.broken) == 0 {
		return nil
	}
	return discord.InvalidForm(f.broken...)
}

// checkMessage refuses what Discord would certainly refuse, with the error
// that Discord would answer. embeds are those of m, as the caller gave them.
func checkMessage(idField string, id uint64, m discord.MessageCreate, embeds []*pb.Embed) error {
	var f form
	f.id(idField, id)
	f.atMost("content", strings.TrimSpace(m.Content), maxContent)
	f.atMost("nonce", m.Nonce, discord.MaxNonceLength)
	if len(embeds) > maxEmbeds {
		f.add("embeds", ruleMaxLength, "Must be %d or fewer in length.", maxEmbeds)
	}
	total := 0
	for i, embed := range embeds {
		total += f.embed(fmt.Sprintf("embeds.%d", i), embed)
	}
	if total > maxEmbedText {
		f.add("embeds", ruleEmbedSize, "Embed size exceeds maximum size of %d", maxEmbedText)
	}
	if err := f.err(); err != nil {
		return err
	}
	if strings.TrimSpace(m.Content) == "" && len(embeds) == 0 {
		return discord.EmptyMessage()
	}
	return nil
}

// embed checks the lengths in an embed and returns the characters that count
// against the sum over all embeds.
func (f *form) embed(path string, e *pb.Embed) (total int) {
	text := func(field, s string, limit int) {
		total += f.atMost(path+"."+field, strings.TrimSpace(s), limit)
	}
	text("title", e.GetTitle(), maxEmbedTitle)
	text("description", e.GetDescription(), maxEmbedDescription)
	text("footer.text", e.GetFooter().GetText(), maxEmbedFooter)
	text("author.name", e.GetAuthor().GetName(), maxEmbedAuthor)
	if len(e.GetFields()) > maxEmbedFields {
		f.add(path+".fields", ruleMaxLength, "Must be %d or fewer in length.", maxEmbedFields)
	}
	for i, field := range e.GetFields() {
		at := fmt.Sprintf("fields.%d", i)
		for _, part := range []struct {
			name, text string
			limit      int
		}{{"name", field.GetName(), maxEmbedFieldName}, {"value", field.GetValue(), maxEmbedFieldValue}} {
			text(at+"."+part.name, part.text, part.limit)
			if strings.TrimSpace(part.text) == "" {
				f.add(path+"."+at+"."+part.name, ruleRequired, "This field is required")
			}
		}
	}
	return total
}
