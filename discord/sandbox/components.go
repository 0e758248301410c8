package sandbox

import (
	"fmt"
	"maps"
	"unicode/utf8"
)

// Component types that may stand at the top of a message.
// See https://discord.com/developers/docs/components/reference.
const (
	componentActionRow = 1
	componentButton    = 2
	componentText      = 10
)

// topLevelV2 may stand at the top of a message with FlagComponentsV2.
var topLevelV2 = map[int]bool{1: true, 9: true, 10: true, 12: true, 13: true, 14: true, 17: true}

// composeComponents checks what is common to all components, their nesting
// and numbers, and gives each an id as Discord does.
func composeComponents(f *formError, in []map[string]any, v2 bool) []map[string]any {
	if len(in) == 0 {
		return nil
	}
	if !v2 && len(in) > 5 {
		f.add("components", "BASE_TYPE_MAX_LENGTH", "Must be 5 or fewer in length.")
		return nil
	}
	w := componentWalk{formError: f, taken: map[int]bool{}}
	out := make([]map[string]any, len(in))
	for i, component := range in {
		at := join("components", i)
		kind, _ := component["type"].(float64)
		if !v2 && kind != componentActionRow || v2 && !topLevelV2[int(kind)] {
			f.add(at+".type", "BASE_TYPE_CHOICES", "Value must be one of (1,).")
		}
		out[i] = w.component(at, component)
	}
	if w.count > 40 {
		f.add("components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", "The total number of components exceeds 40.")
	}
	return out
}

type componentWalk struct {
	*formError
	count, last int
	taken       map[int]bool
}

func (w *componentWalk) component(at string, in map[string]any) map[string]any {
	w.count++
	out := maps.Clone(in)
	if out == nil {
		w.required(at)
		return nil
	}
	if id, _ := out["id"].(float64); id > 0 {
		w.taken[int(id)] = true
		out["id"] = int(id)
	} else {
		for w.last++; w.taken[w.last]; w.last++ {
		}
		out["id"] = w.last
	}
	kind, ok := out["type"].(float64)
	if !ok {
		w.required(at + ".type")
	}
	switch int(kind) {
	case componentActionRow:
		n := 0
		if children, ok := out["components"].([]any); ok {
			n = len(children)
		}
		if n < 1 || n > 5 {
			w.add(at+".components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
		}
	case componentButton:
		w.button(at, out)
	case componentText:
		if text, _ := out["content"].(string); text == "" {
			w.required(at + ".content")
		}
	case 3, 5, 6, 7, 8:
		w.text(at, out, "custom_id", 100, true)
		w.text(at, out, "placeholder", 150, false)
	}
	for _, key := range []string{"components", "items"} {
		if children, ok := out[key].([]any); ok && key == "components" {
			list := make([]any, len(children))
			for i, child := range children {
				object, _ := child.(map[string]any)
				list[i] = w.component(join(at+"."+key, i), object)
			}
			out[key] = list
		}
	}
	if accessory, ok := out["accessory"].(map[string]any); ok {
		out["accessory"] = w.component(at+".accessory", accessory)
	}
	return out
}

func (w *componentWalk) button(at string, b map[string]any) {
	style, _ := b["style"].(float64)
	switch {
	case style == 0:
		w.required(at + ".style")
	case style < 1 || style > 6:
		w.add(at+".style", "BASE_TYPE_CHOICES", "Value must be one of (1, 2, 3, 4, 5, 6).")
	case style == 5:
		if link, _ := b["url"].(string); link == "" {
			w.required(at + ".url")
		}
	case style < 5:
		w.text(at, b, "custom_id", 100, true)
	}
	w.text(at, b, "label", 80, false)
}

func (w *componentWalk) text(at string, b map[string]any, key string, most int, must bool) {
	text, _ := b[key].(string)
	switch n := utf8.RuneCountInString(text); {
	case n == 0 && must:
		w.required(at + "." + key)
	case n > most:
		w.add(at+"."+key, "BASE_TYPE_MAX_LENGTH", fmt.Sprintf("Must be %d or fewer in length.", most))
	}
}
