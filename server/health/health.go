// Package health knows whether the server lives and whether it can do its
// work, and says in words why not.
package health

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
)

// Checks are what must hold for the server to be ready. Each returns nil, or
// the reason why not, in words that anybody may read. They are called often
// and must be quick.
type Checks []func() error

// Ready returns nil when all checks hold, else their reasons.
func (c Checks) Ready() error {
	var reasons []error
	for _, check := range c {
		if err := check(); err != nil {
			reasons = append(reasons, err)
		}
	}
	return errors.Join(reasons...)
}

// Handler answers GET /healthz, 200 as long as the process serves at all, and
// GET /readyz, 200 or 503 with the reasons: as a line each, or as JSON when
// that is what the request accepts. To the latter are added warnings, of what
// should be known and keeps nobody from calling; nil means that there are none.
func Handler(checks Checks, warnings func() []string) http.Handler {
	if warnings == nil {
		warnings = func() []string { return nil }
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { answer(w, r, "alive", nil, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answer(w, r, "ready", checks.Ready(), warnings()) })
	return mux
}

func answer(w http.ResponseWriter, r *http.Request, good string, err error, warnings []string) {
	status, text, reasons := http.StatusOK, good, []string{}
	if err != nil {
		status, text = http.StatusServiceUnavailable, err.Error()
		reasons = strings.Split(text, "\n")
	}
	w.Header().Set("Cache-Control", "no-store")
	body := []byte(text + "\n")
	for _, warning := range warnings {
		body = append(body, "warning: "+warning+"\n"...)
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json")
		document := map[string]any{"ok": err == nil, "reasons": reasons}
		if len(warnings) > 0 {
			document["warnings"] = warnings
		}
		body, _ = json.Marshal(document) // cannot fail
	} else {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// GRPC answers the checks of gRPC's health service for the server as a whole,
// "", and for the named services.
func GRPC(checks Checks, services ...string) grpchealth.Checker {
	return checker{checks, services}
}

type checker struct {
	checks   Checks
	services []string
}

func (c checker) Check(_ context.Context, req *grpchealth.CheckRequest) (*grpchealth.CheckResponse, error) {
	if req.Service != "" && !slices.Contains(c.services, req.Service) {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("unknown service"))
	}
	status := grpchealth.StatusServing
	if c.checks.Ready() != nil {
		status = grpchealth.StatusNotServing
	}
	return &grpchealth.CheckResponse{Status: status}, nil
}
