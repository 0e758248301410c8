package strictyaml_test

import (
	"slices"
	"strings"
	"testing"

	"discordproxy/server/internal/strictyaml"
)

func TestLoad(t *testing.T) {
	type file struct {
		Name  string   `yaml:"name"`
		List  []string `yaml:"list"`
		Rate  float64  `yaml:"rate"`
		Count int      `yaml:"count"`
		On    bool     `yaml:"on"`
		Rows  []struct {
			Hashes []string `yaml:"hashes"`
		} `yaml:"rows"`
		Named map[string]*struct {
			Form string `yaml:"form"`
		} `yaml:"named"`
	}
	for text, want := range map[string]string{
		"name: x\nlist: [a, b]":  "",
		"name: &n x\nlist: [*n]": "",
		"name: x\n# list: [a]":   "",
		"":                       "no documents",
		"name: x\nlist:":         "line 2: the value is empty",
		"name: x\nlist: []":      "line 2: the value is empty",
		"name: x\nlist: [a, ~]":  "line 2: the value is empty",
		"name: ''\nlist: [a]":    "line 1: the value is empty",
		"name: x\nlist: &e []":   "line 2: the value is empty",
		"name: x\nlists: [a]":    `line 2: unknown field "lists"; did you mean "list"?`,
		"Name: x":                `line 1: unknown field "Name"; did you mean "name"?`,
		"named: {a: &a {form: x}, b: {<<: *a}}\nname: x": "",
		"name: x\nzzz: [a]":                    `line 2: unknown field "zzz"`,
		"name: x\nrows:\n- {hashs: [a]}":       `line 3: unknown field "hashs"; did you mean "hashes"?`,
		"name: x\nrows:\n- {hashes: [a]}":      "",
		"name: x\nnamed: {a: {from: x}}":       `line 2: unknown field "from"; did you mean "form"?`,
		"name: x\nnamed: {a: {form: x}}":       "",
		"name: x\nname: y":                     "line 2",
		"name: x\n---\nname: y":                "multiple",
		"name: x\nlist: {a: b}":                "line 2: list: expected a list, found fields",
		"name: [x]":                            "line 1: name: expected text, found a list",
		"name: x\nrows: [y]":                   `line 2: rows: expected fields such as "hashes:", found text`,
		"name: x\nnamed: {a: 5}":               `line 2: a: expected fields such as "form:", found a number`,
		"name: x\nnamed: {a: {form: [5]}}":     "line 2: form: expected text, found a list",
		"name: x\nrate: s3cret":                "line 2: rate: expected a number, found text",
		"name: x\nrate: true":                  "line 2: rate: expected a number, found true or false",
		"name: x\ncount: 1.5":                  "line 2: count: expected a whole number, found a number",
		"name: x\non: s3cret":                  "line 2: on: expected true or false, found text",
		"name: x\nrate: 5\ncount: 5\non: true": "",
		"name: x\nlist: [a":                    "did not find",
		"name: x\nlist: [[]]":                  "the value is empty",
		"- name: x":                            `line 1: expected fields such as "name:", found a list`,
		"name: x\nlist: !!null something":      "line 2: the value is empty",
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
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: the error shows the value: %v", text, err)
		}
	}
	var got file
	if err := strictyaml.Load([]byte("list: [a, b]"), &got); err != nil || !slices.Equal(got.List, []string{"a", "b"}) {
		t.Errorf("%+v, %v", got, err)
	}
}
