package forward

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
)

// answer is the writer of a response. It follows the frames of a stream, so that a stream
// that breaks between two messages ends with an error in its own protocol.
type answer struct {
	http.ResponseWriter
	kind  string // of stream: "", "grpc", "grpc-web" or "connect"
	began bool
	head  [5]byte // of the frame, as far as it was written
	got   int
	left  uint32 // of the frame's message
}

// Unwrap serves http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if status >= http.StatusOK && !a.began {
		a.began = true
		if ids := a.Header()[rpc.RequestIDHeader]; len(ids) > 1 { // this server has set it, too
			a.Header()[rpc.RequestIDHeader] = ids[len(ids)-1:]
		}
		contentType := a.Header().Get("Content-Type")
		switch {
		case strings.HasPrefix(contentType, "application/grpc-web"):
			a.kind = "grpc-web"
		case strings.HasPrefix(contentType, "application/grpc"):
			a.kind = "grpc"
		case strings.HasPrefix(contentType, "application/connect+"):
			a.kind = "connect"
		}
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	if a.kind != "" {
		a.follow(p[:n])
	}
	return n, err
}

func (a *answer) follow(p []byte) {
	for len(p) > 0 {
		if a.left > 0 {
			n := min(len(p), int(a.left))
			a.left -= uint32(n) //nolint:gosec // it is at most left
			p = p[n:]
			continue
		}
		n := copy(a.head[a.got:], p)
		a.got += n
		p = p[n:]
		if a.got == len(a.head) {
			a.left, a.got = binary.BigEndian.Uint32(a.head[1:]), 0
		}
	}
}

// end ends a stream that has begun with an error, and reports whether it could.
func (a *answer) end(err *connect.Error) bool {
	if a.kind == "" || a.left > 0 || a.got > 0 || a.Header().Get("Content-Encoding") != "" {
		return false
	}
	text := rpc.Text(err)
	switch a.kind {
	case "grpc":
		a.Header().Set(http.TrailerPrefix+"Grpc-Status", fmt.Sprint(uint32(err.Code())))
		a.Header().Set(http.TrailerPrefix+"Grpc-Message", url.PathEscape(text))
		return true
	case "grpc-web":
		return a.frame(0x80, fmt.Appendf(nil, "grpc-status: %d\r\ngrpc-message: %s\r\n", err.Code(), url.PathEscape(text)))
	}
	data, failed := json.Marshal(map[string]any{"error": map[string]string{"code": err.Code().String(), "message": text}})
	return failed == nil && a.frame(0x02, data)
}

func (a *answer) frame(flags byte, data []byte) bool {
	head := binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(data))) //nolint:gosec // it is short
	_, err := a.ResponseWriter.Write(append(head, data...))
	return err == nil
}
