package compare

import "github.com/cespare/xxhash/v2"

// shapeBudget keeps what is parsed for shapes alone below a share of what is equal.
type shapeBudget struct{ equal, parsed int64 }

// shapeShare is the share, one in so many bytes.
const shapeShare = 32

// equalShape returns the shape of a message whose body equals the other's, if it is its turn.
func (c *Comparer) equalShape(r Request, m *Message) uint64 {
	kind := contentOf(m.header("content-type"))
	if len(m.Body) == 0 || kind == contentBytes {
		return opaqueShape(m.Status, kind)
	}
	c.shapes.equal += int64(len(m.Body))
	if c.shapes.parsed*shapeShare > c.shapes.equal {
		return 0
	}
	body, why := c.decode.body(c.bufA, m.header("content-encoding"), m.Body, c.opts.MaxBody)
	c.shapes.parsed += int64(max(len(m.Body), len(body)))
	if why != "" {
		return 0
	}
	c.bufA = keep(c.bufA, body, m.Body)
	if kind == contentUnknown {
		kind = guess(body)
	}
	c.types = c.opts.Types
	if c.lower(&c.a, kind, r, m, body) != "" {
		return opaqueShape(m.Status, contentBytes)
	}
	return c.shape(m.Status, kind)
}

// opaqueShape is the shape of an answer whose body has no structure.
func opaqueShape(status int, kind content) uint64 {
	return mix(uint64(status)<<8|uint64(kind), 1) | 1
}

// shape is the shape of the first message, whose body is in the first tree.
func (c *Comparer) shape(status int, kind content) uint64 {
	if kind == contentText {
		return opaqueShape(status, kind)
	}
	return mix(uint64(status)<<8|uint64(kind), c.a.shape(0)) | 1
}

// maxShapes is how many different shapes of elements one array adds.
const maxShapes = 8

// shape is a hash of the paths and types at and below a node. The number of
// elements of arrays, the names in maps, and the order of names do not count.
func (t *tree) shape(i int32) uint64 {
	n := &t.nodes[i]
	if n.typ != Object && n.typ != Array {
		return uint64(n.typ) + 1
	}
	h := uint64(n.typ) + 1
	var seen [maxShapes]uint64
	kinds := 0
	anonymous := n.typ == Array || n.flags&asMap != 0 || n.flags&asFields == 0 && n.count > 0 && (t.namedByIDs(i) || n.count >= manyMembers && t.uniform(i, 0))
next:
	for x := i + 1; x < n.next; x = t.nodes[x].next {
		one := t.shape(x)
		if !anonymous {
			one = mix(xxhash.Sum64(t.bytes(t.nodes[x].key)), one)
			if n.flags&asFields == 0 {
				h += one
				continue
			}
		}
		for _, s := range seen[:kinds] {
			if s == one {
				continue next
			}
		}
		if kinds < maxShapes {
			seen[kinds] = one
			kinds++
			h += mix(2, one)
		}
	}
	return mix(h, uint64(n.typ))
}
