package serve_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"discordproxy/cli"
	"discordproxy/cli/serve"
	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// pageAs asks a server for a page.
func pageAs(t *testing.T, p *proxytest.Proxy, id proxytest.Identity, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.HTTPClient(t, id, false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// eventually waits for what takes the server a moment.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatal("not within 30 s: " + what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mount makes a folder as Kubernetes mounts a secret: a file is a link through
// another link, which turn exchanges for one to a new folder.
func mount(t *testing.T, name, text string) (path string, turn func(text string)) {
	t.Helper()
	root := t.TempDir()
	n := 0
	turn = func(text string) {
		t.Helper()
		n++
		folder := fmt.Sprintf("..%d", n)
		if err := os.Mkdir(filepath.Join(root, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, folder, name), text)
		if err := os.Symlink(folder, filepath.Join(root, "..new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(root, "..new"), filepath.Join(root, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	turn(text)
	if err := os.Symlink(filepath.Join("..data", name), filepath.Join(root, name)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, name), turn
}

// TestAuthFileChanges: rules follow their file, however it is replaced, and a
// broken one leaves the rules as they were.
func TestAuthFileChanges(t *testing.T) {
	key, hash := server.NewKey()
	entry := func(name, more string) string {
		return fmt.Sprintf("clients: [{name: %s, hashes: [%q], %s}]", name, hash, more)
	}
	path, turn := mount(t, "auth.yaml", entry("shop", "methods: [GetChannel]"))
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	logs := t.TempDir()
	p := proxytest.Against(t, sb, "--auth-file", path, "--log-file-path", logs)
	client := p.ClientsAs(t, proxytest.Identity{Key: key})["gRPC"]
	says := func() string {
		_, err := client.GetUser(t.Context(), &pb.GetUserRequest{UserId: uint64(sb.World().Alice)})
		return fmt.Sprint(err)
	}
	if got := says(); !strings.Contains(got, "client shop may not call GetUser") {
		t.Fatal(got)
	}
	turn(entry("shop", "methods: [GetUser]"))
	eventually(t, "the turned link", func() bool { return says() == "<nil>" })

	turn("clients: [{name: shop")
	log := func() string {
		data, err := os.ReadFile(filepath.Join(logs, "discordproxyserver.log"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	const broken = "failed to reload a file; keeping the previous contents"
	eventually(t, "the broken file in the log", func() bool { return strings.Contains(log(), broken) })
	if got := says(); got != "<nil>" {
		t.Errorf("with a broken file: %s", got)
	}
	turn(entry("renamed", "methods: [GetChannel]"))
	eventually(t, "the mended file", func() bool { return strings.Contains(says(), "client renamed may not call GetUser") })
	if n := strings.Count(log(), broken); n != 1 {
		t.Errorf("the broken file was logged %d times", n)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, entry("written", "methods: [GetChannel]"))
	eventually(t, "the written file", func() bool { return strings.Contains(says(), "client written may not call GetUser") })
}

// TestCertificateChanges: new connections get the current certificate of the files.
func TestCertificateChanges(t *testing.T) {
	authority := proxytest.NewAuthority(t)
	folder := t.TempDir()
	authority.Files(t, folder, authority.Issue(t, proxytest.ServerName))
	cert, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	sb := sandbox.New(sandbox.Config{})
	trust := &tls.Config{RootCAs: authority.Pool()}
	p := proxytest.AgainstTLS(t, sb, trust, "--tls-cert", cert, "--tls-key", key)
	serial := func() string {
		conn, err := (&tls.Dialer{Config: trust}).DialContext(t.Context(), "tcp", p.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	// A certificate whose key has not come yet is not used.
	next := t.TempDir()
	authority.Files(t, next, authority.Issue(t, proxytest.ServerName))
	if err := os.Rename(filepath.Join(next, "cert.pem"), cert); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != first {
		t.Errorf("half a pair is used")
	}
	if err := os.Rename(filepath.Join(next, "key.pem"), key); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new certificate", func() bool { return serial() != first })
}

// TestExposedWithoutKeys: a server that anyone can reach warns about it, or does not start.
func TestExposedWithoutKeys(t *testing.T) {
	run := func(args ...string) (code int, out string) {
		var output bytes.Buffer
		code = cli.Run(t.Context(), serve.Command, cli.Env{Args: append(args, "--sandbox", "--port", "0", "--log-file-path", t.TempDir()), Out: &output, Err: &output})
		return code, output.String()
	}
	for _, args := range [][]string{{"--require-auth"}, {"--require-auth", "--host", "0.0.0.0"}} {
		if code, out := run(args...); code != 2 || !strings.Contains(out, "ERROR: --require-auth needs --auth-file or --tls-client-ca") {
			t.Errorf("%v: ended with %d: %s", args, code, out)
		}
	}
	get := func(p *proxytest.Proxy, path string) string {
		_, port, _ := strings.Cut(strings.TrimPrefix(p.Address, "[::]"), ":")
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	const warning = "anyone who can reach "
	exposed := proxytest.Start(t, "--sandbox", "--host", "0.0.0.0")
	eventually(t, "the warning on the console", func() bool { return strings.Contains(exposed.Output(), "WARNING: "+warning) })
	if got := get(exposed, "/readyz"); !strings.Contains(got, "warning: "+warning) {
		t.Errorf("readyz says %s", got)
	}
	_, hash := server.NewKey()
	auth := filepath.Join(t.TempDir(), "auth.yaml")
	write(t, auth, fmt.Sprintf("clients: [{name: shop, hashes: [%q]}]", hash))
	for name, args := range map[string][]string{"on a loopback address": nil, "with keys": {"--auth-file", auth, "--require-auth"}} {
		p := proxytest.Start(t, append([]string{"--sandbox"}, args...)...)
		if got := get(p, "/readyz"); strings.Contains(got, "warning") || strings.Contains(p.Output(), "WARNING") {
			t.Errorf("%s it says %s %s", name, got, p.Output())
		}
	}
}

func TestBadAccessFlags(t *testing.T) {
	folder := t.TempDir()
	empty := filepath.Join(folder, "empty")
	write(t, empty, "")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--tls-cert", empty}, "--tls-cert and --tls-key must be set together"},
		{[]string{"--tls-client-ca", empty}, "--tls-client-ca needs --tls-cert"},
		{[]string{"--tls-cert", empty, "--tls-key", empty}, "TLS certificate " + empty},
		{[]string{"--auth-file", filepath.Join(folder, "none")}, "cannot read the auth file"},
		{[]string{"--auth-file", empty}, "auth file " + empty},
		{[]string{"--audit-file", filepath.Join(folder, "none", "audit")}, "cannot write the audit file"},
	} {
		var output bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		code := cli.Run(ctx, serve.Command, cli.Env{Args: append(tt.args, "--sandbox", "--port", "0", "--log-file-path", t.TempDir()), Out: &output, Err: &output})
		cancel()
		wantCode := 1
		if strings.HasPrefix(tt.want, "--") {
			wantCode = 2 // the flags contradict each other
		}
		if code != wantCode || !strings.Contains(output.String(), "ERROR: "+tt.want) {
			t.Errorf("%v: ended with %d: %s", tt.args, code, output.String())
		}
	}
}

// TestKeyNew: the output is the key alone, and the entry works when pasted.
func TestKeyNew(t *testing.T) {
	key, explained, err := output(t, "key", "new", "--name", "shop")
	key, oneLine := strings.CutSuffix(key, "\n")
	if err != nil || !oneLine || !regexp.MustCompile(`^dpkey_\S+$`).MatchString(key) || strings.Contains(explained, key) {
		t.Fatalf("%v, %q, %q", err, key, explained)
	}
	_, entry, _ := strings.Cut(explained, "no secret.\n\n")
	auth := filepath.Join(t.TempDir(), "auth.yaml")
	write(t, auth, "clients:\n"+entry)
	useKey(t, auth, key)

	data, _, err := output(t, "key", "new", "--name", "shop", "--json")
	var made struct{ Name, Key, Hash, Entry string }
	if failed := json.Unmarshal([]byte(data), &made); err != nil || failed != nil || made.Name != "shop" || !strings.Contains(made.Entry, made.Hash) {
		t.Fatalf("%v, %v, %+v", err, failed, made)
	}
	write(t, auth, "clients:\n"+made.Entry)
	useKey(t, auth, made.Key)
	for _, args := range [][]string{
		{"key", "new"},
		{"key"},
		{"key", "new", "--name", "a b"},
		{"key", "new", "--name", "shop", "x"},
		{"key", "add"},
		{"key", "add", auth},
		{"key", "add", "--name", "shop"},
		{"key", "add", auth, "--name", "shop"},
		{"key", "add", t.TempDir(), "--name", "shop"},
		{"key", "add", auth, "--name", "other", "--methods", "Nonsense"},
		{"key", "add", filepath.Join(auth, "x"), "--name", "shop"},
	} {
		if code, output := run(t, args...); code == 0 || strings.Contains(output, "dpkey_") || strings.Count(output, "\n") != 1 {
			t.Errorf("%v ended with %d: %s", args, code, output)
		}
	}
}

// useKey calls a server that has an auth file with a key.
func useKey(t *testing.T, auth, key string) {
	t.Helper()
	p := proxytest.Against(t, sandbox.New(sandbox.Config{}), "--auth-file", auth)
	if _, err := p.ClientsAs(t, proxytest.Identity{Key: key})["Connect JSON"].GetCurrentUser(t.Context(), &pb.GetCurrentUserRequest{}); err != nil {
		t.Error(err)
	}
}

// TestKeyAdd: a client is added to a file, and the rest of the file stays as it is.
func TestKeyAdd(t *testing.T) {
	_, hash := server.NewKey()
	auth := filepath.Join(t.TempDir(), "auth.yaml")
	for _, before := range []string{
		"", "# nobody yet\n",
		"# mine\nclients:\n  # why\n  - name: x # who\n    hashes: [\"" + hash + "\"]\n# end\n\n",
		"clients:\n- name: x\n  addresses: [127.0.0.1]",
		"clients:\r\n    -   name: x\r\n        addresses: [127.0.0.1]\r\n",
	} {
		write(t, auth, before)
		if err := os.Chmod(auth, 0o640); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(t.TempDir(), "link.yaml")
		if err := os.Symlink(auth, link); err != nil {
			t.Fatal(err)
		}
		key, _, err := output(t, "key", "add", link, "--name", "shop", "--methods", "GetCurrentUser,Send*", "--methods", "metrics")
		if err != nil {
			t.Errorf("%q: %v", before, err)
			continue
		}
		after, err := os.ReadFile(auth)
		if err != nil || !strings.HasPrefix(string(after), strings.TrimRight(before, "\r\n")) || bytes.Contains(after, []byte(strings.TrimSpace(key))) {
			t.Errorf("%q became %q, %v", before, after, err)
		}
		if info, err := os.Stat(auth); err != nil || info.Mode() != 0o640 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		if clients, err := server.DescribeClients(after); err != nil || !strings.Contains(clients[len(clients)-1], "shop: may call GetCurrentUser, Send*, metrics,") {
			t.Errorf("%q: %v, %q", after, err, clients)
		}
		useKey(t, auth, strings.TrimSpace(key))
	}
	fresh := filepath.Join(t.TempDir(), "fresh.yaml")
	if _, _, err := output(t, "key", "add", "--name", "shop", fresh); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(fresh); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for _, refused := range []string{"clients: [{name: x, addresses: [127.0.0.1]}]", "clients: nonsense", "auth: {}", "clients:\n- name: x"} {
		write(t, auth, refused)
		if key, _, err := output(t, "key", "add", auth, "--name", "shop"); err == nil || key != "" {
			t.Errorf("%q: %v, %q", refused, err, key)
		}
		if after, err := os.ReadFile(auth); err != nil || string(after) != refused {
			t.Errorf("%q became %q, %v", refused, after, err)
		}
	}
}

// TestClientInLogs: the log, the audit file and metrics name the caller by its key's
// name, and contain no contents.
func TestClientInLogs(t *testing.T) {
	key, hash := server.NewKey()
	folder := t.TempDir()
	auth, audit := filepath.Join(folder, "auth.yaml"), filepath.Join(folder, "audit.log")
	write(t, auth, fmt.Sprintf("clients: [{name: shop, hashes: [%q]}]", hash))
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb, "--auth-file", auth, "--audit-file", audit, "--log-file-path", folder)
	w := sb.World()
	id := proxytest.Identity{Key: key}
	for _, client := range []proxytest.Identity{id, {}} {
		req := &pb.SendChannelMessageRequest{ChannelId: uint64(w.General), Content: "confidential"}
		ctx, info := connect.NewClientContext(t.Context())
		info.RequestHeader().Set("X-Request-Id", "id-of-the-call")
		_, _ = p.ClientsAs(t, client)["Connect JSON"].SendChannelMessage(ctx, req)
	}
	read := func(name string) string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	var lines []map[string]string
	for line := range strings.Lines(read(audit)) {
		var fields map[string]string
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if fields["method"] == "SendChannelMessage" {
			lines = append(lines, fields)
		}
	}
	if len(lines) != 2 {
		t.Fatalf("the audit is %s", read(audit))
	}
	for name, want := range map[string][2]string{
		"client": {"shop", ""}, "code": {"ok", "unauthenticated"}, "request_id": {"id-of-the-call", "id-of-the-call"},
		"target": {"channel_id", ""}, "id": {w.General.String(), ""}, "protocol": {"connect", "connect"},
	} {
		if got := [2]string{lines[0][name], lines[1][name]}; got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	log := read(filepath.Join(folder, "discordproxyserver.log"))
	if !strings.Contains(log, " caller=shop") || strings.Contains(log+read(audit), "confidential") || strings.Contains(log+read(audit), key) {
		t.Errorf("the log is %s", log)
	}
	info, err := os.Stat(audit)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the audit file is %v, %v", info.Mode(), err)
	}
	if status, body := pageAs(t, p, id, "/metrics"); status != 200 || !strings.Contains(body, `discordproxy_calls_total{client="shop",code="ok",method="SendChannelMessage",protocol="connect"} 1`) {
		t.Errorf("metrics are answered %d %s", status, body)
	}
	if status, _ := pageAs(t, p, proxytest.Identity{}, "/metrics"); status != 401 {
		t.Errorf("metrics are answered %d without a key", status)
	}
}

// TestTokenAtRest: the server warns about a token file that others can read, and accepts
// the token from systemd.
func TestTokenAtRest(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	folder := t.TempDir()
	token := filepath.Join(folder, "discord-bot-token")
	write(t, token, sb.World().Token+"\n")
	t.Setenv("CREDENTIALS_DIRECTORY", folder)
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		if err := os.Chmod(token, mode); err != nil {
			t.Fatal(err)
		}
		logs := t.TempDir()
		p := proxytest.Against(t, sb, "--token", "", "--log-file-path", logs)
		p.Stop()
		log, err := os.ReadFile(filepath.Join(logs, "discordproxyserver.log"))
		if err != nil {
			t.Fatal(err)
		}
		if got := warnsOf(string(log), "token file"); got != warned {
			t.Errorf("mode %v: warned %v", mode, got)
		}
	}
}

// TestAuthFileAtRest: the server warns about an auth file that others can read.
func TestAuthFileAtRest(t *testing.T) {
	_, hash := server.NewKey()
	file := filepath.Join(t.TempDir(), "auth.yaml")
	write(t, file, "clients: [{name: shop, hashes: ['"+hash+"']}]")
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o644: true} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		logs := t.TempDir()
		p := proxytest.Against(t, sandbox.New(sandbox.Config{}), "--auth-file", file, "--log-file-path", logs)
		p.Stop()
		log, err := os.ReadFile(filepath.Join(logs, "discordproxyserver.log"))
		if err != nil {
			t.Fatal(err)
		}
		if got := warnsOf(string(log), "auth file"); got != warned {
			t.Errorf("mode %v: warned %v", mode, got)
		}
	}
}

// warnsOf reports whether a log warns that everybody can read a file.
func warnsOf(log, what string) bool {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "every user of the machine can read a file") && strings.Contains(line, what) {
			return true
		}
	}
	return false
}
