package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html"
	"html/template"
	"regexp"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

//go:embed page.html
var pageHTML string

// writePage writes the documentation of the JSON form as a page.
func writePage(c *definitions) ([]byte, error) {
	page, err := template.New("page").Funcs(template.FuncMap{
		"does":    method.does,
		"path":    method.path,
		"safe":    method.safe,
		"curl":    method.curl,
		"about":   func(m method) string { return m.about },
		"methods": func(s service) []method { return s.methods },
		"preface": func(s service) string { return s.about },
		"facts":   factsOf,
		"short":   shortName,
		"anchor":  c.pageAnchor,
		"comment": comment,
		"message": commentOf,
		"text":    textHTML,
		"inline":  inlineHTML,
		"type":    c.typeHTML,
		"fields": func(m protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
			return all(m.Fields())
		},
		"values": func(d protoreflect.Descriptor) []protoreflect.EnumValueDescriptor {
			if enum, ok := d.(protoreflect.EnumDescriptor); ok {
				return all(enum.Values())
			}
			return nil
		},
	}).Parse(pageHTML)
	if err != nil {
		return nil, err
	}
	fixed, err := fromYAML(openapi)
	if err != nil {
		return nil, err
	}
	data := struct {
		Services  []service
		Types     []protoreflect.Descriptor
		Errors    []statusMeaning
		Endpoints []endpoint
	}{Services: c.services}
	for _, d := range c.types {
		if c.talk[d.FullName()] == "" { // those are next to their method
			data.Types = append(data.Types, d)
		}
	}
	for _, f := range failures {
		data.Errors = append(data.Errors, statusMeaning{f.status, fixed.at("components").at("responses").at(f.name).text("description")})
	}
	for _, path := range *fixed.at("paths") {
		data.Endpoints = append(data.Endpoints, endpoint{path.key, path.value.(*object).at("get").text("summary")})
	}
	var out bytes.Buffer
	err = page.Execute(&out, data)
	return out.Bytes(), err
}

// statusMeaning and endpoint are rows of tables.
type (
	statusMeaning struct{ Status, Meaning string }
	endpoint      struct{ Path, Meaning string }
	namedFact     struct{ Label, Text string }
)

func factsOf(m method) []namedFact {
	var out []namedFact
	for _, f := range m.facts {
		out = append(out, namedFact{f.label, f.text})
	}
	return out
}

func all[D any](l list[D]) []D {
	var out []D
	for d := range each(l) {
		out = append(out, d)
	}
	return out
}

// pageAnchor is the id of the section that describes a type.
func (c *definitions) pageAnchor(d protoreflect.Descriptor) string {
	if method := c.talk[d.FullName()]; method != "" {
		return string(method)
	}
	return "type-" + string(shortName(d))
}

// typeHTML describes the type of a field in JSON.
func (c *definitions) typeHTML(field protoreflect.FieldDescriptor) template.HTML {
	var name string
	switch kind := field.Kind(); kind {
	case protoreflect.MessageKind, protoreflect.EnumKind:
		d := typeOf(field)
		switch {
		case own(d):
			name = fmt.Sprintf(`<a href="#%s">%s</a>`, c.pageAnchor(d), shortName(d))
		case d.FullName() == "google.protobuf.Duration":
			name = "string, such as 1.5s"
		case d.FullName() == "google.protobuf.Timestamp":
			name = "string, RFC 3339"
		default:
			name = html.EscapeString(string(d.FullName()))
		}
	case protoreflect.BoolKind:
		name = "boolean"
	case protoreflect.BytesKind:
		name = "string, base 64"
	case protoreflect.Int64Kind, protoreflect.Uint64Kind:
		name = "string, " + kind.String()
	case protoreflect.StringKind:
		name = "string"
	default:
		name = "number, " + kind.String()
	}
	switch {
	case field.IsList():
		name = "array of " + name
	case field.HasOptionalKeyword():
		name += ", optional"
	}
	return template.HTML(name)
}

// textHTML is a text with its paragraphs.
func textHTML(s string) template.HTML {
	var out strings.Builder
	for paragraph := range strings.SplitSeq(text(s), "\n\n") {
		fmt.Fprintf(&out, "<p>%s</p>\n", inlineHTML(paragraph))
	}
	return template.HTML(out.String())
}

var (
	inlineCode = regexp.MustCompile("`([^`]+)`")
	inlineLink = regexp.MustCompile(`https://[^\s<>]*[^\s<>.,)]`)
)

// inlineHTML is a comment with its code and links.
func inlineHTML(s string) template.HTML {
	s = html.EscapeString(line(s))
	s = inlineLink.ReplaceAllString(s, `<a href="$0" rel="noreferrer">$0</a>`)
	return template.HTML(inlineCode.ReplaceAllString(s, "<code>$1</code>"))
}
