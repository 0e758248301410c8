package rpc

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/connect"
)

// The content types of gRPC-Web: as it is, and in base64. Both may be followed
// by a + and the codec.
const (
	grpcWeb     = "application/grpc-web"
	grpcWebText = "application/grpc-web-text"
)

// GRPCWebText lets clients speak gRPC-Web in base64, as Google's client
// grpc-web does in its text mode, to a handler that supports the binary mode only.
//
// A client may encode in pieces, each with padding of its own; what is answered
// is encoded in such pieces, one for each flush, so that every message of a
// stream can be decoded when it arrives.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
func GRPCWebText(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		contentType := r.Header.Get("Content-Type")
		codec, ok := codecOf(contentType, grpcWebText)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		serveText(w, r, codec, next)
	})
}

func serveText(w http.ResponseWriter, r *http.Request, codec string, next http.Handler) {
	inner := r.Clone(r.Context())
	inner.Header.Set("Content-Type", grpcWeb+codec)
	inner.Header.Del("Content-Length")
	inner.ContentLength = -1
	inner.Body = textBody{&base64Pieces{source: r.Body}, r.Body}
	answer := &textWriter{ResponseWriter: w, codec: codec}
	next.ServeHTTP(answer, inner)
	answer.endPiece()
}

// codecOf returns what follows the kind in a content type, "" or one like
// "+proto", and whether it is of that kind.
func codecOf(contentType, kind string) (codec string, ok bool) {
	codec, ok = strings.CutPrefix(contentType, kind)
	return codec, ok && (codec == "" || codec[0] == '+' || codec[0] == ';')
}

// errNoBase64 answers a request that is not what its type says.
var errNoBase64 = connect.NewError(connect.CodeInvalidArgument, errors.New("the request is not base64, which grpc-web-text requires"))

type textBody struct {
	io.Reader
	io.Closer
}

// base64Pieces decodes pieces of base64 that follow each other, each padded
// to groups of four characters, as they arrive.
type base64Pieces struct {
	source  io.Reader
	encoded [4096]byte
	n       int // bytes in encoded that are not decoded yet, fewer than four
	decoded []byte
	buffer  [4096 / 4 * 3]byte
	err     error
}

// Read implements io.Reader.
func (b *base64Pieces) Read(p []byte) (int, error) {
	for len(b.decoded) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		b.fill()
	}
	n := copy(p, b.decoded)
	b.decoded = b.decoded[n:]
	return n, nil
}

// fill decodes what one read of the source brings.
func (b *base64Pieces) fill() {
	n, err := b.source.Read(b.encoded[b.n:])
	b.n += n
	b.err = err
	whole := b.n / 4 * 4
	if err == io.EOF && whole < b.n {
		b.err = errNoBase64
	}
	// Only the last group of a piece can have padding, so that each part that
	// ends with padding is a piece, or the rest of one.
	decoded := b.buffer[:0]
	for begin := 0; begin < whole; {
		end := begin + 4
		for end < whole && b.encoded[end-1] != '=' {
			end += 4
		}
		part, err := base64.StdEncoding.AppendDecode(decoded, b.encoded[begin:end])
		if err != nil {
			b.err = errNoBase64
			break
		}
		decoded = part
		begin = end
	}
	b.decoded = decoded
	b.n = copy(b.encoded[:], b.encoded[whole:b.n])
}

// textWriter encodes an answer of gRPC-Web, and passes on any other as it is.
type textWriter struct {
	http.ResponseWriter
	codec string
	began bool
	piece io.WriteCloser // the piece that is being written; nil when none is
	plain bool
}

// WriteHeader implements http.ResponseWriter.
func (w *textWriter) WriteHeader(status int) {
	if !w.began && status >= http.StatusOK {
		w.began = true
		if codec, ok := codecOf(w.Header().Get("Content-Type"), grpcWeb); ok {
			w.Header().Set("Content-Type", grpcWebText+codec)
			w.Header().Del("Content-Length")
		} else {
			w.plain = true
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *textWriter) Write(p []byte) (int, error) {
	if !w.began {
		w.WriteHeader(http.StatusOK)
	}
	if w.plain {
		return w.ResponseWriter.Write(p)
	}
	if w.piece == nil {
		w.piece = base64.NewEncoder(base64.StdEncoding, w.ResponseWriter)
	}
	return w.piece.Write(p)
}

// endPiece writes what is left of a piece, with its padding.
func (w *textWriter) endPiece() {
	if w.piece != nil {
		// An error comes again with the next write or flush.
		_ = w.piece.Close()
		w.piece = nil
	}
}

// Flush implements http.Flusher.
func (w *textWriter) Flush() { _ = w.FlushError() }

// FlushError serves http.ResponseController.
func (w *textWriter) FlushError() error {
	if !w.began {
		w.WriteHeader(http.StatusOK)
	}
	w.endPiece()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap serves http.ResponseController, for deadlines.
func (w *textWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
