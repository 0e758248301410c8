package files

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Watched is files that belong together and are read again when they
// change. Their contents are compared, so that it does not matter whether a
// file is written, replaced by another, or a link in its path is turned.
type Watched struct {
	// What is the name of the files in errors and in the log.
	What  string
	Paths []string
	// Use receives the contents in the order of Paths. After an error, the previous
	// contents stay in use.
	Use func(contents [][]byte) error
	// ReadFile reads one file. Nil means ReadRegular.
	ReadFile func(string) ([]byte, error)

	// used is what was tried last, and seen what was read last.
	used, seen string
	// reading is a read that has not returned yet. No other one begins meanwhile: one
	// that hangs would become many.
	reading chan fileContents
	// replacements are taken by Watch.
	replacements chan replacement
}

// replacement is a call of Replace.
type replacement struct {
	paths []string
	read  func(string) ([]byte, error)
	done  chan error
}

type fileContents struct {
	contents [][]byte
	sum      string
	err      error
}

// Interval is how often files are read.
const Interval = time.Second

// readAll reads files. A read that hangs goes on while Replace changes what Watched has.
func readAll(paths []string, read func(string) ([]byte, error)) fileContents {
	if read == nil {
		read = ReadRegular
	}
	var all fileContents
	hash := sha256.New()
	for _, path := range paths {
		data, err := read(path)
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

// await returns what a read returns, which continues when it takes too long: the
// next await waits for the same one.
func (w *Watched) await(ctx context.Context) fileContents {
	if w.reading == nil {
		done := make(chan fileContents, 1)
		w.reading = done
		paths, read := w.Paths, w.ReadFile
		go func() { done <- readAll(paths, read) }()
	}
	timer := time.NewTimer(Timeout)
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

// Load reads the files for the first time. It must be called once, before Watch.
func (w *Watched) Load(ctx context.Context) error {
	w.replacements = make(chan replacement)
	all := w.await(ctx)
	if all.err != nil {
		return fmt.Errorf("cannot read the %s: %w", w.What, all.err)
	}
	if err := w.Use(all.contents); err != nil {
		return fmt.Errorf("%s %s: %w", w.What, w.Paths[0], err)
	}
	w.used, w.seen = all.sum, all.sum
	return nil
}

// Replace makes Watch read other files, or the same files immediately, and returns when
// they are in use. After an error, the previous files and their contents stay in use. It
// must be called while Watch runs.
func (w *Watched) Replace(ctx context.Context, paths []string, read func(string) ([]byte, error)) error {
	r := replacement{paths, read, make(chan error, 1)}
	select {
	case w.replacements <- r:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *Watched) replace(ctx context.Context, r replacement) error {
	before := *w
	w.Paths, w.ReadFile, w.reading = r.paths, r.read, nil
	all := w.await(ctx)
	err := all.err
	if err == nil {
		err = w.Use(all.contents)
	}
	if err != nil {
		*w = before
		return err
	}
	w.used, w.seen = all.sum, all.sum
	return nil
}

// look reads the files and uses what has changed, once it was read twice: it
// may be half written.
func (w *Watched) look(ctx context.Context, logger *slog.Logger) {
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
		err = w.Use(contents)
	}
	if err != nil {
		logger.ErrorContext(ctx, "failed to reload a file; keeping the previous contents", "what", w.What, "file", w.Paths[0], "error", err)
		return
	}
	logger.InfoContext(ctx, "reloaded a file", "what", w.What, "file", w.Paths[0])
}

// Watch reads all files repeatedly, and uses those that have changed, until ctx ends. A
// read that hangs at that time continues.
func Watch(ctx context.Context, logger *slog.Logger, all ...*Watched) {
	var parts sync.WaitGroup
	for _, w := range all { // one that hangs holds up no other
		parts.Go(func() { w.watch(ctx, logger) })
	}
	parts.Wait()
}

func (w *Watched) watch(ctx context.Context, logger *slog.Logger) {
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-w.replacements:
			r.done <- w.replace(ctx, r)
		case <-ticker.C:
			w.look(ctx, logger)
		}
	}
}
