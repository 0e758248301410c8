package discord

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// request is one request to Discord's API. All tries of it send the same bytes.
type request struct {
	policy
	by      *Caller
	method  string
	version string // such as v10; empty for a path without one
	path    string // below the version, escaped, begins with a slash
	query   string // escaped
	// header is sent in addition to the credentials and the User-Agent of the
	// client, and takes precedence over them.
	header      http.Header
	contentType string // of the body, unless the header has it
	body        []byte
	content     *content // what the body is made from; nil once it is made
	unlisted    bool     // Discord may not have the route
	journal     *Journal // records the tries; nil if nothing does
}

// policy says how a request is sent and which response is expected.
type policy struct {
	// repeatable: doing it twice has the effect of doing it once, so that a
	// try whose outcome is unknown can be repeated.
	repeatable bool
	// once: repeatable because Discord keeps what it makes single.
	once bool
	// returns: a success with another body is an answer that got lost.
	returns Returns
	// kind is a class of sub-limit that only the body shows.
	kind string
	// probe: the request checks the token itself.
	probe bool
	// done is the code with which Discord refuses to do again what is done
	// already, or 0 if it does not.
	done int
	// tokenless: the path carries its own credentials.
	tokenless bool
	// otherToken names another token than the bot's whose limits apply, without
	// giving it away. The header carries it. Empty for the bot's.
	otherToken string
	// joined is called when the call has its place among those that wait. It
	// may be nil.
	joined func()
	// entered is whether the call has waited for something other than the limits, and
	// carried is the size of the body of another call that waits for this one.
	entered bool
	carried int64
}

// size returns the memory that the call holds while it waits.
func (r *request) size() int64 { return int64(len(r.body)) + r.carried }

// content is what the body of a request of this package says.
type content struct {
	operation string
	document  any
	files     []File
}

// encode makes the body. It is not a part of what makes the request: encoding/json needs
// much of the stack, which then belongs to a call for as long as it waits.
func (r *request) encode() (err error) {
	c := r.content
	if c == nil {
		return nil
	}
	if r.contentType, r.body, err = encode(c.document, c.files); err != nil {
		return fmt.Errorf("discord: encode %s: %w", c.operation, err)
	}
	r.content = nil
	return nil
}

// target returns the path with its query.
func (r *request) target() string {
	if r.query == "" {
		return r.path
	}
	return r.path + "?" + r.query
}

// call sends a request of this package and returns the body of Discord's answer.
func (c *Client) call(ctx context.Context, r *request) (json.RawMessage, error) {
	if err := r.encode(); err != nil {
		return nil, err
	}
	a, err := c.transport.do(ctx, r)
	if err != nil {
		return nil, err
	}
	if a.status < http.StatusOK || a.status >= http.StatusMultipleChoices {
		failure := answerError(a.status, a.header, a.body)
		failure.OutcomeUnknown = a.outcomeUnknown
		return nil, failure
	}
	return a.body, nil
}
