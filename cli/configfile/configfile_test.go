package configfile_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/cli/configfile"

	"github.com/urfave/cli/v2"
)

// values are those of the flags of a test.
type values struct {
	token, host, mode string
	port              int
	bytes             int64
	grace             time.Duration
	on, off           bool
	origins           []string
}

func (v *values) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "token", EnvVars: []string{"CONFIGFILE_TOKEN"}, Destination: &v.token, Usage: "bot `TOKEN`"},
		&cli.StringFlag{Name: "host", Value: "127.0.0.1", Destination: &v.host, Category: "Listening"},
		&cli.StringFlag{Name: "socket-mode", Value: "0660", Destination: &v.mode, Category: "Listening"},
		&cli.IntFlag{Name: "port", EnvVars: []string{"CONFIGFILE_PORT"}, Value: 50051, Destination: &v.port, Category: "Listening"},
		&cli.Int64Flag{Name: "max-queue-bytes", Value: 1024, Destination: &v.bytes},
		&cli.DurationFlag{Name: "shutdown-grace", Value: time.Minute, Destination: &v.grace},
		&cli.BoolFlag{Name: "no-gateway", Destination: &v.on},
		&cli.BoolFlag{Name: "compat-enums", Value: true, Destination: &v.off},
		&cli.StringSliceFlag{Name: "cors-origin", EnvVars: []string{"CONFIGFILE_ORIGIN"}, Usage: "web `ORIGIN`"},
	}
}

func schemaOf(flags []cli.Flag) configfile.Schema {
	return configfile.Schema{
		Flags: flags, Lists: []string{"host"},
		Sections: []configfile.Section{{Name: "auth"}, {Name: "hooks", List: true}},
	}
}

// apply runs a command with a file.
func apply(t *testing.T, text string, args ...string) (v values, sources map[string]configfile.Source, f *configfile.File, err error) {
	t.Helper()
	app := &cli.App{Name: "test", Flags: v.flags(), Action: func(c *cli.Context) error {
		f, err = configfile.Parse("a.yaml", []byte(text), schemaOf(c.App.Flags))
		if err != nil {
			return nil
		}
		sources, err = configfile.Apply(c, v.flags(), f)
		v.origins = c.StringSlice("cors-origin")
		return nil
	}}
	if failed := app.RunContext(t.Context(), append([]string{"test"}, args...)); failed != nil {
		t.Fatal(failed)
	}
	return v, sources, f, err
}

// TestPrecedence: a flag takes precedence over a variable, a variable over the file, and
// the file over the default.
func TestPrecedence(t *testing.T) {
	const file = `
port: 1
shutdown-grace: 1m30s
compat-enums: false
no-gateway: true
cors-origin:
  - https://a.example
  - https://b.example
host: [127.0.0.1, "unix:/run/x"]
socket-mode: 0600
`
	v, sources, _, err := apply(t, file)
	if err != nil {
		t.Fatal(err)
	}
	if v.port != 1 || v.grace != 90*time.Second || v.off || !v.on || v.host != "127.0.0.1,unix:/run/x" || v.mode != "0600" || v.bytes != 1024 ||
		!slices.Equal(v.origins, []string{"https://a.example", "https://b.example"}) {
		t.Errorf("%+v", v)
	}
	if sources["port"].String() != "a.yaml:2" || sources["max-queue-bytes"].Kind != configfile.Default {
		t.Errorf("%v", sources)
	}
	t.Setenv("CONFIGFILE_PORT", "2")
	t.Setenv("CONFIGFILE_ORIGIN", "https://c.example")
	if v, sources, _, err = apply(t, file); err != nil || v.port != 2 || sources["port"].String() != "environment CONFIGFILE_PORT" ||
		!slices.Equal(v.origins, []string{"https://c.example"}) {
		t.Errorf("%+v, %v, %v", v, sources, err)
	}
	if v, sources, _, err = apply(t, file, "--port", "3", "--cors-origin", "https://d.example"); err != nil || v.port != 3 ||
		sources["port"].Kind != configfile.Flag || !slices.Equal(v.origins, []string{"https://d.example"}) {
		t.Errorf("%+v, %v, %v", v, sources, err)
	}
	t.Setenv("CONFIGFILE_PORT", "")
	if v, _, _, err = apply(t, file); err != nil || v.port != 1 {
		t.Errorf("an empty variable: %+v, %v", v, err)
	}
}

