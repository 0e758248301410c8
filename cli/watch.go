package cli

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
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
}

// fileInterval is how often files are read.
const fileInterval = time.Second

func (w *watchedFiles) read() (contents [][]byte, sum string, err error) {
	hash := sha256.New()
	for _, name := range w.files {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err.Error(), err
		}
		_, _ = fmt.Fprintf(hash, "%d ", len(data)) // a hash takes everything
		_, _ = hash.Write(data)
		contents = append(contents, data)
	}
	return contents, string(hash.Sum(nil)), nil
}

// load reads the files for the first time.
func (w *watchedFiles) load() error {
	contents, sum, err := w.read()
	if err != nil {
		return fmt.Errorf("cannot read the %s: %w", w.what, err)
	}
	if err := w.use(contents); err != nil {
		return fmt.Errorf("%s %s: %w", w.what, w.files[0], err)
	}
	w.used, w.seen = sum, sum
	return nil
}

// look reads the files and uses what has changed, once it was read twice: it
// may be half written.
func (w *watchedFiles) look(ctx context.Context, logger *slog.Logger) {
	contents, sum, err := w.read()
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
	if len(all) == 0 {
		return
	}
	ticker := time.NewTicker(fileInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for _, w := range all {
				w.look(ctx, logger)
			}
		}
	}
}
