package compare

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// protoParser reads protobuf messages into a tree: by descriptors, under the
// names of the .proto file, or without by numbers. Fields without presence
// that are not there have their default, which is what is meant by it.
type protoParser struct {
	t       *tree
	types   TypeResolver
	found   []occurrence // fields of the messages that are being read; used as a stack
	scratch [32]byte
	bad     Reason
}

func (p *protoParser) fail(why Reason) bool {
	if p.bad == "" {
		p.bad = why
	}
	return false
}

func (p *protoParser) text(b []byte) span { return p.t.note(b) }

func (p *protoParser) number(n int64) span {
	return p.text(strconv.AppendInt(p.scratch[:0], n, 10))
}

// message finds a type; nil: it is not known.
func (p *protoParser) message(name string) protoreflect.MessageDescriptor {
	if p.types == nil || name == "" {
		return nil
	}
	return whole(p.types.Message(name))
}

// whole adds one message; without a descriptor by the numbers of its fields.
func (p *protoParser) whole(s span, md protoreflect.MessageDescriptor) Reason {
	at := len(p.t.nodes)
	switch {
	case !p.t.add(node{typ: Object, text: s}):
		return TooComplex
	case md != nil:
		p.fields(at, s, md, p.t.limit.depth-1)
	default:
		p.wire(at, s, min(maxWireDepth, p.t.limit.depth-1))
	}
	return p.bad
}

// fields adds the fields of a message by its descriptor, in the descriptor's order.
func (p *protoParser) fields(i int, s span, md protoreflect.MessageDescriptor, depth int) bool {
	if depth <= 0 {
		return p.fail(TooComplex)
	}
	all, ok := p.scan(s)
	if !ok {
		return p.fail(Malformed)
	}
	slices.SortStableFunc(p.found[all.from:all.to], func(a, b occurrence) int { return int(a.number) - int(b.number) })
	known := md.Fields()
	for k := range known.Len() {
		fd := known.Get(k)
		run := p.occurrences(all, fd.Number())
		if run.len() == 0 && (fd.HasPresence() || fd.IsList() || fd.IsMap()) {
			continue
		}
		p.t.nodes[i].count++
		if !p.field(fd, run, depth) {
			return false
		}
	}
	for k := all.from; k < all.to; k++ {
		if f := p.found[k]; known.ByNumber(f.number) == nil && !p.unknown(i, f, min(maxWireDepth, depth)) {
			return false
		}
	}
	p.found = p.found[:all.from]
	p.t.close(i)
	return true
}

// occurrences returns the part of sorted fields that have a number.
func (p *protoParser) occurrences(all list, n protowire.Number) list {
	from, _ := slices.BinarySearchFunc(p.found[all.from:all.to], n, func(f occurrence, n protowire.Number) int {
		return int(f.number) - int(n)
	})
	run := list{all.from + from, all.from + from}
	for run.to < all.to && p.found[run.to].number == n {
		run.to++
	}
	return run
}

// field adds one field of a message.
func (p *protoParser) field(fd protoreflect.FieldDescriptor, run list, depth int) bool {
	key := p.t.noteString(string(fd.Name()))
	if !fd.IsList() && !fd.IsMap() {
		if run.len() == 0 {
			return p.scalar(key, fd, occurrence{typ: wireType(fd.Kind())}, true)
		}
		return p.value(key, fd, p.merged(fd, run), depth)
	}
	at := len(p.t.nodes)
	n := node{key: key, typ: Array, flags: loose}
	if fd.IsMap() {
		n.typ, n.flags = Object, loose|asMap
	}
	if !p.t.add(n) {
		return p.fail(TooComplex)
	}
	for k := run.from; k < run.to; k++ {
		ok := false
		switch f := p.found[k]; {
		case fd.IsMap():
			p.t.nodes[at].count++
			ok = p.entry(fd, f, depth)
		case f.typ == protowire.BytesType && wireType(fd.Kind()) != protowire.BytesType:
			ok = p.packed(at, fd, f)
		default:
			p.t.nodes[at].count++
			ok = p.value(span{}, fd, f, depth)
		}
		if !ok {
			return false
		}
	}
	p.t.close(at)
	return true
}

