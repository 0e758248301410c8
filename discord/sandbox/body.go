package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxBody is the size of a whole request that Discord accepts.
// See https://discord.com/developers/docs/reference#uploading-files.
const maxBody = 25 << 20

// upload is one file of a multipart request.
type upload struct {
	filename, contentType string
	size                  int
}

// readBody takes in the request's body in any of the three forms that Discord
// accepts; c.body then is JSON, if the sender got it right, or empty.
func (s *Sandbox) readBody(c *call) error {
	if c.r.Body == nil || c.r.Body == http.NoBody || !methodsWithBody[c.r.Method] {
		return nil
	}
	var kind string
	var options map[string]string
	header := c.r.Header.Get("Content-Type")
	if header != "application/json" {
		kind, options, _ = mime.ParseMediaType(header)
	} else {
		kind = header
	}
	body := http.MaxBytesReader(nil, c.r.Body, maxBody)
	if kind == "multipart/form-data" {
		return s.readMultipart(c, multipart.NewReader(body, options["boundary"]))
	}
	b, err := readAll(body, c.r.ContentLength)
	if err != nil {
		return bodyError(err)
	}
	if len(b) == 0 {
		return nil
	}
	switch kind {
	case "application/json":
		c.body = b // decoding it finds out whether it is JSON
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(b))
		if err != nil {
			return errInvalidJSON
		}
		if payload := form.Get("payload_json"); payload != "" {
			c.body = []byte(payload)
		} else {
			c.body = formToJSON(form)
		}
	default:
		return invalid("", "CONTENT_TYPE_INVALID",
			`Expected "Content-Type" header to be one of {'application/json', 'application/x-www-form-urlencoded', 'multipart/form-data'}.`)
	}
	return nil
}

func readAll(r io.Reader, length int64) ([]byte, error) {
	if length > 0 && length <= maxBody {
		b := make([]byte, length)
		n, err := io.ReadFull(r, b)
		return b[:n], err
	}
	return io.ReadAll(r)
}

func bodyError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errTooLarge
	}
	return errInvalidJSON
}

func (s *Sandbox) readMultipart(c *call, parts *multipart.Reader) error {
	form := url.Values{}
	c.files = map[string]*upload{}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return bodyError(err)
		}
		name := part.FormName()
		if part.FileName() != "" && name != "payload_json" {
			n, err := io.Copy(io.Discard, part)
			if err != nil {
				return bodyError(err)
			}
			if n > int64(s.config.UploadLimit) {
				return errTooLarge
			}
			c.files[name] = &upload{filename: part.FileName(), contentType: part.Header.Get("Content-Type"), size: int(n)}
			continue
		}
		b, err := io.ReadAll(part)
		if err != nil {
			return bodyError(err)
		}
		form.Add(name, string(b))
	}
	if payload := form.Get("payload_json"); payload != "" {
		c.body = []byte(payload)
	} else if len(form) > 0 {
		c.body = formToJSON(form)
	}
	return nil
}

// formToJSON turns the fields of a form into a JSON object of text, which
// decode reads as what belongs there. A repeated field is a list.
func formToJSON(form url.Values) []byte {
	object := map[string]any{}
	for name, values := range form {
		if object[name] = values[0]; len(values) > 1 {
			object[name] = values
		}
	}
	b, _ := json.Marshal(object) // text always encodes
	return b
}

// has reports whether the body names a key, be it with null.
func (c *call) has(key string) bool {
	if c.keys == nil {
		c.keys = map[string]json.RawMessage{}
		_ = json.Unmarshal(c.body, &c.keys) // decode complains about what is no object
	}
	_, ok := c.keys[key]
	return ok
}

// reqID is a snowflake in a request, read without complaint so that the
// complaint can name its place.
type reqID struct {
	ID
	set bool
	bad string
}

func (r *reqID) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*r = reqID{}
		return nil
	}
	r.set = true
	if r.ID.UnmarshalJSON(b) != nil {
		r.bad = strings.Trim(string(b), `"`)
	}
	return nil
}

// id checks a snowflake of the form.
func (f *formError) id(path string, r reqID) {
	if r.bad != "" || r.set && r.ID == 0 && r.bad == "" {
		f.add(path, "NUMBER_TYPE_COERCE", `Value "`+r.bad+`" is not snowflake.`)
	}
}

func (f *formError) required(path string) {
	f.add(path, "BASE_TYPE_REQUIRED", "This field is required")
}

// length checks a text's number of characters.
func (f *formError) length(path, text string, least, most int) {
	n := utf8.RuneCountInString(text)
	switch {
	case n >= least && n <= most:
	case least == 0:
		f.add(path, "BASE_TYPE_MAX_LENGTH", fmt.Sprintf("Must be %d or fewer in length.", most))
	case n == 0 && text == "":
		f.required(path)
	default:
		f.add(path, "BASE_TYPE_BAD_LENGTH", fmt.Sprintf("Must be between %d and %d in length.", least, most))
	}
}

// between checks a number.
func (f *formError) between(path string, n, least, most int) {
	switch {
	case n < least:
		f.add(path, "NUMBER_TYPE_MIN", fmt.Sprintf("int value should be greater than or equal to %d.", least))
	case n > most:
		f.add(path, "NUMBER_TYPE_MAX", fmt.Sprintf("int value should be less than or equal to %d.", most))
	}
}

// query reads parameters of the URL.
type query struct {
	values url.Values
	formError
}

func (c *call) query() *query {
	if c.r.URL.RawQuery == "" {
		return &query{}
	}
	return &query{values: c.r.URL.Query()}
}

func (q *query) int(name string, def, least, most int) int {
	v := q.values.Get(name)
	if v == "" {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		q.add(name, "NUMBER_TYPE_COERCE", `Value "`+v+`" is not int.`)
		return def
	}
	q.between(name, n, least, most)
	return n
}

func (q *query) snowflake(name string) ID {
	v := q.values.Get(name)
	if v == "" {
		return 0
	}
	id, err := ParseID(v)
	if err != nil {
		q.add(name, "NUMBER_TYPE_COERCE", `Value "`+v+`" is not snowflake.`)
	}
	return id
}

// snowflakes are those of a parameter that is repeated, or that has commas.
func (q *query) snowflakes(name string) []ID {
	var out []ID
	for _, v := range strings.FieldsFunc(strings.Join(q.values[name], ","), func(r rune) bool { return r == ',' }) {
		id, err := ParseID(v)
		if err != nil {
			q.add(name, "NUMBER_TYPE_COERCE", `Value "`+v+`" is not snowflake.`)
		}
		out = append(out, id)
	}
	return out
}

func (q *query) bool(name string) bool {
	switch v := q.values.Get(name); v {
	case "True", "true", "1":
		return true
	case "False", "false", "0", "":
	default:
		q.add(name, "BOOLEAN_TYPE_PARSE", "Must be either true or false.")
	}
	return false
}
