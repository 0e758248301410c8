// Package forward passes requests on to the replica that leads a bot, and accepts those
// that other replicas pass on.
//
// A request is forwarded as it came, over HTTP/2 or, for websockets, HTTP/1.1. A header
// says who sent it, and proves by a secret of all replicas that one of them wrote the
// header. A replica that does not lead refuses a forwarded request, so that there is one
// hop. Such a request did nothing and waits for the next leader, as one does that could
// not be sent.
package forward

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"discordproxy/server/internal/access"
	"discordproxy/server/internal/refusals"
	"discordproxy/server/internal/rpc"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// notLeading is a header of responses that refuse a forwarded request which is to be sent
// again, to the next leader or with another proof.
const notLeading = "Discordproxy-Not-Leading"

// DefaultWait is how long a request waits for a leader that sets no deadline.
const DefaultWait = 30 * time.Second

const (
	// retryInterval is how long a request waits that the leader did not take.
	retryInterval = 100 * time.Millisecond
	// lastWords is how long requests may take at a leader that leads no longer.
	lastWords = time.Second
	// dialTimeout limits how long a connection to the leader takes.
	dialTimeout = 3 * time.Second
	// probeTimeout limits one look at the leader.
	probeTimeout = 2 * time.Second
)

// Config describes a Forwarder. Bot, Keys and Refuse are required.
type Config struct {
	// Bot is the bot that the requests are for.
	Bot  string
	Keys *Keys
	// Refuse answers a request that cannot be served, in its protocol.
	Refuse func(http.ResponseWriter, *http.Request, *connect.Error)
	// TLS returns how to reach a leader at a host that speaks TLS. Nil means cleartext.
	TLS func(host string) *tls.Config
	// Endless reports whether a request lasts until one side ends it, such as a stream
	// of events. It ends with Ending.
	Endless func(*http.Request) bool
	// Repeatable reports whether a request may be made again at the next leader when it
	// is not known whether the last one has made it. Its rpc.Repeat says so there.
	Repeatable func(*http.Request) bool
	// Ending ends when this server begins to shut down. Other requests go on: see End.
	Ending context.Context //nolint:containedctx // it is that of the server
	// Wait is how long a request waits for a leader at most. 0 means DefaultWait.
	Wait time.Duration
	// Logger takes what went wrong. Nil means slog.Default().
	Logger *slog.Logger
}

// Leader is a replica that leads.
type Leader struct {
	ID, Address string
	Epoch       int64
}

// Stats counts the requests that were to be forwarded.
type Stats struct {
	// Answered were answered by the leader, Refused found no leader in time, Broken
	// lost the leader after it may have begun.
	Answered, Refused, Broken int64
	// InProgress have not ended.
	InProgress int64
}

// Forwarder passes requests on. It is safe for concurrent use.
type Forwarder struct {
	Config
	proxy     httputil.ReverseProxy
	transport transports
	logged    *refusals.Log

	answered, refused, broken, inProgress atomic.Int64
	kept                                  Budget // of bodies that can be sent again

	mu      sync.Mutex
	leader  *target
	last    *target       // the newest leader, which may lead no longer
	reason  error         // why there is no leader
	local   http.Handler  // once this replica leads
	changed chan struct{} // closed with each change
	probed  error         // nil if the leader was ready when it was looked at
	over    bool          // there will be no other leader
}

// target is a leader for as long as it leads.
type target struct {
	Leader
	ctx context.Context //nolint:containedctx // it ends with the leader
	end context.CancelCauseFunc
}

// retire ends what the leader has not answered yet, and leaves what it has refused the
// time to arrive.
func (t *target) retire() {
	if t != nil {
		time.AfterFunc(lastWords, func() { t.end(errChanged) })
	}
}

// errNoLeader is the reason before Lead was called.
var errNoLeader = errors.New("no server leads the bot at the moment")

// errChanged ends requests at a leader that leads no longer.
var errChanged = errors.New("another server leads the bot now")

