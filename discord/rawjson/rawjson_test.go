package rawjson_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"discordproxy/discord/rawjson"
)

// FuzzParse compares all values of a document with what encoding/json decodes.
func FuzzParse(f *testing.F) {
	for _, document := range []string{
		"", "null", " 1 ", "-0.5e3", `"a\"]}"`, "{}", "[ ]", " { } ", `{"a":1}x`, `{"a":`, "{'a':1}", "\ufeff{}",
		`{"id":"1","id":2,"Id":3,"a":{"id":4},"b":[{"id":5},"\\",""]}`,
		"\t{ \"\\u0069d\" : \"\\u0031\" ,\r\n\"x\" : [ 1 , [ ] , { } , true , false , null ] } ",
		"{\"a\xff\":\"\xff\",\"\\ud800\":\"\\ud800\"}",
	} {
		f.Add([]byte(document))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		v, ok := rawjson.Parse(document)
		if ok != json.Valid(document) {
			t.Fatalf("%q: %t", document, ok)
		}
		if !ok {
			return
		}
		var want any
		d := json.NewDecoder(bytes.NewReader(document))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if got := rebuild(t, v); !reflect.DeepEqual(got, want) {
			t.Errorf("%q became %v, not %v", document, got, want)
		}
		if got := v.Decoded(); !reflect.DeepEqual(got, want) {
			t.Errorf("%q was decoded to %v, not %v", document, got, want)
		}
	})
}

// rebuild decodes a value by its parts.
func rebuild(t *testing.T, v rawjson.Value) any {
	t.Helper()
	empty := true
	switch {
	case v.IsObject():
		o := make(map[string]any)
		for name, member := range v.Members {
			o[string(name)], empty = rebuild(t, member), false
		}
		for name, want := range o {
			if got := rebuild(t, v.Member(name)); !reflect.DeepEqual(got, want) {
				t.Errorf("member %q is %v, not %v", name, got, want)
			}
		}
		if v.IsEmpty() != empty || v.Text() != nil {
			t.Errorf("%q: empty %t, text %q", v, v.IsEmpty(), v.Text())
		}
		return o
	case v.IsList():
		list := []any{}
		for element := range v.Elements {
			list, empty = append(list, rebuild(t, element)), false
		}
		if v.IsEmpty() != empty || v.Text() != nil {
			t.Errorf("%q: empty %t, text %q", v, v.IsEmpty(), v.Text())
		}
		return list
	case v.IsNull():
		return nil
	case v.IsBool():
		return string(v) == "true"
	case v[0] == '"':
		return string(v.Text())
	}
	return json.Number(v.Text())
}

func TestSnowflake(t *testing.T) {
	for text, want := range map[string]rawjson.Snowflake{
		`"18446744073709551615"`: 1<<64 - 1,
		`"18446744073709551616"`: 0,
		`"\u0031"`:               1,
		`17`:                     17,
		`-17`:                    0,
		`1.5`:                    0,
		`""`:                     0,
		`"x"`:                    0,
		`null`:                   0,
		`true`:                   0,
		`["1"]`:                  0,
		`{"id":"1"}`:             0,
	} {
		got := struct{ ID rawjson.Snowflake }{99}
		if err := json.Unmarshal([]byte(`{"ID": `+text+` }`), &got); err != nil || got.ID != want {
			t.Errorf("%s became %d, %v, want %d", text, got.ID, err, want)
		}
	}
}
