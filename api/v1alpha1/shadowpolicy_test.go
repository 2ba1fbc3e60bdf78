package v1alpha1_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sundog-mesh/sundog/api/v1alpha1"
)

type definition struct {
	Spec struct {
		Group    string `json:"group"`
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Schema struct {
				Root schema `json:"openAPIV3Schema"`
			}
		}
	}
}

type schema struct {
	Description string
	Properties  map[string]*schema
	Items       *schema
	Required    []string
	Enum        []string
	Default     any
}

func readDefinition(t *testing.T) *definition {
	t.Helper()
	d := &definition{}
	if err := yaml.Unmarshal(v1alpha1.CRD(), d); err != nil {
		t.Fatal(err)
	}
	if len(d.Spec.Versions) != 1 {
		t.Fatalf("%d versions", len(d.Spec.Versions))
	}
	return d
}

// The definition is that of the types: whoever changes one without the other
// is told here, and by make check-generate.
func TestDefinitionHasTheTypes(t *testing.T) {
	d := readDefinition(t)
	v := d.Spec.Versions[0]
	if d.Spec.Group != v1alpha1.Group || v.Name != v1alpha1.Version || d.Spec.Names.Kind != v1alpha1.Kind {
		t.Errorf("it is of %s/%s %s", d.Spec.Group, v.Name, d.Spec.Names.Kind)
	}
	same(t, "spec", reflect.TypeFor[v1alpha1.ShadowPolicySpec](), v.Schema.Root.Properties["spec"])
	same(t, "status", reflect.TypeFor[v1alpha1.PolicyStatus](), v.Schema.Root.Properties["status"])
}

// same compares the fields of a type with the properties of a schema, all the
// way down.
func same(t *testing.T, path string, typ reflect.Type, s *schema) {
	t.Helper()
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ {
	case reflect.TypeFor[metav1.Duration](), reflect.TypeFor[resource.Quantity](), reflect.TypeFor[metav1.Condition]():
		return
	}
	if typ.Kind() == reflect.Slice && s.Items != nil {
		same(t, path+"[]", typ.Elem(), s.Items)
		return
	}
	if typ.Kind() != reflect.Struct {
		return
	}
	var names, required []string
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
		if options == "" {
			required = append(required, name)
		}
		at := path + "." + name
		inner := s.Properties[name]
		if inner == nil {
			t.Errorf("%s is not in the definition", at)
			continue
		}
		if inner.Description == "" {
			t.Errorf("%s says nothing of itself", at)
		}
		same(t, at, f.Type, inner)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(names)), slices.Sorted(maps.Keys(s.Properties))); diff != "" {
		t.Errorf("%s (-type +definition):\n%s", path, diff)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(required)), slices.Sorted(slices.Values(s.Required))); diff != "" {
		t.Errorf("required of %s (-type +definition):\n%s", path, diff)
	}
}

// The constants are the values that the definition takes.
func TestConstants(t *testing.T) {
	spec := readDefinition(t).Spec.Versions[0].Schema.Root.Properties["spec"]
	fields := spec.Properties["compare"].Properties["fields"].Items
	for _, c := range []struct {
		name   string
		schema *schema
		values any
	}{
		{"sample.key.type", spec.Properties["sample"].Properties["key"].Properties["type"], []v1alpha1.KeyType{
			v1alpha1.KeyRequestID, v1alpha1.KeyHeader, v1alpha1.KeyCookie, v1alpha1.KeySourceAddress,
		}},
		{"request.authorityMode", spec.Properties["request"].Properties["authorityMode"], []v1alpha1.AuthorityMode{
			v1alpha1.AuthoritySuffix, v1alpha1.AuthorityKeep, v1alpha1.AuthorityShadow,
		}},
		{"compare.fields[].type", fields.Properties["type"], []v1alpha1.FieldType{
			v1alpha1.FieldUUID, v1alpha1.FieldTimestamp, v1alpha1.FieldCounter, v1alpha1.FieldToken, v1alpha1.FieldFloat, v1alpha1.FieldAny,
		}},
		{"compare.fields[].array.match", fields.Properties["array"].Properties["match"], []v1alpha1.ArrayMatch{
			v1alpha1.ArrayIndex, v1alpha1.ArraySet, v1alpha1.ArrayKey,
		}},
	} {
		want, err := json.Marshal(c.schema.Enum)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(c.values)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-definition +constants):\n%s", c.name, diff)
		}
	}
}
