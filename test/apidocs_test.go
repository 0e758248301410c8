package test

import (
	"net/http"
	"regexp"
	"testing"

	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/reflect/protoreflect"
)

var (
	pageIDs       = regexp.MustCompile(`\sid="([^"]*)"`)
	pageLinks     = regexp.MustCompile(`<a [^>]*href="#([^"]*)"`)
	pageResources = regexp.MustCompile(`<(?:link|script|img)\b[^>]*(?:href|src)="([^"]*)"`)
)

// TestDocumentationPage: the page describes every method, has no broken link, and loads
// only its own style and script.
func TestDocumentationPage(t *testing.T) {
	p := proxytest.Start(t, "--sandbox")
	get := func(path string) (*recorder, string) {
		t.Helper()
		seen := new(recorder)
		if err := seen.do(t, http.MethodGet, "http://"+p.Address+path, nil); err != nil {
			t.Fatal(err)
		}
		answer := seen.all[len(seen.all)-1]
		if answer.status != http.StatusOK {
			t.Errorf("%s is answered %d", path, answer.status)
		}
		return seen, string(answer.response)
	}
	_, page := get("/docs") // which leads to /docs/
	ids := make(map[string]bool)
	for _, id := range pageIDs.FindAllStringSubmatch(page, -1) {
		if ids[id[1]] {
			t.Errorf("two elements have the id %s", id[1])
		}
		ids[id[1]] = true
	}
	for _, service := range []protoreflect.ServiceDescriptor{
		pb.File_discord_api_discord_api_proto.Services().ByName("DiscordApi"),
		pb.File_discord_api_outbox_proto.Services().ByName("Outbox"),
	} {
		methods := service.Methods()
		for i := range methods.Len() {
			if name := string(methods.Get(i).Name()); !ids[name] {
				t.Errorf("the page has no %s", name)
			}
		}
	}
	for _, link := range pageLinks.FindAllStringSubmatch(page, -1) {
		if !ids[link[1]] {
			t.Errorf("a link leads to #%s, which is not there", link[1])
		}
	}
	types := map[string]string{"style.css": "text/css", "script.js": "text/javascript", "data:,": ""}
	for _, resource := range pageResources.FindAllStringSubmatch(page, -1) {
		want, known := types[resource[1]]
		if !known {
			t.Errorf("the page loads %s", resource[1])
		} else if want != "" {
			if seen, _ := get("/docs/" + resource[1]); mediaType(seen.all[0].responseType) != want {
				t.Errorf("%s is of type %s", resource[1], seen.all[0].responseType)
			}
		}
	}
}