// New returns a Forwarder without a leader.
func New(c Config) *Forwarder {
	c.Wait = cmp.Or(c.Wait, DefaultWait)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Ending == nil {
		c.Ending = context.Background()
	}
	f := &Forwarder{
		Config: c, transport: newTransports(c.TLS), logged: refusals.NewLog(),
		reason: errNoLeader, changed: make(chan struct{}), probed: errNoLeader,
	}
	f.proxy = httputil.ReverseProxy{
		Rewrite: f.rewrite, Transport: f.transport, BufferPool: new(buffers), ModifyResponse: accepted,
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) { attemptOf(r.Context()).err = err },
		ErrorLog:     slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug),
	}
	return f
}

// Lead has requests forwarded to a leader from then on. Without an address, they wait,
// and reason says what for. Requests at the previous leader end: what that one still does
// is not known.
func (f *Forwarder) Lead(l Leader, reason error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.local != nil {
		return
	}
	if l.Address == "" {
		f.reason = cmp.Or(reason, errNoLeader)
	}
	switch {
	case l.Address == "" && f.leader == nil:
		return
	case l.Address == "":
		f.leader, f.probed = nil, f.reason // it may get its lease back
	case f.leader != nil && f.leader.Leader == l:
		return
	case f.last != nil && f.last.Leader == l:
		f.leader = f.last
	default:
		f.last.retire()
		t := &target{Leader: l}
		t.ctx, t.end = context.WithCancelCause(context.Background())
		f.leader, f.last, f.probed = t, t, errors.New("the server that leads the bot was not reached yet")
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// Become has local serve all requests from then on, also those that wait: this replica
// leads.
func (f *Forwarder) Become(local http.Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last.retire()
	f.leader, f.last, f.local = nil, nil, local
	close(f.changed)
	f.changed = make(chan struct{})
}

// Resign has requests wait for another leader from then on: this replica leads no longer.
func (f *Forwarder) Resign() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.local == nil {
		return
	}
	f.local, f.reason, f.probed = nil, errNoLeader, errNoLeader
	close(f.changed)
	f.changed = make(chan struct{})
}

// End has requests that wait for a leader fail from then on: there will be none.
func (f *Forwarder) End() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.over = true
	close(f.changed)
	f.changed = make(chan struct{})
}

// Stats returns what was counted.
func (f *Forwarder) Stats() Stats {
	return Stats{f.answered.Load(), f.refused.Load(), f.broken.Load(), f.inProgress.Load()}
}

// Ready returns why calls cannot be forwarded, nil when they can, by the last Probe.
func (f *Forwarder) Ready() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.local != nil:
		return nil
	case f.leader == nil:
		return f.reason
	}
	return f.probed
}

// Probe looks whether the leader can be reached and is ready.
func (f *Forwarder) Probe(ctx context.Context) {
	f.mu.Lock()
	t := f.leader
	f.mu.Unlock()
	if t == nil {
		return
	}
	err := f.probe(ctx, t)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.leader == t {
		f.probed = err
	}
}

func (f *Forwarder) probe(ctx context.Context, t *target) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.scheme()+"://"+t.Address+"/readyz", nil)
	if err != nil {
		return err
	}
	proven, err := f.Keys.sign(sender{Bot: f.Bot}, r.Method, r.Host, r.URL.RequestURI())
	if err != nil {
		return err
	}
	r.Header.Set(Header, proven)
	resp, err := f.transport.RoundTrip(r)
	if err != nil {
		return fmt.Errorf("the server that leads the bot cannot be reached at %s", t.Address)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server that leads the bot is not ready: %.200s", firstLine(text))
	}
	return nil
}

func firstLine(text []byte) string {
	for i, b := range text {
		if b == '\n' {
			return string(text[:i])
		}
	}
	return string(text)
}

func (f *Forwarder) scheme() string {
	if f.TLS != nil {
		return "https"
	}
	return "http"
}

type originalKey struct{}

// original is a request as it came.
type original struct {
	*http.Request
	at time.Time
}

// Keep has a Forwarder pass requests on with the address that they have here, whatever
// handlers between change.
func Keep(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), originalKey{}, &original{r, time.Now()})))
	})
}

// Came returns when a request came to the first server that it came to.
func Came(r *http.Request) time.Time {
	if at, ok := r.Context().Value(cameKey{}).(time.Time); ok {
		return at
	}
	if came, ok := r.Context().Value(originalKey{}).(*original); ok {
		return came.at
	}
	return time.Now()
}

