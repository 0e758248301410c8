package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// openPostgres opens a database of PostgreSQL.
func openPostgres(ctx context.Context, address string) (*Store, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("cannot read the address of PostgreSQL: %w", err)
	}
	s := &Store{
		where:   fmt.Sprintf("database %s at %s", config.Database, config.Host),
		dialect: postgres,
		reads:   stdlib.OpenDB(*config),
		writes:  stdlib.OpenDB(*config),
	}
	s.reads.SetMaxOpenConns(4)
	s.writes.SetMaxOpenConns(1)
	if err := s.writes.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot connect to %s: %w", s.where, err), s.release())
	}
	return s, nil
}
