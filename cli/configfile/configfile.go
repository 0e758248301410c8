// Package configfile reads the settings of a command from a YAML file whose keys are the
// names of the command's flags. It is strict: anything whose meaning is in doubt is an
// error that names the line.
//
// No error contains a value of the file, which may be a secret.
package configfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	command "discordproxy/cli"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v4"
)

// File is a configuration file that was read.
type File struct {
	path string
	line int // of an item of a list
	// settings are by the names of flags, sections by their names.
	settings map[string]setting
	sections map[string][]byte
}

type setting struct {
	values []string // more than one for a list; none for a section
	line   int
}

// Schema describes the valid contents of a file.
type Schema struct {
	// Flags are the settings, apart from those in Excluded.
	Flags    []cli.Flag
	Excluded []string
	// Lists are the names of text flags whose value is a list separated by commas.
	Lists []string
	// Sections are keys whose value is for another reader.
	Sections []Section
}

// Section is a key whose value is for another reader: a list, or else settings of its
// own.
type Section struct {
	Name string
	List bool
	// NoFile is whether no setting NAME-file names a file that can take its place.
	NoFile bool
}

// Parse reads a file. path is used in messages. An empty file has no settings. The
// error is about every mistake in the file, in one line.
func Parse(path string, data []byte, s Schema) (*File, error) {
	f := &File{path: path, settings: make(map[string]setting), sections: make(map[string][]byte)}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	root, err := load(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if root == nil {
		return f, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: line %d: expected settings such as \"port: 50051\", found %s", path, root.Line, found(root))
	}
	if mistakes := f.addAll(data, root, s); len(mistakes) > 0 {
		return nil, fmt.Errorf("%s: %s", path, strings.Join(mistakes, "; "))
	}
	return f, nil
}

// addAll adds the settings and sections of a mapping, and returns every mistake in it.
func (f *File) addAll(data []byte, root *yaml.Node, s Schema) (mistakes []string) {
	lines := make(map[string]int)
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		err := f.add(s, key, value, lines)
		if n := s.section(key.Value); err == nil && n >= 0 {
			end := 0
			if i+2 < len(root.Content) {
				end = root.Content[i+2].Line
			}
			err = f.addSection(data, s.Sections[n], root, key, resolved(value), end)
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Sprintf("line %d: %s", max(key.Line, 1), err))
		}
	}
	return mistakes
}

// load returns the value of the only document, or nil for an empty one.
func load(data []byte) (*yaml.Node, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var document, more yaml.Node
	switch err := loader.Load(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil //nolint:nilnil // there is nothing, which is no error
	case err != nil:
		return nil, explain(data, err)
	}
	if err := loader.Load(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, explain(data, err)
		}
		return nil, fmt.Errorf("line %d: expected one YAML document, found another after \"---\"", more.Line)
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) == 0 {
		return nil, nil //nolint:nilnil // see above
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, nil //nolint:nilnil // see above
	}
	return root, nil
}

var (
	indentation = regexp.MustCompile(`(?m)^ *\t`)
	lineNumber  = regexp.MustCompile(`line (\d+)`)
)

// explain returns what is wrong with a file that is not YAML. The reader's own words may
// quote the file.
func explain(data []byte, err error) error {
	if tab := indentation.FindIndex(data); tab != nil {
		return fmt.Errorf("line %d: found a tab: indent YAML with spaces", 1+bytes.Count(data[:tab[0]], []byte("\n")))
	}
	where := "the file"
	if n := lineNumber.FindString(err.Error()); n != "" {
		where = n
	}
	reason := "check the indentation, and quote values that contain \": \" or \" #\" or begin with a special character"
	switch text := err.Error(); {
	case strings.Contains(text, "unknown anchor"):
		reason = "an alias has no anchor above it"
	case strings.Contains(text, "control characters"), strings.Contains(text, "UTF-8"), strings.Contains(text, "UTF-16"):
		reason = "a character cannot be read: save the file as UTF-8"
	}
	return fmt.Errorf("%s is not valid YAML: %s", where, reason)
}

// presentable is what may be shown of an unknown key, which may be a secret in the
// wrong place.
var presentable = regexp.MustCompile(`^[A-Za-z<][A-Za-z0-9_<-]{0,39}$`)

// add adds a setting, and refuses keys that are neither settings nor sections. lines
// are those of the keys so far.
func (f *File) add(s Schema, key, value *yaml.Node, lines map[string]int) error {
	if key.Kind != yaml.ScalarNode {
		return fmt.Errorf("expected the name of a setting, found %s", found(key))
	}
	name := key.Value
	if line, twice := lines[name]; twice {
		return fmt.Errorf("%q is set already in line %d", name, line)
	}
	if s.section(name) >= 0 {
		lines[name] = key.Line
		f.settings[name] = setting{line: key.Line}
		return nil
	}
	flag := s.flag(name)
	if flag == nil {
		return s.unknown(name)
	}
	lines[name] = key.Line
	values, err := s.read(flag, value)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	f.settings[name] = setting{values, key.Line}
	return nil
}

// section returns the index of a section, or -1 if there is none of that name.
func (s Schema) section(name string) int {
	return slices.IndexFunc(s.Sections, func(section Section) bool { return section.Name == name })
}

