package test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"google.golang.org/protobuf/types/descriptorpb"
)

// openAPI is the description that a server gives of itself.
type openAPI struct {
	root     map[string]any
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

const openAPIName = "openapi.json"

// describedBy reads the description that a server gives.
func describedBy(t *testing.T, p *proxytest.Proxy) *openAPI {
	t.Helper()
	var seen recorder
	if err := seen.do(t, http.MethodGet, "http://"+p.Address+"/"+openAPIName, nil); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(seen.all[0].response))
	if err != nil {
		t.Fatal(err)
	}
	d := &openAPI{root: doc.(map[string]any), compiler: jsonschema.NewCompiler(), compiled: make(map[string]*jsonschema.Schema)}
	// Clients must take fields that they do not know. Those of this server are
	// all described.
	for _, schema := range member(t, d.root, "components", "schemas") {
		if schema := schema.(map[string]any); schema["properties"] != nil {
			schema["additionalProperties"] = false
		}
	}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	d.compiler.AssertContent()
	if err := d.compiler.AddResource(openAPIName, doc); err != nil {
		t.Fatal(err)
	}
	return d
}

// member returns an object within an object.
func member(t *testing.T, in map[string]any, path ...string) map[string]any {
	t.Helper()
	for _, name := range path {
		next, ok := in[name].(map[string]any)
		if !ok {
			t.Fatalf("%v has no %s in it", slices.Sorted(maps.Keys(in)), name)
		}
		in = next
	}
	return in
}

// validate compares JSON with the schema at a place of the description.
func (d *openAPI) validate(data []byte, place ...string) error {
	pointer := openAPIName + "#"
	for _, name := range place {
		pointer += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	if d.compiled[pointer] == nil {
		schema, err := d.compiler.Compile(pointer)
		if err != nil {
			return err
		}
		d.compiled[pointer] = schema
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%w: %s", err, data)
	}
	if err := d.compiled[pointer].Validate(value); err != nil {
		return fmt.Errorf("%w\n%s", err, data)
	}
	return nil
}

// exchange is a request and its answer, as they went over the wire.
type exchange struct {
	method, path      string
	query             url.Values
	requestType       string
	request, response []byte
	status            int
	responseType      string
}

// recorder is an http.RoundTripper that keeps what it sends and gets.
type recorder struct {
	mu  sync.Mutex
	all []exchange
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, exchange{
		req.Method, req.URL.Path, req.URL.Query(), req.Header.Get("Content-Type"), body, answer,
		resp.StatusCode, resp.Header.Get("Content-Type"),
	})
	return resp, nil
}

