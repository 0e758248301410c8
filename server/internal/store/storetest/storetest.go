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
	if shared.server != nil {
		shared.server.remove()
	}
	os.Exit(code)
}

// shared is the PostgreSQL server that all tests of a package share.
var shared struct {
	start     sync.Once
	server    *Postgres
	err       error
	mu        sync.Mutex
	databases int
}

// Database returns the address of an empty database of PostgreSQL. The test is
// skipped on a machine without it.
func Database(t testing.TB) string {
	t.Helper()
	programs := require.PostgreSQL(t)
	shared.start.Do(func() { shared.server, shared.err = newPostgres(programs) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.databases++
	name := fmt.Sprintf("test%d", shared.databases)
	db, err := sql.Open("pgx", shared.server.address("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return shared.server.address(name)
}

// Postgres is a server of PostgreSQL, which listens on a Unix socket in its folder
// alone.
type Postgres struct {
	folder  string
	control func(args ...string) error
}

// NewPostgres runs a server for one test, which may stop it. The test is skipped on a
// machine without PostgreSQL.
func NewPostgres(t testing.TB) *Postgres {
	t.Helper()
	p, err := newPostgres(require.PostgreSQL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.remove)
	return p
}

// Address returns the address of the server's database.
func (p *Postgres) Address() string { return p.address("postgres") }

// Stop ends the server immediately, as a crash does.
func (p *Postgres) Stop(t testing.TB) {
	t.Helper()
	if err := p.control("stop", "-m", "immediate"); err != nil {
		t.Fatal(err)
	}
}

// Start starts the server that was stopped.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
}

func (p *Postgres) address(database string) string {
	return fmt.Sprintf("host=%s user=test dbname=%s", p.folder, database)
}

func (p *Postgres) start() error {
	options := fmt.Sprintf("-c listen_addresses= -c unix_socket_directories=%s -c fsync=off", p.folder)
	return p.control("start", "-l", filepath.Join(p.folder, "log"), "-o", options)
}

func (p *Postgres) remove() {
	_ = p.control("stop", "-m", "immediate") // a test may have stopped it
	if err := os.RemoveAll(p.folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// newPostgres runs a server in a temporary folder, and returns when the server accepts
// connections.
func newPostgres(programs string) (*Postgres, error) {
	// Unix sockets have short paths.
	folder, err := os.MkdirTemp("/tmp", "pg")
	if err != nil {
		return nil, err
	}
	attributes, err := unprivileged(folder)
	if err != nil {
		return nil, err
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
	if err := run("initdb", "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync"); err != nil {
		return nil, err
	}
	p := &Postgres{folder, func(args ...string) error {
		return run("pg_ctl", slices.Concat(args, []string{"-D", data, "-w", "-s"})...)
	}}
	return p, p.start()
}
