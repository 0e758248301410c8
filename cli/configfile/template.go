package configfile

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

var placeholder = regexp.MustCompile("`([^`]+)`")

// Template returns a file with every flag of a schema commented out, at its default or,
// without one, with the word that its help uses. intro is text at the top, and examples
// are of sections, at the end.
func Template(s Schema, intro, examples string) string {
	var text strings.Builder
	comment(&text, intro)
	category := ""
	for _, f := range s.Flags {
		name := f.Names()[0]
		if s.flag(name) == nil {
			continue
		}
		if c, ok := f.(cli.CategorizableFlag); ok && c.GetCategory() != category {
			category = c.GetCategory()
			fmt.Fprintf(&text, "\n# === %s ===\n", category)
		}
		documented := f.(cli.DocGenerationFlag)
		usage := documented.GetUsage()
		text.WriteString("\n")
		help := placeholder.ReplaceAllString(usage, "$1")
		if b, ok := f.(*cli.BoolFlag); ok && b.DefaultText != "" {
			help += " (default: " + b.DefaultText + ")"
		}
		comment(&text, help)
		fmt.Fprintf(&text, "#%s: %s\n", name, example(f, usage, documented.GetValue()))
	}
	text.WriteString("\n")
	text.WriteString(examples)
	return text.String()
}

func comment(w *strings.Builder, text string) {
	const width = 88
	for paragraph := range strings.SplitSeq(text, "\n") {
		line := "#"
		for word := range strings.FieldsSeq(paragraph) {
			if len(line)+1+len(word) > width {
				w.WriteString(line + "\n")
				line = "#"
			}
			line += " " + word
		}
		w.WriteString(line + "\n")
	}
}

// example returns a value that the flag can take: its default if it has one.
func example(f cli.Flag, usage, value string) string {
	word := strings.ToUpper(f.Names()[0])
	if found := placeholder.FindStringSubmatch(usage); found != nil {
		word = found[1]
	}
	switch f := f.(type) {
	case *cli.BoolFlag:
		return strconv.FormatBool(f.Value)
	case *cli.StringFlag:
		if value != "" {
			return `"` + value + `"`
		}
		return `"` + word + `"`
	case *cli.StringSliceFlag:
		if f.DefaultText != "" {
			word = f.DefaultText
		}
		return `["` + word + `"]`
	}
	return value
}
