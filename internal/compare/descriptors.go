package compare

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TypeResolver finds protobuf descriptors. It is asked by one goroutine at a
// time, for each comparison again.
type TypeResolver interface {
	// Response returns the type of a method's answers; path is
	// "/pkg.Service/Method". nil: it is not known.
	Response(path string) protoreflect.MessageDescriptor
	// Message returns a type by its full name; nil: it is not known.
	Message(name string) protoreflect.MessageDescriptor
}

// files is a TypeResolver.
type files struct{ all *protoregistry.Files }

// ParseDescriptors reads a serialized google.protobuf.FileDescriptorSet, as
// `protoc --include_imports --descriptor_set_out` and `buf build -o` write it.
func ParseDescriptors(data []byte) (TypeResolver, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("compare: the descriptors are not a FileDescriptorSet (protoc --include_imports --descriptor_set_out): %w", err)
	}
	if len(set.File) == 0 {
		return nil, fmt.Errorf("compare: the descriptors hold no file; write them with protoc --include_imports --descriptor_set_out")
	}
	return NewTypes(set.File)
}

// NewTypes makes a resolver of descriptors that were already fetched, in any
// order, as from gRPC server reflection. Imports that are missing and not part of
// protobuf itself leave the types that need them unknown.
func NewTypes(all []*descriptorpb.FileDescriptorProto) (TypeResolver, error) {
	set := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	for _, f := range all {
		if name := f.GetName(); !seen[name] {
			seen[name] = true
			set.File = append(set.File, f)
		}
	}
	for k := 0; k < len(set.File); k++ {
		for _, name := range set.File[k].GetDependency() {
			if known := wellKnown(name); known != nil && !seen[name] {
				seen[name] = true
				set.File = append(set.File, protodesc.ToFileDescriptorProto(known))
			}
		}
	}
	registry, err := protodesc.FileOptions{AllowUnresolvable: true}.NewFiles(set)
	if err != nil {
		return nil, fmt.Errorf("compare: descriptors: %w", err)
	}
	return files{registry}, nil
}

// wellKnown returns the files that come with protobuf, which servers and build
// tools may leave out; nil: it is none of them.
func wellKnown(path string) protoreflect.FileDescriptor {
	for _, f := range []protoreflect.FileDescriptor{
		anypb.File_google_protobuf_any_proto, durationpb.File_google_protobuf_duration_proto, emptypb.File_google_protobuf_empty_proto,
		fieldmaskpb.File_google_protobuf_field_mask_proto, structpb.File_google_protobuf_struct_proto,
		timestamppb.File_google_protobuf_timestamp_proto, wrapperspb.File_google_protobuf_wrappers_proto,
		descriptorpb.File_google_protobuf_descriptor_proto,
	} {
		if f.Path() == path {
			return f
		}
	}
	return nil
}

func (f files) Response(path string) protoreflect.MessageDescriptor {
	service, method, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok {
		return nil
	}
	found, err := f.all.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil
	}
	if s, ok := found.(protoreflect.ServiceDescriptor); ok {
		if m := s.Methods().ByName(protoreflect.Name(method)); m != nil {
			return whole(m.Output())
		}
	}
	return nil
}

func (f files) Message(name string) protoreflect.MessageDescriptor {
	found, err := f.all.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil
	}
	m, _ := found.(protoreflect.MessageDescriptor)
	return m
}

// whole returns nil for a type that is only a name, since its file is missing.
func whole(m protoreflect.MessageDescriptor) protoreflect.MessageDescriptor {
	if m == nil || m.IsPlaceholder() {
		return nil
	}
	return m
}
