package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"

	command "discordproxy/cli"
	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/server/access"
	"discordproxy/server/calls"
	"discordproxy/server/health"
	"discordproxy/server/hooks"
	"discordproxy/server/listener"
	"discordproxy/server/status"

	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
)

// userAgent names the program to Discord in the form that Discord asks for.
// https://discord.com/developers/docs/reference#user-agent
func userAgent() string {
	return "DiscordBot (https://pypi.org/project/discordproxy, " + strings.Fields(command.Version())[0] + ")"
}

// Command is the command discordproxyserver.
func Command(ctx context.Context, env command.Env) error {
	app := App(env)
	return app.RunContext(ctx, append([]string{app.Name}, env.Args...))
}

// App returns the command with its flags and commands.
func App(env command.Env) *cli.App {
	var c serverConfig
	app := c.app(env, c.serve)
	command.AddCommands(app, sandboxCommand(env), healthCommand(env), keyCommand(env), checkCommand(env))
	return app
}

// app reads the flags and then calls serve.
func (c *serverConfig) app(env command.Env, serve func(context.Context, command.Env) error) *cli.App {
	app := command.NewApp(env, "discordproxyserver", "lets applications use Discord through one bot")
	app.Flags = c.flags()
	app.Action = func(cc *cli.Context) error {
		if cc.Args().Present() {
			return command.Misuse(fmt.Errorf("unknown command %q", cc.Args().First()))
		}
		c.corsOrigins, c.allowedHosts = cc.StringSlice("cors-origin"), cc.StringSlice("allowed-host")
		c.rest.given = cc.IsSet("rest-proxy")
		return serve(cc.Context, env)
	}
	return app
}

