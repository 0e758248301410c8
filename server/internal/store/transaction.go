package store

import (
	"context"
	"database/sql"
)

// transaction is a transaction of the writer. Its statements are parsed once for all
// transactions: with SQLite, parsing takes as long as what most of them do.
type transaction struct {
	*sql.Tx
	statements *statements
	bound      map[string]*sql.Stmt // to the transaction
}

// statements are the writer's prepared statements, by their text.
type statements struct {
	db       *sql.DB
	prepared map[string]*sql.Stmt
	wanted   map[string]bool
}

// maxStatements limits the prepared statements. Filters of clients are part of the text
// of some statements.
const maxStatements = 100

func newStatements(db *sql.DB) *statements {
	return &statements{db: db, prepared: make(map[string]*sql.Stmt), wanted: make(map[string]bool)}
}

func (s *statements) begin(ctx context.Context) (*transaction, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &transaction{Tx: tx, statements: s, bound: make(map[string]*sql.Stmt)}, nil
}

// prepare prepares the statements that the transactions before used without. It needs
// the writer's connection, so no transaction may be in progress.
func (s *statements) prepare(ctx context.Context) {
	for text := range s.wanted {
		if statement, err := s.db.PrepareContext(ctx, text); err == nil {
			s.prepared[text] = statement
		} // else it runs unprepared, and reports what is wrong
	}
	clear(s.wanted)
}

// close frees the statements.
func (s *statements) close() {
	for _, statement := range s.prepared {
		_ = statement.Close() // of a connection that is closed next
	}
}

// statement returns a prepared statement, or nil if there is none yet.
func (t *transaction) statement(ctx context.Context, text string) *sql.Stmt {
	if statement := t.bound[text]; statement != nil {
		return statement
	}
	statement := t.statements.prepared[text]
	if statement == nil {
		if len(t.statements.prepared)+len(t.statements.wanted) < maxStatements {
			t.statements.wanted[text] = true
		}
		return nil
	}
	statement = t.StmtContext(ctx, statement)
	t.bound[text] = statement
	return statement
}

// ExecContext is that of sql.Tx.
func (t *transaction) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if statement := t.statement(ctx, text); statement != nil {
		return statement.ExecContext(ctx, args...)
	}
	return t.Tx.ExecContext(ctx, text, args...)
}

// QueryContext is that of sql.Tx.
func (t *transaction) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if statement := t.statement(ctx, text); statement != nil {
		return statement.QueryContext(ctx, args...)
	}
	return t.Tx.QueryContext(ctx, text, args...)
}

// QueryRowContext is that of sql.Tx.
func (t *transaction) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	if statement := t.statement(ctx, text); statement != nil {
		return statement.QueryRowContext(ctx, args...)
	}
	return t.Tx.QueryRowContext(ctx, text, args...)
}
