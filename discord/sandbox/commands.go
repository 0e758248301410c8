package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	commandsPath      = "/applications/{application_id}/commands"
	guildCommandsPath = "/applications/{application_id}/guilds/{guild_id}/commands"
)

var commandRoutes = []route{
	{method: "GET", template: "/applications/@me", handle: (*Sandbox).getApplication},
	{method: "PATCH", template: "/applications/@me", handle: (*Sandbox).modifyApplication},
	{method: "GET", template: "/applications/{application_id}", handle: (*Sandbox).getApplication},
	{method: "PATCH", template: "/applications/{application_id}", handle: (*Sandbox).modifyApplication},
	{method: "GET", template: "/oauth2/applications/@me", handle: (*Sandbox).getApplication},
	{method: "GET", template: commandsPath, handle: (*Sandbox).listCommands},
	{method: "POST", template: commandsPath, handle: (*Sandbox).createCommand, status: http.StatusCreated},
	{method: "PUT", template: commandsPath, handle: (*Sandbox).setCommands},
	{method: "GET", template: commandsPath + "/{command_id}", handle: (*Sandbox).getCommand},
	{method: "PATCH", template: commandsPath + "/{command_id}", handle: (*Sandbox).editCommand},
	{method: "DELETE", template: commandsPath + "/{command_id}", handle: (*Sandbox).deleteCommand},
	{method: "GET", template: guildCommandsPath, handle: (*Sandbox).listCommands},
	{method: "POST", template: guildCommandsPath, handle: (*Sandbox).createCommand, status: http.StatusCreated},
	{method: "PUT", template: guildCommandsPath, handle: (*Sandbox).setCommands},
	{method: "GET", template: guildCommandsPath + "/{command_id}", handle: (*Sandbox).getCommand},
	{method: "PATCH", template: guildCommandsPath + "/{command_id}", handle: (*Sandbox).editCommand},
	{method: "DELETE", template: guildCommandsPath + "/{command_id}", handle: (*Sandbox).deleteCommand},
}

// Kinds of commands, with how many an application may have of each.
const (
	commandChat    = 1
	commandUser    = 2
	commandMessage = 3
)

var maxCommands = map[int]int{commandChat: 100, commandUser: 15, commandMessage: 15}

// Kinds of options that have options of their own.
const (
	optionSubcommand = 1
	optionGroup      = 2
	optionString     = 3
	optionInteger    = 4
	optionBoolean    = 5
	optionUser       = 6
	optionChannel    = 7
	optionRole       = 8
	optionMention    = 9
	optionNumber     = 10
	optionLast       = 11
)

// Command is a command of an application.
//
// See https://discord.com/developers/docs/interactions/application-commands.
type Command struct {
	ID            ID                `json:"id"`
	ApplicationID ID                `json:"application_id"`
	Version       ID                `json:"version"`
	Permissions   *Permissions      `json:"default_member_permissions"`
	Type          int               `json:"type"`
	Name          string            `json:"name"`
	Names         map[string]string `json:"name_localizations"`
	Description   string            `json:"description"`
	Descriptions  map[string]string `json:"description_localizations"`
	GuildID       ID                `json:"guild_id,omitzero"`
	DMPermission  *bool             `json:"dm_permission,omitempty"`
	Contexts      []int             `json:"contexts"`
	Integrations  []int             `json:"integration_types"`
	NSFW          bool              `json:"nsfw"`
	Options       []CommandOption   `json:"options,omitempty"`
}

// CommandOption is an option of a command.
type CommandOption struct {
	Type         int               `json:"type"`
	Name         string            `json:"name"`
	Names        map[string]string `json:"name_localizations,omitempty"`
	Description  string            `json:"description"`
	Descriptions map[string]string `json:"description_localizations,omitempty"`
	Required     bool              `json:"required,omitempty"`
	Choices      []commandChoice   `json:"choices,omitempty"`
	Options      []CommandOption   `json:"options,omitempty"`
	ChannelTypes []ChannelType     `json:"channel_types,omitempty"`
	MinValue     json.Number       `json:"min_value,omitempty"`
	MaxValue     json.Number       `json:"max_value,omitempty"`
	MinLength    *int              `json:"min_length,omitempty"`
	MaxLength    *int              `json:"max_length,omitempty"`
	Autocomplete bool              `json:"autocomplete,omitempty"`
}

