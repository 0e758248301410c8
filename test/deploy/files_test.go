// Package deploy tests the files with which the server is installed, run and monitored.
package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// TestDeploy gives the files for containers, Kubernetes, systemd and Actions to
// the tools that know their form.
func TestDeploy(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = filepath.Join("..", "..", "deploy")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
		}
	}
	t.Run("container", func(t *testing.T) {
		python := require.Python(t, "supervisor")
		run(t, filepath.Join(filepath.Dir(python), "hadolint"), "container/Dockerfile")
	})
	t.Run("compose", func(t *testing.T) {
		run(t, require.Python(t, "compose_spec"), "-c", `
import sys, compose_spec
file = compose_spec.PyCompose.from_yaml(open(sys.argv[1]).read())
file.validate()
file.validate_secrets()
file.validate_volumes()
assert file.get_service("discordproxy") is not None
`, "compose/discordproxy.yml")
	})
	t.Run("kubernetes", func(t *testing.T) {
		python := require.Python(t, "kubernetes_validate")
		manifests, err := filepath.Glob(filepath.Join("..", "..", "deploy", "kubernetes", "*.yaml"))
		if err != nil || len(manifests) < 4 {
			t.Fatal(manifests, err)
		}
		for _, file := range manifests {
			if filepath.Base(file) != "kustomization.yaml" { // no resource of a cluster
				run(t, python, "-m", "kubernetes_validate", "--strict", filepath.Join("kubernetes", filepath.Base(file)))
			}
		}
	})
	t.Run("systemd", func(t *testing.T) {
		require.Command(t, "systemd-analyze", "apt-get install systemd")
		commands := proxytest.Commands(t)
		server := filepath.Join(commands, "discordproxyserver")
		unit, err := os.ReadFile(filepath.Join("..", "..", "deploy", "systemd", "discordproxyserver.service"))
		if err != nil {
			t.Fatal(err)
		}
		// It looks for the command and the manual page on this machine.
		here := strings.NewReplacer("/usr/bin/discordproxyserver", server, "Documentation=man:discordproxyserver(8)\n", "").Replace(string(unit))
		file := filepath.Join(t.TempDir(), "discordproxyserver.service")
		if err := os.WriteFile(file, []byte(here), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, "systemd-analyze", "verify", file)
		// Tenths of points of exposure; most services have more than 90.
		run(t, "systemd-analyze", "security", "--offline=true", "--threshold=15", file)
	})
}
