package serve

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"discordproxy/cli/configfile"
	"discordproxy/server"

	command "discordproxy/cli"

	"github.com/urfave/cli/v2"
)

// settings are the sources of the flags' values.
type settings struct {
	path    string // of the file, or "" for none
	file    *configfile.File
	sources map[string]configfile.Source
	// values are the values of all flags as text, including the token.
	values map[string]string
}

// Sections of a configuration file.
const (
	authSection  = "auth"
	hooksSection = "hooks"
	botsSection  = "bots"
)

// schema describes the valid contents of a configuration file.
func schema(flags []cli.Flag) configfile.Schema {
	return configfile.Schema{
		Flags: flags, Excluded: []string{"config", "help"}, Lists: []string{"host"},
		Sections: []configfile.Section{{Name: authSection}, {Name: hooksSection, List: true}, {Name: botsSection, List: true, NoFile: true}},
	}
}

// rivals are pairs of settings: a file sets one of each pair, and it is ignored when the
// command line or the environment sets the other.
func rivals() [][2]string {
	return [][2]string{
		{"token", "token-file"},
		{"database", "database-file"},
		{"data", "no-data"},
		{authSection, "auth-file"},
		{hooksSection, "hooks-file"},
	}
}

// load reads the configuration file, if one is named, and sets the flags to what it says.
func (c *serverConfig) load(cc *cli.Context, flags []cli.Flag) error {
	if c.settings.path != "" {
		data, err := server.ReadFile(cc.Context, c.settings.path)
		if err != nil {
			return fmt.Errorf("cannot read the configuration file: %w", err)
		}
		if c.settings.file, err = configfile.Parse(c.settings.path, data, schema(flags)); err != nil {
			return command.Misuse(err)
		}
	}
	var err error
	if c.settings.sources, err = configfile.Apply(cc, flags, nil); err != nil {
		return err
	}
	if err := c.settings.settleRivals(); err != nil {
		return command.Misuse(err)
	}
	if c.settings.sources, err = configfile.Apply(cc, flags, c.settings.file); err != nil {
		return command.Misuse(err)
	}
	c.corsOrigins, c.allowedHosts = cc.StringSlice("cors-origin"), cc.StringSlice("allowed-host")
	c.rest.given, c.gateway.proxyGiven = c.settings.given("rest-proxy"), c.settings.given("gateway-proxy")
	c.access.inline, c.hooks.inline = c.settings.file.Section(authSection), c.settings.file.Section(hooksSection)
	if c.access.inline != nil {
		c.access.authFile = c.settings.path
		c.settings.sources["auth-file"] = configfile.Source{Kind: configfile.InFile, Where: c.settings.file.At(authSection)}
	}
	if c.hooks.inline != nil {
		c.hooks.file = c.settings.path
		c.settings.sources["hooks-file"] = configfile.Source{Kind: configfile.InFile, Where: c.settings.file.At(hooksSection)}
	}
	if err := c.loadBots(); err != nil {
		return command.Misuse(err)
	}
	c.settings.values = map[string]string{botsSection: c.fixed()}
	for _, f := range flags {
		name := f.Names()[0]
		if c.settings.values[name] = fmt.Sprint(cc.Value(name)); c.settings.values[name] == "<nil>" {
			delete(c.settings.values, name)
		}
		if list, ok := f.(*cli.StringSliceFlag); ok {
			c.settings.values[name] = strings.Join(cc.StringSlice(list.Name), ",")
		}
	}
	return nil
}

// settleRivals ignores settings of the file that the command line or the environment sets
// under another name.
func (s *settings) settleRivals() error {
	for _, pair := range rivals() {
		both := s.file.Sets(pair[0]) && s.file.Sets(pair[1])
		for i, name := range pair {
			if rival := pair[1-i]; s.file.Sets(name) && s.given(rival) {
				s.file.Drop(name)
				both = false
			}
		}
		if both && !s.given(pair[0]) && !s.given(pair[1]) {
			return fmt.Errorf("%s and %s: %s and %s cannot be used together", s.file.At(pair[0]), s.file.At(pair[1]), pair[0], pair[1])
		}
	}
	return nil
}

// given reports whether anything but its default sets a flag.
func (s *settings) given(name string) bool {
	source, known := s.sources[name]
	return known && source.Kind != configfile.Default
}

// setBy returns what a user has to remove to unset a setting: a variable, a flag or the
// setting of the file.
func (s *settings) setBy(name string) string {
	switch source := s.sources[name]; source.Kind {
	case configfile.Environment:
		return "the variable " + source.Where
	case configfile.Flag:
		return "--" + name
	default:
		return name
	}
}

// flagOf has how errors begin that packages below return about their configuration, and
// how they begin with the flag instead.
var flagOf = []struct{ begin, written string }{
	{"listener: CORS origin ", "--cors-origin: CORS origin "},
	{"listener: allowed host ", "--allowed-host: allowed host "},
	{"gateway: status ", "--status: status "},
	{"gateway: an activity ", "--activity: an activity "},
	{"discord: the API's URL ", "--discord-api-url "},
	{"server: Gateway.ProxyURL ", "--gateway-proxy-url "},
}

// nameFlag names the flag instead of the package in an error about a setting.
func nameFlag(err error) error {
	if err == nil {
		return nil
	}
	if text, ok := strings.CutPrefix(err.Error(), "server: Bots: "); ok {
		return fmt.Errorf("%s: %s", botsSection, text)
	}
	for _, f := range flagOf {
		if text, ok := strings.CutPrefix(err.Error(), f.begin); ok {
			return errors.New(f.written + text)
		}
	}
	return err
}

var namedFlag = regexp.MustCompile(`--([a-z][a-z-]*)`)

// locate adds where the configuration file sets the flags that err is about.
func (s *settings) locate(err error) error {
	if err == nil {
		return nil
	}
	var places []string
	if strings.HasPrefix(err.Error(), botsSection+": ") {
		places = append(places, s.file.At(botsSection))
	}
	for _, found := range namedFlag.FindAllStringSubmatch(err.Error(), -1) {
		if source := s.sources[found[1]]; source.Kind == configfile.InFile && !slices.Contains(places, source.Where) {
			places = append(places, source.Where)
		}
	}
	if len(places) == 0 {
		return err
	}
	return fmt.Errorf("%s: %w", places[0], err)
}
