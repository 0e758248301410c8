package discord

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"

	"discordproxy/discord/ratelimit"
)

// inSeconds rewrites the waits of an answer about a rate limit, which versions 6
// and 7 of the API give in milliseconds, as later versions give them. Answers of
// Discord's edge network have no version and always use seconds.
// https://discord.com/developers/docs/change-log
func (a *answer) inSeconds() {
	if a.status != http.StatusTooManyRequests && a.status != http.StatusForbidden {
		return
	}
	var document map[string]json.RawMessage
	isDocument := json.Unmarshal(a.body, &document) == nil && document != nil
	if ratelimit.IsEdge(document) {
		return
	}
	wait, err := strconv.ParseFloat(strings.Trim(string(document["retry_after"]), `"`), 64)
	inBody := isDocument && err == nil && !math.IsInf(wait, 0) && !math.IsNaN(wait)
	if !inBody && a.header.Get("X-Ratelimit-Scope") == "" && a.header.Get("X-Ratelimit-Remaining") == "" {
		return
	}
	if inBody {
		document["retry_after"] = json.RawMessage(strconv.FormatFloat(wait/1000, 'f', -1, 64))
		if body, err := json.Marshal(document); err == nil {
			a.body = body
		}
	}
	if wait, err := strconv.ParseUint(a.header.Get("Retry-After"), 10, 63); err == nil {
		a.header = a.header.Clone()
		a.header.Set("Retry-After", strconv.FormatUint((wait+999)/1000, 10))
		a.header.Del("Content-Length")
	}
}
