package serve

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// watchedFiles are files that belong together and are read again when they
// change. Their contents are compared, so that it does not matter whether a
// file is written, replaced by another, or a link in its path is turned.
type watchedFiles struct {
	what  string // for the log
	files []string
	// use takes the contents in the order of files. After an error what was
	// used before remains.
	use func(contents [][]byte) error

	// used is what was tried last, and seen what was read last.
	used, seen string
	// reading is a read that has not returned yet. No other one begins meanwhile: one
	// that hangs would become many.
	reading chan fileContents

	// readFile reads one file; nil means readRegular.
	readFile func(string) ([]byte, error)
}

type fileContents struct {
	contents [][]byte
	sum      string
	err      error
}

// fileInterval is how often files are read.
const fileInterval = time.Second

func (w *watchedFiles) read() fileContents {
	read := w.readFile
	if read == nil {
		read = readRegular
	}
	var all fileContents
	hash := sha256.New()
	for _, name := range w.files {
		data, err := read(name)
		if err != nil {
			return fileContents{nil, err.Error(), err}
		}
		_, _ = fmt.Fprintf(hash, "%d ", len(data)) // a hash takes everything
		_, _ = hash.Write(data)
		all.contents = append(all.contents, data)
	}
	all.sum = string(hash.Sum(nil))
	return all
}

// await returns what a read returns, which goes on when it takes too long: the
// next await waits for the same one.
func (w *watchedFiles) await(ctx context.Context) fileContents {
	if w.reading == nil {
		done := make(chan fileContents, 1)
		w.reading = done
		go func() { done <- w.read() }()
	}
	timer := time.NewTimer(fileTimeout)
	defer timer.Stop()
	select {
	case all := <-w.reading:
		w.reading = nil
		return all
	case <-ctx.Done():
		return fileContents{err: context.Cause(ctx)}
	case <-timer.C:
		return fileContents{sum: errFileSlow.Error(), err: errFileSlow}
	}
}

// load reads the files for the first time.
func (w *watchedFiles) load(ctx context.Context) error {
	all := w.await(ctx)
	if all.err != nil {
		return fmt.Errorf("cannot read the %s: %w", w.what, all.err)
	}
	if err := w.use(all.contents); err != nil {
		return fmt.Errorf("%s %s: %w", w.what, w.files[0], err)
	}
	w.used, w.seen = all.sum, all.sum
	return nil
}

// look reads the files and uses what has changed, once it was read twice: it
// may be half written.
func (w *watchedFiles) look(ctx context.Context, logger *slog.Logger) {
	all := w.await(ctx)
	if ctx.Err() != nil {
		return
	}
	contents, sum, err := all.contents, all.sum, all.err
	last := w.seen
	w.seen = sum
	if sum == w.used || sum != last {
		return
	}
	w.used = sum
	if err == nil {
		err = w.use(contents)
	}
	if err != nil {
		logger.ErrorContext(ctx, "the new "+w.what+" is not used, the one before remains", "file", w.files[0], "error", err)
		return
	}
	logger.InfoContext(ctx, "the new "+w.what+" is used", "file", w.files[0])
}

// watchFiles looks at files until ctx ends.
func watchFiles(ctx context.Context, logger *slog.Logger, all ...*watchedFiles) {
	var parts sync.WaitGroup
	for _, w := range all { // one that hangs holds up no other
		parts.Go(func() { w.watch(ctx, logger) })
	}
	parts.Wait()
}

func (w *watchedFiles) watch(ctx context.Context, logger *slog.Logger) {
	ticker := time.NewTicker(fileInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.look(ctx, logger)
		}
	}
}
