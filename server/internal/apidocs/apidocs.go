// Package apidocs serves the documentation of the API: an OpenAPI document that describes
// its JSON encoding, and a page to read. tools/apidoc generates both from the protobuf
// definitions.
package apidocs

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"sync"
	"time"
)

//go:embed openapi.yaml page
var files embed.FS

// served are the files by their place on the server.
var served = map[string]string{
	"/openapi.yaml":   "openapi.yaml",
	"/docs/{$}":       "page/index.html",
	"/docs/style.css": "page/style.css",
	"/docs/script.js": "page/script.js",
}

// mediaTypes are those of the files. The system's own table need not have them.
var mediaTypes = map[string]string{
	".yaml": "application/yaml", // https://www.rfc-editor.org/rfc/rfc9512
	".json": "application/json",
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
}

// policy lets the page load its own style and script and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Patterns are the paths that Handler answers, as http.ServeMux has them.
var Patterns = []string{"/openapi.yaml", "/openapi.json", "/docs/"}

// Handler answers GET of the documentation. It holds nothing that is secret.
func Handler() http.Handler {
	mux := http.NewServeMux()
	for place, name := range served {
		data, err := files.ReadFile(name)
		if err != nil {
			panic(err) // it is part of the program
		}
		mux.Handle("GET "+place, file(mediaTypes[path.Ext(name)], data))
	}
	asJSON := sync.OnceValue(func() http.Handler {
		yaml, err := files.ReadFile("openapi.yaml")
		var data []byte
		if err == nil {
			data, err = toJSON(yaml)
		}
		if err != nil {
			panic(err) // it is part of the program
		}
		return file(mediaTypes[".json"], data)
	})
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, r *http.Request) { asJSON().ServeHTTP(w, r) })
	return mux
}

// file serves data. Clients ask each time whether it has changed.
func file(mediaType string, data []byte) http.Handler {
	sum := sha256.Sum256(data)
	tag := fmt.Sprintf("%q", hex.EncodeToString(sum[:8]))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", mediaType)
		h.Set("ETag", tag)
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	})
}
