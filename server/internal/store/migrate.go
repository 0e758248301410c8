package store

import (
	"context"
	"embed"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// migrations are the steps from an empty database to the schema, in a folder for
// each dialect with the same files. A step that was released is never changed.
//
//go:embed migrations
var migrations embed.FS

// versionTable is the table with the version of the schema.
const versionTable = "schema_version"

// migrate creates the schema or brings an older one up to date.
func (s *Store) migrate(ctx context.Context) error {
	name, folder := goose.DialectSQLite3, "migrations/sqlite"
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithTableName(versionTable)}
	if s.dialect == postgres {
		name, folder = goose.DialectPostgres, "migrations/postgres"
		// Several servers may start at the same time.
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	steps, err := fs.Sub(migrations, folder)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(name, s.writes, steps, options...)
	if err != nil {
		return err
	}
	current, newest, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > newest {
		return newer(s.where, current, newest)
	}
	_, err = provider.Up(ctx)
	return err
}
