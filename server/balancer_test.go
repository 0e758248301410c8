//go:build unix

package server_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// balancers are load balancers whose configurations are in docs/scaling.md.
var balancers = map[string]struct {
	frame func(config, folder string) string
	args  func(file string) []string
}{
	"haproxy": {
		func(config, _ string) string { return config },
		func(file string) []string { return []string{"-db", "-f", file} },
	},
	"nginx": {
		func(config, folder string) string {
			for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				config = name + "_temp_path " + folder + "/" + name + ";\n" + config
			}
			user := ""
			if os.Getuid() == 0 {
				user = "user root;\n"
			}
			return "daemon off;\n" + user + "pid " + folder + "/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n" + config + "}\n"
		},
		func(file string) []string { return []string{"-c", file, "-e", "stderr"} },
	},
}

// TestBalancers: calls through a load balancer in front of two servers reach either one, go
// on while one of them restarts, and each message that was reported as sent was sent once.
func TestBalancers(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "scaling.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name, balancer := range balancers {
		t.Run(name, func(t *testing.T) {
			require.Command(t, name, "apt-get install "+name)
			found := regexp.MustCompile("<!-- run by TestBalancers -->\n+```"+name+"\n((?s:.*?))```\n").FindAllSubmatch(page, -1)
			if len(found) != 1 {
				t.Fatalf("%d blocks in %s", len(found), name)
			}
			f := newFleet(t)
			leader, other := f.pair(t)
			front, folder := proxytest.FreeAddress(t), t.TempDir()
			config := string(found[0][1])
			for from, to := range map[string]string{"10.0.0.1:50051": leader.address, "10.0.0.2:50051": other.address, ":50050": front} {
				if !strings.Contains(config, from) {
					t.Fatalf("the configuration has no %s", from)
				}
				config = strings.ReplaceAll(config, from, to)
			}
			file := filepath.Join(folder, "config")
			if err := os.WriteFile(file, []byte(balancer.frame(config, folder)), 0o600); err != nil {
				t.Fatal(err)
			}
			var output bytes.Buffer
			cmd := exec.CommandContext(t.Context(), name, balancer.args(file)...)
			cmd.Stdout, cmd.Stderr, cmd.Cancel, cmd.WaitDelay = &output, &output, func() error { return cmd.Process.Signal(syscall.SIGTERM) }, 5*time.Second
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Signal(syscall.SIGTERM)
				_ = cmd.Wait()
				if t.Failed() {
					t.Logf("%s", output.Bytes())
				}
			}()
			within(t, func() error {
				c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", front)
				if err == nil {
					err = c.Close()
				}
				return err
			})
			client := proxytest.NewClient(front)
			var sent, failed atomic.Int64
			more := func(n int64) {
				t.Helper()
				n += sent.Load()
				within(t, func() error {
					if _, err := client.SendChannelMessage(t.Context(), hello(f.sb, "message "+strconv.FormatInt(sent.Load(), 10))); err != nil {
						failed.Add(1)
						return err
					}
					if sent.Add(1) < n {
						return errEarly
					}
					return nil
				})
			}
			within(t, func() error {
				more(1)
				if other.counts("discordproxy_forwarded_total", "answered") == "" || leader.counts("discordproxy_calls_total") == "" {
					return errEarly
				}
				return nil
			})
			var ending sync.WaitGroup
			ending.Go(func() {
				leader.stop()
				<-leader.done
			})
			more(20)
			ending.Wait()
			more(20)
			counts := make(map[string]int)
			for _, m := range f.sb.Messages(f.sb.World().General) {
				counts[m.Content]++
			}
			for i := range sent.Load() {
				if n := counts["message "+strconv.FormatInt(i, 10)]; n != 1 && failed.Load() == 0 || n == 0 {
					t.Errorf("message %d was sent %d times", i, n)
				}
			}
			t.Logf("%d messages, %d calls failed while a server stopped", sent.Load(), failed.Load())
		})
	}
}
