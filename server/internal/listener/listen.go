package listener

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Addresses is the address of a listener that Listen opened on several
// addresses. It has at least one.
type Addresses []net.Addr

// Network implements net.Addr.
func (a Addresses) Network() string { return a[0].Network() }

// String returns the addresses, separated by commas.
func (a Addresses) String() string {
	texts := make([]string, len(a))
	for i, addr := range a {
		texts[i] = addr.String()
	}
	return strings.Join(texts, ", ")
}

// Listen opens a TCP port on each of the hosts, and returns one listener that
// accepts the connections of all. A host unix:PATH is a Unix socket instead, to
// which mode says who may connect; see DefaultSocketMode; 0 means that one. A
// socket that nobody listens on is replaced. A host is an IP address, or a name, which
// means all of its addresses that this machine has: "localhost" usually means
// 127.0.0.1 and ::1. An empty host means every address of the machine. Port 0
// is any free port, the same one on each address.
//
// If one of the ports cannot be opened, none remains open.
func Listen(ctx context.Context, hosts []string, port int, mode fs.FileMode) (net.Listener, error) {
	if len(hosts) == 0 {
		return nil, errors.New("no host to listen on")
	}
	all := new(joined)
	for _, host := range hosts {
		if path, ok := SocketPath(host); ok {
			lis, err := listenSocket(ctx, path, cmp.Or(mode, DefaultSocketMode))
			if err != nil {
				return nil, errors.Join(err, all.closeAll())
			}
			all.listeners = append(all.listeners, lis)
			continue
		}
		if err := all.open(ctx, host, port, len(hosts) > 1); err != nil {
			return nil, errors.Join(err, all.closeAll())
		}
		port = cmp.Or(all.port(), port)
	}
	if len(all.listeners) == 1 {
		return all.listeners[0], nil
	}
	all.start()
	return all, nil
}

// joined is several listeners as one.
type joined struct {
	listeners []net.Listener
	accepted  chan accepted
	done      chan struct{}
	close     func() error
	accepting sync.WaitGroup
}

type accepted struct {
	conn net.Conn
	err  error
}

// open opens the port on every address of a host. A wildcard address that
// is the only host means both families; next to others it means its own.
func (j *joined) open(ctx context.Context, host string, port int, others bool) error {
	addresses := []string{host}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		if addresses, err = net.DefaultResolver.LookupHost(ctx, host); err != nil {
			return fmt.Errorf("look up host %q: %w", host, err)
		}
	}
	var missing error
	opened := 0
	for _, address := range addresses {
		// An IPv4 address and its form in IPv6 are the same to listen on.
		if slices.ContainsFunc(j.listeners, func(l net.Listener) bool {
			tcp, ok := l.Addr().(*net.TCPAddr)
			return ok && tcp.IP.Equal(net.ParseIP(address)) && tcp.Zone == "" && address != host
		}) {
			opened++
			continue
		}
		network := "tcp"
		if addr, err := netip.ParseAddr(address); err == nil && others {
			network = "tcp6"
			if addr.Is4() {
				network = "tcp4"
			}
		}
		l, err := new(net.ListenConfig).Listen(ctx, network, net.JoinHostPort(address, strconv.Itoa(port)))
		switch {
		case err == nil:
			j.listeners = append(j.listeners, l)
			opened++
			port = j.port()
		case isMissing(err) && len(addresses) > 1:
			missing = err
		default:
			return err
		}
	}
	if opened == 0 {
		return missing
	}
	return nil
}

// isMissing reports whether the machine does not have the address, for example
// because IPv6 is turned off while the name has an address of it.
func isMissing(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// port returns the TCP port of the listeners, or 0 if there is none.
func (j *joined) port() int {
	for _, l := range j.listeners {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			return tcp.Port
		}
	}
	return 0
}

func (j *joined) start() {
	j.accepted, j.done = make(chan accepted), make(chan struct{})
	j.close = sync.OnceValue(func() error {
		close(j.done)
		err := j.closeAll()
		j.accepting.Wait()
		return err
	})
	for _, l := range j.listeners {
		j.accepting.Go(func() { j.accept(l) })
	}
}

// accept hands on what one listener accepts, errors included, at the pace of
// the caller of Accept.
func (j *joined) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		select {
		case j.accepted <- accepted{conn, err}:
		case <-j.done:
			if err == nil {
				_ = conn.Close()
			}
			return
		}
	}
}

// Accept implements net.Listener.
func (j *joined) Accept() (net.Conn, error) {
	select {
	case a := <-j.accepted:
		return a.conn, a.err
	case <-j.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (j *joined) Close() error { return j.close() }

func (j *joined) closeAll() error {
	var errs []error
	for _, l := range j.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// Addr implements net.Listener. It returns Addresses.
func (j *joined) Addr() net.Addr {
	var all Addresses
	for _, l := range j.listeners {
		all = append(all, l.Addr())
	}
	return all
}
