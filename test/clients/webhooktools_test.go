package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// eventually waits until a channel has a message in whose JSON every text is.
func eventually(t *testing.T, sb *sandbox.Sandbox, channel sandbox.ID, output func() string, texts ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		var all []byte
		for _, m := range sb.Messages(channel) {
			data, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			all = append(append(all, data...), '\n')
			found := true
			for _, text := range texts {
				found = found && bytes.Contains(data, []byte(text))
			}
			if found {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no message has all of %q:\n%s\n%s", texts, all, output())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func hooksFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hooks.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAlertmanager: alerts of a real Alertmanager arrive, and their resolution,
// through a hook with a secret.
func TestAlertmanager(t *testing.T) {
	t.Parallel()
	require.Command(t, "prometheus-alertmanager", "apt-get install prometheus-alertmanager")
	const secret = "s3cretOfTheAlertmanager"
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	p := proxytest.Against(t, sb, "--hooks-file", hooksFile(t, fmt.Sprintf("hooks: [{name: alerts, channel: %s, secret: %s}]", w.General, secret)))
	folder := t.TempDir()
	config := fmt.Sprintf(`
route: {receiver: discord, group_by: [alertname], group_wait: 100ms, group_interval: 200ms, repeat_interval: 1h}
receivers:
  - name: discord
    webhook_configs: [{url: "http://%[1]s/hooks/alerts/%[2]s"}]
    discord_configs: [{webhook_url: "http://%[1]s/api/webhooks/%[3]s/%[4]s"}]
`, p.Address, secret, w.Webhook, w.WebhookToken)
	file := filepath.Join(folder, "alertmanager.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := proxytest.FreeAddress(t)
	var output lockedBuffer
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "prometheus-alertmanager", "--config.file="+file, "--storage.path="+filepath.Join(folder, "data"),
		"--web.listen-address="+address, "--cluster.listen-address=", "--web.external-url=http://alertmanager:9093")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = cmd.Wait() })

	alert := map[string]any{
		"labels":      map[string]string{"alertname": "HostOutOfDisk", "severity": "critical", "instance": "db1"},
		"annotations": map[string]string{"summary": "Disk of db1 is almost full"},
		"startsAt":    time.Now().Add(-time.Minute).UTC().Format(time.RFC3339),
	}
	tell := func() {
		t.Helper()
		body, err := json.Marshal([]any{alert})
		if err != nil {
			t.Fatal(err)
		}
		for {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/api/v2/alerts", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					return
				}
			}
			select {
			case <-t.Context().Done():
				t.Fatalf("Alertmanager does not take the alert: %s", output.String())
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	tell()
	eventually(t, sb, w.General, output.String, "HostOutOfDisk (1 firing)", "Disk of db1 is almost full", `"color":14687834`)
	eventually(t, sb, w.Announcement, output.String, "[FIRING:1] HostOutOfDisk", w.Webhook.String())
	alert["endsAt"] = time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	tell()
	eventually(t, sb, w.General, output.String, "HostOutOfDisk resolved")
}

// TestNetdata: netdata's own notifier posts to a hook and to a webhook of Discord
// behind the proxy. It adds /slack to both, and a key can be a part of the path.
func TestNetdata(t *testing.T) {
	t.Parallel()
	const notifier = "/usr/lib/netdata/plugins.d/alarm-notify.sh"
	require.Command(t, "bash", "apt-get install bash")
	require.File(t, "netdata", notifier, "apt-get install netdata-plugins-bash")
	const secret = "s3cretOfTheNetdataHost"
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	key, hash := server.NewKey()
	auth := filepath.Join(t.TempDir(), "auth.yaml")
	if err := os.WriteFile(auth, fmt.Appendf(nil, "clients: [{name: netdata, hashes: [%q], methods: ['POST /webhooks/*']}]", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	p := proxytest.Against(t, sb, "--auth-file", auth, "--hooks-file", hooksFile(t, fmt.Sprintf("hooks: [{name: netdata, channel: %s, secret: %s}]", w.General, secret)))
	webhook := fmt.Sprintf("/api/webhooks/%s/%s", w.Webhook, w.WebhookToken)
	for name, tt := range map[string]struct {
		path     string
		registry string // whose address is in the messages
		channel  sandbox.ID
		colors   map[string]string
	}{
		"hook": {"/hooks/netdata/" + secret, "http://netdata:19999", w.General, map[string]string{"15901974": "needs attention", "14687834": "is critical", "3061373": "recovered"}},
		// Discord refuses hosts without a dot.
		"webhook": {"/k/" + key + webhook, "https://netdata.example.org", w.Announcement, nil},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := notify(t, notifier, "http://"+p.Address+tt.path, tt.registry)
			if err != nil || strings.Contains(out, "# FAILED") {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, state := range []string{"needs attention", "is critical", "recovered"} {
				eventually(t, sb, tt.channel, func() string { return out }, state, "this is a test alarm to verify notifications work")
			}
			for color, state := range tt.colors {
				eventually(t, sb, tt.channel, func() string { return out }, `"color":`+color, state)
			}
		})
	}
	if out, _ := notify(t, notifier, "http://"+p.Address+webhook, "https://netdata.example.org"); !strings.Contains(out, "# FAILED") {
		t.Errorf("the URL of the webhook passes without the key:\n%s", out)
	}
}

// notify has netdata's notifier send its test alarms to a webhook.
func notify(t *testing.T, notifier, url, registry string) (output string, err error) {
	t.Helper()
	folder := t.TempDir()
	config := "SEND_DISCORD=YES\nSEND_EMAIL=NO\nDISCORD_WEBHOOK_URL=" + url + "\nDEFAULT_RECIPIENT_DISCORD=alarms\n"
	if err := os.WriteFile(filepath.Join(folder, "health_alarm_notify.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), notifier, "test")
	cmd.Env = append(os.Environ(), "NETDATA_USER_CONFIG_DIR="+folder, "NETDATA_STOCK_CONFIG_DIR="+folder, "NETDATA_CACHE_DIR="+folder, "NETDATA_REGISTRY_URL="+registry)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// lockedBuffer takes the output of a program while the test reads it.
type lockedBuffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}
