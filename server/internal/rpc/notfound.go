package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"connectrpc.com/connect"
)

// NotFound answers a request for a path that does not exist, and names the right
// one if that is not empty: with UNIMPLEMENTED in gRPC and gRPC-Web, else with 404,
// in the form that clients of Connect read if the request holds a message.
func NotFound(w http.ResponseWriter, r *http.Request, right string) {
	reason := fmt.Sprintf("there is no %.200s", r.URL.Path)
	if right != "" {
		reason += ": use " + right
	}
	r = Plain(r)
	contentType := r.Header.Get("Content-Type")
	switch {
	case r.Method == http.MethodPost && strings.HasPrefix(contentType, "application/grpc"):
		// Writing fails only when the client is gone.
		_ = connect.NewErrorWriter().Write(w, r, connect.NewError(connect.CodeUnimplemented, errors.New(reason)))
	case r.Method == http.MethodPost && isMessageType(contentType):
		body, _ := json.Marshal(map[string]string{"code": connect.CodeUnimplemented.String(), "message": reason}) // cannot fail
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write(body)
	default:
		http.Error(w, reason, http.StatusNotFound)
	}
}
