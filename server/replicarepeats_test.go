//go:build unix

package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/store/storetest"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// muted passes connections of cleartext HTTP/2 on to an address, and no responses after it
// was frozen. What else HTTP/2 needs passes, such as windows.
type muted struct {
	address string
	to      string
	freeze  func()
	frozen  chan struct{}
}

func newMuted(t *testing.T, to string) *muted {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &muted{address: l.Addr().String(), to: to, frozen: make(chan struct{})}
	m.freeze = sync.OnceFunc(func() { close(m.frozen) })
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go m.pass(c)
		}
	}()
	return m
}

func (m *muted) pass(client net.Conn) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", m.to) // it ends with its two sides
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	for {
		// https://www.rfc-editor.org/rfc/rfc9113#name-frame-format
		const headBytes, response = 9, 1 // of frame type HEADERS or, 0, DATA
		var frame bytes.Buffer
		if _, err := io.CopyN(&frame, server, headBytes); err != nil {
			return
		}
		head := frame.Bytes()
		length, kind := int64(head[0])<<16|int64(head[1])<<8|int64(head[2]), head[3]
		if _, err := io.CopyN(&frame, server, length); err != nil {
			return
		}
		select {
		case <-m.frozen:
			if kind <= response {
				continue
			}
		default:
		}
		if _, err := client.Write(frame.Bytes()); err != nil {
			return
		}
	}
}

