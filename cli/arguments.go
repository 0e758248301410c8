package cli

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// Arrange checks the arguments of app and returns them in the order in which the
// library reads them: the options of a command directly after its name, then
// "--", then all other arguments. In args, options may be anywhere before "--".
// After "--" nothing is an option, and "-" never is. An option
// that does not exist, has no value or a value of another type is an error of
// misuse.
//
// --help and --version anywhere in front of "--" take precedence over every
// mistake. Otherwise the flags ignore environment variables that are
// empty.
func Arrange(app *cli.App, args []string) ([]string, error) {
	l := newLine(app)
	for i, arg := range args {
		if arg == "--" {
			break
		}
		for _, f := range []cli.Flag{cli.HelpFlag, cli.VersionFlag} {
			if names(f, arg) {
				return l.arrangeOnly(args[:i], f), nil
			}
		}
	}
	if err := l.read(args); err != nil {
		return nil, Misuse(err)
	}
	if err := l.check(); err != nil {
		return nil, Misuse(err)
	}
	for n := range len(l.path) + 1 {
		ignoreEmptyVariables(l.flags(n))
	}
	return l.arranged(), nil
}

// ignoreEmptyVariables makes flags ignore variables that are set but empty, as .env and
// Compose files leave them. The library would set text to "" and switches to false.
func ignoreEmptyVariables(flags []cli.Flag) {
	nonEmpty := func(variables []string) []string {
		return slices.DeleteFunc(slices.Clone(variables), func(name string) bool {
			value, exists := os.LookupEnv(name)
			return exists && value == ""
		})
	}
	for _, flag := range flags {
		switch f := flag.(type) {
		case *cli.StringFlag:
			f.EnvVars = nonEmpty(f.EnvVars)
		case *cli.StringSliceFlag:
			f.EnvVars = nonEmpty(f.EnvVars)
		case *cli.BoolFlag:
			f.EnvVars = nonEmpty(f.EnvVars)
		}
	}
}

// names reports whether an argument is exactly a flag.
func names(f cli.Flag, arg string) bool {
	for _, name := range f.Names() {
		if arg == dashes(name) {
			return true
		}
	}
	return false
}

// dashes returns the name of an option as it is written.
func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// line is a command line that is being read.
type line struct {
	app  *cli.App
	path []*cli.Command // the commands that were named, from the outermost
	// options are the given options, in the order of args.
	options   []option
	arguments []string
}

type option struct {
	flag    cli.Flag
	written string // how the flag was written
	value   string
}

func newLine(app *cli.App) *line { return &line{app: app} }

// flags are those of level n: of the app for 0, else of the nth command.
func (l *line) flags(n int) []cli.Flag {
	if n == 0 {
		return l.app.Flags
	}
	return l.path[n-1].Flags
}

// commands are the commands that may come next.
func (l *line) commands() []*cli.Command {
	if n := len(l.path); n > 0 {
		return l.path[n-1].Subcommands
	}
	return l.app.Commands
}

// find returns the flag of a name, of the innermost command that has it. As long
// as no command is named the flag may be that of any.
func (l *line) find(name string) cli.Flag {
	for n := len(l.path); n >= 0; n-- {
		if f := findFlag(l.flags(n), name); f != nil {
			return f
		}
	}
	if len(l.path) == 0 {
		for _, c := range l.app.Commands {
			if f := findFlag(c.Flags, name); f != nil {
				return f
			}
		}
	}
	return nil
}

func findFlag(flags []cli.Flag, name string) cli.Flag {
	i := slices.IndexFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if i < 0 {
		return nil
	}
	return flags[i]
}

func isSwitch(f cli.Flag) bool {
	_, ok := f.(*cli.BoolFlag)
	return ok
}

var negative = regexp.MustCompile(`^-\.?[0-9]`)

// isNumeric reports whether a flag may have a negative value.
func isNumeric(f cli.Flag) bool {
	switch f.(type) {
	case *cli.IntFlag, *cli.Int64Flag, *cli.Float64Flag, *cli.DurationFlag:
		return true
	}
	return false
}

