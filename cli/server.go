package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/server/apidocs"
	"discordproxy/server/calls"
	"discordproxy/server/health"
	"discordproxy/server/listener"
	"discordproxy/server/rest"
	"discordproxy/server/status"

	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
)

// userAgent names the program to Discord in the form that Discord asks for.
// https://discord.com/developers/docs/reference#user-agent
func userAgent() string {
	return "DiscordBot (https://pypi.org/project/discordproxy, " + strings.Fields(Version())[0] + ")"
}

// serverConfig holds the flags of discordproxyserver.
type serverConfig struct {
	token, tokenFile    string
	host                string
	port                int
	logs                logConfig
	apiURL              string
	sandbox             bool
	sandboxPort         int
	grace               time.Duration
	corsOrigins         []string
	allowedHosts        []string
	globalRateLimit     int
	maxQueue            int
	maxQueueBytes       int64
	invalidRequestLimit int
	connectTimeout      time.Duration
	tryTimeout          time.Duration
	uploads             uploadConfig
	rest                restConfig
	gateway             gatewayConfig
	dashboard           dashboardConfig
	access              accessConfig
}

// env names an environment variable DISCORDPROXY_... beside each flag.
func env(name string, others ...string) []string {
	return append(others, "DISCORDPROXY_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
}

func (c *serverConfig) flags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "token", EnvVars: env("token", "DISCORD_BOT_TOKEN"), Destination: &c.token, Usage: "Discord bot `TOKEN`; prefer the variable or a file, which other users of the machine do not see"},
		&cli.StringFlag{Name: "token-file", EnvVars: env("token-file"), Destination: &c.tokenFile, Usage: "`FILE` that holds the bot token"},
		&cli.StringFlag{Name: "host", EnvVars: env("host"), Value: "127.0.0.1", Destination: &c.host, Usage: "`ADDRESS` to listen on"},
		&cli.IntFlag{Name: "port", EnvVars: env("port"), Value: 50051, Destination: &c.port, Usage: "port to listen on, 0 for any"},
		&cli.StringFlag{Name: "log-console-level", EnvVars: env("log-console-level"), Value: "CRITICAL", Destination: &c.logs.console, Usage: "`LEVEL` of the log on the console: DEBUG, INFO, WARN, ERROR, CRITICAL"},
		&cli.StringFlag{Name: "log-file-level", EnvVars: env("log-file-level"), Value: "INFO", Destination: &c.logs.file, Usage: "`LEVEL` of the log file"},
		&cli.StringFlag{Name: "log-file-path", EnvVars: env("log-file-path"), Destination: &c.logs.folder, Usage: "`FOLDER` of the log file, the working folder unless given"},
		&cli.StringFlag{Name: "discord-api-url", EnvVars: env("discord-api-url", "DISCORD_API_URL"), Value: discord.DefaultBaseURL, Destination: &c.apiURL, Usage: "`URL` of Discord's API without the version"},
		&cli.BoolFlag{Name: "sandbox", EnvVars: env("sandbox"), Destination: &c.sandbox, Usage: "use a built-in pretend Discord; needs no token"},
		&cli.IntFlag{Name: "sandbox-port", EnvVars: env("sandbox-port"), Destination: &c.sandboxPort, Usage: "port of the pretend Discord on 127.0.0.1, 0 for any"},
		&cli.DurationFlag{Name: "shutdown-grace", EnvVars: env("shutdown-grace"), Value: 110 * time.Second, Destination: &c.grace, Usage: "how long calls may go on after a signal to end"},
		&cli.StringSliceFlag{Name: "cors-origin", EnvVars: env("cors-origin"), Usage: "web `ORIGIN` whose pages may call, such as https://example.org; repeatable"},
		&cli.StringSliceFlag{Name: "allowed-host", EnvVars: env("allowed-host"), Usage: "host `NAME` that requests may be addressed to, beside loopback ones; repeatable"},
		&cli.IntFlag{Name: "global-rate-limit", EnvVars: env("global-rate-limit"), Value: 50, Destination: &c.globalRateLimit, Usage: "calls a second that Discord allows the bot over all routes, 0 for unlimited"},
		&cli.IntFlag{Name: "max-queue", EnvVars: env("max-queue"), Value: 10_000, Destination: &c.maxQueue, Usage: "calls that may wait for rate limits"},
		&cli.Int64Flag{Name: "max-queue-bytes", EnvVars: env("max-queue-bytes"), Value: 256 << 20, Destination: &c.maxQueueBytes, Usage: "bytes of the bodies of waiting calls"},
		&cli.IntFlag{Name: "invalid-request-limit", EnvVars: env("invalid-request-limit"), Value: 10_000, Destination: &c.invalidRequestLimit, Usage: "answers 401, 403 and 429 in ten minutes at which Discord bans an address"},
		&cli.DurationFlag{Name: "connect-timeout", EnvVars: env("connect-timeout"), Value: 10 * time.Second, Destination: &c.connectTimeout, Usage: "how long reaching Discord may take"},
		&cli.DurationFlag{Name: "try-timeout", EnvVars: env("try-timeout"), Value: time.Minute, Destination: &c.tryTimeout, Usage: "how long one try of a call at Discord may take"},
	}
	return slices.Concat(flags, c.uploads.flags(), c.rest.flags(), c.gateway.flags(), c.dashboard.flags(), c.access.flags())
}

