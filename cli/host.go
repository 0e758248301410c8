package cli

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"discordproxy/server/listener"
)

// parseHosts reads the value of --host: addresses and names, separated by
// commas. An IPv6 address may be in brackets.
func parseHosts(text string) ([]string, error) {
	var hosts []string
	for host := range strings.SplitSeq(text, ",") {
		host = strings.TrimSpace(host)
		inner, open := strings.CutPrefix(host, "[")
		inner, closed := strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		switch {
		case open && closed && err == nil && addr.Is6():
			host = inner
		case err == nil && !open && !closed:
		case strings.ContainsAny(host, ":[]/ "):
			return nil, fmt.Errorf("--host %q is not an address or a name; the port belongs in --port", host)
		case host == "" && strings.TrimSpace(text) != "":
			return nil, fmt.Errorf("--host %q has an empty entry", text)
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}

// first returns the first of several addresses.
func first(addr net.Addr) net.Addr {
	if all, ok := addr.(listener.Addresses); ok {
		return all[0]
	}
	return addr
}
