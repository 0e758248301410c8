package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// completionRequest is the first argument with which a shell requests completions. The
// words of the line follow; the last one is the word to complete.
const completionRequest = "__complete"

// completeFiles is the only line of an answer when names of files are wanted.
const completeFiles = ":files"

// Typed is a command line that is to be completed, up to the word before.
type Typed struct {
	Path      string            // names of the commands
	Options   map[string]string // by the names of their flags
	Arguments []string
	Flag      string // name of the flag whose value is wanted, or "" for an argument
}

// Suggestion is a word that may follow, with what a shell shows next to it.
type Suggestion struct{ Word, About string }

// Suggest returns what may follow beyond names of commands, options and files.
type Suggest func(Typed) []Suggestion

// Complete answers a request for completion and reports whether args are one.
// It writes a line for each word that may follow, with a tab in front of what
// the shell shows next to it. suggest may be nil.
func Complete(app *cli.App, args []string, suggest Suggest) bool {
	if len(args) == 0 || args[0] != completionRequest {
		return false
	}
	words, split := joinAssignments(args[1:])
	current := ""
	if n := len(words); n > 0 {
		words, current = words[:n-1], words[n-1]
	}
	l := newLine(app)
	flag, ended := l.readTyped(words)
	prefix := "" // what belongs to the word but not to the value
	if name, value, ok := strings.Cut(current, "="); ok && !ended && flag == nil && strings.HasPrefix(name, "--") {
		if flag = l.find(name[2:]); flag != nil {
			current = value
			if !split {
				prefix = name + "="
			}
		}
	}
	var found []Suggestion
	switch {
	case flag != nil && takesFile(flag):
		_, _ = fmt.Fprintln(app.Writer, completeFiles)
		return true
	case flag != nil:
		if suggest != nil {
			found = suggest(l.typed(flag.Names()[0]))
		}
	case !ended && strings.HasPrefix(current, "-"):
		found = l.suggestOptions()
	case len(l.arguments) == 0 && len(l.commands()) > 0:
		for _, c := range l.commands() {
			if !c.Hidden {
				found = append(found, Suggestion{c.Name, c.Usage})
			}
		}
	case l.name() == "completion" && len(l.arguments) == 0:
		for _, shell := range shells {
			found = append(found, Suggestion{Word: shell})
		}
	case suggest != nil:
		found = suggest(l.typed(""))
	}
	writeSuggestions(app.Writer, found, current, prefix)
	return true
}

func writeSuggestions(w io.Writer, found []Suggestion, current, prefix string) {
	oneLine := strings.NewReplacer("\n", " ", "\t", " ", "\r", " ", "`", "")
	for _, s := range found {
		if !strings.HasPrefix(s.Word, current) {
			continue
		}
		line := prefix + s.Word
		if s.About != "" {
			line += "\t" + oneLine.Replace(s.About)
		}
		_, _ = fmt.Fprintln(w, line)
	}
}

// joinAssignments joins --name, = and value, which bash gives as three words. It
// reports whether the last word is of them.
func joinAssignments(words []string) (joined []string, last bool) {
	for i, word := range words {
		n := len(joined)
		last = false
		switch {
		case word == "=" && n > 0 && strings.HasPrefix(joined[n-1], "--") && !strings.Contains(joined[n-1], "="):
			joined[n-1], last = joined[n-1]+"=", true
		case i > 0 && words[i-1] == "=" && n > 0 && strings.HasPrefix(joined[n-1], "--") && strings.HasSuffix(joined[n-1], "="):
			joined[n-1], last = joined[n-1]+word, true
		default:
			joined = append(joined, word)
		}
	}
	return joined, last
}

// readTyped reads words as far as they are valid. It returns the flag whose value is
// next, and whether "--" has ended the options.
func (l *line) readTyped(words []string) (wanted cli.Flag, ended bool) {
	for len(words) > 0 {
		arg := words[0]
		words = words[1:]
		switch {
		case arg == "--":
			l.arguments = append(l.arguments, words...)
			return nil, true
		case arg == "-" || !strings.HasPrefix(arg, "-"):
			_ = l.argument(arg)
			continue
		case len(words) == 0:
			if f := l.find(strings.TrimLeft(arg, "-")); f != nil && !isSwitch(f) {
				return f, false
			}
		}
		taken, _ := l.option(arg, words)
		words = words[taken:]
	}
	return nil, false
}

