package discord

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"discordproxy/discord/ratelimit"
)

// Pattern is the method and the path with placeholders for ids and secrets,
// such as DELETE /channels/{channel_id}/messages/{message_id}. Other than the
// name of Route it does not depend on what is limited together.
func (r *Request) Pattern() string {
	// Only writes have anything that is limited together.
	return r.Method + " " + ratelimit.RouteOf(http.MethodGet, r.Path.below, "", time.Now()).Template
}

// Reading contains the targets that a request names.
type Reading struct {
	// About are the targets by which Discord finds what the request is about:
	// those in the path of a known route and, for the few routes that need it,
	// in the body.
	About []Target
	// Others are the targets that the request names anywhere else.
	Others []Target
}

// ReadHead refuses a request with a header or a path that other programs could
// read in another way than this one, and puts the head into the form in which
// all read the same: headers that are not for Discord are gone. For requests
// whose content decides whether they are sent.
func (r *Request) ReadHead() error {
	for _, s := range r.Path.segments {
		if strings.Contains(s, "%") {
			return errors.New("the path is encoded more than once")
		}
	}
	r.Path.below = r.Path.canonical()
	header := make(http.Header)
	for name, values := range r.Header {
		switch {
		case overridesRequest(name):
			return fmt.Errorf("the header %s asks for another request than this one", name)
		case name == "Content-Encoding":
			return errors.New("the body is encoded: send it without Content-Encoding")
		case !forDiscord[name]:
		case len(values) > 1:
			return fmt.Errorf("the header %s is there more than once", name)
		default:
			header[name] = values
		}
	}
	r.Header = header
	return nil
}

// forDiscord are the headers that Discord reads.
var forDiscord = map[string]bool{
	"Accept": true, "Accept-Language": true, "Authorization": true, "Content-Type": true,
	"If-Modified-Since": true, "If-None-Match": true, "User-Agent": true,
	"X-Audit-Log-Reason": true, "X-Discord-Locale": true, "X-Ratelimit-Precision": true,
}

// overridesRequest reports whether some servers take the method or the path of a
// request from the header instead of its first line.
func overridesRequest(name string) bool {
	name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	switch name {
	case "x-http-method", "x-method", "x-original-url", "x-original-uri", "x-original-method", "x-rewrite-url", "x-rewrite-uri":
		return true
	}
	return strings.HasSuffix(name, "method-override")
}

// Read returns what a request names, and puts query and body into a form that
// all parsers read the same. It refuses what it does not understand. ReadHead
// has to be called before.
func (r *Request) Read() (Reading, error) {
	var named Reading
	named.About, named.Others = pathTargets(r.Method, r.Path.segments)
	known, _ := findRoute(r.Method, r.Path.segments)
	f := &fields{route: known.method + " " + known.path}
	query, err := f.form(r.Query)
	if err != nil {
		return Reading{}, fmt.Errorf("query: %w", err)
	}
	r.Query = query
	if err := f.body(r); err != nil {
		return Reading{}, fmt.Errorf("body: %w", err)
	}
	named.About = append(named.About, f.about...)
	named.Others = append(named.Others, f.others...)
	return named, nil
}

// body reads the body of a request, and writes it and its type again.
func (f *fields) body(r *Request) error {
	mediaType, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if len(r.Body) == 0 {
		if err != nil || mediaType != "application/json" {
			r.Header.Del("Content-Type")
		}
		return nil
	}
	if err != nil {
		return err
	}
	switch mediaType {
	case "application/json":
		if err := onlyUTF8(parameters); err != nil {
			return err
		}
		r.Header.Set("Content-Type", mediaType)
		return f.json(r.Body, true)
	case "application/x-www-form-urlencoded":
		if err := onlyUTF8(parameters); err != nil {
			return err
		}
		r.Header.Set("Content-Type", mediaType)
		form, err := f.formBody(string(r.Body))
		r.Body = []byte(form)
		return err
	case "multipart/form-data":
		boundary := parameters["boundary"]
		delete(parameters, "boundary")
		if err := onlyUTF8(parameters); err != nil {
			return err
		}
		parts, err := readForm(r.Body, boundary)
		if err != nil {
			return err
		}
		for i := range parts {
			if err := f.part(&parts[i]); err != nil {
				return err
			}
		}
		contentType, body := writeForm(parts)
		r.Header.Set("Content-Type", contentType)
		r.Body = body
		return nil
	}
	return errors.New("its type is not known")
}

