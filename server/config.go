package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/gateway"
	"discordproxy/server/api"
	"discordproxy/server/internal/events"
	"discordproxy/server/internal/gatewayproxy"
	"discordproxy/server/internal/listener"

	pb "discordproxy/gen/discord_api"
)

// Config describes a Server. A token is required, or Bots. For every other field zero is
// the default, and a negative number or duration is refused unless the field says
// what it means.
type Config struct {
	// Version names the build to Discord, on the dashboard, in metrics and in
	// traces. Empty means "development".
	Version string
	// Logger takes one line for each call, and what happens to the server. Nil
	// means slog.Default().
	Logger *slog.Logger
	// Started is called once, before the first request, with the address that the
	// server listens on and what its admin should know. Its context ends when the
	// server begins to shut down. Nil means that nobody asks.
	Started func(ctx context.Context, addr net.Addr, warnings []string)
	// ShutdownGrace is how long to wait for calls in progress on shutdown. 0 means
	// 110 seconds.
	ShutdownGrace time.Duration

	// Token is the bot's token. Empty means that of TokenFile, which New reads.
	Token, TokenFile string
	// Bots are several bots, which take the place of the one that Token, TokenFile and
	// Gateway describe. Each has limits, a queue, events and deliveries of its own.
	Bots []BotConfig
	// APIURL is the URL of Discord's API without the version. Empty means
	// discord.DefaultBaseURL.
	APIURL string
	// ConnectTimeout limits how long connecting to Discord may take. 0 means 10
	// seconds. See discord.Config for TryTimeout and RetryFor.
	ConnectTimeout, TryTimeout, RetryFor time.Duration
	// GlobalRateLimit is the number of calls a second that Discord allows the bot
	// over all routes. 0 means 50, a negative number no limit.
	GlobalRateLimit int
	// MaxQueue limits the calls that wait for rate limits, and MaxQueueBytes the
	// size of their bodies. A client, and a hook, gets half of both. 0 means 10,000
	// calls and 256 MiB.
	MaxQueue      int
	MaxQueueBytes int64
	// InvalidRequestLimit is the number of answers 401, 403 and 429 in ten minutes
	// at which Discord bans the address. 0 means 10,000; 1 is refused.
	InvalidRequestLimit int
	// Gateway is how the bot uses Discord's gateway.
	Gateway GatewayConfig
	// Sandbox is shown and controlled on the dashboard. Nil means that APIURL is
	// that of no sandbox.
	Sandbox *Sandbox

	// DataFolder is the folder for what survives a restart: limits, bans, the
	// gateway's session, events. New makes it if it is missing, and fails if another
	// server uses it. Empty means that nothing survives.
	DataFolder string
	// Database is the address of a PostgreSQL database that takes the place of the data
	// folder: postgres://USER:PASSWORD@HOST:PORT/DATABASE. Empty means that of
	// DatabaseFile, which New reads.
	Database, DatabaseFile string
	// Advertise is the address, as HOST:PORT, at which other servers with the Database
	// reach this one. While another server uses the bot, this one then serves clients
	// by forwarding their requests to it. Empty means that it waits instead.
	Advertise string
	// Waiting is called when the server cannot start yet, once for each reason: the
	// database cannot be reached, or another server uses the bot. Nil means that nobody
	// asks.
	Waiting func(reason error)
	// Outbox bounds what clients leave with the data to be sent later.
	Outbox OutboxConfig

	// AuthFile is the file with the clients that may call. Empty means that
	// everybody may, except for those that ClientCAFile shuts out. Auth is its
	// content if that is a part of another file, which AuthFile then names.
	AuthFile string
	Auth     []byte
	// CertFile and KeyFile hold the server's certificate with its chain, and its
	// key, in PEM. Empty means that the server does not use TLS.
	CertFile, KeyFile string
	// ClientCAFile holds the authorities, in PEM, whose certificates clients may
	// identify themselves with. Empty means none.
	ClientCAFile string
	// OpenMetrics answers /metrics to everybody. By default it needs a client that
	// may read it, if there are clients.
	OpenMetrics bool
	// CORSOrigins and AllowedHosts are those of listener.Config.
	CORSOrigins, AllowedHosts []string
	// Audit receives a line of JSON for each call, each with one Write. Nil means
	// no audit.
	Audit io.Writer
	// Getenv returns OpenTelemetry's environment variables, which turn traces on,
	// see tracing.FromEnvironment. Nil means no traces.
	Getenv func(string) string

	// MaxFileBytes limits one file of a message, MaxUploadBytes all files of a
	// request, and a plain request. 0 means Discord's own limits, 20 and 25 MiB.
	MaxFileBytes, MaxUploadBytes int64
	// NewEnums sends the types of channels that the Python package discordproxy 1.5
	// does not define to its clients, too. By default they get UNDEFINED.
	NewEnums bool
	// PlainREST is whether plain requests below /api/ are passed on to Discord.
	PlainREST Switch
	// RESTTimeout rejects a plain request with 429 when its turn comes later. 0
	// means never. HideRESTLimits leaves Discord's X-RateLimit headers out of the
	// answers.
	RESTTimeout    time.Duration
	HideRESTLimits bool
	// HooksFile describes the incoming hooks. Empty means none. HooksTemplates is a
	// folder of templates for their messages. Empty means the built-in ones.
	// Hooks is the content of HooksFile if that is a part of another file.
	HooksFile, HooksTemplates string
	Hooks                     []byte
	// NoDashboard serves no web page. The API behind it remains.
	NoDashboard bool
	// ShowContents shows on the dashboard what calls say. Run refuses it on an
	// address where strangers could see that.
	ShowContents bool
}

