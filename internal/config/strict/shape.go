package strict

import (
	"math"
	"reflect"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// form is the kind of value that a field takes.
type form int

const (
	anyForm form = iota
	objectForm
	mapForm
	listForm
	stringForm
	boolForm
	intForm
	floatForm
	enumForm
	bytesForm
	durationForm
	timeForm
	intOrStringForm
	quantityForm
)

// Shape says what a value must look like. It is the one description that both
// worlds are checked against: protobuf messages (Istio) and Go structs
// (Kubernetes).
type Shape struct {
	form   form
	fields map[string]*field // objectForm: by JSON name
	names  []string          // objectForm: the JSON names in their order
	elem   *Shape            // mapForm and listForm
	enum   []string
	min    int64  // intForm
	max    uint64 // intForm
	proto  bool   // objectForm and mapForm: of protobuf
}

type field struct {
	name  string // JSON name
	oneof string // fields of one oneof exclude each other
	make  func() *Shape
	made  *Shape
}

// shape is made when it is first asked for: a Pod has hundreds of types, of
// which a file uses few.
func (f *field) shape() *Shape {
	if f.made == nil {
		f.made = f.make()
	}
	return f.made
}

// Field is the shape of a field of an object; nil if it has none of that name.
func (s *Shape) Field(name string) *Shape {
	if f := s.fields[name]; f != nil {
		return f.shape()
	}
	return nil
}

// lookup finds a field by what the user wrote: the JSON name, or for protobuf
// also the name of the .proto file, as protobuf's JSON mapping has it.
func (s *Shape) lookup(key string) *field {
	if f := s.fields[key]; f != nil {
		return f
	}
	if s.proto && strings.Contains(key, "_") {
		return s.fields[camel(key)]
	}
	return nil
}

// Shapes makes Shapes and remembers them. It is not for concurrent use.
type Shapes struct {
	messages map[protoreflect.FullName]*Shape
	types    map[reflect.Type]*Shape
}

// NewShapes returns an empty memory of Shapes.
func NewShapes() *Shapes {
	return &Shapes{map[protoreflect.FullName]*Shape{}, map[reflect.Type]*Shape{}}
}

func (s *Shape) add(f *field) {
	if s.fields[f.name] == nil {
		s.names = append(s.names, f.name)
	}
	s.fields[f.name] = f
}

// Message is the Shape of a protobuf message in its JSON mapping.
func (c *Shapes) Message(d protoreflect.MessageDescriptor) *Shape {
	switch d.FullName() {
	case "google.protobuf.Duration":
		return &Shape{form: durationForm}
	case "google.protobuf.Timestamp":
		return &Shape{form: timeForm}
	case "google.protobuf.Struct":
		return &Shape{form: mapForm, elem: &Shape{form: anyForm}}
	case "google.protobuf.ListValue":
		return &Shape{form: listForm, elem: &Shape{form: anyForm}}
	case "google.protobuf.Value", "google.protobuf.Any":
		return &Shape{form: anyForm}
	case "google.protobuf.BoolValue", "google.protobuf.Int32Value", "google.protobuf.Int64Value", "google.protobuf.UInt32Value",
		"google.protobuf.UInt64Value", "google.protobuf.FloatValue", "google.protobuf.DoubleValue", "google.protobuf.StringValue", "google.protobuf.BytesValue":
		return c.protoValue(d.Fields().Get(0))
	}
	if s := c.messages[d.FullName()]; s != nil {
		return s
	}
	s := &Shape{form: objectForm, fields: map[string]*field{}, proto: true}
	c.messages[d.FullName()] = s
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		f := &field{name: fd.JSONName(), make: func() *Shape { return c.protoField(fd) }}
		if o := fd.ContainingOneof(); o != nil && !o.IsSynthetic() {
			f.oneof = string(o.Name())
		}
		s.add(f)
	}
	return s
}

