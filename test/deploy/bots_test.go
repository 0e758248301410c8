package deploy

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// ofProcess are the metrics that several bots of a server share.
var ofProcess = regexp.MustCompile(`^(discordproxy_build_info|process_.*|go_.*)$`)

// TestPrometheusOfBots: with several bots, Grafana finds their names, and what its
// dashboard shows of one bot is about no other.
func TestPrometheusOfBots(t *testing.T) {
	t.Parallel()
	require.Command(t, "prometheus", "apt-get install prometheus")
	sb := sandbox.New(sandbox.Config{})
	t.Cleanup(sb.Close)
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	text := "discord-api-url: " + discord.URL + "/api\nbots:\n"
	for _, name := range []string{"first", "second"} {
		text += fmt.Sprintf("- {name: %s, token: %s}\n", name, proxytest.AddBot(t, sb, name))
	}
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := proxytest.Start(t, "--sandbox=false", "--config", config)
	prometheus := startPrometheus(t, p.Address)
	for _, name := range []string{"first", "second"} {
		prometheus.await(t, fmt.Sprintf("discordproxy_ready{bot=%q}", name), func(v float64) bool { return v == 1 })
		prometheus.await(t, fmt.Sprintf(`discordproxy_gateway_state{bot=%q, state="connected"}`, name), func(v float64) bool { return v == 1 })
	}
	prometheus.await(t, "count by (job) (process_start_time_seconds)", func(v float64) bool { return v == 1 })

	variable := grafanaVariable(t, "bot")
	selector := regexp.MustCompile(`^label_values\((.*), bot\)$`).FindStringSubmatch(filled.Replace(variable.Query.Query))
	if selector == nil || variable.AllValue != ".*" {
		t.Fatalf("the variable is %+v", variable)
	}
	var names []string
	prometheus.get(t, "/api/v1/label/bot/values", url.Values{"match[]": {selector[1]}}, &names)
	if !slices.Equal(names, []string{"first", "second"}) {
		t.Errorf("the variable has the values %q", names)
	}

	metric := regexp.MustCompile(`\b((?:discordproxy|process|go)_[a-z_]+)(\{[^}]*\})?`)
	for _, question := range dashboardQuestions(t) {
		for _, m := range metric.FindAllStringSubmatch(question, -1) {
			if strings.Contains(m[2], `bot=~"$bot"`) == ofProcess.MatchString(m[1]) {
				t.Errorf("%s asks for %s%s", question, m[1], m[2])
			}
		}
	}
	// Rates have an answer when they were read twice.
	found := 0
	for deadline := time.Now().Add(proxytest.Patience); found < 20 && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		found = 0
		for _, question := range dashboardQuestions(t) {
			var answer struct {
				Result []struct{ Metric map[string]string }
			}
			prometheus.get(t, "/api/v1/query", url.Values{"query": {strings.ReplaceAll(question, "$bot", "first")}}, &answer)
			for _, series := range answer.Result {
				switch series.Metric["bot"] {
				case "first":
					found++
				case "":
				default:
					t.Fatalf("%s is answered with %v", question, series.Metric)
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("%d answers are about the bot", found)
	}
}