func checkPort(flag string, port int) error {
	if port < 0 || port > 65535 {
		return fmt.Errorf("--%s %d is not between 0 and 65535", flag, port)
	}
	return nil
}

// check refuses values that no part would refuse by itself.
func (c *serverConfig) check() error {
	if err := checkPort("port", c.port); err != nil {
		return err
	}
	if err := checkPort("sandbox-port", c.sandboxPort); err != nil {
		return err
	}
	for _, positive := range []struct {
		flag string
		n    int64
	}{
		{"max-queue", int64(c.maxQueue)},
		{"max-queue-bytes", c.maxQueueBytes},
		{"connect-timeout", int64(c.connectTimeout)},
		{"try-timeout", int64(c.tryTimeout)},
		{"max-file", c.uploads.file},
		{"max-upload", c.uploads.all},
	} {
		if positive.n <= 0 {
			return fmt.Errorf("--%s must be more than 0", positive.flag)
		}
	}
	if c.invalidRequestLimit < 2 {
		return errors.New("--invalid-request-limit must be more than 1: one is always kept")
	}
	if c.globalRateLimit < 0 {
		return errors.New("--global-rate-limit must not be negative")
	}
	if c.grace < 0 {
		return errors.New("--shutdown-grace must not be negative")
	}
	return errors.Join(c.gateway.check(), c.access.check())
}

// Server is the command discordproxyserver.
func Server(ctx context.Context, env Env) error {
	app := serverApp(env)
	return app.RunContext(ctx, append([]string{app.Name}, env.Args...))
}

// serverApp returns the command with its flags and commands.
func serverApp(env Env) *cli.App {
	var c serverConfig
	app := c.app(env, c.serve)
	app.Commands = []*cli.Command{sandboxCommand(env), healthCommand(env), keyCommand(env), completionCommand(app)}
	return app
}

// app reads the flags and then calls serve.
func (c *serverConfig) app(env Env, serve func(context.Context, Env) error) *cli.App {
	app := newApp(env, "discordproxyserver", "lets applications use Discord through one bot")
	app.Flags = c.flags()
	app.Action = func(cc *cli.Context) error {
		if cc.Args().Present() {
			return fmt.Errorf("unknown command %q", cc.Args().First())
		}
		c.corsOrigins, c.allowedHosts = cc.StringSlice("cors-origin"), cc.StringSlice("allowed-host")
		c.rest.given = cc.IsSet("rest-proxy")
		return serve(cc.Context, env)
	}
	return app
}

// newApp returns what both commands have in common.
func newApp(env Env, name, usage string) *cli.App {
	return &cli.App{
		Name: name, HelpName: name, Usage: usage, Version: Version(),
		Reader: env.In, Writer: env.Out, ErrWriter: env.Err,
		HideHelpCommand: true, EnableBashCompletion: true,
		// Errors go back to Run, which writes them in one line.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   returnUsageError,
	}
}

