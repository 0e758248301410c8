package forward_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"discordproxy/server/internal/forward"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
)

func keysAt(now time.Time, secrets ...forward.Secret) *forward.Keys {
	k := forward.NewKeys("bot", "second")
	k.Use(secrets, now, time.Now())
	return k
}

// refuse is what a server without protocols does.
func refuse(w http.ResponseWriter, _ *http.Request, err *connect.Error) {
	http.Error(w, err.Message(), http.StatusServiceUnavailable)
}

func newForwarder(t *testing.T, keys *forward.Keys, change ...func(*forward.Config)) *forward.Forwarder {
	t.Helper()
	c := forward.Config{
		Bot: "bot", Keys: keys, Refuse: refuse, Endless: func(*http.Request) bool { return false },
		Repeatable: func(r *http.Request) bool { return r.URL.Path == "/repeatable" }, Logger: slog.New(slog.DiscardHandler),
	}
	for _, change := range change {
		change(&c)
	}
	f := forward.New(c)
	t.Cleanup(f.Close)
	return f
}

// serverOn is a server that accepts cleartext HTTP/2.
func serverOn(t *testing.T, handler http.Handler) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// ask sends a request over HTTP/2.
func ask(t *testing.T, address, path string, body io.Reader) (int, string) {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.1")
	req.Header.Set("Grpc-Timeout", "20S")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// leaderWith is a leader that writes what it sees of a request.
func leaderWith(t *testing.T, keys *forward.Keys) string {
	t.Helper()
	return serverOn(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := keys.Accept(w, r)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusForbidden)
		case in == nil:
			http.Error(w, "not forwarded", http.StatusBadRequest)
		default:
			body, _ := io.ReadAll(in.Body)
			_, _ = fmt.Fprintf(w, "%s %s %s %s %d %v", in.RequestURI, in.Host, in.RemoteAddr, in.Header.Get("X-Forwarded-For"), len(body), in.Header[forward.Header])
		}
	}))
}

// TestProof: a request is accepted only with a proof for this bot by a secret of the replicas.
func TestProof(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000) // whatever the clocks of machines show
	secret := forward.Secret{ID: 1, Secret: []byte("secret"), Created: now.Add(-time.Hour)}
	newer := forward.Secret{ID: 2, Secret: []byte("newer"), Created: now.Add(-time.Second)}
	for name, c := range map[string]struct {
		leader, entry *forward.Keys
		ok            bool
		bot           string
	}{
		"same":                     {keysAt(now, secret), keysAt(now, secret), true, "bot"},
		"slow":                     {keysAt(now.Add(14*time.Second), secret), keysAt(now, secret), true, "bot"},
		"another bot":              {keysAt(now, secret), keysAt(now, secret), false, "other"},
		"a second bot":             {keysAt(now, secret), keysAt(now, secret), true, "second"},
		"another secret":           {keysAt(now, forward.Secret{ID: 1, Secret: []byte("other")}), keysAt(now, secret), false, "bot"},
		"a leader without secrets": {keysAt(now), keysAt(now, secret), false, "bot"},
		"a secret that the leader does not know of yet": {keysAt(now, secret), keysAt(now, newer, secret), true, "bot"},
		"a secret that all know of":                     {keysAt(now, newer), keysAt(now.Add(10*time.Second), newer, secret), true, "bot"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newForwarder(t, c.entry, func(config *forward.Config) { config.Bot = c.bot })
			f.Lead(forward.Leader{ID: "leader", Address: leaderWith(t, c.leader), Epoch: 1}, nil)
			address := serverOn(t, f)
			code, text := ask(t, address, "/a%2Fb//c?d=%zz&e", strings.NewReader(strings.Repeat("x", 100_000)))
			want := "/a%2Fb//c?d=%zz&e " + address + " 127.0.0.1:"
			switch {
			case !c.ok && (code != http.StatusForbidden || !strings.Contains(text, "does not prove")):
				t.Errorf("%d %s", code, text)
			case c.ok && (code != http.StatusOK || !strings.HasPrefix(text, want) || !strings.HasSuffix(text, " 192.0.2.1 100000 []")):
				t.Errorf("%d %s, want %s", code, text, want)
			}
		})
	}
}

