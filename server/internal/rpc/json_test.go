package rpc_test

import (
	"context"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"

	"discordproxy/server/internal/rpc"

	"google.golang.org/protobuf/types/known/wrapperspb"

	pb "discordproxy/gen/discord_api"
)

// FuzzSnowflake: an id in JSON is exactly the number that it names, or it is
// refused.
func FuzzSnowflake(f *testing.F) {
	for _, id := range []string{
		"0", "1100000000000000010", `"1100000000000000010"`, `"18446744073709551615"`, "18446744073709551616", "-1", `"-0"`, "1.0", "1e3", `"1e3"`, "1.5",
		"9007199254740993", `"9007199254740993"`, "1e-3", `" 1"`, `"0x10"`, `"1_0"`, "null", "true", "[]", "{}", `""`, `"\u0031"`, "0e999999999", "1e19", "01",
	} {
		f.Add(id)
	}
	// called is set when the procedure is reached.
	var called *uint64
	h := handle(f, rpc.Config{}, func(_ context.Context, m *pb.SendChannelMessageRequest) (*wrapperspb.UInt64Value, error) {
		id := m.GetChannelId()
		called = &id
		return wrapperspb.UInt64(id), nil
	})
	f.Fuzz(func(t *testing.T, id string) {
		called = nil
		res := post(h, "application/json", `{"channelId":`+id+`}`)
		_ = res.Body.Close()
		if (res.StatusCode == 200) != (called != nil) {
			t.Fatalf("status %d", res.StatusCode)
		}
		if called == nil || !json.Valid([]byte(id)) {
			return // refused, or id is more than one value
		}
		text := strings.TrimSpace(id)
		if strings.HasPrefix(text, `"`) {
			if err := json.Unmarshal([]byte(id), &text); err != nil {
				t.Fatal(err)
			}
		}
		if text == "null" {
			text = "0"
		}
		if exact, err := strconv.ParseUint(text, 10, 64); err == nil {
			if exact != *called {
				t.Errorf("%s became %d", id, *called)
			}
			return
		}
		// Such as 1e3, which JSON allows.
		near, err := strconv.ParseFloat(text, 64)
		if err != nil || math.Abs(near-float64(*called)) > near*1e-9 {
			t.Errorf("%s became %d", id, *called)
		}
	})
}
