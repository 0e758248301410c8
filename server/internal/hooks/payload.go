package hooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"discordproxy/server/internal/plainhttp"
)

// The formats of payloads.
const (
	formatText         = "text"
	formatDiscord      = "discord"
	formatSlack        = "slack"
	formatAlertmanager = "alertmanager"
	formatGrafana      = "grafana"
	formatGitHub       = "github"
	formatGitLab       = "gitlab"
	formatGitea        = "gitea"
	formatGeneric      = "generic" // an object or a form with a title, a message or both
	formatJSON         = "json"    // any other JSON
)

var formats = []string{
	formatText, formatDiscord, formatSlack, formatAlertmanager, formatGrafana,
	formatGitHub, formatGitLab, formatGitea, formatGeneric, formatJSON,
}

// payload is the decoded body of a request.
type payload struct {
	format string
	// event is a code forge's name of the event, such as pull_request.
	event string
	// data is the decoded JSON, or an object made of a text or a form. Numbers are
	// int64 if they are whole and fit, else float64.
	data any
}

// choose sets the format that the hook's configuration demands.
func (p *payload) choose(hook *Hook) {
	if hook.format != "" {
		p.format = hook.format
	}
}

// isEvent reports whether the payload can have nothing to say, as the events of
// a forge that nobody waits for.
func (p *payload) isEvent() bool { return p.event != "" }

// read reads the payload of a request.
func read(r *http.Request, limit int64) (*payload, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, &plainhttp.Refusal{
			Status: http.StatusUnsupportedMediaType,
			Text:   fmt.Sprintf("Content-Encoding %.40q is not supported: send the body uncompressed", encoding),
		}
	}
	body, err := plainhttp.ReadBody(r, limit, &plainhttp.Refusal{
		Status: http.StatusRequestEntityTooLarge,
		Text:   fmt.Sprintf("the body is too large: at most %d bytes are allowed", limit),
	})
	if err != nil {
		return nil, err
	}
	body = bytes.TrimPrefix(body, []byte("\uFEFF")) // programs of Windows begin texts with it
	if !utf8.Valid(body) {
		return nil, &plainhttp.Refusal{Status: http.StatusBadRequest, Text: "the body is not text in UTF-8"}
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, &plainhttp.Refusal{Status: http.StatusBadRequest, Text: "the body is empty: send a text, a form or JSON"}
	}
	contentType := r.Header.Get("Content-Type")
	mediaType, parameters, err := mime.ParseMediaType(contentType)
	if contentType != "" && err != nil {
		return nil, &plainhttp.Refusal{
			Status: http.StatusUnsupportedMediaType,
			Text:   fmt.Sprintf("Content-Type %.100q cannot be read", contentType),
		}
	}
	switch {
	case mediaType == "application/json", strings.HasSuffix(mediaType, "+json"):
		// Some senders declare every text as JSON.
		if looksLikeJSON(body) {
			return readJSON(body, r.Header)
		}
		return textPayload(string(body), r.Header), nil
	case mediaType == "application/x-www-form-urlencoded":
		// curl -d declares this type for any text.
		if fields, ok := formFields(body); ok {
			return readForm(fields, r.Header)
		}
		return readUnknown(body, r.Header), nil
	case mediaType == "multipart/form-data":
		fields, err := multipartFields(body, parameters["boundary"])
		if err != nil {
			return nil, err
		}
		return readForm(fields, r.Header)
	case mediaType == "text/plain", mediaType == "text/markdown":
		return textPayload(string(body), r.Header), nil
	case mediaType == "", mediaType == "application/octet-stream":
		return readUnknown(body, r.Header), nil
	}
	return nil, &plainhttp.Refusal{
		Status: http.StatusUnsupportedMediaType,
		Text:   fmt.Sprintf("Content-Type %.100q is not supported: send text/plain, application/json or a form", contentType),
	}
}

func looksLikeJSON(body []byte) bool {
	body = bytes.TrimSpace(body)
	return body[0] == '{' || body[0] == '['
}

// readUnknown reads a body whose type says nothing: JSON if it is JSON, else
// text.
func readUnknown(body []byte, header http.Header) *payload {
	if looksLikeJSON(body) {
		if p, err := readJSON(body, header); err == nil {
			return p
		}
	}
	return textPayload(string(body), header)
}

func readJSON(body []byte, header http.Header) (*payload, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var data any
	err := decoder.Decode(&data)
	if err == nil && decoder.More() {
		err = errors.New("more follows after its end")
	}
	if err != nil {
		at := decoder.InputOffset()
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = syntax.Offset
		} else if errors.Is(err, io.ErrUnexpectedEOF) {
			at, err = int64(len(body)), errors.New("it ends too early")
		}
		return nil, &plainhttp.Refusal{Status: http.StatusBadRequest, Text: fmt.Sprintf("the body is not valid JSON at byte %d: %v", at, err)}
	}
	p := &payload{data: plain(data)}
	p.recognize(header)
	return p, nil
}

// plain replaces json.Number, which templates cannot compare.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case map[string]any:
		for key, value := range v {
			v[key] = plain(value)
		}
	case []any:
		for i, value := range v {
			v[i] = plain(value)
		}
	}
	return v
}

