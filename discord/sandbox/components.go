package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Component types that other parts of the sandbox know.
// See https://discord.com/developers/docs/components/reference.
const (
	componentActionRow  = 1
	componentButton     = 2
	componentSelect     = 3
	componentInput      = 4
	componentUsers      = 5
	componentRoles      = 6
	componentMentions   = 7
	componentChannels   = 8
	componentText       = 10
	componentFile       = 13
	componentLabel      = 18
	componentUpload     = 19
	componentRadio      = 21
	componentCheckboxes = 22
	componentCheckbox   = 23
)

// Which types may stand where.
var (
	topLevel   = []int{1}
	topLevelV2 = []int{1, 9, 10, 12, 13, 14, 17}
	topModal   = []int{1, 10, 18}
	childTypes = map[int][]int{
		1:  {2, 3, 5, 6, 7, 8},
		9:  {10},
		17: {1, 9, 10, 12, 13, 14},
	}
	childTypesModal = map[int][]int{1: {4}}
	accessoryTypes  = []int{2, 11}
	labelledTypes   = []int{3, 4, 5, 6, 7, 8, 19, 21, 22, 23}
)

// part is one key of a component.
type part struct {
	key         string
	kind        partKind
	least, most int
	must        bool
	or          any // what Discord answers when it is not given; nil leaves the key out
}

type partKind int

const (
	partText   partKind = iota // of that many characters
	partNumber                 // in that range
	partBool
	partList    // of that many objects
	partNumbers // at most so many
	partMedia   // an object with a url
)

// null is a part's default that is answered as null.
var null = json.RawMessage("null")

var (
	customID    = part{key: "custom_id", most: 100, must: true}
	description = part{key: "description", most: 1024, or: null}
	disabled    = part{key: "disabled", kind: partBool}
	spoiler     = part{key: "spoiler", kind: partBool, or: false}
	required    = part{key: "required", kind: partBool}
	selectParts = []part{
		customID,
		{key: "placeholder", most: 150},
		{key: "min_values", kind: partNumber, most: 25, or: 1},
		{key: "max_values", kind: partNumber, least: 1, most: 25, or: 1},
		{key: "default_values", kind: partList, most: 25},
		disabled, required,
	}
	optionParts = []part{
		{key: "label", most: 100, must: true},
		{key: "value", most: 100, must: true},
		{key: "description", most: 100},
		{key: "default", kind: partBool},
	}
	galleryParts = []part{{key: "media", kind: partMedia, must: true}, description, spoiler}

	// componentParts are the keys of each type of component, but for those that
	// are components themselves.
	componentParts = map[int][]part{
		1:  {{key: "components", kind: partList, least: 1, most: 5, must: true}},
		2:  {{key: "label", most: 80}, {key: "style", kind: partNumber, least: 1, most: 6, must: true}, disabled},
		3:  append(slices.Clone(selectParts), part{key: "options", kind: partList, least: 1, most: 25, must: true}),
		5:  selectParts,
		6:  selectParts,
		7:  selectParts,
		8:  append(slices.Clone(selectParts), part{key: "channel_types", kind: partNumbers, most: 25}),
		9:  {{key: "components", kind: partList, least: 1, most: 3, must: true}},
		10: {{key: "content", most: 4000, must: true}},
		11: {{key: "media", kind: partMedia, must: true}, description, spoiler},
		12: {{key: "items", kind: partList, least: 1, most: 10, must: true}},
		13: {{key: "file", kind: partMedia, must: true}, spoiler},
		14: {{key: "spacing", kind: partNumber, least: 1, most: 2, or: 1}, {key: "divider", kind: partBool, or: true}},
		17: {
			{key: "components", kind: partList, must: true, least: 1, most: 40},
			{key: "accent_color", kind: partNumber, most: 0xFFFFFF, or: null},
			spoiler,
		},
		componentInput: {
			customID,
			{key: "style", kind: partNumber, least: 1, most: 2, must: true},
			{key: "label", most: 45},
			{key: "value", most: 4000},
			{key: "placeholder", most: 100},
			{key: "min_length", kind: partNumber, most: 4000},
			{key: "max_length", kind: partNumber, least: 1, most: 4000},
			required,
		},
		componentLabel: {{key: "label", most: 45, must: true}, {key: "description", most: 100}},
		componentUpload: {
			customID,
			{key: "min_values", kind: partNumber, most: 10, or: 1},
			{key: "max_values", kind: partNumber, least: 1, most: 10, or: 1},
			required,
		},
		componentRadio: {customID, {key: "options", kind: partList, least: 2, most: 10, must: true}, required},
		componentCheckboxes: {
			customID,
			{key: "options", kind: partList, least: 1, most: 10, must: true},
			{key: "min_values", kind: partNumber, most: 10},
			{key: "max_values", kind: partNumber, least: 1, most: 10},
			required,
		},
		componentCheckbox: {customID, {key: "default", kind: partBool}},
	}
)