// TestProofOfAnotherTime: a request whose proof is too old waits until the replicas agree
// about the time, as after the sleep of a machine, whose clock stood still. The leader does
// nothing meanwhile, and without another proof the request is refused as one that was not made.
func TestProofOfAnotherTime(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	secret := forward.Secret{ID: 1, Secret: []byte("secret"), Created: now.Add(-time.Hour)}
	for name, entered := range map[string]time.Time{"old": now.Add(-17 * time.Second), "future": now.Add(17 * time.Second)} {
		t.Run(name, func(t *testing.T) {
			leader, entry := keysAt(now, secret), keysAt(entered, secret)
			refused := make(chan struct{}, 1000)
			accepted := serverOn(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := leader.Accept(w, r); err != nil {
					http.Error(w, err.Error(), http.StatusForbidden)
					refused <- struct{}{}
				}
			}))
			f := newForwarder(t, entry)
			f.Lead(forward.Leader{ID: "leader", Address: accepted, Epoch: 1}, nil)
			address := serverOn(t, f)
			met := make(chan struct{})
			go func() {
				defer close(met)
				<-refused
				<-refused // it was tried again
				entry.Use([]forward.Secret{secret}, now, time.Now())
			}()
			if code, text := ask(t, address, "/path", strings.NewReader("body")); code != http.StatusOK {
				t.Errorf("%d %s", code, text)
				refused <- struct{}{}
				refused <- struct{}{}
			}
			<-met
			impatient := newForwarder(t, keysAt(entered, secret), func(c *forward.Config) { c.Wait = time.Millisecond })
			impatient.Lead(forward.Leader{ID: "leader", Address: accepted, Epoch: 1}, nil)
			if code, text := ask(t, serverOn(t, impatient), "/path", nil); code != http.StatusServiceUnavailable || impatient.Stats().Refused != 1 {
				t.Errorf("%d %s, %+v", code, text, impatient.Stats())
			}
		})
	}
}

