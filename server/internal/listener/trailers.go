package listener

import "net/http"

// announceTrailers sends the header of an answer that has trailers but no body,
// such as a gRPC refusal, before its handler is known to have ended. Otherwise net/http
// adds Content-Length: 0, and nginx and HAProxy take the answer for complete and
// drop the trailers with the status.
func announceTrailers(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor > 1 && len(w.Header()["Trailer"]) > 0 {
		// It fails only when the client is gone.
		_ = http.NewResponseController(w).Flush()
	}
}
