package discord

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Operation describes one operation of Discord's API: its request, its success
// response, and whether it can be repeated.
type Operation struct {
	// Name is Discord's own name for it.
	Name string
	// Method is the HTTP method.
	Method string
	// Path is the path below the version, with the names of arguments as
	// placeholders, such as /channels/{channel_id}.
	Path string
	// Query names the arguments in the query. In operations without a body, GET and
	// DELETE, these are all that are not in the path.
	Query []string
	// Body names the argument that is the whole body. Empty means that the
	// arguments are the fields of the body.
	Body string
	// Repeatable: doing it twice has the effect of doing it once, so that a
	// try whose outcome is unknown can be repeated. GET, PUT and DELETE are
	// repeatable by themselves.
	Repeatable bool
	// Done is the code with which Discord refuses to do again what an earlier
	// try has done already. 0 means that it does not refuse it.
	Done int
	// Returns is the kind of body of a success.
	Returns Returns

	journal *Journal // see Recorded
}

// ReasonArgument is the argument that is shown in the guild's audit log.
// https://discord.com/developers/docs/reference#audit-log-reasons
const ReasonArgument = "audit_log_reason"

// Args are the arguments of an operation, by Discord's names: those of the path and
// the query, the fields of the body, and ReasonArgument. A nil
// value is JSON's null. In the path and the query values are strings, numbers
// or booleans.
type Args map[string]any

// Call carries out an operation and returns the body of Discord's answer,
// which is a JSON value or empty. Files are uploaded with it, the first one as
// the attachment of id 0, and so on.
func (c *Client) Call(ctx context.Context, by *Caller, op Operation, args Args, files ...File) (json.RawMessage, error) {
	r, err := op.request(by, args, files)
	if err != nil {
		return nil, err
	}
	return c.call(ctx, r)
}

func (o *Operation) request(by *Caller, args Args, files []File) (*request, error) {
	path, err := o.path(args)
	if err != nil {
		return nil, err
	}
	return o.requestAt(path, by, args, files), nil
}

// requestAt returns a request whose path is not made from the arguments.
func (o *Operation) requestAt(path string, by *Caller, args Args, files []File) *request {
	r := &request{by: by, method: o.Method, version: apiVersion, path: path, journal: o.journal}
	r.repeatable, r.returns, r.done = o.repeatable(), o.returns(args), o.Done
	r.tokenless = o.InPath("webhook_token") || o.InPath("interaction_token")
	if reason, _ := args[ReasonArgument].(string); reason != "" {
		r.header = http.Header{"X-Audit-Log-Reason": {url.PathEscape(reason)}}
	}
	r.query = o.query(args)
	if document, ok := o.document(args); ok || len(files) > 0 {
		r.content = &content{o.Name, document, files}
	}
	return r
}

// query returns the query of a request, escaped.
func (o *Operation) query(args Args) string {
	var query url.Values
	for name, value := range args {
		if o.inQuery(name) {
			if query == nil {
				query = make(url.Values)
			}
			query.Set(name, fmt.Sprint(value))
		}
	}
	return query.Encode()
}

// document returns what the body of a request holds, and false for a request without
// a body unless it has files.
func (o *Operation) document(args Args) (document any, ok bool) {
	if o.Body != "" {
		return args[o.Body], true
	}
	fields := make(Args, len(args))
	for name, value := range args {
		if name != ReasonArgument && !o.InPath(name) && !o.inQuery(name) {
			fields[name] = value
		}
	}
	return fields, len(fields) > 0 || o.Method == http.MethodPatch
}

// InPath reports whether the path holds the argument: the operation cannot be
// called without it.
func (o *Operation) InPath(name string) bool {
	for rest := o.Path; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return false
		}
		argument, behind, _ := strings.Cut(after, "}")
		if argument == name {
			return true
		}
		rest = behind
	}
}

func (o *Operation) inQuery(name string) bool {
	if name == ReasonArgument || o.InPath(name) {
		return false
	}
	return o.Method == http.MethodGet || o.Method == http.MethodDelete || slices.Contains(o.Query, name)
}

// returns is the expected response of the operation with these arguments: a webhook
// returns its message only if the caller waits for it.
func (o *Operation) returns(args Args) Returns {
	if slices.Contains(o.Query, "wait") && args["wait"] != true {
		return Anything
	}
	return o.Returns
}

func (o *Operation) repeatable() bool {
	return o.Repeatable || o.Method == http.MethodGet || o.Method == http.MethodPut || o.Method == http.MethodDelete
}

// path returns the path with its arguments filled in. An argument is an id or
// one of two kinds of text, so that no argument can lead to another route.
func (o *Operation) path(args Args) (string, error) {
	path := make([]byte, 0, len(o.Path)+2*len("{1234567890123456789}"))
	for rest := o.Path; ; {
		literal, after, found := strings.Cut(rest, "{")
		path = append(path, literal...)
		if !found {
			return string(path), nil
		}
		name, behind, _ := strings.Cut(after, "}")
		value, ok := pathValue(name, args[name])
		if !ok {
			// The value may be a secret.
			return "", InvalidForm(FieldError{Field: name, Code: "STRING_TYPE_REGEX", Message: "Must be a value that can be part of a path."})
		}
		path = append(path, value...)
		rest = behind
	}
}

// pathValue returns an argument escaped for a path. It reports false if the argument
// cannot be part of a path.
func pathValue(name string, argument any) (string, bool) {
	if id, ok := argument.(uint64); ok && strings.HasSuffix(name, "_id") {
		return strconv.FormatUint(id, 10), 0 < id && id <= math.MaxInt64
	}
	value := fmt.Sprint(argument)
	return url.PathEscape(value), argument != nil && fitsPath(name, value)
}

func fitsPath(name, value string) bool {
	if strings.HasSuffix(name, "_id") {
		id, err := strconv.ParseUint(value, 10, 63)
		return err == nil && id > 0
	}
	return FitsPath(value)
}

// FitsPath reports whether a text, an emoji or a webhook's token, can be a segment of
// a path. A text that could lead to another route cannot, even if a proxy on the way
// decodes the path. Emoji and tokens contain no such characters.
func FitsPath(s string) bool {
	return strings.Trim(s, ".") != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`/\%?`, r)
	})
}
