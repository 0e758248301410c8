package server

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"discordproxy/discord/gateway"
	"discordproxy/server/internal/store"
)

// TestSpoiledParts: a part that cannot be read does not keep the others from it.
func TestSpoiledParts(t *testing.T) {
	for _, spoiled := range []string{"", "{", "null", "[]", `"text"`, "-1", "\xff\x00", `{"hub":[],"session":7}`, `{"route":1}`} {
		parts := make(map[string]store.Saved)
		for name, data := range map[string]string{
			limitsPart + "good": `{"address":{}}`, limitsPart + "bad": spoiled,
			dmPart + "1": "2", dmPart + "3": spoiled, dmPart + "x": "4",
			eventPart + "1": "{}", eventPart + "x": spoiled,
			gatewayPart: spoiled, pausesPart: spoiled,
		} {
			parts[name] = store.Saved{Data: []byte(data), At: time.Now()}
		}
		s := savedState{parts: parts}
		good := false
		for _, r := range s.limits() {
			good = good || r.Key == "good" && r.Address != nil
		}
		if !good {
			t.Errorf("%q: the records of the limiter are %v", spoiled, s.limits())
		}
		if dms := s.dms(); dms[1] != 2 || dms[4] != 0 {
			t.Errorf("%q: the channels are %v", spoiled, dms)
		}
		if pauses := s.pauses(); len(pauses) != 0 {
			t.Errorf("%q: the pauses are %v", spoiled, pauses)
		}
		if stored := s.events(); len(stored) != 1 || stored[1] == nil {
			t.Errorf("%q: the events are %v", spoiled, stored)
		}
		if state, _ := s.gateway(); state.Session != nil || state.Hub.Epoch != "" {
			t.Errorf("%q: the gateway is %+v", spoiled, state)
		}
		counted := gateway.BudgetCount{Begun: []time.Time{time.Now().UTC().Truncate(time.Second)}, Short: 2}
		data, err := json.Marshal(counted)
		if err != nil {
			t.Fatal(err)
		}
		parts[countedPart] = store.Saved{Data: data, At: time.Now()}
		if state, _ := s.gateway(); json.Unmarshal([]byte(spoiled), new(gatewayState)) != nil && !reflect.DeepEqual(state.Counted, counted) {
			t.Errorf("%q: the counts are %+v", spoiled, state.Counted)
		}
	}
}
