package rpc

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// messageTypes are how the content types of messages begin.
var messageTypes = [...]string{"application/json", "application/proto", "application/grpc", "application/connect+"}

// supportedTypes are the content types of messages in the form of Plain.
var supportedTypes = [...]string{
	"application/json", "application/proto", "application/connect+json", "application/connect+proto",
	"application/grpc", "application/grpc+proto", "application/grpc+json",
	"application/grpc-web", "application/grpc-web+proto", "application/grpc-web+json",
}

// Plain returns a request whose content type, if it is one of messages, is in lower case
// and without parameters. Connect-go compares content types letter by letter, while clients
// write "application/json; charset=UTF-8" and proxies in between change case. The request
// itself does not change.
func Plain(r *http.Request) *http.Request {
	given := r.Header.Get("Content-Type")
	plain, _, _ := strings.Cut(given, ";")
	plain = strings.ToLower(strings.TrimSpace(plain))
	if plain == given || !isMessageType(plain) {
		return r
	}
	out := r.WithContext(r.Context())
	out.Header = r.Header.Clone()
	out.Header.Set("Content-Type", plain)
	return out
}

// ExplainRequests refuses requests that connect-go would refuse without a
// sentence that helps: with 405 those whose HTTP method is not POST; with 415
// those of a type that no protocol has, for example curl's default, and
// those that have the type of a stream for a method that is none, or the other
// way round; with UNIMPLEMENTED those in an unknown encoding. errors writes the
// latter. Encodings are compared without case.
func ExplainRequests(errors *connect.ErrorWriter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r = Explained(errors, w, r); r != nil {
			next.ServeHTTP(w, r)
		}
	})
}

// Explained returns a request in the form that connect-go takes, or nil if it has
// refused it as ExplainRequests does.
func Explained(errors *connect.ErrorWriter, w http.ResponseWriter, r *http.Request) *http.Request {
	if r.Method != http.MethodPost {
		if r.Method == http.MethodGet && MayGet(r.URL.Path) && r.URL.Query().Has("encoding") {
			return r
		}
		w.Header().Set("Allow", http.MethodPost)
		http.Error(
			w,
			fmt.Sprintf("HTTP method %.20q is not supported here: send a JSON object by POST, as Content-Type application/json", r.Method),
			http.StatusMethodNotAllowed,
		)
		return nil
	}
	contentType := r.Header.Get("Content-Type")
	if reason := wrongType(contentType, r.URL.Path); reason != "" {
		http.Error(w, reason, http.StatusUnsupportedMediaType)
		return nil
	}
	r = plainEncoding(r)
	if encoding := unknownEncoding(r.Header); encoding != "" {
		_, accepted := encodingHeaders(contentType)
		w.Header().Set(accepted, strings.Join(encodings, ","))
		// Writing fails only when the client is gone.
		_ = errors.Write(w, r, connect.NewError(connect.CodeUnimplemented,
			fmt.Errorf("unknown compression %.100q: use %s or identity", encoding, strings.Join(encodings, ", "))))
		return nil
	}
	return r
}

// wrongType says why no method at path takes a content type, or "" if one may.
func wrongType(contentType, path string) string {
	if !slices.Contains(supportedTypes[:], contentType) {
		instead := "send a JSON object as application/json"
		switch {
		case strings.HasPrefix(contentType, "application/grpc"):
			instead = "send application/grpc, application/grpc-web or application/grpc-web-text"
		case strings.Contains(contentType, "proto"):
			instead += ", or protobuf as application/proto"
		}
		return fmt.Sprintf("Content-Type %.100q is not supported: %s", contentType, instead)
	}
	if strings.HasPrefix(contentType, "application/grpc") {
		return ""
	}
	method := methodAt(path)
	if method == nil {
		return ""
	}
	streams := method.IsStreamingServer() || method.IsStreamingClient()
	codec, ofStream := strings.CutPrefix(contentType, "application/connect+")
	switch {
	case streams && !ofStream:
		return fmt.Sprintf(
			"%s streams: send Content-Type application/connect+json, and put 5 bytes in front of the JSON object, "+
				"0 and its length as 4 bytes in big endian; the answer consists of such messages. "+
				"With curl use a method that does not stream",
			method.Name(),
		)
	case ofStream && !streams:
		return fmt.Sprintf("%s does not stream: send Content-Type application/%s and the message alone", method.Name(), codec)
	}
	return ""
}

// methodAt returns the method of a path /package.Service/Method, or nil if there is
// none.
func methodAt(path string) protoreflect.MethodDescriptor {
	service, name, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok {
		return nil
	}
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil
	}
	descriptor, ok := found.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil
	}
	return descriptor.Methods().ByName(protoreflect.Name(name))
}

// MayGet reports whether the method at path changes nothing, so that Connect lets clients
// call it by GET.
func MayGet(path string) bool {
	method := methodAt(path)
	if method == nil || method.IsStreamingServer() || method.IsStreamingClient() {
		return false
	}
	options, ok := method.Options().(*descriptorpb.MethodOptions)
	return ok && options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

// IsMethod reports whether a path is /package.Service/Method of a linked-in
// protobuf file.
func IsMethod(path string) bool { return methodAt(path) != nil }

func isMessageType(contentType string) bool {
	for _, begin := range messageTypes {
		if strings.HasPrefix(contentType, begin) {
			return true
		}
	}
	return false
}
