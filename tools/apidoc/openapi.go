package main

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// openapi is the part of the document that does not come from the API.
//
//go:embed openapi.yaml
var openapi []byte

// The content types of Connect's protocol.
const (
	plainJSON     = "application/json"
	envelopedJSON = "application/connect+json"
)

func writeOpenAPIYAML(c *definitions) ([]byte, error) {
	document, err := describeAPI(c)
	if err != nil {
		return nil, err
	}
	return toYAML(document)
}

// describeAPI makes the document of OpenAPI.
// https://spec.openapis.org/oas/v3.1.1.html
func describeAPI(c *definitions) (*object, error) {
	document, err := fromYAML(openapi)
	if err != nil {
		return nil, err
	}
	made, err := readSchemas(c)
	if err != nil {
		return nil, err
	}
	var paths object
	for _, s := range c.services {
		for _, m := range s.methods {
			paths = append(paths, member{m.path(), pathItem(m)})
		}
	}
	fixed := document.at("paths")
	*fixed = append(paths, *fixed...)

	all := document.at("components").at("schemas")
	foreign := make(map[protoreflect.FullName]bool)
	add := func(message protoreflect.MessageDescriptor) {
		if schema := made.ofMessage(message); schema != nil {
			*all = append(*all, member{component(message), schema})
		}
	}
	for _, d := range c.types {
		switch d := d.(type) {
		case protoreflect.EnumDescriptor:
			*all = append(*all, member{component(d), ofEnum(d)})
		case protoreflect.MessageDescriptor:
			add(d)
			for field := range each(d.Fields()) {
				used := field.Message()
				if used == nil || own(used) || foreign[used.FullName()] {
					continue
				}
				foreign[used.FullName()] = true
				add(used)
			}
		}
	}
	return document, nil
}

// pathItem describes a method.
func pathItem(m method) object {
	description := m.about
	if len(m.facts) > 0 {
		description += "\n\n" + bullets(m.facts)
	}
	tags, content := []string{"Methods"}, object{{"schema", reference(m.Input())}}
	if m.ParentFile().Path() != apiFiles[0] {
		tags = []string{string(m.Parent().Name())}
	}
	answers := object{{plainJSON, object{{"schema", reference(m.Output())}}}}
	mediaType := plainJSON
	if m.IsStreamingServer() {
		tags, mediaType = []string{"Streams"}, envelopedJSON
		body := "The body is a `%s` behind its five bytes"
		if m.IsStreamingClient() {
			body = "The request needs HTTP/2. Its body is any number of messages, each a `%s` behind its five bytes"
		}
		description += fmt.Sprintf("\n\n"+body+", each message of the response a `%s`. `x-messages` names their schemas.",
			shortName(m.Input()), shortName(m.Output()))
		content = object{{"x-messages", reference(m.Input())}, {"x-example", json.RawMessage(m.body)}}
		answers = object{{envelopedJSON, object{{"x-messages", reference(m.Output())}}}}
	} else {
		content = append(content, member{"example", json.RawMessage(m.body)})
	}
	operation := func(id string, parameters []object, rest ...member) object {
		return append(append(object{
			{"tags", tags},
			{"operationId", id},
			{"summary", m.summary()},
			{"description", description},
			{"parameters", append(parameters, shared("parameters", "Timeout"), shared("parameters", "RequestId"),
				shared("parameters", "Bot"))},
		}, rest...), member{"responses", responses(m, answers)})
	}
	item := object{{"post", operation(string(m.Name()), nil, member{"requestBody", object{
		{"description", text(commentOf(m.Input()))},
		{"required", true},
		{"content", object{{mediaType, content}}},
	}})}}
	if m.safe() {
		item = append(object{{"get", operation(string(m.Name())+"ByGet", []object{
			{
				{"name", "message"},
				{"in", "query"},
				{"required", true},
				{"description", "The request as JSON. " + text(commentOf(m.Input()))},
				{"content", object{{plainJSON, content}}},
			},
			shared("parameters", "Encoding"), shared("parameters", "Connect"),
		})}}, item...)
	}
	return item
}

// failures are the statuses of errors and their responses in openapi.yaml.
var failures = []struct{ status, name string }{
	{"400", "InvalidArgument"},
	{"401", "Unauthenticated"},
	{"403", "PermissionDenied"},
	{"404", "NotFound"},
	{"415", "UnsupportedMediaType"},
	{"429", "ResourceExhausted"},
	{"500", "Internal"},
	{"503", "Unavailable"},
	{"504", "DeadlineExceeded"},
	{"default", "Error"},
}

// responses lists the answers of a method. A stream has its errors in its
// last message.
func responses(m method, answers object) object {
	all := object{{"200", object{
		{"description", text(comment(m.Output()))},
		{"headers", object{{"X-Request-Id", shared("headers", "RequestId")}}},
		{"content", answers},
	}}}
	if m.IsStreamingServer() {
		return all
	}
	for _, f := range failures {
		all = append(all, member{f.status, shared("responses", f.name)})
	}
	return all
}

// shared refers to a component of openapi.yaml.
func shared(kind, name string) object { return object{{"$ref", "#/components/" + kind + "/" + name}} }
