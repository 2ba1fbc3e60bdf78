package compare_test

import (
	"encoding/binary"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sundog-mesh/sundog/internal/compare"
)

// shopFile describes package shop of the tests.
const shopFile = `
name: "shop.proto" package: "shop" syntax: "proto3"
dependency: "google/protobuf/timestamp.proto" dependency: "google/protobuf/any.proto"
message_type {
  name: "Item"
  field { name: "id" number: 1 type: TYPE_INT64 label: LABEL_OPTIONAL }
  field { name: "name" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "price" number: 3 type: TYPE_DOUBLE label: LABEL_OPTIONAL }
  field { name: "delta" number: 4 type: TYPE_SINT32 label: LABEL_OPTIONAL }
  field { name: "kind" number: 5 type: TYPE_ENUM type_name: ".shop.Kind" label: LABEL_OPTIONAL }
}
message_type {
  name: "List"
  field { name: "items" number: 1 type: TYPE_MESSAGE type_name: ".shop.Item" label: LABEL_REPEATED }
  field { name: "codes" number: 2 type: TYPE_INT32 label: LABEL_REPEATED }
  field { name: "by_name" number: 3 type: TYPE_MESSAGE type_name: ".shop.List.ByNameEntry" label: LABEL_REPEATED }
  field { name: "made" number: 4 type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp" label: LABEL_OPTIONAL }
  field { name: "extra" number: 5 type: TYPE_MESSAGE type_name: ".google.protobuf.Any" label: LABEL_OPTIONAL }
  field { name: "best" number: 6 type: TYPE_MESSAGE type_name: ".shop.Item" label: LABEL_OPTIONAL }
  field { name: "raw" number: 7 type: TYPE_BYTES label: LABEL_OPTIONAL }
  nested_type {
    name: "ByNameEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "value" number: 2 type: TYPE_MESSAGE type_name: ".shop.Item" label: LABEL_OPTIONAL }
  }
}
enum_type { name: "Kind" value { name: "NONE" number: 0 } value { name: "BOOK" number: 1 } value { name: "FILM" number: 2 } }
service { name: "Shop" method { name: "Get" input_type: ".shop.Item" output_type: ".shop.List" } }
`

func shop(t testing.TB) (compare.TypeResolver, *descriptorpb.FileDescriptorProto) {
	t.Helper()
	f := &descriptorpb.FileDescriptorProto{}
	if err := prototext.Unmarshal([]byte(shopFile), f); err != nil {
		t.Fatal(err)
	}
	types, err := compare.NewTypes([]*descriptorpb.FileDescriptorProto{f, f})
	if err != nil {
		t.Fatal(err)
	}
	return types, f
}

// list is a shop.List in the wire format.
func list(t testing.TB, types compare.TypeResolver, text string) []byte {
	t.Helper()
	m := dynamicpb.NewMessage(types.Response("/shop.Shop/Get"))
	if err := (prototext.UnmarshalOptions{Resolver: resolver{types}}).Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// frame makes a gRPC message of it.
func frame(flags byte, b []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(b))), b...)
}

func grpc(frames ...[]byte) *compare.Message {
	m := &compare.Message{Status: 200, Headers: fieldLines("content-type: application/grpc", "grpc-encoding: gzip")}
	for _, f := range frames {
		m.Body = append(m.Body, f...)
	}
	return m
}