// merged returns the one field that several of a singular field mean: the last,
// or of messages all together.
func (p *protoParser) merged(fd protoreflect.FieldDescriptor, run list) occurrence {
	last := p.found[run.to-1]
	if run.len() == 1 || fd.Message() == nil {
		return last
	}
	from := uint32(len(p.t.src) + len(p.t.extra))
	for _, f := range p.found[run.from:run.to] {
		p.t.extra = append(p.t.extra, p.t.bytes(f.value)...)
	}
	last.value = span{from, uint32(len(p.t.src) + len(p.t.extra))}
	return last
}

// entry adds one entry of a map.
func (p *protoParser) entry(fd protoreflect.FieldDescriptor, f occurrence, depth int) bool {
	all, ok := p.scan(f.value)
	if !ok || f.typ != protowire.BytesType {
		return p.fail(Malformed)
	}
	key, value := occurrence{typ: wireType(fd.MapKey().Kind())}, occurrence{typ: wireType(fd.MapValue().Kind())}
	hasKey, hasValue := false, false
	for _, one := range p.found[all.from:all.to] {
		switch one.number {
		case 1:
			key, hasKey = one, true
		case 2:
			value, hasValue = one, true
		}
	}
	p.found = p.found[:all.from]
	at := len(p.t.nodes)
	if !p.scalar(span{}, fd.MapKey(), key, !hasKey) {
		return false
	}
	name := p.t.nodes[at].text
	p.t.nodes = p.t.nodes[:at]
	if fd.MapValue().Message() == nil {
		return p.scalar(name, fd.MapValue(), value, !hasValue)
	}
	return p.value(name, fd.MapValue(), value, depth)
}

// value adds a message or a scalar.
func (p *protoParser) value(key span, fd protoreflect.FieldDescriptor, f occurrence, depth int) bool {
	md := fd.Message()
	if md == nil {
		return p.scalar(key, fd, f, false)
	}
	if f.typ != protowire.BytesType && f.typ != protowire.StartGroupType {
		return p.fail(Malformed)
	}
	if s, ok := p.timestamp(f.value, md); ok {
		return p.t.add(node{key: key, text: s, typ: String}) || p.fail(TooComplex)
	}
	at := len(p.t.nodes)
	if !p.t.add(node{key: key, text: f.value, typ: Object}) {
		return p.fail(TooComplex)
	}
	switch {
	case md.FullName() == "google.protobuf.Any":
		if inner, content := p.packedAny(f.value); inner != nil {
			return p.anything(at, inner, content, depth)
		}
	case md.IsPlaceholder():
		return p.wire(at, f.value, min(maxWireDepth, depth-1))
	}
	return p.fields(at, f.value, md, depth-1)
}

// timestamp writes a google.protobuf.Timestamp as RFC 3339, as its JSON form is.
func (p *protoParser) timestamp(s span, md protoreflect.MessageDescriptor) (span, bool) {
	if md.FullName() != "google.protobuf.Timestamp" {
		return span{}, false
	}
	all, ok := p.scan(s)
	if !ok {
		return span{}, false
	}
	var parts [3]int64
	for _, f := range p.found[all.from:all.to] {
		v, n := protowire.ConsumeVarint(p.t.bytes(f.value))
		if f.typ != protowire.VarintType || n < 0 || f.number > 2 {
			ok = false
			break
		}
		parts[f.number] = int64(v)
	}
	p.found = p.found[:all.from]
	const year1, year10000 = -62135596800, 253402300800
	if !ok || parts[1] < year1 || parts[1] >= year10000 || parts[2] < 0 || parts[2] > 999999999 {
		return span{}, false
	}
	return p.text(time.Unix(parts[1], parts[2]).UTC().AppendFormat(p.scratch[:0], time.RFC3339Nano)), true
}

