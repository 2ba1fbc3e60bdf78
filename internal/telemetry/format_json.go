package telemetry

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
)

// CompileJSON compiles Envoy's json_format: each string of the template is a
// format string. A string that is one operator and nothing else keeps the
// operator's type, number or string, and is null where there is no value. Keys
// come out sorted, and a newline ends the object.
func CompileJSON(template *structpb.Struct, omitEmpty bool) (*Format, error) {
	segs, err := compileObject(nil, template.GetFields(), "")
	if err != nil {
		return nil, err
	}
	return &Format{segments: appendLiteral(segs, "\n"), json: true, omitEmpty: omitEmpty}, nil
}

func compileObject(segs []segment, fields map[string]*structpb.Value, path string) ([]segment, error) {
	sep := "{"
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		segs = appendLiteral(segs, sep+quote(key)+":")
		var err error
		if segs, err = compileValue(segs, fields[key], path+"."+key); err != nil {
			return nil, err
		}
		sep = ","
	}
	if len(fields) == 0 {
		segs = appendLiteral(segs, sep)
	}
	return appendLiteral(segs, "}"), nil
}

func compileValue(segs []segment, v *structpb.Value, path string) ([]segment, error) {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StructValue:
		return compileObject(segs, k.StructValue.GetFields(), path)
	case *structpb.Value_ListValue:
		sep := "["
		for _, item := range k.ListValue.GetValues() {
			segs = appendLiteral(segs, sep)
			var err error
			if segs, err = compileValue(segs, item, path+"[]"); err != nil {
				return nil, err
			}
			sep = ","
		}
		if sep == "[" {
			segs = appendLiteral(segs, sep)
		}
		return appendLiteral(segs, "]"), nil
	case *structpb.Value_StringValue:
		out, err := compileJSONString(segs, k.StringValue)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", strings.TrimPrefix(path, "."), err)
		}
		return out, nil
	case *structpb.Value_NumberValue, *structpb.Value_BoolValue:
		b, err := json.Marshal(v.AsInterface())
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", strings.TrimPrefix(path, "."), err)
		}
		return appendLiteral(segs, string(b)), nil
	}
	return appendLiteral(segs, "null"), nil
}

func compileJSONString(segs []segment, s string) ([]segment, error) {
	parts, err := compileString(nil, s, modeJSONPart)
	if err != nil {
		return nil, err
	}
	if len(parts) == 1 && parts[0].op != nil {
		parts[0].mode = modeJSON
		return append(segs, parts[0]), nil
	}
	segs = appendLiteral(segs, `"`)
	for _, p := range parts {
		if p.op == nil {
			segs = appendLiteral(segs, p.literal)
			continue
		}
		segs = append(segs, p)
	}
	return appendLiteral(segs, `"`), nil
}

func quote(s string) string {
	return `"` + string(appendJSONEscaped(nil, []byte(s))) + `"`
}