func TestGRPCByDescriptors(t *testing.T) {
	types, _ := shop(t)
	const base = `items { id: 1 name: "a" price: 1.5 kind: BOOK } items { id: 2 } codes: [1, 2, 3] by_name { key: "x" value { id: 7 } }
		made { seconds: 1735787045 } best { name: "q" } raw: "\001\002"
		extra { [type.googleapis.com/shop.Item] { name: "in" } }`
	for _, test := range []struct {
		name string
		b    string
		want []string
	}{
		{"values", `items { id: 1 name: "b" price: 1.5 kind: FILM } items { id: 2 delta: -3 } codes: [1, 2, 3] by_name { key: "x" value { id: 8 } }
			made { seconds: 1735787046 nanos: 5000000 } best { name: "q" } raw: "\001\003"
			extra { [type.googleapis.com/shop.Item] { name: "out" } }`, []string{
			"changed body[].items[].name at body[0].items[0].name: a -> b", "changed body[].items[].kind at body[0].items[0].kind: BOOK -> FILM",
			"changed body[].items[].delta at body[0].items[1].delta: 0 -> -3", "changed body[].by_name.*.id at body[0].by_name.x.id: 7 -> 8",
			"changed body[].made at body[0].made: 2025-01-02T03:04:05Z -> 2025-01-02T03:04:06.005Z", "changed body[].raw at body[0].raw: 0102 -> 0103",
			"changed body[].extra.value.name at body[0].extra.value.name: in -> out",
		}},
		{"presence", `items { id: 1 name: "a" price: 1.5 kind: BOOK } items { id: 2 } codes: [1, 3] by_name { key: "y" value { id: 7 } }
			made { seconds: 1735787045 } raw: "\001\002" extra { [type.googleapis.com/shop.Item] { name: "in" } }`, []string{
			"length body[].codes at body[0].codes: 3 -> 2", "missing body[].codes[] at body[0].codes[1]: 2 -> ",
			`missing body[].by_name.* at body[0].by_name.x: {"id":7,"name":"","price":0,"delta":0,"kind":"NONE"} -> `,
			`added body[].by_name.* at body[0].by_name.y:  -> {"id":7,"name":"","price":0,"delta":0,"kind":"NONE"}`,
			`missing body[].best at body[0].best: {"id":0,"name":"q","price":0,"delta":0,"kind":"NONE"} -> `,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newComparer(t, compare.Options{Types: types})
			r := c.Compare(compare.Request{Path: "/shop.Shop/Get"}, grpc(frame(0, list(t, types, base))), grpc(frame(0, list(t, types, test.b))))
			check(t, r, "", test.want)
		})
	}
}

// TestProtobufForms: what the wire format lets one write in several ways is the same.
func TestProtobufForms(t *testing.T) {
	types, _ := shop(t)
	tag := func(b []byte, n protowire.Number, typ protowire.Type) []byte { return protowire.AppendTag(b, n, typ) }
	packed := protowire.AppendBytes(tag(nil, 2, protowire.BytesType), []byte{1, 2})
	single := protowire.AppendVarint(tag(protowire.AppendVarint(tag(nil, 2, protowire.VarintType), 1), 2, protowire.VarintType), 2)
	one := protowire.AppendBytes(tag(nil, 6, protowire.BytesType), protowire.AppendString(tag(protowire.AppendVarint(tag(nil, 1, protowire.VarintType), 5), 2, protowire.BytesType), "x"))
	two := protowire.AppendBytes(tag(nil, 6, protowire.BytesType), protowire.AppendVarint(tag(nil, 1, protowire.VarintType), 5))
	two = protowire.AppendBytes(tag(two, 6, protowire.BytesType), protowire.AppendString(tag(nil, 2, protowire.BytesType), "x"))
	c := newComparer(t, compare.Options{Types: types})
	for _, pair := range [][2][]byte{
		{packed, single},
		{one, two},
		{append(append([]byte(nil), packed...), one...), append(append([]byte(nil), one...), packed...)},
	} {
		a, b := message(`application/x-protobuf; proto="shop.List"`, string(pair[0])), message(`application/x-protobuf; proto="shop.List"`, string(pair[1]))
		check(t, c.Compare(compare.Request{}, a, b), "", nil)
	}
}

func TestGRPCStream(t *testing.T) {
	types, _ := shop(t)
	c := newComparer(t, compare.Options{Types: types, MaxBody: 1 << 16})
	gz := codings(t)["gzip"]
	x, y := list(t, types, `codes: 1`), list(t, types, `codes: 2`)
	r := compare.Request{Path: "/shop.Shop/Get"}
	check(t, c.Compare(r, grpc(frame(0, x), frame(1, gz(y))), grpc(frame(1, gz(x)), frame(0, x))), "",
		[]string{"changed body[].codes[] at body[1].codes[0]: 2 -> 1"})
	check(t, c.Compare(r, grpc(frame(0, x)), grpc(frame(0, x), frame(0, y))), "",
		[]string{"length body: 1 -> 2", `added body[] at body[1]:  -> {"codes":[2],"raw":""}`})
	check(t, c.Compare(r, grpc(frame(1, gz(make([]byte, 1<<20)))), grpc(frame(0, y))), compare.TooLarge, nil)
	broken := c.Compare(r, grpc(frame(0, []byte{0xff})), grpc(frame(0, x)[:6]))
	if len(broken.Differences) != 1 || broken.Differences[0].Kind != compare.Opaque || broken.Why != compare.Malformed {
		t.Errorf("broken frames: %v, %q", lines(broken), broken.Why)
	}
	web := func(status string) *compare.Message {
		m := grpc(frame(0, x), frame(0x80, []byte("grpc-status:"+status+"\r\n")))
		m.Headers[0].Value = "application/grpc-web+proto"
		return m
	}
	check(t, c.Compare(r, web("0"), web("5")), "", []string{"changed body[].grpc-status at body[1].grpc-status: 0 -> 5"})
	json := func(s string) *compare.Message {
		m := grpc(frame(0, []byte(s)))
		m.Headers[0].Value = "application/grpc+json"
		return m
	}
	check(t, c.Compare(r, json(`{"a":1}`), json(`{"a":2}`)), "", []string{"changed body[].a at body[0].a: 1 -> 2"})
}

