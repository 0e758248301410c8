// Package health reports whether the server is alive and whether it can serve calls, and
// if not, why.
package health

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// Checks are what must hold for the server to be ready. Each returns nil, or the reason
// why not, which may be shown to anyone. They are called often and must be fast.
type Checks []func() error

// Ready returns nil if all checks hold, otherwise their reasons.
func (c Checks) Ready() error {
	var reasons []error
	for _, check := range c {
		if err := check(); err != nil {
			reasons = append(reasons, err)
		}
	}
	return errors.Join(reasons...)
}

// Handler answers /healthz with 200 as long as the process serves requests, and
// /readyz with 200, or 503 and the reasons: one reason a line, or JSON if the
// request accepts that. /readyz also lists warnings, which do not affect the
// status; a nil function means none.
//
// The methods are GET, HEAD and OPTIONS: load balancers such as HAProxy check
// with OPTIONS by default. They also ask for OPTIONS /, which is answered with 204
// as long as the process serves requests.
func Handler(checks Checks, warnings func() []string) http.Handler {
	if warnings == nil {
		warnings = func() []string { return nil }
	}
	mux := http.NewServeMux()
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		mux.HandleFunc(method+" /healthz", func(w http.ResponseWriter, r *http.Request) { answer(w, r, "alive", nil, nil) })
		mux.HandleFunc(method+" /readyz", func(w http.ResponseWriter, r *http.Request) { answer(w, r, "ready", checks.Ready(), warnings()) })
	}
	mux.HandleFunc("OPTIONS /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// Patterns are the patterns of Handler, as http.ServeMux uses them.
var Patterns = []string{"/healthz", "/readyz", "OPTIONS /{$}"}

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