// composeComponents checks components, their nesting and numbers, gives each an
// id, and completes them as Discord does. files are the attachments of the
// message.
func (s *Sandbox) composeComponents(f *formError, in []map[string]any, v2 bool, files []Attachment) []map[string]any {
	if len(in) == 0 {
		return nil
	}
	if !v2 && len(in) > 5 {
		f.add("components", "BASE_TYPE_MAX_LENGTH", "Must be 5 or fewer in length.")
		return nil
	}
	allowed := topLevel
	if v2 {
		allowed = topLevelV2
	}
	w := componentWalk{formError: f, children: childTypes, files: files, newID: s.newID, taken: map[int]bool{}, customIDs: map[string]bool{}}
	out := w.all("components", in, allowed)
	if w.count > 40 {
		f.add("components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", "The total number of components exceeds 40.")
	}
	if w.text > 4000 {
		f.add(
			"components",
			"COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
			"The total size of displayable text in components exceeds maximum size of 4000",
		)
	}
	return out
}

// composeModal is composeComponents for a modal's.
func (s *Sandbox) composeModal(f *formError, path string, in []map[string]any) []map[string]any {
	if n := len(in); n < 1 || n > 5 {
		f.add(path, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
		return nil
	}
	w := componentWalk{
		formError: f, modal: true, children: childTypesModal, newID: s.newID, taken: map[int]bool{}, customIDs: map[string]bool{},
	}
	return w.all(path, in, topModal)
}

type componentWalk struct {
	*formError
	modal             bool
	children          map[int][]int
	files             []Attachment
	newID             func() ID
	count, last, text int
	taken             map[int]bool
	customIDs         map[string]bool
}

func (w *componentWalk) all(path string, in []map[string]any, allowed []int) []map[string]any {
	out := make([]map[string]any, len(in))
	for i, component := range in {
		out[i] = w.component(join(path, i), component, allowed)
	}
	return out
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
	if in == nil {
		w.required(at)
		return nil
	}
	out := maps.Clone(in)
	if id, _ := wholeOf(out["id"]); id > 0 {
		w.taken[id] = true
		out["id"] = id
	} else {
		for w.last++; w.taken[w.last]; w.last++ {
		}
		out["id"] = w.last
	}
	kind, ok := wholeOf(out["type"])
	switch {
	case !ok:
		w.required(at + ".type")
		return out
	case !slices.Contains(allowed, kind):
		w.add(at, "UNION_TYPE_CHOICES", `Value of field "type" must be one of `+tuple(allowed)+".")
		return out
	}
	out["type"] = kind
	w.parts(at, out, componentParts[kind])
	switch kind {
	case componentActionRow:
		w.row(at, out)
	case componentButton:
		w.button(at, out)
	case componentText:
		text, _ := out["content"].(string)
		w.text += utf8.RuneCountInString(text)
	case componentSelect, componentRadio, componentCheckboxes:
		out["options"] = w.each(at+".options", out["options"], optionParts)
		w.options(at, out)
	case 12:
		out["items"] = w.each(at+".items", out["items"], galleryParts)
	case componentFile:
		w.file(at, out)
	case 9:
		w.child(at, out, "accessory", accessoryTypes)
	case componentLabel:
		w.child(at, out, "component", labelledTypes)
	}
	if _, picks := selectOptions[kind]; picks || kind == componentSelect {
		w.picks(at, out)
	}
	if id, _ := out["custom_id"].(string); id != "" {
		if w.customIDs[id] {
			w.add(at+".custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")
		}
		w.customIDs[id] = true
	}
	if children, ok := out["components"].([]any); ok && w.children[kind] != nil {
		list := make([]any, len(children))
		for i, child := range children {
			object, _ := child.(map[string]any)
			list[i] = w.component(join(at+".components", i), object, w.children[kind])
		}
		out["components"] = list
	}
	return out
}

// child checks the one component that a key of another holds.
func (w *componentWalk) child(at string, o map[string]any, key string, allowed []int) {
	if child, ok := o[key].(map[string]any); ok {
		o[key] = w.component(at+"."+key, child, allowed)
	} else {
		w.required(at + "." + key)
	}
}

// wholeOf reads an integer, which may be written as text.
func wholeOf(value any) (int, bool) {
	switch v := value.(type) {
	case int:
		return v, true
	case float64:
		return int(v), v == math.Trunc(v)
	case string:
		n, err := strconv.Atoi(v)
		return n, err == nil
	}
	return 0, false
}

// parts checks the keys of an object, and writes them as Discord does.
func (w *componentWalk) parts(at string, o map[string]any, parts []part) {
	maps.DeleteFunc(o, func(_ string, value any) bool { return value == nil })
	for _, p := range parts {
		value := o[p.key]
		switch {
		case value != nil:
			o[p.key] = w.part(at+"."+p.key, value, p)
		case p.must:
			w.required(at + "." + p.key)
		case p.or != nil:
			o[p.key] = p.or
		}
	}
}

// part checks one value and returns it in its own type.
func (w *componentWalk) part(at string, value any, p part) any {
	switch p.kind {
	case partText:
		if number, ok := value.(float64); ok && number == math.Trunc(number) {
			value = strconv.FormatFloat(number, 'f', 0, 64)
		}
		text, ok := value.(string)
		switch n := utf8.RuneCountInString(text); {
		case !ok:
			w.add(at, "STRING_TYPE_CONVERT", "Could not interpret value as string.")
		case n == 0 && p.must:
			w.required(at)
		case n > p.most:
			w.add(at, "BASE_TYPE_MAX_LENGTH", fmt.Sprintf("Must be %d or fewer in length.", p.most))
		}
		return text
	case partNumber:
		number, ok := wholeOf(value)
		if !ok {
			w.add(at, "NUMBER_TYPE_COERCE", fmt.Sprintf(`Value "%v" is not int.`, value))
			return nil
		}
		w.between(at, number, p.least, p.most)
		return number
	case partNumbers:
		list, ok := value.([]any)
		if !ok {
			w.add(at, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
			return nil
		}
		if len(list) > p.most {
			w.add(at, "BASE_TYPE_MAX_LENGTH", fmt.Sprintf("Must be %d or fewer in length.", p.most))
		}
		numbers := make([]any, len(list))
		for i, one := range list {
			number, ok := wholeOf(one)
			if !ok {
				w.add(fmt.Sprintf("%s.%d", at, i), "NUMBER_TYPE_COERCE", fmt.Sprintf(`Value "%v" is not int.`, one))
			}
			numbers[i] = number
		}
		return numbers
	case partBool:
		return w.boolean(at, value)
	case partList:
		list, ok := value.([]any)
		switch n := len(list); {
		case !ok:
			w.add(at, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
		case n >= p.least && n <= p.most:
		case p.least == 0:
			w.add(at, "BASE_TYPE_MAX_LENGTH", fmt.Sprintf("Must be %d or fewer in length.", p.most))
		default:
			w.add(at, "BASE_TYPE_BAD_LENGTH", fmt.Sprintf("Must be between %d and %d in length.", p.least, p.most))
		}
		return value
	}
	return w.media(at, value)
}

func (w *componentWalk) each(at string, list any, parts []part) any {
	elements, ok := list.([]any)
	if !ok {
		return list
	}
	out := make([]any, len(elements))
	for i, element := range elements {
		object, ok := element.(map[string]any)
		if !ok {
			w.add(join(at, i), "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
			continue
		}
		object = maps.Clone(object)
		w.parts(join(at, i), object, parts)
		out[i] = object
	}
	return out
}

// media completes what a component shows: a picture of the web, or an
// attachment of the message, by its name or, in edits, by its address.
func (w *componentWalk) media(at string, value any) any {
	object, ok := value.(map[string]any)
	if !ok {
		w.add(at, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
		return nil
	}
	link, _ := object["url"].(string)
	if link == "" {
		w.required(at + ".url")
		return nil
	}
	name, attached := strings.CutPrefix(link, "attachment://")
	for _, a := range w.files {
		if attached && a.Filename == safeName(name) || a.URL == link {
			out := map[string]any{
				"id":            w.newID(),
				"url":           a.URL,
				"proxy_url":     a.ProxyURL,
				"content_type":  nullString(a.ContentType),
				"attachment_id": a.ID,
			}
			if strings.HasPrefix(a.ContentType, "image/") {
				out["width"], out["height"] = 1, 1
			}
			return out
		}
	}
	if attached {
		w.add(at+".url", "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND", "The referenced attachment "+name+" was not found.")
		return nil
	}
	composer{formError: w.formError, path: at}.url("url", link, true)
	return map[string]any{"id": w.newID(), "url": link, "proxy_url": proxied(link), "content_type": null}
}

// file completes a file component, which can only show an attachment.
func (w *componentWalk) file(at string, o map[string]any) {
	media, _ := o["file"].(map[string]any)
	o["name"], o["size"] = null, null
	for _, a := range w.files {
		if media != nil && media["attachment_id"] == a.ID {
			o["name"], o["size"] = a.Filename, a.Size
			return
		}
	}
	if media != nil {
		w.add(at+".file.url", "URL_TYPE_INVALID_SCHEME", `Scheme "https" is not supported. Scheme must be one of ('attachment',).`)
	}
}

// row checks that a select stands alone: it is as wide as five buttons.
func (w *componentWalk) row(at string, row map[string]any) {
	children, _ := row["components"].([]any)
	width := 0
	for i, child := range children {
		object, _ := child.(map[string]any)
		if kind, _ := wholeOf(object["type"]); kind == componentButton {
			width++
		} else {
			width += 5
		}
		if width > 5 && len(children) <= 5 {
			w.add(join(at+".components", i), "COMPONENT_LAYOUT_WIDTH_EXCEEDED", "The specified component exceeds the maximum width")
		}
	}
}

// options checks that the options differ.
func (w *componentWalk) options(at string, o map[string]any) {
	options, _ := o["options"].([]any)
	taken := map[any]bool{}
	for i, option := range options {
		object, _ := option.(map[string]any)
		value := object["value"]
		if value != nil && taken[value] {
			w.add(join(at+".options", i), "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", "The specified option value is already used")
		}
		taken[value] = true
	}
}

// picks checks how many values a select takes. It needs as many options as can be
// picked, and one that is required cannot do with none. Only in modals, a select is
// required by default.
func (w *componentWalk) picks(at string, o map[string]any) {
	least, _ := o["min_values"].(int)
	most, known := o["max_values"].(int)
	if !known || most < 1 || most > 25 {
		return
	}
	if least > most && least <= 25 {
		w.between(at+".min_values", least, 0, most)
	}
	if options, ok := o["options"].([]any); ok && len(options) > 0 && len(options) < most {
		w.add(at+".options", "BASE_TYPE_BAD_LENGTH", fmt.Sprintf("Must be between %d and 25 in length.", most))
	}
	if required, stated := o["required"].(bool); least == 0 && (required || !stated && w.modal) {
		w.add(at+".min_values", "SELECT_COMPONENT_REQUIRED_ZERO_MIN_VALUES", "Select menus marked as required cannot have a min_values of 0")
	}
}

// button checks what the style of a button needs. Style 5 is a link, 6 for
// sale.
func (w *componentWalk) button(at string, b map[string]any) {
	need := customID
	switch style, _ := b["style"].(int); style {
	case 0:
		return
	case 5:
		need = part{key: "url", most: 512, must: true}
	case 6:
		if b["sku_id"] == nil {
			w.required(at + ".sku_id")
		}
		return
	}
	w.parts(at, b, []part{need})
}
