package discord

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
)

// Name gives a request that posts a message a nonce, so that Discord stores one message
// however often it gets the request. The body stays as it is if it has a nonce, is no JSON
// object and no form with one, or is larger than 1 MiB.
// https://discord.com/developers/docs/resources/message#create-message
func (r *Request) Name(nonce string) {
	if r.Method != http.MethodPost || len(r.Body) > maxFields || !messagesRoute.MatchString(r.Path.canonical()) {
		return
	}
	mediaType, parameters, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch mediaType {
	case "application/json":
		if body, ok := named(r.Body, nonce); ok {
			r.Body = body
		}
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(r.Body))
		if err != nil || len(form[payloadJSON]) != 1 {
			return
		}
		if document, ok := named([]byte(form.Get(payloadJSON)), nonce); ok {
			form.Set(payloadJSON, string(document))
			r.Body = []byte(form.Encode())
		}
	case "multipart/form-data":
		if body, ok := namedForm(r.Body, parameters["boundary"], nonce); ok {
			r.Body = body
		}
	}
}

// named returns a JSON object with a nonce. It reports false for another value, and for an
// object that has one.
func named(document []byte, nonce string) ([]byte, bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(document, &fields) != nil || fields == nil {
		return nil, false
	}
	switch string(fields["nonce"]) {
	case "", "null", `""`:
	default:
		return nil, false
	}
	fields["nonce"], _ = json.Marshal(nonce) // a string always has JSON
	fields["enforce_nonce"] = json.RawMessage("true")
	document, err := json.Marshal(fields)
	return document, err == nil
}

// namedForm returns a form whose field payload_json has a nonce.
func namedForm(body []byte, boundary, nonce string) ([]byte, bool) {
	var out bytes.Buffer
	reader, writer := multipart.NewReader(bytes.NewReader(body), boundary), multipart.NewWriter(&out)
	if writer.SetBoundary(boundary) != nil || !bytes.Contains(body, []byte("--"+boundary+"--")) {
		return nil, false
	}
	found := false
	for {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, false
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil, false
		}
		if part.FormName() == payloadJSON {
			var ok bool
			if content, ok = named(content, nonce); !ok || found || strings.TrimSpace(part.Header.Get("Content-Transfer-Encoding")) != "" {
				return nil, false
			}
			found = true
			part.Header.Del("Content-Length")
		}
		to, err := writer.CreatePart(part.Header)
		if err != nil {
			return nil, false
		}
		_, _ = to.Write(content) // to a buffer
	}
	if writer.Close() != nil || !found {
		return nil, false
	}
	return out.Bytes(), true
}
