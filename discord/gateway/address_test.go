package gateway

import (
	"strings"
	"testing"
)

// TestAddresses: the token goes to hosts of the API's own domain only, and in
// clear text only when the API is called so.
func TestAddresses(t *testing.T) {
	const discordAPI = "https://discord.com/api"
	for _, tt := range []struct {
		api, address string
		why          string // part of the refusal; empty: allowed
	}{
		{discordAPI, "wss://gateway.discord.gg", ""},
		{discordAPI, "wss://gateway-us-east1-b.discord.gg/", ""},
		{discordAPI, "wss://discord.gg", ""},
		{discordAPI, "wss://a.b.discord.gg:443/?v=9&encoding=etf", ""},
		{discordAPI, "WSS://GATEWAY.DISCORD.GG.", ""},
		{"https://canary.discord.com/api", "wss://gateway.discord.gg", ""},
		{"https://DISCORD.com./api/v10", "wss://gateway.discord.gg", ""},
		{discordAPI, "ws://gateway.discord.gg", "not encrypted"},
		{discordAPI, "ws://elsewhere", "not encrypted"},
		{discordAPI, "http://gateway.discord.gg", "scheme"},
		{discordAPI, "https://gateway.discord.gg", "scheme"},
		{discordAPI, "wss+unix://gateway.discord.gg", "scheme"},
		{discordAPI, "javascript:alert(1)", "not a URL"},
		{discordAPI, "wss:gateway.discord.gg", "not a URL"},
		{discordAPI, "//gateway.discord.gg", "scheme"},
		{discordAPI, "gateway.discord.gg", "not a URL"},
		{discordAPI, "", "not a URL"},
		{discordAPI, "wss://", "not a URL"},
		{discordAPI, "wss://evil.test", "not in discord.gg"},
		{discordAPI, "wss://evildiscord.gg", "not in discord.gg"},
		{discordAPI, "wss://discord.gg.evil.test", "not in discord.gg"},
		{discordAPI, "wss://discord.com", "not in discord.gg"},
		{discordAPI, "wss://.discord.gg", "not in discord.gg"},
		{discordAPI, "wss://evil.test/discord.gg", "not in discord.gg"},
		{discordAPI, "wss://evil.test?.discord.gg", "not in discord.gg"},
		{discordAPI, "wss://evil.test#.discord.gg", "fragment"},
		{discordAPI, "wss://gateway.discord.gg#", "fragment"},
		{discordAPI, `wss://evil.test\.discord.gg`, "not a URL"},
		{discordAPI, "wss://evil.test\uff0f.discord.gg", "not in discord.gg"},
		{discordAPI, "wss://evil.test\u3002discord.gg", "not in discord.gg"},
		{discordAPI, "wss://evil.test%2f.discord.gg", "not a URL"},
		{discordAPI, "wss://gateway.discord.gg@evil.test", "user name"},
		{discordAPI, "wss://user:secret@gateway.discord.gg", "user name"},
		{discordAPI, "wss://@gateway.discord.gg", "user name"},
		{discordAPI, "wss://gateway.discord.gg:8443", "port is not 443"},
		{discordAPI, "wss://gateway.discord.gg:", "port is not valid"},
		{discordAPI, "wss://gateway.discord.gg:0", "port is not valid"},
		{discordAPI, "wss://gateway.discord.gg:70000", "port is not valid"},
		{discordAPI, "wss://gateway.discord.gg:x", "not a URL"},
		{discordAPI, "wss://127.0.0.1", "not in discord.gg"},
		{discordAPI, "wss://[::1]", "not in discord.gg"},
		{discordAPI, "wss://gateway.discord.gg\r\nHost: evil.test", "not a URL"},
		{"https://notdiscord.com/api", "wss://gateway.discord.gg", "that of the API, notdiscord.com"},
		{"https://discord.com.evil.test/api", "wss://gateway.discord.gg", "that of the API"},
		{"https://discord.com.evil.test/api", "wss://discord.com.evil.test:7/x", ""},
		{"https://api.test:8443/api", "wss://api.test", ""},
		{"https://api.test/api", "ws://api.test", "not encrypted"},
		{"https://api.test/api", "wss://gateway.api.test", "that of the API"},
		{"http://127.0.0.1:52700/api", "ws://127.0.0.1:52701/gateway", ""},
		{"http://127.0.0.1:52700/api", "wss://127.0.0.1:52701/gateway", ""},
		{"http://[::1]:52700/api", "ws://[::1]:52701/gateway", ""},
		{"http://127.0.0.1:52700/api", "ws://[::ffff:127.0.0.1]:52701/gateway", ""},
		{"http://127.0.0.1:52700/api", "ws://127.0.0.2:52700/gateway", "that of the API"},
		{"http://127.0.0.1:52700/api", "ws://gateway.discord.gg", "that of the API"},
		{"http://localhost/api", "ws://localhost:1/gateway", ""},
	} {
		a, err := addressesOf(tt.api)
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.dialable(tt.address)
		switch {
		case tt.why == "" && err != nil:
			t.Errorf("%s with %s: %v", tt.address, tt.api, err)
		case tt.why == "" && !strings.HasSuffix(got, "?encoding=json&v=10"):
			t.Errorf("%s is dialled as %s", tt.address, got)
		case tt.why != "" && err == nil:
			t.Errorf("%s with %s is dialled as %s", tt.address, tt.api, got)
		case tt.why != "" && !strings.Contains(err.Error(), tt.why):
			t.Errorf("%s with %s is refused with %v, want %s", tt.address, tt.api, err, tt.why)
		case tt.why != "" && strings.Contains(err.Error(), "secret"):
			t.Errorf("%s is refused with %v", tt.address, err)
		}
	}
	for _, api := range []string{"discord.com", "ws://discord.com", "https://", ":"} {
		if _, err := addressesOf(api); err == nil {
			t.Errorf("%q is an API", api)
		}
	}
}