// TestProofIsBound: a proof is for one method, path and host.
func TestProofIsBound(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	keys := keysAt(now, forward.Secret{ID: 1, Secret: []byte("secret")})
	var stolen atomic.Pointer[string]
	f := newForwarder(t, keys)
	f.Lead(forward.Leader{ID: "leader", Address: serverOn(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		proof := r.Header.Get(forward.Header)
		stolen.Store(&proof)
	})), Epoch: 1}, nil)
	address := serverOn(t, f)
	if code, text := ask(t, address, "/path", nil); code != http.StatusOK {
		t.Fatal(code, text)
	}
	for _, c := range []struct {
		method, host, path string
		ok                 bool
	}{
		{http.MethodPost, address, "/path", true},
		{http.MethodGet, address, "/path", false},
		{http.MethodPost, "other", "/path", false},
		{http.MethodPost, address, "/path?x", false},
		{http.MethodPost, address, "/other", false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil)
		r.Host = c.host
		r.Header.Set(forward.Header, *stolen.Load())
		if in, err := keys.Accept(httptest.NewRecorder(), r); (err == nil) != c.ok || (in != nil) != c.ok || len(r.Header[forward.Header]) > 0 {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestNextLeader: a request that a replica does not take goes to the next leader, with
// its whole body if that is short.
func TestNextLeader(t *testing.T) {
	keys := keysAt(time.Now(), forward.Secret{ID: 1, Secret: []byte("secret")})
	asked := make(chan struct{}, 100)
	former := serverOn(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		asked <- struct{}{}
		forward.Refused(w, r, refuse)
	}))
	for name, first := range map[string]string{"refused": former, "gone": "127.0.0.1:1"} {
		t.Run(name, func(t *testing.T) {
			f := newForwarder(t, keys)
			f.Lead(forward.Leader{ID: "former", Address: first, Epoch: 1}, nil)
			address := serverOn(t, f)
			done := make(chan struct{})
			go func() {
				defer close(done)
				code, text := ask(t, address, "/path", strings.NewReader(strings.Repeat("x", 20_000)))
				if code != http.StatusOK || !strings.Contains(text, " 20000 ") {
					t.Errorf("%d %s", code, text)
				}
			}()
			if name == "refused" {
				<-asked
				<-asked // it was tried again
			}
			f.Lead(forward.Leader{ID: "next", Address: leaderWith(t, keys), Epoch: 2}, nil)
			<-done
			if s := f.Stats(); s.Answered != 1 || s.Refused+s.Broken+s.InProgress != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestBecomes: requests that wait for a leader are served here once this replica leads.
func TestBecomes(t *testing.T) {
	f := newForwarder(t, keysAt(time.Now()))
	address := serverOn(t, f)
	if err := f.Ready(); err == nil {
		t.Error("ready without a leader")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if code, text := ask(t, address, "/path", strings.NewReader("body")); code != http.StatusOK || text != "here: body" {
			t.Errorf("%d %s", code, text)
		}
	}()
	for f.Stats().InProgress == 0 {
		time.Sleep(time.Millisecond)
	}
	f.Become(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "here: %s", body)
	}))
	<-done
	if err := f.Ready(); err != nil {
		t.Error(err)
	}
}

// TestResigns: requests at a replica that leads no longer wait for the next leader, which
// learns how long. When there will be none, they fail.
func TestResigns(t *testing.T) {
	keys := keysAt(time.Now(), forward.Secret{ID: 1, Secret: []byte("secret")})
	f := newForwarder(t, keys)
	address := serverOn(t, forward.Keep(f))
	f.Become(http.NotFoundHandler())
	f.Resign()
	if err := f.Ready(); err == nil {
		t.Error("ready without a leader")
	}
	came := make(chan time.Duration, 1)
	next := serverOn(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := keys.Accept(w, r)
		if err != nil {
			t.Error(err)
			return
		}
		came <- time.Since(forward.Came(in))
	}))
	began := time.Now()
	go func() {
		for f.Stats().InProgress == 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(200 * time.Millisecond)
		f.Lead(forward.Leader{ID: "next", Address: next, Epoch: 2}, nil)
	}()
	if code, text := ask(t, address, "/path", strings.NewReader("body")); code != http.StatusOK {
		t.Errorf("%d %s", code, text)
	}
	if waited := <-came; waited < 200*time.Millisecond || waited > time.Since(began) {
		t.Errorf("the leader learns that it has waited for %v", waited)
	}
	f.Lead(forward.Leader{}, nil)
	go func() {
		for f.Stats().InProgress == 0 {
			time.Sleep(time.Millisecond)
		}
		f.End()
	}()
	if code, _ := ask(t, address, "/path", nil); code != http.StatusServiceUnavailable {
		t.Errorf("without another leader: %d", code)
	}
}

