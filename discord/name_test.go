package discord_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"discordproxy/discord"
)

// TestName: a request that posts a message gets a nonce if it has none and can have one.
// Everything else in it stays.
func TestName(t *testing.T) {
	const form, files, document = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "application/json"
	multi := func(payload string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"a\"\r\nContent-Type: text/plain\r\n\r\n\x00--c\r\n\r\n" +
			"--b\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n" + payload + "\r\n--b--\r\n"
	}
	const posts = "/api/v10/channels/1/messages"
	for name, tt := range map[string]struct {
		method, path, contentType, body string
		want                            string // the document afterwards, "" if the body stays as it is
	}{
		"document":         {body: `{"content":"a","x":12345678901234567890}`, want: `{"content":"a","enforce_nonce":true,"nonce":"N","x":12345678901234567890}`},
		"null nonce":       {body: `{"nonce":null,"enforce_nonce":false}`, want: `{"enforce_nonce":true,"nonce":"N"}`},
		"empty nonce":      {body: `{"nonce":""}`, want: `{"enforce_nonce":true,"nonce":"N"}`},
		"own nonce":        {body: `{"nonce":"own"}`},
		"number":           {body: `{"nonce":1}`},
		"no object":        {body: `[]`},
		"null":             {body: `null`},
		"no document":      {body: `{`},
		"large":            {body: `{"content":"` + strings.Repeat("a", 1<<20) + `"}`},
		"form":             {contentType: form, body: url.Values{"payload_json": {`{"content":"a&b"}`}, "x": {"="}}.Encode(), want: `{"content":"a\u0026b","enforce_nonce":true,"nonce":"N"}`},
		"form of fields":   {contentType: form, body: "content=a"},
		"two documents":    {contentType: form, body: "payload_json=%7B%7D&payload_json=%7B%7D"},
		"files":            {contentType: files, body: multi(`{"content":"a"}`), want: `{"content":"a","enforce_nonce":true,"nonce":"N"}`},
		"files, own nonce": {contentType: files, body: multi(`{"nonce":"own"}`)},
		"broken form":      {contentType: files, body: strings.TrimSuffix(multi(`{}`), "--\r\n")},
		"no boundary":      {contentType: "multipart/form-data", body: multi(`{}`)},
		"another type":     {contentType: "text/plain", body: `{}`},
		"webhook":          {path: "/api/webhooks/1/token", body: `{}`},
		"thread":           {path: "/api/channels/1/threads", body: `{}`},
		"edit":             {method: http.MethodPatch, path: "/api/channels/1/messages/2", body: `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			contentType, path, method := document, posts, http.MethodPost
			if tt.contentType != "" {
				contentType = tt.contentType
			}
			if tt.path != "" {
				path = tt.path
			}
			if tt.method != "" {
				method = tt.method
			}
			apiPath, err := discord.ParseAPIPath(path)
			if err != nil {
				t.Fatal(err)
			}
			r := &discord.Request{Method: method, Path: apiPath, Header: http.Header{"Content-Type": {contentType}}, Body: []byte(tt.body)}
			r.Name("N")
			if tt.want == "" {
				if string(r.Body) != tt.body {
					t.Errorf("the body became %.200q", r.Body)
				}
				return
			}
			if !r.IsRepeatable() {
				t.Errorf("%q cannot be repeated", r.Body)
			}
			got := string(r.Body)
			switch contentType {
			case form:
				values, err := url.ParseQuery(got)
				if err != nil || values.Get("x") != "=" {
					t.Errorf("%q, %v", got, err)
				}
				got = values.Get("payload_json")
			case files:
				got = inForm(t, contentType, r.Body)
			}
			if got != tt.want || !json.Valid([]byte(got)) {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// inForm returns the document in a form, whose file must be that of TestName.
func inForm(t *testing.T, contentType string, body []byte) (document string) {
	t.Helper()
	_, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	for reader := multipart.NewReader(bytes.NewReader(body), parameters["boundary"]); ; {
		part, err := reader.NextRawPart()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			return document
		}
		content, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		if part.FormName() == "payload_json" {
			document = string(content)
		} else if part.FileName() != "a" || part.Header.Get("Content-Type") != "text/plain" || string(content) != "\x00--c\r\n" {
			t.Errorf("a file %q became %q", part.FileName(), content)
		}
	}
}
