package rpc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	// MaxErrorMessage bounds an error message in bytes as gRPC writes it, that
	// is percent-encoded. grpcio refuses an answer with more than 8 KiB of
	// metadata and makes another error of it, and other headers need space too.
	MaxErrorMessage = 4000

	// maxErrorMetadata bounds the message together with the details, which
	// gRPC sends in the same metadata, in base64 and with the message once more.
	maxErrorMetadata = 7000

	// ellipsis ends a message that was cut.
	ellipsis = "..."
)

// boundError returns err such that every client can receive it: the message is
// cut by boundMessage, and details are left out from the last one on when they
// do not fit. Code and metadata are kept. An err that fits is returned as it is.
func boundError(err error) error {
	if err == nil {
		return nil
	}
	source, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return boundPlainError(err)
	}
	bounded := boundMessage(source.Message(), MaxErrorMessage)
	kept := fittingDetails(source, bounded)
	if bounded == source.Message() && kept == len(source.Details()) {
		return err
	}
	result := connect.NewError(source.Code(), errors.New(bounded))
	for _, detail := range source.Details()[:kept] {
		result.AddDetail(detail)
	}
	for key, values := range source.Meta() {
		result.Meta()[key] = values
	}
	return result
}

// Text returns what the caller of a call that failed with err may read of it: the
// message of a status, without its code. Any other error is for callers as it is.
func Text(err error) string {
	if status, ok := errors.AsType[*connect.Error](err); ok {
		return status.Message()
	}
	return err.Error()
}

// boundPlainError bounds an error to which connect gives the code.
func boundPlainError(err error) error {
	message := err.Error()
	bounded := boundMessage(message, MaxErrorMessage)
	if bounded == message {
		return err
	}
	code, _ := ContextCode(err)
	return connect.NewError(code, errors.New(bounded))
}

// fittingDetails returns how many of err's details fit in addition to message.
func fittingDetails(err *connect.Error, message string) int {
	details := err.Details()
	if len(details) == 0 {
		return 0
	}
	// The size of the status is that of its parts, each with a tag and a
	// length of at most 5 bytes more.
	const perPart = 6
	s := &status.Status{Code: int32(err.Code()), Message: message}
	size := proto.Size(s)
	limit := maxErrorMetadata - percentEncodedLen(message)
	for i, detail := range details {
		size += len("type.googleapis.com/") + len(detail.Type()) + len(detail.Bytes()) + 3*perPart
		if base64.RawStdEncoding.EncodedLen(size) > limit {
			return i
		}
	}
	return len(details)
}

// boundMessage returns message such that its percent-encoded form has at most
// limit bytes. A message that is a JSON object with a string "text" stays one:
// its text is cut and all else kept byte by byte. Any other message is cut at
// the end. Cuts are made between runes.
func boundMessage(message string, limit int) string {
	message = strings.ToValidUTF8(message, "\uFFFD")
	if percentEncodedLen(message) <= limit {
		return message
	}
	if bounded, ok := boundDocument(message, limit); ok {
		return bounded
	}
	return cutText(message, limit)
}

// boundDocument cuts the text of an error document. It reports false when
// message is none.
func boundDocument(message string, limit int) (string, bool) {
	if !strings.HasPrefix(strings.TrimLeft(message, " \t\r\n"), "{") || !json.Valid([]byte(message)) {
		return "", false
	}
	start, end, ok := findText(message)
	if !ok {
		return "", false
	}
	var text string
	if err := json.Unmarshal([]byte(message[start:end]), &text); err != nil {
		return "", false
	}
	space := limit - percentEncodedLen(message[:start]) - percentEncodedLen(message[end:])
	if literal, ok := cutLiteral(text, space); ok {
		return message[:start] + literal + message[end:], true
	}
	return boundKnownFields(message, limit)
}

// boundKnownFields is for a document that is too long without its text: what
// is known of it is kept.
func boundKnownFields(message string, limit int) (string, bool) {
	var doc struct {
		Type   json.RawMessage `json:"type,omitempty"`
		Status json.RawMessage `json:"status,omitempty"`
		Code   json.RawMessage `json:"code,omitempty"`
		Text   string          `json:"text"`
	}
	if err := json.Unmarshal([]byte(message), &doc); err != nil {
		return "", false
	}
	doc.Text = ""
	for _, field := range []*json.RawMessage{&doc.Type, &doc.Status, &doc.Code} {
		if len(*field) > 64 {
			*field = nil
		}
	}
	data, err := json.Marshal(doc)
	if err != nil || percentEncodedLen(string(data)) > limit {
		return "", false
	}
	return string(data), true
}

// findText returns the position of the value of the top-level key "text" in a
// valid JSON object. Of several such keys it takes the last, as readers do.
func findText(doc string) (start, end int, found bool) {
	decoder := json.NewDecoder(strings.NewReader(doc))
	if _, err := decoder.Token(); err != nil {
		return 0, 0, false
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return 0, 0, false
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return 0, 0, false
		}
		if key == "text" {
			end = int(decoder.InputOffset())
			start = end - len(value)
			found = len(value) > 0 && value[0] == '"'
		}
	}
	return start, end, found
}

// cutLiteral returns the longest start of text, with an ellipsis, whose JSON
// literal fits into space percent-encoded bytes. It reports false when not even
// the empty literal does.
func cutLiteral(text string, space int) (string, bool) {
	if percentEncodedLen(`""`) > space {
		return "", false
	}
	used := percentEncodedLen(`"` + ellipsis + `"`)
	if used > space {
		return `""`, true
	}
	cut := 0
	for i, r := range text {
		used += percentEncodedLen(jsonLiteral(string(r))) - percentEncodedLen(`""`)
		if used > space {
			break
		}
		cut = i + utf8.RuneLen(r)
	}
	return jsonLiteral(text[:cut] + ellipsis), true
}

// jsonLiteral is text as a JSON string, with <, > and & as they are.
func jsonLiteral(text string) string {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	// A string always has a literal.
	_ = encoder.Encode(text)
	return strings.TrimSuffix(buf.String(), "\n")
}

// cutText returns the longest start of text, with an ellipsis, that fits into
// space percent-encoded bytes.
func cutText(text string, space int) string {
	end := ellipsis
	if space < len(end) {
		end = ""
	}
	used, cut := len(end), 0
	for i, r := range text {
		size := utf8.RuneLen(r)
		used += percentEncodedLen(text[i : i+size])
		if used > space {
			break
		}
		cut = i + size
	}
	return text[:cut] + end
}

// percentEncodedLen is the length of text in a grpc-message header: bytes that
// are not printable ASCII, and the percent sign, take three.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
func percentEncodedLen(text string) int {
	n := len(text)
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			n += 2
		}
	}
	return n
}