// TestNoLeader: a request waits for a leader for a bounded time.
func TestNoLeader(t *testing.T) {
	f := newForwarder(t, keysAt(time.Now()), func(c *forward.Config) { c.Wait = 50 * time.Millisecond })
	reason := errors.New("nobody leads")
	f.Lead(forward.Leader{}, reason)
	if code, text := ask(t, serverOn(t, f), "/path", nil); code != http.StatusServiceUnavailable || text != "nobody leads\n" {
		t.Errorf("%d %s", code, text)
	}
	if s := f.Stats(); s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

// TestStreamEnds: a stream whose leader is replaced ends with an error in its protocol.
func TestStreamEnds(t *testing.T) {
	keys := keysAt(time.Now(), forward.Secret{ID: 1, Secret: []byte("secret")})
	for contentType, want := range map[string]string{
		"application/grpc+proto":     "\x00\x00\x00\x00\x01a",
		"application/grpc-web+proto": "\x00\x00\x00\x00\x01a\x80\x00\x00\x00\x85grpc-status: 14\r\ngrpc-message: another%20server",
		"application/connect+json":   "\x00\x00\x00\x00\x01a\x02\x00\x00\x00\x75{\"error\":{\"code\":\"unavailable\",\"message\":\"another server leads",
	} {
		t.Run(contentType, func(t *testing.T) {
			f := newForwarder(t, keys)
			f.Lead(forward.Leader{ID: "former", Address: serverOn(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", contentType)
				_, _ = w.Write([]byte("\x00\x00\x00\x00\x01a"))
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})), Epoch: 1}, nil)
			protocols := new(http.Protocols)
			protocols.SetUnencryptedHTTP2(true)
			transport := &http.Transport{Protocols: protocols}
			defer transport.CloseIdleConnections()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+serverOn(t, f)+"/stream", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			first := make([]byte, 6)
			if _, err := io.ReadFull(resp.Body, first); err != nil {
				t.Fatal(err)
			}
			f.Lead(forward.Leader{ID: "next", Address: "127.0.0.1:1", Epoch: 2}, nil)
			rest, err := io.ReadAll(resp.Body)
			if got := string(first) + string(rest); err != nil || !strings.HasPrefix(got, want) {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
			if strings.HasPrefix(contentType, "application/grpc+") && resp.Trailer.Get("Grpc-Status") != "14" {
				t.Errorf("trailers %v", resp.Trailer)
			}
		})
	}
}

// TestShutdown: a stream without an end ends when this server shuts down.
func TestShutdown(t *testing.T) {
	ending, end := context.WithCancel(t.Context())
	keys := keysAt(time.Now(), forward.Secret{ID: 1, Secret: []byte("secret")})
	f := newForwarder(t, keys, func(c *forward.Config) {
		c.Ending, c.Endless = ending, func(*http.Request) bool { return true }
	})
	arrived := make(chan struct{})
	f.Lead(forward.Leader{ID: "leader", Address: serverOn(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})), Epoch: 1}, nil)
	address := serverOn(t, f)
	go func() {
		<-arrived
		end()
	}()
	if code, text := ask(t, address, "/stream", nil); code != http.StatusServiceUnavailable || !strings.Contains(text, "shutting down") {
		t.Errorf("%d %s", code, text)
	}
}

// TestRepeats: a request whose outcome is not known is made again if it may be, with the
// same nonce. Others fail.
func TestRepeats(t *testing.T) {
	keys := keysAt(time.Now(), forward.Secret{ID: 1, Secret: []byte("secret")})
	for path, repeated := range map[string]bool{"/repeatable": true, "/path": false} {
		t.Run(path, func(t *testing.T) {
			seen := make(chan rpc.Repeat, 10)
			f := newForwarder(t, keys)
			next := serverOn(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				in, err := keys.Accept(w, r)
				if err != nil {
					t.Error(err)
					return
				}
				seen <- rpc.RepeatOf(in.Context()) //nolint:contextcheck // it is that of r
				_, _ = io.Copy(w, r.Body)
			}))
			f.Lead(forward.Leader{ID: "dies", Epoch: 1, Address: serverOn(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				in, err := keys.Accept(w, r)
				if err != nil {
					t.Error(err)
					return
				}
				seen <- rpc.RepeatOf(in.Context()) //nolint:contextcheck // it is that of r
				_, _ = io.ReadAll(r.Body)
				f.Lead(forward.Leader{ID: "next", Address: next, Epoch: 2}, nil)
				panic(http.ErrAbortHandler)
			}))}, nil)
			code, text := ask(t, serverOn(t, f), path, strings.NewReader("body"))
			first := <-seen
			if !repeated {
				if code != http.StatusServiceUnavailable || !strings.Contains(text, "is not known") || first != (rpc.Repeat{}) || len(seen) > 0 {
					t.Errorf("%d %s, %+v", code, text, first)
				}
				return
			}
			second := <-seen
			if code != http.StatusOK || text != "body" || len(first.Nonce) != 25 || first.Again || second.Age <= 0 || second != (rpc.Repeat{Nonce: first.Nonce, Again: true, Age: second.Age}) {
				t.Errorf("%d %s, %+v, %+v", code, text, first, second)
			}
		})
	}
}
