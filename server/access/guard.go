// Package access knows who may call what: clients prove who they are by a key
// or a certificate, and rules say which methods, guilds, channels and users are
// theirs, and how much.
package access

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"discordproxy/discord"

	"connectrpc.com/connect"
)

// Config configures a Guard.
type Config struct {
	// Rules are those of the start, see Guard.Use. Nil means that there are no
	// keys.
	Rules *Rules
	// Certificates is whether clients may prove who they are by a certificate,
	// which TLS has verified. Without Rules such a client may do all.
	Certificates bool
	// Logger takes addresses that try too many keys. Nil means slog.Default().
	Logger *slog.Logger
}

// Guard decides who may call. Its methods are safe for concurrent use. Nil is
// one that lets everybody do everything.
type Guard struct {
	logger       *slog.Logger
	certificates bool
	rules        atomic.Pointer[Rules]
	attempts     *attempts // unknown keys
	noted        *attempts // refusals that are worth a line in a log
}

// New returns a Guard, nil if the configuration has nothing by which clients
// could be told apart.
func New(c Config) *Guard {
	if c.Rules == nil && !c.Certificates {
		return nil
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	g := &Guard{certificates: c.Certificates, attempts: newAttempts(), noted: newAttempts(), logger: c.Logger}
	g.rules.Store(c.Rules)
	return g
}

// Use replaces the rules, from the next request on. Calls in progress go on,
// and count for the client of the same name.
func (g *Guard) Use(rules *Rules) {
	rules.inherit(g.rules.Load())
	g.rules.Store(rules)
}

type clientKey struct{}

// From returns the client who sent the request of ctx. Nil is one that may do
// everything.
func From(ctx context.Context) *Client {
	client, _ := ctx.Value(clientKey{}).(*Client)
	return client
}

// Handler has next serve the requests of those who are known: there From and
// discord.Caller tell who it is, and the key is gone from the header. refuse
// answers all others; its error is a *connect.Error. The body is not read
// before.
func (g *Guard) Handler(next http.Handler, refuse func(http.ResponseWriter, *http.Request, error)) http.Handler {
	if g == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, byKey, err := g.identify(r)
		if err != nil {
			if connect.CodeOf(err) == connect.CodeUnauthenticated {
				w.Header().Set("WWW-Authenticate", `Bearer realm="discordproxy"`)
			}
			refuse(w, r, g.quieten(r, err))
			return
		}
		ctx := context.WithValue(discord.WithCaller(r.Context(), client.name), clientKey{}, client)
		r, unload := withLoad(ctx, client, r)
		defer unload()
		if byKey {
			r.Header = r.Header.Clone()
			r.Header.Del("Authorization")
		}
		leave, err := client.enter()
		if err != nil {
			refuse(w, r, err)
			return
		}
		defer leave()
		next.ServeHTTP(w, r)
	})
}

// Page guards a page that stands beside the methods, under a name that rules
// can allow.
func (g *Guard) Page(name string, page http.Handler) http.Handler {
	refuse := func(w http.ResponseWriter, _ *http.Request, err error) {
		status, _ := Describe(err)
		http.Error(w, Text(err), status)
	}
	return g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := From(r.Context()).MayCall(name); err != nil {
			refuse(w, r, err)
			return
		}
		page.ServeHTTP(w, r)
	}), refuse)
}

// identify returns who sent the request, and whether that is known by the key
// in its header.
func (g *Guard) identify(r *http.Request) (client *Client, byKey bool, err error) {
	rules := g.rules.Load()
	key, given, err := keyOf(r.Header)
	if err != nil {
		return nil, false, err
	}
	peer := peerOf(r.RemoteAddr)
	if given && rules != nil {
		if client := rules.byKey(r.Context(), key, func() bool { return g.attempts.left(peer) }); client != nil {
			return client, true, nil
		}
	}
	names := certificateNames(r)
	if g.certificates && len(names) > 0 && !IsKey(key) {
		// The header may hold what plain REST passes on to Discord.
		if rules == nil {
			return &Client{name: names[0]}, false, nil
		}
		if client := rules.byCertificate(names); client != nil {
			return client, false, nil
		}
	}
	switch {
	case given:
		if allowed, _ := g.attempts.take(peer); !allowed {
			return nil, false, refuse(connect.CodeResourceExhausted, "too many unknown keys came from this address, try again later")
		}
		return nil, false, refuse(connect.CodeUnauthenticated, "the key in the header Authorization is not known here")
	case len(names) > 0:
		return nil, false, refuse(connect.CodeUnauthenticated, "no client has the certificate of %.100q, and there is no key in the header Authorization", names[0])
	case rules == nil:
		return nil, false, refuse(connect.CodeUnauthenticated, "a certificate is needed")
	}
	return nil, false, refuse(connect.CodeUnauthenticated, "a key is needed, in a header Authorization: Bearer KEY")
}

// quieten marks the error of an unknown client as quiet once its address has
// got many.
func (g *Guard) quieten(r *http.Request, err error) error {
	peer := peerOf(r.RemoteAddr)
	allowed, last := g.noted.take(peer)
	if last {
		g.logger.WarnContext(r.Context(), "refused many requests of unknown clients at one address: most of those that follow will not be noted", "peer", peer)
	}
	if allowed {
		return err
	}
	return quiet{err}
}

// keyOf returns what a request gives as a key. Libraries that speak to Discord
// can be made to send theirs as a bot's token alone.
func keyOf(h http.Header) (key string, given bool, err error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", false, nil
	}
	if len(values) > 1 {
		return "", false, refuse(connect.CodeUnauthenticated, "there is more than one header Authorization")
	}
	scheme, key, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "Bot") {
		return "", true, nil
	}
	return strings.TrimSpace(key), true, nil
}

// certificateNames returns the names of the certificate that a client has shown
// and TLS has verified: DNS names, URIs and addresses of its subject, and its
// common name.
func certificateNames(r *http.Request) []string {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil
	}
	leaf := r.TLS.VerifiedChains[0][0]
	names := slices.Concat(leaf.DNSNames, leaf.EmailAddresses)
	for _, uri := range leaf.URIs {
		names = append(names, uri.String())
	}
	names = append(names, leaf.Subject.CommonName)
	// What is no proper name would not be one in a log either.
	return slices.DeleteFunc(names, func(name string) bool { return !properName.MatchString(name) })
}
