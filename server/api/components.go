package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"discordproxy/discord"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// partRules are the rules for fields of the messages in requests, by their
// full name in the API.
// https://discord.com/developers/docs/resources/message#embed-object-embed-limits
// https://discord.com/developers/docs/components/reference
var partRules = map[string]rule{
	"Embed.title":       {max: 256, embedText: true},
	"Embed.description": {max: 4096, embedText: true},
	"Embed.fields":      {max: 25},
	"Embed.color":       {max: 0xFFFFFF},
	"Embed.Footer.text": {max: 2048, embedText: true},
	"Embed.Author.name": {max: 256, embedText: true},
	"Embed.Field.name":  {max: 256, required: true, embedText: true},
	"Embed.Field.value": {max: 1024, required: true, embedText: true},

	"AllowedMentions.roles": {max: 100},
	"AllowedMentions.users": {max: 100},

	"MessageReference.message_id": {required: true},

	"AttachmentRequest.filename":    {max: 1024},
	"AttachmentRequest.description": {max: 1024},

	"Poll.answers":  {min: 1, max: 10, required: true},
	"Poll.duration": {min: 1, max: 768},

	"Component.ActionRow.components":          {min: 1, max: 5, required: true},
	"Component.Button.style":                  {required: true},
	"Component.Button.label":                  {max: 80},
	"Component.Button.custom_id":              {max: 100},
	"Component.Button.url":                    {max: 512},
	"Component.Select.custom_id":              {max: 100, required: true},
	"Component.Select.placeholder":            {max: 150},
	"Component.Select.min_values":             {max: 25},
	"Component.Select.max_values":             {min: 1, max: 25},
	"Component.Select.options":                {max: 25},
	"Component.Select.default_values":         {max: 25},
	"Component.Select.Option.label":           {max: 100, required: true},
	"Component.Select.Option.value":           {max: 100, required: true},
	"Component.Select.Option.description":     {max: 100},
	"Component.Section.components":            {min: 1, max: 3, required: true},
	"Component.Section.accessory":             {required: true},
	"Component.TextDisplay.content":           {max: 4000, required: true},
	"Component.Thumbnail.media":               {required: true},
	"Component.Thumbnail.description":         {max: 1024},
	"Component.MediaGallery.items":            {min: 1, max: 10, required: true},
	"Component.MediaGallery.Item.media":       {required: true},
	"Component.MediaGallery.Item.description": {max: 1024},
	"Component.File.file":                     {required: true},
	"Component.Media.url":                     {max: 2048, required: true},
	"Component.Container.accent_color":        {max: 0xFFFFFF},
	"Component.TextInput.custom_id":           {max: 100, required: true},
	"Component.TextInput.style":               {required: true},
	"Component.TextInput.label":               {max: 45},
	"Component.TextInput.min_length":          {max: 4000},
	"Component.TextInput.max_length":          {min: 1, max: 4000},
	"Component.TextInput.value":               {max: 4000},
	"Component.TextInput.placeholder":         {max: 100},
	"Component.Label.label":                   {max: 45, required: true},
	"Component.Label.description":             {max: 100},
	"Component.Label.component":               {required: true},
	"Component.FileUpload.custom_id":          {max: 100, required: true},
	"Component.FileUpload.min_values":         {max: 10},
	"Component.FileUpload.max_values":         {min: 1, max: 10},

	"RespondInteractionRequest.Data.Choice.name": {min: 1, max: 100, required: true},
}

// inContract returns the full name of a field without the package.
func inContract(f protoreflect.FieldDescriptor) string {
	return strings.TrimPrefix(string(f.FullName()), "discord_api.")
}

// Characters of the texts of a poll.
const (
	maxPollQuestion = 300
	maxPollAnswer   = 55
)

// Sums over a whole message.
const (
	maxEmbedText     = 6000 // characters in embeds
	maxComponentText = 4000 // characters in text displays
	maxComponents    = 40   // components, nested ones included
	maxActionRows    = 5    // without other components
)

// placed lists where each kind of component may be. Kinds that the API does not
// define may be anywhere, for Discord to judge.
var placed = map[string][]int{
	"Component.ActionRow.components": {2, 3, 5, 6, 7, 8},
	"Component.Section.components":   {10},
	"Component.Section.accessory":    {2, 11},
	"Component.Container.components": {1, 9, 10, 12, 13, 14},
	"components":                     {1, 9, 10, 12, 13, 14, 17}, // a message's own
}

// placedInModal is placed for modals.
var placedInModal = map[string][]int{
	"Component.ActionRow.components": {4},
	"Component.Label.component":      {3, 4, 5, 6, 7, 8, 19},
	"components":                     {1, 10, 18}, // a modal's own
}