type cameKey struct{}

// attempt is one try to forward a request.
type attempt struct {
	target   *target
	original *http.Request // as it came
	came     time.Time
	body     *Tape
	evidence access.Evidence
	repeat   rpc.Repeat
	broke    time.Time // when the connection broke that makes this one a repetition
	deadline time.Time // of the request, zero if it has none that has to be adjusted
	err      error     // why there is no response
}

// repeated returns the Repeat to be sent along.
func (a *attempt) repeated() rpc.Repeat {
	repeat := a.repeat
	if repeat.Again {
		repeat.Age = time.Since(a.broke)
	}
	return repeat
}

type attemptKey struct{}

func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// ServeHTTP implements http.Handler.
func (f *Forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.inProgress.Add(1)
	defer f.inProgress.Add(-1)
	came, ok := r.Context().Value(originalKey{}).(*original)
	if !ok {
		came = &original{r, time.Now()}
	}
	a := &attempt{original: came.Request, came: came.at, body: NewTape(r.Body, &f.kept), evidence: access.EvidenceOf(r)}
	defer a.body.Release()
	if f.Repeatable(r) {
		a.repeat = rpc.NewRepeat()
	}
	until := time.Now().Add(f.Wait)
	limit, limited := timeoutOf(r.Header)
	deadline := came.at.Add(limit)
	if limited && deadline.Before(until) {
		until = deadline
	}
	waiting, cancel := context.WithDeadline(r.Context(), until)
	defer cancel()
	if f.Endless(r) || r.Header.Get("Upgrade") != "" {
		defer context.AfterFunc(f.Ending, cancel)() //nolint:contextcheck // the server's context is another one
	}
	for again := false; ; again = true {
		if again && !sleep(waiting, retryInterval) {
			f.unavailable(w, r, a, a.err)
			return
		}
		t, local, err := f.await(waiting)
		switch {
		case local != nil:
			f.serve(local, w, r, a)
			return
		case err != nil:
			f.unavailable(w, r, a, cmp.Or(a.err, err))
			return
		}
		if a.target, a.err = t, nil; limited {
			a.deadline = deadline
		}
		if !f.try(w, r, a) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// await returns the leader, or the handler of this replica if it leads itself, as soon
// as there is one.
func (f *Forwarder) await(ctx context.Context) (*target, http.Handler, error) {
	for {
		f.mu.Lock()
		leader, local, reason, over, changed := f.leader, f.local, f.reason, f.over, f.changed
		f.mu.Unlock()
		switch {
		case leader != nil || local != nil:
			return leader, local, nil
		case over:
			return nil, nil, reason
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, reason
		}
	}
}

// serve has this replica serve a request that it would have forwarded.
func (f *Forwarder) serve(local http.Handler, w http.ResponseWriter, r *http.Request, a *attempt) {
	in := r.WithContext(rpc.WithRepeat(access.Admitted(r.Context()), a.repeated()))
	in.URL, in.RequestURI = a.original.URL, a.original.RequestURI
	if a.body != nil {
		in.Body = a.body.Reader()
		a.body.stop()
	}
	if id := rpc.RequestID(r.Context()); id != "" {
		in.Header.Set(rpc.RequestIDHeader, id)
	}
	local.ServeHTTP(w, in)
}

// unavailable refuses a request that found no leader.
func (f *Forwarder) unavailable(w http.ResponseWriter, r *http.Request, a *attempt, reason error) {
	if r.Context().Err() != nil {
		return // its client is gone
	}
	if a.repeat.Again {
		f.broken.Add(1)
		f.log(r, reason)
		f.Refuse(w, r, f.interrupted(r.Context()))
		return
	}
	f.refused.Add(1)
	if f.Ending.Err() != nil {
		f.Refuse(w, r, rpc.ShuttingDown())
		return
	}
	f.log(r, reason)
	f.Refuse(w, r, unavailable(describe(reason).Error(), false))
}

// unavailable returns the error of a call that was not made. unknown is whether it may have
// been made after all.
func unavailable(text string, unknown bool) *connect.Error {
	err := connect.NewError(connect.CodeUnavailable, errors.New(text))
	if detail, failed := connect.NewErrorDetail(&pb.DiscordError{Text: text, OutcomeUnknown: unknown}); failed == nil {
		err.AddDetail(detail)
	}
	return err
}

// describe returns what a client may read of an error: nothing about how replicas reach
// each other.
func describe(err error) error {
	if unsent(err) || errors.Is(err, errNoSecret) {
		return errors.New("the server that leads the bot cannot be reached")
	}
	return err
}

func (f *Forwarder) log(r *http.Request, err error) {
	if allowed, omitted := f.logged.Allow(r.RemoteAddr); allowed {
		f.Logger.WarnContext(r.Context(), "failed to forward a request", "path", refusals.Path(r.URL.Path), "error", err, "omitted", omitted)
	}
}

// try forwards a request once. It reports whether the leader did not take the request,
// so that it can be tried again.
func (f *Forwarder) try(w http.ResponseWriter, r *http.Request, a *attempt) (again bool) {
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), attemptKey{}, a))
	defer cancel(nil)
	//nolint:contextcheck // the leader's context is another one
	defer context.AfterFunc(a.target.ctx, func() { cancel(errChanged) })()
	if f.Endless(r) || r.Header.Get("Upgrade") != "" {
		//nolint:contextcheck // the server's context is another one
		defer context.AfterFunc(f.Ending, func() { cancel(rpc.ErrShuttingDown) })()
		revoked := access.Revoked(r.Context())
		defer context.AfterFunc(revoked, func() { cancel(context.Cause(revoked)) })()
	}
	out := &answer{ResponseWriter: w}
	defer func() {
		if value := recover(); value != nil {
			if value != any(http.ErrAbortHandler) || !out.began || r.Context().Err() != nil || !out.end(f.interrupted(ctx)) {
				panic(value)
			}
		}
	}()
	f.proxy.ServeHTTP(out, r.WithContext(ctx))
	switch {
	case a.err == nil:
		f.answered.Add(1)
		return false
	case r.Context().Err() != nil:
		return false // its client is gone
	case (errors.Is(a.err, errNotLeading) || unsent(a.err)) && a.body.Whole():
		return true
	}
	_, ended := errors.AsType[*connect.Error](context.Cause(ctx))
	if a.repeat.Nonce != "" && !ended && !out.began && a.body.Whole() {
		a.repeat.Again, a.broke = true, time.Now()
		return true
	}
	f.broken.Add(1)
	f.log(r, a.err)
	f.Refuse(w, r, f.interrupted(ctx))
	return false
}

