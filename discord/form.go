package discord

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// payloadJSON is the part of a form with files that holds the JSON body.
// https://discord.com/developers/docs/reference#uploading-files
const payloadJSON = "payload_json"

// maxParts bounds the parts of a form. Discord takes 10 files.
const maxParts = 100

// formPart is a part of a form.
type formPart struct {
	name     string
	filename string // empty for a field
	isFile   bool
	mimeType string // empty for none
	content  []byte
}

// validBoundary is what may be a boundary.
// https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1
var validBoundary = regexp.MustCompile(`^[0-9A-Za-z'()+_,./:=?-]{1,70}$`)

var (
	errNoForm   = errors.New("the form does not begin with its boundary")
	errBoundary = errors.New("something like the boundary is within a part of the form")
)

// readForm reads a form as RFC 7578 and RFC 2046 demand it: what a parser could
// read in another way is refused. That is everything before the first and after
// the last boundary, a boundary that is not a line of its own, a form that
// breaks off, and headers of parts that are unknown or there twice.
// The parts share body's memory.
func readForm(body []byte, boundary string) ([]formPart, error) {
	if !validBoundary.MatchString(boundary) {
		return nil, errors.New("the form has no proper boundary")
	}
	delimiter := []byte("--" + boundary)
	rest, found := bytes.CutPrefix(body, delimiter)
	if !found {
		return nil, errNoForm
	}
	var parts []formPart
	names := make(map[string]bool)
	for {
		if rest, found = bytes.CutPrefix(rest, []byte("\r\n")); !found {
			return nil, errBoundary
		}
		head, after, found := bytes.Cut(rest, []byte("\r\n\r\n"))
		if !found {
			return nil, errors.New("the form breaks off")
		}
		part, err := readPartHead(head)
		if err != nil {
			return nil, err
		}
		part.content, rest, found = bytes.Cut(after, append([]byte("\r\n"), delimiter...))
		if !found {
			return nil, errors.New("the form breaks off: the last boundary is missing")
		}
		if i := bytes.Index(part.content, delimiter); i == 0 || i > 0 && (part.content[i-1] == '\n' || part.content[i-1] == '\r') {
			return nil, errBoundary
		}
		if err := part.check(names); err != nil {
			return nil, err
		}
		if parts = append(parts, part.formPart); len(parts) > maxParts {
			return nil, fmt.Errorf("the form has more than %d parts", maxParts)
		}
		if end, last := bytes.CutPrefix(rest, []byte("--")); last {
			if len(end) > 0 && string(end) != "\r\n" {
				return nil, errors.New("there is something behind the form")
			}
			return parts, nil
		}
	}
}

// partHead is a part whose headers were read.
type partHead struct {
	formPart
	length string // its Content-Length, empty for none
}

// check refuses a part whose length differs from its Content-Length, and a repeated
// field.
func (p *partHead) check(names map[string]bool) error {
	if p.length != "" && p.length != strconv.Itoa(len(p.content)) {
		return errors.New("a part of the form has another length than it says")
	}
	if filePart.MatchString(p.name) {
		return nil
	}
	lower := strings.ToLower(p.name)
	if names[lower] {
		return fmt.Errorf("the form has the part %.40q twice", p.name)
	}
	names[lower] = true
	return nil
}

func readPartHead(head []byte) (p partHead, err error) {
	if !utf8.Valid(head) {
		return p, errors.New("the headers of a part are not UTF-8")
	}
	seen := make(map[string]bool)
	for line := range strings.SplitSeq(string(head), "\r\n") {
		name, value, found := strings.Cut(line, ":")
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		if !found || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return p, errors.New("a part of the form has a malformed header")
		}
		if seen[name] {
			return p, fmt.Errorf("a part of the form has the header %.40q twice", name)
		}
		seen[name] = true
		switch name {
		case "content-disposition":
			err = p.dispose(value)
		case "content-type":
			if p.mimeType, err = partType(value); err != nil {
				err = fmt.Errorf("a part of the form has a type that is not understood: %w", err)
			}
		case "content-length":
			p.length = value
		case "content-transfer-encoding":
			switch strings.ToLower(value) {
			case "7bit", "8bit", "binary": // which is no encoding
			default:
				err = errors.New("a part of the form is encoded")
			}
		default:
			err = fmt.Errorf("a part of the form has the unknown header %.40q", name)
		}
		if err != nil {
			return p, err
		}
	}
	if p.name == "" {
		return p, errors.New("a part of the form has no name")
	}
	return p, nil
}

// partType returns the media type of a part in the one spelling that it has.
func partType(value string) (string, error) {
	mediaType, parameters, err := mime.ParseMediaType(value)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(mediaType, "multipart/") || strings.HasPrefix(mediaType, "message/") {
		return "", errors.New("there are parts within it")
	}
	written := mime.FormatMediaType(mediaType, parameters)
	if written == "" || strings.Contains(written, "*") {
		return "", errors.New("it cannot be written again")
	}
	return written, nil
}

