// Command apidoc writes the documentation of the API from the comments of the
// contract. It reads a set of file descriptors with source information, as
// `buf build` writes it, from its standard input, and writes Markdown.
//
//	buf build --config buf.yaml -o - | go run -C tools/apidoc . > docs/api.md
//
// It fails when a method says nothing of its cost to Discord, or has no
// example in examples.json.
package main

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// contract is the file that is documented.
const contract = "discord_api/discord_api.proto"

// examples are requests by the name of their method. Ids are those of the
// pretend Discord, against which a test runs the examples.
//
//go:embed examples.json
var examples []byte

//go:embed intro.md
var intro string

func main() {
	out := bufio.NewWriter(os.Stdout)
	err := run(os.Stdin, out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "apidoc:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		return fmt.Errorf("read the descriptors: %w", err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return fmt.Errorf("read the descriptors: %w", err)
	}
	file, err := files.FindFileByPath(contract)
	if err != nil {
		return err
	}
	p := page{out: out}
	if err := json.Unmarshal(examples, &p.examples); err != nil {
		return fmt.Errorf("read the examples: %w", err)
	}
	return p.file(file)
}

// page is the documentation while it is written.
type page struct {
	out      io.Writer
	examples map[string]json.RawMessage
	err      error // the first failed write
}

func (p *page) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format, args...)
	}
}

func (p *page) file(file protoreflect.FileDescriptor) error {
	// The comment of the file stands before its first statement, the syntax.
	about := file.SourceLocations().ByPath(protoreflect.SourcePath{12}).LeadingComments
	service := file.Services().Get(0)
	p.printf("%s\n\n%s\n\n%s\n", strings.TrimSpace(intro), text(about), text(comment(service)))
	p.printf("\n## Methods\n\n")
	talk := make(map[protoreflect.FullName]bool) // requests and responses
	for method := range each(service.Methods()) {
		talk[method.Input().FullName()], talk[method.Output().FullName()] = true, true
		does := strings.TrimPrefix(firstSentence(comment(method)), string(method.Name())+" ")
		p.printf("- [%s](#%s) %s\n", method.Name(), anchor(method.Name()), does)
	}
	for method := range each(service.Methods()) {
		if err := p.method(method); err != nil {
			return fmt.Errorf("%s: %w", method.Name(), err)
		}
		delete(p.examples, string(method.Name()))
	}
	for name := range p.examples {
		return fmt.Errorf("there is an example of %s, but no such method", name)
	}
	p.printf("\n## Messages\n")
	for message := range each(file.Messages()) {
		if talk[message.FullName()] {
			p.nested(message) // the message itself stands beside its method
		} else {
			p.message(message)
		}
	}
	return p.err
}

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

func (p *page) method(method protoreflect.MethodDescriptor) error {
	about, facts, err := sections(comment(method))
	if err != nil {
		return err
	}
	p.printf("\n### %s\n\n%s\n", method.Name(), about)
	if len(facts) > 0 {
		p.printf("\n")
		for _, fact := range facts {
			p.printf("- **%s:** %s\n", fact.label, routes.ReplaceAllString(fact.text, "`$1 $2`"))
		}
	}
	p.fields("Request", method.Input())
	response := "Response"
	if method.IsStreamingServer() {
		response = "Responses, any number of them"
	}
	p.fields(response, method.Output())
	return p.example(method)
}

// labels are the facts that a method tells in its comment.
var labels = []string{"Discord", "Permissions", "Errors", "Cost"}

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
	return text(strings.Join(plain, "\n")), facts, nil
}

var routes = regexp.MustCompile(`\b(GET|POST|PUT|PATCH|DELETE) (/\S*[^\s.,])`)