// do sends a request by hand. Header are names and values.
func (r *recorder) do(t *testing.T, method, address string, body []byte, header ...string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for pair := range slices.Chunk(header, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := (&http.Client{Transport: r}).Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// mediaType is a content type without its parameters.
func mediaType(contentType string) string {
	name, _, _ := strings.Cut(contentType, ";")
	return name
}

// check compares an exchange with the operation that it is one of.
func (d *openAPI) check(t *testing.T, e exchange) error {
	t.Helper()
	place := []string{"paths", e.path, strings.ToLower(e.method)}
	operation := member(t, d.root, place...)
	if e.status == http.StatusOK { // else the request may be bad by purpose
		if err := d.checkRequest(t, e, operation, place); err != nil {
			return fmt.Errorf("the request: %w", err)
		}
	}
	responses := member(t, operation, "responses")
	status := strconv.Itoa(e.status)
	if responses[status] == nil {
		status = "default"
	}
	answer := append(slices.Clone(place), "responses", status)
	if ref, ok := member(t, responses, status)["$ref"].(string); ok {
		answer = strings.Split(strings.TrimPrefix(ref, "#/"), "/")
	}
	answer = append(answer, "content", mediaType(e.responseType))
	if err := d.checkBody(t, e.response, answer); err != nil {
		return fmt.Errorf("the answer with %d: %w", e.status, err)
	}
	return nil
}

func (d *openAPI) checkRequest(t *testing.T, e exchange, operation map[string]any, place []string) error {
	t.Helper()
	if e.method == http.MethodPost {
		return d.checkBody(t, e.request, append(slices.Clone(place), "requestBody", "content", mediaType(e.requestType)))
	}
	parameters, _ := operation["parameters"].([]any)
	known := make(map[string]bool)
	for i, parameter := range parameters {
		at := append(slices.Clone(place), "parameters", strconv.Itoa(i))
		described := parameter.(map[string]any)
		if ref, ok := described["$ref"].(string); ok {
			at = strings.Split(strings.TrimPrefix(ref, "#/"), "/")
			described = member(t, d.root, at...)
		}
		name := described["name"].(string)
		if described["in"] != "query" {
			continue
		}
		known[name] = true
		if !e.query.Has(name) {
			if described["required"] == true {
				return fmt.Errorf("%s is required", name)
			}
			continue
		}
		value := e.query.Get(name)
		if described["content"] != nil {
			at = append(at, "content", "application/json")
		} else {
			value = strconv.Quote(value)
		}
		if err := d.validate([]byte(value), append(at, "schema")...); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name := range e.query {
		if !known[name] {
			return fmt.Errorf("%s is not described", name)
		}
	}
	return nil
}

// checkBody compares a body with the media type that describes it.
func (d *openAPI) checkBody(t *testing.T, body []byte, place []string) error {
	t.Helper()
	described := member(t, d.root, place...)
	switch place[len(place)-1] {
	case "application/json":
		return d.validate(body, append(place, "schema")...)
	case "application/connect+json":
		return d.checkStream(body, strings.Split(strings.TrimPrefix(described["x-messages"].(map[string]any)["$ref"].(string), "#/"), "/"))
	}
	return nil // text
}

// checkStream compares each message of a stream with a schema.
func (d *openAPI) checkStream(body []byte, schema []string) error {
	for len(body) > 0 {
		if len(body) < 5 {
			return errors.New("the stream breaks off")
		}
		flags, size := body[0], int(binary.BigEndian.Uint32(body[1:]))
		if len(body) < 5+size {
			return errors.New("the stream breaks off")
		}
		place := schema
		switch flags {
		case 0:
		case 2:
			place = []string{"components", "schemas", "EndOfStream"}
		default:
			return fmt.Errorf("a message begins with %d", flags)
		}
		if err := d.validate(body[5:5+size], place...); err != nil {
			return err
		}
		body = body[5+size:]
	}
	return nil
}

// envelope puts the five bytes before the message of a stream.
func envelope(message string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// TestOpenAPIIsValid holds both forms to the specification of OpenAPI.
func TestOpenAPIIsValid(t *testing.T) {
	python := require.Python(t, "yaml", "openapi_spec_validator")
	p := proxytest.Start(t, "--sandbox")
	out, err := exec.CommandContext(t.Context(), python, filepath.Join("python", "openapi.py"), "http://"+p.Address).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestOpenAPIDescribesMethods calls every method and compares what goes over
// the wire with the description, which has these methods and no others.
func TestOpenAPIDescribesMethods(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb, "--global-rate-limit", "0")
	d := describedBy(t, p)
	called := make(map[string]bool)
	for _, options := range [][]connect.ClientOption{nil, {connect.WithHTTPGet()}} {
		seen := new(recorder)
		client := discordapiconnect.NewDiscordApiClient(&http.Client{Transport: seen}, "http://"+p.Address,
			append(options, connect.WithProtoJSON(), connect.WithAcceptCompression("gzip", nil, nil))...)
		for _, tt := range methodCases {
			seen.all = nil
			s := &scene{t, sb, sb.World(), client}
			if _, err := s.call(tt.method, tt.request(s)); err != nil {
				t.Fatalf("%s %s: %v", tt.method, tt.about, err)
			}
			for _, e := range seen.all {
				called[e.method+" "+e.path] = true
				if err := d.check(t, e); err != nil {
					t.Errorf("%s %s %s: %v", e.method, tt.method, tt.about, err)
				}
			}
		}
	}

	// The stream without an end has no case: its caller goes after a while.
	const endless = "SubscribeEvents" // its stream does not end
	const stream = "/discord_api.DiscordApi/" + endless
	var seen recorder
	if err := seen.do(t, http.MethodPost, "http://"+proxytest.Online(t, sb).Address+stream, envelope("{}"),
		"Content-Type", "application/connect+json", "Connect-Timeout-Ms", "500"); err != nil {
		t.Fatal(err)
	}
	called["POST "+stream] = true
	if e := seen.all[0]; !bytes.HasPrefix(e.response, []byte{0}) {
		t.Errorf("the stream brings %q", e.response)
	} else if err := d.check(t, e); err != nil {
		t.Errorf("%s: %v", endless, err)
	}

	want := make(map[string]bool)
	service := pb.File_discord_api_discord_api_proto.Services().ByName("DiscordApi")
	for i := range service.Methods().Len() {
		m := service.Methods().Get(i)
		path := fmt.Sprintf("/%s/%s", service.FullName(), m.Name())
		want["POST "+path] = true
		if m.Options().(*descriptorpb.MethodOptions).GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
			want["GET "+path] = true
		}
	}
	described := make(map[string]bool)
	for path, item := range member(t, d.root, "paths") {
		for method := range item.(map[string]any) {
			if strings.HasPrefix(path, "/"+string(service.FullName())) {
				described[strings.ToUpper(method)+" "+path] = true
			}
		}
	}
	called["POST /"+string(service.FullName())+"/"+endless] = true // not really: it would not end
	for name, got := range map[string]map[string]bool{"called": called, "described": described} {
		if !maps.Equal(got, want) {
			t.Errorf("%s are %v, want %v", name, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
}

// TestOpenAPIDescribesOutbox does the same for the methods of the outbox.
func TestOpenAPIDescribesOutbox(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb, "--global-rate-limit", "0")
	d := describedBy(t, p)
	const service = "/discord_api.Outbox/"
	general := sb.World().General.String()
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	called := make(map[string]bool)
	seen := new(recorder)
	for _, call := range []struct {
		verb, method, body string
		status             int
	}{
		{"POST", "Enqueue", `{"sendChannelMessage": {"channelId": "` + general + `", "content": "hi"}, "deliveryId": "a", "notBefore": "` + later + `"}`, 200},
		{"POST", "Enqueue", `{"deliveryId": "b"}`, 400},
		{"POST", "Enqueue", `{"sendChannelMessage": {"channelId": "` + general + `", "content": "other"}, "deliveryId": "a"}`, 409},
		{"POST", "GetDelivery", `{"deliveryId": "a"}`, 200},
		{"GET", "GetDelivery", `{"deliveryId": "a"}`, 200},
		{"POST", "GetDelivery", `{"deliveryId": "none"}`, 404},
		{"POST", "CancelDelivery", `{"deliveryId": "a"}`, 200},
		{"POST", "CancelDelivery", `{"deliveryId": "none"}`, 404},
		{"POST", "ListDeliveries", `{"states": ["CANCELLED"], "pageSize": 5}`, 200},
		{"GET", "ListDeliveries", `{"states": ["CANCELLED"], "pageSize": 5}`, 200},
		{"POST", "RetryDelivery", `{"deliveryId": "a"}`, 200},
		{"POST", "PurgeDeliveries", `{"states": ["CANCELLED"]}`, 200},
		{"POST", "WatchDeliveries", `{"after": "0"}`, 200},
	} {
		address, body := "http://"+p.Address+service+call.method, []byte(call.body)
		header := []string{"Content-Type", "application/json"}
		switch {
		case call.verb == http.MethodGet:
			address, body = address+"?"+url.Values{"encoding": {"json"}, "message": {call.body}}.Encode(), nil
		case call.method == "WatchDeliveries": // its stream does not end
			body, header = envelope(call.body), []string{"Content-Type", "application/connect+json", "Connect-Timeout-Ms", "500"}
		}
		if err := seen.do(t, call.verb, address, body, header...); err != nil {
			t.Fatal(err)
		}
		e := seen.all[len(seen.all)-1]
		called[call.verb+" "+e.path] = true
		if e.status != call.status {
			t.Errorf("%s %s is answered %d %s, want %d", call.method, call.body, e.status, e.response, call.status)
		}
		if err := d.check(t, e); err != nil {
			t.Errorf("%s %s: %v", call.method, call.body, err)
		}
	}
	many := `{"enqueue": {"sendChannelMessage": {"channelId": "` + general + `", "content": "hi"}}}`
	if err := d.validate([]byte(many), "components", "schemas", "EnqueueManyRequest"); err != nil {
		t.Error(err)
	}
	called["POST "+service+"EnqueueMany"] = true // by TestDocumentedCurl: it needs HTTP/2
	described := make(map[string]bool)
	for path, item := range member(t, d.root, "paths") {
		for verb := range item.(map[string]any) {
			if strings.HasPrefix(path, service) {
				described[strings.ToUpper(verb)+" "+path] = true
			}
		}
	}
	if !maps.Equal(called, described) {
		t.Errorf("called are %v, described %v", slices.Sorted(maps.Keys(called)), slices.Sorted(maps.Keys(described)))
	}
}

// TestOpenAPIAgreesWithServer: what the description allows is done, and what it
// forbids is refused.
func TestOpenAPIAgreesWithServer(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb, "--global-rate-limit", "0")
	d := describedBy(t, p)
	general := sb.World().General.String()
	const path = "/discord_api.DiscordApi/SendChannelMessage"
	for body, good := range map[string]bool{
		`{"channelId": "` + general + `", "content": "hi"}`: true,
		`{"channelId": ` + general + `, "content": "hi"}`:   true,
		`{"channelId": "` + general + `", "components": [{"actionRow": {"components": [{"button": {"style": 5, "label": "a", "url": "https://example.org"}}]}}]}`: true,
		`{"channelId": "general", "content": "hi"}`:                                               false,
		`{"channelId": -1, "content": "hi"}`:                                                      false,
		`{"channelId": "` + general + `", "content": 5}`:                                          false,
		`{"channelId": "` + general + `", "embeds": {"title": "a"}}`:                              false,
		`{"channelId": "` + general + `", "embeds": [{"color": 4294967296}]}`:                     false,
		`{"channelId": "` + general + `", "content": "hi", "tts": "yes"}`:                         false,
		`{"channelId": "` + general + `", "attachments": [{"filename": "a", "data": "%"}]}`:       false,
		`{"channelId": "` + general + `", "content": "hi", "messageReference": {"type": "NONE"}}`: false,
		`{"channelId": "` + general + `", "components": [{"button": {}, "section": {}}]}`:         false,
	} {
		described := d.validate([]byte(body), "paths", path, "post", "requestBody", "content", "application/json", "schema")
		if (described == nil) != good {
			t.Errorf("the description of %s says %v", body, described)
		}
		var seen recorder
		if err := seen.do(t, http.MethodPost, "http://"+p.Address+path, []byte(body), "Content-Type", "application/json"); err != nil {
			t.Fatal(err)
		}
		if answer := seen.all[0]; (answer.status == http.StatusOK) != good {
			t.Errorf("%s is answered %d %s", body, answer.status, answer.response)
		} else if err := d.check(t, answer); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestOpenAPIDescribesErrors compares errors, and what the server says of
// itself.
func TestOpenAPIDescribesErrors(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb, "--global-rate-limit", "0")
	d := describedBy(t, p)
	w := sb.World()
	seen := new(recorder)
	send := func(method, path, body string, status int, header ...string) exchange {
		t.Helper()
		header = append([]string{"Content-Type", "application/json", "Accept", "application/json"}, header...)
		if err := seen.do(t, method, "http://"+p.Address+path, []byte(body), header...); err != nil {
			t.Fatal(err)
		}
		e := seen.all[len(seen.all)-1]
		if e.status != status {
			t.Errorf("%s is answered %d %s", path, e.status, e.response)
		}
		if err := d.check(t, e); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return e
	}
	const service = "/discord_api.DiscordApi/"
	send("POST", service+"GetChannel", `{"channelId": "7"}`, 404)
	send("POST", service+"GetChannel", `{`, 400)
	send("GET", service+"GetChannel?encoding=json&message={}", "", 400)
	send("POST", service+"SendChannelMessage", `{"channelId": "`+w.Forbidden.String()+`", "content": "hi"}`, 403)
	send("POST", service+"SendChannelMessage", `{"channelId": "`+w.General.String()+`", "content": "`+strings.Repeat("x", 2001)+`"}`, 400)
	send("GET", service+"GetChannel?encoding=json&message={}", "", 403, "Sec-Fetch-Site", "cross-site")
	send("POST", service+"GetChannel", "channelId=7", 415, "Content-Type", "application/x-www-form-urlencoded")
	fault := func(f sandbox.Fault) {
		f.Route = "GET /channels/{channel_id}"
		sb.InjectFault(f)
	}
	channel := `{"channelId": "` + w.General.String() + `"}`
	fault(sandbox.Fault{Count: 1, Status: 500})
	fault(sandbox.Fault{Count: 1, Status: 418})
	for range 3 { // however often a fault is tried again
		if err := seen.do(t, "POST", "http://"+p.Address+service+"GetChannel", []byte(channel), "Content-Type", "application/json"); err != nil {
			t.Fatal(err)
		}
		if err := d.check(t, seen.all[len(seen.all)-1]); err != nil {
			t.Error(err)
		}
	}
	request := fmt.Sprintf(`{"channelId": "%s"}`, w.Forbidden)
	ended := send("POST", service+"ListChannelMessages", string(envelope(request)), 200, "Content-Type", "application/connect+json")
	if !bytes.Contains(ended.response, []byte(`"permission_denied"`)) {
		t.Errorf("the stream ended with %s", ended.response)
	}
	send("GET", "/healthz", "", 200)
	send("GET", "/readyz", "", 200)
	send("GET", "/metrics", "", 200)
}

// TestOpenAPIOfRefusals: the description includes the responses of a server that requires
// keys, and how to send a key.
func TestOpenAPIOfRefusals(t *testing.T) {
	key, hash := server.NewKey()
	auth := filepath.Join(t.TempDir(), "auth.yaml")
	if err := os.WriteFile(auth, fmt.Appendf(nil, "clients: [{name: shop, methods: [GetUser], hashes: [%q]}]", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	p := proxytest.Start(t, "--sandbox", "--auth-file", auth)
	d := describedBy(t, p)
	scheme := member(t, d.root, "components", "securitySchemes", "key")
	if scheme["type"] != "http" || scheme["scheme"] != "bearer" {
		t.Fatalf("a key is shown by %v", scheme)
	}
	for _, tt := range []struct {
		method, path string
		key          string
		status       int
	}{
		{http.MethodPost, "/discord_api.DiscordApi/GetChannel", "", http.StatusUnauthorized},
		{http.MethodPost, "/discord_api.DiscordApi/GetChannel", "wrong", http.StatusUnauthorized},
		{http.MethodPost, "/discord_api.DiscordApi/GetChannel", key, http.StatusForbidden},
		{http.MethodGet, "/metrics", "", http.StatusUnauthorized},
		{http.MethodGet, "/metrics", key, http.StatusForbidden},
		{http.MethodGet, "/healthz", "", http.StatusOK},
	} {
		var seen recorder
		header := []string{"Content-Type", "application/json"}
		if tt.key != "" {
			header = append(header, "Authorization", "Bearer "+tt.key)
		}
		if err := seen.do(t, tt.method, "http://"+p.Address+tt.path, []byte("{}"), header...); err != nil {
			t.Fatal(err)
		}
		if got := seen.all[0]; got.status != tt.status {
			t.Errorf("%s with the key %q is answered %d", tt.path, tt.key, got.status)
		} else if err := d.check(t, got); err != nil {
			t.Errorf("%s with the key %q: %v", tt.path, tt.key, err)
		}
		security, own := member(t, d.root, "paths", tt.path, strings.ToLower(tt.method))["security"].([]any)
		if free := own && len(security) == 0; free != (tt.status == http.StatusOK) {
			t.Errorf("%s needs %v", tt.path, security)
		}
	}
}
