package serve

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"

	command "discordproxy/cli"
	"discordproxy/discord/sandbox"
)

// introduce writes for a newcomer how to call a server with a sandbox:
// lines that work when pasted.
func (c *serverConfig) introduce(w io.Writer, addr net.Addr, world sandbox.World) {
	if socket := first(addr); socket.Network() == "unix" {
		path := quote(socket.String())
		_, _ = fmt.Fprintf(
			w,
			"\nTry it from another terminal:\n\n  curl -s --unix-socket %s http://localhost/discord_api.DiscordApi/SendDirectMessage"+
				" -H 'Content-Type: application/json' -d '{\"userId\": \"%s\", \"content\": \"hi\"}'\n  %s --host unix:%s channel %s \"hi\"\n",
			path,
			world.Users[0],
			command.Invocation("discordproxymessage"),
			path,
			world.Channels[0],
		)
		return
	}
	host, port, _ := net.SplitHostPort(first(addr).String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	at := c.access.reach(host, port)
	if !c.dashboard.off {
		_, _ = fmt.Fprintf(w, "\nDashboard: %s/\n", at.page)
	}
	_, _ = fmt.Fprintf(w, `
%[1]s

  curl -s %[2]s/discord_api.DiscordApi/SendDirectMessage -H 'Content-Type: application/json' -d '{"userId": "%[3]s", "content": "hi"}'%[4]s
  %[5]s --host %[6]s --port %[7]s%[8]s channel %[9]s "hi"
`, at.before, at.api, world.Users[0], at.curl, command.Invocation("discordproxymessage"), host, port, at.command, world.Channels[0])
}

// reached is the address with which a terminal calls the server.
type reached struct {
	page, api, before string
	// curl and command are the options that curl and discordproxymessage need
	// in addition to the address, each after a space.
	curl, command string
}

// reach returns how a server of this access is called that listens on a host
// and a port.
func (c *accessConfig) reach(host, port string) reached {
	url := "http://" + net.JoinHostPort(host, port)
	r := reached{page: url, api: url, before: "Try it from another terminal:"}
	if c.tlsCert != "" {
		c.reachTLS(&r, host, port)
	}
	switch {
	case c.authFile != "":
		r.before = "Try it from another terminal, with a key of " + c.authFile + " in the variable DISCORDPROXY_KEY:"
		r.curl += ` -H "Authorization: Bearer $DISCORDPROXY_KEY"`
	case c.tlsCAs != "":
		r.before = "Try it from another terminal, with the files of a certificate of " + c.tlsCAs +
			" and of its key in the variables\nDISCORDPROXY_TLS_CLIENT_CERT and DISCORDPROXY_TLS_CLIENT_KEY:"
		r.curl += ` --cert "$DISCORDPROXY_TLS_CLIENT_CERT" --key "$DISCORDPROXY_TLS_CLIENT_KEY"`
	}
	return r
}

// reachTLS adds what TLS needs. The server's certificate is given as an
// authority, which works whatever its issuer. If it lacks the name of the host, the
// host is called by a name that it has.
func (c *accessConfig) reachTLS(r *reached, host, port string) {
	file := c.tlsCert
	if absolute, err := filepath.Abs(file); err == nil {
		file = absolute
	}
	r.page = "https://" + net.JoinHostPort(host, port)
	r.api = r.page
	r.curl = " --cacert " + quote(file)
	r.command = " --tls-ca " + quote(file)
	pair, err := tls.LoadX509KeyPair(c.tlsCert, c.tlsKey)
	if err != nil || pair.Leaf.VerifyHostname(host) == nil || len(pair.Leaf.DNSNames) == 0 {
		return
	}
	name := strings.Replace(pair.Leaf.DNSNames[0], "*", "discordproxy", 1)
	r.api = "https://" + net.JoinHostPort(name, port)
	r.curl += fmt.Sprintf(" --connect-to ::%s -H 'Host: localhost'", net.JoinHostPort(host, port))
	r.command += " --tls-name " + name
}

// quote writes a text as one word for a shell.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