// serve puts the server together and runs it until ctx ends.
func (c *serverConfig) serve(ctx context.Context, env command.Env) error {
	if err := c.check(); err != nil {
		return command.Misuse(err)
	}
	token, err := c.botToken(ctx)
	if err != nil {
		return err
	}
	if token == "" && !c.sandbox {
		return errors.New("No Discord bot token provided") //nolint:staticcheck // the text that users of the command know
	}
	logger, closeLogs, err := c.logs.open(env.Err)
	if err != nil {
		return err
	}
	defer closeLogs()
	if c.token == "" && c.tokenFile != "" {
		warnReadable(logger, "token file", c.tokenFile)
	}
	gate, err := c.access.open(ctx, logger, c.maxQueue, c.maxQueueBytes)
	if err != nil {
		return err
	}
	incoming, err := c.hooks.open(ctx, gate, logger, c.maxQueue)
	if err != nil {
		return err
	}
	audit, closeAudit, err := c.access.audit(logger)
	if err != nil {
		return err
	}
	defer closeAudit()

	// Parts that run beside the server end before serve returns.
	ctx, stop := context.WithCancelCause(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop(nil)

	var pretend *pretendDiscord
	if c.sandbox {
		if pretend, err = startSandbox(sandbox.Config{}, c.sandboxPort); err != nil {
			return err
		}
		defer pretend.close()
		c.apiURL, token = pretend.apiURL(), pretend.World().Token
	}
	var checks health.Checks // set before the first request
	up, err := c.upstream(ctx, token, func() error { return checks.Ready() }, logger)
	if err != nil {
		return err
	}
	defer up.end()
	login := newLogin(up.client, up.reach.Check, logger)
	checks = health.Checks{shutdownCheck(ctx), login.ready, up.reach.Check, up.client.Usable}
	live, err := c.gateway.open(token, c.apiURL, up.client, logger)
	if err != nil {
		return err
	}
	live.observe(up.metrics)
	lis, err := c.listen(ctx)
	if err != nil {
		return err
	}
	defer lis.Close()
	board, err := c.dashboard.board(status.Config{
		Limits: func() *pb.GetRateLimitStatusResponse { return server.RateLimitStatus(up.client.RateLimits()) },
		Ready:  checks.Ready, Bot: login.botName, Gateway: live.status, Version: command.Version(),
		Open: gate.guard == nil && !listener.IsLoopback(lis.Addr()),
	}, pretend)
	if err != nil {
		return err
	}
	parts.Go(func() { board.Run(ctx) })
	service := server.Config{
		Discord: up.client, Gateway: live.server, Ready: login.ready, Health: checks, Ending: ctx.Done(), Logger: logger,
		Observers: append(calls.Observers{up.metrics, board}, audit...), Interceptors: up.interceptors, Dashboard: board, Access: gate.guard, NewEnums: !c.compatEnums,
		MaxFileBytes: c.uploads.file, MaxUploadBytes: c.uploads.all,
		REST: c.rest.config(up.client, lis.Addr(), c.uploads.all), Hooks: incoming.config, UseHooks: incoming.follow,
	}
	if up.traces != nil {
		service.REST.Trace = up.traces.Plain
	}
	handler, err := server.New(service)
	if err != nil {
		return err
	}
	warnings := gate.warnings(lis.Addr())
	healthPages := health.Handler(checks, func() []string { return append(slices.Clip(warnings), live.warnings()...) })
	srv, err := c.newListener(routes(handler, healthPages, c.access.metrics(gate, up.metrics.Handler()), c.dashboard.pages(pretend)), service.LargeBody, gate.tls, logger)
	if err != nil {
		return err
	}
	c.announce(env.Out, logger, lis.Addr(), warnings, pretend)

	parts.Go(func() {
		if err := login.run(ctx); err != nil {
			stop(err)
		}
	})
	parts.Go(func() { live.run(ctx, login.good) })
	parts.Go(func() { returnMemory(ctx, up.client.Queued) })
	parts.Go(func() { watchFiles(ctx, logger, gate.watched...) })
	defer notifySystemd(ctx, c.grace, logger)()
	if err := srv.Serve(ctx, lis); err != nil {
		logger.Error("ended", "error", err)
		return err
	}
	logger.Info("ended")
	if refused := context.Cause(ctx); errors.Is(refused, errTokenRefused) {
		return refused
	}
	return nil
}

// announce says that the server listens, where, and what to mind.
func (c *serverConfig) announce(w io.Writer, logger *slog.Logger, addr net.Addr, warnings []string, pretend *pretendDiscord) {
	_, _ = fmt.Fprintf(w, "Discord Proxy %s listens on %s\nIts log is %s\n", command.Version(), addr, c.logs.path())
	for _, warning := range warnings {
		_, _ = fmt.Fprintf(w, "WARNING: %s\n", warning)
		logger.Warn(warning)
	}
	if pretend != nil {
		pretend.describe(w)
		c.introduce(w, addr, pretend.World())
	}
	logger.Info("listening", "address", addr.String(), "version", command.Version(), "discord", c.apiURL,
		"processors", runtime.GOMAXPROCS(0), "memory_limit", memoryLimit())
}

// shutdownCheck fails from the moment when the server is told to end, while
// the calls in progress still do.
func shutdownCheck(ctx context.Context) func() error {
	return func() error {
		if ctx.Err() != nil {
			return errors.New("shutting down")
		}
		return nil
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
	lis, err := listener.Listen(ctx, hosts, c.port, mode)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	return lis, nil
}

func (c *serverConfig) newListener(handler http.Handler, largeBody func(*http.Request) int64, secure *tls.Config, logger *slog.Logger) (*listener.Server, error) {
	return listener.New(listener.Config{
		Handler: handler, TLS: secure, LargeBody: largeBody, Logger: logger, Grace: max(c.grace, 1), // 0 would be the default
		Outermost: func(next http.Handler) http.Handler { return access.PathKeys(hooks.PathSecrets(next)) }, WithoutHost: []string{"/", "/healthz", "/readyz"},
		CORSOrigins: c.corsOrigins, AllowedHosts: c.allowedHosts,
	})
}
