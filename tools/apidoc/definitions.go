package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// apiFiles are the files that are documented, each with one service.
var apiFiles = []string{"discord_api/discord_api.proto", "discord_api/outbox.proto"}

// examples are requests by the name of their method. Ids are those of the
// sandbox, against which a test runs the examples.
//
//go:embed examples.json
var examples []byte

// definitions is what the documentation is made of.
type definitions struct {
	set      *descriptorpb.FileDescriptorSet
	services []service // as the files, never empty
	// types are all messages and enums, each before what is declared in it.
	types []protoreflect.Descriptor
	// talk has the types that are the request or response of a method, with its name.
	talk map[protoreflect.FullName]protoreflect.Name
}

type service struct {
	protoreflect.ServiceDescriptor
	about   string // of the file
	methods []method
}

type method struct {
	protoreflect.MethodDescriptor
	about   string
	facts   []fact
	example protoreflect.Message
	body    string // of the example, as JSON
}

// readDefinitions reads a set of file descriptors with source information.
func readDefinitions(data []byte) (*definitions, error) {
	c := &definitions{set: new(descriptorpb.FileDescriptorSet), talk: make(map[protoreflect.FullName]protoreflect.Name)}
	if err := proto.Unmarshal(data, c.set); err != nil {
		return nil, fmt.Errorf("read the descriptors: %w", err)
	}
	files, err := protodesc.NewFiles(c.set)
	if err != nil {
		return nil, fmt.Errorf("read the descriptors: %w", err)
	}
	given := make(map[string]json.RawMessage)
	if err := json.Unmarshal(examples, &given); err != nil {
		return nil, fmt.Errorf("read the examples: %w", err)
	}
	for _, path := range apiFiles {
		file, err := files.FindFileByPath(path)
		if err != nil {
			return nil, err
		}
		if err := c.addService(file, given); err != nil {
			return nil, err
		}
		for message := range each(file.Messages()) {
			c.addTypes(message)
		}
	}
	for name := range given {
		return nil, fmt.Errorf("there is an example of %s, but no such method", name)
	}
	return c, nil
}

// addService reads the service of a file, and removes the examples of its
// methods from those given.
func (c *definitions) addService(file protoreflect.FileDescriptor, given map[string]json.RawMessage) error {
	// The comment of the file is before its first statement, the syntax.
	about := text(file.SourceLocations().ByPath(protoreflect.SourcePath{12}).LeadingComments)
	s := service{ServiceDescriptor: file.Services().Get(0), about: about}
	for descriptor := range each(s.Methods()) {
		m, err := readMethod(descriptor, given[string(descriptor.Name())])
		if err != nil {
			return fmt.Errorf("%s: %w", descriptor.Name(), err)
		}
		s.methods = append(s.methods, m)
		c.talk[m.Input().FullName()], c.talk[m.Output().FullName()] = m.Name(), m.Name()
		delete(given, string(m.Name()))
	}
	c.services = append(c.services, s)
	return nil
}

func (c *definitions) addTypes(message protoreflect.MessageDescriptor) {
	c.types = append(c.types, message)
	for enum := range each(message.Enums()) {
		c.types = append(c.types, enum)
	}
	for inner := range each(message.Messages()) {
		c.addTypes(inner)
	}
}

func readMethod(descriptor protoreflect.MethodDescriptor, example json.RawMessage) (method, error) {
	m := method{MethodDescriptor: descriptor}
	var err error
	if m.about, m.facts, err = sections(comment(descriptor)); err != nil {
		return m, err
	}
	if example == nil {
		return m, fmt.Errorf("no example in examples.json")
	}
	request := dynamicpb.NewMessage(m.Input())
	if err := protojson.Unmarshal(example, request); err != nil {
		return m, fmt.Errorf("the example: %w", err)
	}
	m.example = request
	if m.body, err = jsonOf(request); err != nil {
		return m, fmt.Errorf("the example: %w", err)
	}
	if strings.ContainsAny(m.body, `'\%`) {
		return m, fmt.Errorf("the example needs quoting")
	}
	return m, nil
}

// does says in a sentence, without the method's name, what a method does.
func (m method) does() string {
	sentence, _, _ := strings.Cut(line(comment(m)), ". ")
	return strings.TrimPrefix(strings.TrimSuffix(sentence, ".")+".", string(m.Name())+" ")
}

// summary is the same as a sentence that stands alone.
func (m method) summary() string {
	does := m.does()
	return strings.ToUpper(does[:1]) + does[1:]
}

