package listener_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// caller calls a procedure with one kind of client. Errors are *connect.Error
// when the server answered.
type caller func(ctx context.Context, procedure, text string) (string, error)

// protocols are all kinds of clients that the listener serves. Each makes a
// caller for the server at addr.
var protocols = map[string]func(t testing.TB, addr string) caller{
	"grpc-go":               newGRPC,
	"connect gRPC":          connectCaller(newHTTP2Client, connect.WithGRPC()),
	"gRPC-Web HTTP/1.1":     connectCaller(newHTTP1Client, connect.WithGRPCWeb()),
	"JSON HTTP/1.1":         connectCaller(newHTTP1Client, connect.WithProtoJSON()),
	"JSON HTTP/2":           connectCaller(newHTTP2Client, connect.WithProtoJSON()),
	"JSON by Upgrade: h2c":  newUpgrading,
	"Connect HTTP/1.1 gzip": connectCaller(newHTTP1Client, connect.WithSendGzip()),
}

func newHTTP1Client(t testing.TB) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func newHTTP2Client(t testing.TB) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func connectCaller(client func(testing.TB) *http.Client, options ...connect.ClientOption) func(testing.TB, string) caller {
	return connectCallerOver("http", client, options...)
}

func connectCallerOver(scheme string, client func(testing.TB) *http.Client, options ...connect.ClientOption) func(testing.TB, string) caller {
	return func(t testing.TB, addr string) caller {
		httpClient := client(t)
		return func(ctx context.Context, procedure, text string) (string, error) {
			c := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](httpClient, scheme+"://"+addr+procedure, options...)
			res, err := c.CallUnary(ctx, connect.NewRequest(wrapperspb.String(text)))
			if err != nil {
				return "", err
			}
			return res.Msg.GetValue(), nil
		}
	}
}

func newGRPC(t testing.TB, addr string) caller { return grpcCaller(t, addr, insecure.NewCredentials()) }

func grpcCaller(t testing.TB, addr string, how credentials.TransportCredentials) caller {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(how))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func(ctx context.Context, procedure, text string) (string, error) {
		res := new(wrapperspb.StringValue)
		if err := conn.Invoke(ctx, procedure, wrapperspb.String(text), res); err != nil {
			s := status.Convert(err)
			return "", connect.NewError(connect.Code(s.Code()), errors.New(s.Message()))
		}
		return res.GetValue(), nil
	}
}

// newUpgrading makes a caller that opens a connection for each call and asks
// there for HTTP/2 by Upgrade, as some HTTP libraries do.
func newUpgrading(_ testing.TB, addr string) caller {
	return func(ctx context.Context, procedure, text string) (string, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
		if deadline, ok := ctx.Deadline(); ok {
			_ = conn.SetDeadline(deadline)
		}
		body, err := protojson.Marshal(wrapperspb.String(text))
		if err != nil {
			return "", err
		}
		if _, err = fmt.Fprintf(conn, upgradeHead+"\r\n%s", procedure, addr, len(body), body); err != nil {
			return "", err
		}
		framer, err := finishUpgrade(conn, bufio.NewReader(conn))
		if err != nil {
			return "", err
		}
		return readJSONAnswer(framer, func(http2.Frame) {})
	}
}

// upgradeHead starts a request that asks for HTTP/2. It takes the procedure,
// the host and the length of the body.
const upgradeHead = "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n" +
	"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n" +
	"Content-Length: %d\r\n"

// finishUpgrade continues with HTTP/2 once the server has agreed to it.
func finishUpgrade(conn net.Conn, reader *bufio.Reader) (*http2.Framer, error) {
	res, err := http.ReadResponse(reader, nil)
	if err != nil {
		return nil, err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("upgrade: %s", res.Status)
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	framer := http2.NewFramer(conn, reader)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return framer, framer.WriteSettings()
}

// readJSONAnswer reads Connect's JSON answer on stream 1. It shows every frame
// on the way to see.
func readJSONAnswer(framer *http2.Framer, see func(http2.Frame)) (string, error) {
	var answer strings.Builder
	httpStatus := ""
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return "", fmt.Errorf("read frame: %w", err)
		}
		see(frame)
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				if err := framer.WriteSettingsAck(); err != nil {
					return "", err
				}
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamID == 1 && frame.PseudoValue("status") != "" {
				httpStatus = frame.PseudoValue("status")
			}
		case *http2.DataFrame:
			answer.Write(frame.Data())
			if n := uint32(len(frame.Data())); n > 0 {
				if err := errors.Join(framer.WriteWindowUpdate(0, n), framer.WriteWindowUpdate(1, n)); err != nil {
					return "", err
				}
			}
		}
		ender, ok := frame.(interface{ StreamEnded() bool })
		if !ok || frame.Header().StreamID != 1 || !ender.StreamEnded() {
			continue
		}
		if httpStatus == "200" {
			value := new(wrapperspb.StringValue)
			err := protojson.Unmarshal([]byte(answer.String()), value)
			return value.GetValue(), err
		}
		return "", jsonError(answer.String())
	}
}

// jsonError is the error that a Connect JSON body describes.
func jsonError(body string) error {
	var doc struct {
		Code    connect.Code `json:"code"`
		Message string       `json:"message"`
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		return fmt.Errorf("not an error document: %q", body)
	}
	return connect.NewError(doc.Code, errors.New(doc.Message))
}
