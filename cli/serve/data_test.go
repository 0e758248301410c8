package serve_test

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"discordproxy/cli"
	"discordproxy/cli/serve"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
)

// run runs the command to its end.
func run(t *testing.T, args ...string) (code int, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	code = cli.Run(ctx, serve.Command, cli.Env{Args: args, Out: &out, Err: &out})
	return code, out.String()
}

// TestDataFolderInUse: a second server with the same folder fails with a line that says what to do.
func TestDataFolderInUse(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	folder := filepath.Join(t.TempDir(), "data")
	proxytest.Against(t, sb, "--data", folder)
	code, output := run(t, "--sandbox", "--port", "0", "--log-file-path", t.TempDir(), "--data", folder)
	if want := "ERROR: another server uses the data folder: " + folder + "; use --data to choose another folder\n"; code != 1 || output != want {
		t.Errorf("%d %q, want %q", code, output, want)
	}
}

// TestDataFolderUnwritable: the server warns once, and serves.
func TestDataFolderUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "discordproxy.db"), bytes.Repeat([]byte("damage "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string]string{
		filepath.Join(file, "data"): "nothing survives a restart: the data folder cannot be written; use --data to choose another folder",
		damaged:                     "nothing survives a restart: the data file is damaged; restore a backup, or use --data to choose another folder",
	} {
		logs := t.TempDir()
		p := proxytest.Against(t, sandbox.New(sandbox.Config{}), "--data", folder, "--log-file-path", logs)
		if _, body := fetch(t, p, "/readyz"); !strings.Contains(body, want+"\n") {
			t.Errorf("/readyz says %q, want %q", body, want)
		}
		p.Stop()
		log, err := os.ReadFile(filepath.Join(logs, "discordproxyserver.log"))
		if err != nil || strings.Count(string(log), "data folder cannot be used; nothing survives a restart") != 1 {
			t.Errorf("%v, the log is %s", err, log)
		}
	}
}

// TestDefaultDataFolder: the default is systemd's folder, the user's, or for the sandbox
// a temporary folder that is deleted.
func TestDefaultDataFolder(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	discord := httptest.NewServer(sb)
	defer discord.Close()
	defer sb.Close()
	home, systemd, temporary := t.TempDir(), t.TempDir(), t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	t.Setenv("TMPDIR", temporary)
	files := func(folder string) (names []string) {
		names, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	start := func(args ...string) {
		p, err := proxytest.Run(append(args, "--no-gateway", "--log-file-path", t.TempDir())...)
		if err != nil {
			t.Fatal(err)
		}
		if code := p.Stop(); code != 0 {
			t.Errorf("ended with %d: %s", code, p.Output())
		}
	}
	against := []string{"--token", sb.World().Token, "--discord-api-url", discord.URL + "/api"}
	start(append(against, "--no-data")...)
	start("--sandbox")
	if left := append(files(home), files(temporary)...); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	start(against...)
	if _, err := os.Stat(filepath.Join(home, "discordproxy", "discordproxy.db")); err != nil {
		t.Error(err)
	}
	t.Setenv("STATE_DIRECTORY", systemd)
	start(against...)
	if _, err := os.Stat(filepath.Join(systemd, "discordproxy.db")); err != nil {
		t.Error(err)
	}
}

// TestBackupCommands copies the data of a running server, and puts it back.
func TestBackupCommands(t *testing.T) {
	folder, copied := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "backup.db")
	p := proxytest.Against(t, sandbox.New(sandbox.Config{}), "--data", folder)
	if code, output := run(t, "backup", "--data", folder, copied); code != 0 || output != "" {
		t.Errorf("%d %q", code, output)
	}
	if code, output := run(t, "restore", "--data", folder, copied); code != 1 || !strings.Contains(output, "another server uses the data folder") {
		t.Errorf("%d %q", code, output)
	}
	p.Stop()
	if code, output := run(t, "restore", "--data", folder, copied); code != 0 || output != "" {
		t.Errorf("%d %q", code, output)
	}
	for _, args := range [][]string{{"backup"}, {"restore", "a", "b"}} {
		if code, output := run(t, args...); code != 2 || !strings.Contains(output, "expected "+args[0]+" FILE") {
			t.Errorf("%q: %d %q", args, code, output)
		}
	}
}

// TestDatabaseFlags: a flag, a variable or a file sets the address of PostgreSQL, and its
// password is never shown.
func TestDatabaseFlags(t *testing.T) {
	const password = "correct-horse"
	const address = "postgres://proxy:" + password + "@127.0.0.1:1/discord"
	file, empty := filepath.Join(t.TempDir(), "address"), filepath.Join(t.TempDir(), "empty")
	write(t, file, address+"\n")
	write(t, empty, "")
	config := filepath.Join(t.TempDir(), "config.yaml")
	write(t, config, "database: "+address+"\n")
	for _, tt := range []struct{ args, variable, want string }{
		{"--database " + address, "", "database: the database cannot be reached: database discord at 127.0.0.1: "},
		{"--database-file " + file, "", "database: the database cannot be reached: "},
		{"--config " + config, "", "database: the database cannot be reached: "},
		{"--data " + empty, address, "database: the database cannot be reached: "},
		{"--database-file " + empty, "", "database: the address of the database is not of the form"},
		{"--database mysql://" + password, "", "database: the address of the database is not of the form"},
		{"--database-file " + file + "x", "", "database: cannot read the database file: "},
		{"--no-data", address, "--database and --no-data cannot be used together"},
	} {
		t.Setenv("DISCORDPROXY_DATABASE", tt.variable)
		out, _, err := output(t, append([]string{"check", "--sandbox", "--port", "0"}, strings.Fields(tt.args)...)...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(out+err.Error(), password) {
			t.Errorf("%s: %v, want %q\n%s", tt.args, err, tt.want, out)
		}
		if tt.variable != "" && !strings.Contains(out, "postgres://proxy@127.0.0.1:1/discord") {
			t.Errorf("%s: the address is not shown in\n%s", tt.args, out)
		}
	}
	t.Setenv("DISCORDPROXY_DATABASE", "")
	code, out := run(t, "--sandbox", "--port", "0", "--log-file-path", t.TempDir(), "--database", "mysql://"+password)
	if code != 1 || !strings.Contains(out, "ERROR: cannot use the database: the address of the database is not of the form") || strings.Contains(out, password) {
		t.Errorf("%d %s", code, out)
	}
}
