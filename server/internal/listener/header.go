package listener

import (
	"fmt"
	"net/http"
	"net/url"

	"connectrpc.com/connect"
)

// headerRead is how many times MaxHeaderBytes of a header are read. A longer
// one ends its HTTP/2 connection, and with that the calls of others on it: what
// is read must be decoded, since headers are compressed in relation to those
// before them.
const headerRead = 4

// Sizes of HTTP/2's header lists: what a field adds to its name and value, and
// fields that clients do not choose.
// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
const (
	fieldOverhead = 32
	usualFields   = 10
)

// refuseLargeHeader refuses a request whose header is too large.
func (s *Server) refuseLargeHeader(w http.ResponseWriter, r *http.Request) (refused bool) {
	if headerBytes(r) <= s.cfg.MaxHeaderBytes+usualFields*fieldOverhead {
		return false
	}
	dropHeader(r)
	s.refuse(w, r, connect.CodeResourceExhausted, http.StatusRequestHeaderFieldsTooLarge,
		fmt.Sprintf("the header has more than %d bytes", s.cfg.MaxHeaderBytes))
	return true
}

// headerBytes is the size of a request's header as a list.
func headerBytes(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		for _, value := range values {
			n += len(name) + len(value) + fieldOverhead
		}
	}
	return n
}

// dropHeader frees the header of a request that is refused: the answer may wait
// for a client that does not read, and there may be thousands. What decides
// about the answer's form is kept.
func dropHeader(r *http.Request) {
	const most = 200 // bytes
	for name, values := range r.Header {
		switch name {
		case "Content-Type", "Connect-Protocol-Version", "Origin":
			if len(values) == 1 && len(values[0]) < most {
				continue
			}
		}
		delete(r.Header, name)
	}
	if len(r.RequestURI) > most {
		r.RequestURI, r.URL = "", &url.URL{Path: "(too long)"}
	}
}
