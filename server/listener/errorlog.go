package listener

import (
	"bytes"
	"context"
	"log"
	"log/slog"
)

// newErrorLog is where net/http and HTTP/2 write. Panics of handlers are errors;
// all else is about what clients do, and any client could fill the log with it.
func newErrorLog(logger *slog.Logger) *log.Logger {
	return log.New(errorLog{logger}, "", 0)
}

type errorLog struct{ logger *slog.Logger }

// Write implements io.Writer.
func (l errorLog) Write(line []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.Contains(line, []byte("panic")) || bytes.Contains(line, []byte("Accept error")) {
		level = slog.LevelError
	}
	l.logger.Log(context.Background(), level, string(bytes.TrimSpace(line)))
	return len(line), nil
}
