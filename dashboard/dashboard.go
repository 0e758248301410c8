// Package dashboard provides the files of the web page that shows the state of
// the proxy. `npm run build` builds them from src. The page calls the proxy over
// gRPC-Web, like any other page.
package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed dist
var dist embed.FS

// policy allows what the page is made of and calls to where it came from:
// nothing else is loaded, no script or style is in the page, nothing may
// frame it, and scripts cannot make elements of text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Handler serves the page at / and its files below /dashboard/. The page holds
// no secret: what it shows, it asks for.
func Handler() http.Handler {
	mux := http.NewServeMux()
	err := fs.WalkDir(dist, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := dist.ReadFile(name)
		if err != nil {
			return err
		}
		pattern := "GET /dashboard/" + path.Base(name)
		if path.Base(name) == "index.html" {
			pattern = "GET /{$}"
		}
		mux.Handle(pattern, newFile(name, data))
		return nil
	})
	if err != nil {
		panic(err) // the files are part of the program
	}
	return mux
}

// file is one file of the page.
type file struct {
	data, zipped []byte
	contentType  string
	etag         string
}

func newFile(name string, data []byte) *file {
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err == nil {
		_, _ = w.Write(data) // memory takes everything
		_ = w.Close()
	}
	sum := sha256.Sum256(data)
	return &file{data, zipped.Bytes(), mime.TypeByExtension(path.Ext(name)), `"` + hex.EncodeToString(sum[:8]) + `"`}
}

// takesGzip reports whether a client reads gzip. One that names it with a weight of 0
// gets it plain, as does one that names everything.
func takesGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		weight = strings.ReplaceAll(weight, " ", "")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") && !strings.HasPrefix(weight, "q=0") {
			return true
		}
	}
	return false
}

func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range map[string]string{
		"Content-Security-Policy":      policy,
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), geolocation=(), microphone=()",
		"Cache-Control":                "no-cache",
		"ETag":                         f.etag,
		"Content-Type":                 f.contentType,
		"Vary":                         "Accept-Encoding",
	} {
		w.Header().Set(name, value)
	}
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	data := f.data
	if takesGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		data = f.zipped
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(data)
	}
}
