package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// askShell has a shell complete the line $1, $0 is the command.
// It writes a word that may follow on each line, in fish and zsh without what is
// shown next to it.
var askShell = map[string]string{
	"bash": `
source <("$0" completion bash)
compopt() { :; } # works only while a person types
words=${1//=/ = }
read -ra COMP_WORDS <<<"$0 $words"
[[ "$1" == "" || "$1" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]}-1))
"_$0"
printf '%s\n' "${COMPREPLY[@]}"
`,
	"zsh": `
compdef() { :; }
compadd() { while [[ "$1" != "--" ]]; do shift; done; shift; print -rl -- "$@"; }
compset() { typed="${typed#--*=}"; }
_files() { print -rl -- ${typed}*(N); }
source <("$0" completion zsh)
words=("$0" ${(z)1})
[[ -z "$1" || "$1" == *" " ]] && words+=("")
CURRENT=${#words}
typed="${words[-1]}"
"_$0"
`,
	"fish": `
"$argv[1]" completion fish | source
complete -C "$argv[1] $argv[2]" | string replace -r '\t.*' ''
true # replace fails where there is nothing to replace
`,
}

// TestCompletion asks each shell what it would offer.
func TestCompletion(t *testing.T) {
	commands := proxytest.Commands(t)
	folder := t.TempDir()
	for _, name := range []string{"users.txt", "users.md"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			require.Command(t, shell, "apt-get install "+shell)
			ask := func(command, typed string) []string {
				args := []string{"-c", askShell[shell], command, typed}
				if shell == "zsh" {
					args = append([]string{"-f"}, args...)
				}
				cmd := exec.CommandContext(t.Context(), shell, args...)
				cmd.Dir = folder
				cmd.Env = append(os.Environ(), "HOME="+folder, "PATH="+commands+string(os.PathListSeparator)+os.Getenv("PATH"))
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("%s %s: %v %s", command, typed, err, out)
				}
				var words []string
				for word := range strings.FieldsSeq(string(out)) {
					words = append(words, strings.TrimPrefix(word, "--users="))
				}
				slices.Sort(words)
				return words
			}
			for _, tt := range []struct{ command, typed, want string }{
				{"discordproxymessage", "chan", "channel channels"},
				{"discordproxymessage", "--ti", "--timeout"},
				{"discordproxymessage", "channel 1 hi --f", "--file"},
				{"discordproxymessage", "channel 1 hi --json --ho", "--host"},
				{"discordproxymessage", "channel 1 hi --host ", ""},
				{"discordproxymessage", "completion ", "bash fish zsh"},
				{"discordproxymessage", "broadcast --users us", "users.md users.txt"},
				{"discordproxymessage", "broadcast --users=us", "users.md users.txt"},
				{"discordproxyserver", "san", "sandbox"},
				{"discordproxyserver", "--log-f", "--log-file-level --log-file-path --log-format"},
				{"discordproxyserver", "sandbox --p", "--port"},
				{"discordproxyserver", "key ", "add new"},
			} {
				if got := strings.Join(ask(tt.command, tt.typed), " "); got != tt.want {
					t.Errorf("%s %s: %q, not %q", tt.command, tt.typed, got, tt.want)
				}
			}
			all := ask("discordproxymessage", "channel 1 hi --")
			for _, option := range []string{"--silent", "--reply-to", "--timeout", "--key-file", "--help"} {
				if !slices.Contains(all, option) {
					t.Errorf("%s is not among %q", option, all)
				}
			}
		})
	}
}
