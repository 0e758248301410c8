package discord

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/bwmarrin/discordgo"
)

// call is what the transport has to know of a request beside its bytes.
type call struct {
	// repeatable: doing it twice has the effect of doing it once, so that a
	// try whose outcome is unknown can be repeated.
	repeatable bool
	// once: repeatable because Discord keeps what it makes single.
	once bool
	// json: a success without a JSON body is an answer that got lost.
	json bool
	// returns: a success with another body is an answer that got lost.
	returns Returns
	// kind is a class of sub-limit that only the body tells.
	kind string
	// probe: the call checks the token itself.
	probe bool
	// done is the code with which Discord refuses to do again what is done
	// already, 0 if it does not.
	done int
	// tokenless: the path carries its own credentials.
	tokenless bool
	// reason is shown in the guild's audit log.
	reason string
	// path is that of a request that another program wrote, nil for those of
	// this package.
	path *APIPath
	// guest names another token than the bot's whose limits apply, without
	// giving it away. Empty for the bot's.
	guest string
	// joined is called when the call has its place among those that wait. It
	// may be nil.
	joined func()
}

type callKey struct{}

// do sends one request and returns the body of Discord's answer.
//
// discordgo's own Session locks a URL for the whole round trip and sleeps
// without looking at the context. A Session that lives for one call and never
// repeats has neither habit and costs about a microsecond.
func (c *Client) do(ctx context.Context, how call, method, address, contentType string, body []byte) ([]byte, error) {
	exchange := &exchange{transport: c.http}
	options := []discordgo.RequestOption{discordgo.WithContext(context.WithValue(ctx, callKey{}, how))}
	if how.reason != "" {
		options = append(options, discordgo.WithAuditLogReason(url.PathEscape(how.reason)))
	}
	session := &discordgo.Session{
		Token:       c.authorization,
		UserAgent:   c.userAgent,
		Ratelimiter: discordgo.NewRatelimiter(),
		Client: &http.Client{
			Transport:     exchange,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if how.tokenless {
		session.Token = ""
	}
	data, err := session.RequestRaw(method, address, contentType, body, "", 0, options...)
	switch e := (*Error)(nil); {
	case exchange.failure != nil:
		return nil, exchange.failure
	case err == nil:
		return data, nil
	case errors.As(err, &e):
		return nil, e
	default:
		// The request could not be built: nothing was sent. The error is left
		// out, because it names the address, in which a secret may stand.
		return nil, fmt.Errorf("discord: a %s request could not be built", method)
	}
}

// exchange is the transport of one call. discordgo turns some failures into
// errors without status or code, so they are taken down before it sees them.
type exchange struct {
	transport *transport
	failure   *Error
}

func (e *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := e.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	// A malformed one of these makes discordgo fail a call that succeeded.
	for _, name := range [...]string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset", "X-Ratelimit-Reset-After", "X-Ratelimit-Global", "X-Ratelimit-Bucket"} {
		delete(resp.Header, name)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		answered := resp.Body.(*answerBody)
		e.failure = answerError(resp.StatusCode, resp.Header, answered.bytes)
		e.failure.OutcomeUnknown = answered.outcomeUnknown
	} else if resp.StatusCode > http.StatusCreated {
		// discordgo knows 200, 201 and 204 as successes, Discord a few more.
		resp.StatusCode = http.StatusNoContent
	}
	return resp, nil
}

// snowflake writes an id as it stands in a URL.
func snowflake(id uint64) string { return strconv.FormatUint(id, 10) }

// Created returns when the thing with a snowflake id was made.
// https://discord.com/developers/docs/reference#snowflakes
func Created(id uint64) time.Time {
	const epoch = 1420070400000 // the first millisecond of 2015
	return time.UnixMilli(int64(id>>22) + epoch)
}
