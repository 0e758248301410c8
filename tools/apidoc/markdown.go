package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"regexp"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

//go:embed intro.md
var intro string

// markdown is the documentation in Markdown while it is written.
type markdown struct {
	bytes.Buffer
	*definitions
}

// writeMarkdown writes the documentation for readers of the repository.
func writeMarkdown(c *definitions) ([]byte, error) {
	p := &markdown{definitions: c}
	p.printf("%s\n", strings.TrimSpace(intro))
	for i, s := range c.services {
		about := fmt.Sprintf("\n%s\n\n%s\n", s.about, text(comment(s)))
		if i == 0 {
			p.printf("%s\n## Methods\n\n", about)
		} else {
			p.printf("\n## %s\n%s\n", s.Name(), about)
		}
		for _, m := range s.methods {
			p.printf("- [%s](#%s) %s\n", m.Name(), anchor(m.Name()), cell(m.does()))
		}
		for _, m := range s.methods {
			if err := p.method(m); err != nil {
				return nil, fmt.Errorf("%s: %w", m.Name(), err)
			}
		}
	}
	p.printf("\n## Messages\n")
	for _, d := range c.types {
		if c.talk[d.FullName()] == "" { // those are next to their method
			p.declaration(d)
		}
	}
	return linked(p.Bytes()), nil
}

// bareURL is an address in prose, behind a space or at the beginning of a line.
var bareURL = regexp.MustCompile(`(?m)(^| )(https?://[^\s<>|]*[^\s<>|.,;:)])`)

// linked returns a document whose addresses are links, outside of code.
func linked(document []byte) []byte {
	var out []byte
	code := false
	for line := range bytes.Lines(document) {
		fence := bytes.HasPrefix(bytes.TrimSpace(line), []byte("```"))
		if code = code != fence; !code && !fence {
			line = bareURL.ReplaceAll(line, []byte("$1<$2>"))
		}
		out = append(out, line...)
	}
	return out
}

func (p *markdown) printf(format string, args ...any) { _, _ = fmt.Fprintf(p, format, args...) }

func (p *markdown) method(m method) error {
	p.printf("\n### %s\n\n%s\n", m.Name(), m.about)
	if len(m.facts) > 0 {
		p.printf("\n%s\n", bullets(m.facts))
	}
	request, response := "Request", "Response"
	if m.IsStreamingServer() {
		response = "Responses, any number of them"
	}
	if m.IsStreamingClient() {
		request = "Requests, any number of them"
	}
	p.fields(request, m.Input())
	p.fields(response, m.Output())
	python, err := pythonOf(m.example)
	if err != nil {
		return fmt.Errorf("the example: %w", err)
	}
	p.printf("\n```sh\n%s\n```\n", m.curl())
	if m.IsStreamingClient() {
		python = "iter([" + python + "])"
	}
	call := fmt.Sprintf("%s.%s(%s)", pythonStub(m.Parent()), m.Name(), python)
	if m.IsStreamingServer() {
		p.printf("\n```python\nfor response in %s:\n    print(response)\n```\n", call)
	} else {
		p.printf("\n```python\nresponse = %s\n```\n", call)
	}
	return nil
}

// bullets lists facts.
func bullets(facts []fact) string {
	var items []string
	for _, fact := range facts {
		items = append(items, fmt.Sprintf("- **%s:** %s", fact.label, fact.text))
	}
	return strings.Join(items, "\n")
}

func (p *markdown) declaration(d protoreflect.Descriptor) {
	p.printf("\n### %s\n\n%s\n", shortName(d), text(comment(d)))
	switch d := d.(type) {
	case protoreflect.MessageDescriptor:
		p.fields("", d)
	case protoreflect.EnumDescriptor:
		p.printf("\n| number | name | meaning |\n|---|---|---|\n")
		for value := range each(d.Values()) {
			p.printf("| %d | `%s` | %s |\n", value.Number(), value.Name(), cell(comment(value)))
		}
	}
}

func (p *markdown) fields(title string, message protoreflect.MessageDescriptor) {
	if title != "" {
		p.printf("\n%s: %s\n", title, cell(commentOf(message)))
	}
	if message.Fields().Len() == 0 {
		return
	}
	p.printf("\n| field | type | meaning |\n|---|---|---|\n")
	for field := range each(message.Fields()) {
		p.printf("| `%s` | %s | %s |\n", field.Name(), p.fieldType(field), cell(comment(field)))
	}
}

func (p *markdown) fieldType(field protoreflect.FieldDescriptor) string {
	name := field.Kind().String()
	if named := typeOf(field); named != nil {
		name = "`" + string(named.FullName()) + "`"
		if own(named) {
			name = fmt.Sprintf("[%s](#%s)", shortName(named), anchor(cmp.Or(p.talk[named.FullName()], shortName(named))))
		}
	}
	switch {
	case field.IsList():
		return "repeated " + name
	case field.HasOptionalKeyword():
		return "optional " + name
	}
	return name
}

// anchor is the name that a heading gets in its address.
func anchor(heading protoreflect.Name) string {
	return strings.ToLower(strings.ReplaceAll(string(heading), ".", ""))
}

// cell is a comment as text of a table's cell.
func cell(comment string) string { return strings.ReplaceAll(line(comment), "|", `\|`) }