func (s Schema) flag(name string) cli.Flag {
	if slices.Contains(s.Excluded, name) {
		return nil
	}
	i := slices.IndexFunc(s.Flags, func(f cli.Flag) bool { return f.Names()[0] == name })
	if i < 0 {
		return nil
	}
	return s.Flags[i]
}

// Names returns the keys that a file may have.
func (s Schema) Names() []string {
	var names []string
	for _, section := range s.Sections {
		names = append(names, section.Name)
	}
	for _, f := range s.Flags {
		if name := f.Names()[0]; !slices.Contains(s.Excluded, name) {
			names = append(names, name)
		}
	}
	return names
}

func (s Schema) unknown(name string) error {
	if name == "<<" {
		return errors.New("merge keys (<<) are not supported at this level")
	}
	if !presentable.MatchString(name) {
		return errors.New("the key is not the name of a setting")
	}
	text := fmt.Sprintf("unknown setting %q", name)
	if likely := command.Nearest(strings.ReplaceAll(strings.TrimLeft(name, "-"), "_", "-"), s.Names()); likely != "" {
		text += fmt.Sprintf("; did you mean %q?", likely)
	}
	return errors.New(text)
}

// read returns the values of a flag, in the form that the flag takes.
func (s Schema) read(f cli.Flag, value *yaml.Node) ([]string, error) {
	value = resolved(value)
	_, repeatable := f.(*cli.StringSliceFlag)
	if !repeatable && !slices.Contains(s.Lists, f.Names()[0]) {
		text, err := scalar(f, value)
		return []string{text}, err
	}
	items := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		if items = value.Content; len(items) == 0 {
			return nil, errEmpty
		}
	}
	var values []string
	for i, item := range items {
		text, err := scalar(f, resolved(item))
		if err == nil && value.Kind == yaml.SequenceNode && strings.Contains(text, ",") {
			err = errors.New("expected one value in each item of the list, found a comma")
		}
		if err != nil && value.Kind == yaml.SequenceNode {
			return nil, fmt.Errorf("item %d: %w", i+1, err)
		}
		if err != nil {
			return nil, err
		}
		values = append(values, text)
	}
	if !repeatable {
		values = []string{strings.Join(values, ",")}
	}
	return values, nil
}

var errEmpty = errors.New("the value is empty: leave out the whole setting to use the default")

func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

var (
	wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	unitless    = regexp.MustCompile(`^[0-9.]+$`)
)

// scalar returns a single value of a flag.
func scalar(f cli.Flag, n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", fmt.Errorf("expected %s, found %s", wanted(f), found(n))
	}
	tag := n.ShortTag()
	if tag == "!!null" || n.Value == "" {
		return "", errEmpty
	}
	wrong := fmt.Errorf("expected %s, found %s", wanted(f), found(n))
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
	switch f.(type) {
	case *cli.BoolFlag:
		if tag != "!!bool" || quoted {
			return "", wrong
		}
		return strings.ToLower(n.Value), nil
	case *cli.IntFlag, *cli.Int64Flag:
		if quoted || !wholeNumber.MatchString(n.Value) {
			return "", wrong
		}
		if _, err := strconv.ParseInt(n.Value, 10, 64); err != nil {
			return "", errors.New("the number is too large")
		}
		return n.Value, nil
	case *cli.DurationFlag:
		if unitless.MatchString(n.Value) && n.Value != "0" {
			return "", errors.New("the duration needs a unit, such as 30s, 5m or 2h")
		}
		if _, err := time.ParseDuration(n.Value); err != nil {
			return "", wrong
		}
		return n.Value, nil
	}
	switch tag {
	case "!!str", "!!int", "!!float", "!!timestamp":
	default:
		return "", wrong
	}
	if strings.ContainsFunc(n.Value, func(r rune) bool { return r < ' ' }) {
		return "", errors.New("expected text in one line")
	}
	return n.Value, nil
}

// wanted describes the value of a flag.
func wanted(f cli.Flag) string {
	switch f.(type) {
	case *cli.BoolFlag:
		return "true or false"
	case *cli.IntFlag, *cli.Int64Flag:
		name := f.Names()[0]
		if strings.Contains(name, "bytes") || strings.HasPrefix(name, "max-file") || strings.HasPrefix(name, "max-upload") {
			return "a whole number of bytes without a unit, such as 1048576"
		}
		return "a whole number such as 50, without quotes"
	case *cli.DurationFlag:
		return "a duration with a unit, such as 30s, 5m or 2h"
	case *cli.StringSliceFlag:
		return "text, or a list of texts"
	}
	return "text"
}

// found describes a value without showing it.
func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "settings below it"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		return "text in quotes"
	}
	switch tag := n.ShortTag(); {
	case tag == "!!bool":
		return n.Value + ", which needs quotes to be text"
	case slices.Contains([]string{"yes", "no", "on", "off"}, strings.ToLower(n.Value)):
		return strings.ToLower(n.Value)
	case tag == "!!int", tag == "!!float":
		return "another number"
	case tag == "!!str":
		return "text"
	default:
		return "a value with a tag"
	}
}
