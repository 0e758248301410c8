package configfile

import (
	"bytes"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v4"
)

// addSection adds the text of a section: a list with its key, settings without it. Its
// lines keep their numbers, so that messages of its reader name those of the file. end
// is the line of the next key, or 0 without one.
func (f *File) addSection(data []byte, s Section, root, key, value *yaml.Node, end int) error {
	switch {
	case value.Kind == yaml.ScalarNode && (value.ShortTag() == "!!null" || value.Value == ""):
		return fmt.Errorf("%s: the value is empty: leave out the whole section", s.Name)
	case value.Kind == yaml.ScalarNode && !s.NoFile:
		return fmt.Errorf("%s: expected settings below it, found text; use %s-file to name a file", s.Name, s.Name)
	case s.List && value.Kind != yaml.SequenceNode:
		return fmt.Errorf("%s: expected a list, found %s", s.Name, found(value))
	case !s.List && value.Kind != yaml.MappingNode:
		return fmt.Errorf("%s: expected settings below it, found %s", s.Name, found(value))
	}
	lines := bytes.Split(data, []byte("\n"))
	last := len(lines)
	if end > 0 {
		last = end - 1
	}
	if key.Line > last || root.Style&yaml.FlowStyle != 0 {
		return f.copySection(s, value)
	}
	first := bytes.Clone(lines[key.Line-1])
	if !s.List {
		colon := bytes.IndexByte(first, ':')
		if colon < 0 {
			return f.copySection(s, value)
		}
		copy(first, bytes.Repeat([]byte(" "), colon+1))
	}
	text := append(bytes.Repeat([]byte("\n"), key.Line-1), first...)
	for _, line := range lines[key.Line:last] {
		text = append(append(text, '\n'), line...)
	}
	f.sections[s.Name] = text
	return nil
}

// copySection writes a section again that shares lines with other settings.
func (f *File) copySection(s Section, value *yaml.Node) error {
	var out any = value
	if s.List {
		out = map[string]*yaml.Node{s.Name: value}
	}
	text, err := yaml.Marshal(out)
	if err != nil {
		return errors.New("the section cannot be read: write it in lines of its own")
	}
	f.sections[s.Name] = text
	return nil
}

// Section returns the text of a section, or nil if the file does not have it. A line of the
// text is the same line of the file, unless settings share lines.
func (f *File) Section(name string) []byte {
	if f == nil {
		return nil
	}
	return f.sections[name]
}