// GatewayConfig is how the bot uses Discord's gateway.
type GatewayConfig struct {
	// Off keeps the bot away: it does not show as online, and there are no events.
	Off bool
	// Status and Activity are those of gateway.Config.
	Status, Activity string
	// Intents say which events come. 0 means DefaultIntents.
	Intents gateway.Intents
	// EventBuffer is the number of events that are kept for clients that lost their
	// stream, and EventBufferBytes their size. 0 means the default of that name.
	EventBuffer      int
	EventBufferBytes int64
	// Proxy is whether bots can use the gateway through the server. Run refuses On
	// where strangers could. ProxyURL is the address of the websocket as bots reach
	// it, such as wss://proxy.example.org/gateway. Empty means that of their
	// requests.
	Proxy    Switch
	ProxyURL string
	// StateBytes limits the memory for what bots are sent of guilds. 0 means
	// DefaultStateBytes.
	StateBytes int64
}

// Defaults of GatewayConfig.
const (
	DefaultIntents          = events.DefaultIntents
	DefaultEventBuffer      = events.DefaultMaxEvents
	DefaultEventBufferBytes = events.DefaultMaxBytes
	DefaultStateBytes       = gatewayproxy.DefaultStateBytes
)

// Switch turns something on or off.
type Switch int

const (
	// OnLoopback is on while the server listens on addresses that only this machine
	// can reach.
	OnLoopback Switch = iota
	On
	Off
)

// Sandbox is what the dashboard shows of a sandbox. All fields are required.
type Sandbox struct {
	// Control serves /sandbox/, which only programs of this machine may reach.
	Control http.Handler
	// State returns the state of the sandbox.
	State func() *pb.WatchStatusResponse_Sandbox
	// Subscribe has the sandbox call receive for every message, in Discord's JSON,
	// that is created, changed or deleted.
	Subscribe func(receive func(message json.RawMessage, deleted bool))
}

// ErrNoToken is the error of New for a Config without a token.
//
//nolint:staticcheck // the text that users of the command know
var ErrNoToken = errors.New("No Discord bot token provided; set --token-file or DISCORD_BOT_TOKEN")

// Validate returns the error with which New and Open would refuse one of the fields
// themselves, apart from what they are names of, such as files and addresses.
func (c *Config) Validate() error {
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"ShutdownGrace", int64(c.ShutdownGrace)},
		{"ConnectTimeout", int64(c.ConnectTimeout)},
		{"TryTimeout", int64(c.TryTimeout)},
		{"MaxQueue", int64(c.MaxQueue)},
		{"MaxQueueBytes", c.MaxQueueBytes},
		{"InvalidRequestLimit", int64(c.InvalidRequestLimit)},
		{"Outbox.MaxDeliveries", c.Outbox.MaxDeliveries},
		{"Outbox.MaxBytes", c.Outbox.MaxBytes},
		{"Outbox.Keep", int64(c.Outbox.Keep)},
		{"MaxFileBytes", c.MaxFileBytes},
		{"MaxUploadBytes", c.MaxUploadBytes},
		{"RESTTimeout", int64(c.RESTTimeout)},
	} {
		if field.value < 0 {
			return fmt.Errorf("server: %s is negative", field.name)
		}
	}
	switch {
	case (c.CertFile == "") != (c.KeyFile == ""):
		return errors.New("server: CertFile and KeyFile need each other")
	case c.ClientCAFile != "" && c.CertFile == "":
		return errors.New("server: ClientCAFile needs CertFile and KeyFile")
	case c.Advertise != "" && c.Database == "" && c.DatabaseFile == "":
		return errors.New("server: Advertise needs Database or DatabaseFile")
	case c.Advertise != "" && !IsHostPort(c.Advertise):
		return fmt.Errorf("server: Advertise %q is not an address such as 10.0.0.1:50051", c.Advertise)
	case c.HooksTemplates != "" && c.HooksFile == "":
		return errors.New("server: HooksTemplates needs HooksFile")
	case c.PlainREST < OnLoopback || c.PlainREST > Off:
		return fmt.Errorf("server: PlainREST is %d", c.PlainREST)
	}
	if err := c.Gateway.validate("Gateway"); err != nil {
		return err
	}
	return c.validateBots()
}