// interrupted returns the error of a request that the leader may have begun.
func (f *Forwarder) interrupted(ctx context.Context) *connect.Error {
	cause := context.Cause(ctx)
	if given, ok := errors.AsType[*connect.Error](cause); ok {
		return connect.NewError(given.Code(), errors.New(given.Message()))
	}
	text := rpc.MaybeMade
	if errors.Is(cause, errChanged) {
		text = "another server leads the bot now; whether the call was made is not known"
	}
	return unavailable(text, true)
}

// errNotLeading is the error of a request at a replica that does not lead.
var errNotLeading = errors.New("the server at the address of the leader does not lead the bot yet, or no longer")

// accepted fails for the response of a replica that did not take the request.
func accepted(resp *http.Response) error {
	if resp.Header.Get(notLeading) != "" {
		return errNotLeading
	}
	a := attemptOf(resp.Request.Context())
	// Who sends a stream of calls may wait for the first response before the next call.
	if a.repeat.Nonce != "" && a.body.ended() {
		if err := gather(resp); err != nil {
			return err
		}
	}
	a.body.stop()
	return nil
}

// responseBytes is how much of the response to a request that may be repeated is awaited
// before the client gets any.
const responseBytes = 64 << 10

// gather reads a response, so that one that breaks can be asked for again. A long one it
// reads in part.
func gather(resp *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(resp.Body, responseBytes+1))
	if err != nil {
		return err
	}
	if len(data) <= responseBytes {
		if resp.ContentLength < 0 {
			resp.ContentLength = int64(len(data)) // so that it is not sent in pieces
		}
		resp.Body = gathered{bytes.NewReader(data), resp.Body}
		return nil
	}
	resp.Body = gathered{io.MultiReader(bytes.NewReader(data), resp.Body), resp.Body}
	return nil
}

