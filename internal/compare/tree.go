package compare

import "bytes"

// tree is a body, or a header that has a structure, as a flat array of nodes in
// the order of the text. The first node is the root.
type tree struct {
	nodes []node
	src   []byte // the text
	extra []byte // what nodes need and src lacks: unescaped strings, made-up names
	limit limits
	hash  []uint64 // of nodes, 0: not yet computed
}

type limits struct{ depth, nodes int }

// span is a part of src, or, from len(src) on, of extra.
type span struct{ from, to uint32 }

// node is a value. A node's children follow it; next is behind the last of them.
type node struct {
	key   span // its name in the object
	text  span // of a container: all of it, as written; of a string: without quotes and escapes
	next  int32
	count int32 // children
	typ   Type
	flags flags
}

type flags uint8

const (
	// asMap: the names are data, as in a protobuf map.
	asMap flags = 1 << iota
	// asFields: the names are never data, though they may look like it: field numbers, tags.
	asFields
	// ordered: the order of the children has a meaning though they have names.
	ordered
	// guessed: a type that was read from the bytes alone, as in protobuf without descriptors.
	guessed
	// loose: a container whose text is not all of it, as its parts are not in one place.
	loose
)

func (t *tree) reset(src []byte, l limits) {
	t.nodes, t.extra, t.hash = t.nodes[:0], t.extra[:0], t.hash[:0]
	t.src, t.limit = src, l
}

func (t *tree) bytes(s span) []byte {
	n := uint32(len(t.src))
	if s.from >= n {
		return t.extra[s.from-n : s.to-n]
	}
	return t.src[s.from:s.to]
}

// add appends a node; false: there are too many.
func (t *tree) add(n node) bool {
	if len(t.nodes) >= t.limit.nodes {
		return false
	}
	n.next = int32(len(t.nodes)) + 1
	t.nodes = append(t.nodes, n)
	return true
}

// close ends the container at i: what was added since are its children.
func (t *tree) close(i int) { t.nodes[i].next = int32(len(t.nodes)) }

// note keeps bytes that are not in src.
func (t *tree) note(b []byte) span {
	from := uint32(len(t.src) + len(t.extra))
	t.extra = append(t.extra, b...)
	return span{from, from + uint32(len(b))}
}

func (t *tree) noteString(s string) span {
	from := uint32(len(t.src) + len(t.extra))
	t.extra = append(t.extra, s...)
	return span{from, from + uint32(len(s))}
}

// same reports whether two nodes are written alike.
func same(a *tree, i int32, b *tree, j int32) bool {
	x, y := &a.nodes[i], &b.nodes[j]
	return x.typ == y.typ && (x.flags|y.flags)&loose == 0 && bytes.Equal(a.bytes(x.text), b.bytes(y.text))
}
