package listener

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"discordproxy/server/internal/refusals"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	connectcors "connectrpc.com/cors"
	"github.com/rs/cors"
)

// guard decides which requests may reach the handler.
type guard struct {
	hosts  map[string]bool
	origin *http.CrossOriginProtection
	cors   *cors.Cors // nil when no origin is allowed
	errors *connect.ErrorWriter
}

func (g *guard) configure(cfg Config) error {
	var err error
	if g.hosts, err = allowedHosts(cfg.AllowedHosts); err != nil {
		return err
	}
	g.errors = connect.NewErrorWriter()
	g.origin = http.NewCrossOriginProtection()
	for _, origin := range cfg.CORSOrigins {
		if err := checkOrigin(origin); err != nil {
			return err
		}
		if err := g.origin.AddTrustedOrigin(origin); err != nil {
			return err
		}
	}
	if len(cfg.CORSOrigins) > 0 {
		g.cors = cors.New(cors.Options{
			AllowedOrigins: cfg.CORSOrigins,
			AllowedMethods: append(connectcors.AllowedMethods(), http.MethodPut, http.MethodPatch, http.MethodDelete),
			AllowedHeaders: append(
				connectcors.AllowedHeaders(),
				"Authorization",
				"X-Request-Id",
				"X-Proxy-Timeout",
				"X-Audit-Log-Reason",
				"Discord-Bot",
				"Traceparent",
				"Tracestate",
				"Baggage",
			),
			ExposedHeaders: append(connectcors.ExposedHeaders(), "X-Request-Id", "Retry-After", "X-Ratelimit-Limit", "X-Ratelimit-Remaining",
				"X-Ratelimit-Reset", "X-Ratelimit-Reset-After", "X-Ratelimit-Bucket", "X-Ratelimit-Scope", "X-Ratelimit-Global"),
			MaxAge: 7200, // seconds; the most that Chromium keeps
		})
	}
	return nil
}

// checkOrigin refuses what no browser would send as Origin, and patterns, which
// rs/cors would accept.
func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || strings.Contains(origin, "*") || u.Scheme+"://"+u.Host != origin {
		return fmt.Errorf("CORS origin %q is not of the form scheme://host or scheme://host:port", origin)
	}
	return nil
}

// refuseOtherSites refuses what a browser sends on behalf of another site:
// forms, scripts, images. Browsers say so in Sec-Fetch-Site and Origin, which
// pages cannot change; other clients send neither.
//
// Methods that are safe by HTTP's definition are refused too, since a procedure
// without side effects answers GET, and even that spends a rate limit. Only
// following a link to a page remains allowed. It must have no query, because
// that is where a procedure called by GET has its message.
func (s *Server) refuseOtherSites(w http.ResponseWriter, r *http.Request) (refused bool) {
	if isLinkToPage(r) {
		return false
	}
	// Check takes the method into account; all count as unsafe here.
	judged := &http.Request{Method: http.MethodPost, Host: r.Host, URL: r.URL, Header: r.Header}
	if s.guard.origin.Check(judged) == nil {
		return false
	}
	s.refuse(w, r, connect.CodePermissionDenied, http.StatusForbidden, "request from another site: allow its origin by --cors-origin")
	return true
}

func isLinkToPage(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.RawQuery == "" &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// refuse answers in the caller's protocol that a request is not taken: with the
// code in gRPC's framing or Connect's, and else with the HTTP status.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, code connect.Code, status int, reason string) {
	if allowed, omitted := s.refused.Allow(r.RemoteAddr); allowed {
		s.cfg.Logger.WarnContext(r.Context(), "refused a request", "reason", reason,
			"peer", r.RemoteAddr, "host", refusals.Shorten(r.Host), "origin", refusals.Shorten(r.Header.Get("Origin")),
			"method", refusals.Shorten(r.Method), "path", refusals.Path(r.URL.Path), "omitted", omitted)
	}
	if r = rpc.Plain(r); r.Method == http.MethodPost && s.guard.errors.IsSupported(r) {
		// Writing fails only when the client is gone.
		_ = s.guard.errors.Write(w, r, connect.NewError(code, errors.New(reason)))
		return
	}
	http.Error(w, reason, status)
}
