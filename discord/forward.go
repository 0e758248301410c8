package discord

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"discordproxy/discord/ratelimit"
)

// Request is a request to Discord's API that another program wrote.
type Request struct {
	Method string
	Path   APIPath
	// Query is the part after the question mark, escaped.
	Query string
	// Header is sent unchanged, with two exceptions. Without an Authorization, the
	// request is sent with the bot's token. A User-Agent that Discord would block is
	// replaced. Tokens other than the bot's have separate limits.
	Header http.Header
	// Body is sent as it is, see Name.
	Body []byte
	// Opened is the latest moment at which another process may have sent the request.
	// Zero means that none may have. Only what IsRepeatable is sent again.
	Opened time.Time
}

// Response is Discord's answer, read to its end. Its status may be any but 429.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Err returns what an error status says, or nil for any other.
func (r *Response) Err() *Error {
	if r.Status < http.StatusBadRequest {
		return nil
	}
	return answerError(r.Status, r.Header, r.Body)
}

// OtherRoute returns the label of all routes that Discord is not known to have, so that
// the number of labels is limited.
func OtherRoute(method string) string { return method + " /{other}" }

// Label is Pattern, or OtherRoute for a route that this package does not know: there is no
// end of those until Discord accepts a request.
func (r *Request) Label() string {
	if !r.known() {
		return OtherRoute(r.Method)
	}
	return r.Pattern()
}

func (r *Request) known() bool {
	_, known := findRoute(r.Method, r.Path.segments)
	return known
}

// Route names the route without secrets, such as POST
// /channels/{channel_id}/messages, and the resource that it is about, such as
// channel and its id. There may be none, or one without a number, whose id is 0.
func (r *Request) Route() (name, resource string, id uint64) {
	route := r.route("")
	resource, rest, _ := strings.Cut(route.Major, " ")
	number, _, _ := strings.Cut(rest, "/")
	id, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		id = 0 // not the largest number, if it is larger
	}
	return route.String(), resource, id
}

// maxOddID bounds what is shown of an id that is none.
const maxOddID = 40

// OddID returns the id of the resource as it was given if it has digits alone
// and does not fit 64 bits, cut to 40 digits. Else "".
func (r *Request) OddID() string {
	parts := strings.Split(r.Path.below, "/")
	if len(parts) < 3 || parts[2] == "" || strings.Trim(parts[2], "0123456789") != "" {
		return ""
	}
	if _, err := strconv.ParseUint(parts[2], 10, 64); err == nil {
		return ""
	}
	return parts[2][:min(len(parts[2]), maxOddID)]
}

func (r *Request) route(kind string) ratelimit.Route {
	return ratelimit.RouteOf(r.Method, r.Path.below, kind, time.Now())
}

// Forward sends a request of another program when the rate limits allow it. It
// is repeated by the rules for all calls: GET, PUT, PATCH and DELETE, and a
// message with an enforced nonce, until their outcome is known; all else only
// while Discord certainly has not carried it out.
//
// An error status of Discord is an answer and no error, except that a 429 is
// waited out. Every error is an *Error, or a defect.
func (c *Client) Forward(ctx context.Context, by *Caller, r *Request) (*Response, error) {
	out, err := c.forwarded(r)
	if err != nil {
		return nil, err
	}
	out.by = by
	if !r.Opened.IsZero() && r.Method != http.MethodGet {
		out.journal = &Journal{Opened: r.Opened}
	}
	a, err := c.transport.do(ctx, out)
	if err != nil {
		return nil, err
	}
	return c.response(r, a), nil
}

// response returns the answer to a request of another program.
func (c *Client) response(r *Request, a *answer) *Response {
	if location := a.header.Get("Location"); location != "" {
		a.header = a.header.Clone()
		a.header.Set("Location", c.relocate(&r.Path, location))
	}
	return &Response{Status: a.status, Header: a.header, Body: a.body}
}

// forwarded returns the request with which r is sent.
func (c *Client) forwarded(r *Request) (*request, error) {
	out := &request{
		policy: policy{returns: unread, kind: r.kind(), tokenless: r.route("").Tokenless},
		method: r.Method, version: r.Path.version, path: r.Path.below, query: r.Query,
		header: r.Header.Clone(), body: r.Body, unlisted: !r.known(),
	}
	// https://discord.com/developers/docs/reference#user-agent
	if !strings.HasPrefix(out.header.Get("User-Agent"), "DiscordBot (") {
		out.header.Del("User-Agent")
	}
	if given := out.header.Values("Authorization"); len(given) == 0 || len(given) == 1 && c.IsOwn(given[0]) {
		out.header.Del("Authorization")
	} else {
		other, err := otherTokenOf(given)
		if err != nil {
			return nil, err
		}
		out.otherToken = other
	}
	out.repeatable, out.once = r.repeatable()
	if r.Method == http.MethodDelete && messageRoute.MatchString(r.Path.canonical()) {
		out.done = CodeUnknownMessage
	}
	return out, nil
}

// discordHosts are the hosts that serve Discord's API.
var discordHosts = map[string]bool{
	"discord.com": true, "ptb.discord.com": true, "canary.discord.com": true,
	"discordapp.com": true, "ptb.discordapp.com": true, "canary.discordapp.com": true,
}

