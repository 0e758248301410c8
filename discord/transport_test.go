package discord

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/sandbox"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// clientOf returns a client of the sandbox whose first try ends as
// first says, and counts the tries.
func clientOf(t *testing.T, sb *sandbox.Sandbox, first func(r *http.Request, next http.RoundTripper) (*http.Response, error)) (client *Client, tries *int) {
	tries = new(int)
	next := sb.Transport()
	client, err := New(Config{
		Token: sb.World().Token, Logger: slog.New(slog.DiscardHandler),
		Upstream: roundTripper(func(r *http.Request) (*http.Response, error) {
			if *tries++; *tries == 1 {
				return first(r, next)
			}
			return next.RoundTrip(r)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return client, tries
}

// TestWhatIsRetried: every kind of call with every outcome of an attempt.
func TestWhatIsRetried(t *testing.T) {
	nobody := NewUpstream(0)
	nobody.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	noTLS := NewUpstream(0)
	noTLS.DialContext = func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			_, _ = there.Read(make([]byte, 100)) // of the ClientHello
			_ = there.Close()
		}()
		return here, nil
	}
	noName := NewUpstream(0)
	noName.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "discord.com", IsNotFound: true}
	}
	// answered carries the call out and answers something else.
	answered := func(status int, body string) func(*http.Request, http.RoundTripper) (*http.Response, error) {
		return func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err != nil {
				return nil, err
			}
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: resp.Request}, nil
		}
	}
	type fate = func(*http.Request, http.RoundTripper) (*http.Response, error)
	through := func(pool *http.Transport) fate {
		return func(r *http.Request, _ http.RoundTripper) (*http.Response, error) { return pool.RoundTrip(r) }
	}
	const unsentFates, openFates = "unsent", "open"
	fates := map[string]map[string]fate{
		unsentFates: {"connection refused": through(nobody), "TLS breaks off": through(noTLS), "no name": through(noName)},
		//nolint:bodyclose // the functions are called by the transport, which closes
		openFates: {
			"500": answered(500, ""), "502": answered(502, "<html>"), "503": answered(503, ""), "504": answered(504, ""), "522": answered(522, ""),
			"reset": func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				if _, err := next.RoundTrip(r); err != nil {
					return nil, err
				}
				return nil, errors.New("connection reset by peer")
			},
		},
	}
	w := sandbox.New(sandbox.Config{}).World()
	channel := "/channels/" + w.General.String()
	for name, tt := range map[string]struct {
		method, path, body string
		policy             policy
		again              bool // although it may have taken effect
	}{
		"read":                 {http.MethodGet, channel, "", policy{repeatable: true}, true},
		"edit":                 {http.MethodPatch, channel, `{"topic":"x"}`, policy{repeatable: true}, true},
		"message with nonce":   {http.MethodPost, channel + "/messages", `{"content":"x","nonce":"1","enforce_nonce":true}`, policy{repeatable: true}, true},
		"creation":             {http.MethodPost, channel + "/threads", `{"name":"x","type":11}`, policy{}, false},
		"direct message opens": {http.MethodPost, "/users/@me/channels", `{"recipient_id":"` + w.Alice.String() + `"}`, policy{repeatable: true}, true},
	} {
		for class, fates := range fates {
			for fateName, first := range fates {
				t.Run(name+"/"+fateName, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						client, tries := clientOf(t, sandbox.New(sandbox.Config{}), first)
						_, err := client.call(t.Context(), &request{
							policy: tt.policy, method: tt.method, version: "v9", path: tt.path,
							header: http.Header{"Content-Type": {"application/json"}}, body: []byte(tt.body),
						})
						if class == unsentFates || tt.again {
							if err != nil || *tries != 2 {
								t.Errorf("%d tries, then %v", *tries, err)
							}
							return
						}
						if e, ok := errors.AsType[*Error](err); !ok || !e.OutcomeUnknown || *tries != 1 {
							t.Errorf("%d tries, then %v", *tries, err)
						}
					})
				})
			}
		}
	}
}

// TestRepeatedDelete: that a message is gone on the second try of the same
// call means that the first one has deleted it. On a first try it is an error.
func TestRepeatedDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		channel := sb.World().General
		id, err := sb.AddMessage(sandbox.Message{ChannelID: channel, Content: "x"})
		if err != nil {
			t.Fatal(err)
		}
		client, tries := clientOf(t, sb, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if _, err := next.RoundTrip(r); err != nil {
				return nil, err
			}
			return nil, errors.New("connection reset by peer")
		})
		message := Args{"channel_id": channel, "message_id": id}
		if _, err := client.Call(t.Context(), nil, DeleteMessage, message); err != nil || *tries != 2 {
			t.Errorf("%d tries, then %v", *tries, err)
		}
		if left := sb.Messages(channel); len(left) != 0 {
			t.Errorf("the channel holds %+v", left)
		}
		_, err = client.Call(t.Context(), nil, DeleteMessage, message)
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeUnknownMessage || e.OutcomeUnknown {
			t.Errorf("deleting what is gone: %v", err)
		}
	})
}

// TestUnknownIsSuccess: a stored message is never reported as failed because its response
// contains something new.
func TestUnknownIsSuccess(t *testing.T) {
	const stored = `{"id":"1","type":99,"content":"x","components":[{"type":4711,"id":1,"next":{"year":true}}],"flags":"odd","new":[1,{}]}`
	synctest.Test(t, func(t *testing.T) {
		client, tries := clientOf(t, sandbox.New(sandbox.Config{}), func(r *http.Request, _ http.RoundTripper) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(stored)), Request: r}, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		data, err := client.CreateMessage(ctx, nil, 1, Message{Fields: Args{"content": "x"}})
		if err != nil || string(data) != stored || *tries != 1 {
			t.Errorf("%d tries: %s, %v", *tries, data, err)
		}
	})
}
