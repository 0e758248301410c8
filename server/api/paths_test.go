package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	pb "discordproxy/gen/discord_api"
	"discordproxy/server/api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// inPaths are the texts of requests that become part of a path at Discord.
var inPaths = []protoreflect.Name{"webhook_token", "interaction_token", "emoji_name"}

// TestTextsInPaths: every method refuses a text that cannot be part of a path,
// and the error names the field but not its value, which may be a secret.
func TestTextsInPaths(t *testing.T) {
	discord := new(recorder)
	below, _ := tryOnce(t, "token", discord)
	handler, err := api.New(api.Config{Discord: below})
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	methods := pb.File_discord_api_discord_api_proto.Services().ByName("DiscordApi").Methods()
	for i := range methods.Len() {
		method := methods.Get(i)
		for _, name := range inPaths {
			field := method.Input().Fields().ByName(name)
			if field == nil {
				continue
			}
			for _, value := range []string{"../secret", "secret/x", "secret x", "secret?x", "secret%2f", `secret\x`, "secret\n", "..", "."} {
				tried++
				request := dynamicpb.NewMessage(method.Input())
				fill(request)
				request.Set(field, protoreflect.ValueOfString(value))
				err := callDynamic(t, handler, method, request)
				if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), fmt.Sprintf("In %s: Must be", name)) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%s with %s %q: %v", method.Name(), name, value, err)
				}
			}
		}
	}
	if tried < 9*10 || discord.take() != "" {
		t.Errorf("%d requests were tried, and Discord got %q", tried, discord.take())
	}
}

// callDynamic calls a method with a message that is known by its descriptor.
func callDynamic(t *testing.T, handler http.Handler, method protoreflect.MethodDescriptor, request proto.Message) error {
	client := connect.NewClient[dynamicpb.Message, dynamicpb.Message](inProcess{handler}, "http://localhost/discord_api.DiscordApi/"+string(method.Name()),
		connect.WithSchema(method), connect.WithResponseInitializer(func(_ connect.Spec, message any) error {
			*message.(*dynamicpb.Message) = *dynamicpb.NewMessage(method.Output())
			return nil
		}))
	dynamic := request.(*dynamicpb.Message)
	if method.IsStreamingServer() {
		stream, err := client.CallServerStream(t.Context(), connect.NewRequest(dynamic))
		if err != nil {
			return err
		}
		defer stream.Close()
		for stream.Receive() {
		}
		return stream.Err()
	}
	_, err := client.CallUnary(t.Context(), connect.NewRequest(dynamic))
	return err
}

// inProcess calls a handler without a network.
type inProcess struct{ handler http.Handler }

func (p inProcess) Do(req *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	p.handler.ServeHTTP(rec, req)
	return rec.Result(), nil
}
