//go:build unix

package clients

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// project is a folder of somebody who uses the package of typescript/.
type project struct {
	t      *testing.T
	node   string
	folder string
}

// newProject installs the package, as it is packed for npm, into a project. It
// needs no registry: what the package depends on is packed, too.
func newProject(t *testing.T) *project {
	t.Helper()
	home, err := filepath.Abs(filepath.Join("..", "..", "typescript"))
	if err != nil {
		t.Fatal(err)
	}
	p := &project{t: t, node: require.Node(t, home), folder: t.TempDir()}
	modules := filepath.Join(home, "node_modules")
	packed := t.TempDir()
	p.run(home, "npm", "pack", "--silent", "--pack-destination", packed)
	p.run(home, "npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", packed,
		"./node_modules/@bufbuild/protobuf", "./node_modules/@connectrpc/connect", "./node_modules/@connectrpc/connect-node", "./node_modules/@connectrpc/connect-web")
	archives, err := filepath.Glob(filepath.Join(packed, "*.tgz"))
	if err != nil || len(archives) != 5 {
		t.Fatal(archives, err)
	}
	p.write("package.json", `{"type": "module"}`)
	p.run(p.folder, "npm", append([]string{"install", "--offline", "--silent", "--no-audit", "--no-fund"}, archives...)...)

	for _, folder := range []string{"tests", "examples"} {
		if err := os.CopyFS(filepath.Join(p.folder, folder), os.DirFS(filepath.Join(home, folder))); err != nil {
			t.Fatal(err)
		}
	}
	readme, err := os.ReadFile(filepath.Join(home, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range regexp.MustCompile("(?s)```ts\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		p.write(fmt.Sprintf("readme%d.ts", i), block[1])
	}
	// The rules are the package's own, which are strict and look into what others declare.
	settings, err := json.Marshal(map[string]any{
		"extends":         filepath.Join(home, "tsconfig.json"),
		"compilerOptions": map[string]any{"typeRoots": []string{filepath.Join(modules, "@types")}, "rootDir": ".", "outDir": "built", "declaration": false},
		"include":         []string{"."},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.write("tsconfig.json", string(settings))
	p.run(p.folder, filepath.Join(modules, ".bin", "tsc"))
	return p
}

func (p *project) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.folder, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) read(path ...string) string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{p.folder}, path...)...))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// run runs a command in a folder and returns what it prints.
func (p *project) run(folder, name string, args ...string) string {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), name, args...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// secured starts a server with TLS that asks for a key, and returns the file
// with the certificate of its authority.
func secured(t *testing.T) (p *proxytest.Proxy, ca, key string) {
	t.Helper()
	folder := t.TempDir()
	file := func(name string) string { return filepath.Join(folder, name) }
	authority := proxytest.NewAuthority(t)
	authority.Files(t, folder, authority.Issue(t, proxytest.ServerName))
	key, hash := server.NewKey()
	if err := os.WriteFile(file("auth.yaml"), fmt.Appendf(nil, "clients: [{name: shop, hashes: [%q]}]", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	p = proxytest.AgainstTLS(t, sandbox.New(sandbox.Config{Unlimited: true}), &tls.Config{RootCAs: authority.Pool()},
		"--auth-file", file("auth.yaml"), "--tls-cert", file("cert.pem"), "--tls-key", file("key.pem"))
	return p, file("ca.pem"), key
}

// TestTypeScript installs the package into a project, and runs its tests, its
// examples and those of its README, in Node and in Chromium.
func TestTypeScript(t *testing.T) {
	t.Parallel()
	user := newProject(t)
	proxy := proxytest.Start(t, "--sandbox", "--global-rate-limit", "0")
	proxy.WaitReady(t)

	t.Run("tests", func(t *testing.T) {
		guarded, ca, key := secured(t)
		cmd := exec.CommandContext(t.Context(), user.node, "--test", "--test-reporter=tap", "--test-timeout=60000", "built/tests/client.test.js")
		cmd.Dir = user.folder
		cmd.Env = append(os.Environ(), "PROXY="+proxy.Address, "SECURE_PROXY="+guarded.Address, "CA="+ca, "KEY="+key)
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "\n# pass 0\n") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("example for Node", func(t *testing.T) {
		got := user.run(user.folder, user.node, filepath.Join("built", "examples", "node.js"), proxy.Address)
		if !strings.Contains(got, " hello again\n") || !strings.HasSuffix(got, "the user does not accept direct messages\n") {
			t.Errorf("it prints %s", got)
		}
	})
	t.Run("README for Node", func(t *testing.T) {
		user.write("here.js", strings.Replace(user.read("built", "readme0.js"), "localhost:50051", proxy.Address, 1))
		if got := user.run(user.folder, user.node, "here.js"); !strings.HasPrefix(got, "sent as ") {
			t.Errorf("it prints %s", got)
		}
	})
	t.Run("example for browsers", func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		// A person waits for the channels, writes, and reads what is said.
		person := fmt.Sprintf(`<script type="module">
			const form = document.querySelector("form"), output = document.querySelector("output");
			const until = async (done) => { while (!done()) await new Promise(requestAnimationFrame); };
			await until(() => form.channel.length > 0 || output.value);
			form.channel.value = "%[1]d";
			form.content.value = "from a form";
			form.requestSubmit();
			await until(() => output.value);
			const sent = output.value;
			form.channel.value = "%[2]d";
			form.content.value = "to nobody";
			form.requestSubmit();
			await until(() => output.value !== sent);
			await fetch("/seen", { method: "POST", body: JSON.stringify({ sent, refused: output.value }) });
		</script>`, sb.World().General, sb.World().Forbidden)
		got := open(t, sb, page{
			html:   strings.Replace(user.read("examples", "browser.html"), "browser.js", "page.js", 1) + person,
			script: filepath.Join("built", "examples", "browser.js"), folder: user.folder,
		})
		stored := sb.Messages(sb.World().General)
		if len(stored) != 1 || got["sent"] != "sent as "+stored[0].ID.String() || got["refused"] != "Discord answered with HTTP status 403, code 50001: Missing Access" {
			t.Errorf("the page shows %v, the sandbox holds %+v", got, stored)
		}
	})
	t.Run("README for browsers", func(t *testing.T) {
		user.write("here.js", strings.Replace(user.read("built", "readme1.js"), `"http://localhost:50051"`, `new URLSearchParams(location.search).get("proxy")`, 1)+
			`await fetch("/seen", { method: "POST", body: JSON.stringify({ shown: document.body.textContent }) });`)
		got := open(t, sandbox.New(sandbox.Config{}), page{
			html:   `<!doctype html><title>page</title><body><script type="module" src="page.js"></script>`,
			script: "here.js", folder: user.folder,
		})
		if shown, _ := got["shown"].(string); !strings.Contains(shown, "general, random, ") {
			t.Errorf("the page shows %q", shown)
		}
	})
}
