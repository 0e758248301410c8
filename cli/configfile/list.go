package configfile

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// List returns the items of a section that is a list of settings, or nil if the file does
// not have it. The schema, which has no sections, is that of an item. The error is about
// every mistake in the section, in one line.
func (f *File) List(section string, s Schema) (items []*File, err error) {
	text := f.Section(section)
	if text == nil {
		return nil, nil
	}
	root, err := load(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	list := resolved(root.Content[1]) // the text begins with the key
	var mistakes []string
	for i, node := range list.Content {
		node = resolved(node)
		item := &File{path: f.path, settings: make(map[string]setting), line: node.Line}
		if node.Kind == yaml.MappingNode {
			mistakes = append(mistakes, item.addAll(nil, node, s)...)
		} else {
			mistakes = append(mistakes, fmt.Sprintf("line %d: item %d of %s: expected settings, found %s", node.Line, i+1, section, found(node)))
		}
		items = append(items, item)
	}
	switch {
	case len(mistakes) > 0:
		return nil, fmt.Errorf("%s: %s", f.path, strings.Join(mistakes, "; "))
	case len(items) == 0:
		return nil, fmt.Errorf("%s: %s: the list is empty: leave out the whole section", f.At(section), section)
	}
	return items, nil
}

// Here returns where the file begins, such as config.yaml:1, or an item of a list of it.
func (f *File) Here() string { return f.at(max(f.line, 1)) }

// Set passes what a file sets to set, in the form that flags take.
func (f *File) Set(set func(name, value string) error) error {
	for name, s := range f.settings {
		for _, value := range s.values {
			if err := set(name, value); err != nil {
				return fmt.Errorf("%s: %s: the value cannot be used", f.at(s.line), name)
			}
		}
	}
	return nil
}
