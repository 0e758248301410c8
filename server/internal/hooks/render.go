package hooks

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"
	"unicode/utf8"

	"discordproxy/server/internal/plainhttp"

	"go.yaml.in/yaml/v4"
)

// Templates are the templates by which payloads become messages. They are safe
// for concurrent use.
type Templates struct{ byName map[string]*rendering }

// rendering is one template.
type rendering struct {
	name     string
	template *template.Template
	// plain is whether it writes the content of a message, instead of a message
	// in YAML.
	plain bool
}

//go:embed templates
var builtIn embed.FS

// BuiltIn returns the built-in templates.
var BuiltIn = sync.OnceValue(func() *Templates {
	t, err := NewTemplates(nil)
	if err != nil {
		panic(err) // a test reads them
	}
	return t
})

// NewTemplates adds templates to the built-in ones, or replaces those. files
// holds the text of each by the name of its file: NAME.yaml writes a message as
// YAML or JSON, and NAME.txt the content of one. Errors name
// the file.
func NewTemplates(files map[string]string) (*Templates, error) {
	entries, err := builtIn.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	t := &Templates{byName: make(map[string]*rendering)}
	standard := template.New("").Funcs(functions)
	for _, entry := range entries {
		data, err := builtIn.ReadFile("templates/" + entry.Name())
		if err != nil {
			return nil, err
		}
		if err := t.parse(standard, entry.Name(), string(data)); err != nil {
			return nil, err
		}
	}
	// Built-in templates use parts of each other, which a replacement neither
	// removes nor changes.
	own, err := standard.Clone()
	if err != nil {
		return nil, err
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		extension := path.Ext(file)
		name := strings.TrimSuffix(file, extension)
		if extension != ".yaml" && extension != ".txt" || !properName.MatchString(name) {
			return nil, fmt.Errorf("template %s: a file must be called NAME.yaml or NAME.txt, with a name of letters, digits and . _ -", file)
		}
		other := name + map[string]string{".yaml": ".txt", ".txt": ".yaml"}[extension]
		if _, twice := files[other]; twice {
			return nil, fmt.Errorf("template %s: there is %s as well", file, other)
		}
		if err := t.parse(own, file, files[file]); err != nil {
			return nil, err
		}
	}
	counted := make(map[*parse.ListNode]bool) // the sets share trees
	for _, part := range append(standard.Templates(), own.Templates()...) {
		if part.Tree != nil && !counted[part.Root] {
			counted[part.Root] = true
			countSteps(part.Root)
		}
	}
	return t, nil
}

// parse adds a template to a set, and replaces that of the same name.
func (t *Templates) parse(set *template.Template, file, text string) error {
	parsed, err := set.New(file).Parse(text)
	if err != nil {
		return fmt.Errorf("template %s: %w", file, err)
	}
	extension := path.Ext(file)
	name := strings.TrimSuffix(file, extension)
	t.byName[name] = &rendering{name, parsed, extension == ".txt"}
	return nil
}

// countSteps makes each part of a template begin with an empty text, which is
// written when the part is executed. What is written can be limited; how often a
// range or a recursive template repeats cannot.
func countSteps(n parse.Node) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, inner := range n.Nodes {
			countSteps(inner)
		}
		n.Nodes = append([]parse.Node{&parse.TextNode{NodeType: parse.NodeText}}, n.Nodes...)
	case *parse.IfNode:
		countSteps(n.List)
		countSteps(n.ElseList)
	case *parse.RangeNode:
		countSteps(n.List)
		countSteps(n.ElseList)
	case *parse.WithNode:
		countSteps(n.List)
		countSteps(n.ElseList)
	}
}

// Names returns the names of the templates, sorted.
func (t *Templates) Names() []string { return slices.Sorted(maps.Keys(t.byName)) }

func (t *Templates) find(name string) *rendering { return t.byName[name] }

