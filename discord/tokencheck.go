package discord

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"discordproxy/discord/ratelimit"
)

// checkTimeout bounds a check of a token, for which a call waits.
const checkTimeout = 10 * time.Second

// asksForCheck reports whether the rate limiter refused a call because of its token
// and asks for a check of the token.
func asksForCheck(err error) bool {
	refused, ok := errors.AsType[*ratelimit.Error](err)
	return ok && refused.Check
}

// checkToken checks the token of a request with Discord, for the rate limiter. A 401
// to the request itself is not enough: it may be about the route only.
//
// GET /users/@me accepts every bot token, and GET /oauth2/@me every token of
// OAuth2.
func (t *transport) checkToken(ctx context.Context, r *request) {
	check := &request{
		policy: policy{repeatable: true, probe: true, returns: unread, otherToken: r.otherToken},
		by:     r.by, method: http.MethodGet, version: apiVersion, path: "/users/@me",
		header: make(http.Header),
	}
	for _, name := range [...]string{"Authorization", "User-Agent"} {
		if values := r.header[name]; values != nil {
			check.header[name] = values
		}
	}
	if scheme, _, _ := strings.Cut(r.header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		check.path = "/oauth2/@me"
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	// The limiter has received the response. Without one, a later 401 starts another check.
	_, _ = t.do(ctx, check)
}
