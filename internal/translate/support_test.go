package translate_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	meshconfig "istio.io/api/mesh/v1alpha1"
	istio "istio.io/api/networking/v1alpha3"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/translate"
)

const supportDocument = "../../docs/support.md"

// kinds are those of the support matrix; of the mesh config it has only the
// fields that say something about requests.
func kinds() map[string]proto.Message {
	return map[string]proto.Message{
		"VirtualService":  &istio.VirtualService{},
		"DestinationRule": &istio.DestinationRule{},
		"Gateway":         &istio.Gateway{},
		"ServiceEntry":    &istio.ServiceEntry{},
		"WorkloadEntry":   &istio.WorkloadEntry{},
		"MeshConfig":      &meshconfig.MeshConfig{},
	}
}

// fieldsOf calls visit for every field of the message, and goes into those for
// which visit gives true.
func fieldsOf(d protoreflect.MessageDescriptor, prefix string, visit func(path string, fd protoreflect.FieldDescriptor) bool) {
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		path := prefix + fd.JSONName()
		if fd.IsList() {
			path += "[]"
		}
		if visit(path, fd) && fd.Message() != nil && !fd.IsMap() {
			fieldsOf(fd.Message(), path+".", visit)
		}
	}
}

// whole reports whether a message is one value to its reader.
func whole(fd protoreflect.FieldDescriptor) bool {
	if fd.Message() == nil || fd.IsMap() || fd.Message().Fields().Len() == 0 ||
		fd.Message().ParentFile().Package() == "google.protobuf" {
		return true
	}
	return slices.Contains([]protoreflect.Name{"StringMatch", "Percent", "PortSelector"}, fd.Message().Name())
}

// samePath is the path under which the rows of a field stand: that of what it
// is the same as, if it has no row of its own.
func samePath(rows map[string]translate.SupportRow, kind, path string) string {
	for _, own := rows[kind+" "+path]; !own; _, own = rows[kind+" "+path] {
		before := path
		for _, r := range rows {
			if rest, ok := strings.CutPrefix(path, r.Field+"."); ok && r.Kind == kind && r.Status == "same" {
				path = r.Note + "." + rest
				break
			}
		}
		if path == before {
			break
		}
	}
	return path
}

// TestSupportIsComplete wants a row for every field that the types have. A row
// may stand for all that its field holds only when none of it is done.
func TestSupportIsComplete(t *testing.T) {
	rows, left := map[string]translate.SupportRow{}, map[string]bool{}
	for _, r := range translate.Support() {
		key := r.Kind + " " + r.Field
		if left[key] {
			t.Errorf("%s is in the table twice", key)
		}
		rows[key], left[key] = r, true
		if !slices.Contains([]string{"yes", "partial", "no", "same"}, r.Status) {
			t.Errorf("%s: the status is %q", key, r.Status)
		}
	}
	for kind, m := range kinds() {
		fieldsOf(m.ProtoReflect().Descriptor(), "", func(path string, fd protoreflect.FieldDescriptor) bool {
			key := kind + " " + samePath(rows, kind, path)
			row, ok := rows[key]
			delete(left, key)
			switch {
			case ok && !whole(fd) && row.Status != "no" && row.Status != "same":
				t.Errorf("%s holds fields that need rows of their own", key)
			case !ok && whole(fd) && kind != "MeshConfig":
				t.Errorf("%s is not in the table", key)
			}
			if kind == "MeshConfig" { // its types are deep and refer to themselves
				return !ok && strings.Count(path, ".") < 3
			}
			return !whole(fd) && (!ok || row.Status == "same")
		})
	}
	for key := range left {
		t.Errorf("%s is in the table and not in the types", key)
	}
}

// TestSupportIsTested wants a golden case for every "yes", which sets the
// field, and for every other case that the table names.
func TestSupportIsTested(t *testing.T) {
	rows := map[string]translate.SupportRow{}
	for _, r := range translate.Support() {
		rows[r.Kind+" "+r.Field] = r
	}
	used := map[string]map[string]bool{} // case, then "KIND FIELD"
	for _, file := range goldenFiles(t) {
		fields := usedFields(readCase(t, file).set)
		for key := range maps.Clone(fields) {
			kind, path, _ := strings.Cut(key, " ")
			fields[kind+" "+samePath(rows, kind, path)] = true
		}
		used[caseName(file)] = fields
	}
	for _, r := range translate.Support() {
		if r.Case == "" {
			if r.Status == "yes" || r.Status == "same" {
				t.Errorf("%s %s is said to be done and has no case", r.Kind, r.Field)
			}
			continue
		}
		if fields, ok := used[r.Case]; !ok {
			t.Errorf("%s %s: there is no case %s", r.Kind, r.Field, r.Case)
		} else if !fields[r.Kind+" "+r.Field] {
			t.Errorf("%s %s: the case %s does not set it", r.Kind, r.Field, r.Case)
		}
	}
}

func usedFields(set *config.Set) map[string]bool {
	out := map[string]bool{}
	collect(out, "VirtualService", set.VirtualServices)
	collect(out, "DestinationRule", set.DestinationRules)
	collect(out, "Gateway", set.Gateways)
	collect(out, "ServiceEntry", set.ServiceEntries)
	collect(out, "WorkloadEntry", set.WorkloadEntries)
	markFields(out, "MeshConfig ", set.Mesh.ProtoReflect())
	return out
}

func collect[T proto.Message](out map[string]bool, kind string, objects []*config.Object[T]) {
	for _, o := range objects {
		markFields(out, kind+" ", o.Spec.ProtoReflect())
	}
}