// TestAccepted: unusual files with a clear meaning are accepted.
func TestAccepted(t *testing.T) {
	for _, text := range []string{
		"port: 7", "\ufeffport: 7", "port: 7\r\nno-gateway: false\r\n", "---\nport: 7\n...\n", "{port: 7}", `{"port": 7, "host": "::1"}`,
		"port: 7 # the port", "no-gateway: FALSE\nport: 7", "max-queue-bytes: &n 7\nport: *n", "shutdown-grace: 0\nport: 7", `"port": 7`, "host: ::1\nport: 7",
	} {
		if v, _, _, err := apply(t, text); err != nil || v.port != 7 {
			t.Errorf("%q: %+v, %v", text, v, err)
		}
	}
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "\ufeff", "~", "#port: 7\r\n"} {
		if v, _, _, err := apply(t, text); err != nil || v.port != 50051 {
			t.Errorf("%q: %+v, %v", text, v, err)
		}
	}
}

// TestRefused: errors name the line of a mistake, and no value.
func TestRefused(t *testing.T) {
	const secret = "MTk4NjIyNDgzNDcxOTI1MjQ4.Gabcde.secret-secret-secret-secret-secret"
	for text, want := range map[string]string{
		"# x\nprot: 1":                           `line 2: unknown setting "prot"; did you mean "port"?`,
		"max_queue_bytes: 1":                     `did you mean "max-queue-bytes"?`,
		"--port: 1":                              `line 1: the key is not the name of a setting`,
		"bots: []":                               `line 1: unknown setting "bots"`,
		"config: x":                              `unknown setting "config"`,
		"port: 1\nport: 2":                       `line 2: "port" is set already in line 1`,
		"auth: {a: b}\nauth: {c: d}":             `line 2: "auth" is set already in line 1`,
		"port: 1\nprot: 2\nno-gateway: yes":      `line 2: unknown setting "prot"; did you mean "port"?; line 3: no-gateway: expected true or false, found yes`,
		"port:":                                  "line 1: port: the value is empty",
		"port: ~":                                "line 1: port: the value is empty",
		"token: ''":                              "line 1: token: the value is empty",
		"cors-origin: []":                        "line 1: cors-origin: the value is empty",
		"cors-origin: [a, ~]":                    "line 1: cors-origin: item 2: the value is empty",
		"cors-origin: [[a]]":                     "item 1: expected text, or a list of texts, found a list",
		"cors-origin: [\"a,b\"]":                 "item 1: expected one value in each item of the list, found a comma",
		"port: [1]":                              "line 1: port: expected a whole number such as 50, without quotes, found a list",
		"port: {a: 1}":                           "found settings below it",
		"port: 0x10":                             "expected a whole number",
		"port: 010":                              "expected a whole number",
		"port: 1_000":                            "expected a whole number",
		"port: 1.5":                              "expected a whole number",
		"port: \"7\"":                            "found text in quotes",
		"port: 7k":                               "expected a whole number",
		"port: 99999999999999999999":             "the number is too large",
		"max-queue-bytes: 256MiB":                "expected a whole number of bytes without a unit",
		"shutdown-grace: 30":                     "the duration needs a unit, such as 30s",
		"shutdown-grace: 30 s":                   "expected a duration with a unit",
		"shutdown-grace: 1:30":                   "expected a duration with a unit",
		"no-gateway: on":                         "expected true or false, found on",
		"no-gateway: \"true\"":                   "expected true or false, found text in quotes",
		"no-gateway: 1":                          "expected true or false, found another number",
		"token: true":                            "expected text, found true, which needs quotes to be text",
		"token: !secret x":                       "found a value with a tag",
		"token: |\n  a\n  b":                     "expected text in one line",
		"port: 1\n\thost: x":                     "line 2: found a tab: indent YAML with spaces",
		"port: [1":                               "not valid YAML",
		"port: *nothing":                         "an alias has no anchor above it",
		"port: 1\n---\nport: 2":                  "expected one YAML document",
		"- port: 1":                              `line 1: expected settings such as "port: 50051", found a list`,
		secret:                                   `line 1: expected settings such as "port: 50051", found text`,
		secret + ": x":                           "line 1: the key is not the name of a setting",
		"port: " + secret:                        "expected a whole number",
		"no-gateway: " + secret:                  "expected true or false",
		"shutdown-grace: " + secret:              "expected a duration",
		"token: [" + secret + "]":                "expected text, found a list",
		"token: \"" + secret:                     "not valid YAML",
		"token: " + secret + "\n  x: [" + secret: "not valid YAML",
		"<<: {port: 1}":                          "merge keys (<<) are not supported",
		"? [a]\n: b":                             "expected the name of a setting, found a list",
		"auth: clients.yaml":                     "line 1: auth: expected settings below it, found text; use auth-file to name a file",
		"auth: []":                               "auth: expected settings below it, found a list",
		"auth:\nport: 1":                         "line 1: auth: the value is empty",
		"hooks: {a: b}":                          "hooks: expected a list, found settings below it",
		"hooks: " + secret:                       "hooks: expected settings below it, found text",
		"port: 1\x00":                            "save the file as UTF-8",
		"port: \xff":                             "save the file as UTF-8",
	} {
		_, _, _, err := apply(t, text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "a.yaml: ") {
			t.Errorf("%q: got %v\nwant %s", text, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), secret[:20]) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%q: the error is %q", text, err)
		}
	}
}

