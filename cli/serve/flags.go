package serve

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"

	command "discordproxy/cli"
	"discordproxy/discord"

	"github.com/urfave/cli/v2"
)

// serverConfig holds the flags of discordproxyserver.
type serverConfig struct {
	settings            settings
	token, tokenFile    string
	host                string
	port                int
	socketMode          string
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
	retryFor            time.Duration
	compatEnums         bool
	uploads             uploadConfig
	rest                restConfig
	gateway             gatewayConfig
	bots                []botConfig
	dashboard           dashboardConfig
	access              accessConfig
	hooks               hooksConfig
	data                dataConfig
}

func (c *serverConfig) flags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{
			Name:        "config",
			EnvVars:     command.Variables("config"),
			TakesFile:   true,
			Destination: &c.settings.path,
			Usage:       "`FILE` with settings; flags and variables take precedence; see docs/configuration.md",
		},
		&cli.StringFlag{
			Name:        "token",
			EnvVars:     command.Variables("token", "DISCORD_BOT_TOKEN"),
			Destination: &c.token,
			Usage:       "Discord bot `TOKEN`; prefer --token-file, because other users can see command lines",
		},
		&cli.StringFlag{
			Name:        "token-file",
			EnvVars:     command.Variables("token-file"),
			Destination: &c.tokenFile,
			Usage:       "`FILE` with the bot token",
		},
		&cli.StringFlag{
			Name:        "host",
			EnvVars:     command.Variables("host"),
			Value:       "127.0.0.1",
			Destination: &c.host,
			Usage:       "`ADDRESS`, name or unix:PATH to listen on; separate several with commas",
		},
		&cli.IntFlag{
			Name:        "port",
			EnvVars:     command.Variables("port"),
			Value:       50051,
			Destination: &c.port,
			Usage:       "port to listen on; 0 for any free port",
		},
		&cli.StringFlag{
			Name:        "socket-mode",
			EnvVars:     command.Variables("socket-mode"),
			Value:       "0660",
			Destination: &c.socketMode,
			Usage:       "octal `MODE` of Unix sockets, which decides who may connect",
		},
		&cli.StringFlag{
			Name:        "log-console-level",
			EnvVars:     command.Variables("log-console-level"),
			Value:       "CRITICAL",
			Destination: &c.logs.console,
			Usage:       "lowest `LEVEL` to log to the console: DEBUG, INFO, WARN, ERROR, CRITICAL",
		},
		&cli.StringFlag{
			Name:        "log-file-level",
			EnvVars:     command.Variables("log-file-level"),
			Value:       "INFO",
			Destination: &c.logs.file,
			Usage:       "lowest `LEVEL` to log to the file",
		},
		&cli.StringFlag{
			Name:        "log-file-path",
			EnvVars:     command.Variables("log-file-path"),
			Destination: &c.logs.folder,
			Usage:       "`FOLDER` of the log file; default: the working folder",
		},
		&cli.StringFlag{
			Name:        "log-format",
			EnvVars:     command.Variables("log-format"),
			Value:       "text",
			Destination: &c.logs.format,
			Usage:       "`FORMAT` of the console log and the log file: text or json",
		},
		&cli.StringFlag{
			Name:        "discord-api-url",
			EnvVars:     command.Variables("discord-api-url", "DISCORD_API_URL"),
			Value:       discord.DefaultBaseURL,
			Destination: &c.apiURL,
			Usage:       "`URL` of Discord's API without the version",
		},
		&cli.BoolFlag{
			Name:        "sandbox",
			EnvVars:     command.Variables("sandbox"),
			Destination: &c.sandbox,
			Usage:       "use the built-in sandbox, a fake Discord; needs no token",
		},
		&cli.IntFlag{
			Name:        "sandbox-port",
			EnvVars:     command.Variables("sandbox-port"),
			Destination: &c.sandboxPort,
			Usage:       "port of the sandbox on 127.0.0.1; 0 for any free port",
		},
		&cli.DurationFlag{
			Name:        "shutdown-grace",
			EnvVars:     command.Variables("shutdown-grace"),
			Value:       110 * time.Second,
			Destination: &c.grace,
			Usage:       "how long to wait for calls in progress on shutdown",
		},
		&cli.StringSliceFlag{
			Name:    "cors-origin",
			EnvVars: command.Variables("cors-origin"),
			Usage:   "web `ORIGIN` whose pages may call the server, such as https://example.org; repeatable",
		},
		&cli.StringSliceFlag{
			Name:    "allowed-host",
			EnvVars: command.Variables("allowed-host"),
			Usage:   "host `NAME` to accept in addition to loopback names; repeatable",
		},
		&cli.IntFlag{
			Name:        "global-rate-limit",
			EnvVars:     command.Variables("global-rate-limit"),
			Value:       50,
			Destination: &c.globalRateLimit,
			Usage:       "requests per second that Discord allows the bot on all routes together; 0 for no limit",
		},
		&cli.IntFlag{
			Name:        "max-queue",
			EnvVars:     command.Variables("max-queue"),
			Value:       10_000,
			Destination: &c.maxQueue,
			Usage:       "maximum number of calls waiting for rate limits",
		},
		&cli.Int64Flag{
			Name:        "max-queue-bytes",
			EnvVars:     command.Variables("max-queue-bytes"),
			Value:       256 << 20,
			Destination: &c.maxQueueBytes,
			Usage:       "maximum total size of the waiting calls, in bytes",
		},
		&cli.IntFlag{
			Name:        "invalid-request-limit",
			EnvVars:     command.Variables("invalid-request-limit"),
			Value:       10_000,
			Destination: &c.invalidRequestLimit,
			Usage:       "number of 401, 403 and 429 responses in 10 minutes at which Discord bans the address",
		},
		&cli.DurationFlag{
			Name:        "connect-timeout",
			EnvVars:     command.Variables("connect-timeout"),
			Value:       10 * time.Second,
			Destination: &c.connectTimeout,
			Usage:       "time limit for connecting to Discord",
		},
		&cli.DurationFlag{
			Name:        "try-timeout",
			EnvVars:     command.Variables("try-timeout"),
			Value:       time.Minute,
			Destination: &c.tryTimeout,
			Usage:       "time limit for one attempt of a request to Discord",
		},
		&cli.DurationFlag{
			Name:        "retry-for",
			EnvVars:     command.Variables("retry-for"),
			Value:       discord.DefaultRetryFor,
			Destination: &c.retryFor,
			Usage:       "how long to retry a failing call that has no deadline",
		},
		&cli.BoolFlag{
			Name:        "compat-enums",
			EnvVars:     command.Variables("compat-enums"),
			Value:       true,
			Destination: &c.compatEnums,
			Usage:       "send channel types unknown to discordproxy 1.5 as UNDEFINED to old Python clients",
		},
	}
	return inGroups(slices.Concat(
		flags,
		c.uploads.flags(),
		c.rest.flags(),
		c.gateway.flags(),
		c.dashboard.flags(),
		c.access.flags(),
		c.hooks.flags(),
		c.data.flags(),
	))
}