func markFields(out map[string]bool, prefix string, m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		path := prefix + fd.JSONName()
		switch {
		case fd.IsList():
			path += "[]"
			for i := range v.List().Len() {
				if fd.Message() != nil {
					markFields(out, path+".", v.List().Get(i).Message())
				}
			}
		case fd.Message() != nil && !fd.IsMap():
			markFields(out, path+".", v.Message())
		}
		out[path] = true
		return true
	})
}

// TestNotDoneIsTold sets each field that is "no" and wants a warning for it.
func TestNotDoneIsTold(t *testing.T) {
	for _, r := range translate.Support() {
		if r.Status != "no" || r.Kind == "MeshConfig" {
			continue
		}
		m := proto.Clone(kinds()[r.Kind])
		field := "spec." + strings.ReplaceAll(setField(m.ProtoReflect(), strings.Split(r.Field, ".")), "[]", "")
		set := &config.Set{Mesh: &meshconfig.MeshConfig{}}
		switch v := m.(type) {
		case *istio.VirtualService:
			set.VirtualServices = append(set.VirtualServices, object(r.Kind, v))
		case *istio.DestinationRule:
			set.DestinationRules = append(set.DestinationRules, object(r.Kind, v))
		case *istio.Gateway:
			set.Gateways = append(set.Gateways, object(r.Kind, v))
		case *istio.ServiceEntry:
			set.ServiceEntries = append(set.ServiceEntries, object(r.Kind, v))
		case *istio.WorkloadEntry:
			set.WorkloadEntries = append(set.WorkloadEntries, object(r.Kind, v))
		}
		_, problems := translate.Translate(set, translate.Options{})
		told := slices.ContainsFunc(problems, func(p config.Problem) bool {
			return p.Severity == config.Warning && p.Field == field && strings.Contains(p.Message, "not done yet")
		})
		if !told {
			t.Errorf("%s %s is set and nobody is told: %v", r.Kind, field, problems)
		}
	}
}

func object[T any](kind string, spec T) *config.Object[T] {
	return &config.Object[T]{Kind: kind, Namespace: "default", Name: "it", Spec: spec}
}

// setField sets a field to something and gives its path as a Problem has it.
func setField(m protoreflect.Message, path []string) string {
	fd := m.Descriptor().Fields().ByJSONName(strings.TrimSuffix(path[0], "[]"))
	last := len(path) == 1
	switch {
	case fd.IsMap():
		mutable := m.Mutable(fd).Map()
		mutable.Set(protoreflect.ValueOfString("k").MapKey(), mutable.NewValue())
	case fd.IsList() && fd.Message() != nil:
		element := m.Mutable(fd).List().AppendMutable().Message()
		if !last {
			return fd.JSONName() + "[0]." + setField(element, path[1:])
		}
	case fd.IsList():
		list := m.Mutable(fd).List()
		list.Append(list.NewElement())
	case fd.Message() != nil:
		inner := m.Mutable(fd).Message()
		if !last {
			return fd.JSONName() + "." + setField(inner, path[1:])
		}
	default:
		m.Set(fd, something(fd))
	}
	return fd.JSONName()
}

func something(fd protoreflect.FieldDescriptor) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("x")
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("x"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(1)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(1)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(1)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(1)
	}
	panic("no value for " + fd.Kind().String())
}

// TestSupportDocument keeps docs/support.md the same as the table; with
// -update, or go generate, it is written anew.
func TestSupportDocument(t *testing.T) {
	want := supportMarkdown()
	if *update {
		if err := os.WriteFile(supportDocument, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(supportDocument)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/support.md is not what the table says; run go generate ./internal/translate (-want +got):\n%s", diff)
	}
}

func supportMarkdown() string {
	var b strings.Builder
	b.WriteString(`<!-- Generated from internal/translate/support.txt by go generate ./internal/translate. Do not edit. -->

# What Sundog makes of each field

**yes**: it does what Istio does with it. **partial**: in part, as the note says. **no**: the field is read and checked, and has
no effect yet; ` + "`sundog validate`" + ` and ` + "`sundog run`" + ` warn of it wherever it is set. **same**: the field holds what the note
names, and the rows of that are its own too. A row stands for all that its field holds. The case is the example under
` + "`internal/translate/testdata`" + ` that shows, with input and output, what becomes of the field.

Of Kubernetes, Sundog reads Service, EndpointSlice, Endpoints and Pod for where requests can go, and Secret for certificates;
Deployment and ServiceAccount are read and not needed. Sundog's own kind, ShadowPolicy, is in [shadowpolicy.md](shadowpolicy.md).
Fields of the MeshConfig that are not listed are named in a note and not used.
`)
	kind := ""
	pipe := regexp.MustCompile(`\|`)
	for _, r := range translate.Support() {
		if r.Kind != kind {
			kind = r.Kind
			fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| field | | case | note |\n| --- | --- | --- | --- |\n", kind, counts(kind))
		}
		example := ""
		if r.Case != "" {
			example = "`" + r.Case + "`"
		}
		if r.Status == "same" {
			r.Note = "as `" + r.Note + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.Field, r.Status, example, pipe.ReplaceAllString(r.Note, `\|`))
	}
	return b.String()
}

func counts(kind string) string {
	n := map[string]int{}
	for _, r := range translate.Support() {
		if r.Kind == kind {
			n[r.Status]++
		}
	}
	return fmt.Sprintf("%d yes, %d partial, %d no.", n["yes"], n["partial"], n["no"])
}
