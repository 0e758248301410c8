package strictyaml_test

import (
	"slices"
	"strings"
	"testing"

	"discordproxy/server/internal/strictyaml"
)

func TestLoad(t *testing.T) {
	type file struct {
		Name string   `yaml:"name"`
		List []string `yaml:"list"`
	}
	for text, want := range map[string]string{
		"name: x\nlist: [a, b]":           "",
		"name: &n x\nlist: [*n]":          "",
		"name: x\n# list: [a]":            "",
		"":                                "no documents",
		"name: x\nlist:":                  "line 2: the value is empty",
		"name: x\nlist: []":               "line 2: the value is empty",
		"name: x\nlist: [a, ~]":           "line 2: the value is empty",
		"name: ''\nlist: [a]":             "line 1: the value is empty",
		"name: x\nlist: &e []":            "line 2: the value is empty",
		"name: x\nlists: [a]":             "lists",
		"Name: x":                         "Name",
		"name: x\nname: y":                "line 2",
		"name: x\n---\nname: y":           "multiple",
		"name: x\nlist: {a: b}":           "line 2",
		"name: x\nlist: [a":               "did not find",
		"name: x\nlist: [[]]":             "the value is empty",
		"- name: x":                       "file",
		"name: x\nlist: !!null something": "line 2: the value is empty",
	} {
		var got file
		err := strictyaml.Load([]byte(text), &got)
		if want == "" {
			if err != nil || got.Name != "x" {
				t.Errorf("%q: %+v, %v", text, got, err)
			}
			continue
		}
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	var got file
	if err := strictyaml.Load([]byte("list: [a, b]"), &got); err != nil || !slices.Equal(got.List, []string{"a", "b"}) {
		t.Errorf("%+v, %v", got, err)
	}
}
