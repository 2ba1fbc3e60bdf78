package endpoint_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/endpoint"
)

func TestGiven(t *testing.T) {
	l := learner(t, endpoint.Options{Templates: []string{
		"/", "/users/{id}", "/users/{user}/orders/{order}", "/users/me", "/users/me/{what}", "/users/{id}.json", "/users/{id}:lock",
		"/users/{id}/", "/files/{path...}", "/files/new", "/proxy/**", "/a/{x}/c", "/a/b/{y}", "/a/{x}/{y}", "/star/*/x", "/{lang}/about",
		"/geo/{lat},{lon}", "/users/{other}",
	}})
	for path, want := range map[string]string{
		"/":                    "/",
		"/?a":                  "/",
		"/users/7":             "/users/{id}",
		"/users/ann?x=1":       "/users/{id}",
		"/users/7/":            "/users/{id}/",
		"/users/":              "/users/",
		"/users/me":            "/users/me",
		"/users/Me":            "/users/{id}",
		"/users/me/settings":   "/users/me/{what}",
		"/users/me/orders/1":   "/users/{user}/orders/{order}",
		"/users/7/orders/8":    "/users/{user}/orders/{order}",
		"/users/7/orders":      "/users/{id}/orders",
		"/users/7.json":        "/users/{id}.json",
		"/users/.json":         "/users/{id}",
		"/users/7:lock":        "/users/{id}:lock",
		"/files/a/b/c":         "/files/{path...}",
		"/files/new":           "/files/new",
		"/files/new/x":         "/files/{path...}",
		"/files":               "/files",
		"/proxy/" + long():     "/proxy/**",
		"/a/b/c":               "/a/b/{y}",
		"/a/q/c":               "/a/{x}/c",
		"/a/q/d":               "/a/{x}/{y}",
		"/star/7/x":            "/star/*/x",
		"/de/about":            "/{lang}/about",
		"/de/imprint":          "/de/imprint",
		"/geo/52.5,13.4":       "/geo/{lat},{lon}",
		"/users/7/orders/8/9x": "/users/{id}/orders/{id}/9x",
	} {
		if got := l.Template("GET", path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func long() string { return strings.Repeat("x/", 40) }

func TestGivenErrors(t *testing.T) {
	for template, want := range map[string]string{
		"users":             "begin with a slash",
		"/a?b={c}":          "no query",
		"/a/{}":             "name in braces",
		"/a/{b":             "name in braces",
		"/a/}b{":            "name in braces",
		"/a/{path...}/more": "come last",
	} {
		if _, err := endpoint.New(endpoint.Options{Templates: []string{template}}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), template) {
			t.Errorf("%s: %v, want %q", template, err, want)
		}
	}
}

func TestFromOpenAPI(t *testing.T) {
	for name, test := range map[string]struct {
		document string
		want     []string
	}{
		"swagger": {
			`{"swagger": "2.0", "basePath": "/v1/", "paths": {"/pets/{petId}": {"get": {}}, "/pets": {}, "x-note": "a"}}`,
			[]string{"/v1/pets", "/v1/pets/{petId}"},
		},
		"swagger as a number": {"swagger: 2.0\npaths: {/a: {}}", []string{"/a"}},
		"openapi": {`
openapi: 3.1.0
servers:
- url: https://api.example.com/{version}
  variables: {version: {default: v2, enum: [v1, v2]}}
- url: /internal/
paths:
  /orders/{id}#fragment: {get: {responses: {}}}
  /status:
    servers: [{url: 'https://status.example.com'}]
    parameters: []
  /files/{name}.{ext}: {}
`, []string{"/internal/files/{name}.{ext}", "/internal/orders/{id}", "/status", "/v2/files/{name}.{ext}", "/v2/orders/{id}"}},
		"no servers": {"openapi: 3.0.3\npaths: {/: {}, /a: null}", []string{"/", "/a"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := endpoint.FromOpenAPI([]byte(test.document))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
			if _, err := endpoint.New(endpoint.Options{Templates: got}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFromOpenAPIErrors(t *testing.T) {
	for document, want := range map[string]string{
		`{`:                                    "reading an OpenAPI document",
		`a: b`:                                 "neither openapi nor swagger",
		`openapi: 4.0.0`:                       "3.x is",
		`swagger: "1.2"`:                       "2.0 is",
		`openapi: 3.0.0`:                       "no paths",
		`{openapi: 3.0.0, paths: {a: {}}}`:     "begin with a slash",
		`{openapi: 3.0.0, paths: {"/{}": {}}}`: "name in braces",
		`{openapi: 3.0.0, paths: {/a: b}}`:     "paths: /a",
		`{openapi: 3.0.0, servers: [{url: "http://a b/"}], paths: {/a: {}}}`: "servers",
	} {
		if _, err := endpoint.FromOpenAPI([]byte(document)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", document, err, want)
		}
	}
}

// Whatever path comes, it has one template, which has no query and stays.
func FuzzTemplate(f *testing.F) {
	for _, p := range []string{"/", "*", "", "/users/7?x", "/a;b=1/{id}", "/x/%zz//", "/a(b)/c:d.e", "/{id}/x\xff", "/1.1/2/2020-01-01", "/A.B/C"} {
		f.Add("POST", p)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		l := learner(t, endpoint.Options{Distinct: 2, Max: 20, Templates: []string{"/given/{a}/**", "/{x}.y/{z}"}})
		for _, p := range []string{"/a/b", "/b/c", "/c/d", "/a/b2c3", path, "/given/1/2"} {
			l.Template(method, p)
		}
		got := l.Template(method, path)
		if strings.ContainsAny(got, "?#") || got != "*" && !strings.HasPrefix(got, "/") {
			t.Fatalf("%q: %q", path, got)
		}
		if again := l.Template(method, path); again != got {
			t.Fatalf("%q: %q, then %q", path, got, again)
		}
		other := learner(t, endpoint.Options{})
		other.Merge(l.State())
		if d := cmp.Diff(l.State(), other.State()); d != "" {
			t.Fatal(d)
		}
	})
}

// A document is read or refused, and what comes of it is valid.
func FuzzFromOpenAPI(f *testing.F) {
	f.Add([]byte("openapi: 3.0.0\nservers: [{url: '/{a}', variables: {a: {default: b}}}]\npaths: {/a/{b}: {servers: [{url: c}]}}"))
	f.Add([]byte(`{"swagger":"2.0","basePath":"x","paths":{"/":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		templates, err := endpoint.FromOpenAPI(data)
		if err != nil {
			return
		}
		if _, err := endpoint.New(endpoint.Options{Templates: templates}); err != nil {
			t.Fatal(err)
		}
	})
}
