package calls_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"discordproxy/discord"
	"discordproxy/server/calls"

	"connectrpc.com/connect"
)

// TestAudit: a call is one line, without contents, whatever a client writes.
func TestAudit(t *testing.T) {
	var out bytes.Buffer
	observers := calls.Observers{calls.Audit(&out, slog.New(slog.DiscardHandler))}
	evil := "x\n{\"client\":\"forged\"}\u2028\x1b[31m\xff"
	do(t, discord.WithCaller(t.Context(), evil), observers,
		&calls.Call{Method: evil, Target: "channel_id", ID: 1<<63 - 1, Request: "contents"}, connect.NewError(connect.CodeNotFound, errors.New("contents")))
	do(t, t.Context(), observers, &calls.Call{Method: "GetUser"}, nil)
	text := out.String()
	if strings.Count(text, "\n") != 2 || strings.ContainsAny(text, "\x1b\u2028") || strings.Contains(text, "contents") {
		t.Fatalf("written was %q", text)
	}
	first, second, _ := strings.Cut(text, "\n")
	var line map[string]string
	if err := json.Unmarshal([]byte(first), &line); err != nil || line["id"] != "9223372036854775807" || line["code"] != "not_found" || !strings.HasPrefix(line["client"], "x\n") {
		t.Errorf("%s: %v", first, err)
	}
	clear(line)
	if err := json.Unmarshal([]byte(second), &line); err != nil || line["code"] != calls.OK || line["client"] != "" || line["id"] != "" {
		t.Errorf("%s: %v", second, err)
	}
}

type failing struct{ fail bool }

func (f *failing) Write(p []byte) (int, error) {
	if f.fail {
		return 0, errors.New("the disk is full")
	}
	return len(p), nil
}

// TestAuditThatFails: calls go on, and the log says once that they are missed.
func TestAuditThatFails(t *testing.T) {
	var log bytes.Buffer
	file := new(failing)
	observers := calls.Observers{calls.Audit(file, slog.New(slog.NewTextHandler(&log, nil)))}
	for _, fail := range []bool{false, true, true, false, true} {
		file.fail = fail
		do(t, t.Context(), observers, &calls.Call{Method: "M"}, nil)
	}
	if n := strings.Count(log.String(), "the disk is full"); n != 2 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}
