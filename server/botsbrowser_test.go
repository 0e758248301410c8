package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"discordproxy/server"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// TestBotsInBrowser opens the pages of several bots, below a path of a reverse proxy, as
// clients that may use all of them, two and one.
func TestBotsInBrowser(t *testing.T) {
	require.Command(t, "curl", "apt-get install curl")
	f := newFleet(t)
	main := addBot(t, f.sb, "main")
	main.Default = true
	f.config.Token, f.config.Bots = "", []server.BotConfig{addBot(t, f.sb, "alerts-for-the-whole-alliance-01"), addBot(t, f.sb, "games"), main}
	keys, rules := make(map[string]string), "clients:\n"
	for client, bots := range map[string]string{"admin": `["*"]`, "watcher": "[games, main]", "gamer": "[games]"} {
		key, hash := server.NewKey()
		keys[client] = key
		rules += fmt.Sprintf("- {name: %s, hashes: [%q], bots: %s}\n", client, hash, bots)
	}
	f.config.AuthFile = filepath.Join(t.TempDir(), "auth.yaml")
	if err := os.WriteFile(f.config.AuthFile, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	_, entry := f.pair(t)
	for _, b := range f.config.Bots {
		within(t, func() error { return readyAt(entry, "/bots/"+b.Name) })
	}

	target, err := url.Parse("http://" + entry.address)
	if err != nil {
		t.Fatal(err)
	}
	outside := httptest.NewServer(http.StripPrefix("/discord", &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which browsers compare with the origin
		},
		FlushInterval: -1,
	}))
	defer outside.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("POST /run/curl", func(w http.ResponseWriter, r *http.Request) {
		lines, _ := io.ReadAll(r.Body)
		if out, err := exec.CommandContext(r.Context(), "sh", "-c", string(lines)).CombinedOutput(); err != nil {
			http.Error(w, err.Error()+"\n"+string(out), http.StatusInternalServerError)
		}
	})
	control := httptest.NewServer(mux)
	defer control.Close()
	known, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	proxytest.Browse(t, "../dashboard", "PROXY="+outside.URL+"/discord", "BOTS=3", "KEYS="+string(known), "CONTROL="+control.URL)

	var sent []string
	for _, m := range f.sb.Messages(f.sb.World().General) {
		sent = append(sent, m.Author.Username+": "+m.Content)
	}
	if want := []string{"games: hello", "games: hello", "main: hello"}; !t.Failed() && !slices.Equal(sent, want) {
		t.Errorf("sent %q, want %q", sent, want)
	}
}
