package calls

import (
	"net/http"

	"discordproxy/discord"

	"connectrpc.com/connect"
)

// CodeOf returns the code of a call that failed with e. It is the only place
// that chooses one for Discord's errors.
func CodeOf(e *discord.Error) connect.Code {
	switch e.Reason {
	case discord.Answered, discord.Invalid:
		return codeOfHTTP(e.Status)
	case discord.DeadlineExceeded:
		return connect.CodeDeadlineExceeded
	case discord.Canceled:
		return connect.CodeCanceled
	case discord.Overloaded:
		return connect.CodeResourceExhausted
	case discord.TokenRefused:
		return connect.CodeUnauthenticated
	case discord.Revoked:
		return connect.CodePermissionDenied
	default:
		return connect.CodeUnavailable
	}
}

// codeOfHTTP is the table that clients know: INVALID_ARGUMENT for 400 and 405,
// and so on. Statuses that are not in it have their nearest meaning.
func codeOfHTTP(status int) connect.Code {
	switch status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return connect.CodeInvalidArgument
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated
	case http.StatusForbidden:
		return connect.CodePermissionDenied
	case http.StatusNotFound, http.StatusGone:
		return connect.CodeNotFound
	case http.StatusRequestTimeout:
		return connect.CodeUnavailable
	case http.StatusConflict:
		return connect.CodeAborted
	case http.StatusTooManyRequests:
		return connect.CodeResourceExhausted
	case http.StatusBadGateway:
		return connect.CodeUnavailable
	case http.StatusGatewayTimeout:
		return connect.CodeDeadlineExceeded
	}
	switch {
	case status >= 500:
		return connect.CodeInternal
	case status >= 400:
		return connect.CodeFailedPrecondition
	}
	return connect.CodeUnknown // a redirect: not Discord
}
