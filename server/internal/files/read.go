// Package files reads small files of rules, keys and certificates, and reloads them
// when they change.
package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"
)

// MaxBytes limits the size of a file.
const MaxBytes = 4 << 20

// Timeout limits how long reading a file may take: a network file system may never respond.
const Timeout = 10 * time.Second

// ReadRegular returns the contents of a regular file, to which symbolic links
// may lead. A pipe, a folder or a device is an error; ReadRegular never waits for it.
func ReadRegular(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file (%s)", path, fileKind(info.Mode()))
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, MaxBytes)
	}
	return data, nil
}

func fileKind(mode os.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&os.ModeNamedPipe != 0:
		return "a pipe"
	case mode&os.ModeSocket != 0:
		return "a socket"
	case mode&os.ModeDevice != 0:
		return "a device"
	}
	return mode.Type().String()
}

var errFileSlow = errors.New("reading the file takes too long")

// Within returns what read returns, but not later than the end of ctx or after
// Timeout: read continues then, and nobody waits for it.
func Within[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	timer := time.NewTimer(Timeout)
	defer timer.Stop()
	var none T
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case <-timer.C:
		return none, errFileSlow
	}
}

// Read is ReadRegular within Timeout.
func Read(ctx context.Context, path string) ([]byte, error) {
	return Within(ctx, func() ([]byte, error) { return ReadRegular(path) })
}

// WarnReadable warns of a file with a secret that every user of the machine can
// read.
func WarnReadable(logger *slog.Logger, what, path string) {
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o004 != 0 {
		logger.Warn("every user of the machine can read a file with a secret; run chmod o-r",
			"what", what, "file", path, "mode", info.Mode().Perm().String())
	}
}