type commandChoice struct {
	Name  string            `json:"name"`
	Names map[string]string `json:"name_localizations,omitempty"`
	Value any               `json:"value"`
}

// commandScope is the scope of commands: a guild, or everywhere for guild 0.
type commandScope struct{ application, guild ID }

// commandName matches valid names of commands and options.
var commandName = regexp.MustCompile(`^[-_'\p{L}\p{N}\p{Devanagari}\p{Thai}]{1,32}$`)

func (f *formError) commandName(path, name string) {
	f.length(path, name, 1, 32)
	if name != "" && (!commandName.MatchString(name) || strings.ToLower(name) != name) {
		f.add(path, "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
	}
}

// at joins two parts of a path.
func at(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

func (cmd *Command) check(f *formError, path string) {
	switch cmd.Type {
	case commandChat:
		f.commandName(at(path, "name"), cmd.Name)
		f.length(at(path, "description"), cmd.Description, 1, 100)
	case commandUser, commandMessage:
		f.length(at(path, "name"), cmd.Name, 1, 32)
		f.length(at(path, "description"), cmd.Description, 0, 0)
		if len(cmd.Options) > 0 {
			f.add(at(path, "options"), "APPLICATION_COMMAND_OPTIONS_NOT_ALLOWED", "Commands of this type have no options")
		}
	default:
		f.add(at(path, "type"), "BASE_TYPE_CHOICES", "Value must be one of (1, 2, 3).")
	}
	name := f.commandName
	if cmd.Type != commandChat {
		name = func(path, text string) { f.length(path, text, 1, 32) }
	}
	f.localized(at(path, "name_localizations"), cmd.Names, name)
	f.localized(at(path, "description_localizations"), cmd.Descriptions, f.describes)
	for i, context := range cmd.Contexts {
		if context < 0 || context > 2 {
			f.add(join(at(path, "contexts"), i), "BASE_TYPE_CHOICES", "Value must be one of (0, 1, 2).")
		}
	}
	for i, kind := range cmd.Integrations {
		if kind < 0 || kind > 1 {
			f.add(join(at(path, "integration_types"), i), "BASE_TYPE_CHOICES", "Value must be one of (0, 1).")
		}
	}
	f.options(at(path, "options"), cmd.Options, 0)
}

func (f *formError) describes(path, text string) { f.length(path, text, 1, 100) }

func (f *formError) options(path string, options []CommandOption, depth int) {
	if len(options) > 25 {
		f.add(path, "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
		return
	}
	names, optional := map[string]bool{}, false
	for i, o := range options {
		here := join(path, i)
		if o.Type < optionSubcommand || o.Type > optionLast {
			f.add(here+".type", "BASE_TYPE_CHOICES", "Value must be one of (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11).")
		}
		f.commandName(here+".name", o.Name)
		f.describes(here+".description", o.Description)
		f.localized(here+".name_localizations", o.Names, f.commandName)
		f.localized(here+".description_localizations", o.Descriptions, f.describes)
		if names[o.Name] {
			f.add(here+".name", "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS", "Option name already exists")
		}
		names[o.Name] = true
		if o.Required && optional && f.clean(here) {
			f.add(here, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", "Required options must be placed before non-required options")
		}
		optional = optional || !o.Required
		if o.Type == optionGroup && depth > 0 || o.Type == optionSubcommand && depth > 1 || o.Type > optionGroup && len(o.Options) > 0 {
			f.add(here+".type", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Sub-command and sub-command group option types cannot be nested here")
			continue
		}
		if o.Autocomplete && len(o.Choices) > 0 {
			f.add(
				here+".autocomplete",
				"APPLICATION_COMMAND_OPTION_AUTOCOMPLETE_CHOICES_MUTUALLY_EXCLUSIVE",
				"Autocomplete and choices are mutually exclusive",
			)
		}
		o.convertChoices()
		f.choices(here+".choices", o.Choices)
		f.options(here+".options", o.Options, depth+1)
	}
}

// convertChoices gives the values of choices the type of their option.
func (o *CommandOption) convertChoices() {
	for i := range o.Choices {
		switch v := o.Choices[i].Value.(type) {
		case string:
			if number, err := strconv.ParseFloat(v, 64); err == nil && (o.Type == optionInteger || o.Type == optionNumber) {
				o.Choices[i].Value = number
			}
		case float64:
			if o.Type == optionString {
				o.Choices[i].Value = strconv.FormatFloat(v, 'f', -1, 64)
			}
		}
	}
}

func (f *formError) choices(path string, choices []commandChoice) {
	if len(choices) > 25 {
		f.add(path, "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
		return
	}
	for i, choice := range choices {
		here := join(path, i)
		f.describes(here+".name", choice.Name)
		f.localized(here+".name_localizations", choice.Names, f.describes)
		switch value := choice.Value.(type) {
		case string:
			f.length(here+".value", value, 0, 100)
		case float64:
		default:
			f.required(here + ".value")
		}
	}
}

func (s *Sandbox) getApplication(c *call) (any, error) {
	if id := c.id("application_id"); id != 0 && id != c.user.ID {
		return nil, errApplication
	}
	return s.applicationView(c.user), nil
}

func (s *Sandbox) applicationView(bot *user) map[string]any {
	u := bot.User
	owner := u
	if o := s.users[s.world.Owner]; o != nil {
		owner = o.User
	}
	out := map[string]any{
		"id": u.ID, "name": u.Username, "icon": nil, "description": "", "type": nil, "bot": u, "summary": "",
		"bot_public": true, "bot_require_code_grant": false, "verify_key": verifyKey(u.ID),
		"flags": s.applicationFlags(), "owner": owner, "team": nil, "hook": true, "redirect_uris": []string{},
		"interactions_endpoint_url": nil, "role_connections_verification_url": nil, "approximate_guild_count": len(s.guilds),
		"rpc_origins": []string{}, "integration_types_config": map[string]any{}, "explicit_content_filter": 0,
		"approximate_user_install_count": 0, "approximate_user_authorization_count": 0, "eligible_oauth2_scopes": []string{},
		"flags_new": strconv.Itoa(s.applicationFlags()), "max_participants": nil, "interactions_version": 1, "event_webhooks_status": 1,
	}
	maps.Copy(out, bot.application)
	return out
}

// modifyApplication changes what an application says of itself.
func (s *Sandbox) modifyApplication(c *call) (any, error) {
	if id := c.id("application_id"); id != 0 && id != c.user.ID {
		return nil, errApplication
	}
	var body struct {
		Description *string   `json:"description"`
		Tags        *[]string `json:"tags"`
		Interaction *string   `json:"interactions_endpoint_url"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	changed := maps.Clone(c.user.application)
	if changed == nil {
		changed = map[string]any{}
	}
	if body.Description != nil {
		f.length("description", *body.Description, 0, 400)
		changed["description"] = *body.Description
	}
	if body.Tags != nil {
		if len(*body.Tags) > 5 {
			f.add("tags", "BASE_TYPE_MAX_LENGTH", "Must be 5 or fewer in length.")
		}
		for i, tag := range *body.Tags {
			f.length(join("tags", i), tag, 1, 20)
		}
		changed["tags"] = *body.Tags
	}
	if body.Interaction != nil {
		f.add(
			"interactions_endpoint_url",
			"APPLICATION_INTERACTIONS_ENDPOINT_VALIDATION_FAILED",
			"The specified interactions endpoint url could not be verified.",
		)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	c.user.application = changed
	return s.applicationView(c.user), nil
}

// verifyKey makes an application's key from its id.
func verifyKey(application ID) string { return fmt.Sprintf("%064x", uint64(application)) }

// commanding finds the commands that a call is about.
func (s *Sandbox) commanding(c *call) (commandScope, error) {
	scope := commandScope{c.id("application_id"), c.id("guild_id")}
	switch {
	case scope.application != c.user.ID:
		return scope, errApplication
	case scope.guild != 0 && (s.guilds[scope.guild] == nil || s.guilds[scope.guild].members[c.user.ID] == nil):
		return scope, errMissingAccess
	}
	return scope, nil
}

func (s *Sandbox) listCommands(c *call) (any, error) {
	scope, err := s.commanding(c)
	if err != nil {
		return nil, err
	}
	q := c.query()
	with := q.bool("with_localizations")
	if err := q.err(); err != nil || with {
		return orEmpty(s.commands[scope]), err
	}
	return localizedCommands(s.commands[scope], c.r.Header.Get("X-Discord-Locale")), nil
}

// localizedCommands are commands as lists show them without being asked for all
// languages: in one, if the caller names it.
func localizedCommands(list []*Command, locale string) []map[string]any {
	var localize func(object map[string]any)
	localize = func(object map[string]any) {
		for _, key := range []string{"name", "description"} {
			texts, _ := object[key+"_localizations"].(map[string]any)
			if text, ok := texts[locale]; ok {
				object[key+"_localized"] = text
			}
			delete(object, key+"_localizations")
		}
		for _, key := range []string{"options", "choices"} {
			inner, _ := object[key].([]any)
			for _, one := range inner {
				localize(one.(map[string]any))
			}
		}
	}
	out := []map[string]any{}
	for _, command := range list {
		object := objectOf(command)
		localize(object)
		out = append(out, object)
	}
	return out
}

// command finds one command by its id.
func (s *Sandbox) oneCommand(c *call) (commandScope, int, error) {
	scope, err := s.commanding(c)
	if err != nil {
		return scope, 0, err
	}
	i := slices.IndexFunc(s.commands[scope], func(o *Command) bool { return o.ID == c.id("command_id") })
	if i < 0 {
		return scope, 0, refuse(http.StatusNotFound, 10063, "Unknown application command")
	}
	return scope, i, nil
}

func (s *Sandbox) getCommand(c *call) (any, error) {
	scope, i, err := s.oneCommand(c)
	if err != nil {
		return nil, err
	}
	return s.commands[scope][i], nil
}

func (s *Sandbox) deleteCommand(c *call) (any, error) {
	scope, i, err := s.oneCommand(c)
	if err != nil {
		return nil, err
	}
	s.commands[scope] = slices.Delete(slices.Clone(s.commands[scope]), i, i+1)
	return nil, nil
}

// newCommand is a command before a body says more of it.
func newCommand() *Command { return &Command{Type: commandChat, Integrations: []int{0}} }

// keep gives a command what only Discord knows, and takes away what it does.
func (s *Sandbox) keep(cmd *Command, scope commandScope, id ID) {
	cmd.ID, cmd.ApplicationID, cmd.GuildID = id, scope.application, scope.guild
	if id == 0 {
		cmd.ID = s.newID()
	}
	cmd.Version = s.newID()
	if scope.guild == 0 && cmd.DMPermission == nil {
		cmd.DMPermission = ptr(true)
	}
	if cmd.Integrations == nil {
		cmd.Integrations = []int{0}
	}
}

func tooMany(list []*Command) error {
	for kind, most := range maxCommands {
		if n := len(list) - len(slices.DeleteFunc(slices.Clone(list), func(o *Command) bool { return o.Type == kind })); n > most {
			return refuse(http.StatusBadRequest, 30032, fmt.Sprintf("Maximum number of application commands reached (%d)", most))
		}
	}
	return nil
}

// locales are the languages that Discord has.
var locales = strings.Fields(
	"ar bg cs da de el en-GB en-US es-419 es-ES fi fr he hi hr hu id it ja ko lt nl no pl pt-BR ro ru sv-SE th tr uk vi zh-CN zh-TW",
)

// locale checks a language.
func (f *formError) locale(path, name string) string {
	if !slices.Contains(locales, name) {
		f.add(path, "BASE_TYPE_CHOICES", "Value must be one of ('"+strings.Join(locales, "', '")+"').")
	}
	return name
}

// localized checks texts by language with a check for each.
func (f *formError) localized(path string, texts map[string]string, check func(path, text string)) {
	for name, text := range texts {
		f.locale(at(path, name), name)
		check(at(path, name), text)
	}
}

// called finds the command of the same kind and name.
func called(list []*Command, cmd *Command) int {
	return slices.IndexFunc(list, func(o *Command) bool { return o.Type == cmd.Type && o.Name == cmd.Name })
}

// createCommand makes a command, in the place of the one of the same name.
func (s *Sandbox) createCommand(c *call) (any, error) {
	scope, err := s.commanding(c)
	if err != nil {
		return nil, err
	}
	cmd := newCommand()
	if err := c.decode(cmd); err != nil {
		return nil, err
	}
	var f formError
	if cmd.check(&f, ""); f.err() != nil {
		return nil, f.err()
	}
	list := slices.Clone(s.commands[scope])
	id := ID(0)
	if i := called(list, cmd); i >= 0 {
		id = list[i].ID
		list[i] = cmd
		c.status = http.StatusOK
	} else {
		list = append(list, cmd)
	}
	if err := tooMany(list); err != nil {
		return nil, err
	}
	s.keep(cmd, scope, id)
	s.commands[scope] = list
	return cmd, nil
}

// setCommands replaces all commands; those of the same name keep their ids.
func (s *Sandbox) setCommands(c *call) (any, error) {
	scope, err := s.commanding(c)
	if err != nil {
		return nil, err
	}
	var bodies []json.RawMessage
	if err := c.decode(&bodies); err != nil {
		return nil, err
	}
	list := []*Command{}
	var f formError
	for i, body := range bodies {
		cmd := newCommand()
		wrong := f.count
		if bytes.Equal(body, []byte("null")) {
			f.required(fmt.Sprint(i))
		} else if err := f.decode(fmt.Sprint(i), body, cmd); err != nil {
			return nil, err
		}
		if f.count > wrong {
			continue
		}
		cmd.check(&f, fmt.Sprint(i))
		if called(list, cmd) >= 0 && f.clean(fmt.Sprint(i)) {
			f.add(fmt.Sprint(i), "APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")
		}
		list = append(list, cmd)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	if err := tooMany(list); err != nil {
		return nil, err
	}
	old := s.commands[scope]
	for _, cmd := range list {
		id := ID(0)
		if i := called(old, cmd); i >= 0 {
			id = old[i].ID
		}
		s.keep(cmd, scope, id)
	}
	s.commands[scope] = list
	return list, nil
}

func (s *Sandbox) editCommand(c *call) (any, error) {
	scope, i, err := s.oneCommand(c)
	if err != nil {
		return nil, err
	}
	old := s.commands[scope][i]
	cmd := *old
	// Decoding must not write into what the old one has.
	if c.has("options") {
		cmd.Options = nil
	}
	if c.has("name_localizations") {
		cmd.Names = nil
	}
	if c.has("description_localizations") {
		cmd.Descriptions = nil
	}
	if err := c.decode(&cmd); err != nil {
		return nil, err
	}
	cmd.Type = old.Type
	var f formError
	if cmd.check(&f, ""); f.err() != nil {
		return nil, f.err()
	}
	if j := called(s.commands[scope], &cmd); j >= 0 && j != i {
		return nil, invalid("name", "APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")
	}
	s.keep(&cmd, scope, old.ID)
	s.commands[scope] = slices.Clone(s.commands[scope])
	s.commands[scope][i] = &cmd
	return &cmd, nil
}
