package hooks_test

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

// TestWork: the work for a payload is bounded by its size, however it is built. What is
// allocated stands for the work, because copying is the largest part.
func TestWork(t *testing.T) {
	s := serve(t, `hooks: [{name: ops, channel: 7}]`, nil)
	const size = 256 << 10
	fill := func(element string) string {
		return strings.TrimSuffix(strings.Repeat(element+",", size/(len(element)+1)), ",")
	}
	nested := func(levels int, kind, inner string) string {
		return `{"blocks":[{"type":"rich_text","elements":[` + strings.Repeat(`{"type":"`+kind+`","elements":[`, levels) + inner +
			strings.Repeat(`]}`, levels) + `]}]}`
	}
	lines := `{"type":"text","text":"` + strings.Repeat(`\n`, size/2) + `"}`
	for _, tt := range []struct{ name, body, answer string }{
		{"pretexts", `{"attachments":[` + fill(`{"pretext":"aaaaaaaaaaaaaaa"}`) + `]}`, `"shortened":true`},
		{"empty attachments", `{"text":"a","attachments":[` + fill(`{}`) + `]}`, `"shortened":true`},
		{"quotes", nested(200, "rich_text_quote", lines), "no text to send"},
		{"lists", nested(2000, "rich_text_list", lines), "no text to send"},
		{"blocks", `{"blocks":[` + fill(`{"type":"section","text":{"text":"a"}}`) + `]}`, `"shortened":true`},
		{"fields", `{"attachments":[{"fields":[` + fill(`{"title":"a","value":"b"}`) + `]}]}`, `"shortened":true`},
		{"links", `{"text":"` + strings.Repeat("<https://example.org|a>", size/23) + `"}`, `"shortened":true`},
		{"embeds", `{"embeds":[` + fill(`{"title":"a"}`) + `]}`, `"shortened":true`},
		{"levels", strings.Repeat("[", 5000) + fill("1") + strings.Repeat("]", 5000), `"format":"json"`},
		{"alerts", `{"status":"firing","alerts":[` + fill(`{"status":"firing"}`) + `]}`, "more firing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := s.post("/hooks/ops?preview", tt.body)
			runtime.ReadMemStats(&after)
			if !strings.Contains(got.body, tt.answer) {
				t.Errorf("%d %.300s", got.status, got.body)
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 512*uint64(len(tt.body)) {
				t.Errorf("%d bytes allocate %d", len(tt.body), allocated)
			}
		})
	}
}

// TestPretty: JSON of an unknown form is shown as package encoding/json indents it.
func TestPretty(t *testing.T) {
	s := serve(t, `hooks: [{name: ops, channel: 7}]`, nil)
	for _, payload := range []string{
		`{"a":{},"b":[],"c":{"d":[1,2.5,null,true,[]],"e":"x, {y}: [z]"}}`,
		`[{"\"a\\":"\\\"{[,:]}\\"},[[]],"<é>"]`,
		`[]`,
		`[[1]]`,
	} {
		var want bytes.Buffer
		if err := json.Indent(&want, []byte(payload), "", "  "); err != nil {
			t.Fatal(err)
		}
		got := s.post("/hooks/ops?preview", payload)
		if shown := got.message()["embeds"].([]any)[0].(map[string]any)["description"]; shown != "```json\n"+want.String()+"\n```" {
			t.Errorf("%s is shown as %s", payload, shown)
		}
	}
}
