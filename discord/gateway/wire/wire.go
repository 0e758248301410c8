// Package wire provides what clients and servers of Discord's gateway protocol share:
// opcodes, close codes, the structure of a payload, and compression.
// https://discord.com/developers/docs/events/gateway
package wire

import (
	"encoding/json"
	"strconv"

	"github.com/coder/websocket"
)

// Opcode says what a payload is for.
// https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-opcodes
type Opcode int

// The opcodes of a bot's connection.
const (
	OpDispatch           Opcode = 0
	OpHeartbeat          Opcode = 1
	OpIdentify           Opcode = 2
	OpPresenceUpdate     Opcode = 3
	OpVoiceStateUpdate   Opcode = 4
	OpResume             Opcode = 6
	OpReconnect          Opcode = 7
	OpRequestMembers     Opcode = 8
	OpInvalidSession     Opcode = 9
	OpHello              Opcode = 10
	OpHeartbeatACK       Opcode = 11
	OpRequestSoundboard  Opcode = 31
	OpRequestChannelInfo Opcode = 43
)

// The codes with which the gateway closes a connection.
// https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
const (
	CloseUnknownError         websocket.StatusCode = 4000
	CloseUnknownOpcode        websocket.StatusCode = 4001
	CloseDecodeError          websocket.StatusCode = 4002
	CloseNotAuthenticated     websocket.StatusCode = 4003
	CloseAuthenticationFailed websocket.StatusCode = 4004
	CloseAlreadyAuthenticated websocket.StatusCode = 4005
	CloseInvalidSequence      websocket.StatusCode = 4007
	CloseRateLimited          websocket.StatusCode = 4008
	CloseSessionTimedOut      websocket.StatusCode = 4009
	CloseInvalidShard         websocket.StatusCode = 4010
	CloseShardingRequired     websocket.StatusCode = 4011
	CloseInvalidVersion       websocket.StatusCode = 4012
	CloseInvalidIntents       websocket.StatusCode = 4013
	CloseDisallowedIntents    websocket.StatusCode = 4014
)

// Limits of what a client sends: a connection that sends more than MaxSends
// payloads in 60 seconds, or one of more than MaxPayload bytes, is closed.
const (
	MaxSends   = 120
	MaxPayload = 4096
)

// AppendPayload appends a payload to b as the gateway sends it, with all four
// keys. kind and sequence are those of a dispatch. Nil data is null.
func AppendPayload(b []byte, op Opcode, kind string, sequence int64, data json.RawMessage) []byte {
	b = append(b, `{"t":`...)
	if op == OpDispatch {
		b = strconv.AppendQuote(b, kind)
		b = append(b, `,"s":`...)
		b = strconv.AppendInt(b, sequence, 10)
	} else {
		b = append(b, `null,"s":null`...)
	}
	b = append(b, `,"op":`...)
	b = strconv.AppendInt(b, int64(op), 10)
	b = append(b, `,"d":`...)
	if data == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, data...)
	}
	return append(b, '}')
}
