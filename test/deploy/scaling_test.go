package deploy

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"discordproxy/test/proxytest"
	"discordproxy/test/require"

	"go.yaml.in/yaml/v4"
)

// TestScalingFiles gives the examples of docs/scaling.md to the tools that know their form,
// and compares them with the files in deploy/ that they are to change, and with the server's
// settings.
func TestScalingFiles(t *testing.T) {
	t.Parallel()
	page := read(t, "docs", "scaling.md")
	blocks := make(map[string][]string) // by language
	for _, found := range regexp.MustCompile("<!-- run by TestScalingFiles -->\n+```(\\w+)\n((?s:.*?))```\n").FindAllStringSubmatch(page, -1) {
		blocks[found[1]] = append(blocks[found[1]], found[2])
	}
	if len(blocks["yaml"]) != 3 || len(blocks["haproxy"]) != 1 {
		t.Fatalf("%d blocks of YAML, %d of HAProxy", len(blocks["yaml"]), len(blocks["haproxy"]))
	}
	compose, strategy, env := blocks["yaml"][0], blocks["yaml"][1], blocks["yaml"][2]
	t.Run("compose", func(t *testing.T) { testCompose(t, compose, blocks["haproxy"][0]) })
	t.Run("kubernetes", func(t *testing.T) { testKubernetes(t, strategy, env) })
	t.Run("haproxy", func(t *testing.T) {
		require.Command(t, "haproxy", "apt-get install haproxy")
		proxy := regexp.MustCompile("<!-- run by TestReverseProxies -->\n+```haproxy\n((?s:.*?))```\n").FindStringSubmatch(read(t, "docs", "reverse-proxy.md"))
		if proxy == nil {
			t.Fatal("docs/reverse-proxy.md has no configuration of HAProxy")
		}
		front, _, _ := strings.Cut(proxy[1], "\nbackend ")
		front = strings.Replace(front, "bind :443 ssl crt /etc/haproxy/discord.example.org.pem alpn h2,http/1.1", "bind "+proxytest.FreeAddress(t), 1)
		file := filepath.Join(t.TempDir(), "haproxy.cfg")
		if err := os.WriteFile(file, []byte(front+"\n"+blocks["haproxy"][0]), 0o600); err != nil {
			t.Fatal(err)
		}
		// The names of the servers are unknown here, as they are while the servers are down.
		if out, err := exec.CommandContext(t.Context(), "haproxy", "-c", "-f", file).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parse[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// wantVariables checks that the server has settings of these names.
func wantVariables(t *testing.T, names []string) {
	t.Helper()
	flags := read(t, "docs", "flags.md")
	for _, name := range names {
		if !strings.Contains(flags, "`"+name+"`") {
			t.Errorf("the server has no setting %s", name)
		}
	}
}

func testCompose(t *testing.T, text, haproxy string) {
	type service struct {
		Image       string
		Environment map[string]string
		Secrets     []string
		Grace       string `yaml:"stop_grace_period"`
	}
	file := parse[struct {
		Services map[string]service
		Secrets  map[string]struct{ File string }
	}](t, text)
	servers := 0
	for name, s := range file.Services {
		for _, secret := range s.Secrets {
			if file.Secrets[secret].File == "" {
				t.Errorf("%s uses the secret %s, which there is not", name, secret)
			}
		}
		for variable, value := range s.Environment {
			if secret, ok := strings.CutPrefix(value, "/run/secrets/"); ok && !slices.Contains(s.Secrets, secret) {
				t.Errorf("%s reads %s in %s without having it", name, secret, variable)
			}
		}
		if !strings.HasPrefix(s.Image, "discordproxy:") {
			continue
		}
		servers++
		wantVariables(t, slices.Collect(maps.Keys(s.Environment)))
		address := name + ":50051"
		if s.Environment["DISCORDPROXY_ADVERTISE"] != address || s.Environment["DISCORDPROXY_DATABASE_FILE"] == "" || s.Grace != "120s" {
			t.Errorf("%s: %+v", name, s)
		}
		if !strings.Contains(haproxy, fmt.Sprintf("server %s %s ", name, address)) {
			t.Errorf("HAProxy does not know %s", name)
		}
	}
	if servers != 2 || !strings.Contains(read(t, "deploy", "container", "Dockerfile"), "EXPOSE 50051\n") {
		t.Errorf("%d servers, whose image may have another port", servers)
	}
	merged, err := yaml.Marshal(parse[map[string]any](t, text)) // compose_spec does not know merge keys, as Compose does
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "compose.yml")
	if err := os.WriteFile(path, merged, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), require.Python(t, "compose_spec"), "-c", `
import sys, compose_spec
file = compose_spec.PyCompose.from_yaml(open(sys.argv[1]).read())
file.validate()
file.validate_secrets()
file.validate_volumes()
`, path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func testKubernetes(t *testing.T, strategy, env string) {
	python := require.Python(t, "kubernetes_validate")
	type object = map[string]any
	deployment := parse[object](t, read(t, "deploy", "kubernetes", "deployment.yaml"))
	spec := deployment["spec"].(object)
	maps.Copy(spec, parse[object](t, strategy))
	spec["replicas"] = 2
	pod := spec["template"].(object)["spec"].(object)
	container := pod["containers"].([]any)[0].(object)
	noState := func(list any) []any {
		all := list.([]any)
		left := slices.DeleteFunc(slices.Clone(all), func(v any) bool { return v.(object)["name"] == "state" })
		if len(left) != len(all)-1 {
			t.Errorf("%d of %d are not about the state", len(left), len(all))
		}
		return left
	}
	pod["volumes"], container["volumeMounts"] = noState(pod["volumes"]), noState(container["volumeMounts"])
	var names []string
	for _, v := range parse[struct{ Env []any }](t, env).Env {
		variable := v.(object)
		container["env"] = append(container["env"].([]any), v)
		if name := variable["name"].(string); name != "POD_IP" {
			names = append(names, name)
		}
		if value, _ := variable["value"].(string); strings.HasPrefix(value, "/") {
			mounted := slices.ContainsFunc(container["volumeMounts"].([]any), func(m any) bool {
				return m.(object)["name"] == "token" && filepath.Dir(value) == m.(object)["mountPath"]
			})
			if key := filepath.Base(value); !mounted || !strings.Contains(read(t, "docs", "scaling.md"), "--from-file="+key+"=FILE") {
				t.Errorf("%s is not in the secret", value)
			}
		}
	}
	wantVariables(t, names)
	if len(names) != 2 {
		t.Errorf("the settings are %v", names)
	}
	text, err := yaml.Marshal(deployment)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "deployment.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), python, "-m", "kubernetes_validate", "--strict", path).CombinedOutput(); err != nil {
		t.Errorf("%v: %s\n%s", err, out, text)
	}
}
