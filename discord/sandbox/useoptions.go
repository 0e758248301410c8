package sandbox

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// usedOptions checks the options of a command's use against those that the command
// has, as Discord's client does, and completes their types. typing is whether they are
// still being typed, for an autocompletion: then some may be missing or unfinished.
func usedOptions(of string, has []CommandOption, given json.RawMessage, typing bool) ([]map[string]any, error) {
	var used []map[string]any
	if len(given) > 0 && json.Unmarshal(given, &used) != nil {
		return nil, cannot("the options of %q are no list of objects", of)
	}
	names := map[string]bool{}
	for _, o := range used {
		name, _ := o["name"].(string)
		i := slices.IndexFunc(has, func(declared CommandOption) bool { return declared.Name == name })
		switch {
		case i < 0:
			return nil, cannot("%q has no option %q", of, name)
		case names[name]:
			return nil, cannot("the option %q of %q is there twice", name, of)
		}
		names[name] = true
		declared := &has[i]
		if kind, ok := wholeOf(o["type"]); o["type"] != nil && (!ok || kind != declared.Type) {
			return nil, cannot("the option %q of %q has the type %d, not %v", name, of, declared.Type, o["type"])
		}
		o["type"] = declared.Type
		if declared.Type == optionSubcommand || declared.Type == optionGroup {
			inner, err := usedOptions(of+" "+name, declared.Options, mustJSON(o["options"]), typing)
			if err != nil {
				return nil, err
			}
			o["options"] = orEmpty(inner)
			continue
		}
		if o["focused"] == true && typing {
			continue
		}
		if why := declared.refuses(o["value"]); why != "" {
			return nil, cannot("the option %q of %q takes %s, not %v", name, of, why, o["value"])
		}
	}
	for i := range has {
		switch declared := &has[i]; {
		case declared.Type <= optionGroup && len(used) != 1:
			return nil, cannot("%q needs one of its subcommands", of)
		case declared.Required && !names[declared.Name] && !typing:
			return nil, cannot("the option %q of %q is required", declared.Name, of)
		}
	}
	return used, nil
}

// refuses returns what the option takes instead of a value, or "" if it takes the value.
func (o *CommandOption) refuses(value any) string {
	text, isText := value.(string)
	number, isNumber := value.(float64)
	length := utf8.RuneCountInString(text)
	least, errLeast := o.MinValue.Float64()
	most, errMost := o.MaxValue.Float64()
	switch {
	case o.Type == optionString && !isText:
		return "text"
	case o.Type == optionString && (o.MinLength != nil && length < *o.MinLength || o.MaxLength != nil && length > *o.MaxLength):
		return "text of another length"
	case o.Type == optionInteger && (!isNumber || number != math.Trunc(number)):
		return "an integer"
	case o.Type == optionNumber && !isNumber:
		return "a number"
	case isNumber && errLeast == nil && number < least:
		return "at least " + o.MinValue.String()
	case isNumber && errMost == nil && number > most:
		return "at most " + o.MaxValue.String()
	case o.Type == optionBoolean:
		if _, ok := value.(bool); !ok {
			return "true or false"
		}
	case o.Type >= optionUser && o.Type <= optionMention:
		if _, err := strconv.ParseUint(text, 10, 64); err != nil {
			return "an ID as text"
		}
	}
	chosen := func(c commandChoice) bool { return string(mustJSON(c.Value)) == string(mustJSON(value)) }
	if len(o.Choices) > 0 && !slices.ContainsFunc(o.Choices, chosen) {
		return "one of its choices"
	}
	return ""
}
