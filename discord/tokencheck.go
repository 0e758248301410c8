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

// asksForCheck reports whether the rate limiter refused a call because of its
// token, and wants to know whether the token is good again.
func asksForCheck(err error) bool {
	refused, ok := errors.AsType[*ratelimit.Error](err)
	return ok && refused.Check
}

// checkToken asks Discord whether the token of a request is good, so that the
// rate limiter knows. A 401 to the request itself does not say so: it may be
// about the route alone.
//
// GET /users/@me accepts every bot token, and GET /oauth2/@me every token of
// OAuth2.
func (t *transport) checkToken(req *http.Request, guest string) {
	path := "/users/@me"
	authorization := req.Header.Get("Authorization")
	if scheme, _, _ := strings.Cut(authorization, " "); strings.EqualFold(scheme, "Bearer") {
		path = "/oauth2/@me"
	}
	how := call{repeatable: true, probe: true, guest: guest}
	ctx, cancel := context.WithTimeout(context.WithValue(req.Context(), callKey{}, how), checkTimeout)
	defer cancel()
	check, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://discord.com/api/"+apiVersion+path, nil)
	if err != nil {
		return
	}
	check.Header.Set("Authorization", authorization)
	check.Header.Set("User-Agent", req.Header.Get("User-Agent"))
	// The limiter has heard the answer. Without one, a later 401 asks again.
	if resp, err := t.RoundTrip(check); err == nil {
		_ = resp.Body.Close()
	}
}