func (l *line) typed(flag string) Typed {
	t := Typed{Path: l.name(), Options: make(map[string]string), Arguments: l.arguments, Flag: flag}
	for _, o := range l.options {
		t.Options[o.flag.Names()[0]] = o.value
	}
	return t
}

func (l *line) suggestOptions() []Suggestion {
	var found []Suggestion
	for n := len(l.path); n >= 0; n-- {
		for _, f := range l.flags(n) {
			about := ""
			if documented, ok := f.(cli.DocGenerationFlag); ok {
				about = documented.GetUsage()
			}
			found = append(found, Suggestion{"--" + f.Names()[0], about})
		}
	}
	found = append(found, Suggestion{"--help", "show help"})
	if len(l.path) == 0 {
		found = append(found, Suggestion{"--version", "show the version"})
	}
	slices.SortStableFunc(found, func(a, b Suggestion) int { return strings.Compare(a.Word, b.Word) })
	return slices.CompactFunc(found, func(a, b Suggestion) bool { return a.Word == b.Word })
}

func takesFile(f cli.Flag) bool {
	switch f := f.(type) {
	case *cli.StringFlag:
		return f.TakesFile
	case *cli.StringSliceFlag:
		return f.TakesFile
	case *cli.PathFlag:
		return f.TakesFile
	}
	return false
}

// shells are the shells that completionScript supports.
var shells = []string{"bash", "zsh", "fish"}

// completionCommand writes what a shell needs to complete the command of app.
func completionCommand(app *cli.App) *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "prints the completion script for a shell",
		ArgsUsage: strings.Join(shells, "|"),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return Misuse(fmt.Errorf("expected completion %s", strings.Join(shells, "|")))
			}
			script, err := completionScript(app, c.Args().First())
			if err != nil {
				return Misuse(err)
			}
			_, err = fmt.Fprint(app.Writer, script)
			return err
		},
	}
}

// completionScript returns the script for a shell, one of shells.
func completionScript(app *cli.App, shell string) (string, error) {
	scripts := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
	if scripts[shell] == "" {
		return "", fmt.Errorf("no completion for shell %q; supported: %s", shell, strings.Join(shells, ", "))
	}
	return strings.NewReplacer("COMMAND", app.Name, "REQUEST", completionRequest, "FILES", completeFiles).Replace(scripts[shell]), nil
}

// Each shell asks the command itself what may follow.
const (
	bashCompletion = `_COMMAND() {
    local IFS=$'\n' found
    found=($("${COMP_WORDS[0]}" REQUEST "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    COMPREPLY=()
    if [[ "${found[0]}" == "FILES" ]]; then
        local current="${COMP_WORDS[COMP_CWORD]}"
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "${current#=}"))
    else
        COMPREPLY=("${found[@]%%$'\t'*}")
    fi
}
complete -F _COMMAND COMMAND
`
	zshCompletion = `#compdef COMMAND
_COMMAND() {
    local -a found shown
    found=("${(@f)$("${words[1]}" REQUEST "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ "${found[1]}" == "FILES" ]]; then
        compset -P '--*='
        _files
    elif [[ -n "${found[1]}" ]]; then
        shown=("${(@)found/$'\t'/  -- }")
        compadd -l -d shown -- "${(@)found%%$'\t'*}"
    fi
}
if [[ "${funcstack[1]}" == _COMMAND ]]; then _COMMAND "$@"; else compdef _COMMAND COMMAND; fi
`
	fishCompletion = `function __COMMAND_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l found ($words[1] REQUEST $words[2..-1] "$current" 2>/dev/null)
    if test "$found[1]" = "FILES"
        set -l prefix (string match -r -- '^--[^=]*=' "$current")
        for file in (__fish_complete_path (string replace -r -- '^--[^=]*=' '' "$current"))
            echo "$prefix$file"
        end
    else
        string join \n -- $found
    end
end
complete -c COMMAND -f -a '(__COMMAND_complete)'
`
)
