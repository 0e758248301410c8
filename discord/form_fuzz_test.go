package discord_test

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"discordproxy/discord"
)

// field is a part of a form as a parser reads it.
type field struct{ name, content string }

// readByGo is the reading of mime/multipart.
func readByGo(contentType string, body []byte) (fields []field, ok bool) {
	_, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, false
	}
	form := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	for {
		part, err := form.NextRawPart()
		if errors.Is(err, io.EOF) {
			return fields, true
		}
		if err != nil {
			return nil, false
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil, false
		}
		fields = append(fields, field{part.FormName(), string(content)})
	}
}

var (
	nameParameter = regexp.MustCompile(`(?i)[; \t]name=("[^"]*"|[^;"\s]*)`)
	extendedName  = regexp.MustCompile(`(?i)[; \t]name\*=(?:utf-8'[^']*')?("[^"]*"|[^;"\s]*)`)
)

// readLeniently is the reading of a parser that splits at every boundary at the
// beginning of a line, however lines end, ignores what is before, behind and
// missing, and takes the last header of a name. With extended, name* takes
// precedence over name.
func readLeniently(contentType string, body []byte, extended bool) (fields []field) {
	at := strings.LastIndex(strings.ToLower(contentType), "boundary=")
	if at < 0 {
		return nil
	}
	boundary, _, _ := strings.Cut(contentType[at+len("boundary="):], ";")
	boundary = strings.Trim(boundary, `" `)
	if boundary == "" {
		return nil
	}
	lines := regexp.MustCompile(`(?:^|\r\n|\n|\r)--` + regexp.QuoteMeta(boundary))
	sections := lines.Split(string(body), -1)
	for _, section := range sections[1:] {
		if strings.HasPrefix(section, "--") {
			break
		}
		_, section, _ = strings.Cut(section, "\n")
		blank := regexp.MustCompile(`\r?\n\r?\n`).FindStringIndex("\n" + section)
		if blank == nil {
			continue
		}
		head, content := ("\n" + section)[:blank[0]], ("\n" + section)[blank[1]:]
		name := ""
		for line := range strings.SplitSeq(head, "\n") {
			key, value, _ := strings.Cut(line, ":")
			if !strings.EqualFold(strings.TrimSpace(key), "content-disposition") {
				continue
			}
			for _, pattern := range []*regexp.Regexp{nameParameter, extendedName}[:1+map[bool]int{true: 1}[extended]] {
				if found := pattern.FindAllStringSubmatch(value, -1); found != nil {
					name = strings.Trim(found[len(found)-1][1], `"`)
				}
			}
		}
		fields = append(fields, field{name, content})
	}
	return fields
}

// FuzzForm: a form that is passed on for a client with rules is read the same by
// this server and by parsers of other kinds, and is what was understood of the
// form that came.
func FuzzForm(f *testing.F) {
	const head = "Content-Disposition: form-data; name="
	for _, body := range []string{
		"--b\r\n" + head + "\"payload_json\"\r\n\r\n{\"content\":\"x\"}\r\n--b\r\n" + head + "\"files[0]\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
		"--b\r\n" + head + "x; name*=utf-8''payload_json\r\n\r\n{}\r\n--b--\r\n",
		"--b\r\n" + head + "\"a\"\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n{}\r\n--b--",
		"--b\r\n" + head + "\"files[0]\"; filename*=UTF-8''%C3%A4\r\n\r\nx\n--b\n" + head + "payload_json\n\n{}\r\n--b--\r\n",
		"preamble\r\n--b\r\n" + head + "\"a\"\r\n\r\nx\r\n--b--\r\nepilogue",
		"--b\r\n" + head + "\"a\"\r\n\r\nx", "nothing", "--b--\r\n",
	} {
		f.Add("multipart/form-data; boundary=b", []byte(body))
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		path, err := discord.ParseAPIPath("/api/v10/channels/7/messages")
		if err != nil {
			t.Fatal(err)
		}
		r := &discord.Request{Method: http.MethodPost, Path: path, Header: http.Header{"Content-Type": {contentType}}, Body: slices.Clone(body)}
		if r.ReadHead() != nil || len(body) == 0 {
			return
		}
		if _, err := r.Read(); err != nil {
			return
		}
		passed := r.Header.Get("Content-Type")
		if !strings.HasPrefix(passed, "multipart/form-data") {
			return
		}
		want, ok := readByGo(passed, r.Body)
		if !ok || len(want) == 0 {
			t.Fatalf("what is passed on is no form for Go: %q", r.Body)
		}
		for _, extended := range []bool{false, true} {
			if got := readLeniently(passed, r.Body, extended); !slices.Equal(got, want) {
				t.Fatalf("passed on as %q\nread as    %q\nby others  %q", r.Body, want, got)
			}
		}
		if came, ok := readByGo(contentType, body); !ok || !slices.Equal(came, want) {
			t.Fatalf("came as    %q\nread as    %q\npassed on  %q", body, came, want)
		}
	})
}
