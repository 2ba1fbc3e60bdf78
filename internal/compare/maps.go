package compare

import "github.com/cespare/xxhash/v2"

// When the names of objects are taken for data.
const (
	manyMembers  = 16 // objects or arrays of one shape, whatever their names
	someMembers  = 4  // objects or arrays of one shape, of whose names a quarter is on one side only
	plainMembers = 8  // scalars of one type, of whose names half are on one side only
)

// isMap reports whether the names of two objects are data rather than fields,
// so that they stand as * in the paths of differences. They are where
//   - all names look like ids: UUIDs, numbers, times, long hex, addresses; or
//   - there are many members, all of them objects, or arrays, of one shape; or
//   - a good part of the names is on one side only, while all values have one shape.
//
// names is how many names there are in all, lonely how many on one side only.
func (c *Comparer) isMap(i, j int32, names, lonely int) bool {
	x, y := &c.a.nodes[i], &c.b.nodes[j]
	both := x.flags | y.flags
	switch {
	case both&asMap != 0:
		return true
	case both&asFields != 0 || names == 0:
		return false
	case c.a.namedByIDs(i) && c.b.namedByIDs(j):
		return true
	case names < someMembers || names < manyMembers && lonely*4 < names:
		return false
	}
	first := c.a.signature(i + 1)
	if x.count == 0 {
		first = c.b.signature(j + 1)
	}
	if !c.a.uniform(i, first) || !c.b.uniform(j, first) {
		return false
	}
	if first > uint64(Bytes) {
		return names >= manyMembers || lonely*4 >= names
	}
	return names >= plainMembers && lonely*2 >= names
}

// signature tells the shape of a value, one level deep; up to Bytes: it is a scalar.
func (t *tree) signature(i int32) uint64 {
	if int(i) >= len(t.nodes) {
		return 0
	}
	n := &t.nodes[i]
	switch {
	case n.typ == Object:
		h := uint64(Object)
		for x := i + 1; x < n.next; x = t.nodes[x].next {
			h += mix(xxhash.Sum64(t.bytes(t.nodes[x].key)), uint64(t.nodes[x].typ))
		}
		return h | 1<<63
	case n.typ == Array && n.count > 0:
		return 1<<62 | uint64(t.nodes[i+1].typ)
	case n.typ == Array:
		return 1 << 62
	}
	return uint64(n.typ)
}

// uniform reports whether all members have one signature; 0: that of the
// first, which must be no scalar.
func (t *tree) uniform(i int32, want uint64) bool {
	for x := i + 1; x < t.nodes[i].next; x = t.nodes[x].next {
		s := t.signature(x)
		if want == 0 && s > uint64(Bytes) {
			want = s
		}
		if s != want {
			return false
		}
	}
	return true
}

// namedByIDs reports whether all names of an object look like ids.
func (t *tree) namedByIDs(i int32) bool {
	for x := i + 1; x < t.nodes[i].next; x = t.nodes[x].next {
		if !idLike(t.bytes(t.nodes[x].key)) {
			return false
		}
	}
	return true
}

func idLike(name []byte) bool {
	digits := 0
	for _, b := range name {
		if digit(b) {
			digits++
		}
	}
	switch {
	case digits == 0 || len(name) > 64:
		return false
	case digits == len(name):
		return true
	case digits*4 < len(name) && len(name) < 16: // most names of fields end here
		return false
	}
	switch f := classifyString(string(name)); f.Kind() {
	case FormatUUID, FormatTimestamp, FormatInteger, FormatIP:
		return true
	case FormatToken:
		return len(name) >= 16 && f.form() <= formAlphanumeric && digits*5 >= len(name)
	}
	return false
}
