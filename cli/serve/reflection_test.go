package serve_test

import (
	"fmt"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	"google.golang.org/grpc"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// TestReflection sends a message as grpcurl does, without the API's definition at
// hand, by both versions of the reflection service. Their messages are the
// same on the wire.
func TestReflection(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	conn := p.Dial(t)
	channel := sb.World().General
	for _, version := range []string{"v1", "v1alpha"} {
		t.Run(version, func(t *testing.T) {
			stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
				"/grpc.reflection."+version+".ServerReflection/ServerReflectionInfo")
			if err != nil {
				t.Fatal(err)
			}
			ask := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "discord_api.DiscordApi"}}
			reflected := new(reflectionpb.ServerReflectionResponse)
			if err := stream.SendMsg(ask); err != nil {
				t.Fatal(err)
			}
			if err := stream.RecvMsg(reflected); err != nil {
				t.Fatal(err)
			}
			set := new(descriptorpb.FileDescriptorSet)
			for _, data := range reflected.GetFileDescriptorResponse().GetFileDescriptorProto() {
				file := new(descriptorpb.FileDescriptorProto)
				if err := proto.Unmarshal(data, file); err != nil {
					t.Fatal(err)
				}
				set.File = append(set.File, file)
			}
			files, err := protodesc.NewFiles(set)
			if err != nil {
				t.Fatal(err)
			}
			found, err := files.FindDescriptorByName("discord_api.DiscordApi.SendChannelMessage")
			if err != nil {
				t.Fatal(err)
			}
			method := found.(protoreflect.MethodDescriptor)
			request, response := dynamicpb.NewMessage(method.Input()), dynamicpb.NewMessage(method.Output())
			if err := protojson.Unmarshal(fmt.Appendf(nil, `{"channel_id": "%s", "content": "by %s"}`, channel, version), request); err != nil {
				t.Fatal(err)
			}
			if err := conn.Invoke(t.Context(), "/discord_api.DiscordApi/SendChannelMessage", request, response); err != nil {
				t.Fatal(err)
			}
			if stored := sb.Messages(channel); stored[len(stored)-1].Content != "by "+version {
				t.Errorf("stored is %+v", stored)
			}
		})
	}
}