// returnUsageError keeps commands from writing their whole usage beside the
// error.
func returnUsageError(_ *cli.Context, err error, _ bool) error { return err }

// serve puts the server together and runs it until ctx ends.
func (c *serverConfig) serve(ctx context.Context, env Env) error {
	if err := c.check(); err != nil {
		return err
	}
	token, err := c.botToken()
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
	gate, err := c.access.open(logger, c.maxQueue, c.maxQueueBytes)
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
	live, err := c.gateway.open(token, up.client, logger)
	if err != nil {
		return err
	}
	live.observe(up.metrics)
	lis, err := c.listen()
	if err != nil {
		return err
	}
	defer lis.Close()
	board, err := c.dashboard.board(status.Config{
		Limits: func() *pb.GetRateLimitStatusResponse { return server.RateLimitStatus(up.client.RateLimits()) },
		Ready:  checks.Ready, Bot: login.botName, Gateway: live.status, Version: Version(),
		Open: gate.guard == nil && !listener.IsLoopback(lis.Addr()),
	}, pretend)
	if err != nil {
		return err
	}
	parts.Go(func() { board.Run(ctx) })
	service := server.Config{
		Discord: up.client, Gateway: live.server, Ready: login.ready, Health: checks, Logger: logger,
		Observers: append(calls.Observers{up.metrics, board}, audit...), Interceptors: up.interceptors, Dashboard: board, Access: gate.guard,
		MaxFileBytes: c.uploads.file, MaxUploadBytes: c.uploads.all,
		REST: c.rest.config(up.client, lis.Addr(), c.uploads.all),
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
	_, _ = fmt.Fprintf(env.Out, "Discord Proxy %s listens on %s\nIts log is %s\n", Version(), lis.Addr(), c.logs.path())
	for _, warning := range warnings {
		_, _ = fmt.Fprintf(env.Out, "WARNING: %s\n", warning)
		logger.Warn(warning)
	}
	if pretend != nil {
		pretend.describe(env.Out)
		c.introduce(env.Out, lis.Addr(), pretend.World())
	}
	logger.Info("listening", "address", lis.Addr().String(), "version", Version(), "discord", c.apiURL,
		"processors", runtime.GOMAXPROCS(0), "memory_limit", memoryLimit())

	parts.Go(func() {
		if err := login.run(ctx); err != nil {
			stop(err)
		}
	})
	parts.Go(func() { live.run(ctx, login.good) })
	parts.Go(func() { watchFiles(ctx, logger, gate.watched...) })
	defer notifySystemd(ctx, c.grace, logger)()
	err = srv.Serve(ctx, lis)
	if err != nil {
		logger.Error("ended", "error", err)
	} else {
		logger.Info("ended")
	}
	if refused := context.Cause(ctx); err == nil && errors.Is(refused, errTokenRefused) {
		return refused
	}
	return err
}

// routes is everything that the port answers. The pages have patterns.
func routes(service, health, metrics http.Handler, pages map[string]http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", service)
	mux.Handle("/healthz", health)
	mux.Handle("/readyz", health)
	mux.Handle("GET /metrics", metrics)
	documentation := apidocs.Handler()
	for _, pattern := range apidocs.Patterns {
		mux.Handle(pattern, documentation)
	}
	for pattern, page := range pages {
		mux.Handle(pattern, page)
	}
	return rest.Split(service, mux)
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
func (c *serverConfig) listen() (net.Listener, error) {
	lis, err := net.Listen("tcp", net.JoinHostPort(c.host, strconv.Itoa(c.port))) //nolint:noctx // listening does not wait
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	return lis, nil
}

func (c *serverConfig) newListener(handler http.Handler, largeBody func(*http.Request) int64, secure *tls.Config, logger *slog.Logger) (*listener.Server, error) {
	return listener.New(listener.Config{
		Handler: handler, TLS: secure, LargeBody: largeBody, Logger: logger, Grace: max(c.grace, 1), // 0 would be the default
		CORSOrigins: c.corsOrigins, AllowedHosts: c.allowedHosts,
	})
}
