package gateway

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"discordproxy/discord/gateway/wire"

	"github.com/coder/websocket"
)

// apiVersion is the version of the gateway that this package speaks.
const apiVersion = "10"

// frame is a payload from the gateway. Sequence and Type are those of a dispatch.
type frame struct {
	Op       wire.Opcode     `json:"op"`
	Data     json.RawMessage `json:"d"`
	Sequence int64           `json:"s"`
	Type     string          `json:"t"`
}

// command is a payload to the gateway.
type command struct {
	Op   wire.Opcode `json:"op"`
	Data any         `json:"d"`
}

type identify struct {
	Token      string             `json:"token"`
	Properties identifyProperties `json:"properties"`
	// Compress lets the gateway compress what is large, each frame by itself.
	Compress bool    `json:"compress"`
	Intents  Intents `json:"intents"`
	// Presence is one of this package or the JSON of the last one that was sent.
	Presence any `json:"presence"`
}

type identifyProperties struct {
	OS      string `json:"os"`
	Browser string `json:"browser"`
	Device  string `json:"device"`
}

type presence struct {
	Since      *int64     `json:"since"`
	Activities []activity `json:"activities"`
	Status     string     `json:"status"`
	AFK        bool       `json:"afk"`
}

type activity struct {
	Name  string `json:"name"`
	Type  int    `json:"type"`
	State string `json:"state"`
}

// customActivity shows the text as it is, without a word such as "Playing"
// before it. Discord wants a name, and shows the state.
const customActivity = 4

type resume struct {
	Token     string `json:"token"`
	SessionID string `json:"session_id"`
	Sequence  int64  `json:"seq"`
}

type hello struct {
	HeartbeatInterval float64 `json:"heartbeat_interval"` // milliseconds
}

type ready struct {
	SessionID string `json:"session_id"`
	ResumeURL string `json:"resume_gateway_url"`
	User      struct {
		Username string `json:"username"`
	} `json:"user"`
}

// maxFrameBytes bounds a frame, before and after decompression. The largest
// are those of guilds with all their channels.
const maxFrameBytes = 64 << 20

// parseFrame reads a frame, a compressed one if it is binary.
func parseFrame(kind websocket.MessageType, data []byte) (frame, error) {
	var f frame
	if kind == websocket.MessageBinary {
		z, err := zlib.NewReader(bytes.NewReader(data))
		if err != nil {
			return f, &failure{"Discord sent a frame that cannot be decompressed", err}
		}
		data, err = io.ReadAll(io.LimitReader(z, maxFrameBytes+1))
		if err != nil {
			return f, &failure{"Discord sent a frame that cannot be decompressed", err}
		}
		if len(data) > maxFrameBytes {
			return f, &failure{reason: fmt.Sprintf("Discord sent a frame of more than %d bytes", maxFrameBytes)}
		}
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return f, &failure{"Discord sent a frame that cannot be read", err}
	}
	return f, nil
}

// fatal explains a close after which Discord wants no further connection.
func fatal(code websocket.StatusCode, intents Intents) (reason string, ok bool) {
	switch code {
	case wire.CloseAuthenticationFailed:
		return "Discord's gateway refused the bot's token", true
	case wire.CloseInvalidShard:
		return "Discord's gateway refused the shard", true
	case wire.CloseShardingRequired:
		return "the bot is in more guilds than Discord serves over one connection, and this server opens only one", true
	case wire.CloseInvalidVersion:
		return "Discord's gateway no longer speaks version " + apiVersion, true
	case wire.CloseInvalidIntents:
		return "Discord's gateway does not know one of the intents " + intents.String(), true
	case wire.CloseDisallowedIntents:
		reason = "Discord does not give this bot all of the intents " + intents.String()
		if switches := (intents & IntentsPrivileged).Switches(); switches != "" {
			reason += ": " + switches + ", or do not ask for them"
		}
		return reason, true
	}
	return "", false
}

// endsSession reports whether a connection that ended with err leaves nothing
// to resume.
func endsSession(err error) bool {
	if errors.Is(err, errSessionInvalid) || errors.Is(err, errRenewed) {
		return true
	}
	switch websocket.CloseStatus(err) {
	case wire.CloseInvalidSequence, wire.CloseSessionTimedOut:
		return true
	}
	return false
}
