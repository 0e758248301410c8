package listener

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"connectrpc.com/connect"
)

// IsLoopback reports whether only this machine can reach addr, or all of
// several Addresses. A Unix socket is such an address: only processes of this
// machine connect to it, and only those that its permissions allow.
func IsLoopback(addr net.Addr) bool {
	if all, ok := addr.(Addresses); ok {
		return !slices.ContainsFunc(all, func(one net.Addr) bool { return !IsLoopback(one) })
	}
	if addr.Network() == "unix" {
		return true
	}
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// refuseOtherHosts refuses requests for a host that is not this one. A web page
// can make its own name resolve to 127.0.0.1 and then is, for the browser, of
// one origin with the server; the name in the request still gives it away.
func (s *Server) refuseOtherHosts(w http.ResponseWriter, r *http.Request) (refused bool) {
	// A browser cannot reach a Unix socket, and a reverse proxy passes on any host.
	checked := s.loopbackOnly && !bySocket(r) || len(s.guard.hosts) > 0
	if !checked || s.guard.allowsHost(r.Host) || s.needsNoHost(r) {
		return false
	}
	s.refuse(w, r, connect.CodePermissionDenied, http.StatusForbidden,
		"host not allowed: call the server as localhost, or allow this host by --allowed-host")
	return true
}

// needsNoHost reports whether a request is one of Config.WithoutHost.
func (s *Server) needsNoHost(r *http.Request) bool {
	if r.Host != "" {
		return false
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return slices.Contains(s.cfg.WithoutHost, r.URL.Path)
	}
	return false
}

// allowsHost reports whether a Host header or :authority names localhost, a
// loopback address or an allowed host.
func (g *guard) allowsHost(hostport string) bool {
	host, ok := parseHost(hostport)
	if !ok {
		return false
	}
	if host == "localhost" || g.hosts[host] {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// parseHost returns the host of a Host header or :authority in one form for all
// spellings: lower case, without port, zone, brackets and trailing dot, an IPv4
// address in IPv6 as IPv4. It reports false for what is not a host with an
// optional port.
//
// Names are letters, digits, hyphens, underscores and dots. Spellings of
// addresses that only some resolvers understand (127.1, 0x7f000001) come out as
// names.
func parseHost(hostport string) (string, bool) {
	host, port := hostport, ""
	if i := strings.LastIndexByte(hostport, ':'); i >= 0 && !strings.HasSuffix(hostport, "]") {
		host, port = hostport[:i], hostport[i+1:]
		if !isPort(port) {
			return "", false
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if !ok {
			return "", false
		}
		addr, err := netip.ParseAddr(inner)
		if err != nil || addr.Is4() {
			return "", false
		}
		return addr.WithZone("").Unmap().String(), true
	}
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > 253 {
		return "", false
	}
	for i := range len(host) {
		if !isHostByte(host[i]) {
			return "", false
		}
	}
	return strings.ToLower(host), true
}

// isPort reports whether port is empty, as RFC 3986 allows, or a number of 16 bits.
func isPort(port string) bool {
	if port == "" {
		return true
	}
	if port[0] < '0' || port[0] > '9' {
		return false
	}
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil
}

func isHostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}

// allowedHosts validates the names of a Config.
func allowedHosts(names []string) (map[string]bool, error) {
	hosts := make(map[string]bool, len(names))
	for _, name := range names {
		// An IPv6 address may have no brackets.
		written := name
		if addr, err := netip.ParseAddr(name); err == nil && addr.Is6() {
			written = "[" + name + "]"
		}
		host, ok := parseHost(written)
		if !ok || strings.LastIndexByte(written, ':') > strings.LastIndexByte(written, ']') {
			return nil, fmt.Errorf("allowed host %q is not a host name or address without port", name)
		}
		hosts[host] = true
	}
	return hosts, nil
}
