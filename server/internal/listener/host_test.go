package listener

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAllowsHost(t *testing.T) {
	hosts, err := allowedHosts([]string{"Proxy.Example.org.", "192.0.2.7", "2001:db8::1", "[2001:db8::2]", "under_score"})
	if err != nil {
		t.Fatal(err)
	}
	g := guard{hosts: hosts}
	for host, want := range map[string]bool{
		"localhost":              true,
		"localhost:50051":        true,
		"LocalHost:1":            true,
		"localhost.":             true,
		"localhost.:50051":       true,
		"localhost:":             true,
		"127.0.0.1":              true,
		"127.0.0.1:50051":        true,
		"127.8.9.10:1":           true,
		"127.0.0.1.":             true,
		"[::1]":                  true,
		"[::1]:50051":            true,
		"[0:0:0:0:0:0:0:1]:1":    true,
		"[::1%lo]:50051":         true,
		"[::ffff:127.0.0.1]:1":   true,
		"proxy.example.org":      true,
		"PROXY.example.ORG:99":   true,
		"192.0.2.7:1":            true,
		"[2001:db8::1]":          true,
		"[2001:DB8::2]:1":        true,
		"under_score":            true,
		"":                       false,
		".":                      false,
		":50051":                 false,
		"localhost..":            false,
		"localhost:99999":        false,
		"localhost:-1":           false,
		"localhost:+1":           false,
		"localhost:http":         false,
		"localhost:1:2":          false,
		"user@localhost":         false,
		"localhost/":             false,
		"localhost\x00":          false,
		" localhost":             false,
		"localhost evil.example": false,
		"evil.example":           false,
		"evil.example:50051":     false,
		"localhost.evil.example": false,
		"127.0.0.1.evil.example": false,
		"x.localhost":            false,
		"sub.proxy.example.org":  false,
		"0.0.0.0":                false,
		"[::]":                   false,
		"10.0.0.1":               false,
		"192.0.2.8":              false,
		"127.1":                  false,
		"2130706433":             false,
		"0x7f.0.0.1":             false,
		"127.0.0.01":             false,
		"::1":                    false,
		"[::1":                   false,
		"::1]":                   false,
		"[]":                     false,
		"[]:1":                   false,
		"[127.0.0.1]":            false,
		"[localhost]":            false,
		"[::1]x:1":               false,
		"[::1]:x":                false,
		"[fe80::1%25lo]":         false,
		"löcalhost":              false,
		strings.Repeat("a", 300): false,
	} {
		if got := g.allowsHost(host); got != want {
			t.Errorf("%q: allowed %t, want %t", host, got, want)
		}
	}
}

func TestAllowedHostsAreValidated(t *testing.T) {
	for _, name := range []string{"", "host:1", "[::1]:1", "a b", "*", "*.example.org", "http://host", "::1:x"} {
		if _, err := allowedHosts([]string{name}); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}

func FuzzParseHost(f *testing.F) {
	for _, seed := range []string{
		"", "localhost", "LOCALHOST.:50051", "127.0.0.1:1", "[::1%lo]:80", "[::ffff:127.0.0.1]", "evil.example",
		"user@localhost", "localhost:", "a:b:c", "[", "]", "[]:", "...", "127.0.0.1.evil.example:0",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, hostport string) {
		host, ok := parseHost(hostport)
		if !ok {
			if host != "" {
				t.Fatalf("%q: refused, but with host %q", hostport, host)
			}
			if (&guard{}).allowsHost(hostport) {
				t.Fatalf("%q: no host, but allowed", hostport)
			}
			return
		}
		if host == "" || host != strings.ToLower(host) || strings.ContainsAny(host, "[]@/% \x00") {
			t.Fatalf("%q: host %q", hostport, host)
		}
		// A second reading changes nothing but trailing dots. One
		// reading takes one.
		again := host
		if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
			again = "[" + host + "]"
		}
		if twice, ok := parseHost(again); strings.HasSuffix(host, ".") == false && (!ok || twice != host) {
			t.Fatalf("%q: %q, read again %q (%t)", hostport, host, twice, ok)
		}
		// What is allowed by default is this machine by any reading: the name,
		// or an address that starts like a loopback one.
		if (&guard{}).allowsHost(hostport) && host != "localhost" {
			addr, err := netip.ParseAddr(host)
			if err != nil || !addr.IsLoopback() {
				t.Fatalf("%q: allowed as %q", hostport, host)
			}
		}
	})
}
