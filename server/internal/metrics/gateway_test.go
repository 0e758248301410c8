package metrics_test

import (
	"strings"
	"testing"
	"time"

	"discordproxy/discord/gateway"
	"discordproxy/server/internal/events"
	"discordproxy/server/internal/gatewayproxy"
	"discordproxy/server/internal/metrics"

	pb "discordproxy/gen/discord_api"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func TestGateway(t *testing.T) {
	m := metrics.New(metrics.Config{Limits: func() metrics.Limits { return metrics.Limits{} }})
	if text := scrape(t, m, "text/plain"); strings.Contains(text, "gateway") {
		t.Error("without a gateway there are metrics of it")
	}
	status := gateway.Status{State: gateway.Connected, Latency: 250 * time.Millisecond}
	stats := gateway.Stats{Begun: 2, Resumed: 5, Lost: 7}
	m.Watch(metrics.Gateway{
		Status: func() gateway.Status { return status },
		Stats:  func() gateway.Stats { return stats },
		Events: func() events.Stats {
			return events.Stats{
				Subscribers: 3, Behind: 4, First: 11, Last: 20, Bytes: 500,
				Published: map[pb.Event_Type]uint64{pb.Event_MESSAGE_CREATE: 18, pb.Event_GATEWAY_STATE: 2},
			}
		},
		Proxy: func() gatewayproxy.Stats {
			return gatewayproxy.Stats{Connected: 5, Resumable: 6, Identified: 7, Resumed: 8, Slow: 9}
		},
	})
	if text := scrape(t, m, "text/plain"); strings.Contains(text, "sessions_left") {
		t.Error("sessions are left before Discord has reported any")
	}
	stats.Total, stats.Left = 1000, 0
	text := scrape(t, m, "text/plain")
	wantLines(t, text,
		`discordproxy_gateway_state{state="connected"} 1`,
		`discordproxy_gateway_state{state="ended"} 0`,
		"discordproxy_gateway_latency_seconds 0.25",
		"discordproxy_gateway_connections_lost_total 7",
		"discordproxy_gateway_sessions_begun_total 2",
		"discordproxy_gateway_sessions_resumed_total 5",
		"discordproxy_gateway_sessions_left 0",
		`discordproxy_events_total{type="MESSAGE_CREATE"} 18`,
		"discordproxy_events_kept 10",
		"discordproxy_events_kept_bytes 500",
		"discordproxy_event_subscribers 3",
		"discordproxy_event_subscribers_behind_total 4",
		`discordproxy_gateway_proxy_sessions{state="connected"} 5`,
		`discordproxy_gateway_proxy_sessions{state="resumable"} 6`,
		"discordproxy_gateway_proxy_identified_total 7",
		"discordproxy_gateway_proxy_resumed_total 8",
		"discordproxy_gateway_proxy_slow_total 9",
	)
	wantLines(t, text, "discordproxy_gateway_sessions_limit 1000", "discordproxy_gateway_paused_seconds 0", `discordproxy_gateway_state{state="paused"} 0`)
	status = gateway.Status{State: gateway.Paused, Until: time.Now().Add(24*time.Hour + time.Minute)}
	paused := scrape(t, m, "text/plain")
	wantLines(t, paused, `discordproxy_gateway_state{state="paused"} 1`)
	if !strings.Contains(paused, "discordproxy_gateway_paused_seconds 864") {
		t.Errorf("the pause is not shown in\n%s", paused)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