// socketMode reads the value of --socket-mode.
func socketMode(text string) (fs.FileMode, error) {
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil || mode == 0 || mode > 0o777 {
		return 0, fmt.Errorf("--socket-mode %q is not an octal mode from 0001 to 0777, such as 0660", text)
	}
	return fs.FileMode(mode), nil
}

func checkPort(flag string, port int) error {
	if port < 0 || port > 65535 {
		return command.Misuse(fmt.Errorf("--%s %d is not between 0 and 65535", flag, port))
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
		{"retry-for", int64(c.retryFor)},
		{"max-file", c.uploads.file},
		{"max-upload", c.uploads.all},
	} {
		if positive.n <= 0 {
			return fmt.Errorf("--%s must be more than 0", positive.flag)
		}
	}
	if c.invalidRequestLimit < 2 {
		return errors.New("--invalid-request-limit must be more than 1, because one request is always kept in reserve")
	}
	if c.globalRateLimit < 0 {
		return errors.New("--global-rate-limit must not be negative")
	}
	if c.grace < 0 {
		return errors.New("--shutdown-grace must not be negative")
	}
	if _, err := parseHosts(c.host); err != nil {
		return err
	}
	if _, err := socketMode(c.socketMode); err != nil {
		return err
	}
	return cmp.Or(c.logs.check(), c.gateway.check(), c.access.check(), c.rest.check(), c.hooks.check(), c.data.check())
}
