package clients

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/require"
)

// TestDiscordPy: discord.py logs in to the sandbox, which shows whether the sandbox is realistic.
func TestDiscordPy(t *testing.T) {
	t.Parallel()
	python := require.Python(t, "discord")
	start := time.Now() // with a stopped clock no answer is too late
	sb := sandbox.New(sandbox.Config{Unlimited: true, Now: func() time.Time { return start }})
	l, err := sb.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := sb.World()
	script(t, python, "gateway.py", strings.TrimPrefix(l.URL, "http://"), "token="+w.Token,
		fmt.Sprintf("bot=%s", w.Bot), fmt.Sprintf("alice=%s", w.Alice), fmt.Sprintf("bob=%s", w.Bob),
		fmt.Sprintf("guild=%s", w.Guild), fmt.Sprintf("general=%s", w.General))
	if sessions := sb.GatewaySessions(); len(sessions) != 1 || sessions[0].Seq < 10 {
		t.Errorf("not one session that was resumed: %+v", sessions)
	}
}
