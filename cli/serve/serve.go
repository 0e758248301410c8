// Package serve implements the command discordproxyserver: it turns flags,
// variables and files into a server.Config and runs the server.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"discordproxy/discord/sandbox"
	"discordproxy/server"

	command "discordproxy/cli"

	"github.com/urfave/cli/v2"
)

// Command is the command discordproxyserver.
func Command(ctx context.Context, env command.Env) error {
	app := App(env)
	if command.Complete(app, env.Args, nil) {
		return nil
	}
	args, err := arrange(app, env.Args)
	if err != nil {
		return err
	}
	return app.RunContext(ctx, append([]string{app.Name}, args...))
}

// App returns the command with its flags and commands.
func App(env command.Env) *cli.App {
	var c serverConfig
	app := c.app(env, c.serve)
	run := app.Action
	app.Action = func(cc *cli.Context) error { return c.logs.report(cc.Context, env.Err, run(cc)) }
	command.AddCommands(
		app,
		append([]*cli.Command{
			sandboxCommand(env), healthCommand(env), keyCommand(env), checkCommand(env), configCommand(env),
		}, copyCommands()...)...)
	return app
}

// app reads the flags and then calls serve.
func (c *serverConfig) app(env command.Env, serve func(context.Context, command.Env) error) *cli.App {
	app := command.NewApp(env, "discordproxyserver", "lets applications use Discord through one bot")
	app.Flags = c.flags()
	app.Before = refuseOwnFlags
	app.Action = func(cc *cli.Context) error {
		if cc.Args().Present() {
			return command.Misuse(fmt.Errorf("unknown command %q", cc.Args().First()))
		}
		if err := c.load(cc, app.Flags); err != nil {
			return err
		}
		return serve(cc.Context, env)
	}
	return app
}

// serve runs the server that the flags describe until ctx ends.
func (c *serverConfig) serve(ctx context.Context, env command.Env) error {
	if err := c.check(); err != nil {
		return command.Misuse(c.settings.locate(err))
	}
	return c.settings.locate(nameFlag(c.run(ctx, env)))
}

func (c *serverConfig) run(ctx context.Context, env command.Env) error {
	hangups := env.Hangups.Take()
	config, err := c.config()
	if err != nil {
		return err
	}
	logs, err := c.logs.open(env.Err)
	if err != nil {
		return err
	}
	defer logs.close()
	audit, err := c.access.audit()
	if err != nil {
		return err
	}
	if config.Logger = logs.logger; audit != nil {
		defer audit.Close()
		config.Audit = audit
	}
	var fake *runningSandbox
	if c.sandbox {
		if fake, err = startSandbox(sandbox.New(sandbox.Config{}), c.sandboxPort); err != nil {
			return err
		}
		defer fake.close()
		config.Sandbox, config.APIURL, config.Token = fake.shown(), fake.apiURL(), fake.World().Token
	}
	removeData, err := c.data.apply(&config, c.sandbox)
	if err != nil {
		return err
	}
	defer removeData()
	notified := func() {}
	defer func() { notified() }()
	config.Started = func(ctx context.Context, addr net.Addr, warnings []string) {
		c.announce(env.Out, addr, warnings, fake)
		notified = notifySystemd(ctx, c.grace, logs.logger)
	}
	config.Waiting = func(reason error) { _, _ = fmt.Fprintf(env.Out, "waiting to start: %v\n", reason) }
	// Run would refuse it, too, but only once the server has the bot for itself.
	if err := server.CheckAddress(config, c.addresses(ctx)); err != nil {
		return err
	}
	srv, err := server.Open(ctx, config)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // it was stopped while it waited
	}
	if err != nil {
		return err
	}
	defer srv.Close()
	lis, err := c.listen(ctx)
	if err != nil {
		return err
	}
	reloads := reloader{env: env, inUse: c, server: srv, logs: logs, audit: audit}
	ctx, stop := context.WithCancel(ctx)
	var reloading sync.WaitGroup
	defer reloading.Wait()
	defer stop()
	reloading.Go(func() { reloads.run(ctx, hangups) })
	return srv.Run(ctx, lis)
}

// config returns what the flags say of the server.
func (c *serverConfig) config() (server.Config, error) {
	config := server.Config{
		Version: command.Version(), ShutdownGrace: max(c.grace, 1), // 0 would be the default
		Token: c.token, TokenFile: c.credential(), APIURL: c.apiURL,
		ConnectTimeout: c.connectTimeout, TryTimeout: c.tryTimeout, RetryFor: c.retryFor,
		GlobalRateLimit: c.globalRateLimit, MaxQueue: c.maxQueue, MaxQueueBytes: c.maxQueueBytes, InvalidRequestLimit: c.invalidRequestLimit,
		CORSOrigins: c.corsOrigins, AllowedHosts: c.allowedHosts, NewEnums: !c.compatEnums, Getenv: os.Getenv,
		MaxFileBytes: c.uploads.file, MaxUploadBytes: c.uploads.all,
	}
	if config.GlobalRateLimit == 0 {
		config.GlobalRateLimit = -1 // unlimited
	}
	if len(c.bots) > 0 {
		config.TokenFile = "" // that of systemd is for the only bot
	} else if config.Token == "" && config.TokenFile == "" && !c.sandbox {
		return config, server.ErrNoToken
	}
	c.rest.apply(&config)
	c.access.apply(&config)
	c.hooks.apply(&config)
	c.dashboard.apply(&config)
	if err := c.gateway.apply(&config); err != nil {
		return config, err
	}
	return config, c.applyBots(&config)
}

// announce says where the server listens, and what to mind.
func (c *serverConfig) announce(w io.Writer, addr net.Addr, warnings []string, fake *runningSandbox) {
	_, _ = fmt.Fprintf(w, "Discord Proxy %s listens on %s\nLog file: %s\n", command.Version(), addr, c.logs.path())
	for _, warning := range warnings {
		_, _ = fmt.Fprintf(w, "WARNING: %s\n", warning)
	}
	if fake != nil {
		fake.describe(w)
		c.introduce(w, addr, fake.World())
	}
}

// listen opens the server's port.
func (c *serverConfig) listen(ctx context.Context) (net.Listener, error) {
	hosts, err := parseHosts(c.host)
	if err != nil {
		return nil, err
	}
	mode, err := socketMode(c.socketMode)
	if err != nil {
		return nil, err
	}
	lis, err := server.Listen(ctx, hosts, c.port, mode)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	return lis, nil
}
