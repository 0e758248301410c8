package serve

import (
	"errors"

	"discordproxy/server"

	command "discordproxy/cli"

	"github.com/urfave/cli/v2"
)

// hooksConfig holds the flags of incoming hooks.
type hooksConfig struct {
	file, templates string
	inline          []byte // what the file would contain; nil for none
}

func (c *hooksConfig) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name:        "hooks-file",
			EnvVars:     command.Variables("hooks-file"),
			TakesFile:   true,
			Destination: &c.file,
			Usage:       "`FILE` with incoming hooks; see docs/hooks.md",
		},
		&cli.StringFlag{
			Name:        "hooks-templates",
			EnvVars:     command.Variables("hooks-templates"),
			TakesFile:   true,
			Destination: &c.templates,
			Usage:       "`FOLDER` with templates for hook messages, NAME.yaml and NAME.txt",
		},
	}
}

func (c *hooksConfig) check() error {
	if c.templates != "" && c.file == "" {
		return errors.New("--hooks-templates needs --hooks-file")
	}
	return nil
}

// apply sets what the flags say.
func (c *hooksConfig) apply(config *server.Config) {
	config.HooksFile, config.Hooks, config.HooksTemplates = c.file, c.inline, c.templates
}
