package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// maxSecretBytes bounds the files with rules, keys and certificates.
const maxSecretBytes = 4 << 20

// fileTimeout is how long reading such a file may take: one on a network may
// never answer.
const fileTimeout = 10 * time.Second

// readRegular returns the contents of a regular file, to which symbolic links
// may lead. A pipe, a folder or a device is an error, and never waited for.
func readRegular(path string) ([]byte, error) {
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
	data, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSecretBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxSecretBytes)
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

var errFileSlow = errors.New("reading takes too long")

// within returns what read returns, but not later than the end of ctx or after
// fileTimeout: read goes on then, and nobody waits for it.
func within[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	timer := time.NewTimer(fileTimeout)
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

// readSecret is readRegular within fileTimeout.
func readSecret(ctx context.Context, path string) ([]byte, error) {
	return within(ctx, func() ([]byte, error) { return readRegular(path) })
}