// gathered is a body that was read in part.
type gathered struct {
	io.Reader
	io.Closer
}

// Refused has a request that was forwarded to a replica that does not lead wait for one
// that does.
func Refused(w http.ResponseWriter, r *http.Request, refuse func(http.ResponseWriter, *http.Request, *connect.Error)) {
	w.Header().Set(notLeading, "true")
	refuse(w, r, connect.NewError(connect.CodeUnavailable, errNotLeading))
}

// unsent reports whether an error is that of a connection that was not made.
func unsent(err error) bool {
	if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "dial" {
		return true
	}
	_, isTLS := errors.AsType[*tls.CertificateVerificationError](err)
	return isTLS
}

// rewrite makes the request to the leader of one that came.
func (f *Forwarder) rewrite(pr *httputil.ProxyRequest) {
	a := attemptOf(pr.In.Context())
	in, out := pr.In, pr.Out
	u := &url.URL{
		Scheme: f.scheme(), Host: a.target.Address,
		Path: a.original.URL.Path, RawPath: a.original.URL.RawPath, RawQuery: a.original.URL.RawQuery, ForceQuery: a.original.URL.ForceQuery,
	}
	out.URL, out.Host = u, in.Host
	// What is known of other proxies stays as it came.
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := in.Header[name]; ok {
			out.Header[name] = values
		}
	}
	if id := rpc.RequestID(in.Context()); id != "" {
		out.Header.Set(rpc.RequestIDHeader, id)
	}
	if !a.deadline.IsZero() {
		setTimeout(out.Header, time.Until(a.deadline))
	}
	if out.Body != nil && a.body != nil {
		out.Body = a.body.Reader()
		if a.body.Whole() { // for a connection that ends before it takes the request
			out.GetBody = func() (io.ReadCloser, error) { return a.body.again() }
		}
	}
	from := sender{Bot: f.Bot, Peer: in.RemoteAddr, TLS: in.TLS != nil, Evidence: a.evidence, Repeat: a.repeated()}
	if waited := time.Since(a.came); waited > retryInterval/2 { // only then its place matters
		from.Waited = waited
	}
	proven, err := f.Keys.sign(from, out.Method, out.Host, u.RequestURI())
	if err != nil {
		proven = "" // which the leader refuses
		f.log(in, err)
	}
	out.Header.Set(Header, proven)
}

// transports are HTTP/2, and HTTP/1.1 for websockets.
type transports struct{ http2, http1 *http.Transport }

func newTransports(config func(host string) *tls.Config) transports {
	make := func(version2 bool) *http.Transport {
		protocols := new(http.Protocols)
		switch {
		case version2 && config == nil:
			protocols.SetUnencryptedHTTP2(true)
		case version2:
			protocols.SetHTTP2(true)
		default:
			protocols.SetHTTP1(true)
		}
		t := &http.Transport{
			Protocols: protocols, DisableCompression: true, IdleConnTimeout: time.Minute,
			DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
			HTTP2:       &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 5 * time.Second},
		}
		if config != nil {
			next := "http/1.1"
			if version2 {
				next = "h2"
			}
			t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				host, _, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				ctx, cancel := context.WithTimeout(ctx, dialTimeout)
				defer cancel()
				dialer := tls.Dialer{Config: config(host)}
				dialer.Config.NextProtos = []string{next}
				return dialer.DialContext(ctx, network, address)
			}
		}
		return t
	}
	return transports{make(true), make(false)}
}

// RoundTrip implements http.RoundTripper.
func (t transports) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return t.http1.RoundTrip(r)
	}
	return t.http2.RoundTrip(r)
}

// Close closes the connections that no request uses.
func (f *Forwarder) Close() {
	f.transport.http1.CloseIdleConnections()
	f.transport.http2.CloseIdleConnections()
}

// buffers are those of response bodies.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32<<10)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }
