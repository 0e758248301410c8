package access_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"discordproxy/server/internal/access"
)

// TestVisible: of what a guild lists, a client with channels sees its own and
// their threads.
func TestVisible(t *testing.T) {
	key, hash := access.NewKey()
	clientOf := func(entry string) (client *access.Client) {
		g := newGuarded(t, fmt.Sprintf("clients: [{name: shop, hashes: [%q], methods: [metrics], untargeted: true, %s}]", hash, entry))
		g.inner = func(_ http.ResponseWriter, r *http.Request) { client = access.From(context.WithoutCancel(r.Context())) }
		g.ask(t, "192.0.2.1:1", "Bearer "+key)
		return client
	}
	some := clientOf("guilds: [1], channels: [7]")
	for name, tt := range map[string][2]string{
		"channels":       {`[{"id":"7","permission_overwrites":[]},{"id":"8","permission_overwrites":[]}]`, `[{"id":"7","permission_overwrites":[]}]`},
		"category":       {`[{"id":"9","parent_id":"7","permission_overwrites":[]}]`, `[]`},
		"threads":        {`{"members":[{"id":"70","join_timestamp":"x"},{"id":"80","join_timestamp":"x"}],"threads":[{"id":"70","parent_id":"7","thread_metadata":{}},{"id":"80","parent_id":"8","thread_metadata":{}}]}`, `{"members":[{"id":"70","join_timestamp":"x"}],"threads":[{"id":"70","parent_id":"7","thread_metadata":{}}]}`},
		"webhooks":       {`[{"id":"1","channel_id":"7","token":"a"},{"id":"2","channel_id":"8","token":"b"}]`, `[{"id":"1","channel_id":"7","token":"a"}]`},
		"invites":        {`[{"code":"a","channel":{"id":"8"}},{"code":"b","channel":{"id":"7"}}]`, `[{"code":"b","channel":{"id":"7"}}]`},
		"found messages": {`{"messages":[[{"id":"1","channel_id":"8"}],[{"id":"2","channel_id":"7"}]]}`, `{"messages":[[{"id":"2","channel_id":"7"}]]}`},
		"audit log":      {`{"audit_log_entries":[{"action_type":10,"target_id":"8"},{"action_type":72,"options":{"channel_id":"8"}},{"action_type":50,"changes":[{"key":"channel_id","new_value":"8"}]},{"action_type":22,"target_id":"8"}]}`, `{"audit_log_entries":[{"action_type":22,"target_id":"8"}]}`},
		"external event": {`[{"id":"1","channel_id":null},{"id":"2","channel_id":"8"}]`, `[{"id":"1","channel_id":null}]`},
		"large numbers":  {`[{"id":1100000000000000001}]`, `[{"id":1100000000000000001}]`},
	} {
		got, err := some.Visible(json.RawMessage(tt[0]))
		if err != nil || !sameJSON(t, string(got), tt[1]) {
			t.Errorf("%s: got  %s, %v\nwant %s", name, got, err, tt[1])
		}
		for _, entry := range []string{"guilds: [1]", "guilds: [1], channels: ['*']"} {
			if got, err := clientOf(entry).Visible(json.RawMessage(tt[0])); err != nil || string(got) != tt[0] {
				t.Errorf("%s with %s: got %s, %v", name, entry, got, err)
			}
		}
	}
	if got, err := some.Visible(json.RawMessage("<html>")); err == nil {
		t.Errorf("what cannot be filtered passes: %s", got)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}
