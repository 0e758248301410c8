//go:build unix

package clients

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// page is what Chromium opens.
type page struct {
	html string
	// script is bundled to page.js, in a folder, by esbuild with further flags.
	script, folder string
	flags          []string
}

// visit has Chromium open a page of another origin than a new proxy's, whose
// script is test/browser/NAME.ts, and returns what the page saw.
func visit(t *testing.T, sb *sandbox.Sandbox, name string) map[string]any {
	t.Helper()
	require.Node(t, filepath.Join("..", "..", "typescript"))
	return open(t, sb, page{
		html:   `<!doctype html><title>page</title><script type="module" src="page.js"></script>`,
		script: name + ".ts", folder: filepath.Join("..", "browser"), flags: []string{"--conditions=discordproxy-source"},
	})
}

func open(t *testing.T, sb *sandbox.Sandbox, show page) map[string]any {
	t.Helper()
	chromium := require.Browser(t, filepath.Join("..", "browser"))
	esbuild, err := filepath.Abs(filepath.Join("..", "browser", "node_modules", ".bin", "esbuild"))
	if err != nil {
		t.Fatal(err)
	}
	built := t.TempDir()
	cmd := exec.CommandContext(t.Context(), esbuild, append(show.flags, show.script,
		"--bundle", "--format=esm", "--target=es2022", "--log-level=error", "--outfile="+filepath.Join(built, "page.js"))...)
	cmd.Dir = show.folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("esbuild: %v\n%s", err, out)
	}

	seen := make(chan map[string]any, 1)
	mux := http.NewServeMux()
	mux.Handle("GET /page.js", http.FileServer(http.Dir(built)))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(show.html))
	})
	mux.HandleFunc("POST /seen", func(_ http.ResponseWriter, r *http.Request) {
		var result map[string]any
		if err := json.NewDecoder(r.Body).Decode(&result); err != nil {
			result = map[string]any{"error": err.Error()}
		}
		select {
		case seen <- result:
		default:
		}
	})
	site := httptest.NewServer(mux)
	defer site.Close()

	p := proxytest.Against(t, sb, "--cors-origin", site.URL)
	w := sb.World()
	query := url.Values{
		"proxy": {"http://" + p.Address}, "alice": {w.Alice.String()}, "general": {w.General.String()},
		"guild": {w.Guild.String()}, "forbidden": {w.Forbidden.String()},
	}
	browser := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir="+browserProfile(t), "--remote-debugging-port=0", site.URL+"/?"+query.Encode())
	browser.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := browser.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-browser.Process.Pid, syscall.SIGKILL)
		_ = browser.Wait()
	}()
	return <-seen
}

// TestBrowser lets a page in Chromium call the proxy with the package of typescript/.
func TestBrowser(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{})
	got := visit(t, sb, "page")
	for name, want := range map[string]any{
		"direct": "from a page", "embed": "from a page", "error": nil,
		"forbidden": `PermissionDenied {"type":"HTTPException","status":403,"code":50001,"text":"Missing Access"}`,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if n, _ := got["channels"].(float64); n < 5 {
		t.Errorf("the page saw %v channels", got["channels"])
	}
	if stored := sb.Messages(sb.World().General); len(stored) != 1 {
		t.Errorf("the sandbox holds %+v", stored)
	}
}

// TestBrowserWithGooglesClient lets a page call the proxy with the client
// grpc-web, in text and in binary, for one answer and for a stream.
func TestBrowserWithGooglesClient(t *testing.T) {
	t.Parallel()
	got := visit(t, sandbox.New(sandbox.Config{}), "googlepage")
	for _, format := range []string{"text", "binary"} {
		seen, _ := got[format].(map[string]any)
		for name, want := range map[string]any{
			"unary": true, "long": true, "stream": "calls",
			"error": `7 {"type":"HTTPException","status":403,"code":50001,"text":"Missing Access"}`,
		} {
			if seen[name] != want {
				t.Errorf("%s: %s is %v, want %v", format, name, seen[name], want)
			}
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// TestDocumentationPageInBrowser: the page's policy allows what it does.
func TestDocumentationPageInBrowser(t *testing.T) {
	t.Parallel()
	chromium := require.Browser(t, filepath.Join("..", "browser"))
	p := proxytest.Start(t, "--sandbox")
	browser := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu",
		"--user-data-dir="+browserProfile(t), "--enable-logging=stderr", "--dump-dom", "http://"+p.Address+"/docs/")
	var console bytes.Buffer
	browser.Stderr = &console
	page, err := browser.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &console)
	}
	if !bytes.Contains(page, []byte(`<div class="example">`)) {
		t.Error("the script has not run")
	}
	for line := range strings.Lines(console.String()) {
		if strings.Contains(line, "CONSOLE") {
			t.Errorf("the browser says: %s", line)
		}
	}
}
