package rpc

import (
	"fmt"
	"net/http"
	"strings"
)

// messageTypes are how the content types of messages begin.
var messageTypes = [...]string{"application/json", "application/proto", "application/grpc", "application/connect+"}

// ExplainContentType answers 415 with a reason to messages of a type that no
// protocol has. Connect answers with the status alone, which leaves people
// puzzled whose curl sends JSON as a form by default.
func ExplainContentType(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		contentType := r.Header.Get("Content-Type")
		if r.Method == http.MethodPost && !isMessageType(contentType) {
			http.Error(w, fmt.Sprintf("Content-Type %.100q is not supported: send a JSON object as application/json", contentType), http.StatusUnsupportedMediaType)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isMessageType(contentType string) bool {
	for _, begin := range messageTypes {
		if strings.HasPrefix(contentType, begin) {
			return true
		}
	}
	return false
}
