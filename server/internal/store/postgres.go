package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// ErrAddress is the error for an address of PostgreSQL that cannot be read. It does
// not wrap the driver's error, which can contain the password.
var ErrAddress = errors.New("the address of the database is not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE")

// connectTimeout limits how long a connection takes whose address sets no
// connect_timeout.
const connectTimeout = 10 * time.Second

// readTime limits a read, which may have to connect first.
const readTime = 10 * time.Second

// openPostgres opens a database of PostgreSQL.
func openPostgres(ctx context.Context, address string) (*Store, error) {
	config, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	// A renewal takes one round trip: none to prepare it, and none to look whether the
	// connection is there.
	direct := config.Copy()
	direct.DefaultQueryExecMode = pgx.QueryExecModeExec
	s := &Store{
		clock:    new(databaseClock),
		where:    fmt.Sprintf("database %s at %s", config.Database, config.Host),
		dialect:  postgres,
		reads:    stdlib.OpenDB(*config),
		readTime: readTime,
		writes:   stdlib.OpenDB(*config),
		leases:   stdlib.OpenDB(*direct, stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return false })),
	}
	s.reads.SetMaxOpenConns(4)
	s.writes.SetMaxOpenConns(1)
	s.leases.SetMaxOpenConns(2) // a renewal that hangs does not keep the next one waiting
	if err := s.writes.PingContext(ctx); err != nil {
		if reasonOf(err) == nil {
			err = fmt.Errorf("cannot connect to %s: %w", s.where, err)
		}
		return nil, errors.Join(s.explain(err), s.release())
	}
	return s, nil
}

func parseAddress(address string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil || strings.TrimSpace(address) == "" { // which would be the driver's defaults
		return nil, ErrAddress
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	return config, nil
}

// Check connects to a database of PostgreSQL, and compares its schema with that of this
// version. It changes nothing.
func Check(ctx context.Context, address string) error {
	s, err := openPostgres(ctx, address)
	if err != nil {
		return err
	}
	return errors.Join(s.checkSchema(ctx), s.release())
}

// checkSchema returns an error if the schema is newer than this version supports.
func (s *Store) checkSchema(ctx context.Context) error {
	var version int64
	err := s.readRow(ctx, "SELECT max(version_id) FROM "+versionTable+" WHERE is_applied", nil, &version)
	if failed, ok := errors.AsType[*pgconn.PgError](err); ok && failed.Code == "42P01" {
		return nil // there is no such table: the database is new
	}
	if err != nil {
		return err
	}
	newest, err := newestSchema()
	if err == nil && version > newest {
		err = newer(s.where, version, newest)
	}
	return err
}

// DescribeAddress returns the address of PostgreSQL without its password and options,
// or the error ErrAddress.
func DescribeAddress(address string) (string, error) {
	config, err := parseAddress(address)
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "postgres", User: url.User(config.User), Path: "/" + config.Database}
	if filepath.IsAbs(config.Host) {
		u.RawQuery = url.Values{"host": {config.Host}}.Encode()
	} else {
		u.Host = net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
	}
	return u.String(), nil
}

// isAway reports whether an error says that PostgreSQL does not answer, or cannot be
// used at the moment: whether the same may succeed later. A database that refuses the
// user is not away.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func isAway(err error) bool {
	if failed, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch failed.Code {
		case "57P01", "57P02", "57P03", // PostgreSQL stops or starts
			"25P03", "57P05", // it has ended a connection that was idle for long
			"57014", "40001", "40P01", "55P03", // it has cancelled what took long, or was in another's way
			"25006": // the database is a replica: a failover is in progress
			return true
		}
		// The connection is broken, or something is used up, such as connections.
		return strings.HasPrefix(failed.Code, "08") || strings.HasPrefix(failed.Code, "53")
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, io.ErrUnexpectedEOF)
}
