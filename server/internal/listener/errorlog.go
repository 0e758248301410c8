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
	for _, begin := range [...]string{"http: panic", "http2: panic", "http: Accept error"} {
		if bytes.HasPrefix(line, []byte(begin)) {
			level = slog.LevelError
		}
	}
	l.logger.Log(context.Background(), level, "net/http reports an error", "error", string(bytes.TrimSpace(line)))
	return len(line), nil
}