// relocate returns a Location of Discord's API relative to the path that was
// asked for, so that it leads back to the server that forwarded the request. It
// returns any other Location as it is.
func (c *Client) relocate(from *APIPath, location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Opaque != "" || u.Host == "" && !strings.HasPrefix(u.Path, "/") {
		return location
	}
	base := c.base
	below, ok := "", false
	if u.Host == "" || strings.EqualFold(u.Host, base.Host) {
		below, ok = strings.CutPrefix(u.EscapedPath(), strings.TrimSuffix(base.EscapedPath(), "/")+"/")
	}
	if !ok && (u.Host == "" || discordHosts[strings.ToLower(u.Hostname())]) {
		below, ok = strings.CutPrefix(u.EscapedPath(), "/api/")
	}
	if !ok {
		return location
	}
	relative := strings.Repeat("../", strings.Count(from.String(), "/")-2) + below
	if !strings.HasPrefix(relative, "../") {
		relative = "./" + relative // a colon in the first segment would be that of a scheme
	}
	if u.RawQuery != "" {
		relative += "?" + u.RawQuery
	}
	if u.Fragment != "" {
		relative += "#" + u.EscapedFragment()
	}
	return relative
}

// otherTokenOf returns the name of another token than the bot's, which a request
// carries in its Authorization.
func otherTokenOf(given []string) (string, error) {
	scheme, token, _ := strings.Cut(given[0], " ")
	switch strings.ToLower(scheme) {
	case "bot", "bearer", "basic": // the last one for OAuth2's clients
	default:
		token = ""
	}
	if len(given) > 1 || strings.TrimSpace(token) == "" {
		return "", &Error{
			Reason: Invalid,
			Status: http.StatusUnauthorized,
			Text:   "401: Unauthorized: the header Authorization must be of the form Bot TOKEN or Bearer TOKEN",
		}
	}
	sum := sha256.Sum256([]byte(given[0]))
	return "token " + hex.EncodeToString(sum[:16]), nil
}

// IsOwn reports whether an Authorization is the bot's own token. It takes the
// same time wherever another token of the same length differs.
func (c *Client) IsOwn(authorization string) bool {
	scheme, token, found := strings.Cut(authorization, " ")
	if !found || !strings.EqualFold(scheme, "Bot") {
		return false
	}
	return c.transport.token.is("Bot " + strings.TrimSpace(token))
}

// Routes whose calls differ by more than the method.
var (
	channelRoute  = regexp.MustCompile(`^/channels/[^/]+$`)
	messagesRoute = regexp.MustCompile(`^/channels/[^/]+/messages$`)
	messageRoute  = regexp.MustCompile(`^/channels/[^/]+/messages/[^/]+$`)
)

// kind returns the class of sub-limit, which depends on the body.
func (r *Request) kind() string {
	if r.Method != http.MethodPatch || !channelRoute.MatchString(r.Path.canonical()) {
		return ""
	}
	fields := r.fields()
	if fields["name"] != nil || fields["topic"] != nil {
		return ratelimit.KindRename
	}
	return ""
}

// repeatable reports whether sending it twice has the effect of sending it
// once, and whether that is because Discord makes one message of both.
func (r *Request) repeatable() (repeatable, once bool) {
	if r.Method != http.MethodPost {
		return IsRepeatable(r.Method, r.Path), false
	}
	if !IsRepeatable(r.Method, r.Path) {
		return false, false
	}
	fields := r.fields()
	nonce := string(fields["nonce"])
	once = string(fields["enforce_nonce"]) == "true" && nonce != "" && nonce != "null" && nonce != `""`
	return once, once
}

// IsRepeatable reports whether sending it twice has the effect of sending it once.
func (r *Request) IsRepeatable() bool {
	repeatable, _ := r.repeatable()
	return repeatable
}

// IsRepeatable reports whether a request may be one that can be sent twice with the effect
// of sending it once. Of those that post a message, only the ones with a nonce are, see
// Request.Name.
func IsRepeatable(method string, path APIPath) bool {
	switch method {
	case http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return true
	}
	return method == http.MethodPost && messagesRoute.MatchString(path.canonical())
}

// maxFields bounds the JSON within a form that is looked at.
const maxFields = 1 << 20

// fields returns the fields of the JSON object in the body, or in the field
// payload_json of a form, or those of a form without it.
func (r *Request) fields() (fields map[string]json.RawMessage) {
	data, fields := r.document()
	if fields == nil {
		// What is no object has no fields.
		_ = json.Unmarshal(data, &fields)
	}
	return fields
}

// document returns the JSON in the body or in its form, or the fields of a form without
// JSON. It is apart from fields because the stack that both need together is more than
// a call that waits needs, and would be kept.
func (r *Request) document() (data []byte, fields map[string]json.RawMessage) {
	mediaType, parameters, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch mediaType {
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(r.Body))
		if err != nil {
			return nil, nil
		}
		if !form.Has(payloadJSON) {
			return nil, formFields(form)
		}
		return []byte(form.Get(payloadJSON)), nil
	case "multipart/form-data":
		form := multipart.NewReader(bytes.NewReader(r.Body), parameters["boundary"])
		for part, err := form.NextRawPart(); err == nil && data == nil; part, err = form.NextRawPart() {
			if part.FormName() != "payload_json" {
				continue
			}
			if data, err = io.ReadAll(io.LimitReader(part, maxFields)); err != nil {
				return nil, nil
			}
		}
		return data, nil
	}
	return r.Body, nil
}

// formFields returns the fields of a form as JSON.
func formFields(form url.Values) map[string]json.RawMessage {
	fields := make(map[string]json.RawMessage, len(form))
	for name := range form {
		switch value := form.Get(name); value {
		case "true", "false":
			fields[name] = json.RawMessage(value)
		default:
			fields[name], _ = json.Marshal(value) // a string always has JSON
		}
	}
	return fields
}
