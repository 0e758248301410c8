package calls_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/calls"

	"connectrpc.com/connect"
)

// TestAudit: a call is one line, without contents, whatever a client writes.
func TestAudit(t *testing.T) {
	var out bytes.Buffer
	observers := calls.Observers{calls.NewAudit(&out, slog.New(slog.DiscardHandler)).For("main")}
	evil := "x\n{\"client\":\"forged\"}\u2028\x1b[31m\xff"
	do(t, caller.Named(t.Context(), evil), observers,
		&calls.Call{Method: evil, Target: "channel_id", ID: 1<<63 - 1, Request: "contents"}, connect.NewError(connect.CodeNotFound, errors.New("contents")))
	do(t, t.Context(), observers, &calls.Call{Method: "GetUser"}, nil)
	text := out.String()
	if strings.Count(text, "\n") != 2 || strings.ContainsAny(text, "\x1b\u2028") || strings.Contains(text, "contents") {
		t.Fatalf("written was %q", text)
	}
	first, second, _ := strings.Cut(text, "\n")
	var line map[string]string
	if err := json.Unmarshal([]byte(first), &line); err != nil || line["id"] != "9223372036854775807" || line["code"] != "not_found" || line["bot"] != "main" || !strings.HasPrefix(line["client"], "x\n") {
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

// TestAuditThatFails: calls continue, and the log says once that their lines are missing.
func TestAuditThatFails(t *testing.T) {
	var log bytes.Buffer
	file := new(failing)
	observers := calls.Observers{calls.NewAudit(file, slog.New(slog.NewTextHandler(&log, nil))).For("")}
	for _, fail := range []bool{false, true, true, false, true} {
		file.fail = fail
		do(t, t.Context(), observers, &calls.Call{Method: "M"}, nil)
	}
	if n := strings.Count(log.String(), "the disk is full"); n != 2 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}

// short writes a part of one line and fails.
type short struct {
	bytes.Buffer
	left int
}

func (s *short) Write(p []byte) (int, error) {
	if len(p) <= s.left {
		s.left -= len(p)
		return s.Buffer.Write(p)
	}
	n, _ := s.Buffer.Write(p[:s.left])
	s.left = 0
	return n, errors.New("the disk is full")
}

// TestAuditAfterATornLine: the line after one that was written in part is
// on its own, and an id that is none is shown as given.
func TestAuditAfterATornLine(t *testing.T) {
	file := &short{left: 300}
	observers := calls.Observers{calls.NewAudit(file, slog.New(slog.DiscardHandler)).For("")}
	audit := func() {
		do(t, t.Context(), observers, &calls.Call{Method: "M", Target: "channel_id", OddID: "18446744073709551616"}, nil)
	}
	for range 4 { // the second is torn, and of the others nothing is written
		audit()
	}
	file.left = 10_000
	audit()
	audit()
	lines := strings.Split(strings.TrimSuffix(file.String(), "\n"), "\n")
	good := 0
	for _, line := range lines {
		var fields map[string]string
		if json.Unmarshal([]byte(line), &fields) == nil && fields["id"] == "18446744073709551616" {
			good++
		}
	}
	if len(lines) != 4 || good != 3 {
		t.Errorf("%d of %d lines can be read: %s", good, len(lines), file)
	}
}
