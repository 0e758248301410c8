package serve

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	command "discordproxy/cli"

	"github.com/lmittmann/tint"
	"gopkg.in/natefinch/lumberjack.v2"
)

// levelCritical stands above everything that is logged.
const levelCritical = slog.LevelError + 4

// logConfig holds the flags about logs.
type logConfig struct {
	console, file, folder string
}

func parseLevel(flag, name string) (slog.Level, error) {
	switch strings.ToUpper(name) {
	case "DEBUG":
		return slog.LevelDebug, nil
	case "INFO":
		return slog.LevelInfo, nil
	case "WARN", "WARNING":
		return slog.LevelWarn, nil
	case "ERROR":
		return slog.LevelError, nil
	case "CRITICAL":
		return levelCritical, nil
	}
	return 0, command.Misuse(fmt.Errorf("--%s %q is not one of DEBUG, INFO, WARN, ERROR, CRITICAL", flag, name))
}

// logFile is the name of the log file, whose size in megabytes and number of
// older copies are bounded.
const (
	logFile      = "discordproxyserver.log"
	logFileSize  = 10
	logFilesKept = 10
)

// path returns where the log file stands, as an absolute path if that can be
// told.
func (c logConfig) path() string {
	path := filepath.Join(c.folder, logFile)
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

// open returns a logger for the console and the log file. A file that cannot
// be written later, on a full disk or in a removed folder, does not disturb
// the calls that are logged.
func (c logConfig) open(console io.Writer) (logger *slog.Logger, closeLogs func(), err error) {
	consoleLevel, err := parseLevel("log-console-level", c.console)
	if err != nil {
		return nil, nil, err
	}
	fileLevel, err := parseLevel("log-file-level", c.file)
	if err != nil {
		return nil, nil, err
	}
	path := c.path()
	if err := tryWrite(path); err != nil {
		return nil, nil, fmt.Errorf("cannot write the log file: %w", err)
	}
	file := &lumberjack.Logger{Filename: path, MaxSize: logFileSize, MaxBackups: logFilesKept}
	handler := slog.NewMultiHandler(
		tint.NewTextHandler(console, &tint.Options{Level: consoleLevel, TimeFormat: time.DateTime, NoColor: !command.IsTerminal(console)}),
		slog.NewTextHandler(file, &slog.HandlerOptions{Level: fileLevel}),
	)
	return slog.New(unfailing{handler}), func() { _ = file.Close() }, nil
}

// tryWrite makes a file that the server's user alone may read, unless there is
// one, and fails if it cannot be written.
func tryWrite(path string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// unfailing hides the failure of a log line from who logs it.
type unfailing struct{ slog.Handler }

func (u unfailing) Handle(ctx context.Context, r slog.Record) error {
	_ = u.Handler.Handle(ctx, r)
	return nil
}

func (u unfailing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return unfailing{u.Handler.WithAttrs(attrs)}
}

func (u unfailing) WithGroup(name string) slog.Handler { return unfailing{u.Handler.WithGroup(name)} }
