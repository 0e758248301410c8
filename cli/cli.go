// Package cli provides what the project's commands share: starting and exiting, version,
// help, completion and manual pages, and the flags for connecting to a server. Each
// command is implemented in a package below this one.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"syscall"
)

// Env is the environment of a command. Flags read environment variables of the process itself.
type Env struct {
	// Args are the arguments after the command's name.
	Args []string
	// In, Out and Err are the standard streams.
	In       io.Reader
	Out, Err io.Writer
	// Hangups are the signals SIGHUP to a process without a terminal; see Hangups.
	// Nil means that they end the command.
	Hangups *Hangups
}

// Hangups makes a command use SIGHUP to reload its configuration. In a process with a
// controlling terminal, SIGHUP means that the terminal was closed, and ends the command.
type Hangups struct {
	taken  atomic.Bool
	signal chan struct{}
}

// Take returns a channel that receives after a SIGHUP. The signal ends the command until
// Take is called.
func (h *Hangups) Take() <-chan struct{} {
	if h == nil {
		return nil
	}
	h.taken.Store(true)
	return h.signal
}

// deliver reports whether a command takes the signal. Several may become one.
func (h *Hangups) deliver() bool {
	if !h.taken.Load() {
		return false
	}
	select {
	case h.signal <- struct{}{}:
	default:
	}
	return true
}

// hasTerminal reports whether the process has a controlling terminal.
func hasTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

// Command runs until it is done or ctx ends. An error is one line for the
// user.
type Command func(ctx context.Context, env Env) error

// Main runs a command in the process and returns its exit code. SIGINT,
// SIGTERM and SIGHUP end the command's context, SIGHUP only if the command does not use
// [Hangups]. A second signal ends Main immediately. Later ones are ignored: they must not
// change the exit code of a process that is about to end.
func Main(command Command) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	hangups := &Hangups{signal: make(chan struct{}, 1)}
	terminal := hasTerminal() // later it may be gone
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, command, Env{Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Hangups: hangups})
	}()
	second := false
	for {
		select {
		case code := <-ended:
			return code
		case got := <-signals:
			if got == syscall.SIGHUP && !terminal && hangups.deliver() {
				continue
			}
			if second {
				return 1
			}
			second = true
			cancel()
		}
	}
}

// Exit codes of the commands. That of anything else that fails is ExitFailed.
const (
	ExitFailed     = 1
	ExitMisused    = 2  // options or arguments that the command does not take
	ExitNotAllowed = 3  // the proxy does not let the caller do that
	ExitTryAgain   = 75 // EX_TEMPFAIL of sysexits.h: the same may succeed later
)

// Run runs a command and returns its exit code: 0, that of its error, see
// [ExitCode], or ExitFailed. An error is written as one line, unless it is
// [Reported].
func Run(ctx context.Context, command Command, env Env) int {
	err := command(ctx, env)
	if err == nil {
		return 0
	}
	if _, done := errors.AsType[*reported](err); !done {
		_, _ = fmt.Fprintf(env.Err, "ERROR: %v\n", err)
	}
	return ExitCode(err)
}

// ExitCode returns the exit code for an error: what its method ExitCode returns,
// or ExitFailed.
func ExitCode(err error) int {
	if coded, ok := errors.AsType[interface {
		error
		ExitCode() int
	}](err); ok {
		return coded.ExitCode()
	}
	return ExitFailed
}

// reported is an error that the user has seen.
type reported struct{ err error }

func (e *reported) Error() string { return e.err.Error() }
func (e *reported) Unwrap() error { return e.err }

// Reported returns err as an error that Run does not write, because the command
// has written it in a form of its own.
func Reported(err error) error { return &reported{err} }

// usageError is an error in the flags or arguments of a command.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }
func (e *usageError) ExitCode() int { return ExitMisused }

// Misuse returns err as the error of flags or arguments that a command does not
// take, and nil for nil. Run returns 2 for it.
func Misuse(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

// commit is set by the linker of a release build.
var version, commit = "", ""

// Version names the build.
func Version() string {
	v := version
	if v == "" {
		v = "development"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			v = info.Main.Version
		}
	}
	if commit != "" {
		v += " (" + commit + ")"
	}
	return v
}

// Invocation returns how to run a command of the project from a shell: by its
// name where a release is installed, else from the checkout.
func Invocation(name string) string {
	if version == "" {
		return "go run ./cli/" + name
	}
	return name
}