// validate names the first field that no part of the server would refuse. name is that of
// the configuration.
func (c *GatewayConfig) validate(name string) error {
	switch {
	case c.EventBuffer < 0:
		return fmt.Errorf("server: %s.EventBuffer is negative", name)
	case c.EventBufferBytes < 0:
		return fmt.Errorf("server: %s.EventBufferBytes is negative", name)
	case c.StateBytes < 0:
		return fmt.Errorf("server: %s.StateBytes is negative", name)
	case c.Proxy < OnLoopback || c.Proxy > Off:
		return fmt.Errorf("server: %s.Proxy is %d", name, c.Proxy)
	case c.ProxyURL != "" && !isWebsocketURL(c.ProxyURL):
		return fmt.Errorf("server: %s.ProxyURL is not an address such as wss://proxy.example.org/gateway", name) // it may contain a password
	}
	return nil
}

// CheckAddress returns the error with which Run would refuse to serve addr because
// strangers who can reach it could abuse a setting. It reads no files.
func CheckAddress(c Config, addr net.Addr) error {
	if c.AuthFile != "" || c.ClientCAFile != "" || listener.IsLoopback(addr) {
		return nil
	}
	if len(c.Bots) == 0 {
		return checkOpen(c.ShowContents, c.Gateway)
	}
	for _, name := range BotNames(c) {
		b := c.Bots[slices.IndexFunc(c.Bots, func(b BotConfig) bool { return b.Name == name })]
		if err := checkOpen(c.ShowContents, b.Gateway); err != nil {
			return fmt.Errorf("bot %s: %w", name, err)
		}
	}
	return nil
}

// checkOpen returns which settings of a bot strangers could abuse where they can reach the
// server.
func checkOpen(showContents bool, g GatewayConfig) error {
	switch {
	case showContents:
		return errors.New("--dashboard-show-content would show the contents of calls to anyone: listen on a loopback address")
	case !g.Off && g.Proxy == On:
		return errors.New(
			"--gateway-proxy would let anyone who can reach the server run the bot: " +
				"it needs --auth-file or --tls-client-ca, or a loopback address",
		)
	}
	return nil
}

// isWebsocketURL reports whether text is an address that bots can be given.
func isWebsocketURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "ws" || u.Scheme == "wss") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" &&
		strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), gatewayproxy.Path)
}

// IsHostPort reports whether text is an address that others can connect to.
func IsHostPort(text string) bool {
	host, port, err := net.SplitHostPort(text)
	n, notNumber := strconv.ParseUint(port, 10, 16)
	return err == nil && notNumber == nil && n > 0 && host != "" && !strings.ContainsAny(host, "/@?# ")
}

func (c *Config) setDefaults() {
	c.Version = cmp.Or(c.Version, "development")
	c.APIURL = cmp.Or(c.APIURL, discord.DefaultBaseURL)
	c.MaxQueue = cmp.Or(c.MaxQueue, 10_000)
	c.MaxQueueBytes = cmp.Or(c.MaxQueueBytes, 256<<20)
	c.MaxUploadBytes = cmp.Or(c.MaxUploadBytes, api.DefaultMaxUploadBytes)
	c.Gateway.setDefaults()
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Getenv == nil {
		c.Getenv = func(string) string { return "" }
	}
}

func (c *GatewayConfig) setDefaults() { c.Intents = cmp.Or(c.Intents, DefaultIntents) }

// userAgent names the program to Discord in the form that Discord asks for.
// https://discord.com/developers/docs/reference#user-agent
func (c *Config) userAgent() string {
	version, _, _ := strings.Cut(c.Version, " ")
	return "DiscordBot (https://pypi.org/project/discordproxy, " + version + ")"
}
