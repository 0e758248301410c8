package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"

	"discordproxy/server/api"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/files"
	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/store"
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

// DescribeDatabase returns the address of a database without its password and options.
func DescribeDatabase(address string) (string, error) { return store.DescribeAddress(address) }

// Backup copies the data of a server into a new file. The server may run meanwhile.
func Backup(ctx context.Context, folder, file string) error { return store.Backup(ctx, folder, file) }

// Restore puts a backup in the place of a server's data, which stays next to it
// under another name. It fails while the server runs.
func Restore(ctx context.Context, folder, file string) error {
	return store.Restore(ctx, folder, file)
}

// CheckDatabase connects to a database and looks whether this version can use what is
// in it. It changes nothing there.
func CheckDatabase(ctx context.Context, address string) error { return store.Check(ctx, address) }

// withRemedy adds to the reason why a data folder cannot be used what to do.
func withRemedy(err error) error {
	remedy := ""
	switch {
	case errors.Is(err, store.ErrNewer):
		remedy = "use that version of the server, restore a backup, or "
	case errors.Is(err, store.ErrCorrupt):
		remedy = "restore a backup, or "
	case errors.Is(err, store.ErrFull):
		remedy = "free space there, or "
	}
	return fmt.Errorf("%w; %suse --data to choose another folder", err, remedy)
}

// InspectData describes a data folder as a server would find it, and changes nothing
// there. The error says why a server cannot use the folder, and what to do.
func InspectData(ctx context.Context, folder string) (string, error) {
	i, err := store.Inspect(ctx, folder)
	if err != nil {
		return "", withRemedy(err)
	}
	description := folder + " can be written"
	switch {
	case i.Missing:
		description = folder + " is missing and will be created"
	case i.Schema == 0:
		description += ", is empty"
	case i.Schema < i.Supported:
		description += fmt.Sprintf(", has schema %d, which will be updated to %d", i.Schema, i.Supported)
	default:
		description += fmt.Sprintf(", has schema %d", i.Schema)
	}
	if i.FreeKnown {
		description += fmt.Sprintf(", %d MB free", i.Free/1e6)
	}
	return description, nil
}
