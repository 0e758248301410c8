package server_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"discordproxy/server"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"

	"connectrpc.com/connect"
)

// TestBotsInBrowser opens the pages of several bots, below a path of a reverse proxy that
// refuses calls for some bots, as a server does for clients that may not use them.
func TestBotsInBrowser(t *testing.T) {
	require.Command(t, "curl", "apt-get install curl")
	f := newFleet(t)
	main := addBot(t, f.sb, "main")
	main.Default = true
	f.config.Token, f.config.Bots = "", []server.BotConfig{addBot(t, f.sb, "alerts-for-the-whole-alliance-01"), addBot(t, f.sb, "games"), main}
	_, entry := f.pair(t)
	for _, b := range f.config.Bots {
		within(t, func() error { return readyAt(entry, "/bots/"+b.Name) })
	}

	var denied atomic.Pointer[[]string]
	denied.Store(new([]string))
	target, err := url.Parse("http://" + entry.address)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which browsers compare with the origin
		},
		FlushInterval: -1,
	}
	refusals := connect.NewErrorWriter()
	outside := httptest.NewServer(http.StripPrefix("/discord", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bot := "main"
		if rest, named := strings.CutPrefix(r.URL.Path, "/bots/"); named {
			bot, _, _ = strings.Cut(rest, "/")
		}
		if r.Method == http.MethodPost && slices.Contains(*denied.Load(), bot) {
			_ = refusals.Write(w, r, connect.NewError(connect.CodePermissionDenied,
				errors.New("client watcher may not use bot "+bot+"; add it to bots in the client's entry of the auth file")))
			return
		}
		forward.ServeHTTP(w, r)
	})))
	defer outside.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("POST /deny", func(w http.ResponseWriter, r *http.Request) {
		var names []string
		if err := json.NewDecoder(r.Body).Decode(&names); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		denied.Store(&names)
	})
	mux.HandleFunc("POST /run/curl", func(w http.ResponseWriter, r *http.Request) {
		lines, _ := io.ReadAll(r.Body)
		if out, err := exec.CommandContext(r.Context(), "sh", "-c", string(lines)).CombinedOutput(); err != nil {
			http.Error(w, err.Error()+"\n"+string(out), http.StatusInternalServerError)
		}
	})
	control := httptest.NewServer(mux)
	defer control.Close()
	proxytest.Browse(t, "../dashboard", "PROXY="+outside.URL+"/discord", "BOTS=3", "KEYS={}", "CONTROL="+control.URL)

	var sent []string
	for _, m := range f.sb.Messages(f.sb.World().General) {
		sent = append(sent, m.Author.Username+": "+m.Content)
	}
	if want := []string{"games: hello", "games: hello", "main: hello"}; !t.Failed() && !slices.Equal(sent, want) {
		t.Errorf("sent %q, want %q", sent, want)
	}
}