func (c *Shapes) protoField(fd protoreflect.FieldDescriptor) *Shape {
	switch {
	case fd.IsMap():
		return &Shape{form: mapForm, elem: c.protoValue(fd.MapValue()), proto: true}
	case fd.IsList():
		return &Shape{form: listForm, elem: c.protoValue(fd)}
	}
	return c.protoValue(fd)
}

func (c *Shapes) protoValue(fd protoreflect.FieldDescriptor) *Shape {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return c.Message(fd.Message())
	case protoreflect.EnumKind:
		s := &Shape{form: enumForm}
		for i := range fd.Enum().Values().Len() {
			s.enum = append(s.enum, string(fd.Enum().Values().Get(i).Name()))
		}
		return s
	case protoreflect.StringKind:
		return &Shape{form: stringForm}
	case protoreflect.BytesKind:
		return &Shape{form: bytesForm}
	case protoreflect.BoolKind:
		return &Shape{form: boolForm}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return &Shape{form: floatForm}
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return &Shape{form: intForm, min: math.MinInt32, max: math.MaxInt32}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return &Shape{form: intForm, max: math.MaxUint32}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return &Shape{form: intForm, max: math.MaxUint64}
	}
	return &Shape{form: intForm, min: math.MinInt64, max: math.MaxInt64}
}

// Type is the Shape of a Go type as encoding/json reads it.
func (c *Shapes) Type(t reflect.Type) *Shape {
	switch t {
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime]():
		return &Shape{form: timeForm}
	case reflect.TypeFor[metav1.Duration]():
		return &Shape{form: durationForm}
	case reflect.TypeFor[intstr.IntOrString]():
		return &Shape{form: intOrStringForm}
	case reflect.TypeFor[resource.Quantity]():
		return &Shape{form: quantityForm}
	case reflect.TypeFor[metav1.FieldsV1](), reflect.TypeFor[runtime.RawExtension]():
		return &Shape{form: anyForm}
	case reflect.TypeFor[[]byte]():
		return &Shape{form: bytesForm}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return c.Type(t.Elem())
	case reflect.Struct:
		return c.goStruct(t)
	case reflect.Map:
		return &Shape{form: mapForm, elem: c.Type(t.Elem())}
	case reflect.Slice, reflect.Array:
		return &Shape{form: listForm, elem: c.Type(t.Elem())}
	case reflect.String:
		return &Shape{form: stringForm}
	case reflect.Bool:
		return &Shape{form: boolForm}
	case reflect.Float32, reflect.Float64:
		return &Shape{form: floatForm}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		return &Shape{form: intForm, min: math.MinInt64 >> (64 - t.Bits()), max: math.MaxInt64 >> (64 - t.Bits())}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		return &Shape{form: intForm, max: math.MaxUint64 >> (64 - t.Bits())}
	}
	return &Shape{form: anyForm}
}

func (c *Shapes) goStruct(t reflect.Type) *Shape {
	if s := c.types[t]; s != nil {
		return s
	}
	s := &Shape{form: objectForm, fields: map[string]*field{}}
	c.types[t] = s
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case name == "" && (f.Anonymous || strings.Contains(options, "inline")):
			inner := c.Type(f.Type)
			for _, n := range inner.names {
				s.add(inner.fields[n])
			}
		default:
			if name == "" {
				name = f.Name
			}
			s.add(&field{name: name, make: func() *Shape { return c.Type(f.Type) }})
		}
	}
	return s
}

// Named is a field of an Object.
type Named struct {
	Name  string
	Shape *Shape
}

// Object is a mapping with the given fields.
func Object(fields ...Named) *Shape {
	s := &Shape{form: objectForm, fields: map[string]*field{}}
	for _, f := range fields {
		s.add(&field{name: f.Name, made: f.Shape})
	}
	return s
}

// String is the Shape of a string.
func String() *Shape { return &Shape{form: stringForm} }

// Anything is the Shape of what is not looked at.
func Anything() *Shape { return &Shape{form: anyForm} }
