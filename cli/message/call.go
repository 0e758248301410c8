package message

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	command "discordproxy/cli"

	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// apiPackage is the protobuf package of the API.
const apiPackage = "discord_api"

var callCommand = messageCommand{
	name: "call", usage: "calls any METHOD of the API with a JSON request, - for standard input",
	words: []string{"METHOD"}, optional: "JSON",
	flags: func() []cli.Flag {
		return []cli.Flag{
			&cli.StringSliceFlag{
				Name:    "field",
				Aliases: []string{"f"},
				Usage:   "`NAME=VALUE` sets a field of the request, NAME.NAME a nested one; repeat it for more fields or a list",
			},
		}
	},
	run: func(r *request) error {
		method, err := findMethod(r.words[0])
		if err != nil {
			return command.Misuse(err)
		}
		req, err := r.dynamicRequest(method)
		if err != nil {
			return command.Misuse(err)
		}
		if err := r.plan(req); err != nil {
			return err
		}
		for response, err := range r.client.Call(r.ctx, method, req) {
			if err != nil {
				return r.failed(err)
			}
			if r.output.structured() {
				err = r.writeAnswer(response)
			} else {
				err = r.output.writeBare(response)
			}
			if err != nil {
				return err
			}
		}
		return nil
	},
}

// methods returns all methods of the API, sorted by their names.
func methods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage(apiPackage, func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			service := f.Services().Get(i)
			for j := range service.Methods().Len() {
				all = append(all, service.Methods().Get(j))
			}
		}
		return true
	})
	slices.SortFunc(all, func(a, b protoreflect.MethodDescriptor) int {
		return strings.Compare(string(a.Name()), string(b.Name()))
	})
	return all
}

// findMethod returns the method of a name, alone or behind that of its service.
func findMethod(text string) (protoreflect.MethodDescriptor, error) {
	var names []string
	for _, m := range methods() {
		name, full := string(m.Name()), string(m.FullName())
		if strings.EqualFold(text, name) || text == full || text == string(m.Parent().FullName())+"/"+name {
			return m, nil
		}
		names = append(names, name)
	}
	if likely := command.Nearest(text, names); likely != "" {
		return nil, fmt.Errorf("the API has no method %q; did you mean %s?", text, likely)
	}
	return nil, fmt.Errorf("the API has no method %q; see docs/api.md", text)
}

// dynamicRequest reads the request of a method from JSON and --field.
func (r *request) dynamicRequest(method protoreflect.MethodDescriptor) (*dynamicpb.Message, error) {
	document := make(map[string]any)
	if len(r.words) > 1 {
		data := []byte(r.words[1])
		if r.words[1] == "-" {
			var err error
			if data, err = r.input.read("-", "the request", maxFileBytes); err != nil {
				return nil, err
			}
		}
		decoder := json.NewDecoder(strings.NewReader(string(data)))
		decoder.UseNumber()
		if err := decoder.Decode(&document); err != nil {
			return nil, fmt.Errorf("the request is not a JSON object: %w", err)
		}
		if decoder.More() || document == nil {
			return nil, errors.New("the request is not one JSON object")
		}
	}
	for _, field := range r.flags.StringSlice("field") {
		name, value, ok := strings.Cut(field, "=")
		if !ok {
			return nil, fmt.Errorf("--field %q is not of the form NAME=VALUE", field)
		}
		if err := setField(document, method.Input(), strings.Split(name, "."), value); err != nil {
			return nil, fmt.Errorf("--field %s: %w", name, err)
		}
	}
	data, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	req := dynamicpb.NewMessage(method.Input())
	if err := protojson.Unmarshal(data, req); err != nil {
		text := strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0")
		return nil, fmt.Errorf("the request of %s: %s", method.Name(), oneLine(text))
	}
	return req, nil
}

// setField puts a value into the JSON form of a message.
func setField(document map[string]any, in protoreflect.MessageDescriptor, path []string, value string) error {
	f := in.Fields().ByTextName(path[0])
	if f == nil {
		f = in.Fields().ByJSONName(path[0])
	}
	if f == nil {
		var names []string
		for i := range in.Fields().Len() {
			names = append(names, in.Fields().Get(i).TextName())
		}
		if likely := command.Nearest(path[0], names); likely != "" {
			return fmt.Errorf("%s has no field %q; did you mean %s?", in.Name(), path[0], likely)
		}
		return fmt.Errorf("%s has no field %q", in.Name(), path[0])
	}
	key := f.TextName()
	if other := f.JSONName(); document[other] != nil {
		key = other
	}
	if len(path) > 1 {
		if f.Message() == nil || f.IsList() || f.IsMap() {
			return fmt.Errorf("%s has no fields", path[0])
		}
		inner, ok := document[key].(map[string]any)
		if !ok {
			inner = make(map[string]any)
			document[key] = inner
		}
		return setField(inner, f.Message(), path[1:], value)
	}
	var set any = value
	switch {
	case f.Message() != nil:
		if err := json.Unmarshal([]byte(value), &set); err != nil {
			return fmt.Errorf("%q is not JSON", value)
		}
	case f.Kind() == protoreflect.BoolKind:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("%q is not true or false", value)
		}
		set = b
	}
	if f.IsList() {
		list, _ := document[key].([]any)
		set = append(list, set)
	}
	document[key] = set
	return nil
}