// read takes the arguments apart.
func (l *line) read(args []string) error {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			l.arguments = append(l.arguments, args...)
			return nil
		case arg == "-" || !strings.HasPrefix(arg, "-"):
			if err := l.argument(arg); err != nil {
				return err
			}
		default:
			taken, err := l.option(arg, args)
			if err != nil {
				return err
			}
			args = args[taken:]
		}
	}
	return nil
}

// argument takes the name of a command, or what is none.
func (l *line) argument(arg string) error {
	if len(l.arguments) == 0 && len(l.commands()) > 0 {
		for _, c := range l.commands() {
			if c.HasName(arg) {
				l.path = append(l.path, c)
				return nil
			}
		}
		return l.unknownCommand(arg)
	}
	// An editor may have made one dash of two, or of one of them.
	if name := strings.TrimLeft(arg, "-–—−"); name != arg && name != "" {
		name, _, _ = strings.Cut(name, "=")
		if likely := Nearest(dashes(name), l.known()); likely != "" && !strings.ContainsFunc(name, unicode.IsSpace) {
			return fmt.Errorf("%q begins with a dash that is not a hyphen; did you mean %s?%s", arg, likely, l.behindDashes())
		}
	}
	l.arguments = append(l.arguments, arg)
	return nil
}

// option takes an argument that begins with a hyphen and, when that needs it,
// its value. It returns how many of the following arguments were taken.
func (l *line) option(arg string, following []string) (taken int, err error) {
	if name, ok := strings.CutPrefix(arg, "--"); ok {
		name, value, hasValue := strings.Cut(name, "=")
		f := l.find(name)
		if f == nil || len(name) < 2 {
			return 0, l.unknownOption(arg)
		}
		return l.take(f, "--"+name, value, hasValue, following)
	}
	// Short options may be combined, the last of them with its value.
	for rest := arg[1:]; rest != ""; rest = rest[1:] {
		f := l.find(rest[:1])
		if f == nil {
			return 0, l.unknownOption(arg)
		}
		written := "-" + rest[:1]
		value, equals := strings.CutPrefix(rest[1:], "=")
		if !isSwitch(f) || equals {
			return l.take(f, written, value, equals || value != "", following)
		}
		l.options = append(l.options, option{f, written, "true"})
	}
	return 0, nil
}

// take adds an option with its value, that of the next argument unless it has
// one.
func (l *line) take(f cli.Flag, written, value string, hasValue bool, following []string) (taken int, err error) {
	switch {
	case hasValue:
	case isSwitch(f):
		value = "true"
	case len(following) == 0:
		return 0, fmt.Errorf("%s needs a value", written)
	case following[0] != "-" && strings.HasPrefix(following[0], "-") && (!isNumeric(f) || !negative.MatchString(following[0])):
		// What follows may be a secret, unless it is the name of an option.
		next := "the next argument"
		if name, _, _ := strings.Cut(following[0], "="); name == "--" || slices.Contains(l.known(), name) {
			next = strconv.Quote(name)
		}
		return 0, fmt.Errorf("%s needs a value, and %s looks like an option; write %s=VALUE if it is the value", written, next, written)
	default:
		value, taken = following[0], 1
	}
	if value, err = typed(f, written, value); err != nil {
		return 0, err
	}
	l.options = append(l.options, option{f, written, value})
	return taken, nil
}

// typed returns the value of a flag as the library reads it.
func typed(f cli.Flag, written, value string) (string, error) {
	var err error
	kind, read := "", value
	switch f.(type) {
	case *cli.BoolFlag:
		kind = "true or false"
		_, err = strconv.ParseBool(value)
	case *cli.DurationFlag:
		kind = "a duration such as 30s or 2m"
		if _, failed := strconv.ParseFloat(value, 64); failed == nil {
			read += "s"
		}
		_, err = time.ParseDuration(read)
	case *cli.Uint64Flag, *cli.Uint64SliceFlag, *cli.UintFlag:
		kind = "a number"
		var n uint64
		n, err = strconv.ParseUint(value, 10, 64)
		read = strconv.FormatUint(n, 10) // the library reads 010 as octal
	case *cli.IntFlag, *cli.Int64Flag:
		kind = "a number"
		var n int64
		n, err = strconv.ParseInt(value, 10, 64)
		read = strconv.FormatInt(n, 10)
	case *cli.Float64Flag:
		kind = "a number"
		_, err = strconv.ParseFloat(value, 64)
	}
	if err != nil {
		return "", fmt.Errorf("%s %q is not %s", written, value, kind)
	}
	return read, nil
}

