package endpoint

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is what an OpenAPI document says about paths: OpenAPI 3
// (openapi, servers) or Swagger 2 (swagger, basePath).
type document struct {
	OpenAPI  string               `yaml:"openapi"`
	Swagger  string               `yaml:"swagger"`
	BasePath string               `yaml:"basePath"`
	Servers  []server             `yaml:"servers"`
	Paths    map[string]yaml.Node `yaml:"paths"`
}

type pathItem struct {
	Servers []server `yaml:"servers"`
}

type server struct {
	URL       string `yaml:"url"`
	Variables map[string]struct {
		Default string `yaml:"default"`
	} `yaml:"variables"`
}

// FromOpenAPI returns the path templates of an OpenAPI document, version 2 or
// 3, in JSON or YAML, each below the paths of the document's servers (or of
// the path's own), sorted. Variables of a server have their default.
func FromOpenAPI(data []byte) ([]string, error) {
	var d document
	if err := yaml.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("reading an OpenAPI document: %w", err)
	}
	switch {
	case d.OpenAPI == "" && d.Swagger == "":
		return nil, errors.New("no OpenAPI document: it has neither openapi nor swagger, which say its version")
	case d.OpenAPI != "" && !strings.HasPrefix(d.OpenAPI, "3."):
		return nil, fmt.Errorf("openapi %s is not known; 3.x is", d.OpenAPI)
	case d.OpenAPI == "" && !strings.HasPrefix(d.Swagger, "2"):
		return nil, fmt.Errorf("swagger %s is not known; 2.0 is", d.Swagger)
	}
	base, err := bases(d.Servers)
	if d.OpenAPI == "" {
		base, err = []string{strings.TrimSuffix(d.BasePath, "/")}, nil
	}
	if err != nil {
		return nil, err
	}
	var all []string
	for path, node := range d.Paths {
		if strings.HasPrefix(path, "x-") { // an extension
			continue
		}
		var item pathItem
		if err := node.Decode(&item); err != nil {
			return nil, fmt.Errorf("paths: %s: %w", path, err)
		}
		own := base
		if len(item.Servers) > 0 {
			if own, err = bases(item.Servers); err != nil {
				return nil, fmt.Errorf("paths: %s: %w", path, err)
			}
		}
		if i := strings.IndexAny(path, "?#"); i >= 0 {
			path = path[:i]
		}
		for _, b := range own {
			template := b + path
			if err := (&givenNode{}).add(template); err != nil {
				return nil, fmt.Errorf("paths: %s: %w", path, err)
			}
			all = append(all, template)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the OpenAPI document has no paths")
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// bases are the paths of servers' URLs, without a slash at the end.
func bases(servers []server) ([]string, error) {
	all := []string{""}
	for i, s := range servers {
		text := s.URL
		for name, v := range s.Variables {
			text = strings.ReplaceAll(text, "{"+name+"}", v.Default)
		}
		u, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("servers: the URL %q: %w", s.URL, err)
		}
		base := strings.TrimSuffix(u.EscapedPath(), "/")
		if base != "" && base[0] != '/' {
			base = "/" + base
		}
		if i == 0 {
			all = all[:0]
		}
		all = append(all, base)
	}
	return all, nil
}
