package rpc_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// frame is a message as gRPC-Web has it.
func frame(t *testing.T, text string) []byte {
	t.Helper()
	data, err := proto.Marshal(wrapperspb.String(text))
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(data))), data...)
}

func TestGRPCWebText(t *testing.T) {
	long := strings.Repeat("long ", 10_000)
	text := base64.StdEncoding.EncodeToString(frame(t, "hello"))
	pieces := func(size int, data []byte) string {
		var all strings.Builder
		for len(data) > 0 {
			n := min(size, len(data))
			all.WriteString(base64.StdEncoding.EncodeToString(data[:n]))
			data = data[n:]
		}
		return all.String()
	}
	h := rpc.GRPCWebText(handle(t, rpc.Config{}, echo))
	for _, c := range []struct{ name, contentType, body, answer, status string }{
		{"one piece", "application/grpc-web-text", text, "hello", "grpc-status: 0"},
		{"with a codec", "application/grpc-web-text+proto", text, "hello", "grpc-status: 0"},
		{"pieces of one byte", "application/grpc-web-text", pieces(1, frame(t, "hello")), "hello", "grpc-status: 0"},
		{"pieces of two bytes", "application/grpc-web-text", pieces(2, frame(t, "hello")), "hello", "grpc-status: 0"},
		{"pieces of three bytes", "application/grpc-web-text", pieces(3, frame(t, "hello")), "hello", "grpc-status: 0"},
		{"much", "application/grpc-web-text", pieces(1000, frame(t, long)), long, "grpc-status: 0"},
		{"broken off", "application/grpc-web-text", text[:len(text)-2], "", "grpc-status: 3"},
		{"no base64", "application/grpc-web-text", "?" + text[1:], "", "grpc-status: 3"},
		{"nothing", "application/grpc-web-text", "", "", "grpc-status: 12"},
	} {
		for _, reader := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, procedure, reader(strings.NewReader(c.body)))
			r.Header.Set("Content-Type", c.contentType)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Header().Get("Content-Type"); got != c.contentType {
				t.Errorf("%s: the answer is of type %s", c.name, got)
			}
			message, trailer := parse(t, w.Body.String())
			if trailer == "" { // an error without a message comes in the header
				trailer = "grpc-status: " + w.Header().Get("Grpc-Status") + "\r\n"
			}
			if message != c.answer || !strings.Contains(strings.ToLower(trailer), c.status+"\r\n") {
				t.Errorf("%s: the answer is %.40q with %q", c.name, message, trailer)
			}
		}
	}

	// Other types pass as they are.
	for contentType, status := range map[string]int{"application/json": http.StatusOK, "application/grpc-web-texts": http.StatusUnsupportedMediaType} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, procedure, strings.NewReader(`"hello"`))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != status || w.Header().Get("Content-Type") == "application/grpc-web-text" {
			t.Errorf("%s is answered with %d %s", contentType, w.Code, w.Header())
		}
	}
}

// parse takes an answer apart: pieces of base64, in them the text of a message
// and the trailer.
func parse(t *testing.T, body string) (message, trailer string) {
	t.Helper()
	var data []byte
	for len(body) >= 4 {
		group, err := base64.StdEncoding.DecodeString(body[:4])
		if err != nil {
			t.Fatal(err)
		}
		data, body = append(data, group...), body[4:]
	}
	if body != "" {
		t.Fatalf("the answer ends with %q", body)
	}
	for len(data) >= 5 {
		flag, size := data[0], binary.BigEndian.Uint32(data[1:])
		content := data[5 : 5+size]
		data = data[5+size:]
		if flag&0x80 != 0 {
			trailer = string(content)
			continue
		}
		m := new(wrapperspb.StringValue)
		if err := proto.Unmarshal(content, m); err != nil {
			t.Fatal(err)
		}
		message += m.GetValue()
	}
	return message, trailer
}

// TestGRPCWebTextStream: each message of a stream arrives completely before the next one is sent.
func TestGRPCWebTextStream(t *testing.T) {
	options, err := rpc.HandlerOptions(rpc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	goOn := make(chan struct{})
	server := httptest.NewServer(rpc.GRPCWebText(connect.NewServerStreamHandlerSimple(procedure,
		func(ctx context.Context, _ *wrapperspb.StringValue, stream *connect.ServerStream[wrapperspb.StringValue]) error {
			for _, text := range []string{"a", "bb", "ccc"} {
				if err := stream.Send(wrapperspb.String(text)); err != nil {
					return err
				}
				select {
				case <-goOn:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		}, options...)))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+procedure, strings.NewReader(base64.StdEncoding.EncodeToString(frame(t, "go"))))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc-web-text")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, text := range []string{"a", "bb", "ccc"} {
		encoded := make([]byte, base64.StdEncoding.EncodedLen(len(frame(t, text))))
		if _, err := io.ReadFull(resp.Body, encoded); err != nil {
			t.Fatal(err)
		}
		if message, _ := parse(t, string(encoded)); message != text {
			t.Errorf("the message is %q, want %q", message, text)
		}
		goOn <- struct{}{}
	}
	rest, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if _, trailer := parse(t, string(rest)); !strings.Contains(strings.ToLower(trailer), "grpc-status: 0") {
		t.Errorf("the trailer is %q", trailer)
	}
}
