// Package storetest runs tests on each database that package store supports.
package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"discordproxy/server/internal/store"
	"discordproxy/test/require"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of PostgreSQL
)

// Each runs a test with an empty SQLite folder, and with an empty database of
// PostgreSQL where that is installed.
func Each(t *testing.T, test func(*testing.T, store.Config)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, store.Config{Folder: t.TempDir()}) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, store.Config{PostgreSQL: Database(t)}) })
}

// Open opens a store until the test ends.
func Open(t testing.TB, c store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Main is the TestMain of packages whose tests use Each or Database.
func Main(m *testing.M) {
	code := require.Run(m)
	if server.stop != nil {
		server.stop()
	}
	os.Exit(code)
}

// server is the PostgreSQL server that all tests of a package share.
var server struct {
	start     sync.Once
	folder    string
	stop      func()
	err       error
	mu        sync.Mutex
	databases int
}

// Database returns the address of an empty database of PostgreSQL. The test is
// skipped on a machine without it.
func Database(t testing.TB) string {
	t.Helper()
	programs := require.PostgreSQL(t)
	server.start.Do(func() { server.folder, server.stop, server.err = startPostgres(programs) })
	if server.err != nil {
		t.Fatal(server.err)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	server.databases++
	name := fmt.Sprintf("test%d", server.databases)
	db, err := sql.Open("pgx", address("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return address(name)
}

// address is that of a database of the shared server, which listens on a Unix
// socket in its folder alone.
func address(database string) string {
	return fmt.Sprintf("host=%s user=test dbname=%s", server.folder, database)
}

// startPostgres runs a server in a temporary folder, and returns that folder when
// the server accepts connections.
func startPostgres(programs string) (folder string, stop func(), err error) {
	// Unix sockets have short paths.
	folder, err = os.MkdirTemp("/tmp", "pg")
	if err != nil {
		return "", nil, err
	}
	attributes, err := unprivileged(folder)
	if err != nil {
		return "", nil, err
	}
	run := func(name string, args ...string) error {
		cmd := exec.CommandContext(context.Background(), filepath.Join(programs, name), args...)
		cmd.Dir, cmd.SysProcAttr = folder, attributes
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", name, err, out)
		}
		return nil
	}
	data := filepath.Join(folder, "data")
	control := func(args ...string) error {
		return run("pg_ctl", slices.Concat(args, []string{"-D", data, "-w", "-s"})...)
	}
	if err := run("initdb", "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync"); err != nil {
		return "", nil, err
	}
	options := fmt.Sprintf("-c listen_addresses= -c unix_socket_directories=%s -c fsync=off", folder)
	if err := control("start", "-l", filepath.Join(folder, "log"), "-o", options); err != nil {
		return "", nil, err
	}
	return folder, func() {
		if err := control("stop", "-m", "immediate"); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		if err := os.RemoveAll(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}, nil
}
