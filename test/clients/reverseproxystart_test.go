package clients

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/test/proxytest"
)

// reverseProxy is a program whose configuration is in docs/reverse-proxy.md.
type reverseProxy struct {
	name     string // of the program and its Debian package
	language string // of the block with its configuration
	// replace is what differs from the documents: it maps texts of the
	// configuration to those of a test, in which PORT, FOLDER and SERVER stand
	// for its own.
	replace map[string]string
	// frame surrounds the configuration.
	before, after string
	args          []string
}

var reverseProxies = []reverseProxy{
	{
		name: "nginx", language: "nginx",
		replace: map[string]string{
			"listen 443 ":     "listen 127.0.0.1:PORT ",
			"/etc/ssl/":       "FOLDER/",
			"/var/log/nginx/": "FOLDER/",
			"127.0.0.1:50051": "SERVER",
		},
		before: `daemon off;
user root;
pid FOLDER/nginx.pid;
error_log stderr;
events {}
http {
	client_body_temp_path FOLDER/body;
	proxy_temp_path FOLDER/proxy;
	fastcgi_temp_path FOLDER/fastcgi;
	uwsgi_temp_path FOLDER/uwsgi;
	scgi_temp_path FOLDER/scgi;
`,
		after: "}\n",
		args:  []string{"-c", "CONFIG", "-e", "stderr"},
	},
	{
		name: "haproxy", language: "haproxy",
		replace: map[string]string{
			"bind :443 ":      "bind 127.0.0.1:PORT ",
			"/etc/haproxy/":   "FOLDER/",
			"127.0.0.1:50051": "SERVER",
		},
		args: []string{"-db", "-f", "CONFIG"},
	},
	{
		name: "caddy", language: "caddyfile",
		replace: map[string]string{
			publicHost + " {": publicHost + ":PORT {",
			"/etc/ssl/":       "FOLDER/",
			"127.0.0.1:50051": "SERVER",
		},
		before: "{\n\tadmin off\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n}\n",
		args:   []string{"run", "--adapter", "caddyfile", "--config", "CONFIG"},
	},
}

// documentedBlock returns the block of a language in docs/reverse-proxy.md that
// TestReverseProxies runs.
func documentedBlock(t *testing.T, language string) string {
	t.Helper()
	page := readFile(t, filepath.Join("..", "..", "docs"), "reverse-proxy.md")
	block := regexp.MustCompile("<!-- run by TestReverseProxies -->\n+```" + language + "\n((?s:.*?))```\n")
	found := block.FindAllStringSubmatch(page, -1)
	if len(found) != 1 {
		t.Fatalf("%d blocks in %s are run by this test", len(found), language)
	}
	return found[0][1]
}

// start runs the program in front of a server until the test ends, and returns
// the port on which it listens and the function that returns what it wrote.
func (r reverseProxy) start(t *testing.T, authority *proxytest.Authority, server string) (port string, output func() string) {
	t.Helper()
	folder := t.TempDir()
	authority.Files(t, folder, authority.Issue(t, publicHost))
	certificate, key := readFile(t, folder, "cert.pem"), readFile(t, folder, "key.pem")
	pem := certificate
	if r.name == "haproxy" {
		pem += key
	}
	writeFile(t, folder, publicHost+".pem", pem)
	writeFile(t, folder, publicHost+".key", key)

	_, port, err := net.SplitHostPort(proxytest.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	config := documentedBlock(t, r.language)
	for from, to := range r.replace {
		if !strings.Contains(config, from) {
			t.Fatalf("the configuration of %s has no %q", r.name, from)
		}
		config = strings.ReplaceAll(config, from, to)
	}
	file := filepath.Join(folder, "config")
	here := strings.NewReplacer("PORT", port, "FOLDER", folder, "SERVER", server, "CONFIG", file)
	writeFile(t, folder, "config", here.Replace(r.before+config+r.after))
	args := slices.Clone(r.args)
	for i := range args {
		args[i] = here.Replace(args[i])
	}

	out := new(written)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, r.name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "HOME="+folder, "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		if t.Failed() {
			t.Logf("%s wrote:\n%s", r.name, out)
		}
	})
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = conn.Close()
			return port, out.String
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", r.name, out)
		default:
		}
		if time.Since(began) > proxytest.Patience {
			t.Fatalf("%s does not listen: %s", r.name, out)
		}
	}
}

// written is what a program wrote.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func readFile(t *testing.T, folder, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeFile(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