// dispose reads the value of a Content-Disposition.
func (p *partHead) dispose(value string) error {
	kind, rest, _ := strings.Cut(value, ";")
	if !strings.EqualFold(strings.TrimRight(kind, " \t"), "form-data") {
		return errors.New("a part is not one of a form")
	}
	seen := make(map[string]bool)
	for more := true; more; {
		var name, text string
		var ok bool
		if name, text, rest, more, ok = cutParameter(rest); !ok {
			return errors.New("the Content-Disposition of a part is malformed")
		}
		if seen[name] {
			return fmt.Errorf("the Content-Disposition of a part has the parameter %q twice", name)
		}
		seen[name] = true
		switch name {
		case "name":
			p.name = text
		case "filename":
			if p.isFile = true; !seen["filename*"] {
				p.filename = text
			}
		case "filename*":
			if p.isFile, p.filename, ok = true, "", false; len(text) >= len(extendedUTF8) &&
				strings.EqualFold(text[:len(extendedUTF8)], extendedUTF8) {
				decoded, err := url.PathUnescape(text[len(extendedUTF8):])
				p.filename, ok = decoded, err == nil && utf8.ValidString(decoded) && !strings.ContainsFunc(decoded, unicode.IsControl)
			}
			if !ok {
				return errors.New("the filename of a part is malformed")
			}
		default:
			return fmt.Errorf("the Content-Disposition of a part has the parameter %.40q, which parsers read in several ways", name)
		}
	}
	return nil
}

// extendedUTF8 begins a parameter in UTF-8, of no language.
// https://www.rfc-editor.org/rfc/rfc8187
const extendedUTF8 = "UTF-8''"

// cutParameter reads the first of the parameters in text, which a semicolon
// separates. A backslash escapes a quotation mark or a backslash; in front of
// anything else it is one itself, as in the filenames of browsers.
func cutParameter(text string) (name, value, rest string, more, ok bool) {
	name, text, ok = strings.Cut(text, "=")
	name = strings.ToLower(strings.Trim(name, " \t"))
	if !ok || name == "" || strings.ContainsAny(name, ` ";\`) {
		return "", "", "", false, false
	}
	if !strings.HasPrefix(text, `"`) {
		value, rest, more = strings.Cut(text, ";")
		value = strings.TrimRight(value, " \t")
		return name, value, rest, more, value != "" && !strings.ContainsAny(value, " \t\"\\,=()<>@:/[]?{}")
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			rest = strings.TrimLeft(text[i+1:], " \t")
			ok = rest == "" || rest[0] == ';'
			if ok && rest != "" {
				rest, more = rest[1:], true
			}
			return name, b.String(), rest, more, ok
		case c == '\\' && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\'):
			i++
			fallthrough
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", "", false, false
}

// filePart are the names of parts that hold files.
var filePart = regexp.MustCompile(`^(files?[0-9]*|files\[[0-9]+\])$`)

// part finds the targets in a part of a form. A file is not looked into, unless
// it is in the place of a field, such as the image of a sticker.
func (f *fields) part(p *formPart) error {
	switch {
	case p.name == payloadJSON:
		p.isFile, p.mimeType = false, "application/json"
		return f.json(p.content, false)
	case filePart.MatchString(p.name):
		return nil
	case !p.isFile:
		p.mimeType = ""
		return f.plain(p.name, string(p.content))
	}
	if err := f.plain(p.name, ""); err != nil || !json.Valid(p.content) {
		return err
	}
	return f.json(p.content, false)
}

// writeForm writes a form that every parser reads the same. Its boundary is
// random, so that nobody can have put it into a part.
func writeForm(parts []formPart) (contentType string, body []byte) {
	boundary := rand.Text()
	size := 0
	for _, p := range parts {
		size += len(p.content) + len(p.name) + len(p.filename) + len(p.mimeType) + 200
	}
	b := bytes.NewBuffer(make([]byte, 0, size))
	for _, p := range parts {
		b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + p.name + `"`)
		if p.isFile {
			b.WriteString(`; filename="` + inQuotes.Replace(p.filename) + `"`)
		}
		if p.mimeType != "" {
			b.WriteString("\r\nContent-Type: " + p.mimeType)
		}
		b.WriteString("\r\n\r\n")
		b.Write(p.content)
		b.WriteString("\r\n")
	}
	b.WriteString("--" + boundary + "--\r\n")
	return "multipart/form-data; boundary=" + boundary, b.Bytes()
}

// inQuotes writes what a filename must not have between quotation marks as
// browsers do. Parsers disagree about a backslash.
// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data
var inQuotes = strings.NewReplacer(`"`, "%22", `\`, "%5C", "\r", "%0D", "\n", "%0A")
