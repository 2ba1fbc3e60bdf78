package config

import (
	"fmt"
	"strings"

	"github.com/sundog-mesh/sundog/api/v1alpha1"
	"github.com/sundog-mesh/sundog/internal/config/strict"
)

func checkCompare(r *reporter, c *v1alpha1.Compare) {
	const field = "spec.compare"
	if b := c.Baseline; b != nil {
		checkBaseline(r, field+".baseline", b)
	}
	checkSize(r, field+".maxBody", c.MaxBody)
	for i, path := range c.Ignore {
		checkFieldPath(r, fmt.Sprintf("%s.ignore[%d]", field, i), path)
	}
	for i := range c.Fields {
		checkFieldRule(r, fmt.Sprintf("%s.fields[%d]", field, i), &c.Fields[i])
	}
	for i, e := range c.Endpoints {
		checkEndpointTemplate(r, fmt.Sprintf("%s.endpoints[%d]", field, i), e)
	}
}

func checkBaseline(r *reporter, field string, b *v1alpha1.Baseline) {
	switch {
	case b.Destination != nil && b.BackendRef != nil:
		r.errorf(field, "keep one of the two", "destination and backendRef exclude each other")
	case b.Destination == nil && b.BackendRef == nil && b.Again == nil:
		r.missing(field, "write again: {} to have the primary asked again", "one of destination, backendRef and again is required")
	}
	if d := b.Destination; d != nil && d.Host != "" {
		checkHost(r, field+".destination.host", d.Host, false)
		if d.Subset != "" && !isSubsetName(d.Subset) {
			r.errorf(field+".destination.subset", `it takes letters, digits and "-", at most 63`, "subset name is invalid: %q", strict.Shorten(d.Subset))
		}
	}
	if d := b.BackendRef; d != nil && d.Name != "" {
		checkHost(r, field+".backendRef.name", d.Name, false)
		if d.Namespace != "" {
			checkHost(r, field+".backendRef.namespace", d.Namespace, false)
		}
	}
}

func checkFieldRule(r *reporter, field string, f *v1alpha1.FieldRule) {
	if f.Path != "" {
		checkFieldPath(r, field+".path", f.Path)
	}
	if a := f.Array; a != nil {
		switch {
		case a.Match == v1alpha1.ArrayKey && a.Key == "":
			r.missing(field+".array", "", "key is required: the name of the field that identifies an element")
		case a.Match != v1alpha1.ArrayKey && a.Key != "":
			r.errorf(field+".array.key", "write match: Key, or leave key out", "a key is for arrays that are matched by key")
		case a.Key != "":
			checkArrayKey(r, field+".array.key", a.Key)
		}
	}
	exact := f.Tolerance == nil || value(f.Tolerance.Absolute) == 0 && value(f.Tolerance.Relative) == 0
	if f.Type == "" && exact && (f.Array == nil || f.Array.Match == v1alpha1.ArrayIndex) {
		r.missing(field, "give it a type, a tolerance or an array, or put its path under ignore", "the rule says nothing")
	}
}

func value(v *float64) float64 {
	if v == nil {
		return 0
	}
	return *v
}

// checkEndpointTemplate checks a path whose variable segments stand in braces.
func checkEndpointTemplate(r *reporter, field, path string) {
	if strings.ContainsAny(path, "?# ") {
		r.errorf(field, "", "%q is not a path: the query is not part of it", strict.Shorten(path))
		return
	}
	for segment := range strings.SplitSeq(path, "/") {
		name, ok := strings.CutPrefix(segment, "{")
		if ok {
			name, ok = strings.CutSuffix(name, "}")
		}
		if strings.ContainsAny(name, "{}") || ok && name == "" {
			r.errorf(field, "write it like /users/{id}/orders", "%q is not a template: braces hold the name of one whole segment", strict.Shorten(path))
			return
		}
	}
}
