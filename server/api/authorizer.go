package api

import (
	"net/http"
	"strings"

	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/health"
	"discordproxy/server/internal/rpc"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// authorizer passes on the calls that their clients are allowed to make. It reports
// the calls that it refuses to the observers.
type authorizer struct {
	access    *access.Guard
	observers calls.Observers
	errors    *connect.ErrorWriter
}

// guard returns a handler that authorizes requests for next. method returns the name
// of the method that a request calls, or "" if next refuses the request itself.
func (a *authorizer) guard(method func(*http.Request) string, next http.Handler) http.Handler {
	refuse := func(w http.ResponseWriter, r *http.Request, err error) {
		if !access.IsQuiet(err) {
			call := &calls.Call{Method: method(r), Protocol: protocolOf(r)}
			if call.Method == "" {
				call.Method = "other"
			}
			_, end := a.observers.Begin(r.Context(), call)
			end(err)
		}
		// It fails only when the client is gone.
		_ = a.errors.Write(w, r, err)
	}
	return a.access.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := method(r); name != "" {
			if err := access.MayCall(r.Context(), name); err != nil {
				refuse(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	}), refuse)
}

// methodOf returns the name of the API's method that a request calls, empty
// if there is none of that name.
func methodOf(r *http.Request) string {
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if apiMethods.ByName(protoreflect.Name(name)) == nil {
		return ""
	}
	return name
}

var apiMethods = pb.File_discord_api_discord_api_proto.Services().ByName("DiscordApi").Methods()

// Methods returns the names of the API's methods.
func Methods() []string {
	names := make([]string, apiMethods.Len())
	for i := range names {
		names[i] = string(apiMethods.Get(i).Name())
	}
	return names
}

// IsMethod reports whether a path is that of a method of this server's services.
func IsMethod(path string) bool {
	service, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch service {
	case discordapiconnect.DiscordApiName, discordapiconnect.OutboxName, discordapiconnect.DashboardName, health.Name:
		return rpc.IsMethod(path)
	case grpcreflect.ReflectV1ServiceName, grpcreflect.ReflectV1AlphaServiceName:
		return strings.HasSuffix(path, "/ServerReflectionInfo")
	}
	return false
}

// MethodLike returns the path of the method that a path probably means: its last part is
// the method's name, in any case, possibly after a wrong service name. It returns "" if
// there is no such method.
func MethodLike(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	for _, method := range Methods() {
		if strings.EqualFold(strings.ReplaceAll(name, "_", ""), method) {
			return "/" + discordapiconnect.DiscordApiName + "/" + method
		}
	}
	return ""
}

// protocolOf names the protocol of a request as connect.Peer does.
func protocolOf(r *http.Request) string {
	switch contentType := r.Header.Get("Content-Type"); {
	case strings.HasPrefix(contentType, "application/grpc-web"):
		return connect.ProtocolGRPCWeb
	case strings.HasPrefix(contentType, "application/grpc"):
		return connect.ProtocolGRPC
	}
	return connect.ProtocolConnect
}
