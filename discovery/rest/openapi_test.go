package rest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

// document is what the tests read of openapi.json.
type document struct {
	Paths map[string]map[string]json.RawMessage `json:"paths"`
	// Components are those that are named.
	Components struct {
		Parameters map[string]parameter `json:"parameters"`
		Responses  map[string]response  `json:"responses"`
		Schemas    map[string]schema    `json:"schemas"`
	} `json:"components"`
}

type parameter struct {
	Ref  string `json:"$ref"`
	Name string `json:"name"`
	In   string `json:"in"`
}

type operation struct {
	Parameters  []parameter `json:"parameters"`
	RequestBody struct {
		Content map[string]struct {
			Schema schema `json:"schema"`
		} `json:"content"`
	} `json:"requestBody"`
	Responses map[string]response `json:"responses"`
}

type response struct {
	Ref     string `json:"$ref"`
	Content map[string]struct {
		Schema schema `json:"schema"`
	} `json:"content"`
}

type schema struct {
	Ref        string            `json:"$ref"`
	OneOf      []schema          `json:"oneOf"`
	Type       any               `json:"type"` // a name, or a list of them
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
}

func readDocument(t *testing.T) (doc document) {
	t.Helper()
	if err := json.Unmarshal(Document, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func (d *document) operation(t *testing.T, path, method string) (op operation, ok bool) {
	t.Helper()
	text, ok := d.Paths[path][strings.ToLower(method)]
	if !ok {
		return op, false
	}
	if err := json.Unmarshal(text, &op); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	for status, r := range op.Responses {
		if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
			if op.Responses[status], ok = d.Components.Responses[name]; !ok {
				t.Errorf("%s %s: there is no response %s", method, path, name)
			}
		}
	}
	return op, true
}

var allMethods = []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}

// spellings are the documented paths of a route.
func spellings(name string, r route) []string {
	out := []string{"/" + name}
	switch {
	case r.scope == ofGroup:
		out = append(out, "/groups/{group}/"+name)
	case r.scope == ofNode:
		out = append(out, "/groups/{group}/nodes/{node}/"+name)
		if name == "health" || name == "readiness" {
			out = append(out, "/groups/{group}/"+name)
		}
	}
	switch name {
	case "cluster":
		out = append(out, "/groups/{group}")
	case "node":
		out = append(out, "/groups/{group}/nodes/{node}")
	}
	return out
}

// Goal: the document has every route with its methods, and nothing else.
func TestDocumentHasEveryRoute(t *testing.T) {
	doc := readDocument(t)
	want := map[string]bool{}
	for name, r := range routes {
		for _, path := range spellings(name, r) {
			for _, m := range r.methods {
				want[m+" "+path] = true
			}
		}
	}
	have := map[string]bool{}
	for path, item := range doc.Paths {
		for m := range item {
			if m != "parameters" {
				have[strings.ToUpper(m)+" "+path] = true
			}
		}
	}
	if !maps.Equal(have, want) {
		t.Errorf("documented:\n%q\nroutes:\n%q", slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(want)))
	}
}

// plainPath fills in a documented path.
func plainPath(path string) string {
	return strings.NewReplacer("{group}", "mymaster", "{node}", nodeA, "{id}", reportID).Replace(path)
}

