package sandbox

import (
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// Component types that other parts of the sandbox know.
// See https://discord.com/developers/docs/components/reference.
const (
	componentActionRow = 1
	componentButton    = 2
	componentText      = 10
)

// Which types may stand where.
var (
	topLevel   = []int{1}
	topLevelV2 = []int{1, 9, 10, 12, 13, 14, 17}
	childTypes = map[int][]int{
		1:  {2, 3, 5, 6, 7, 8},
		9:  {10},
		17: {1, 9, 10, 12, 13, 14},
	}
	accessoryTypes = []int{2, 11}
)

// part is one key of a component.
type part struct {
	key         string
	kind        partKind
	least, most int
	must        bool
}

type partKind int

const (
	partText   partKind = iota // of that many characters
	partNumber                 // in that range
	partList                   // of that many objects
	partMedia                  // an object with a url
)

var (
	customID    = part{key: "custom_id", most: 100, must: true}
	description = part{key: "description", most: 1024}
	selectParts = []part{
		customID,
		{key: "placeholder", most: 150},
		{key: "min_values", kind: partNumber, most: 25},
		{key: "max_values", kind: partNumber, least: 1, most: 25},
		{key: "default_values", kind: partList, most: 25},
	}
	optionParts = []part{
		{key: "label", most: 100, must: true}, {key: "value", most: 100, must: true}, {key: "description", most: 100},
	}
	galleryParts = []part{{key: "media", kind: partMedia, must: true}, description}

	// componentParts are the keys of each type of component that a message can
	// hold, but for those that are components themselves.
	componentParts = map[int][]part{
		1:  {{key: "components", kind: partList, least: 1, most: 5, must: true}},
		2:  {{key: "label", most: 80}},
		3:  append(slices.Clone(selectParts), part{key: "options", kind: partList, least: 1, most: 25, must: true}),
		5:  selectParts,
		6:  selectParts,
		7:  selectParts,
		8:  selectParts,
		9:  {{key: "components", kind: partList, least: 1, most: 3, must: true}},
		10: {{key: "content", most: 4000, must: true}},
		11: {{key: "media", kind: partMedia, must: true}, description},
		12: {{key: "items", kind: partList, least: 1, most: 10, must: true}},
		13: {{key: "file", kind: partMedia, must: true}},
		14: {{key: "spacing", kind: partNumber, least: 1, most: 2}},
		17: {{key: "components", kind: partList, must: true, least: 1, most: 40}, {key: "accent_color", kind: partNumber, most: 0xFFFFFF}},
	}
)

// composeComponents checks components, their nesting and numbers, and gives
// each an id as Discord does.
func composeComponents(f *formError, in []map[string]any, v2 bool) []map[string]any {
	if len(in) == 0 {
		return nil
	}
	if !v2 && len(in) > 5 {
		f.add("components", "BASE_TYPE_MAX_LENGTH", "Must be 5 or fewer in length.")
		return nil
	}
	w := componentWalk{formError: f, taken: map[int]bool{}, customIDs: map[string]bool{}}
	allowed := topLevel
	if v2 {
		allowed = topLevelV2
	}
	out := make([]map[string]any, len(in))
	for i, component := range in {
		out[i] = w.component(join("components", i), component, allowed)
	}
	if w.count > 40 {
		f.add("components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", "The total number of components exceeds 40.")
	}
	if w.text > 4000 {
		f.add("components", "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", "The total size of displayable text in components exceeds maximum size of 4000")
	}
	return out
}

type componentWalk struct {
	*formError
	count, last, text int
	taken             map[int]bool
	customIDs         map[string]bool
}

// tuple writes numbers as Python does.
func tuple(list []int) string {
	if len(list) == 1 {
		return fmt.Sprintf("(%d,)", list[0])
	}
	text := ""
	for i, n := range list {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprint(n)
	}
	return "(" + text + ")"
}

func (w *componentWalk) component(at string, in map[string]any, allowed []int) map[string]any {
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
	number, ok := out["type"].(float64)
	kind := int(number)
	switch {
	case !ok:
		w.required(at + ".type")
		return out
	case !slices.Contains(allowed, kind):
		w.add(at, "UNION_TYPE_CHOICES", `Value of field "type" must be one of `+tuple(allowed)+".")
		return out
	}
	w.parts(at, out, componentParts[kind])
	switch kind {
	case componentActionRow:
		w.row(at, out)
	case componentButton:
		w.button(at, out)
	case componentText:
		text, _ := out["content"].(string)
		w.text += utf8.RuneCountInString(text)
	case 3:
		w.each(at+".options", out["options"], optionParts)
	case 12:
		w.each(at+".items", out["items"], galleryParts)
	case 9:
		if accessory, ok := out["accessory"].(map[string]any); ok {
			out["accessory"] = w.component(at+".accessory", accessory, accessoryTypes)
		} else {
			w.required(at + ".accessory")
		}
	}
	if id, _ := out["custom_id"].(string); id != "" {
		if w.customIDs[id] {
			w.add(at+".custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")
		}
		w.customIDs[id] = true
	}
	if children, ok := out["components"].([]any); ok && childTypes[kind] != nil {
		list := make([]any, len(children))
		for i, child := range children {
			object, _ := child.(map[string]any)
			list[i] = w.component(join(at+".components", i), object, childTypes[kind])
		}
		out["components"] = list
	}
	return out
}

// parts checks the keys of an object.
func (w *componentWalk) parts(at string, o map[string]any, parts []part) {
	for _, p := range parts {
		at, value := at+"."+p.key, o[p.key]
		if value == nil {
			if p.must {
				w.required(at)
			}
			continue
		}
		switch v := value.(type) {
		case string:
			switch n := utf8.RuneCountInString(v); {
			case n == 0 && p.must:
				w.required(at)
			case n > p.most:
				w.add(at, "BASE_TYPE_MAX_LENGTH", fmt.Sprintf("Must be %d or fewer in length.", p.most))
			}
		case float64:
			w.between(at, int(v), p.least, p.most)
		case []any:
			switch n := len(v); {
			case n >= p.least && n <= p.most:
			case p.least == 0:
				w.add(at, "BASE_TYPE_MAX_LENGTH", fmt.Sprintf("Must be %d or fewer in length.", p.most))
			default:
				w.add(at, "BASE_TYPE_BAD_LENGTH", fmt.Sprintf("Must be between %d and %d in length.", p.least, p.most))
			}
		case map[string]any:
			w.parts(at, v, []part{{key: "url", most: 2048, must: true}})
		}
		if !p.fits(value) {
			w.add(at, "MODEL_TYPE_CONVERT", "Only values of another form may be used here.")
		}
	}
}

// fits reports whether a value has the form of the part.
func (p part) fits(value any) (ok bool) {
	switch p.kind {
	case partText:
		_, ok = value.(string)
	case partNumber:
		_, ok = value.(float64)
	case partList:
		_, ok = value.([]any)
	case partMedia:
		_, ok = value.(map[string]any)
	}
	return ok
}

func (w *componentWalk) each(at string, list any, parts []part) {
	elements, _ := list.([]any)
	for i, element := range elements {
		object, _ := element.(map[string]any)
		w.parts(join(at, i), object, parts)
	}
}

// row checks that a select stands alone: it is as wide as five buttons.
func (w *componentWalk) row(at string, row map[string]any) {
	children, _ := row["components"].([]any)
	width := 0
	for i, child := range children {
		object, _ := child.(map[string]any)
		if kind, _ := object["type"].(float64); kind == componentButton {
			width++
		} else {
			width += 5
		}
		if width > 5 && len(children) <= 5 {
			w.add(join(at+".components", i), "COMPONENT_LAYOUT_WIDTH_EXCEEDED", "The specified component exceeds the maximum width")
		}
	}
}

// button checks what the style of a button needs. Style 5 is a link, 6 for
// sale.
func (w *componentWalk) button(at string, b map[string]any) {
	style, ok := b["style"].(float64)
	need := customID
	switch {
	case !ok:
		w.required(at + ".style")
		return
	case style < 1 || style > 6:
		w.add(at+".style", "BASE_TYPE_CHOICES", "Value must be one of (1, 2, 3, 4, 5, 6).")
		return
	case style == 5:
		need = part{key: "url", most: 512, must: true}
	case style == 6:
		if b["sku_id"] == nil {
			w.required(at + ".sku_id")
		}
		return
	}
	w.parts(at, b, []part{need})
}