// recognize finds the format by the header of the request and the shape of the
// data.
func (p *payload) recognize(header http.Header) {
	object, _ := p.data.(map[string]any)
	has := func(names ...string) bool {
		for _, name := range names {
			if object[name] == nil {
				return false
			}
		}
		return true
	}
	// Gitea and Forgejo send the header of GitHub as well.
	for _, forge := range []struct{ header, format string }{
		{"X-Gitea-Event", formatGitea},
		{"X-Forgejo-Event", formatGitea},
		{"X-Gitlab-Event", formatGitLab},
		{"X-Github-Event", formatGitHub},
	} {
		if event := header.Get(forge.header); event != "" && object != nil {
			p.format, p.event = forge.format, event
			if kind, ok := object["object_kind"].(string); ok && forge.format == formatGitLab {
				p.event = kind
			}
			return
		}
	}
	_, alerts := object["alerts"].([]any)
	switch {
	case alerts && has("orgId"), alerts && has("title", "state"), has("ruleName", "state"):
		p.format = formatGrafana
	case alerts && has("status"):
		p.format = formatAlertmanager
	case has("object_kind", "project"):
		p.format, p.event = formatGitLab, fmt.Sprint(object["object_kind"])
	case has("embeds"), has("content"), has("poll"), has("components"):
		p.format = formatDiscord
	case has("blocks"), isList(object["attachments"]) && !has("message"), has("text") && !has("title") && !has("message"):
		p.format = formatSlack
	case hasMessage(object):
		p.format = formatGeneric
	default:
		p.format = formatJSON
	}
}

func isList(v any) bool {
	list, ok := v.([]any)
	return ok && len(list) > 0
}

// messageFields are where tools put the text of a message, and titleFields its
// title, the first one that is there.
var (
	messageFields = []string{"message", "msg", "text", "body", "description"}
	titleFields   = []string{"title", "subject", "summary"}
)

func hasMessage(object map[string]any) bool {
	for _, name := range append(messageFields, titleFields...) {
		if text, ok := object[name].(string); ok && strings.TrimSpace(text) != "" {
			return true
		}
	}
	return false
}

// textPayload returns a text with what clients of ntfy say about one in headers.
func textPayload(text string, header http.Header) *payload {
	object := map[string]any{"message": strings.TrimRight(text, "\r\n")}
	for _, name := range []string{"Title", "Priority", "Tags", "Click"} {
		value := header.Get(name)
		if value == "" {
			value = header.Get("X-" + name)
		}
		if value != "" && utf8.ValidString(value) {
			// Headers outside ASCII are encoded, if they are.
			if decoded, err := new(mime.WordDecoder).DecodeHeader(value); err == nil {
				value = decoded
			}
			object[strings.ToLower(name)] = value
		}
	}
	return &payload{format: formatText, data: object}
}

// documentFields hold a whole document of JSON in a form.
var documentFields = []string{"payload", "payload_json"}

// knownFields are the fields of forms. A body without any of them is a text, even if
// it contains an equals sign.
var knownFields = append(append([]string{"content", "username", "priority"}, documentFields...), append(messageFields, titleFields...)...)

var fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.\[\]-]{0,63}$`)

// formFields returns the fields of a body that is a form.
func formFields(body []byte) (map[string]any, bool) {
	values, err := url.ParseQuery(string(bytes.TrimRight(body, "\r\n")))
	if err != nil || !bytes.ContainsRune(body, '=') {
		return nil, false
	}
	fields, known := make(map[string]any, len(values)), false
	for name, value := range values {
		if !fieldName.MatchString(name) || !utf8.ValidString(value[0]) {
			return nil, false
		}
		for _, k := range knownFields {
			known = known || name == k
		}
		fields[name] = value[0]
	}
	return fields, known
}

func multipartFields(body []byte, boundary string) (map[string]any, error) {
	broken := &plainhttp.Refusal{Status: http.StatusBadRequest, Text: "the form of type multipart/form-data cannot be read"}
	if boundary == "" {
		return nil, broken
	}
	fields := make(map[string]any)
	form := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return fields, nil
		}
		if err != nil {
			return nil, broken
		}
		if part.FileName() != "" {
			return nil, &plainhttp.Refusal{
				Status: http.StatusUnsupportedMediaType,
				Text:   fmt.Sprintf("field %.64q of the form is a file, which hooks do not support: use /api/webhooks/ID/TOKEN", part.FormName()),
			}
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, broken
		}
		fields[part.FormName()] = string(value)
	}
}

func readForm(fields map[string]any, header http.Header) (*payload, error) {
	for _, name := range documentFields {
		if text, ok := fields[name].(string); ok {
			p, err := readJSON([]byte(text), header)
			if err != nil {
				return nil, &plainhttp.Refusal{
					Status: http.StatusBadRequest,
					Text:   "field " + name + " of the form: " + strings.TrimPrefix(err.Error(), "the body "),
				}
			}
			return p, nil
		}
	}
	if content, ok := fields["content"]; ok {
		return &payload{
			format: formatDiscord,
			data:   map[string]any{"content": content, "username": fields["username"], "avatar_url": fields["avatar_url"]},
		}, nil
	}
	if !hasMessage(fields) {
		return nil, &plainhttp.Refusal{Status: http.StatusBadRequest, Text: "the form has none of the fields " + strings.Join(knownFields, ", ")}
	}
	if text, ok := fields["priority"].(string); ok {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			fields["priority"] = n
		}
	}
	return &payload{format: formatGeneric, data: fields}, nil
}
