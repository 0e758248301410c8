package sandbox

import (
	"encoding/json"
	"fmt"
	"io"

	"discordproxy/discord/gateway/wire"
)

// The opcodes of the gateway.
//
// See https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway.
const (
	opDispatch       = 0
	opHeartbeat      = 1
	opIdentify       = 2
	opPresence       = 3
	opVoiceState     = 4
	opResume         = 6
	opReconnect      = 7
	opRequestMembers = 8
	opInvalidSession = 9
	opHello          = 10
	opHeartbeatACK   = 11
	opSoundboard     = 31
	opChannelInfo    = 43
)

// The codes with which Discord closes connections to its gateway.
//
// See https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes.
const (
	CloseUnknownError         = 4000
	CloseUnknownOpcode        = 4001
	CloseDecodeError          = 4002
	CloseNotAuthenticated     = 4003
	CloseAuthenticationFailed = 4004 // no reconnecting, as from CloseInvalidShard on
	CloseAlreadyAuthenticated = 4005
	CloseInvalidSeq           = 4007
	CloseRateLimited          = 4008
	CloseSessionTimedOut      = 4009
	CloseInvalidShard         = 4010
	CloseShardingRequired     = 4011
	CloseInvalidVersion       = 4012
	CloseInvalidIntents       = 4013
	CloseDisallowedIntents    = 4014
)

// closing is the way in which a connection ends.
type closing struct {
	code   int
	reason string
}

func (c closing) Error() string { return fmt.Sprintf("%d: %s", c.code, c.reason) }

// The reasons that Discord gives with its codes.
var (
	closeDecode         = closing{CloseDecodeError, "Error while decoding payload."}
	closeTooLarge       = closing{CloseDecodeError, "Payload exceeds 4096 bytes."}
	closeNoIdentify     = closing{CloseNotAuthenticated, "Not authenticated."}
	closeToken          = closing{CloseAuthenticationFailed, "Authentication failed."}
	closeAgain          = closing{CloseAlreadyAuthenticated, "Already authenticated."}
	closeSeq            = closing{CloseInvalidSeq, "Invalid seq."}
	closeLimited        = closing{CloseRateLimited, "Rate limited."}
	closeTimedOut       = closing{CloseSessionTimedOut, "Session timed out."}
	closeShard          = closing{CloseInvalidShard, "Invalid shard."}
	closeSharding       = closing{CloseShardingRequired, "Sharding required."}
	closeVersion        = closing{CloseInvalidVersion, "Invalid API version."}
	closeIntents        = closing{CloseInvalidIntents, "Invalid intent(s)."}
	closeDisallowed     = closing{CloseDisallowedIntents, "Disallowed intent(s)."}
	closeSlow           = closing{CloseUnknownError, "The client reads too slowly."}
	closeReplaced       = closing{CloseUnknownError, "The session was resumed elsewhere."}
	closeReset          = closing{CloseUnknownError, "The sandbox was reset."}
	closeEncoding       = closing{CloseDecodeError, "ETF is not supported: use encoding=json."}
	closeCompression    = closing{CloseDecodeError, "Use compress=zlib-stream or zstd-stream."}
	closeGoingAway      = closing{1001, "The sandbox is shutting down."}
	closeUnknownOp      = closing{CloseUnknownOpcode, "Unknown opcode."}
	closeTooManyStarts  = closing{CloseAuthenticationFailed, "Too many sessions were started today; the token was reset."}
	closeTokenRevoked   = closing{CloseAuthenticationFailed, "The token was revoked."}
	closeTooManySession = closing{CloseUnknownError, "The sandbox keeps no more sessions."}
)

// endsSession reports whether nothing is left to resume.
func (c closing) endsSession() bool {
	switch c.code {
	case CloseAuthenticationFailed, CloseInvalidSeq, CloseSessionTimedOut:
		return true
	}
	return c.code >= CloseInvalidShard && c.code <= CloseDisallowedIntents
}

// frame is a payload on its way to a client. Several connections may share its
// data.
type frame struct {
	op   int
	kind string // of dispatches
	seq  int64  // of dispatches
	data json.RawMessage
}

// size is about what the frame takes in memory.
func (f frame) size() int { return len(f.data) + 64 }

// appendTo writes the payload as Discord does.
func (f frame) appendTo(b []byte) []byte {
	return wire.AppendPayload(b, wire.Opcode(f.op), f.kind, f.seq, f.data)
}

// command is a payload from a client.
type command struct {
	Op   *int            `json:"op"`
	Data json.RawMessage `json:"d"`
}

// readCommand decodes what a client has sent; the error is how it must end.
func readCommand(r io.Reader, most int) (command, error) {
	var c command
	b, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	switch {
	case err != nil:
		return c, fmt.Errorf("read payload: %w", err)
	case len(b) > most:
		return c, closeTooLarge
	}
	if json.Unmarshal(b, &c) != nil || c.Op == nil {
		return c, closeDecode
	}
	return c, nil
}

// decode reads the command's data.
func (c command) decode(into any) error {
	if len(c.Data) == 0 || json.Unmarshal(c.Data, into) != nil {
		return closeDecode
	}
	return nil
}

// mustJSON encodes what always can be.
func mustJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("sandbox: encode %T: %v", v, err))
	}
	return b
}
