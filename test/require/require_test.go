package require

import (
	"fmt"
	"strings"
	"testing"
)

// recorder notes how a test is skipped or fails.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) {
	r.said = "skipped: " + fmt.Sprintf(format, args...)
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.said = "failed: " + fmt.Sprintf(format, args...)
}

func TestMissing(t *testing.T) {
	summary := func() string {
		var text strings.Builder
		summarize(&text)
		return text.String()
	}
	if got, want := summary(), "tests skipped: 0\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	t.Setenv(Variable, "sed,awk")
	for _, tt := range []struct{ name, want string }{
		{"unheard-of", "skipped: unheard-of is missing: get it"},
		{"unheard-of", "skipped: unheard-of is missing: get it"},
		{"another", "skipped: another is missing: get it"},
		{"awk", "failed: awk is required by DISCORDPROXY_TEST_REQUIRE and missing: get it"},
		{"go", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{TB: t}
			if tt.name != "go" {
				t.Setenv("PATH", "")
			}
			if Command(r, tt.name, "get it"); r.said != tt.want {
				t.Errorf("%q, want %q", r.said, tt.want)
			}
		})
	}
	if got, want := summary(), "tests skipped: 3; another is missing (1), unheard-of is missing (2)\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
