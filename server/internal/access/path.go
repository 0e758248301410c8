package access

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

type pathKey struct{}

func pathKeyOf(ctx context.Context) (string, bool) {
	key, ok := ctx.Value(pathKey{}).(string)
	return key, ok
}

// PathPrefix returns the part of a request's path that PathKeys has removed, /k/KEY, or "".
func PathPrefix(ctx context.Context) string {
	key, ok := pathKeyOf(ctx)
	if !ok {
		return ""
	}
	return "/k/" + url.PathEscape(key)
}

// PathKeys returns a handler that removes the key from the path of requests: /k/KEY/rest
// becomes /rest, with the key in the context for a Guard. It must wrap everything that
// uses a path, above all logs. It refuses a path that contains a key elsewhere, a query
// with a key, and a logged header with a key.
func PathKeys(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if bare := withoutKey(w, r); bare != nil {
			next.ServeHTTP(w, bare)
		}
	})
}

// withoutKey returns the request that PathKeys passes on, or nil if it has refused r.
func withoutKey(w http.ResponseWriter, r *http.Request) *http.Request {
	key, rest, ok := splitKey(r.URL.EscapedPath())
	if ok {
		bare, err := url.PathUnescape(rest)
		if err != nil || key == "" {
			http.Error(w, "a path with a key must be of the form /k/KEY/...", http.StatusNotFound)
			return nil
		}
		out := r.WithContext(context.WithValue(r.Context(), pathKey{}, key))
		u := *r.URL
		u.Path, u.RawPath = bare, rest
		out.URL, out.RequestURI, out.Pattern = &u, u.RequestURI(), ""
		r = out
	}
	if showsKey(r.URL.Path) || showsKey(r.URL.RawQuery) || slices.ContainsFunc(loggedOf(r), holdsKey) {
		http.Error(w, "a key can only be in the header Authorization, or at the beginning of the path: /k/KEY/...", http.StatusNotFound)
		return nil
	}
	if referer := r.Header.Get("Referer"); ok || referer != "" && (showsKey(referer) || strings.Contains(referer, "/k/")) {
		r.Header.Del("Referer")
	}
	return r
}

// loggedOf returns what logs show of a request's header.
func loggedOf(r *http.Request) []string {
	return slices.Concat([]string{r.Host}, r.Header["Origin"], r.Header["X-Request-Id"])
}

func holdsKey(text string) bool { return strings.Contains(strings.ToLower(text), keyPrefix) }

// splitKey splits an escaped path /k/KEY/rest.
func splitKey(escaped string) (key, rest string, ok bool) {
	parts := strings.SplitN(escaped, "/", 4)
	if len(parts) < 3 || parts[0] != "" {
		return "", "", false
	}
	first, err := url.PathUnescape(parts[1])
	if err != nil || !strings.EqualFold(first, "k") {
		return "", "", false
	}
	if key, err = url.PathUnescape(parts[2]); err != nil {
		key = ""
	}
	rest = "/"
	if len(parts) == 4 {
		rest += parts[3]
	}
	return key, rest, true
}

// showsKey reports whether a part of an address may contain a key, however often
// it is decoded.
func showsKey(text string) bool {
	for range 5 {
		if text == "" {
			return false
		}
		lower := strings.ToLower(text)
		clean := path.Clean("/" + lower)
		if strings.Contains(lower, keyPrefix) || clean == "/k" || strings.HasPrefix(clean, "/k/") {
			return true
		}
		decoded, err := url.PathUnescape(text)
		if err != nil || decoded == text {
			return false
		}
		text = decoded
	}
	return false
}