// render makes a message of a payload.
func (h *Hook) render(p *payload) (*message, error) {
	r := h.template
	if r == nil {
		r = h.templates.find(p.format)
	}
	if r != nil {
		return r.render(h, p)
	}
	object, ok := p.data.(map[string]any)
	if !ok {
		return nil, badField("the payload", "an object of JSON for format "+p.format)
	}
	var m *message
	var err error
	if p.format == formatSlack {
		m, err = fromSlack(object)
	} else {
		m, err = newMessage(object)
	}
	if err == nil && h.target.webhook == 0 && m.fields["components"] != nil {
		// A button with the custom_id of another program would be the bot's.
		return nil, &plainhttp.Refusal{Status: http.StatusBadRequest, Text: "components need a webhook as the target of the hook"}
	}
	return m, err
}

// input is the data of a template.
type input struct {
	Hook, Format, Event string
	Payload             any
}

// maxOutput limits what a template writes, in bytes, and maxSteps how often it
// does.
const (
	maxOutput = 1 << 20
	maxSteps  = 200_000
)

type limitedBuffer struct {
	bytes.Buffer
	steps int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.steps++; b.steps > maxSteps {
		return 0, fmt.Errorf("it takes more than %d steps", maxSteps)
	}
	if b.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("it writes more than %d bytes", maxOutput)
	}
	return b.Buffer.Write(p)
}

func (r *rendering) render(h *Hook, p *payload) (*message, error) {
	var out limitedBuffer
	if err := r.template.Execute(&out, input{h.Name, p.format, p.event, p.data}); err != nil {
		return nil, r.failed(err)
	}
	written := strings.TrimSpace(out.String())
	if r.plain {
		return newMessage(map[string]any{"content": written})
	}
	if written == "" {
		return newMessage(nil)
	}
	var object map[string]any
	if err := yaml.Load([]byte(written), &object); err != nil {
		return nil, r.failed(fmt.Errorf("it does not write a message in YAML: %w", err))
	}
	m, err := newMessage(object)
	if err != nil {
		return nil, r.failed(err)
	}
	return m, nil
}

func (r *rendering) failed(err error) error {
	return &plainhttp.Refusal{
		Status: http.StatusUnprocessableEntity,
		Text:   cut(fmt.Sprintf("template %s cannot render this payload: %v", r.name, err), 1000),
	}
}

// Colors of embeds.
const (
	colorBad     = 0xE01E5A
	colorWarning = 0xF2A516
	colorGood    = 0x2EB67D
	colorInfo    = 0x3B82F6
	colorNeutral = 0x8B949E
	colorMerged  = 0x8957E5
)

// colors are colors by what payloads call severities and states.
var colors = func() map[string]int {
	all := make(map[string]int)
	for color, names := range map[int]string{
		colorBad: "critical error failure failed fatal emergency page danger disaster alerting down firing high urgent max 5 8 9 10 " +
			"closed timed_out action_required startup_failure",
		colorWarning: "warning warn pending no_data nodata paused 4 6 7 canceled cancelled manual delayed",
		colorGood:    "ok success successful resolved normal good up passed fixed clear open opened reopened reopen created",
		colorInfo:    "info information informational notice none running queued in_progress updated synchronize default 3",
		colorNeutral: "low min debug unknown neutral skipped stale 1 2 deleted draft",
		colorMerged:  "merged merge",
	} {
		for name := range strings.FieldsSeq(names) {
			all[name] = color
		}
	}
	return all
}()

