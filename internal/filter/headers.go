package filter

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// headers is a request's field lines as a map of CEL. Beside the fields it has
// :method, :path, :scheme and :authority, as Envoy's map has, and host, which
// is :authority.
type headers struct{ h *traffic.Head }

var _ traits.Mapper = headers{}

// lookup is the value of all lines called name, whatever its case.
func (m headers) lookup(name string) (types.String, bool) {
	if v, ok := m.pseudo(name); ok {
		return text(v), len(v) > 0
	}
	name = strings.ToLower(name)
	separator := ","
	if name == "cookie" {
		separator = "; " // RFC 9113, section 8.2.3
	}
	var first []byte
	var joined []byte
	n := 0
	for i := range m.h.Len() {
		key, value := m.h.Field(i)
		if string(key) != name {
			continue
		}
		switch n++; n {
		case 1:
			first = value
		case 2:
			joined = append(append(append(joined, first...), separator...), value...)
		default:
			joined = append(append(joined, separator...), value...)
		}
	}
	if n > 1 {
		return text(joined), true
	}
	return text(first), n > 0
}

// pseudo is what is no field line; ok says that name is one of its names.
func (m headers) pseudo(name string) (v []byte, ok bool) {
	switch name {
	case ":method":
		return m.h.Method(), true
	case ":path":
		return m.h.Path(), true
	case ":scheme":
		return m.h.Scheme(), true
	case ":authority", "host":
		return m.h.Authority(), true
	}
	return nil, false
}

// names are the keys, each of them once.
func (m headers) names() []string {
	var all []string
	seen := map[string]bool{}
	for _, name := range [...]string{":method", ":path", ":scheme", ":authority"} {
		if v, _ := m.pseudo(name); len(v) > 0 {
			all = append(all, name)
		}
	}
	for i := range m.h.Len() {
		key, _ := m.h.Field(i)
		if name := string(key); !seen[name] {
			seen[name] = true
			all = append(all, name)
		}
	}
	return all
}

// Find is part of traits.Mapper.
func (m headers) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	v, ok := m.lookup(string(name))
	if !ok {
		return nil, false
	}
	return v, true
}

// Get is part of traits.Indexer.
func (m headers) Get(key ref.Val) ref.Val {
	if v, ok := m.Find(key); ok {
		return v
	}
	return types.NewErr("no such key: %v", key)
}

// Contains is part of traits.Container.
func (m headers) Contains(key ref.Val) ref.Val {
	_, ok := m.Find(key)
	return types.Bool(ok)
}

// Size is part of traits.Sizer.
func (m headers) Size() ref.Val { return types.Int(len(m.names())) }

// Iterator is part of traits.Iterable.
func (m headers) Iterator() traits.Iterator {
	return types.NewStringList(types.DefaultTypeAdapter, m.names()).Iterator()
}

// plain is the map as CEL's own.
func (m headers) plain() traits.Mapper {
	all := map[string]string{}
	for _, name := range m.names() {
		v, _ := m.lookup(name)
		all[name] = string(v)
	}
	return types.NewStringStringMap(types.DefaultTypeAdapter, all)
}

// ConvertToNative is part of ref.Val.
func (m headers) ConvertToNative(t reflect.Type) (any, error) {
	v, err := m.plain().ConvertToNative(t)
	if err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	return v, nil
}

// ConvertToType is part of ref.Val.
func (m headers) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.MapType:
		return m
	case types.TypeType:
		return types.MapType
	}
	return types.WrapErr(errors.New("headers are a map"))
}

// Equal is part of ref.Val.
func (m headers) Equal(other ref.Val) ref.Val { return m.plain().Equal(other) }

// Type is part of ref.Val.
func (m headers) Type() ref.Type { return types.MapType }

// Value is part of ref.Val.
func (m headers) Value() any { return m.plain().Value() }
