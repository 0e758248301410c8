package gatewayproxy

import (
	"encoding/json"

	"discordproxy/discord/gateway"
)

// identify is what a bot says in IDENTIFY, and a session keeps.
type identify struct {
	Token      string          `json:"token"`
	Properties json.RawMessage `json:"properties"`
	Compress   bool            `json:"compress"`
	Large      *int            `json:"large_threshold"`
	Shard      []int           `json:"shard"`
	Presence   json.RawMessage `json:"presence"`
	Intents    *int64          `json:"intents"`
}

func (i *identify) intents() gateway.Intents { return gateway.Intents(*i.Intents) }

func (i *identify) large() int {
	if i.Large == nil {
		return 50
	}
	return *i.Large
}

// undocumentedIntents are set by libraries, accepted by Discord, and bring nothing
// that is documented.
const undocumentedIntents = 1<<17 | 1<<18 | 1<<19

// check returns how Discord would close a connection with this IDENTIFY, or nil if it
// would not. allowed are the intents of the server's own session.
func (i *identify) check(allowed gateway.Intents) *closing {
	switch {
	case len(i.Properties) == 0 || i.Properties[0] != '{' || i.large() < 50 || i.large() > 250:
		return &closeDecode
	case i.Shard != nil && (len(i.Shard) != 2 || i.Shard[1] < 1 || i.Shard[0] < 0 || i.Shard[0] >= i.Shard[1]):
		return &closeShard
	case i.Shard != nil && i.Shard[1] != 1:
		return &closeShards
	case i.Intents == nil || *i.Intents < 0 || *i.Intents&^int64(gateway.IntentsAll|undocumentedIntents) != 0:
		return &closeIntents
	}
	*i.Intents &^= undocumentedIntents
	if missing := i.intents() &^ allowed; missing != 0 {
		why := closeDisallowed
		why.reason = "Disallowed intent(s): add to the server's --intents: " + missing.String()
		return &why
	}
	return nil
}
