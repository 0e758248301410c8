package gateway

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// addresses decides which addresses of a gateway get the bot's token.
//
// The gateway's address comes from Discord's API, and that of a session from
// READY. Anyone who can change an answer of the API could otherwise send the
// token anywhere. So an address must belong to the API:
//
//   - wss is always allowed, ws only when the API itself is called over http.
//   - The gateway of https://discord.com is at discord.gg or a subdomain of it, at
//     wss's own port. The gateway of any other API, such as the sandbox, is at the
//     API's own host, at any port.
type addresses struct {
	plain bool   // the API is called over http
	host  string // of the API; empty for Discord's own
}

// gatewayDomain is the domain of Discord's gateways.
const gatewayDomain = "discord.gg"

// addressesOf returns the addresses that belong to the API with this URL.
func addressesOf(api string) (addresses, error) {
	u, err := url.Parse(api)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return addresses{}, fmt.Errorf("gateway: API %q is not an http or https URL", api)
	}
	a := addresses{plain: u.Scheme == "http", host: hostOf(u)}
	for _, domain := range []string{"discord.com", "discordapp.com"} {
		if within(a.host, domain) {
			a.host = ""
		}
	}
	return a, nil
}

// hostOf returns the host in the form in which hosts are compared.
func hostOf(u *url.URL) string {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}

// within reports whether a host is a domain or a subdomain of it.
func within(host, domain string) bool {
	labels, ok := strings.CutSuffix(host, domain)
	if !ok || labels == "" {
		return ok
	}
	return strings.HasSuffix(labels, ".") && labels[0] != '.' && !strings.Contains(labels, "..") &&
		!strings.ContainsFunc(labels, func(r rune) bool {
			return r != '.' && r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
		})
}

// dialable returns an address with what a connection asks for, or says why the
// address must not be used.
func (a addresses) dialable(address string) (string, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return "", a.refuse(address, "it is not a URL")
	case u.Scheme == "ws" && !a.plain:
		return "", a.refuse(address, "it is not encrypted, and Discord's API is")
	case u.Scheme != "wss" && u.Scheme != "ws":
		return "", a.refuse(address, "its scheme is neither wss nor ws")
	case u.User != nil:
		return "", a.refuse(address, "it has a user name")
	case strings.Contains(address, "#"):
		return "", a.refuse(address, "it has a fragment")
	}
	port := u.Port()
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) || port == "" && strings.HasSuffix(u.Host, ":") {
		return "", a.refuse(address, "its port is not valid")
	}
	switch host := hostOf(u); {
	case a.host == "" && !within(host, gatewayDomain):
		return "", a.refuse(address, "its host is not in "+gatewayDomain)
	case a.host == "" && port != "" && port != "443":
		return "", a.refuse(address, "its port is not 443")
	case a.host != "" && host != a.host:
		return "", a.refuse(address, "its host is not that of the API, "+a.host)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	u.RawQuery = url.Values{"v": {apiVersion}, "encoding": {"json"}}.Encode()
	return u.String(), nil
}

func (a addresses) refuse(address, why string) error {
	return &failure{
		reason: fmt.Sprintf("the token was not sent to the gateway address %s, which Discord's answer names: %s", shown(address), why),
	}
}

// shown is an address as it may be logged: short, and without anything in the place
// of a password.
func shown(address string) string {
	if u, err := url.Parse(address); err == nil && u.User != nil {
		u.User = url.User("...")
		address = u.String()
	}
	return fmt.Sprintf("%.100q", address)
}