// functions are what templates can call in addition to Go's own. Those that take a value
// take any, nil included, because payloads often lack parts.
var functions = template.FuncMap{
	"printf": printf,
	"q":      func(v any) (string, error) { return quote(text(v)) },
	// inner is q without the quotes, for a part of a text in quotes.
	"inner":   inner,
	"json":    func(v any) (string, error) { return quote(v) },
	"pretty":  pretty,
	"text":    text,
	"get":     get,
	"first":   first,
	"default": func(standard, v any) any { return either(v, standard) },
	"either":  func(list ...any) any { return either(list...) },
	"color":   color,
	"md":      markdown,
	"heading": func(v any) string { return headingSigns.Replace(text(v)) },
	"link":    func(label, address any) string { return linkTo(text(label), text(address)) },
	"url":     func(v any) string { return map[bool]string{true: text(v)}[goodURL(text(v))] },
	"time":    discordTime,
	"cut":     func(limit int, v any) string { return cut(text(v), limit) },
	"line":    func(v any) string { return firstLine(text(v)) },
	"short":   func(v any) string { return fmt.Sprintf("%.7s", text(v)) },
	"branch":  branch,
	"words":   func(v any) string { return strings.ReplaceAll(text(v), "_", " ") },
	"upper":   func(v any) string { return strings.ToUpper(text(v)) },
	"lower":   func(v any) string { return strings.ToLower(text(v)) },
	"title":   func(v any) string { return capital(text(v)) },
	"trim":    func(v any) string { return strings.TrimSpace(text(v)) },
	"replace": func(from, to string, v any) string { return strings.ReplaceAll(text(v), from, to) },
	"join":    join,
	"list":    asList,
	"pairs":   pairs,
	"without": without,
	"count":   func(v any) int { return len(asList(v)) },
	"where":   where,
	"dict":    dict,
	"has":     func(list []any, v any) bool { return slices.Contains(list, v) },
	"items":   func(list ...any) []any { return list },
	"sub":     func(a, b int) int { return a - b },
	// Elements that are not objects would end the template.
	"objects": asObjects,
	"plural":  plural,
}

func quote(v any) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return strings.TrimSuffix(out.String(), "\n"), err
}

func inner(v any) (string, error) {
	quoted, err := quote(text(v))
	return strings.TrimSuffix(strings.TrimPrefix(quoted, `"`), `"`), err
}

// asObjects returns the elements of a list that are objects.
func asObjects(v any) []any {
	var found []any
	for _, element := range asList(v) {
		if _, ok := element.(map[string]any); ok {
			found = append(found, element)
		}
	}
	return found
}

// plural returns the ending of a noun after a number.
func plural(n any) string {
	if text(n) == "1" {
		return ""
	}
	return "s"
}

// printf is Go's, which writes a part that is missing as %!s(<nil>).
func printf(format string, list ...any) string {
	for i, v := range list {
		if v == nil {
			list[i] = ""
		}
	}
	return fmt.Sprintf(format, list...)
}

// pretty returns indented JSON, or the beginning if it is longer than a template may
// write: in lists of many levels, nearly all of it would be spaces.
func pretty(v any) (string, error) {
	compact, err := quote(v)
	var out strings.Builder
	level, quoted := 0, false
	line := func() { out.WriteString("\n" + strings.Repeat("  ", level)) }
	for i := 0; i < len(compact) && out.Len() <= maxOutput; i++ {
		c := compact[i]
		switch {
		case quoted:
			if c == '\\' {
				out.WriteByte(c)
				i++
				c = compact[i]
			} else {
				quoted = c != '"'
			}
		case c == '"':
			quoted = true
		case (c == '}' || c == ']') && compact[i-1] != c-2: // not empty
			level--
			line()
		case c == '}' || c == ']':
			level--
		}
		out.WriteByte(c)
		switch {
		case quoted:
		case c == ':':
			out.WriteByte(' ')
		case c == ',':
			line()
		case c == '{' || c == '[':
			if level++; compact[i+1] != c+2 {
				line()
			}
		}
	}
	return out.String(), err
}

