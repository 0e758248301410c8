package sandbox

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// FaultKind is the kind of a fault.
type FaultKind string

// The kinds of faults.
const (
	FaultStatus   FaultKind = "status"   // answer Status, Header and Body
	FaultReset    FaultKind = "reset"    // the connection is reset, nothing is answered
	FaultHang     FaultKind = "hang"     // nothing is answered until the caller leaves or Delay is over, then reset
	FaultTruncate FaultKind = "truncate" // the body ends after Bytes (0: half of it) and the connection with it
	FaultSlow     FaultKind = "slow"     // Bytes of the body in a second (0: 1)
	FaultHuge     FaultKind = "huge"     // a body of Bytes (0: 100 MiB)
)

// Fault is a failure of the calls that it matches, among those that the token and the limits admit.
type Fault struct {
	// Name is shown in the log of calls; empty means Kind.
	Name string `json:"name"`

	// Which calls: empty means any. Route is "POST /channels/{channel_id}/messages"
	// or only the template; Path is as in "/channels/123/messages".
	Route string `json:"route"`
	Path  string `json:"path"`

	Skip        int     `json:"skip"`        // calls that still go well
	Count       int     `json:"count"`       // calls that are hit; 0 means all
	Probability float64 `json:"probability"` // of being hit; 0 means 1

	// After carries the call out before it goes wrong.
	After bool `json:"after"`

	Kind  FaultKind     `json:"kind"`  // empty means FaultStatus
	Delay time.Duration `json:"-"`     // before anything is answered; in JSON "delay", in seconds
	Bytes int           `json:"bytes"` // see Kind

	// Of FaultStatus. Status 0 means 500. An empty body means Discord's JSON
	// below 500 and an HTML page from there. Header without a value removes one.
	// With another kind, Status and Body replace the true answer when set.
	Status int               `json:"status"`
	Header map[string]string `json:"header"`
	Body   string            `json:"body"`
}

type fault struct {
	Fault
	id, seen, hits int
}

// InjectFault makes calls go wrong and returns a number to remove it by.
// Faults are tried in the order in which they were injected; the first that
// matches wins.
func (s *Sandbox) InjectFault(f Fault) (id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Kind == "" {
		f.Kind = FaultStatus
	}
	s.lastFault++
	s.faults = append(s.faults, &fault{Fault: f, id: s.lastFault})
	return s.lastFault
}

// RemoveFault removes a fault; all of them when id is 0.
func (s *Sandbox) RemoveFault(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.DeleteFunc(s.faults, func(f *fault) bool { return id == 0 || f.id == id })
}

// InjectedFault is a fault with how often it has struck.
type InjectedFault struct {
	ID    int   `json:"id"`
	Fault Fault `json:"fault"`
	Hits  int   `json:"hits"`
}

// Faults returns the faults that are injected.
func (s *Sandbox) Faults() []InjectedFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]InjectedFault, len(s.faults))
	for i, f := range s.faults {
		out[i] = InjectedFault{f.id, f.Fault, f.hits}
	}
	return out
}

// befalls finds the fault that hits a call.
func (s *Sandbox) befalls(c *call) *fault {
	for _, f := range s.faults {
		if !f.matches(c) || f.Count > 0 && f.hits >= f.Count {
			continue
		}
		if f.seen++; f.seen <= f.Skip {
			continue
		}
		if f.Probability > 0 && s.rng.Float64() >= f.Probability {
			continue
		}
		f.hits++
		if c.fault = f.Name; c.fault == "" {
			c.fault = string(f.Kind)
		}
		return f
	}
	return nil
}

func (f *fault) matches(c *call) bool {
	return (f.Route == "" || f.Route == c.route.key || f.Route == c.route.template) &&
		(f.Path == "" || f.Path == c.path)
}

// apply changes an answer to a call.
func (f *fault) apply(a *answer) {
	a.fault = f
	if f.Status != 0 || f.Body != "" || f.Kind == FaultStatus {
		for name := range a.header {
			if strings.HasPrefix(name, "X-Ratelimit-") {
				delete(a.header, name)
			}
		}
		if a.status = f.Status; a.status == 0 {
			a.status = http.StatusInternalServerError
		}
		a.body = []byte(f.Body)
		if f.Body == "" {
			a.body = defaultBody(a.status)
		}
		a.header["Content-Type"] = []string{contentType(a.body)}
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	for name, value := range f.Header {
		if a.header.Del(name); value != "" {
			a.header.Set(name, value)
		}
	}
}

func defaultBody(status int) []byte {
	text := http.StatusText(status)
	if status < http.StatusInternalServerError {
		return []byte(`{"message":"` + text + `","code":0}`)
	}
	return []byte("<html>\r\n<head><title>" + text + "</title></head>\r\n<body>\r\n<center><h1>" + text +
		"</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n")
}

func contentType(body []byte) string {
	switch {
	case bytes.HasPrefix(body, []byte("<")):
		return "text/html"
	case bytes.HasPrefix(body, []byte("{")), bytes.HasPrefix(body, []byte("[")):
		return "application/json"
	}
	return "text/plain"
}

// stream is the body of an answer as a fault lets it through, and how long it
// claims to be; -1 is unknown. io.ErrUnexpectedEOF is where it breaks off.
func (a *answer) stream(ctx context.Context) (io.Reader, int64) {
	length := int64(len(a.body))
	if a.fault == nil {
		return bytes.NewReader(a.body), length
	}
	n := a.fault.Bytes
	switch a.fault.Kind {
	case FaultTruncate:
		if n == 0 || n > len(a.body) {
			n = len(a.body) / 2
		}
		return io.MultiReader(bytes.NewReader(a.body[:n]), broken{}), length
	case FaultSlow:
		return &slow{ctx, a.body, max(1, n)}, length
	case FaultHuge:
		if n == 0 {
			n = 100 << 20
		}
		return &huge{ctx, n}, -1
	}
	return bytes.NewReader(a.body), length
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// slow gives a tenth of a second's bytes at a time, but at least one.
type slow struct {
	ctx       context.Context //nolint:containedctx // a body outlives the call that made it
	rest      []byte
	perSecond int
}

func (r *slow) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := min(len(p), len(r.rest), max(1, r.perSecond/10))
	if err := sleep(r.ctx, time.Duration(n)*time.Second/time.Duration(r.perSecond)); err != nil {
		return 0, err
	}
	copy(p, r.rest[:n])
	r.rest = r.rest[n:]
	return n, nil
}

// huge is a lot of space, which a JSON decoder reads to its end.
type huge struct {
	ctx  context.Context //nolint:containedctx // as above
	left int
}

func (r *huge) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n := min(len(p), r.left)
	for i := range p[:n] {
		p[i] = ' '
	}
	r.left -= n
	return n, nil
}
