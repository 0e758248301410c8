package serve

import (
	"slices"

	"github.com/urfave/cli/v2"
)

// group is flags that help and files show together.
type group struct {
	name  string
	flags []string
}

// groups are all flags in the order in which they are shown.
func groups() []group {
	return []group{
		{"Discord", []string{
			"token", "token-file", "discord-api-url", "connect-timeout", "try-timeout", "retry-for",
			"sandbox", "sandbox-port",
		}},
		{"Listening", []string{"host", "port", "socket-mode", "allowed-host", "cors-origin", "tls-cert", "tls-key", "shutdown-grace"}},
		{"Access", []string{"auth-file", "require-auth", "tls-client-ca", "metrics-open", "audit-file"}},
		{"Rate limits and queue", []string{"global-rate-limit", "invalid-request-limit", "max-queue", "max-queue-bytes"}},
		{"Data and outbox", []string{
			"data", "no-data", "database", "database-file", "advertise", "outbox-keep", "outbox-max", "outbox-max-bytes",
		}},
		{"Gateway and events", []string{
			"no-gateway", "status", "activity", "intents", "event-buffer", "event-buffer-bytes",
			"gateway-proxy", "gateway-proxy-url", "gateway-state-bytes",
		}},
		{"Requests", []string{"max-file", "max-upload", "compat-enums", "rest-proxy", "rest-timeout", "rest-ratelimit-headers"}},
		{"Hooks", []string{"hooks-file", "hooks-templates"}},
		{"Dashboard", []string{"no-dashboard", "dashboard-show-content"}},
		{"Configuration and log", []string{"config", "log-console-level", "log-file-level", "log-file-path", "log-format"}},
	}
}

// inGroups returns flags in the order of their groups, whose names they get as their
// categories. A flag without a group stays where the library shows it first.
func inGroups(flags []cli.Flag) []cli.Flag {
	var sorted []cli.Flag
	for _, g := range groups() {
		for _, name := range g.flags {
			i := slices.IndexFunc(flags, func(f cli.Flag) bool { return f.Names()[0] == name })
			if i < 0 {
				continue
			}
			categorize(flags[i], g.name)
			sorted = append(sorted, flags[i])
			flags = slices.Delete(flags, i, i+1)
		}
	}
	return append(flags, sorted...)
}

func categorize(f cli.Flag, name string) {
	switch f := f.(type) {
	case *cli.StringFlag:
		f.Category = name
	case *cli.BoolFlag:
		f.Category = name
	case *cli.IntFlag:
		f.Category = name
	case *cli.Int64Flag:
		f.Category = name
	case *cli.DurationFlag:
		f.Category = name
	case *cli.StringSliceFlag:
		f.Category = name
	}
}
