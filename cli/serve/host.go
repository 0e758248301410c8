package serve

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"discordproxy/server"
)

// parseHosts reads the value of --host: addresses and names, separated by
// commas. An IPv6 address may be in brackets. A Unix socket is unix:PATH, and its
// path has no comma.
func parseHosts(text string) ([]string, error) {
	var hosts []string
	for host := range strings.SplitSeq(text, ",") {
		host = strings.TrimSpace(host)
		if path, ok := server.SocketPath(host); ok {
			if path == "" {
				return nil, fmt.Errorf("--host %q has no path: a Unix socket is written unix:/run/discordproxy/sock", host)
			}
			hosts = append(hosts, "unix:"+path)
			continue
		}
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

// first returns the first of several addresses, a TCP port rather than a Unix
// socket.
func first(addr net.Addr) net.Addr {
	all, ok := addr.(server.Addresses)
	if !ok {
		return addr
	}
	for _, one := range all {
		if one.Network() != "unix" {
			return one
		}
	}
	return all[0]
}
