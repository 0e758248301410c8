package serve

import (
	"slices"
	"testing"
)

func TestParseHosts(t *testing.T) {
	for text, want := range map[string][]string{
		"127.0.0.1":                             {"127.0.0.1"},
		"":                                      {""},
		"::1":                                   {"::1"},
		"[::1]":                                 {"::1"},
		"[::]":                                  {"::"},
		"fe80::1%eth0":                          {"fe80::1%eth0"},
		"localhost":                             {"localhost"},
		"unix:/run/discordproxy/sock":           {"unix:/run/discordproxy/sock"},
		"127.0.0.1, unix:///run/x.sock, unix:y": {"127.0.0.1", "unix:/run/x.sock", "unix:y"},
		"unix:":                                 nil,
		"127.0.0.1, [::1],box":                  {"127.0.0.1", "::1", "box"},
		"127.0.0.1:50051":                       nil,
		"[::1]:50051":                           nil,
		"[::1":                                  nil,
		"::1]":                                  nil,
		"[127.0.0.1]":                           nil,
		"[localhost]":                           nil,
		"http://localhost":                      nil,
		"127.0.0.1,":                            nil,
		",":                                     nil,
		"a b":                                   nil,
	} {
		got, err := parseHosts(text)
		if (err != nil) != (want == nil) || !slices.Equal(got, want) {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
}
