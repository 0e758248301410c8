package serve

import (
	"cmp"
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

// levelCritical is above everything that is logged.
const levelCritical = slog.LevelError + 4

// logConfig holds the flags about logs.
type logConfig struct {
	console, file, folder string
	format                string // text or json
}

// check refuses what open would refuse.
func (c logConfig) check() error {
	if c.format != "text" && c.format != "json" {
		return fmt.Errorf("--log-format %q is not text or json", c.format)
	}
	_, console := parseLevel("log-console-level", c.console)
	_, file := parseLevel("log-file-level", c.file)
	return cmp.Or(console, file)
}

// report writes the error that ends the server as a line of JSON if the log has that
// format, so that the same program can read it.
func (c logConfig) report(ctx context.Context, console io.Writer, err error) error {
	if err == nil || c.format != "json" {
		return err
	}
	slog.New(slog.NewJSONHandler(console, nil)).ErrorContext(ctx, "stopped with an error", "error", err)
	return command.Reported(err)
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

// path returns the path of the log file, as an absolute path if it can be
// determined.
func (c logConfig) path() string {
	path := filepath.Join(c.folder, logFile)
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

// logs are the open logs of a server.
type logs struct {
	logger        *slog.Logger
	console, file slog.LevelVar
	path          string
	output        *lumberjack.Logger
}

// open opens the log on the console and the log file. A file that cannot be written
// later, on a full disk or in a removed folder, does not disturb the calls that are
// logged.
func (c logConfig) open(console io.Writer) (*logs, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	l := &logs{path: c.path()}
	if err := l.setLevels(c); err != nil {
		return nil, err
	}
	if err := tryWrite(l.path); err != nil {
		return nil, fmt.Errorf("cannot write the log file: %w", err)
	}
	l.output = &lumberjack.Logger{Filename: l.path, MaxSize: logFileSize, MaxBackups: logFilesKept}
	toFile := &slog.HandlerOptions{Level: &l.file}
	handlers := []slog.Handler{
		tint.NewTextHandler(console, &tint.Options{Level: &l.console, TimeFormat: time.DateTime, NoColor: !command.IsTerminal(console)}),
		slog.NewTextHandler(l.output, toFile),
	}
	if c.format == "json" {
		handlers = []slog.Handler{slog.NewJSONHandler(console, &slog.HandlerOptions{Level: &l.console}), slog.NewJSONHandler(l.output, toFile)}
	}
	l.logger = slog.New(unfailing{slog.NewMultiHandler(handlers...)})
	return l, nil
}

// setLevels sets the lowest levels of the logs.
func (l *logs) setLevels(c logConfig) error {
	console, err := parseLevel("log-console-level", c.console)
	if err != nil {
		return err
	}
	file, err := parseLevel("log-file-level", c.file)
	if err != nil {
		return err
	}
	l.console.Set(console)
	l.file.Set(file)
	return nil
}

func (l *logs) close() { _ = l.output.Close() }

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
