package access

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
)

// Evidence identifies the sender of a request that another server has forwarded.
type Evidence struct {
	// Client is the name of the client that a Guard of the other server has let in.
	// It is empty for requests that no Guard has seen.
	Client string `json:"client,omitempty"`
	// Certificates are the names of the certificate that TLS has verified there.
	Certificates []string `json:"certificates,omitempty"`
}

type (
	evidenceKey struct{}
	admittedKey struct{}
)

// EvidenceOf returns the evidence about the sender of a request, for a server to which it
// is forwarded.
func EvidenceOf(r *http.Request) Evidence {
	e := Evidence{Certificates: certificateNames(r)}
	if s := sessionOf(r.Context()); s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		e.Client = s.client.name
	}
	return e
}

// WithEvidence returns a context whose request was forwarded with evidence that its
// sender has proven. What is known of the connection is then about that sender.
func WithEvidence(ctx context.Context, e Evidence) context.Context {
	return context.WithValue(ctx, evidenceKey{}, &e)
}

// Admitted returns a context in which a Guard does not identify the client again that it
// has let in.
func Admitted(ctx context.Context) context.Context {
	return context.WithValue(ctx, admittedKey{}, true)
}

func isAdmitted(ctx context.Context) bool {
	return ctx.Value(admittedKey{}) != nil && sessionOf(ctx) != nil
}

func evidenceIn(ctx context.Context) *Evidence {
	e, _ := ctx.Value(evidenceKey{}).(*Evidence)
	return e
}

// byName returns the client that another server has let in, by the rules of this one.
func (g *Guard) byName(rules *Rules, name string) (identity, error) {
	p := proof{client: name}
	switch {
	case name == botTokenHolder.name:
		return identity{client: botTokenHolder, proof: proof{bot: true}}, nil
	case rules == nil:
		return identity{client: &Client{name: name, everyBot: true}, proof: p}, nil
	}
	client := rules.proven(p)
	if client == nil {
		return identity{}, refuse(connect.CodeUnauthenticated,
			"client %s is not in the auth file of the replica that leads: give all replicas the same file", name)
	}
	return identity{client: client, proof: p}, nil
}
