//go:build conformance

// Command server is the server that the conformance suite talks to: its
// service, with the handler options of this project, on this project's listener.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/protobuf/proto"

	conformance "discordproxy/server/internal/conformance/gen/conformance"
	"discordproxy/server/internal/conformance/gen/conformance/conformanceconnect"
	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rpc"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// run serves as the suite says on standard input, and says there where.
func run(ctx context.Context) error {
	request := new(conformance.ServerCompatRequest)
	if err := readMessage(os.Stdin, request); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if request.GetUseTls() {
		return errors.New("there is no TLS")
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	options, err := rpc.HandlerOptions(rpc.Config{Logger: logger, MaxMessageBytes: int(request.GetMessageReceiveLimit())})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(conformanceconnect.NewConformanceServiceHandler(service{}, options...))
	server, err := listener.New(listener.Config{Handler: rpc.WithRequestID(mux), Logger: logger})
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	// Connections are accepted from here on, and served a moment later.
	addr := ln.Addr().(*net.TCPAddr)
	if err := writeMessage(os.Stdout, &conformance.ServerCompatResponse{
		Host: addr.IP.String(), Port: uint32(addr.Port),
	}); err != nil {
		return fmt.Errorf("write response: %w", err)
	}
	return server.Serve(ctx, ln)
}

// readMessage reads a message behind its length.
func readMessage(r io.Reader, message proto.Message) error {
	var size uint32
	if err := binary.Read(r, binary.BigEndian, &size); err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err != nil {
		return err
	}
	return proto.Unmarshal(data, message)
}

// writeMessage writes a message behind its length.
func writeMessage(w io.Writer, message proto.Message) error {
	data, err := proto.Marshal(message)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...))
	return err
}