func (p *page) example(method protoreflect.MethodDescriptor) error {
	given, ok := p.examples[string(method.Name())]
	if !ok {
		return fmt.Errorf("no example in examples.json")
	}
	request := dynamicpb.NewMessage(method.Input())
	if err := protojson.Unmarshal(given, request); err != nil {
		return fmt.Errorf("the example: %w", err)
	}
	body, err := jsonOf(request)
	if err != nil {
		return fmt.Errorf("the example: %w", err)
	}
	if strings.ContainsAny(body, `'\%`) {
		return fmt.Errorf("the example needs quoting")
	}
	python, err := pythonOf(request)
	if err != nil {
		return fmt.Errorf("the example: %w", err)
	}
	url := fmt.Sprintf("http://127.0.0.1:50051/%s/%s", method.Parent().FullName(), method.Name())
	if method.IsStreamingServer() {
		n := len(body)
		p.printf("\n```sh\nprintf '\\%03o\\%03o\\%03o\\%03o\\%03o%s' |\n  curl -s %s \\\n  -H 'Content-Type: application/connect+json' \\\n  --data-binary @- --output -\n```\n",
			0, n>>24, n>>16&255, n>>8&255, n&255, body, url)
		p.printf("\n```python\nfor answer in stub.%s(%s):\n    print(answer)\n```\n", method.Name(), python)
		return nil
	}
	p.printf("\n```sh\ncurl -s %s \\\n  -H 'Content-Type: application/json' \\\n  -d '%s'\n```\n", url, body)
	p.printf("\n```python\nanswer = stub.%s(%s)\n```\n", method.Name(), python)
	return nil
}

func (p *page) message(message protoreflect.MessageDescriptor) {
	p.printf("\n### %s\n\n%s\n", shortName(message), text(comment(message)))
	p.fields("", message)
	p.nested(message)
}

// nested writes what is declared within a message.
func (p *page) nested(message protoreflect.MessageDescriptor) {
	for enum := range each(message.Enums()) {
		p.printf("\n### %s\n\n%s\n\n| number | name | meaning |\n|---|---|---|\n", shortName(enum), text(comment(enum)))
		for value := range each(enum.Values()) {
			p.printf("| %d | `%s` | %s |\n", value.Number(), value.Name(), cell(comment(value)))
		}
	}
	for inner := range each(message.Messages()) {
		p.message(inner)
	}
}

func (p *page) fields(title string, message protoreflect.MessageDescriptor) {
	if title != "" {
		p.printf("\n%s: %s\n", title, cell(comment(message)))
	}
	if message.Fields().Len() == 0 {
		return
	}
	p.printf("\n| field | type | meaning |\n|---|---|---|\n")
	for field := range each(message.Fields()) {
		p.printf("| `%s` | %s | %s |\n", field.Name(), typeOf(field), cell(comment(field)))
	}
}

func typeOf(field protoreflect.FieldDescriptor) string {
	name := field.Kind().String()
	var named protoreflect.Descriptor
	if field.Kind() == protoreflect.MessageKind {
		named = field.Message()
	} else if field.Kind() == protoreflect.EnumKind {
		named = field.Enum()
	}
	switch {
	case named == nil:
	case named.ParentFile().Path() == field.ParentFile().Path():
		name = fmt.Sprintf("[%s](#%s)", shortName(named), anchor(shortName(named)))
	default:
		name = "`" + string(named.FullName()) + "`"
	}
	switch {
	case field.IsList():
		return "repeated " + name
	case field.HasOptionalKeyword():
		return "optional " + name
	}
	return name
}

// shortName is the name of a type without the package.
func shortName(d protoreflect.Descriptor) protoreflect.Name {
	return protoreflect.Name(strings.TrimPrefix(string(d.FullName()), string(d.ParentFile().Package())+"."))
}

// anchor is the name that a heading gets in its address.
func anchor(heading protoreflect.Name) string {
	return strings.ToLower(strings.ReplaceAll(string(heading), ".", ""))
}

func comment(d protoreflect.Descriptor) string {
	return d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments
}

// text joins the lines of each paragraph.
func text(comment string) string {
	var paragraphs []string
	for paragraph := range strings.SplitSeq(strings.TrimSpace(comment), "\n\n") {
		paragraphs = append(paragraphs, strings.Join(strings.Fields(paragraph), " "))
	}
	return strings.Join(paragraphs, "\n\n")
}

// cell is a comment as it stands in a table.
func cell(comment string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(comment), " "), "|", `\|`)
}

func firstSentence(comment string) string {
	sentence, _, _ := strings.Cut(cell(comment), ". ")
	return strings.TrimSuffix(sentence, ".") + "."
}
