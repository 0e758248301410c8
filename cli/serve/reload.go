package serve

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"

	"discordproxy/server"

	command "discordproxy/cli"

	"gopkg.in/natefinch/lumberjack.v2"
)

// reloader reads the configuration again while the server runs.
type reloader struct {
	env    command.Env
	inUse  *serverConfig // what the server was started with
	server *server.Server
	logs   *logs
	audit  *lumberjack.Logger // nil for none
}

// run reloads after each hangup until ctx ends.
func (r *reloader) run(ctx context.Context, hangups <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			done := notifyReloading()
			r.reload(ctx)
			done()
		}
	}
}

func (r *reloader) reload(ctx context.Context) {
	logger := r.logs.logger
	r.reopen(ctx, logger)
	fresh, config, err := r.reread(ctx)
	if err != nil {
		logger.ErrorContext(ctx, "failed to reload the configuration; keeping the previous one", "error", err)
		return
	}
	if err := r.logs.setLevels(fresh.logs); err != nil {
		logger.ErrorContext(ctx, "failed to reload the log levels; keeping the previous ones", "error", err)
	}
	failed := r.server.Reload(ctx, config) // which logs it
	if names := r.inUse.needRestart(fresh); len(names) > 0 {
		logger.WarnContext(ctx, "some changed settings need a restart", "settings", strings.Join(names, ", "))
	}
	logger.InfoContext(ctx, "reloaded the configuration", "file", fresh.settings.path, "complete", failed == nil)
}

// reopen opens the log files again, in case another program has moved them.
func (r *reloader) reopen(ctx context.Context, logger *slog.Logger) {
	for _, file := range []*lumberjack.Logger{r.logs.output, r.audit} {
		if file == nil {
			continue
		}
		if err := cmp.Or(file.Close(), tryWrite(file.Filename)); err != nil {
			logger.ErrorContext(ctx, "failed to reopen a log file", "file", file.Filename, "error", err)
		}
	}
}

// reread returns the configuration that the same command line and environment give when
// the file is read again.
func (r *reloader) reread(ctx context.Context) (*serverConfig, server.Config, error) {
	c := new(serverConfig)
	var config server.Config
	app := c.app(r.env, func(ctx context.Context, _ command.Env) (err error) {
		// A file with which the server would not start is refused as a whole, also for
		// what needs a restart.
		if err = cmp.Or(c.check(), c.gateway.checkPresence()); err == nil {
			config, err = c.config()
		}
		if err == nil {
			err = cmp.Or(config.Validate(), server.CheckAddress(config, c.addresses(ctx)))
		}
		return c.settings.locate(nameFlag(err))
	})
	args, err := arrange(app, r.env.Args)
	if err != nil {
		return nil, config, err
	}
	err = app.RunContext(ctx, append([]string{app.Name}, args...))
	if c.sandbox {
		config.Token, config.TokenFile = "", "" // the sandbox has its own
	}
	return c, config, err
}

// reloadable are the settings that a reload applies, and those that say only where others
// are.
var reloadable = []string{
	"config", "token", "token-file", "auth-file", "hooks-file", "hooks-templates", "tls-cert", "tls-key", "tls-client-ca",
	"log-console-level", "log-file-level",
}

// needRestart returns the settings of fresh that differ from those in use, and that a
// reload does not apply. It does not show values.
func (c *serverConfig) needRestart(fresh *serverConfig) []string {
	var names []string
	for name, value := range c.settings.values {
		if !slices.Contains(reloadable, name) && fresh.settings.values[name] != value {
			names = append(names, name)
		}
	}
	// These can change, but not begin or end.
	for name, pair := range map[string][2]string{
		"auth-file":     {c.access.authFile, fresh.access.authFile},
		"hooks-file":    {c.hooks.file, fresh.hooks.file},
		"tls-cert":      {c.access.tlsCert, fresh.access.tlsCert},
		"tls-client-ca": {c.access.tlsCAs, fresh.access.tlsCAs},
	} {
		if (pair[0] == "") != (pair[1] == "") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