// component checks one component and what is in it. It is in the field in.
func (f *form) component(at string, in protoreflect.FieldDescriptor, c *pb.Component) {
	f.components++
	m := c.ProtoReflect()
	kind := m.WhichOneof(m.Descriptor().Oneofs().Get(0))
	if kind == nil {
		f.required(at + ".type")
		return
	}
	if kind.Kind() == protoreflect.StringKind {
		var typed struct {
			Type int `json:"type"`
		}
		if json.Unmarshal([]byte(c.GetRawJson()), &typed) != nil || typed.Type == 0 {
			f.add(at, "COMPONENT_RAW_JSON_INVALID", "raw_json must be a JSON object with a number as its type.")
		}
		return
	}
	places := placed
	if f.modal {
		places = placedInModal
	}
	kinds, ok := places[inContract(in)]
	if !ok {
		kinds = places[string(in.Name())]
	}
	if !slices.Contains(kinds, int(kind.Number())) {
		f.add(at, ruleUnion, "Value of field \"type\" must be one of %s.", choices(kinds))
		return
	}
	f.fields(at+".", m.Get(kind).Message(), discord.Operation{}, &rulesOfParts)
	switch k := c.GetKind().(type) {
	case *pb.Component_Button_:
		f.button(at, k.Button)
	case *pb.Component_StringSelect:
		if len(k.StringSelect.GetOptions()) == 0 {
			f.required(at + ".options")
		}
	case *pb.Component_TextDisplay_:
		f.componentText += utf8.RuneCountInString(k.TextDisplay.GetContent())
	}
}

// choices writes numbers as Discord does.
func choices(list []int) string {
	if len(list) == 1 {
		return fmt.Sprintf("(%d,)", list[0])
	}
	return strings.NewReplacer("[", "(", "]", ")", " ", ", ").Replace(fmt.Sprint(list))
}

func (f *form) button(at string, b *pb.Component_Button) {
	switch {
	case b.GetStyle() == pb.Component_Button_LINK:
		if b.GetUrl() == "" {
			f.required(at + ".url")
		}
	case b.GetStyle() == pb.Component_Button_PREMIUM:
		if b.GetSkuId() == 0 {
			f.required(at + ".sku_id")
		}
	case b.GetCustomId() == "":
		f.required(at + ".custom_id")
	}
}

// mentions checks what allowed_mentions excludes.
func (f *form) mentions(a *pb.AllowedMentions) {
	const at = "allowed_mentions"
	for i, kind := range a.GetParse() {
		if kind != "users" && kind != "roles" && kind != "everyone" {
			f.add(fmt.Sprintf("%s.parse.%d", at, i), ruleChoices, "Value must be one of ('users', 'everyone', 'roles').")
		}
	}
	for _, list := range []struct {
		kind string
		ids  []uint64
	}{{"roles", a.GetRoles()}, {"users", a.GetUsers()}} {
		if len(list.ids) > 0 && slices.Contains(a.GetParse(), list.kind) {
			f.add(at, ruleParse, "parse:[%q] and %s: [ids...] are mutually exclusive.", list.kind, list.kind)
		}
	}
}

// poll checks texts, whose bounds differ between question and answers.
func (f *form) poll(p *pb.Poll) {
	if p == nil {
		return
	}
	f.between("poll.question.text", p.GetQuestion().GetText(), maxPollQuestion)
	for i, answer := range p.GetAnswers() {
		f.between(fmt.Sprintf("poll.answers.%d.poll_media.text", i), answer.GetPollMedia().GetText(), maxPollAnswer)
	}
}

// between checks a text that must not be empty.
func (f *form) between(field, text string, limit int) {
	switch n := utf8.RuneCountInString(strings.TrimSpace(text)); {
	case n == 0:
		f.required(field)
	case n > limit:
		f.add(field, ruleBadLength, "Must be between 1 and %d in length.", limit)
	}
}

// sums checks what is counted over the whole message. v2 is whether it is made
// of components alone.
func (f *form) sums(v2 bool, rows int) {
	if f.embedText > maxEmbedText {
		f.add("embeds", ruleEmbedSize, "Embed size exceeds maximum size of %d", maxEmbedText)
	}
	switch {
	case !v2 && rows > maxActionRows:
		f.add("components", ruleMaxLength, "Must be %d or fewer in length.", maxActionRows)
	case f.components > maxComponents:
		f.add("components", ruleComponents, "The total number of components exceeds %d.", maxComponents)
	}
	if f.componentText > maxComponentText {
		f.add("components", ruleText, "The total size of displayable text in components exceeds maximum size of %d", maxComponentText)
	}
}