func TestGRPCByWire(t *testing.T) {
	types, _ := shop(t)
	x := list(t, types, `items { id: 1 name: "a" price: 2.5 } items { id: 2 } by_name { key: "k" value { id: 7 } } raw: "\001\377"`)
	y := list(t, types, `items { id: 1 name: "b" price: 3.5 } items { id: 3 } by_name { key: "k" value { id: 8 } } raw: "\001\376"`)
	c := newComparer(t, compare.Options{})
	check(t, c.Compare(compare.Request{Path: "/shop.Shop/Get"}, grpc(frame(0, x)), grpc(frame(0, y))), "", []string{
		"changed body[].1.1 at body[0].1[1].1: 2 -> 3", "changed body[].1.2 at body[0].1[0].2: a -> b", "changed body[].1.3 at body[0].1[0].3: 2.5 -> 3.5",
		"changed body[].3.2.1 at body[0].3.2.1: 7 -> 8", "changed body[].7 at body[0].7: 01ff -> 01fe",
	})
	// Descriptors that do not fit are left aside for both.
	c = newComparer(t, compare.Options{Types: types})
	odd := protowire.AppendString(protowire.AppendTag(nil, 4, protowire.BytesType), "text")
	odd = protowire.AppendString(protowire.AppendTag(odd, 2, protowire.BytesType), "\xff")
	check(t, c.Compare(compare.Request{Path: "/shop.Shop/Get"}, grpc(frame(0, list(t, types, "codes: 5"))), grpc(frame(0, odd))), compare.Misfit, []string{
		`changed body[].2 at body[0].2: 05 -> ff`, `added body[].4 at body[0].4:  -> text`,
	})
}

func TestParseDescriptors(t *testing.T) {
	_, f := shop(t)
	b, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{f}})
	if err != nil {
		t.Fatal(err)
	}
	types, err := compare.ParseDescriptors(b)
	if err != nil {
		t.Fatal(err)
	}
	if m := types.Response("/shop.Shop/Get"); m == nil || m.FullName() != "shop.List" {
		t.Errorf("the answer of /shop.Shop/Get is %v, want shop.List", m)
	}
	for _, path := range []string{"/shop.Shop/Put", "/shop.List/Get", "/none/x", "shop", ""} {
		if m := types.Response(path); m != nil {
			t.Errorf("Response(%q) is %v, want nil", path, m)
		}
	}
	if m := types.Message("shop.Kind"); m != nil {
		t.Errorf("an enum is taken for the message %v", m)
	}
	for _, bad := range [][]byte{nil, []byte("not descriptors")} {
		if _, err := compare.ParseDescriptors(bad); err == nil {
			t.Errorf("ParseDescriptors(%q) finds nothing wrong", bad)
		}
	}
	// An import that is missing leaves the rest usable.
	lone := protodesc.ToFileDescriptorProto(types.Message("shop.Item").ParentFile())
	lone.Dependency = append(lone.Dependency, "missing.proto")
	lone.Service[0].Method[0].OutputType = proto.String(".missing.Reply")
	types, err = compare.NewTypes([]*descriptorpb.FileDescriptorProto{lone})
	if err != nil {
		t.Fatal(err)
	}
	if m := types.Response("/shop.Shop/Get"); m != nil {
		t.Errorf("a type without its file is %v, want nil", m)
	}
	if types.Message("shop.Item") == nil {
		t.Error("shop.Item is lost")
	}
}

// resolver lets prototext write google.protobuf.Any.
type resolver struct{ types compare.TypeResolver }

func (r resolver) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	return dynamicpb.NewMessageType(r.types.Message(string(name))), nil
}

func (r resolver) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return r.FindMessageByName(protoreflect.FullName(url[len("type.googleapis.com/"):]))
}

func (r resolver) FindExtensionByName(protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return nil, protoregistry.NotFound
}

func (r resolver) FindExtensionByNumber(protoreflect.FullName, protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	return nil, protoregistry.NotFound
}
