package hooks

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"path"
	"strings"

	"discordproxy/server/internal/access"
)

type secretKey struct{}

func pathSecret(ctx context.Context) (string, bool) {
	secret, ok := ctx.Value(secretKey{}).(string)
	return secret, ok
}

// PathSecrets passes requests to /hooks/NAME/SECRET to next as requests to /hooks/NAME,
// with the secret for a Handler. It must come before everything that looks at a path,
// logs above all, but after access.PathKeys. However the path is spelled, nothing after
// NAME stays in it. An ending /slack or /github is not a part of the secret.
func PathSecrets(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, withoutSecret(r)) })
}

// withoutSecret returns the request that PathSecrets passes on.
func withoutSecret(r *http.Request) *http.Request {
	parts := strings.SplitN(strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/"), "/", 3)
	if !strings.EqualFold(parts[0], "hooks") || len(parts) < 2 {
		return r
	}
	ctx := r.Context()
	if len(parts) == 3 {
		// Tools add the endings of Discord's webhooks to any address.
		parts[2] = strings.TrimSuffix(strings.TrimSuffix("/"+parts[2], "/slack"), "/github")
		if parts[2] = strings.TrimPrefix(parts[2], "/"); parts[2] == "" {
			parts = parts[:2]
		}
	}
	if len(parts) == 3 {
		ctx = context.WithValue(ctx, secretKey{}, parts[2])
	}
	out := r.WithContext(ctx)
	u := *r.URL
	u.Path, u.RawPath = "/hooks/"+parts[1], ""
	out.URL, out.RequestURI, out.Pattern = &u, u.RequestURI(), ""
	if referer := r.Header.Get("Referer"); referer != "" && len(parts) == 3 {
		out.Header = r.Header.Clone()
		out.Header.Del("Referer")
	}
	return out
}

// secretsOf returns what a request offers as the secret of its hook: in the
// path, as Bearer or Basic, and in the headers in which GitLab and clients of
// Gotify send theirs.
func secretsOf(r *http.Request) []string {
	var given []string
	if secret, ok := pathSecret(r.Context()); ok {
		given = append(given, secret)
	}
	if values := r.Header.Values("Authorization"); len(values) == 1 {
		if secret, err := access.KeyIn(values[0]); err == nil {
			given = append(given, secret)
		}
	}
	for _, name := range []string{"X-Gitlab-Token", "X-Gotify-Key"} {
		if secret := r.Header.Get(name); secret != "" {
			given = append(given, secret)
		}
	}
	return given
}

// opensFor reports whether one of the texts is the hook's secret. How long that
// takes does not depend on the secret.
func (h *Hook) opensFor(given []string) bool {
	if h.secret == "" {
		return false
	}
	want, found := sha256.Sum256([]byte(h.secret)), 0
	for _, text := range given {
		got := sha256.Sum256([]byte(text))
		found |= subtle.ConstantTimeCompare(want[:], got[:])
	}
	return found == 1
}

// webhookAddress reads the URL of a webhook of Discord, whatever its host.
func webhookAddress(text string) (id, token string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "", "", false
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) > 1 && parts[0] == "api" {
		parts = parts[1:]
	}
	if len(parts) > 1 && len(parts[0]) > 1 && parts[0][0] == 'v' {
		parts = parts[1:]
	}
	if len(parts) != 3 || parts[0] != "webhooks" {
		return "", "", false
	}
	return parts[1], parts[2], true
}
