package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	command "discordproxy/cli"

	"github.com/itchyny/gojq"
	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// formats are the values of --output.
var formats = []string{"text", "json", "yaml"}

// outputFlags say what is written, and how.
func outputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name:        "output",
			Aliases:     []string{"o"},
			DefaultText: "text",
			Usage:       "`FORMAT` of responses and errors: text, json (one line for each response) or yaml",
		},
		&cli.StringFlag{Name: "jq", Usage: "jq `EXPRESSION` to apply to the JSON of each response; strings are printed without quotes"},
		&cli.BoolFlag{Name: "json", Usage: "print only the API's response, as a line of JSON"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print no confirmation"},
		&cli.BoolFlag{Name: "dry-run", Usage: "print the call and the rate limits that apply to it, without sending it"},
	}
}

// output writes answers as the options say.
type output struct {
	out    io.Writer
	format string // of formats
	// asked is whether --output was given.
	asked bool
	// bare is whether only the answer of the API is written, without additions.
	bare   bool
	query  *gojq.Code // nil without --jq
	quiet  bool
	second bool // something was written
}

// newOutput reads outputFlags.
func newOutput(c *cli.Context, out io.Writer) (*output, error) {
	o := &output{out: out, format: "text", asked: c.IsSet("output"), bare: c.Bool("json"), quiet: c.Bool("quiet")}
	if format := c.String("output"); o.asked {
		if !isFormat(format) {
			return nil, command.Misuse(fmt.Errorf("--output %q is not one of %s", format, strings.Join(formats, ", ")))
		}
		if o.bare && format != "json" {
			return nil, command.Misuse(errors.New("--json and --output " + format + " cannot be used together"))
		}
		o.format, o.bare = format, false
	} else if o.bare {
		o.format = "json"
	}
	if expression := c.String("jq"); expression != "" {
		query, err := gojq.Parse(expression)
		if err == nil {
			o.query, err = gojq.Compile(query)
		}
		if err != nil {
			return nil, command.Misuse(fmt.Errorf("--jq: %s", oneLine(err.Error())))
		}
		if o.asked && o.format == "text" {
			return nil, command.Misuse(errors.New("--jq and --output text cannot be used together"))
		}
		if o.format == "text" {
			o.format = "json"
		}
	}
	return o, nil
}

func isFormat(name string) bool {
	for _, f := range formats {
		if f == name {
			return true
		}
	}
	return false
}

// structured reports whether answers are written as data instead of text.
func (o *output) structured() bool { return o.format != "text" }

// write writes a message of the API, or a value for its JSON form, as data.
func (o *output) write(answer any) error {
	value, err := plain(answer)
	if err != nil {
		return err
	}
	if o.query == nil {
		return o.value(value)
	}
	results := o.query.Run(value)
	for {
		result, ok := results.Next()
		if !ok {
			return nil
		}
		if err, failed := result.(error); failed {
			if halted, ok := errors.AsType[*gojq.HaltError](err); ok && halted.Value() == nil {
				return nil
			}
			return fmt.Errorf("the call succeeded, but --jq failed on the response: %s", oneLine(err.Error()))
		}
		if text, ok := result.(string); ok {
			if _, err := fmt.Fprintln(o.out, text); err != nil {
				return err
			}
			continue
		}
		if err := o.value(result); err != nil {
			return err
		}
	}
}

func (o *output) value(value any) error {
	data, err := encode(o.format, value)
	if err != nil {
		return err
	}
	if o.format == "yaml" && o.second {
		data = append([]byte("---\n"), data...)
	}
	o.second = true
	_, err = o.out.Write(data)
	return err
}

// encode returns a value as a line of JSON, or as YAML.
func encode(format string, value any) ([]byte, error) {
	if format == "yaml" {
		return yaml.Marshal(value)
	}
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return line.Bytes(), err
}

// plain returns the JSON form of an answer as maps, slices and scalars. Fields of
// a message that are not set are left out.
func plain(answer any) (any, error) {
	data, err := marshal(answer)
	if err != nil {
		return nil, err
	}
	var value any
	err = json.Unmarshal(data, &value)
	return whole(value), err
}

// whole turns numbers that are whole into ints, which have no exponent in YAML.
func whole(value any) any {
	switch v := value.(type) {
	case float64:
		if n := int(v); float64(n) == v {
			return n
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = whole(v[key])
		}
	}
	return value
}

func marshal(answer any) ([]byte, error) {
	if m, ok := answer.(proto.Message); ok {
		return protojson.Marshal(m)
	}
	return json.Marshal(answer)
}

// compact returns the JSON form of a message as a line.
func compact(m proto.Message) (string, error) {
	data, err := protojson.Marshal(m)
	if err != nil {
		return "", err
	}
	// The library varies its spaces from build to build.
	var line bytes.Buffer
	err = json.Compact(&line, data)
	return line.String(), err
}

// writeBare writes the answer of the API as a line of JSON.
func (o *output) writeBare(m proto.Message) error {
	line, err := compact(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(o.out, line)
	return err
}

// oneLine makes a text of others safe for a terminal and one line.
func oneLine(text string) string {
	text = strings.ReplaceAll(text, "\n", "; ")
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, text)
}