// TestSections: the text of a section has the lines of the file.
func TestSections(t *testing.T) {
	_, _, f, err := apply(t, "port: 1\nauth: # clients\n  clients:\n    - name: a\nhooks:\n- name: b\n  channel: 1\n\nno-gateway: true\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(f.Section("auth")), "\n      # clients\n  clients:\n    - name: a"; got != want {
		t.Errorf("auth is %q", got)
	}
	if got, want := string(f.Section("hooks")), "\n\n\n\nhooks:\n- name: b\n  channel: 1\n"; got != want {
		t.Errorf("hooks are %q", got)
	}
	if f.At("hooks") != "a.yaml:5" {
		t.Error(f.At("hooks"))
	}
	if _, _, f, err = apply(t, "{port: 1, auth: {clients: [{name: a}]}, hooks: [{name: b}]}"); err != nil {
		t.Fatal(err)
	}
	if got := string(f.Section("auth")); !strings.Contains(got, "clients:") || strings.Contains(got, "auth:") {
		t.Errorf("auth is %q", got)
	}
	if got := string(f.Section("hooks")); !strings.HasPrefix(got, "hooks:") {
		t.Errorf("hooks are %q", got)
	}
}

// TestTemplate: the file names every flag, and the settings that it shows are valid.
func TestTemplate(t *testing.T) {
	flags := new(values).flags()
	text := configfile.Template(schemaOf(flags), "Settings.", "#hooks: []\n")
	var uncommented []string
	for line := range strings.Lines(text) {
		if setting, ok := strings.CutPrefix(line, "#"); ok && strings.Contains(setting, ": ") && !strings.HasPrefix(setting, " ") && !strings.HasPrefix(setting, "hooks") {
			uncommented = append(uncommented, setting)
		}
	}
	v, sources, _, err := apply(t, strings.Join(uncommented, ""))
	if err != nil {
		t.Fatal(err)
	}
	if len(uncommented) != len(flags) || v.port != 50051 || v.grace != time.Minute || !v.off || v.on || v.bytes != 1024 || v.mode != "0660" {
		t.Errorf("%+v of %s", v, text)
	}
	for source := range maps.Values(sources) {
		if source.Kind != configfile.InFile {
			t.Errorf("%v", sources)
		}
	}
	if v, _, _, err := apply(t, text); err != nil || v.token != "" {
		t.Errorf("%+v, %v", v, err)
	}
}
