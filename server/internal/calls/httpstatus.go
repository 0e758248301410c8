package calls

import (
	"net/http"

	"discordproxy/discord"
)

// HTTPStatusOf returns the HTTP status of a request that failed with e, for
// callers of Discord's own API: Discord's status if it answered.
func HTTPStatusOf(e *discord.Error) int {
	switch e.Reason {
	case discord.Answered, discord.Invalid:
		return e.Status
	case discord.DeadlineExceeded:
		if e.Limit != "" && !e.OutcomeUnknown {
			return http.StatusTooManyRequests
		}
		return http.StatusGatewayTimeout
	case discord.TokenRefused:
		return http.StatusUnauthorized
	case discord.Revoked:
		return http.StatusForbidden
	case discord.Withdrawn:
		return http.StatusConflict // libraries would repeat a 503
	case discord.Unreachable, discord.TooLate:
		return http.StatusBadGateway
	default:
		return http.StatusServiceUnavailable
	}
}
