package test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// complete is a shell in which somebody has typed $1 and asks for more.
const complete = `
source <("$0" completion bash)
read -ra COMP_WORDS <<<"$0 $1"
[[ "$1" == "" || "$1" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]}-1))
"_$0"
echo "${COMPREPLY[*]}"
`

// TestCompletion asks bash what it would offer.
func TestCompletion(t *testing.T) {
	require.Command(t, "bash", "apt-get install bash")
	commands := proxytest.Commands(t)
	for _, tt := range []struct{ command, typed, want string }{
		{"discordproxymessage", "", "direct channel edit delete channels broadcast status completion"},
		{"discordproxymessage", "chan", "channel channels"},
		{"discordproxymessage", "--ti", "--timeout"},
		{"discordproxymessage", "channel 1 hi --f", "--file"},
		{"discordproxymessage", "channel 1 hi --json --ho", "--host"},
		{"discordproxymessage", "channel 1 hi --host ", ""},
		{"discordproxymessage", "completion ", "bash zsh fish"},
		{"discordproxyserver", "san", "sandbox"},
		{"discordproxyserver", "--log-f", "--log-file-level --log-file-path"},
		{"discordproxyserver", "sandbox --p", "--port"},
	} {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", complete, tt.command, tt.typed)
		cmd.Env = append(os.Environ(), "PATH="+commands+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if got := strings.Join(strings.Fields(string(out)), " "); err != nil || got != tt.want {
			t.Errorf("%s %s: %q %v, not %q", tt.command, tt.typed, got, err, tt.want)
		}
	}
}
