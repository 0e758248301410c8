// Package access implements access control: it authenticates clients by a key, a
// certificate or an address, and enforces rules about their methods, guilds, channels,
// users and rates. A Guard identifies the client and checks the method before the body is
// read; the target and the rate are checked after the message has been read. Access is
// denied by default: a handler that no Guard protects refuses every call.
package access

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/refusals"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
)

// Config configures a Guard.
type Config struct {
	// Rules are the initial rules; see Guard.Use. Nil means that there are no
	// keys.
	Rules *Rules
	// Certificates reports whether clients may authenticate with a certificate that TLS
	// has verified. Without Rules, such a client may do everything.
	Certificates bool
	// Logger receives addresses that try too many keys. Nil means slog.Default().
	Logger *slog.Logger
}

// Guard decides who may call. Its methods are safe for concurrent use. A nil Guard allows
// everything: see Everyone.
type Guard struct {
	*guarding
	scope scope
}

// guarding is what the guards of a server's bots share.
type guarding struct {
	logger       *slog.Logger
	certificates bool
	rules        atomic.Pointer[Rules]
	attempts     *attempts     // unknown keys
	noted        *refusals.Log // refusals that are worth a line in a log
	proving      proving

	mu       sync.Mutex
	sessions map[*session]struct{}
}

// New returns a Guard, or nil if the configuration has nothing to identify clients by.
func New(c Config) *Guard {
	if c.Rules == nil && !c.Certificates {
		return nil
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	g := &guarding{
		certificates: c.Certificates, attempts: newAttempts(), noted: refusals.NewLog(), logger: c.Logger,
		proving: proving{running: make(map[string]bool)}, sessions: make(map[*session]struct{}),
	}
	g.rules.Store(c.Rules)
	return &Guard{guarding: g}
}

// Use replaces the rules. Calls in progress count for the client of the same
// name. Those of a client that is no longer known, or that may no longer make
// them, end: streams immediately, other calls unless they were sent already.
func (g *Guard) Use(rules *Rules) {
	rules.inherit(g.rules.Load())
	g.rules.Store(rules)
	g.revise()
}

// From returns the client that sent the request of ctx, with its newest rules: call it
// again whenever the rules matter. The result is nil, a client that may do nothing, if no
// Guard has admitted the request.
func From(ctx context.Context) *Client {
	if s := sessionOf(ctx); s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.client
	}
	client, _ := ctx.Value(openKey{}).(*Client)
	return client
}

// everyone is the client of requests that need no key.
var everyone = &Client{everyBot: true}

type openKey struct{}

// WithEveryone returns a context whose request may do everything, without a check of
// its client.
func WithEveryone(ctx context.Context) context.Context {
	if sessionOf(ctx) != nil {
		ctx = context.WithValue(ctx, sessionKey{}, (*session)(nil))
	}
	return context.WithValue(ctx, openKey{}, everyone)
}

// Everyone returns a handler that lets all requests do everything, without a check of
// their clients.
func Everyone(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(WithEveryone(r.Context())))
	})
}

// Handler returns a handler that passes the requests of known clients to next, where From
// and caller.Of identify the client, and the header does not contain the key. It
// calls refuse for all other requests, with a *connect.Error. The body has not been read
// at that time.
func (g *Guard) Handler(next http.Handler, refuse func(http.ResponseWriter, *http.Request, error)) http.Handler {
	if g == nil {
		return Everyone(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isAdmitted(r.Context()) {
			if err := g.MayUse(r.Context()); err != nil {
				refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		if in, end := g.letIn(w, r, refuse); in != nil {
			defer end()
			next.ServeHTTP(w, in)
		}
	})
}

// letIn returns the request of a known client as its handler gets it, until end. It
// returns nil if refuse has answered. What it needs is not on the stack of a call that
// waits.
func (g *Guard) letIn(
	w http.ResponseWriter, r *http.Request, refuse func(http.ResponseWriter, *http.Request, error),
) (in *http.Request, end func()) {
	rules := g.rules.Load()
	id, err := g.identify(r, rules)
	if err != nil {
		if connect.CodeOf(err) == connect.CodeUnauthenticated {
			w.Header().Set("WWW-Authenticate", `Bearer realm="discordproxy"`)
		}
		refuse(w, r, g.quieten(r, err))
		return nil, nil
	}
	client := id.client
	ctx, endSession := g.begin(caller.Named(r.Context(), client.name), id, rules)
	unload, leave := func() {}, func() {}
	end = func() {
		leave()
		unload()
		endSession()
	}
	defer func() {
		if in == nil {
			end()
		}
	}()
	body := &watchedBody{ReadCloser: r.Body}
	body.ended.Store(r.Body == http.NoBody)
	ctx = context.WithValue(ctx, unblockKey{}, func() {
		// It fails only if nothing can block forever.
		controller := http.NewResponseController(w)
		if r.ProtoMajor > 1 || !body.ended.Load() {
			// In HTTP/1 a deadline after the end of the body would be taken for
			// the end of the connection, which other requests use later.
			_ = controller.SetReadDeadline(time.Now())
		}
		_ = controller.SetWriteDeadline(time.Now().Add(lastWords))
	})
	r.Body = body
	r, unload = withLoad(ctx, client, r)
	if id.ownHeader {
		r.Header = r.Header.Clone()
		r.Header.Del("Authorization")
	}
	if err := g.MayUse(r.Context()); err != nil {
		refuse(w, r, err)
		return nil, end
	}
	left, err := client.enter()
	if err != nil {
		refuse(w, r, err)
		return nil, end
	}
	leave = left
	return r, end
}

// Page returns a handler for clients whose rules allow the page's name.
func Page(name string, page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := MayCall(r.Context(), name); err != nil {
			refusePage(w, r, err)
			return
		}
		page.ServeHTTP(w, r)
	})
}

// Page guards a Page.
func (g *Guard) Page(page http.Handler) http.Handler { return g.Handler(page, refusePage) }

func refusePage(w http.ResponseWriter, _ *http.Request, err error) {
	status, _ := Describe(err)
	http.Error(w, rpc.Text(err), status)
}

// quieten marks the error of an unknown client as quiet once its address has
// got many.
func (g *Guard) quieten(r *http.Request, err error) error {
	allowed, omitted := g.noted.Allow(r.RemoteAddr)
	if !allowed {
		return quiet{err}
	}
	if omitted > 0 {
		g.logger.WarnContext(r.Context(), "omitted refusals of unknown clients from the log", "omitted", omitted)
	}
	return err
}

// watchedBody notes the end of a request's body.
type watchedBody struct {
	io.ReadCloser
	ended atomic.Bool
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.ended.Store(true)
	}
	return n, err
}

// lastWords is how long the end of a stream may take that was revoked.
const lastWords = 5 * time.Second

// certificateNames returns the names of the certificate that a client has shown
// and TLS has verified: DNS names, e-mail addresses and URIs of its subject, and its
// common name.
func certificateNames(r *http.Request) []string {
	if e := evidenceIn(r.Context()); e != nil {
		return e.Certificates
	}
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil
	}
	leaf := r.TLS.VerifiedChains[0][0]
	names := slices.Concat(leaf.DNSNames, leaf.EmailAddresses)
	for _, uri := range leaf.URIs {
		names = append(names, uri.String())
	}
	names = append(names, leaf.Subject.CommonName)
	// An invalid name would be invalid in a log, too.
	return slices.DeleteFunc(names, func(name string) bool { return !properName.MatchString(name) })
}
