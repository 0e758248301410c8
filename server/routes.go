package server

import (
	"net/http"
	"path"
	"strings"

	"discordproxy/server/api"
	"discordproxy/server/internal/apidocs"
	"discordproxy/server/internal/health"
	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rest"
	"discordproxy/server/internal/rpc"
)

// routes is everything that the port answers. The pages have patterns, and
// anyone may ask for them.
func routes(service, healthPages, metrics http.Handler, pages map[string]http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", service)
	for _, pattern := range health.Patterns {
		mux.Handle(pattern, listener.Anyone(healthPages))
	}
	mux.Handle("GET /metrics", listener.Anyone(metrics))
	documentation := listener.Anyone(apidocs.Handler())
	for _, pattern := range apidocs.Patterns {
		mux.Handle(pattern, documentation)
	}
	// ServeMux would redirect to an absolute path, which is wrong behind a reverse proxy
	// that has the server below a path.
	mux.HandleFunc("GET /docs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "docs/")
		w.WriteHeader(http.StatusMovedPermanently)
	})
	for pattern, page := range pages {
		mux.Handle(pattern, listener.Anyone(page))
	}
	refuse := listener.Anyone(refusePath(mux))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case rest.Serves(r), api.IsMethod(r.URL.Path):
			service.ServeHTTP(w, r)
		case isServed(mux, r, r.URL.Path):
			mux.ServeHTTP(w, r)
		default:
			refuse.ServeHTTP(w, r)
		}
	})
}

// refusePath answers requests for paths that neither mux nor the service serves
// with a 404 that names the path that was probably meant, and other methods than GET
// for paths that mux serves with a 405. ServeMux would redirect some of them, but
// clients do not follow a redirect with a message.
func refusePath(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asGET := r.WithContext(r.Context())
		asGET.Method = http.MethodGet
		if r.Method != http.MethodGet && isServed(mux, asGET, r.URL.Path) {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
			return
		}
		right := ""
		clean := path.Clean("/" + r.URL.Path)
		candidates := []string{clean + "/", clean, api.MethodLike(clean)}
		if strings.HasPrefix(clean, "/v") {
			candidates = append(candidates, "/api"+clean)
		}
		for _, candidate := range candidates {
			if isServed(mux, r, candidate) {
				right = candidate
				break
			}
		}
		rpc.NotFound(w, r, right)
	})
}

// isServed reports whether a request like r for the path at is answered without
// a redirect.
func isServed(mux *http.ServeMux, r *http.Request, at string) bool {
	switch {
	case at == "" || at[0] != '/' || at != path.Clean(at) && at != path.Clean(at)+"/" || at == "//":
		return false
	case api.IsMethod(at), strings.HasPrefix(at, "/hooks/"):
		return true
	case strings.HasPrefix(at, "/api/"):
		return !strings.HasSuffix(at, "/")
	}
	asked := r.Clone(r.Context())
	asked.URL.Path, asked.URL.RawPath = at, ""
	_, pattern := mux.Handler(asked)
	_, served, _ := strings.Cut(" "+pattern, "/")
	if served = "/" + served; served == "/" {
		return at == "/" // the service, or no method that the page has
	}
	return pattern != "" && (strings.HasSuffix(at, "/") || !strings.HasSuffix(served, "/") || strings.HasPrefix(at, served))
}