// packedAny returns the type and content of a google.protobuf.Any; nil: not known.
func (p *protoParser) packedAny(s span) (protoreflect.MessageDescriptor, span) {
	all, ok := p.scan(s)
	if !ok {
		return nil, span{}
	}
	url, content := "", span{s.to, s.to}
	for _, f := range p.found[all.from:all.to] {
		switch f.number {
		case 1:
			url = string(p.t.bytes(f.value))
		case 2:
			content = f.value
		}
	}
	p.found = p.found[:all.from]
	return p.message(url[strings.LastIndexByte(url, '/')+1:]), content
}

// anything adds the content of a google.protobuf.Any.
func (p *protoParser) anything(at int, md protoreflect.MessageDescriptor, content span, depth int) bool {
	p.t.nodes[at].count = 2
	if !p.t.add(node{key: p.t.noteString("@type"), text: p.t.noteString(string(md.FullName())), typ: String}) {
		return p.fail(TooComplex)
	}
	inner := len(p.t.nodes)
	if !p.t.add(node{key: p.t.noteString("value"), text: content, typ: Object}) {
		return p.fail(TooComplex)
	}
	if !p.fields(inner, content, md, depth-2) {
		return false
	}
	p.t.close(at)
	return true
}

// packed adds the elements of a packed field.
func (p *protoParser) packed(at int, fd protoreflect.FieldDescriptor, f occurrence) bool {
	typ := wireType(fd.Kind())
	for s := f.value; s.from < s.to; {
		n := protowire.ConsumeFieldValue(1, typ, p.t.bytes(s))
		if n < 0 {
			return p.fail(Malformed)
		}
		p.t.nodes[at].count++
		if !p.scalar(span{}, fd, occurrence{1, typ, span{s.from, s.from + uint32(n)}}, false) {
			return false
		}
		s.from += uint32(n)
	}
	return true
}

// scalar adds a value that is no message; absent: the default.
func (p *protoParser) scalar(key span, fd protoreflect.FieldDescriptor, f occurrence, absent bool) bool {
	if f.typ != wireType(fd.Kind()) {
		return p.fail(Malformed)
	}
	n := node{key: key, text: f.value}
	var v uint64
	if !absent {
		v = bits(f.typ, p.t.bytes(f.value))
	}
	b := p.scratch[:0]
	n.typ = Number
	switch fd.Kind() {
	case protoreflect.StringKind:
		n.typ = String
	case protoreflect.BytesKind:
		n.typ = Bytes
	case protoreflect.BoolKind:
		n.typ, n.text = Bool, p.text(strconv.AppendBool(b, v != 0))
	case protoreflect.EnumKind:
		n.typ, n.text = String, p.enum(fd.Enum(), int32(v))
	case protoreflect.FloatKind:
		n.text = p.text(strconv.AppendFloat(b, float64(math.Float32frombits(uint32(v))), 'g', -1, 32))
	case protoreflect.DoubleKind:
		n.text = p.text(strconv.AppendFloat(b, math.Float64frombits(v), 'g', -1, 64))
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		n.text = p.number(int64(int32(v)))
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		n.text = p.number(int64(v))
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		n.text = p.number(protowire.DecodeZigZag(v))
	default:
		n.text = p.text(strconv.AppendUint(b, v, 10))
	}
	return p.t.add(n) || p.fail(TooComplex)
}

// enum writes the name of a value, or its number where it has none.
func (p *protoParser) enum(ed protoreflect.EnumDescriptor, v int32) span {
	if known := ed.Values().ByNumber(protoreflect.EnumNumber(v)); known != nil {
		return p.t.noteString(string(known.Name()))
	}
	return p.number(int64(v))
}

func bits(typ protowire.Type, b []byte) uint64 {
	switch typ {
	case protowire.VarintType:
		v, _ := protowire.ConsumeVarint(b)
		return v
	case protowire.Fixed32Type:
		v, _ := protowire.ConsumeFixed32(b)
		return uint64(v)
	case protowire.Fixed64Type:
		v, _ := protowire.ConsumeFixed64(b)
		return v
	}
	return 0
}

// wireType is how a kind is written when it is not packed.
func wireType(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protowire.Fixed32Type
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.Fixed64Type
	}
	return protowire.VarintType
}