// onlyUTF8 refuses parameters of a media type that change how it is read.
func onlyUTF8(parameters map[string]string) error {
	for name, value := range parameters {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return fmt.Errorf("its type has the parameter %.40q, and only charset=utf-8 is understood", name)
		}
	}
	return nil
}

func parseID(text string) uint64 {
	id, err := strconv.ParseUint(text, 10, 63)
	if err != nil || text[0] == '0' {
		return 0
	}
	return id
}

// fields finds the targets in what a query and a body say.
type fields struct {
	route         string // as in routesText
	about, others []Target
}

// value takes a value that is named, or is in a list that is. top says that it
// is a field of the JSON object that is the body.
func (f *fields) value(name, text string, top bool) {
	if top && slices.Contains(bodyTargets[f.route], name) {
		kind, _ := TargetKindOf(name)
		f.about = append(f.about, Target{kind, parseID(text)})
		return
	}
	kind, ok := TargetKindOf(name)
	if name == "id" && channelLists[f.route] {
		kind, ok = ChannelTarget, true
	}
	// Users count as those who get a direct message only: anywhere else a guild
	// or a channel decides.
	if ok && (kind != UserTarget || isRecipient(name)) {
		f.others = append(f.others, Target{kind, parseID(text)})
	}
}

func isRecipient(name string) bool {
	return strings.HasPrefix(strings.ToLower(name), "recipient")
}

// plainName is a name of a field in a form: one with brackets or dots in it
// could mean something nested.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// plain takes a field of a query or a form. Its value may be JSON.
func (f *fields) plain(name, text string) error {
	switch {
	case !plainName.MatchString(name):
		return errors.New("the name of a field is not a plain word")
	case name == "_method", name == "_charset_":
		return fmt.Errorf("the field %s asks for another request than this one", name)
	case !utf8.ValidString(text):
		return fmt.Errorf("the field %.40s is not UTF-8", name)
	}
	f.value(name, text, false)
	if json.Valid([]byte(text)) {
		return f.json([]byte(text), false)
	}
	return nil
}

// form reads a query and returns it written again.
func (f *fields) form(text string) (string, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return "", err
	}
	for name, list := range values {
		if jsonFields[name] {
			return "", fmt.Errorf("the field %s is for a body", name)
		}
		for _, value := range list {
			if err := f.plain(name, value); err != nil {
				return "", err
			}
		}
	}
	return values.Encode(), nil
}

// jsonFields are the fields of a form without files that hold the whole body as
// JSON: Discord's own, and that of webhooks for payloads of Slack and GitHub.
var jsonFields = map[string]bool{payloadJSON: true, "payload": true}

// formBody reads a body that is written like a query, and returns it written
// again. Its fields are those of a JSON body, or one of them is that body.
func (f *fields) formBody(text string) (string, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return "", err
	}
	for name, list := range values {
		if len(list) > 1 {
			return "", fmt.Errorf("the form has the field %.40q %d times", name, len(list))
		}
		if jsonFields[name] {
			if len(values) > 1 {
				return "", fmt.Errorf("the form has other fields next to %s", name)
			}
			if err := f.json([]byte(list[0]), true); err != nil {
				return "", fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		if unknownUsers[name] && len(bodyTargets[f.route]) > 0 {
			f.others = append(f.others, Target{Kind: UserTarget})
		}
		if err := f.plain(name, list[0]); err != nil {
			return "", err
		}
		f.value(name, list[0], true)
	}
	return values.Encode(), nil
}
