package sandbox

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Listener serves a sandbox on a TCP address.
type Listener struct {
	// URL is "http://" and the address; the API is below it at /api.
	URL string

	sandbox *Sandbox
	server  *http.Server
	cancel  context.CancelFunc
	ended   chan struct{}
}

// Listen serves the sandbox on an address such as "127.0.0.1:0" until Close.
func (s *Sandbox) Listen(ctx context.Context, address string) (*Listener, error) {
	var config net.ListenConfig
	lis, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for the sandbox: %w", err)
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &Listener{
		URL: "http://" + lis.Addr().String(),
		server: &http.Server{
			Handler:           s,
			ReadHeaderTimeout: 10 * time.Second,
			BaseContext:       func(net.Listener) context.Context { return base },
		},
		sandbox: s,
		cancel:  cancel,
		ended:   make(chan struct{}),
	}
	go func() {
		defer close(l.ended)
		_ = l.server.Serve(lis) // always says that the server was closed
	}()
	return l, nil
}

// Close stops listening and drops all connections, calls that hang included.
func (l *Listener) Close() error {
	l.cancel()
	err := l.server.Close()
	<-l.ended
	l.sandbox.await(func(c *gatewayConn) bool { return c.server == l.server })
	return err
}
