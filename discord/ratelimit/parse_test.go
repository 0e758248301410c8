package ratelimit

import (
	"math"
	"testing"
	"time"
)

func TestSeconds(t *testing.T) {
	const none = time.Duration(-1)
	for s, want := range map[string]time.Duration{
		"0":                        0,
		"0.001":                    time.Millisecond,
		"64.57":                    64570 * time.Millisecond,
		"5.":                       5 * time.Second,
		".5":                       500 * time.Millisecond,
		"1e-3":                     time.Millisecond,
		"1.0000001":                time.Second + time.Microsecond, // never less than what was asked for
		"0.00000000000000000001":   time.Microsecond,
		"604800":                   maxHeaderWait,
		"604800.000000001":         none,
		"9999999999.999999999":     none,
		"99999999999999999999":     none,
		"1682258040.904":           none,
		"":                         none,
		".":                        none,
		"1.2.3":                    none,
		"-1":                       none,
		"1 ":                       none,
		"NaN":                      none,
		"Inf":                      none,
		"1e400":                    none,
		"0000000000000000000000.5": 500 * time.Millisecond,
	} {
		got, ok := seconds(s)
		if ok != (want != none) || ok && got != want {
			t.Errorf("%q are %v, %t; want %v", s, got, ok, want)
		}
	}
	if got, ok := nanoseconds("1682258040.904", math.MaxInt64); !ok || got != 1682258040904*time.Millisecond {
		t.Errorf("a moment is %d, %t", got, ok)
	}
}
