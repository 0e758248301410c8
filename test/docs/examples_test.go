package docs

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// documented is a method as docs/api.md describes it.
type documented struct {
	method  string
	outbox  bool
	discord string // the calls to Discord that it names
	blocks  map[string]string
}

var (
	discordFact = regexp.MustCompile(`(?m)^- \*\*Discord:\*\* (.*)$`)
	codeBlock   = regexp.MustCompile("(?s)```(sh|python)\n(.*?)```")
)

// documentation reads docs/api.md, which holds every method of the API.
func documentation(t *testing.T) []documented {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	chapters := make(map[string]string)
	for chapter := range strings.SplitSeq(string(text), "\n### ") {
		name, body, _ := strings.Cut(chapter, "\n")
		chapters[name] = body
	}
	var methods []protoreflect.MethodDescriptor
	for _, service := range []protoreflect.ServiceDescriptor{
		pb.File_discord_api_discord_api_proto.Services().ByName("DiscordApi"),
		pb.File_discord_api_outbox_proto.Services().ByName("Outbox"),
	} {
		for i := range service.Methods().Len() {
			methods = append(methods, service.Methods().Get(i))
		}
	}
	var all []documented
	for _, method := range methods {
		name := string(method.Name())
		d := documented{method: name, outbox: method.Parent().Name() == "Outbox", blocks: make(map[string]string)}
		if fact := discordFact.FindStringSubmatch(chapters[name]); fact != nil {
			d.discord = fact[1]
		}
		for _, block := range codeBlock.FindAllStringSubmatch(chapters[name], -1) {
			d.blocks[block[1]] = block[2]
		}
		if d.blocks["sh"] == "" || d.blocks["python"] == "" {
			t.Errorf("%s has no examples", name)
		}
		all = append(all, d)
	}
	return all
}

// endless are the methods whose examples are not run: their streams have no end.
// Others run them, TestEvents over every protocol and TestDiceBot in Python, and
// TestCrashes.
var endless = []string{"SubscribeEvents", "WatchDeliveries"}

// reminder is the delivery that the examples cancel.
const reminder = "reminder"

// remind enqueues it, for a time that does not come.
func remind(t *testing.T, sb *sandbox.Sandbox, address, method string) {
	t.Helper()
	if method != "CancelDelivery" {
		return
	}
	_, err := discordapiconnect.NewOutboxClient(http.DefaultClient, "http://"+address).Enqueue(t.Context(), &pb.EnqueueRequest{
		Call: &pb.EnqueueRequest_SendChannelMessage{SendChannelMessage: &pb.SendChannelMessageRequest{
			ChannelId: uint64(sb.World().General), Content: "hi",
		}},
		DeliveryId: reminder,
		NotBefore:  timestamppb.New(time.Now().Add(time.Hour)),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Ids in the examples of methods that answer an interaction. Interactions do
// not last, so that the sandbox has none of its own.
const (
	exampleInteraction = "1100000000000000800"
	exampleToken       = "token-of-the-interaction"
)

// live puts an interaction that waits for an answer into an example. What only
// follows a first answer finds it given.
func live(t *testing.T, sb *sandbox.Sandbox, method, example string) string {
	t.Helper()
	if !strings.Contains(example, exampleToken) {
		return example
	}
	in, err := sb.Interact(sandbox.Use{Channel: sb.World().General, Name: "roll"})
	if err != nil {
		t.Fatal(err)
	}
	if method != "RespondInteraction" {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
			fmt.Sprintf("http://discord/api/v10/interactions/%s/%s/callback", in.ID, in.Token), strings.NewReader(`{"type":4,"data":{"content":"first"}}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := sb.Transport().RoundTrip(req)
		if err != nil || resp.StatusCode != http.StatusNoContent {
			t.Fatal(resp, err)
		}
		_ = resp.Body.Close()
		sb.ResetStats()
	}
	return strings.NewReplacer(exampleInteraction, in.ID.String(), exampleToken, in.Token).Replace(example)
}

// TestDocumentedCurl runs each curl line of the documentation, in a fresh
// world, and compares the calls to Discord with those that are named.
func TestDocumentedCurl(t *testing.T) {
	require.Command(t, "curl", "apt-get install curl")
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb, "--global-rate-limit", "0")
	for _, d := range documentation(t) {
		if slices.Contains(endless, d.method) {
			continue
		}
		sb.Reset()
		remind(t, sb, p.Address, d.method)
		line := strings.ReplaceAll(live(t, sb, d.method, d.blocks["sh"]), "127.0.0.1:50051", p.Address)
		out, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput()
		if err != nil || len(out) == 0 || strings.Contains(string(out), `"code":"`) {
			t.Errorf("%s: %v\n%s\n%s", d.method, err, line, out)
		}
		if d.outbox { // its calls are made when the method has ended
			continue
		}
		for route := range sb.Stats().Routes {
			if strings.Contains(d.blocks["sh"], exampleToken) {
				// An interaction is a webhook of the application's.
				route = strings.NewReplacer("{webhook_id}", "{application_id}", "{webhook_token}", "{interaction_token}").Replace(route)
			}
			if !strings.Contains(d.discord, route) {
				t.Errorf("%s calls %s, the documentation says %s", d.method, route, d.discord)
			}
		}
		if calls := sb.Stats().Calls; (calls > 0) != (d.discord != "") {
			t.Errorf("%s makes %d calls to Discord, the documentation says %q", d.method, calls, d.discord)
		}
	}
}

// TestDocumentedPython runs each line in Python.
func TestDocumentedPython(t *testing.T) {
	python := require.Python(t)
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb, "--global-rate-limit", "0")

	definitions := filepath.Join(t.TempDir(), "definitions.binpb")
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(durationpb.File_google_protobuf_duration_proto),
		protodesc.ToFileDescriptorProto(timestamppb.File_google_protobuf_timestamp_proto),
		protodesc.ToFileDescriptorProto(pb.File_discord_api_discord_api_proto),
		protodesc.ToFileDescriptorProto(pb.File_discord_api_outbox_proto),
	}}
	data, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(definitions, data, 0o600); err != nil {
		t.Fatal(err)
	}

	cmd := exec.CommandContext(t.Context(), python, filepath.Join("..", "python", "examples.py"), p.Address, definitions)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	replies := bufio.NewScanner(out)
	example := json.NewEncoder(in)
	for _, d := range documentation(t) {
		if slices.Contains(endless, d.method) {
			continue
		}
		sb.Reset()
		remind(t, sb, p.Address, d.method)
		if err := example.Encode(live(t, sb, d.method, d.blocks["python"])); err != nil {
			t.Fatal(err)
		}
		if !replies.Scan() {
			t.Fatalf("%s: the interpreter ended: %v", d.method, replies.Err())
		}
		if reply := replies.Text(); reply != "ok" {
			t.Errorf("%s: %s\n%s", d.method, reply, d.blocks["python"])
		}
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
