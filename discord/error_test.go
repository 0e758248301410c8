package discord

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAnswerError(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		code   int
		lines  string
		after  time.Duration
	}{
		{"plain", 403, `{"message":"Missing Access","code":50001}`, 50001, "Missing Access", 0},
		{"form", 400, `{"code":50035,"message":"Invalid Form Body","errors":{"embeds":{"10":{"title":{"_errors":[{"code":"X","message":"ten"}]}},"2":{"title":{"_errors":[{"code":"X","message":"two"}]}}},"content":{"_errors":[{"code":"BASE_TYPE_MAX_LENGTH","message":"Must be 2000 or fewer in length."}]}}}`, 50035, "Invalid Form Body\nIn embeds.10.title: ten\nIn embeds.2.title: two\nIn content: Must be 2000 or fewer in length.", 0},
		{"two rules of a field", 400, `{"code":50035,"message":"Invalid Form Body","errors":{"a":{"_errors":[{"code":"X","message":"One."},{"code":"Y","message":"Two."}]},"b":{"_errors":[{"code":"X","message":"Three."}]}}}`, 50035, "Invalid Form Body\nIn a: One. Two.\nIn b: Three.", 0},
		{"number as rule", 400, `{"code":50035,"message":"Invalid Form Body","errors":{"a":{"_errors":[{"code":7,"message":"m"}]}}}`, 50035, "Invalid Form Body\nIn a: m", 0},
		{"limited", 429, `{"message":"You are being rate limited.","retry_after":64.57,"global":false}`, 0, "You are being rate limited.", 64570 * time.Millisecond},
		{"plain text", 403, "  error code: 1010\n", 0, "error code: 1010", 0},
		{"long text", 503, strings.Repeat("ü", 2000), 0, strings.Repeat("ü", 1000) + "...", 0},
		{"no text", 403, "\x00\x01", 0, "Forbidden", 0},
		{"no UTF-8", 403, "\xff", 0, "Forbidden", 0},
		{"page", 502, `<html>Bad gateway</html>`, 0, "Bad Gateway", 0},
		{"nothing", 500, ``, 0, "Internal Server Error", 0},
		{"no object", 500, `[1]`, 0, "Internal Server Error", 0},
		{"old form", 400, `{"content":["Must be 2000 or fewer in length."]}`, 0, "Bad Request", 0},
		{"odd code", 400, `{"message":"m","code":1e9999,"errors":[]}`, 0, "m", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := answerError(tt.status, http.Header{}, []byte(tt.body))
			if e.Code != tt.code || e.Lines() != tt.lines || e.Status != tt.status || e.RetryAfter != tt.after {
				t.Errorf("got %d %d %q %v", e.Status, e.Code, e.Lines(), e.RetryAfter)
			}
		})
	}
}

// TestRetryAfterOfLimits: the body of a 429 takes precedence over the header, which may be
// a date.
func TestRetryAfterOfLimits(t *testing.T) {
	now := time.Now().UTC()
	for _, tt := range []struct {
		header, body string
		want         time.Duration
	}{
		{"3", `{"retry_after":2.5}`, 2500 * time.Millisecond},
		{"3", `{}`, 3 * time.Second},
		{"3.5", `error code: 1015`, 3500 * time.Millisecond},
		{now.Add(time.Hour).Format(http.TimeFormat), ``, time.Hour},
		{"-3", ``, 0},
		{"soon", ``, 0},
	} {
		header := http.Header{"Retry-After": {tt.header}, "Date": {now.Format(http.TimeFormat)}}
		if e := answerError(http.StatusTooManyRequests, header, []byte(tt.body)); e.RetryAfter != tt.want {
			t.Errorf("%s with %s: %v", tt.header, tt.body, e.RetryAfter)
		}
	}
}

// TestErrorForLogs: a line for the log names what is wrong, and nothing that
// the message held.
func TestErrorForLogs(t *testing.T) {
	many := make([]FieldError, 7)
	for i := range many {
		many[i] = FieldError{Field: "f", Code: "R", Message: "secret"}
	}
	for _, tt := range []struct {
		err  *Error
		want string
	}{
		{&Error{Status: 403, Code: 50001, Text: "Missing Access"}, "Discord answered 403 (code 50001): Missing Access"},
		{InvalidForm(FieldError{"content", "BASE_TYPE_MAX_LENGTH", "secret"}), "not sent, Discord would answer 400 (code 50035): Invalid Form Body; content BASE_TYPE_MAX_LENGTH"},
		{&Error{Status: 400, Text: "Invalid Form Body", Fields: many}, "Discord answered 400: Invalid Form Body; f R; f R; f R; f R; f R; and 2 more"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func FuzzAnswerError(f *testing.F) {
	f.Add(400, []byte(`{"code":50035,"message":"Invalid Form Body","errors":{"embeds":{"0":{"fields":{"3":{"name":{"_errors":[{"code":"BASE_TYPE_REQUIRED","message":"This field is required"}]}}}}}}}`))
	f.Add(429, []byte(`{"message":"You are being rate limited.","retry_after":1e308,"global":true,"code":"x"}`))
	f.Add(500, []byte(strings.Repeat(`{"errors":`, 100)))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		e := answerError(status, http.Header{"Retry-After": {string(body)}}, body)
		if e.RetryAfter < 0 || len(e.Fields) > maxFieldErrors {
			t.Errorf("%+v", e)
		}
		_ = e.Lines() + e.Error()
	})
}
