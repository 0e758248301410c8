package gatewayproxy

import (
	"fmt"
	"strings"

	"discordproxy/discord/gateway/wire"

	"github.com/coder/websocket"
)

// closing is how a connection ends.
type closing struct {
	code   websocket.StatusCode
	reason string
	// forget is whether the session cannot be resumed afterwards.
	forget bool
}

func (c *closing) Error() string { return fmt.Sprintf("%d: %s", c.code, c.reason) }

// maxReason is how many bytes a websocket has for the reason of a close.
const maxReason = 123

// text returns the reason as far as it fits.
func (c *closing) text() string {
	if len(c.reason) <= maxReason {
		return strings.ToValidUTF8(c.reason, "")
	}
	return strings.ToValidUTF8(c.reason[:maxReason-3], "") + "..." // a character may be cut
}

// How connections end, with the reasons that Discord gives where they fit.
var (
	closeDecode     = closing{code: wire.CloseDecodeError, reason: "Error while decoding payload."}
	closeTooLarge   = closing{code: wire.CloseDecodeError, reason: "Payload exceeds 4096 bytes."}
	closeUnknownOp  = closing{code: wire.CloseUnknownOpcode, reason: "Unknown opcode."}
	closeNoIdentify = closing{code: wire.CloseNotAuthenticated, reason: "Not authenticated."}
	closeForeign    = closing{
		code:   wire.CloseAuthenticationFailed,
		reason: "Authentication failed: use a client key, \"discordproxy\" or the bot's own token.",
	}
	closeAgain       = closing{code: wire.CloseAlreadyAuthenticated, reason: "Already authenticated."}
	closeSequence    = closing{code: wire.CloseInvalidSequence, reason: "Invalid seq.", forget: true}
	closeLimited     = closing{code: wire.CloseRateLimited, reason: "Rate limited: more than 120 payloads in 60 s."}
	closeTimedOut    = closing{code: wire.CloseSessionTimedOut, reason: "Session timed out: no heartbeat came."}
	closeShard       = closing{code: wire.CloseInvalidShard, reason: "Invalid shard."}
	closeShards      = closing{code: wire.CloseInvalidShard, reason: "Invalid shard: the proxy serves the bot as one shard, [0, 1]."}
	closeVersion     = closing{code: wire.CloseInvalidVersion, reason: "Invalid API version: use v=10 or v=9."}
	closeIntents     = closing{code: wire.CloseInvalidIntents, reason: "Invalid intent(s)."}
	closeDisallowed  = closing{code: wire.CloseDisallowedIntents}
	closeEncoding    = closing{code: wire.CloseDecodeError, reason: "ETF is not supported: use encoding=json."}
	closeCompression = closing{code: wire.CloseDecodeError, reason: "Use compress=zlib-stream or zstd-stream."}
	closeSlow        = closing{code: wire.CloseUnknownError, reason: "The client reads too slowly.", forget: true}
	closeReplaced    = closing{code: wire.CloseUnknownError, reason: "The session was resumed elsewhere."}
	closeReconnect   = closing{code: wire.CloseUnknownError, reason: "Reconnect."}
	closeShutdown    = closing{code: wire.CloseUnknownError, reason: "The proxy is shutting down."}
)