// Goal: every documented request is answered, with a documented status and a
// body of the documented shape, in good and in bad times; and methods that are
// not documented are refused.
func TestAnswersAreAsDocumented(t *testing.T) {
	s, doc := open(t), readDocument(t)
	seen := map[string]bool{}
	for name, change := range map[string]func(*warden.GroupView){
		"calm": func(*warden.GroupView) {}, "cut off": func(v *warden.GroupView) { v.Agreed = false }, "no primary": func(v *warden.GroupView) { v.Primary = "" },
		"gone": func(v *warden.GroupView) { v.Name = "another" },
	} {
		s.view(func(v *warden.GroupView) { *v = calm(); change(v) })
		for path := range doc.Paths {
			if path == "/events" {
				continue // it does not end; events_test.go
			}
			for _, m := range allMethods {
				op, documented := doc.operation(t, path, m)
				r := s.ask(m, plainPath(path), "", "Authorization", "Bearer "+token)
				if !documented {
					if r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") == "" {
						t.Errorf("%s %s is not documented and answers %d", m, path, r.status)
					}
					continue
				}
				what, ok := op.Responses[fmt.Sprint(r.status)]
				if !ok {
					t.Errorf("%s: %s %s answers %d, which is not documented: %s", name, m, path, r.status, r.body)
					continue
				}
				seen[fmt.Sprint(r.status)] = true
				if m == "GET" || m == "POST" || m == "PATCH" {
					doc.shaped(t, m+" "+path, r.body, what.Content["application/json"].Schema)
				} else if r.body != "" {
					t.Errorf("%s %s has a body: %s", m, path, r.body)
				}
			}
		}
	}
	for _, status := range []string{"200", "400", "404", "501", "503"} {
		if !seen[status] {
			t.Errorf("no request was answered %s", status)
		}
	}
}

// shaped checks the fields of a body against a schema.
func (d *document) shaped(t *testing.T, what, body string, want schema) {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(body), &fields); err != nil {
		t.Errorf("%s: %v: %s", what, err, body)
		return
	}
	options := want.OneOf
	if len(options) == 0 {
		options = []schema{want}
	}
	for _, o := range options {
		if d.misshaped(fields, o) == "" {
			return
		}
	}
	t.Errorf("%s: %s: %s", what, d.misshaped(fields, options[0]), body)
}

func (d *document) misshaped(fields map[string]any, want schema) string {
	if name, ok := strings.CutPrefix(want.Ref, "#/components/schemas/"); ok {
		if want, ok = d.Components.Schemas[name]; !ok {
			return "there is no schema " + name
		}
	}
	for _, name := range want.Required {
		if _, ok := fields[name]; !ok {
			return "there is no field " + name
		}
	}
	for name, value := range fields {
		p, ok := want.Properties[name]
		if !ok && len(want.Properties) > 0 {
			return "field " + name + " is not documented"
		}
		kind := map[bool]string{true: "boolean"}[value == true || value == false]
		switch value.(type) {
		case string:
			kind = "string"
		case float64:
			kind = "integer"
		case []any:
			kind = "array"
		case map[string]any:
			kind = "object"
		}
		if ok && p.Type != kind {
			return fmt.Sprintf("field %s is a %s, documented as %v", name, kind, p.Type)
		}
	}
	return ""
}

// Goal: documented parameters and fields are taken, and each says so when its
// value is wrong rather than that it is unknown.
func TestDocumentedParametersAreKnown(t *testing.T) {
	s, doc := open(t), readDocument(t)
	found := 0
	for path, item := range doc.Paths {
		var shared []parameter
		if text, ok := item["parameters"]; ok {
			if err := json.Unmarshal(text, &shared); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range []string{"GET", "POST"} {
			op, ok := doc.operation(t, path, m)
			if !ok || path == "/events" {
				continue
			}
			for _, p := range append(shared, op.Parameters...) {
				if p.Ref != "" {
					p = doc.Components.Parameters[strings.TrimPrefix(p.Ref, "#/components/parameters/")]
				}
				if p.In != "query" {
					continue
				}
				found++
				if r := s.ask(m, plainPath(path)+"?"+p.Name+"=%00", "", "Authorization", "Bearer "+token); strings.Contains(r.body, "unknown parameter") {
					t.Errorf("%s %s: %s", m, path, r.body)
				}
			}
			for name := range op.RequestBody.Content["application/json"].Schema.Properties {
				found++
				if r := s.post(plainPath(path), `{"`+name+`":[]}`); r.status/100 == 2 || strings.Contains(r.body, "unknown field") {
					t.Errorf("%s %s with a wrong %s: %d %s", m, path, name, r.status, r.body)
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d parameters and fields were found", found)
	}
}
