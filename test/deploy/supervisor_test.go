package deploy

import (
	"context"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// TestSupervisor: the real supervisor runs the program of deploy, and when it
// stops it, what waits is delivered, for longer than its own usual proxytest.Patience of
// ten seconds.
func TestSupervisor(t *testing.T) {
	t.Parallel()
	python := require.Python(t, "supervisor")
	commands := proxytest.Commands(t)
	server := filepath.Join(commands, "discordproxyserver")
	program, err := os.ReadFile(filepath.Join("..", "..", "deploy", "supervisor", "discordproxyserver.conf"))
	if err != nil {
		t.Fatal(err)
	}
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	// A path of a socket is short.
	folder, err := os.MkdirTemp("", "supervisor")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	const home = "/home/allianceserver/discordproxy"
	command := home + "/discordproxyserver --token-file " + home + "/token --data " + home + "/data"
	if !strings.Contains(string(program), command+"\n") {
		t.Fatalf("the command is not %s", command)
	}
	config := strings.NewReplacer(
		command, server+" --sandbox --port 0 --token-file "+folder+"/token --data "+folder+"/data",
		home, folder,
		"user=allianceserver", "user="+self.Username,
	).Replace(string(program)) + `
[supervisord]
logfile=` + folder + `/supervisord.log
pidfile=` + folder + `/supervisord.pid
[unix_http_server]
file=` + folder + `/socket
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://` + folder + `/socket
`
	file := filepath.Join(folder, "supervisord.conf")
	for name, text := range map[string]string{file: config, filepath.Join(folder, "token"): "unused\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	supervisord := exec.CommandContext(context.WithoutCancel(t.Context()), python, "-m", "supervisor.supervisord", "--nodaemon", "-c", file)
	if err := supervisord.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// It takes its program with it.
		_ = supervisord.Process.Signal(os.Interrupt)
		_ = supervisord.Wait()
	})
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(folder, name)) // there may be none yet
		return string(text)
	}
	listens := regexp.MustCompile(`listens on (\S+)`)
	deadline := time.After(time.Minute)
	var address []string
	for tick := time.Tick(50 * time.Millisecond); address == nil; address = listens.FindStringSubmatch(read("discordproxyserver.out")) {
		select {
		case <-tick:
		case <-deadline:
			t.Fatalf("the server does not listen\n%s\n%s", read("supervisord.log"), read("discordproxyserver.err"))
		}
	}
	const messages = 16 // five immediately, and five more every five seconds
	ended := proxytest.Fill(t, proxytest.NewClient(address[1]), messages)
	out, err := exec.CommandContext(t.Context(), python, "-m", "supervisor.supervisorctl", "-c", file, "stop", "discordproxyserver").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "discordproxyserver: stopped") {
		t.Errorf("supervisorctl stop: %v\n%s", err, out)
	}
	for range messages {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if log := read("supervisord.log"); !strings.Contains(log, "stopped: discordproxyserver (exit status 0)") || strings.Contains(log, "SIGKILL") {
		t.Errorf("the supervisor says\n%s", log)
	}
}
