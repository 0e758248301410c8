package dropin

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// outcome is what a client sees of a call, and what the call did.
type outcome struct {
	OK     json.RawMessage // result of the call
	Error  string          // class of the exception
	GRPC   string          // gRPC status
	Status *int            // Discord's HTTP status
	Code   *int            // Discord's code
	Text   string

	stored int      // messages that Discord has because of the call
	calls  []string // calls to Discord, where a case asks for them
}

// facts are the parts of an outcome by name, as texts. The part without a name
// says how the call ended.
type facts map[string]string

func (o outcome) facts(isMessage bool) facts {
	f := make(facts)
	switch {
	case o.Error == "":
		var result any
		if err := json.Unmarshal(o.OK, &result); err != nil {
			panic(err) // the driver writes JSON
		}
		f[""] = "OK"
		if object, ok := result.(map[string]any); ok && len(object) == 0 {
			f[""] = "OK with an empty answer"
		}
		f.flatten("", result)
	case o.Status != nil:
		f[""] = fmt.Sprintf("`%s`: %d, code %d, %s", o.Error, *o.Status, *o.Code, quote(o.Text))
	case o.Error == "RpcError":
		f[""] = "`" + o.GRPC + "`"
		var details any
		if json.Unmarshal([]byte(o.Text), &details) == nil {
			f.flatten("details", details)
		} else {
			f[""] += ": " + quote(o.Text)
		}
	case o.GRPC != "":
		f[""] = fmt.Sprintf("`%s`: `%s`, %s", o.Error, o.GRPC, quote(o.Text))
	default:
		f[""] = fmt.Sprintf("`%s`: %s", o.Error, quote(o.Text))
	}
	// A success means one message, and an error none.
	if sent := f[""] == "OK" && isMessage; sent && o.stored != 1 || !sent && o.stored != 0 {
		f["messages sent"] = fmt.Sprint(o.stored)
	}
	if o.calls != nil {
		f = facts{"": f[""]}
		f["calls"] = strings.Join(o.calls, ", ")
	}
	return f
}

// flatten adds the fields of a result. Elements of lists are named by their
// name, where they have one.
func (f facts) flatten(path string, value any) {
	below := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	switch value := value.(type) {
	case map[string]any:
		for name, field := range value {
			f.flatten(below(name), field)
		}
	case []any:
		for i, element := range value {
			name := fmt.Sprint(i)
			if object, ok := element.(map[string]any); ok && path == "" {
				name = fmt.Sprint(object["name"])
			}
			f.flatten(below(name), element)
		}
	default:
		f[path] = "`" + volatile(fmt.Sprint(value)) + "`"
	}
}

var changing = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`\b1[5-9]\d{17}\b`), "ID"}, // of what the sandbox makes
	// The client and the server notice the end of a deadline at the same time;
	// the server's words reach the caller when it is the first.
	{regexp.MustCompile(`(?i)^(Stream removed \()?deadline exceeded(; outcome unknown: the call may have taken effect)?\)?$`), "Deadline Exceeded"},
	{regexp.MustCompile(`processors=.*`), "..."}, // of this machine
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\d[T ][\d:.,+]+`), "TIME"},
	{regexp.MustCompile(`(127\.0\.0\.1|localhost):\d+`), "ADDRESS"},
	{regexp.MustCompile(`\b(\d+m)?\d+(\.\d+)?m?s\b`), "N s"},
}

// volatile replaces what differs between two runs.
func volatile(text string) string {
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.word)
	}
	return text
}

// quote writes a text for a cell of a table.
func quote(text string) string {
	const longest = 300
	text = volatile(strings.TrimSpace(text))
	if text == "" {
		return "no text"
	}
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = "`" + strings.ReplaceAll(strings.TrimRight(line, "\r"), "|", `\|`) + "`"
	}
	return strings.Join(lines, " ")
}

// differences returns what differs between two outcomes as two cells of a
// table, empty if nothing does. Ignored names are left out.
func differences(old, new facts, ignored []string) (string, string) {
	names := make(map[string]bool)
	for _, f := range []facts{old, new} {
		for name := range f {
			names[name] = true
		}
	}
	var cells [2][]string
	ended := old[""] == new[""] // otherwise only the results are of interest
	var without [2][]string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if old[name] == new[name] || slices.ContainsFunc(ignored, func(i string) bool { return name == i || strings.HasPrefix(name, i+".") }) {
			continue
		}
		for side, f := range []facts{old, new} {
			value, set := f[name]
			_, both := []facts{new, old}[side][name]
			switch {
			case name == "":
				cells[side] = append(cells[side], value)
			case !set && name == "messages sent":
			case name == "messages sent":
				cells[side] = append(cells[side], "messages sent: "+value)
			case !ended:
			case !set:
				without[side] = append(without[side], "`"+name+"`")
			case name == "calls":
				cells[side] = append(cells[side], value)
			case both:
				cells[side] = append(cells[side], "`"+name+"`: "+value)
			}
		}
	}
	for side, names := range without {
		if len(names) > 0 {
			cells[side] = append(cells[side], "without "+strings.Join(names, ", "))
			cells[1-side] = append(cells[1-side], "with "+strings.Join(names, ", "))
		}
	}
	for side := range cells {
		if len(cells[side]) == 0 && len(cells[1-side]) > 0 {
			cells[side] = []string{"as expected"}
		}
	}
	return strings.Join(cells[0], "; "), strings.Join(cells[1], "; ")
}
