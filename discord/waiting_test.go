package discord_test

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
)

// TestNothingIsBuiltToWait: a call waits for its limits before anything is made
// to send it, so that its stack and its memory stay small.
func TestNothingIsBuiltToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Unlimited: true})
		sb.SetLimit(perTenMinutes(1))
		client := newClient(t, sb, nil)
		channel := uint64(sb.World().General)
		message := discord.Message{Fields: discord.Args{"content": "x"}}
		if _, err := client.CreateMessage(t.Context(), nil, channel, message); err != nil {
			t.Fatal(err)
		}
		path, err := discord.ParseAPIPath("/api/v10/channels/" + sb.World().General.String() + "/messages")
		if err != nil {
			t.Fatal(err)
		}
		for name, send := range map[string]func() error{
			"CreateMessage": func() error {
				_, err := client.CreateMessage(t.Context(), nil, channel, message)
				return err
			},
			"Forward": func() error {
				_, err := client.Forward(t.Context(), nil, &discord.Request{Method: "POST", Path: path, Body: []byte(`{"content":"x"}`), Header: map[string][]string{"Content-Type": {"application/json"}}})
				return err
			},
		} {
			ended := make(chan error)
			go func() { ended <- send() }()
			synctest.Wait()
			stacks := make([]byte, 1<<20)
			waiting := 0
			for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
				if !strings.Contains(stack, "ratelimit.(*Limiter).Acquire") {
					continue
				}
				waiting++
				if strings.Contains(stack, "discordgo") || strings.Contains(stack, "net/http") {
					t.Errorf("%s waits within a request:\n%s", name, stack)
				}
			}
			if waiting != 1 {
				t.Errorf("%s: %d calls wait", name, waiting)
			}
			if err := <-ended; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
