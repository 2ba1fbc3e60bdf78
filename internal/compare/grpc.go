package compare

import (
	"bytes"
	"encoding/binary"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// The flags of a length-prefixed message (gRPC over HTTP/2, "Length-Prefixed-Message"; gRPC-Web).
const (
	frameCompressed = 1
	frameTrailers   = 0x80 // gRPC-Web: the message is a block of trailers
)

// parseGRPC adds an array of the messages of a gRPC answer.
func (c *Comparer) parseGRPC(t *tree, kind content, r Request, m *Message) Reason {
	if !t.add(node{typ: Array, text: span{0, uint32(len(t.src))}}) {
		return TooComplex
	}
	p := protoParser{t: t, types: c.types}
	var md protoreflect.MessageDescriptor
	if p.types != nil {
		md = whole(p.types.Response(r.Path))
	}
	left := c.opts.MaxBody
	for at := 0; at < len(t.src); {
		if len(t.src)-at < 5 {
			return Malformed
		}
		flags, size := t.src[at], int(binary.BigEndian.Uint32(t.src[at+1:]))
		at += 5
		if size > len(t.src)-at || flags&^(frameCompressed|frameTrailers) != 0 {
			return Malformed
		}
		s := span{uint32(at), uint32(at + size)}
		at += size
		if flags&frameCompressed != 0 && size > 0 {
			out, why := c.decode.one(nil, m.header("grpc-encoding"), t.bytes(s), left)
			if why != "" {
				return why
			}
			left -= len(out)
			s = t.note(out)
		}
		t.nodes[0].count++
		why := Reason("")
		switch {
		case flags&frameTrailers != 0:
			why = t.trailerBlock(s)
		case kind == contentGRPCJSON:
			why = parseJSON(t, s, false)
		default:
			why = p.whole(s, md)
		}
		if why != "" {
			return why
		}
	}
	t.close(0)
	return ""
}

// trailerBlock adds the trailers of gRPC-Web as an object.
func (t *tree) trailerBlock(s span) Reason {
	i := len(t.nodes)
	if !t.add(node{typ: Object, text: s, flags: asFields}) {
		return TooComplex
	}
	for line := range bytes.SplitSeq(t.bytes(s), []byte("\n")) {
		name, value, ok := strings.Cut(string(line), ":")
		if !ok {
			continue
		}
		t.nodes[i].count++
		n := node{key: t.noteString(strings.ToLower(name)), text: t.noteString(strings.TrimSpace(value)), typ: String}
		if !t.add(n) {
			return TooComplex
		}
	}
	t.close(i)
	return ""
}
