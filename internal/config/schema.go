package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	"go.yaml.in/yaml/v3"
)

// schema is what a custom resource definition says of a value, as far as
// strict.Check does not know it from the Go type: what is required, which
// values it may have and what it is by default. The API server does the same
// with the same schema.
type schema struct {
	Type             string             `yaml:"type"`
	Properties       map[string]*schema `yaml:"properties"`
	Items            *schema            `yaml:"items"`
	Required         []string           `yaml:"required"`
	Default          any                `yaml:"default"`
	Enum             []string           `yaml:"enum"`
	Pattern          string             `yaml:"pattern"`
	Minimum          *float64           `yaml:"minimum"`
	Maximum          *float64           `yaml:"maximum"`
	ExclusiveMinimum bool               `yaml:"exclusiveMinimum"`
	ExclusiveMaximum bool               `yaml:"exclusiveMaximum"`
	Words            string             `yaml:"x-words"` // ours: what the pattern says, for people
	MinLength        int                `yaml:"minLength"`
	MaxLength        *int               `yaml:"maxLength"`
	MinItems         int                `yaml:"minItems"`
	MaxItems         *int               `yaml:"maxItems"`
	MinProperties    int                `yaml:"minProperties"`
	MaxProperties    *int               `yaml:"maxProperties"`
}

// specSchema is the schema of the spec of the only version in a definition.
func specSchema(crd []byte) (*schema, error) {
	var d struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					Root schema `yaml:"openAPIV3Schema"`
				} `yaml:"schema"`
			} `yaml:"versions"`
		} `yaml:"spec"`
	}
	if err := yaml.Unmarshal(crd, &d); err != nil {
		return nil, fmt.Errorf("reading the definition: %w", err)
	}
	if len(d.Spec.Versions) != 1 || d.Spec.Versions[0].Schema.Root.Properties["spec"] == nil {
		return nil, fmt.Errorf("reading the definition: it has not one version with a spec")
	}
	return d.Spec.Versions[0].Schema.Root.Properties["spec"], nil
}

// complete fills in the defaults of what is not there, as the API server does.
func (s *schema) complete(value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, p := range s.Properties {
			if _, ok := v[name]; !ok && p.Default != nil {
				v[name] = p.fallback()
			}
			p.complete(v[name])
		}
	case []any:
		if s.Items != nil {
			for _, item := range v {
				s.Items.complete(item)
			}
		}
	}
}

// fallback is a copy of the default: what is in it is completed, too.
func (s *schema) fallback() any { return copied(s.Default) }

func copied(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, inner := range v {
			out[name] = copied(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = copied(inner)
		}
		return out
	}
	return value
}

// check reports what the schema refuses in a value that strict.Check has
// cleaned.
func (s *schema) check(r *reporter, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				r.missing(path, s.Properties[name].example(), "%s is required", name)
				r.errors = append(r.errors, path+"."+name)
			}
		}
		s.checkCount(r, path, "entries", len(v), s.MinProperties, s.MaxProperties)
		for name, p := range sorted(s.Properties) {
			if inner, ok := v[name]; ok {
				p.check(r, KeyPath(path, name), inner)
			}
		}
	case []any:
		s.checkCount(r, path, "items", len(v), s.MinItems, s.MaxItems)
		if s.Items != nil {
			for i, item := range v {
				s.Items.check(r, fmt.Sprintf("%s[%d]", path, i), item)
			}
		}
	case string:
		s.checkText(r, path, v)
	case json.Number:
		if n, err := v.Float64(); err == nil && (s.Type == "number" || s.Type == "integer") {
			s.checkNumber(r, path, n)
		}
	}
}

// example says what a value that is missing could be.
func (s *schema) example() string {
	if len(s.Enum) > 0 {
		return "it takes " + strings.Join(s.Enum, ", ")
	}
	return ""
}

// refuse reports an error that settles what there is to say of the field.
func (r *reporter) refuse(field, hint, format string, args ...any) {
	if r.broken(field) {
		return
	}
	r.errorf(field, hint, format, args...)
	r.errors = append(r.errors, field)
}

func (s *schema) checkCount(r *reporter, path, what string, n, least int, most *int) {
	switch {
	case n < least:
		r.refuse(path, "", "is empty; it needs at least %d", least)
	case most != nil && n > *most:
		r.refuse(path, "", "has %d %s; at most %d are allowed", n, what, *most)
	}
}

func (s *schema) checkText(r *reporter, path, v string) {
	if s.Type != "string" { // a quantity
		return
	}
	switch n := utf8.RuneCountInString(v); {
	case len(s.Enum) > 0:
		if slices.Contains(s.Enum, v) {
			return
		}
		hint := ""
		if name := strict.Nearest(v, s.Enum); name != "" {
			hint = fmt.Sprintf("did you mean %s?", name)
		}
		if len(s.Enum) == 1 {
			r.refuse(path, "", "%q is not allowed; it must be %q", strict.Shorten(v), s.Enum[0])
			return
		}
		r.refuse(path, hint, "%q is not one of %s", strict.Shorten(v), strings.Join(s.Enum, ", "))
	case n < s.MinLength:
		r.refuse(path, "give it a value or remove it", "is empty")
	case s.MaxLength != nil && n > *s.MaxLength:
		r.refuse(path, "", "has %d characters; at most %d are allowed", n, *s.MaxLength)
	case s.Pattern == "^/":
		if !strings.HasPrefix(v, "/") {
			r.refuse(path, fmt.Sprintf("write %q", strict.Shorten("/"+v)), "%q does not begin with /", strict.Shorten(v))
		}
	case s.Pattern != "":
		rule := cmp.Or(s.Words, "must fit the pattern "+s.Pattern)
		if ok, err := regexp.MatchString(s.Pattern, v); err != nil || !ok {
			r.refuse(path, "", "%q is not allowed; it %s", strict.Shorten(v), rule)
		}
	}
}

func (s *schema) checkNumber(r *reporter, path string, v float64) {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	switch low, high := s.Minimum, s.Maximum; {
	case low != nil && s.ExclusiveMinimum && v <= *low:
		r.refuse(path, "", "%s is not allowed; it must be more than %g", text, *low)
	case low != nil && v < *low:
		r.refuse(path, "", "%s is not allowed; it must be at least %g", text, *low)
	case high != nil && s.ExclusiveMaximum && v >= *high:
		r.refuse(path, "", "%s is not allowed; it must be less than %g", text, *high)
	case high != nil && v > *high:
		r.refuse(path, "", "%s is not allowed; it must be at most %s", text, strconv.FormatFloat(*high, 'f', -1, 64))
	}
}
