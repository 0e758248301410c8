package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// postgres is a server of PostgreSQL, as a user without rights if this process is root's.
type postgres struct {
	folder, address string
	programs        string
	attributes      *syscall.SysProcAttr
}

func newPostgres(ctx context.Context) (*postgres, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("PostgreSQL is not installed in /usr/lib/postgresql: apt-get install postgresql: %w", err)
	}
	// Unix sockets have short paths.
	folder, err := os.MkdirTemp("/tmp", "pg")
	if err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &postgres{folder: folder, address: l.Addr().String(), programs: found[len(found)-1]}
	if err := l.Close(); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.ParseUint(nobody.Uid, 10, 32) // IDs of users are numbers
		gid, _ := strconv.ParseUint(nobody.Gid, 10, 32)
		p.attributes = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		if err := os.Chown(folder, int(uid), int(gid)); err != nil {
			return nil, err
		}
	}
	if err := p.run(ctx, "initdb", "-D", filepath.Join(folder, "data"), "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync"); err != nil {
		return nil, err
	}
	return p, p.start(ctx)
}

// run runs a program of PostgreSQL, to its end even if ctx ends.
func (p *postgres) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(p.programs, name), args...)
	cmd.Dir, cmd.SysProcAttr = p.folder, p.attributes
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

func (p *postgres) control(ctx context.Context, args ...string) error {
	return p.run(ctx, "pg_ctl", append(args, "-D", filepath.Join(p.folder, "data"), "-w", "-s")...)
}

func (p *postgres) start(ctx context.Context) error {
	_, port, _ := net.SplitHostPort(p.address) // it has one
	options := fmt.Sprintf("-c listen_addresses=127.0.0.1 -c port=%s -c unix_socket_directories=%s", port, p.folder)
	return p.control(ctx, "start", "-l", filepath.Join(p.folder, "log"), "-o", options)
}

// stop ends the server: in order, or as a crash does.
func (p *postgres) stop(ctx context.Context, crash bool) error {
	mode := "fast"
	if crash {
		mode = "immediate"
	}
	return p.control(ctx, "stop", "-m", mode)
}

func (p *postgres) remove(ctx context.Context) {
	_ = p.stop(ctx, true) // it may have ended
	if err := os.RemoveAll(p.folder); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
	}
}
