package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"

	pb "discordproxy/gen/discord_api"
)

var prometheusFiles = filepath.Join("..", "..", "deploy", "prometheus")

// TestAlerts lets Prometheus's own tool check the rules and run their tests.
func TestAlerts(t *testing.T) {
	t.Parallel()
	require.Command(t, "promtool", "apt-get install prometheus")
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"},
		{"test", "rules", "discordproxy.rules.test.yml"},
	} {
		cmd := exec.CommandContext(t.Context(), "promtool", args...)
		cmd.Dir = prometheusFiles
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// ofReplicas are the metrics that only servers with --advertise have. TestReplicaMetrics
// of package server checks that these have them.
var ofReplicas = []string{
	"discordproxy_leads", "discordproxy_lease_epoch", "discordproxy_lease_renewals_total", "discordproxy_lease_renewal_seconds_total",
	"discordproxy_replicas", "discordproxy_replica_versions", "discordproxy_forwarded_total", "discordproxy_forwarded_in_progress",
}

// TestPrometheus: a real Prometheus reads the proxy as the example of its
// configuration says, native histograms too, and every question of the
// dashboard and of the alerts is about something that is there.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	require.Command(t, "prometheus", "apt-get install prometheus")
	sb := sandbox.New(sandbox.Config{Latency: sandbox.RoundTrip(5 * time.Millisecond)})
	p := proxytest.Against(t, sb, "--no-gateway=false")
	sb.InjectFault(sandbox.Fault{Route: "POST /channels/{channel_id}/messages", Count: 1, Status: 502, After: true})
	for range 3 {
		if _, err := p.Clients()["gRPC"].SendDirectMessage(t.Context(), &pb.SendDirectMessageRequest{
			UserId: uint64(sb.World().Alice), Content: "hi",
		}); err != nil {
			t.Fatal(err)
		}
	}
	prometheus := startPrometheus(t, p.Address)

	prometheus.await(t, "discordproxy_ready", func(v float64) bool { return v == 1 })
	prometheus.await(t, `discordproxy_calls_total{method="SendDirectMessage"}`, func(v float64) bool { return v == 3 })
	prometheus.await(t, `discordproxy_gateway_state{state="connected"}`, func(v float64) bool { return v == 1 })
	prometheus.await(t, "discordproxy_gateway_sessions_left", func(v float64) bool { return v == 999 })
	prometheus.await(t, `discordproxy_events_total{type="GATEWAY_STATE"}`, func(v float64) bool { return v == 1 })
	// Of a classic histogram there is no series without a suffix.
	for _, histogram := range []string{"call_duration_seconds", "call_waited_seconds", "call_discord_seconds"} {
		prometheus.await(t, fmt.Sprintf("histogram_count(discordproxy_%s{method=\"SendDirectMessage\"})", histogram), func(v float64) bool { return v == 3 })
	}
	prometheus.await(t, "histogram_quantile(0.95, sum(discordproxy_call_duration_seconds))", func(v float64) bool { return v >= 0.005 && v < 60 })

	var names []string
	prometheus.get(t, "/api/v1/label/__name__/values", nil, &names)
	known := make(map[string]bool)
	for _, name := range slices.Concat(names, ofReplicas) {
		known[name] = true
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Name, Query, Health, LastError string }
		}
	}
	prometheus.get(t, "/api/v1/rules", nil, &rules)
	var questions []string
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			questions = append(questions, rule.Query)
			if rule.Health == "err" {
				t.Errorf("%s: %s", rule.Name, rule.LastError)
			}
		}
	}
	if len(questions) == 0 {
		t.Error("Prometheus knows no rules")
	}
	panels := dashboardQuestions(t)
	for i := range panels {
		panels[i] = strings.ReplaceAll(panels[i], "$bot", grafanaVariable(t, "bot").AllValue)
	}
	metric := regexp.MustCompile(`\b(?:discordproxy|process|go)_[a-z_]+\b`)
	for _, question := range append(questions, panels...) {
		for _, name := range metric.FindAllString(question, -1) {
			if !known[name] {
				t.Errorf("%s: there is no %s", question, name)
			}
		}
		var answer any
		prometheus.get(t, "/api/v1/query", url.Values{"query": {question}}, &answer)
	}
	// What is measured is shown.
	shown := strings.Join(panels, "\n")
	for name := range known {
		if strings.HasPrefix(name, "discordproxy_") && !strings.Contains(shown, name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

// filled gives Grafana's variables values, as they are when all is chosen, but not the bot.
var filled = strings.NewReplacer("$job", ".+", "$instance", ".+", "$__rate_interval", "1m")

// variable is one that an admin chooses on the dashboard for Grafana.
type variable struct {
	Name, AllValue string
	Query          struct{ Query string }
}

// grafana is the dashboard for Grafana.
type grafana struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
	Templating struct {
		List []struct {
			Name, AllValue string
			Query          json.RawMessage
		}
	}
}

func readGrafana(t *testing.T) (g grafana) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "grafana", "discordproxy.json"))
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// grafanaVariable returns a variable of the dashboard that is a query.
func grafanaVariable(t *testing.T, name string) (v variable) {
	t.Helper()
	for _, of := range readGrafana(t).Templating.List {
		if of.Name != name {
			continue
		}
		v.Name, v.AllValue = of.Name, of.AllValue
		if err := json.Unmarshal(of.Query, &v.Query); err != nil {
			t.Fatal(err)
		}
		return v
	}
	t.Fatalf("there is no variable %s", name)
	return v
}

