package api

import (
	"cmp"
	"iter"
	"math"
	"net/http"

	pb "discordproxy/gen/discord_api"
	"discordproxy/server/internal/rest"
	"discordproxy/server/internal/rpc"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Discord's bounds for files, which it raises for some guilds.
// https://discord.com/developers/docs/reference#uploading-files
const (
	DefaultMaxFileBytes   = 20 << 20
	DefaultMaxUploadBytes = rest.DefaultMaxBodyBytes
)

// uploads bounds the files of a request, in bytes.
type uploads struct{ file, all int64 }

func (c Config) uploads() uploads {
	return uploads{cmp.Or(c.MaxFileBytes, DefaultMaxFileBytes), cmp.Or(c.MaxUploadBytes, DefaultMaxUploadBytes)}
}

// LargeBody returns how large the body of a request may be if its method accepts files, or 0.
func (c Config) LargeBody(r *http.Request) int64 {
	if rest.Serves(r) {
		return cmp.Or(c.REST.MaxBodyBytes, rest.DefaultMaxBodyBytes)
	}
	// Encoding makes a message only slightly longer.
	if n := c.messageBytes(r.URL.Path); n > 0 {
		return n + n/8
	}
	return 0
}

// messageBytes returns how large the messages of a method may be that carries
// files, else 0. In JSON files are in base 64.
func (c Config) messageBytes(procedure string) int64 {
	if !withFiles[procedure] {
		return 0
	}
	files := min(c.uploads().all, math.MaxInt32)
	return int64(cmp.Or(c.MaxMessageBytes, rpc.DefaultMaxMessageBytes)) + (files+2)/3*4
}

// IsStream reports whether the body of a request is a stream of messages.
func IsStream(r *http.Request) bool { return clientStreams[r.URL.Path] }

// clientStreams holds the procedures whose requests are streams.
var clientStreams = func() map[string]bool {
	found := make(map[string]bool)
	for procedure, method := range procedures() {
		if method.IsStreamingClient() {
			found[procedure] = true
		}
	}
	return found
}()

// procedures ranges over the methods of the API.
func procedures() iter.Seq2[string, protoreflect.MethodDescriptor] {
	return func(yield func(string, protoreflect.MethodDescriptor) bool) {
		for _, file := range []protoreflect.FileDescriptor{pb.File_discord_api_discord_api_proto, pb.File_discord_api_outbox_proto} {
			for i := range file.Services().Len() {
				service := file.Services().Get(i)
				for j := range service.Methods().Len() {
					method := service.Methods().Get(j)
					if !yield("/"+string(service.FullName())+"/"+string(method.Name()), method) {
						return
					}
				}
			}
		}
	}
}

// withFiles holds the procedures whose requests carry files.
var withFiles = func() map[string]bool {
	found := make(map[string]bool)
	for procedure, method := range procedures() {
		if holds(method.Input(), new(pb.AttachmentRequest).ProtoReflect().Descriptor(), nil) {
			found[procedure] = true
		}
	}
	return found
}()

// holds reports whether messages of type m can hold one of type wanted, below
// those of the types on the path to it.
func holds(m, wanted protoreflect.MessageDescriptor, path []protoreflect.FullName) bool {
	if m.FullName() == wanted.FullName() {
		return true
	}
	for _, above := range path {
		if above == m.FullName() {
			return false
		}
	}
	fields := m.Fields()
	for i := range fields.Len() {
		if fields.Get(i).Message() != nil && holds(fields.Get(i).Message(), wanted, append(path, m.FullName())) {
			return true
		}
	}
	return false
}
