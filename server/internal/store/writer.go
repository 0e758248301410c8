package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// maxGroup limits the changes in one transaction, so that none waits long for
	// the others.
	maxGroup = 512
	// groupTimeout limits a transaction: a database that hangs must not stop the
	// server from shutting down.
	groupTimeout = 30 * time.Second
	// groupTime is how long a transaction takes more changes: those of a slow database must
	// end before groupTimeout, however many wait.
	groupTime = 2 * time.Second
)

// writer is the goroutine that changes the database.
type writer struct {
	statements *statements
	changes    chan *change // unbuffered: what was accepted is being done
	closing    chan struct{}
	ended      sync.WaitGroup
}

// change waits to be part of a transaction.
type change struct {
	ctx context.Context //nolint:containedctx // an argument on its way to another goroutine
	run func(context.Context, *transaction) error
	// fence binds the change to a lease. Nil means that it is bound to none.
	fence *fence
	err   error
	turn  chan struct{} // full while the change runs, and when the caller has left
	done  chan struct{} // closed when err is final
}

func newWriter(db *sql.DB) *writer {
	w := &writer{statements: newStatements(db), changes: make(chan *change), closing: make(chan struct{})}
	w.ended.Go(w.loop)
	return w
}

// close waits for the changes that were accepted. It may be called once.
func (w *writer) close() {
	close(w.closing)
	w.ended.Wait()
	w.statements.close()
}

func (w *writer) write(ctx context.Context, bound *fence, run func(context.Context, *transaction) error) error {
	c := &change{ctx: ctx, run: run, fence: bound, turn: make(chan struct{}, 1), done: make(chan struct{})}
	select {
	case <-w.closing:
		return ErrClosed
	default:
	}
	select {
	case w.changes <- c:
	case <-w.closing:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
	}
	select { // the caller's variables belong to the change while it runs
	case <-c.done:
		return c.err
	case c.turn <- struct{}{}:
		return context.Cause(ctx)
	}
}

func (w *writer) loop() {
	for {
		select {
		case first := <-w.changes:
			w.commit(w.gather(first))
		case <-w.closing:
			return
		}
	}
}

// gather returns the changes that wait at the moment, from the first on.
func (w *writer) gather(first *change) []*change {
	group := []*change{first}
	for len(group) < maxGroup {
		select {
		case next := <-w.changes:
			group = append(group, next)
		default:
			return group
		}
	}
	return group
}

// commit makes changes in as few transactions as they fit into.
func (w *writer) commit(group []*change) {
	for len(group) > 0 {
		group = group[w.commitSome(group):]
	}
	w.prepare()
}

// commitSome makes the first of the changes in one transaction, and returns how many. If
// one of them fails, those that can be made are made again apart: in one transaction from
// which each can be undone alone, or each in its own where the database cannot do that.
// Being apart costs each change two more statements, and hardly any change fails.
func (w *writer) commitSome(group []*change) int {
	n, err := w.transact(group, false)
	if errors.Is(err, errBroken) && len(group) > 1 {
		release(group)
		n, err = w.transact(group, true)
	}
	if errors.Is(err, errBroken) && len(group) > 1 {
		release(group)
		for _, c := range group {
			_, err := w.transact([]*change{c}, false)
			w.finish([]*change{c}, err)
		}
		return len(group)
	}
	w.finish(group[:n], err)
	return n
}

// prepare prepares what the next transactions are likely to need.
func (w *writer) prepare() {
	if len(w.statements.wanted) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
	defer cancel()
	w.statements.prepare(ctx)
}

// claim keeps the caller of a change from leaving. It returns an error if the caller
// has left or is about to.
func (c *change) claim() error {
	if err := context.Cause(c.ctx); err != nil {
		return err
	}
	select {
	case c.turn <- struct{}{}:
		return nil
	default:
		return context.Cause(c.ctx)
	}
}

// release lets the callers of changes that were undone leave.
func release(group []*change) {
	for _, c := range group {
		select {
		case <-c.turn:
		default: // its turn had not come
		}
	}
}

// finish reports the outcome of a transaction to those who wait for it. Changes
// that failed by themselves keep their own error.
func (w *writer) finish(group []*change, err error) {
	for _, c := range group {
		if c.err == nil {
			c.err = err
		}
		close(c.done)
	}
}

// errBroken is the error of a transaction that ended before its time.
var errBroken = errors.New("the transaction was rolled back")

// transact makes changes in one transaction, each so that it can be undone alone if
// they are apart. It sets the errors of those that failed by themselves and returns that
// of the whole, errBroken if nothing was done because of a change among others. Its
// number of changes is smaller than that of the group if there is no time for the others.
func (w *writer) transact(group []*change, apart bool) (n int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
	defer cancel()
	tx, err := w.statements.begin(ctx)
	if err != nil {
		return len(group), err
	}
	defer tx.Rollback() //nolint:errcheck // there is nothing to roll back after a commit
	fenced, err := fences(ctx, tx, group)
	if err != nil {
		return len(group), err
	}
	made, begun := 0, time.Now()
	for _, c := range group {
		if made > 0 && time.Since(begun) > groupTime {
			break
		}
		n++
		if c.err = c.claim(); c.err != nil {
			continue // nobody waits for it
		}
		if c.err = fenced[c.fence]; c.err != nil {
			continue
		}
		if apart {
			c.err = runApart(ctx, tx, c.run)
		} else if c.err = recovered(ctx, tx, c.run); c.err != nil && len(group) > 1 {
			return n, errBroken
		}
		if errors.Is(c.err, errBroken) {
			return n, c.err
		} else if c.err == nil {
			made++
		}
	}
	if made == 0 {
		return n, nil
	}
	return n, tx.Commit()
}

// fences locks the leases that changes are bound to, and returns those that have ended,
// with the error of their changes.
func fences(ctx context.Context, tx *transaction, group []*change) (map[*fence]error, error) {
	var checked map[*fence]error
	for _, c := range group {
		if c.fence == nil {
			continue
		}
		if _, done := checked[c.fence]; done {
			continue
		}
		err := c.fence.check(ctx, tx.Tx)
		if err != nil && !errors.Is(err, ErrFenced) {
			return nil, err
		}
		if checked == nil {
			checked = make(map[*fence]error)
		}
		checked[c.fence] = err
	}
	return checked, nil
}

// runApart runs a change so that it can be undone without the changes before it.
func runApart(ctx context.Context, tx *transaction, run func(context.Context, *transaction) error) error {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT change"); err != nil {
		return errors.Join(errBroken, err)
	}
	failed := recovered(ctx, tx, run)
	if failed != nil {
		if _, err := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT change"); err != nil {
			return errors.Join(errBroken, failed, err)
		}
	}
	if _, err := tx.ExecContext(ctx, "RELEASE SAVEPOINT change"); err != nil {
		return errors.Join(errBroken, failed, err)
	}
	return failed
}

// recovered runs a change and returns a panic as an error: the goroutine serves
// all others, too.
func recovered(ctx context.Context, tx *transaction, run func(context.Context, *transaction) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("store: a change panicked: %v", r)
		}
	}()
	return run(ctx, tx)
}
