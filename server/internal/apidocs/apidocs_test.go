package apidocs_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"discordproxy/server/internal/apidocs"

	"go.yaml.in/yaml/v4"
)

// TestForms: the JSON document equals the YAML document, in the same order.
func TestForms(t *testing.T) {
	handler := apidocs.Handler()
	get := func(path string) string {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != http.StatusOK || w.Header().Get("ETag") == "" {
			t.Fatalf("%s is answered with %d %v", path, w.Code, w.Header())
		}
		return w.Body.String()
	}
	var ofYAML, ofJSON any
	if err := yaml.Load([]byte(get("/openapi.yaml")), &ofYAML); err != nil {
		t.Fatal(err)
	}
	text := get("/openapi.json")
	if err := json.Unmarshal([]byte(text), &ofJSON); err != nil {
		t.Fatal(err)
	}
	// Numbers have one type after a round trip.
	data, err := json.Marshal(ofYAML)
	if err != nil {
		t.Fatal(err)
	}
	var again any
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, ofJSON) {
		t.Error("the forms differ")
	}
	if !strings.HasPrefix(text, "{\n  \"openapi\": \"3.1.1\",\n  \"info\": {") {
		t.Errorf("it begins with %.100s", text)
	}
}
