package sandbox

import (
	"encoding/base64"
	"strings"
)

// DefaultToken is a short form of the default bot's token, for commands that
// are typed by hand. It works when [Config] names no token. As with Discord, it
// is sent as "Authorization: Bot sandbox-token".
const DefaultToken = "sandbox-token"

// shapedToken returns a token of the shape that Discord's have and libraries
// check: the bot's ID in base64, a time and a signature.
func shapedToken(bot ID) string {
	return base64.RawURLEncoding.EncodeToString([]byte(bot.String())) + ".SANDBX.sandbox-token-no-secret-at-all"
}

// canonical writes an Authorization header that uses the short form of the
// default token with the token itself, so that both count as one.
func (s *Sandbox) canonical(authorization string) string {
	if s.config.shortToken && authorization == "Bot "+DefaultToken {
		return "Bot " + s.config.Token
	}
	return authorization
}

// gatewayToken returns the Authorization header for a token in a payload of the
// gateway, which may begin with "Bot ".
func (s *Sandbox) gatewayToken(token string) string {
	return s.canonical("Bot " + strings.TrimPrefix(token, "Bot "))
}