// TestReplicaRepeats: the leader is killed after Discord has the calls that another server
// has passed on, and before that one gets a response. Calls that Discord or the database
// keeps single are repeated at the next leader, succeed, and were made once. All others fail
// with UNAVAILABLE, were made once, and the error says that the outcome is not known.
func TestReplicaRepeats(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	database := storetest.Database(t)
	start := func(port, advertise string) *process {
		_, number, _ := strings.Cut(port, ":")
		p := startProcess(t, "--token", sb.World().Token, "--discord-api-url", discord.URL+"/api", "--database", database,
			"--no-dashboard", "--no-gateway", "--rest-proxy", "--advertise", advertise, "--port", number)
		p.serves(t)
		return p
	}
	port := proxytest.FreeAddress(t)
	link := newMuted(t, port)
	get := func(p *process) error {
		_, err := p.client.GetCurrentUser(t.Context(), new(pb.GetCurrentUserRequest))
		return err
	}
	leader := start(port, link.address)
	within(t, func() error { return get(leader) })
	port = proxytest.FreeAddress(t)
	other := start(port, port)
	within(t, func() error { return get(other) })
	queue := discordapiconnect.NewOutboxClient(proxytest.NewHTTP2Client(), "http://"+other.address, connect.WithGRPC())

	w := sb.World()
	general := uint64(w.General)
	add := func(content string) sandbox.ID {
		t.Helper()
		resp, err := leader.client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: general, Content: content})
		if err != nil {
			t.Fatal(err)
		}
		return sandbox.ID(resp.GetMessage().GetId())
	}
	toEdit, toReact, toDelete := add("to be edited"), add("to be reacted to"), add("to be deleted")

	send := func(content string, size int) error {
		req := &pb.SendChannelMessageRequest{ChannelId: general, Content: content}
		if size > 0 {
			req.Attachments = []*pb.AttachmentRequest{{Filename: "a", Data: bytes.Repeat([]byte("a"), size)}}
		}
		_, err := other.client.SendChannelMessage(context.WithoutCancel(t.Context()), req)
		return err
	}
	call := func(content string) *pb.EnqueueRequest {
		return &pb.EnqueueRequest{Call: &pb.EnqueueRequest_SendChannelMessage{
			SendChannelMessage: &pb.SendChannelMessageRequest{ChannelId: general, Content: content},
		}}
	}
	// plain makes a plain request. A status of 503 becomes UNAVAILABLE.
	plain := func(method, path, contentType string, body io.Reader) error {
		req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, "http://"+other.address+"/api/v10"+path, body)
		if err != nil {
			return err
		}
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		switch {
		case err != nil:
			return err
		case resp.StatusCode == http.StatusServiceUnavailable:
			return connect.NewError(connect.CodeUnavailable, errors.New(string(text)))
		case resp.StatusCode >= http.StatusMultipleChoices:
			return fmt.Errorf("status %d: %s", resp.StatusCode, text)
		}
		return nil
	}
	messages := fmt.Sprintf("/channels/%d/messages", general)
	const form, document = "application/x-www-form-urlencoded", "application/json"
	upload := func(content string, size int) error {
		var body bytes.Buffer
		m := multipart.NewWriter(&body)
		_ = m.WriteField("payload_json", fmt.Sprintf(`{"content":%q}`, content))
		file, _ := m.CreateFormFile("files[0]", "a.txt")
		_, _ = file.Write(bytes.Repeat([]byte("a"), size))
		m.Close()
		return plain(http.MethodPost, messages, m.FormDataContentType(), &body)
	}
	stored := func(content string) func() int {
		return func() (n int) {
			for _, channel := range []sandbox.ID{w.General, w.Announcement} {
				for _, m := range sb.Messages(channel) {
					if m.Content == content {
						n++
					}
				}
			}
			return n
		}
	}
	cases := []struct {
		name    string
		make    func(name string) error
		made    func() int // nil counts the messages with the case's name
		unknown bool
	}{
		{name: "send", make: func(name string) error { return send(name, 0) }},
		{name: "send a file", make: func(name string) error { return send(name, 700<<10) }},
		{name: "send a large file", make: func(name string) error { return send(name, 1500<<10) }, unknown: true},
		{name: "enqueue", make: func(name string) error {
			resp, err := queue.Enqueue(context.WithoutCancel(t.Context()), call(name))
			if err == nil && resp.GetDuplicate() {
				err = errors.New("a duplicate")
			}
			return err
		}},
		{name: "enqueue many, and wait for each", make: func(name string) error {
			stream, err := queue.EnqueueMany(context.WithoutCancel(t.Context()))
			if err != nil {
				return err
			}
			defer func() { _ = stream.CloseResponse() }()
			for _, more := range []string{"", ": more"} {
				if err := stream.Send(&pb.EnqueueManyRequest{Enqueue: call(name + more)}); err != nil {
					return err
				}
				if resp, err := stream.Receive(); err != nil || resp.GetError() != nil || resp.GetDuplicate() {
					return fmt.Errorf("%v, %w", resp, err)
				}
			}
			return stream.CloseRequest()
		}},
		{name: "enqueue many", make: func(name string) error {
			stream, err := queue.EnqueueMany(context.WithoutCancel(t.Context()))
			if err != nil {
				return err
			}
			defer func() { _ = stream.CloseResponse() }()
			for _, content := range []string{name + ": first", name, name + ": last"} {
				if err := stream.Send(&pb.EnqueueManyRequest{Enqueue: call(content)}); err != nil {
					return err
				}
			}
			if err := stream.CloseRequest(); err != nil {
				return err
			}
			for n := 0; ; n++ {
				resp, err := stream.Receive()
				if errors.Is(err, io.EOF) && n == 3 {
					return nil
				}
				if err != nil || resp.GetError() != nil || resp.GetDuplicate() {
					return fmt.Errorf("%d: %v, %w", n, resp, err)
				}
			}
		}},
		{name: "plain", make: func(name string) error {
			return plain(http.MethodPost, messages, document, strings.NewReader(fmt.Sprintf(`{"content":%q}`, name)))
		}},
		{name: "plain, with an enforced nonce", make: func(name string) error {
			return plain(http.MethodPost, messages, document, strings.NewReader(fmt.Sprintf(`{"content":%q,"nonce":"mine","enforce_nonce":true}`, name)))
		}},
		{name: "plain, with a nonce", make: func(name string) error {
			return plain(http.MethodPost, messages, document, strings.NewReader(fmt.Sprintf(`{"content":%q,"nonce":"own"}`, name)))
		}, unknown: true},
		{name: "form", make: func(name string) error {
			return plain(http.MethodPost, messages, form, strings.NewReader("payload_json="+url.QueryEscape(fmt.Sprintf(`{"content":%q}`, name))))
		}},
		{name: "upload", make: func(name string) error { return upload(name, 600<<10) }},
		{name: "large upload", make: func(name string) error { return upload(name, 1500<<10) }, unknown: true},
		{name: "webhook", make: func(name string) error {
			return plain(http.MethodPost, fmt.Sprintf("/webhooks/%d/%s", w.Webhook, w.WebhookToken), document, strings.NewReader(fmt.Sprintf(`{"content":%q}`, name)))
		}, unknown: true},
		{name: "edited", make: func(name string) error {
			return plain(http.MethodPatch, fmt.Sprintf("%s/%d", messages, toEdit), document, strings.NewReader(fmt.Sprintf(`{"content":%q}`, name)))
		}},
		{name: "react", make: func(string) error {
			return plain(http.MethodPut, fmt.Sprintf("%s/%d/reactions/%s/@me", messages, toReact, url.PathEscape("👍")), "", nil)
		}, made: func() (n int) {
			for _, m := range sb.Messages(w.General) {
				if m.ID == toReact {
					n += len(m.Reactions)
				}
			}
			return n
		}},
		{name: "delete", make: func(string) error {
			return plain(http.MethodDelete, fmt.Sprintf("%s/%d", messages, toDelete), "", nil)
		}, made: func() int { return 1 - stored("to be deleted")() }},
	}
	link.freeze()
	results := make([]chan error, len(cases))
	for i, tt := range cases {
		if results[i] = make(chan error, 1); tt.made == nil {
			cases[i].made = stored(tt.name)
		}
		go func() { results[i] <- tt.make(tt.name) }()
	}
	within(t, func() error {
		for i, tt := range cases {
			if len(results[i]) > 0 && tt.made() == 0 {
				t.Fatalf("%s: %v", tt.name, <-results[i])
			}
			if tt.made() == 0 {
				return fmt.Errorf("%s: Discord does not have the call", tt.name)
			}
		}
		return nil
	})
	for i, tt := range cases {
		if len(results[i]) > 0 && !tt.unknown {
			t.Errorf("%s: a response before the leader was killed: %v", tt.name, <-results[i])
		}
	}
	leader.signal(t, syscall.SIGKILL)
	for i, tt := range cases {
		err := receive(t, results[i])
		switch {
		case !tt.unknown && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.unknown && (connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "not known")):
			t.Errorf("%s: %v, want an unknown outcome", tt.name, err)
		}
	}
	for _, more := range []string{"enqueue many: first", "enqueue many: last", "enqueue many, and wait for each: more"} {
		within(t, func() error {
			if stored(more)() == 0 {
				return fmt.Errorf("%s was not delivered", more)
			}
			return nil
		})
	}
	list, err := queue.ListDeliveries(t.Context(), new(pb.ListDeliveriesRequest))
	if err != nil || len(list.GetDeliveries()) != 6 {
		t.Errorf("the outbox has %d deliveries, want 6: %v", len(list.GetDeliveries()), err)
	}
	for _, tt := range cases {
		if n := tt.made(); n != 1 {
			t.Errorf("%s: made %d times", tt.name, n)
		}
	}
}
