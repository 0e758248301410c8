package configfile

import (
	"fmt"
	"os"
	"slices"

	"github.com/urfave/cli/v2"
)

// Kind is the kind of source of a value.
type Kind string

// The kinds, in order of precedence.
const (
	Flag        Kind = "flag"
	Environment Kind = "environment"
	InFile      Kind = "file"
	Default     Kind = "default"
)

// Source is the source of a setting's value.
type Source struct {
	Kind Kind
	// Where is the name of an environment variable or the place in a file, or "" for
	// others.
	Where string
}

func (s Source) String() string {
	switch s.Kind {
	case Environment:
		return "environment " + s.Where
	case InFile:
		return s.Where
	}
	return string(s.Kind)
}

// Apply sets the flags of a command to what a file says, where neither the command line
// nor the environment sets them, and returns where the value of each flag comes from. An
// empty variable sets nothing. f may be nil.
func Apply(c *cli.Context, flags []cli.Flag, f *File) (map[string]Source, error) {
	given := Given(c) // before Set adds to them
	sources := make(map[string]Source)
	for _, flag := range flags {
		name := flag.Names()[0]
		sources[name] = sourceOf(flag, given)
		if f == nil || sources[name].Kind != Default {
			continue
		}
		s, set := f.settings[name]
		if !set {
			continue
		}
		for _, value := range s.values {
			if err := c.Set(name, value); err != nil {
				return nil, fmt.Errorf("%s: %s: the value cannot be used", f.at(s.line), name)
			}
		}
		sources[name] = Source{InFile, f.at(s.line)}
	}
	return sources, nil
}

// Given returns the names of the flags that the command line of c sets.
func Given(c *cli.Context) []string {
	if c.Command != nil {
		// The library adds those that variables set.
		flags := c.Command.Flags
		c.Command.Flags = nil
		defer func() { c.Command.Flags = flags }()
	}
	return c.LocalFlagNames()
}

// Sets reports whether a file sets a flag or has a section.
func (f *File) Sets(name string) bool {
	if f == nil {
		return false
	}
	_, ok := f.settings[name]
	return ok
}

// Drop makes the file set a flag or have a section no more.
func (f *File) Drop(name string) {
	delete(f.settings, name)
	delete(f.sections, name)
}

// At returns where a file sets a flag or has a section, such as config.yaml:7.
func (f *File) At(name string) string { return f.at(f.settings[name].line) }

func sourceOf(flag cli.Flag, given []string) Source {
	for _, name := range flag.Names() {
		if slices.Contains(given, name) {
			return Source{Kind: Flag}
		}
	}
	if documented, ok := flag.(cli.DocGenerationFlag); ok {
		for _, variable := range documented.GetEnvVars() {
			// The library uses the first that exists.
			if value, exists := os.LookupEnv(variable); exists {
				if value == "" {
					break
				}
				return Source{Environment, variable}
			}
		}
	}
	return Source{Kind: Default}
}

func (f *File) at(line int) string { return fmt.Sprintf("%s:%d", f.path, line) }
