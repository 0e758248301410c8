// Package description compares answers with Discord's own description of its
// API, which is not part of this module: DISCORD_OPENAPI names the file, which is
// specs/openapi.json of github.com/discord/discord-api-spec.
package description

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Description is Discord's OpenAPI description of version 10 of its API. Its
// methods may be called concurrently.
type Description struct {
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	paths    map[string]any
	root     map[string]any
	compiled map[string]*jsonschema.Schema
}

// Hint says how to get the description.
const Hint = "no description of Discord's API: set DISCORD_OPENAPI to a copy of specs/openapi.json " +
	"from github.com/discord/discord-api-spec"

// Load reads the description once. It returns nil when there is none.
var Load = sync.OnceValues(func() (*Description, error) {
	file := os.Getenv("DISCORD_OPENAPI")
	if file == "" {
		file = defaultFile()
		if _, err := os.Stat(file); err != nil {
			return nil, nil
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	d := &Description{compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	d.root = doc.(map[string]any)
	d.paths = d.root["paths"].(map[string]any)
	return d, d.compiler.AddResource("openapi.json", doc)
})

// defaultFile is where the description may be without being named: in a folder
// next to the module's.
func defaultFile() string {
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return filepath.Join(dir, "..", "shared", "discord-openapi.json")
		}
		dir = filepath.Dir(dir)
	}
	return ""
}

// Operations returns the methods and templates of all operations, such as
// "GET /users/@me".
func (d *Description) Operations() []string {
	var out []string
	for template, item := range d.paths {
		for method := range item.(map[string]any) {
			switch method = strings.ToUpper(method); method {
			case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
				out = append(out, method+" "+template)
			}
		}
	}
	return out
}

// template finds the path of the description with the most literal segments.
func (d *Description) template(path string) string {
	parts := strings.Split(path, "/")
	best, bestScore := "", -1
	for template := range d.paths {
		segments := strings.Split(template, "/")
		if len(segments) != len(parts) {
			continue
		}
		score := 0
		for i, segment := range segments {
			if segment == parts[i] {
				score++
			} else if !strings.HasPrefix(segment, "{") {
				score = -1
				break
			}
		}
		if score > bestScore {
			best, bestScore = template, score
		}
	}
	return best
}

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")

// Check returns what the description has against an answer. Routes that it
// does not know are fine, as is what it is known to be wrong about.
func (d *Description) Check(method, path string, status int, header http.Header, body []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	template := d.template(path)
	item, ok := d.paths[template].(map[string]any)
	if !ok || status >= 500 {
		return nil
	}
	operation, ok := item[strings.ToLower(method)].(map[string]any)
	if !ok {
		return nil
	}
	responses := operation["responses"].(map[string]any)
	key := fmt.Sprint(status)
	response, ok := responses[key].(map[string]any)
	if !ok && status >= 400 {
		key = "4XX"
		response, ok = responses[key].(map[string]any)
	}
	if !ok {
		return fmt.Errorf("status %d is not described", status)
	}
	pointer := "openapi.json#/paths/" + pointerEscape.Replace(template) + "/" + strings.ToLower(method) + "/responses/" + key
	if ref, ok := response["$ref"].(string); ok {
		pointer = "openapi.json" + ref
		response = d.root["components"].(map[string]any)["responses"].(map[string]any)[ref[strings.LastIndex(ref, "/")+1:]].(map[string]any)
	}
	if response["content"] == nil {
		if len(body) > 0 {
			return fmt.Errorf("a body where none is described: %s", body)
		}
		return nil
	}
	if got := header.Get("Content-Type"); got != "application/json" {
		return fmt.Errorf("content type %q", got)
	}
	return d.compare(pointer+"/content/application~1json/schema", body)
}

// Validate compares JSON with the schema at a pointer.
func (d *Description) Validate(pointer string, body []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.compare(pointer, body)
}

func (d *Description) compare(pointer string, body []byte) error {
	schema := d.compiled[pointer]
	if schema == nil {
		var err error
		if schema, err = d.compiler.Compile(pointer); err != nil {
			return fmt.Errorf("compile %s: %w", pointer, err)
		}
		d.compiled[pointer] = schema
	}
	body = described(body)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// described changes an answer into what the description thinks that it is. It
// says that the codes within "errors" are numbers, that a 429 always has a
// code, and that there are no forwards and no media channels. The real API
// does otherwise.
func described(body []byte) []byte {
	var answer any
	if json.Unmarshal(body, &answer) != nil {
		return body
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, one := range v {
				walk(one)
			}
		case map[string]any:
			if _, limited := v["retry_after"]; limited && v["code"] == nil {
				v["code"] = 0
			}
			if list, ok := v["_errors"].([]any); ok {
				for _, one := range list {
					one.(map[string]any)["code"] = 0
				}
			}
			if ref, ok := v["message_reference"].(map[string]any); ok && ref["type"] == 1.0 {
				ref["type"] = 0
			}
			// Promises of messages have them, too.
			if resource, ok := v["resource"].(map[string]any); ok && (resource["type"] == 5.0 || resource["type"] == 6.0) {
				resource["type"] = map[any]int{5.0: 4, 6.0: 7}[resource["type"]]
			}
			if v["position"] != nil && v["type"] == 16.0 {
				v["type"] = 15
			}
			for _, one := range v {
				walk(one)
			}
		}
	}
	walk(answer)
	b, _ := json.Marshal(answer)
	return b
}
