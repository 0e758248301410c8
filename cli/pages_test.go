package cli_test

import (
	"bytes"
	"path"
	"regexp"
	"strings"
	"testing"

	command "discordproxy/cli"
	"discordproxy/cli/message"
	"discordproxy/cli/serve"

	"github.com/urfave/cli/v2"
)

// TestPages: the manual page and the completion contain everything that the help of a
// command names, and no secrets and nothing of this machine.
func TestPages(t *testing.T) {
	t.Setenv("DISCORD_BOT_TOKEN", "a secret of this machine")
	flags := regexp.MustCompile(`--[a-z][a-z-]+`)
	for name, c := range map[string]struct {
		command  command.Command
		app      func(command.Env) *cli.App
		section  int
		manual   string
		commands []string
	}{
		"discordproxyserver":  {serve.Command, serve.App, 8, "man/man8/discordproxyserver.8", []string{"sandbox", "health"}},
		"discordproxymessage": {message.Command, message.App, 1, "man/man1/discordproxymessage.1", []string{"direct", "channel"}},
	} {
		var help bytes.Buffer
		if code := command.Run(t.Context(), c.command, command.Env{Args: []string{"--help"}, Out: &help, Err: &help}); code != 0 {
			t.Fatal(help.String())
		}
		pages, err := command.Pages(c.app(command.Env{}), c.section)
		if err != nil {
			t.Fatal(err)
		}
		files := make(map[string]string)
		for _, p := range pages {
			files[path.Join(p.Folder, p.Name)] = p.Text
			if strings.Contains(p.Text, "a secret of this machine") {
				t.Errorf("%s holds the token", p.Name)
			}
		}
		manual := strings.ReplaceAll(files[c.manual], `\-`, "-")
		for _, flag := range flags.FindAllString(help.String(), -1) {
			if flag == "--help" || flag == "--version" {
				continue
			}
			if !strings.Contains(manual, flag) {
				t.Errorf("%s does not know %s", c.manual, flag)
			}
		}
		if name == "discordproxymessage" {
			for _, part := range []string{
				".SH ENVIRONMENT", "DISCORDPROXY_KEY_FILE\n", ".SH EXIT STATUS", "75\ntemporary failure: try again later", ".SH FILES", "contexts.yaml", ".SH EXAMPLES",
				"channel [options] CHANNEL_ID TEXT", "call [options] METHOD [JSON]", "context use [options] NAME",
			} {
				if !strings.Contains(manual, part) {
					t.Errorf("%s has no %q", c.manual, part)
				}
			}
			if !strings.Contains(help.String(), "75 temporary failure: try again later") {
				t.Error("the help has no exit status")
			}
		}
		for _, below := range c.commands {
			if !strings.Contains(manual, below) {
				t.Errorf("%s does not know %s", c.manual, below)
			}
		}
		for _, completion := range []string{"bash-completion/completions/" + name, "zsh/vendor-completions/_" + name, "fish/vendor_completions.d/" + name + ".fish"} {
			if text := files[completion]; !strings.Contains(text, name+"\n") && !strings.Contains(text, name+" ") || strings.Contains(text, "COMMAND") {
				t.Errorf("%s is %q", completion, text)
			}
		}
	}
}