// get returns what is at a path with dots below a value, or nil if there is none.
func get(at string, v any) any {
	for name := range strings.SplitSeq(at, ".") {
		switch inner := v.(type) {
		case map[string]any:
			v = inner[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(inner) {
				return nil
			}
			v = inner[i]
		default:
			return nil
		}
	}
	return v
}

// either returns the first value that is not empty.
func either(list ...any) any {
	for _, v := range list {
		if truth, _ := template.IsTrue(v); truth {
			return v
		}
	}
	return nil
}

// first returns the beginning of a list.
func first(limit int, v any) []any {
	list := asList(v)
	return list[:min(max(limit, 0), len(list))]
}

// asList returns a list, of one element if v is not one.
func asList(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

// color returns the color for the first severity or state that has one.
func color(list ...any) int {
	for _, v := range list {
		if c, ok := colors[strings.ToLower(text(v))]; ok {
			return c
		}
	}
	return colorNeutral
}

var markdownSigns = strings.NewReplacer(
	`\`, `\\`, "*", `\*`, "_", `\_`, "~", `\~`, "`", "\\`", "|", `\|`, "[", `\[`, "]", `\]`, "<", `\<`,
)

// headingSigns are those that count in the title of an embed, where there are no
// links.
var headingSigns = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "~", `\~`, "`", "\\`")

// markdown shows a text as it is in Markdown.
func markdown(v any) string { return markdownSigns.Replace(text(v)) }

// linkTo returns a link in Markdown, or the label alone if Discord would not make
// a link of it.
func linkTo(label, address string) string {
	if !goodURL(address) || strings.ContainsAny(address, "()") {
		return markdown(label)
	}
	return "[" + markdown(label) + "](" + address + ")"
}

// discordTime returns a time as every reader sees it in their own zone. Styles
// are R, f, t and others. It is empty for what is no time.
// https://discord.com/developers/docs/reference#message-formatting-timestamp-styles
func discordTime(style string, v any) string {
	t, ok := timeOf(v)
	if !ok {
		return ""
	}
	return fmt.Sprintf("<t:%d:%s>", t.Unix(), style)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(line)
}

// branch returns the name in a reference of Git.
func branch(v any) string {
	return strings.TrimPrefix(strings.TrimPrefix(text(v), "refs/heads/"), "refs/tags/")
}

func capital(s string) string {
	if s == "" {
		return ""
	}
	_, size := utf8.DecodeRuneInString(s)
	return strings.ToUpper(s[:size]) + s[size:]
}

func join(separator string, v any) string {
	var parts []string
	for _, element := range asList(v) {
		parts = append(parts, text(element))
	}
	return strings.Join(parts, separator)
}

// pair is one element of an object.
type pair struct {
	Key   string
	Value any
}

// pairs returns the elements of an object in the order of their keys.
func pairs(v any) []pair {
	object, _ := v.(map[string]any)
	var list []pair
	for _, key := range slices.Sorted(maps.Keys(object)) {
		list = append(list, pair{key, object[key]})
	}
	return list
}

// without returns an object without some keys, the last argument.
func without(arguments ...any) (map[string]any, error) {
	if len(arguments) == 0 {
		return nil, errors.New("without needs an object")
	}
	object, _ := arguments[len(arguments)-1].(map[string]any)
	kept := maps.Clone(object)
	for _, key := range arguments[:len(arguments)-1] {
		if object, ok := key.(map[string]any); ok {
			for name := range object {
				delete(kept, name)
			}
			continue
		}
		delete(kept, text(key))
	}
	return kept, nil
}

// where returns the elements of a list whose field has a value.
func where(field string, want, v any) []any {
	var found []any
	for _, element := range asObjects(v) {
		if get(field, element) == want {
			found = append(found, element)
		}
	}
	return found
}

// dict returns an object of keys and values that take turns.
func dict(list ...any) (map[string]any, error) {
	if len(list)%2 != 0 {
		return nil, errors.New("dict needs keys and values")
	}
	object := make(map[string]any)
	for i := 0; i < len(list); i += 2 {
		object[text(list[i])] = list[i+1]
	}
	return object, nil
}
