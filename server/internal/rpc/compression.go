package rpc

import (
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/connect"
)

// encodings are the compressions of messages, preferred first. gRPC's deflate is
// that of HTTP: in the format of zlib.
// https://github.com/grpc/grpc/blob/master/doc/compression.md
var encodings = []string{"gzip", "deflate"}

// withBoundedCompression replaces connect's gzip by one that stops behind limit
// bytes of a message, and adds deflate. Connect refuses a larger message too, but
// first decompresses all of it to say how large it is, which takes seconds for a
// bomb of 4 MiB.
func withBoundedCompression(limit int) []connect.HandlerOption {
	return []connect.HandlerOption{
		// The last one is preferred.
		connect.WithCompression("deflate",
			func() connect.Decompressor { return &bounded{format: new(inflater), limit: int64(limit)} },
			func() connect.Compressor { return zlib.NewWriter(io.Discard) }),
		connect.WithCompression("gzip",
			func() connect.Decompressor { return &bounded{format: new(gzip.Reader), limit: int64(limit)} },
			func() connect.Compressor { return gzip.NewWriter(io.Discard) }),
	}
}

// errBomb is only seen in the text of connect's error.
var errBomb = errors.New("compressed data is too large")

// bounded decompresses up to a limit. One read may exceed it, so that connect
// learns that the message does.
type bounded struct {
	format connect.Decompressor
	limit  int64
	read   int64
}

// Reset implements connect.Decompressor.
func (d *bounded) Reset(r io.Reader) error {
	d.read = 0
	return d.format.Reset(r)
}

// Read implements io.Reader.
func (d *bounded) Read(p []byte) (int, error) {
	if d.read > d.limit {
		return 0, errBomb
	}
	n, err := d.format.Read(p)
	d.read += int64(n)
	return n, err
}

// Close implements connect.Decompressor.
func (d *bounded) Close() error { return d.format.Close() }

// inflater is a reader of zlib's format that begins with Reset, as gzip.Reader
// does.
type inflater struct{ io.ReadCloser }

// Reset implements connect.Decompressor.
func (f *inflater) Reset(r io.Reader) error {
	if f.ReadCloser == nil {
		reader, err := zlib.NewReader(r)
		if err != nil {
			return err
		}
		f.ReadCloser = reader
		return nil
	}
	return f.ReadCloser.(zlib.Resetter).Reset(r, nil)
}

// Close implements connect.Decompressor. Connect closes what it could not reset,
// too.
func (f *inflater) Close() error {
	if f.ReadCloser == nil {
		return nil
	}
	return f.ReadCloser.Close()
}

// encodingHeaders are the headers that name the encoding of a request, and those
// of a response that list the encodings of the server, by the form of the content
// type. Connect's messages that do not stream are encoded as HTTP encodes bodies.
func encodingHeaders(contentType string) (sent, accepted string) {
	switch {
	case strings.HasPrefix(contentType, "application/grpc"):
		return "Grpc-Encoding", "Grpc-Accept-Encoding"
	case strings.HasPrefix(contentType, "application/connect+"):
		return "Connect-Content-Encoding", "Connect-Accept-Encoding"
	}
	return "Content-Encoding", "Accept-Encoding"
}

// plainEncoding returns a request with its encoding in lower case, because
// connect-go compares it letter by letter. The request itself does not change.
func plainEncoding(r *http.Request) *http.Request {
	sent, _ := encodingHeaders(r.Header.Get("Content-Type"))
	given := r.Header.Get(sent)
	plain := strings.ToLower(given)
	if plain == "x-gzip" { // an old name, https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.3
		plain = "gzip"
	}
	if plain == given {
		return r
	}
	out := r.WithContext(r.Context())
	out.Header = r.Header.Clone()
	out.Header.Set(sent, plain)
	return out
}

// unknownEncoding returns the encoding of a request if the server does not
// support it, else "".
func unknownEncoding(h http.Header) string {
	sent, _ := encodingHeaders(h.Get("Content-Type"))
	encoding := h.Get(sent)
	if encoding == "" || encoding == "identity" {
		return ""
	}
	for _, known := range encodings {
		if encoding == known {
			return ""
		}
	}
	return encoding
}
