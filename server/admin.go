package server

import (
	"context"
	"io/fs"
	"net"

	"discordproxy/server/api"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/files"
	"discordproxy/server/internal/listener"
)

// NewKey returns a new key for a client, and the hash of it that an auth file
// holds.
func NewKey() (key, hash string) { return access.NewKey() }

// DescribeClients returns a line for each client of an auth file that says what it
// may do, and what is wrong with the file. bots are the names of the server's bots, the
// default bot first; without them, a client may name any bot.
func DescribeClients(auth []byte, bots ...string) ([]string, error) {
	rules, err := access.Parse(auth, access.Defaults{Methods: guardedMethods(), Bots: bots})
	if err != nil {
		return nil, err
	}
	return rules.Describe(), nil
}

// ReadFile reads a file as the server does: only a regular one, of at most 4 MiB,
// within 10 seconds.
func ReadFile(ctx context.Context, path string) ([]byte, error) { return files.Read(ctx, path) }

// Addresses is the address of a listener that Listen opened on several addresses.
type Addresses = listener.Addresses

// Listen opens a port on each of the hosts, see listener.Listen.
func Listen(ctx context.Context, hosts []string, port int, mode fs.FileMode) (net.Listener, error) {
	return listener.Listen(ctx, hosts, port, mode)
}

// SocketPath returns the path of a host that is a Unix socket: unix:/path,
// unix:///path or unix:path.
func SocketPath(host string) (path string, ok bool) { return listener.SocketPath(host) }

// Defaults of Config.
const (
	DefaultMaxFileBytes   = api.DefaultMaxFileBytes
	DefaultMaxUploadBytes = api.DefaultMaxUploadBytes
)

// Methods returns the names of the methods of the API.
func Methods() []string { return api.Methods() }
