package main

import (
	"encoding/json"
	"runtime/debug"
	"strings"
	"time"
)

// billOfMaterials writes the modules of a binary, and the Go that compiled it,
// in the form of CycloneDX.
// https://cyclonedx.org/docs/1.6/json/
func billOfMaterials(info *debug.BuildInfo, version string, date time.Time) ([]byte, error) {
	type component struct {
		Type    string `json:"type"`
		Ref     string `json:"bom-ref"`
		Name    string `json:"name"`
		Version string `json:"version"`
		PURL    string `json:"purl"`
	}
	module := func(kind, name, version string) component {
		// https://github.com/package-url/purl-spec, in which a path keeps its
		// slashes.
		purl := "pkg:golang/" + name + "@" + strings.ReplaceAll(version, "+", "%2B")
		return component{Type: kind, Ref: purl, Name: name, Version: version, PURL: purl}
	}
	type dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
	self := module("application", info.Main.Path, version)
	components := []component{module("library", "std", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		components = append(components, module("library", m.Path, m.Version))
	}
	uses := dependency{Ref: self.Ref}
	for _, c := range components {
		uses.DependsOn = append(uses.DependsOn, c.Ref)
	}
	document := map[string]any{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
		"metadata":     map[string]any{"timestamp": date.Format(time.RFC3339), "component": self},
		"components":   components,
		"dependencies": []dependency{uses},
	}
	return json.MarshalIndent(document, "", "  ")
}