// check finds options in front of the command that the command does not have.
func (l *line) check() error {
	for _, o := range l.options {
		if l.level(o.flag) < 0 {
			if len(l.path) == 0 {
				return fmt.Errorf("%s needs a command; see --help", o.written)
			}
			return l.unknownOption(o.written)
		}
	}
	return nil
}

// level returns which level has a flag, or -1. Commands may have flags of one
// name, each of its own.
func (l *line) level(f cli.Flag) int {
	for n := len(l.path); n >= 0; n-- {
		if findFlag(l.flags(n), f.Names()[0]) != nil {
			return n
		}
	}
	return -1
}

func (l *line) arranged() []string {
	var args []string
	for n := 0; n <= len(l.path); n++ {
		if n > 0 {
			args = append(args, l.path[n-1].Name)
		}
		for _, o := range l.options {
			if l.level(o.flag) == n {
				args = append(args, "--"+o.flag.Names()[0]+"="+o.value)
			}
		}
	}
	return append(append(args, "--"), l.arguments...)
}

// arrangeOnly returns the command that is named in args, with one option.
func (l *line) arrangeOnly(args []string, f cli.Flag) []string {
	_ = l.read(args)
	if f == cli.VersionFlag {
		l.path = nil
	}
	var only []string
	for _, c := range l.path {
		only = append(only, c.Name)
	}
	return append(only, "--"+f.Names()[0])
}

func (l *line) unknownOption(arg string) error {
	written, _, _ := strings.Cut(arg, "=")
	if strings.Trim(written, "-") != "" {
		arg = written // the value may be a secret
	}
	text := fmt.Sprintf("unknown option %q", arg)
	if len(l.path) > 0 {
		text += " of " + l.name()
	}
	if likely := Nearest("--"+strings.TrimLeft(written, "-"), l.known()); likely != "" {
		text += "; did you mean " + likely + "?"
	} else {
		text += "."
	}
	return fmt.Errorf("%s%s", text, l.behindDashes())
}

// known are the options that may be given, as they are written.
func (l *line) known() []string {
	known := []string{"--help", "-h", "--version", "-v"}
	for n := range len(l.path) + 1 {
		for _, f := range l.flags(n) {
			for _, name := range f.Names() {
				known = append(known, dashes(name))
			}
		}
	}
	return known
}

// behindDashes says how to write an argument that looks like an option, where
// the command takes a text.
func (l *line) behindDashes() string {
	if n := len(l.path); n > 0 && strings.Contains(l.path[n-1].ArgsUsage, "TEXT") {
		return ` Write text that begins with "-" after "--"`
	}
	return " See --help"
}

func (l *line) unknownCommand(arg string) error {
	var known []string
	for _, c := range l.commands() {
		if !c.Hidden {
			known = append(known, c.Names()...)
		}
	}
	text := fmt.Sprintf("unknown command %q", strings.TrimSpace(l.name()+" "+arg))
	if likely := Nearest(arg, known); likely != "" {
		return fmt.Errorf("%s; did you mean %q? See --help", text, likely)
	}
	return fmt.Errorf("%s; see --help", text)
}

// name returns the name of the command, with its parents.
func (l *line) name() string {
	var all []string
	for _, c := range l.path {
		all = append(all, c.Name)
	}
	return strings.Join(all, " ")
}

// Nearest returns the name that somebody who wrote another may have meant, or "".
func Nearest(written string, names []string) string {
	const similar = 0.88 // of 1 for the same
	best, found := similar, ""
	for _, name := range names {
		alike := smetrics.JaroWinkler(strings.ToLower(written), strings.ToLower(name), 0.7, 4)
		if strings.HasPrefix(name, written) && len(strings.TrimLeft(written, "-")) > 1 {
			alike = max(alike, 0.99)
		}
		if alike > best {
			best, found = alike, name
		}
	}
	return found
}
