package compare

import (
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// occurrence is one field of a message on the wire.
type occurrence struct {
	number protowire.Number
	typ    protowire.Type
	value  span // without length and end tag
}

// maxWireDepth bounds how deep bytes are taken for messages without descriptors.
const maxWireDepth = 24

// scan pushes the fields of a message; false: it is none.
func (p *protoParser) scan(s span) (list, bool) {
	from := len(p.found)
	b := p.t.bytes(s)
	for at := 0; at < len(b); {
		number, typ, n := protowire.ConsumeTag(b[at:])
		if n < 0 || typ == protowire.EndGroupType {
			p.found = p.found[:from]
			return list{}, false
		}
		at += n
		head, tail := 0, 0 // of the value, what is not its content
		var size int
		switch typ {
		case protowire.BytesType:
			var content []byte
			content, size = protowire.ConsumeBytes(b[at:])
			head = size - len(content)
		case protowire.StartGroupType:
			var content []byte
			content, size = protowire.ConsumeGroup(number, b[at:])
			tail = size - len(content)
		default:
			size = protowire.ConsumeFieldValue(number, typ, b[at:])
		}
		if size < 0 || len(p.found)-from > p.t.limit.nodes {
			p.found = p.found[:from]
			return list{}, false
		}
		p.found = append(p.found, occurrence{number, typ, span{s.from + uint32(at+head), s.from + uint32(at+size-tail)}})
		at += size
	}
	return list{from, len(p.found)}, true
}

// wire adds the fields of a message without a descriptor, under their numbers.
func (p *protoParser) wire(i int, s span, depth int) bool {
	fields, ok := p.scan(s)
	if !ok {
		return p.fail(Malformed)
	}
	p.t.nodes[i].flags |= asFields
	for k := fields.from; k < fields.to; k++ {
		if !p.unknown(i, p.found[k], depth) {
			return false
		}
	}
	p.found = p.found[:fields.from]
	p.t.close(i)
	return true
}

// unknown adds a field by what its bytes look like.
func (p *protoParser) unknown(i int, f occurrence, depth int) bool {
	b := p.t.bytes(f.value)
	n := node{key: p.number(int64(f.number)), text: f.value, flags: guessed}
	switch f.typ {
	case protowire.VarintType:
		v, _ := protowire.ConsumeVarint(b)
		n.text, n.typ = p.text(strconv.AppendUint(p.scratch[:0], v, 10)), Number
	case protowire.Fixed32Type:
		v, _ := protowire.ConsumeFixed32(b)
		n.text, n.typ = p.fixed(float64(math.Float32frombits(v)), uint64(v), 32), Number
	case protowire.Fixed64Type:
		v, _ := protowire.ConsumeFixed64(b)
		n.text, n.typ = p.fixed(math.Float64frombits(v), v, 64), Number
	default:
		n.typ = p.guess(b, f.typ == protowire.StartGroupType, depth)
	}
	at := len(p.t.nodes)
	p.t.nodes[i].count++
	if !p.t.add(n) {
		return p.fail(TooComplex)
	}
	if n.typ == Object {
		return p.wire(at, f.value, depth-1)
	}
	return true
}

// guess tells whether bytes are a string, a message or only bytes.
func (p *protoParser) guess(b []byte, group bool, depth int) Type {
	controls := 0
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			controls++
		}
	}
	printable := controls == 0 && readable(b)
	switch {
	case printable && !group && (len(b) == 0 || b[0] >= ' '):
		return String
	case depth > 0 && messageLike(b):
		return Object
	case printable:
		return String
	}
	return Bytes
}

// messageLike reports whether bytes are framed as the fields of a message.
func messageLike(b []byte) bool {
	for len(b) > 0 {
		_, typ, n := protowire.ConsumeTag(b)
		if n < 0 || typ == protowire.EndGroupType {
			return false
		}
		b = b[n:]
		if typ == protowire.StartGroupType {
			return false // groups are rarer than strings that look like them
		}
		if n = protowire.ConsumeFieldValue(1, typ, b); n < 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// fixed writes what is a floating point number of a usual size, or else an integer.
func (p *protoParser) fixed(f float64, v uint64, bits int) span {
	if size := math.Abs(f); size > 1e-9 && size < 1e15 || v == 0 {
		return p.text(strconv.AppendFloat(p.scratch[:0], f, 'g', -1, bits))
	}
	return p.text(strconv.AppendUint(p.scratch[:0], v, 10))
}
