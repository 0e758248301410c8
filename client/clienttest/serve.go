package clienttest

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"discordproxy/cli"
	"discordproxy/cli/serve"
)

// starting serializes the parsing of flags: the flag library keeps the flags for
// help and version in global variables, which every command writes.
var starting sync.Mutex

var listensOn = regexp.MustCompile(`listens on ([^\s,]+)(?:, .*)?\n`)

// serve starts discordproxyserver on a free port, until Close.
func (p *Proxy) serve(args ...string) error {
	starting.Lock()
	defer starting.Unlock()
	ctx, stop := context.WithCancel(context.Background())
	out, ended := &output{address: make(chan string, 1)}, make(chan struct{})
	go func() {
		defer close(ended)
		cli.Run(ctx, serve.Command, cli.Env{Args: append([]string{"--port", "0"}, args...), Out: out, Err: out})
	}()
	p.closers = append(p.closers, func() {
		stop()
		select {
		case <-ended:
		case <-time.After(patience):
		}
	})
	select {
	case p.Address = <-out.address:
		return nil
	case <-ended:
		return fmt.Errorf("the proxy has ended: %s", out)
	case <-time.After(patience):
		return fmt.Errorf("the proxy does not listen after %v: %s", patience, out)
	}
}

// output is what the server writes until it says where it listens.
type output struct {
	address chan string // gets that address

	mu   sync.Mutex
	text strings.Builder
	said bool
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.said {
		return len(p), nil
	}
	o.text.Write(p)
	if found := listensOn.FindStringSubmatch(o.text.String()); found != nil {
		o.address <- found[1]
		o.said = true
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