// dashboardQuestions returns what the panels ask, for all jobs and instances.
func dashboardQuestions(t *testing.T) []string {
	t.Helper()
	var questions []string
	for _, panel := range readGrafana(t).Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("the panel %s asks nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			questions = append(questions, filled.Replace(target.Expr))
		}
	}
	return questions
}

// prometheusServer is a running Prometheus.
type prometheusServer struct{ address string }

// startPrometheus runs Prometheus with the configuration of deploy, but for the
// proxy's address and the time between scrapes.
func startPrometheus(t *testing.T, proxy string) prometheusServer {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"prometheus.yml", "discordproxy.rules.yml"} {
		text, err := os.ReadFile(filepath.Join(prometheusFiles, name))
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.NewReplacer("127.0.0.1:50051", proxy, "15s", "200ms").Replace(string(text))
		if err := os.WriteFile(filepath.Join(folder, name), []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// It does not say which port it took of its own choice.
	address := proxytest.FreeAddress(t)

	var log bytes.Buffer
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, "prometheus", "--config.file", filepath.Join(folder, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(folder, "data"), "--web.listen-address", address, "--enable-feature", "native-histograms")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return prometheusServer{address}
}

// ask reads an answer of Prometheus's HTTP interface. Until it listens there is
// none.
func (p prometheusServer) ask(ctx context.Context, path string, query url.Values, data any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	answer := struct{ Data any }{data}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return json.Unmarshal(body, &answer)
}

func (p prometheusServer) get(t *testing.T, path string, query url.Values, data any) {
	t.Helper()
	if err := p.ask(t.Context(), path, query, data); err != nil {
		t.Errorf("%s %s: %v", path, query, err)
	}
}

// await asks until the answer is one number that is good.
func (p prometheusServer) await(t *testing.T, question string, good func(float64) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var answer struct {
			Result []struct{ Value [2]any }
		}
		err := p.ask(ctx, "/api/v1/query", url.Values{"query": {question}}, &answer)
		if err == nil && len(answer.Result) == 1 {
			v, err := strconv.ParseFloat(fmt.Sprint(answer.Result[0].Value[1]), 64)
			if err == nil && !math.IsNaN(v) && good(v) {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s is %v, %v", question, answer.Result, err)
		}
	}
}
