package api

import (
	"fmt"
	"math"
	"slices"

	"discordproxy/discord"
)

// Discord's names of rules.
const (
	ruleRequired   = "BASE_TYPE_REQUIRED"
	ruleMaxLength  = "BASE_TYPE_MAX_LENGTH"
	ruleBadLength  = "BASE_TYPE_BAD_LENGTH"
	ruleChoices    = "BASE_TYPE_CHOICES"
	ruleUnion      = "UNION_TYPE_CHOICES"
	ruleNumberMin  = "NUMBER_TYPE_MIN"
	ruleNumberMax  = "NUMBER_TYPE_MAX"
	ruleEmbedSize  = "MAX_EMBED_SIZE_EXCEEDED"
	rulePattern    = "STRING_TYPE_REGEX"
	ruleExclusive  = "MUTUALLY_EXCLUSIVE"
	ruleParse      = "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"
	ruleOnlyV2     = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
	ruleComponents = "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED"
	ruleText       = "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED"
	ruleNoFile     = "ATTACHMENT_NOT_FOUND"
	ruleCoerce     = "NUMBER_TYPE_COERCE"
)

// form collects what is wrong with a request.
type form struct {
	broken []discord.FieldError

	// modal is whether the components are those of a modal.
	modal bool

	embedText, componentText, components int
}

// add notes a broken rule, once for each field.
func (f *form) add(field, rule, format string, args ...any) {
	if slices.ContainsFunc(f.broken, func(e discord.FieldError) bool { return e.Field == field && e.Code == rule }) {
		return
	}
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

// required says that a field is missing.
func (f *form) required(field string) { f.add(field, ruleRequired, "This field is required") }

// err returns Discord's answer to the form, or nil for one without mistakes.
func (f *form) err() error {
	if len(f.broken) == 0 {
		return nil
	}
	return discord.InvalidForm(f.broken...)
}