// path is where the method is called.
func (m method) path() string { return fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name()) }

// safe reports whether the method may be called by GET.
func (m method) safe() bool {
	return m.Options().(*descriptorpb.MethodOptions).GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

// curl is a command that sends the example.
func (m method) curl() string {
	url := "http://127.0.0.1:50051" + m.path()
	if m.IsStreamingServer() {
		n := len(m.body)
		if m.IsStreamingClient() {
			url = "--http2-prior-knowledge " + url
		}
		return fmt.Sprintf(
			"printf '\\%03o\\%03o\\%03o\\%03o\\%03o%s' |\n"+
				"  curl -s %s \\\n  -H 'Content-Type: application/connect+json' \\\n  --data-binary @- --output -",
			0,
			n>>24,
			n>>16&255,
			n>>8&255,
			n&255,
			m.body,
			url,
		)
	}
	return fmt.Sprintf("curl -s %s \\\n  -H 'Content-Type: application/json' \\\n  -d '%s'", url, m.body)
}

// labels are the facts in the comment of a method.
var labels = []string{"Discord", "Permissions", "Errors", "Cost"}

// fact is one of them. Its text is Markdown.
type fact struct{ label, text string }

// sections splits the comment of a method into its text and its facts. A
// method that never calls Discord has none of them, all others all.
func sections(comment string) (about string, facts []fact, err error) {
	var plain []string
	for line := range strings.Lines(comment) {
		line = strings.TrimSpace(line)
		label, rest, found := strings.Cut(line, ": ")
		switch {
		case found && len(facts) < len(labels) && label == labels[len(facts)]:
			facts = append(facts, fact{label, rest})
		case len(facts) > 0 && line != "":
			facts[len(facts)-1].text += " " + line
		default:
			plain = append(plain, line)
		}
	}
	if len(facts) != 0 && len(facts) != len(labels) {
		return "", nil, fmt.Errorf("the comment has not all of %v, in this order", labels)
	}
	for i := range facts {
		facts[i].text = routes.ReplaceAllString(facts[i].text, "`$1 $2`")
	}
	return text(strings.Join(plain, "\n")), facts, nil
}

var routes = regexp.MustCompile(`\b(GET|POST|PUT|PATCH|DELETE) (/\S*[^\s.,])`)

// list is a list of descriptors.
type list[D any] interface {
	Len() int
	Get(i int) D
}

func each[D any](l list[D]) func(yield func(D) bool) {
	return func(yield func(D) bool) {
		for i := range l.Len() {
			if !yield(l.Get(i)) {
				return
			}
		}
	}
}

// typeOf returns the message or enum that a field holds, or nil for none.
func typeOf(field protoreflect.FieldDescriptor) protoreflect.Descriptor {
	switch field.Kind() {
	case protoreflect.MessageKind:
		return field.Message()
	case protoreflect.EnumKind:
		return field.Enum()
	}
	return nil
}

// own reports whether a type is one of the API's.
func own(d protoreflect.Descriptor) bool {
	return slices.Contains(apiFiles, d.ParentFile().Path())
}

// shortName is the name of a type without the package.
func shortName(d protoreflect.Descriptor) protoreflect.Name {
	return protoreflect.Name(strings.TrimPrefix(string(d.FullName()), string(d.ParentFile().Package())+"."))
}

func comment(d protoreflect.Descriptor) string {
	return d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments
}

// commentOf is the comment of a message. That of a request also says which of its
// fields exclude each other.
func commentOf(message protoreflect.MessageDescriptor) string {
	about := comment(message)
	for choice := range each(message.Oneofs()) {
		if choice.IsSynthetic() || isUnion(message) || !strings.HasSuffix(string(message.Name()), "Request") {
			continue
		}
		fields := choice.Fields()
		meaning := line(comment(choice))
		about += fmt.Sprintf("\n\nExactly one of the fields from `%s` to `%s` must be set: %s",
			fields.Get(0).Name(), fields.Get(fields.Len()-1).Name(), strings.ToLower(meaning[:1])+meaning[1:])
	}
	return about
}

// text joins the lines of each paragraph.
func text(comment string) string {
	var paragraphs []string
	for paragraph := range strings.SplitSeq(strings.TrimSpace(comment), "\n\n") {
		paragraphs = append(paragraphs, line(paragraph))
	}
	return strings.Join(paragraphs, "\n\n")
}

// line joins all lines.
func line(comment string) string { return strings.Join(strings.Fields(comment), " ") }
