package compare

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// set matches equal elements wherever they stand, and then what is left and
// has something in common.
func (m *matcher) set() {
	from := len(m.c.pairs)
	m.byKeys(gap{0, m.x.l.len()}, gap{0, m.y.l.len()}, m.hashesOf(&m.x), m.hashesOf(&m.y))
	m.leftovers(from)
	m.sortPairs(from)
}

// candidate are two elements that may be one that has changed.
type candidate struct {
	x, y  int
	score int32
	tie   uint64
}

// leftovers matches elements that found no equal one with those most like them.
func (m *matcher) leftovers(from int) {
	c := m.c
	left, right := 0, 0
	for _, p := range c.pairs[from:] {
		if p.b < 0 {
			left++
		} else if p.a < 0 {
			right++
		}
	}
	if left == 0 || right == 0 || left*right > maxTable/4 || c.work <= 0 {
		return
	}
	all := m.candidates(from, left)
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.tie, b.tie), cmp.Compare(a.x, b.x), cmp.Compare(a.y, b.y))
	})
	for _, one := range all {
		if p, q := &c.pairs[one.x], &c.pairs[one.y]; p.b < 0 && q.a < 0 && p.a >= 0 && q.b >= 0 {
			p.b, q.b = q.b, -1 // q is empty now
		}
	}
	kept := from
	for _, p := range c.pairs[from:] {
		if p.a >= 0 || p.b >= 0 {
			c.pairs[kept] = p
			kept++
		}
	}
	c.pairs = c.pairs[:kept]
}

// candidates returns the leftover pairs of which both parts have enough in common.
func (m *matcher) candidates(from, left int) []candidate {
	c := m.c
	all := make([]candidate, 0, left)
	for x := from; x < len(c.pairs); x++ {
		if c.pairs[x].b >= 0 {
			continue
		}
		p := int(c.pairs[x].a)
		for y := from; y < len(c.pairs) && c.work > 0; y++ {
			if c.pairs[y].a >= 0 {
				continue
			}
			q := int(c.pairs[y].b)
			if score := m.likeness(p, q); score >= alikeSet {
				all = append(all, candidate{x, y, score, m.hash(&m.x, p) + m.hash(&m.y, q)})
			}
		}
	}
	return all
}

// key matches elements by the value at a path in them.
func (m *matcher) key(path []string) {
	from := len(m.c.pairs)
	m.byKeys(gap{0, m.x.l.len()}, gap{0, m.y.l.len()}, m.keysOf(&m.x, path), m.keysOf(&m.y, path))
	m.sortPairs(from)
}

func (m *matcher) keysOf(s *side, path []string) func(int) uint64 {
	return func(k int) uint64 { return s.t.keyHash(m.node(s, k), path) }
}

// byKeys matches elements with the same keys, each key as often as it occurs.
func (m *matcher) byKeys(x, y gap, of, ofY func(int) uint64) {
	c := m.c
	a := m.sortedHashes(x, of)
	b := m.sortedHashes(y, ofY)
	for p, q := a.from, b.from; p < a.to || q < b.to; {
		switch {
		case q >= b.to || p < a.to && c.hashed[p].hash < c.hashed[q].hash:
			m.add(int(c.hashed[p].pos), -1)
			p++
		case p >= a.to || c.hashed[p].hash > c.hashed[q].hash:
			m.add(-1, int(c.hashed[q].pos))
			q++
		default:
			m.add(int(c.hashed[p].pos), int(c.hashed[q].pos))
			p++
			q++
		}
	}
	c.hashed = c.hashed[:a.from]
}

// keyHash is the hash of the type and value at a path within an element; 0: it is not there.
func (t *tree) keyHash(i int32, path []string) uint64 {
	for _, name := range path {
		if i = t.child(i, name); i < 0 {
			return 0
		}
	}
	n := &t.nodes[i]
	if n.typ == Number {
		return mix(uint64(Number), hashNumber(t.bytes(n.text))) | 1
	}
	return mix(uint64(n.typ), xxhash.Sum64(t.bytes(n.text))) | 1
}

// child returns the first member of a name; -1: there is none.
func (t *tree) child(i int32, name string) int32 {
	if t.nodes[i].typ != Object {
		return -1
	}
	for x := i + 1; x < t.nodes[i].next; x = t.nodes[x].next {
		if string(t.bytes(t.nodes[x].key)) == name {
			return x
		}
	}
	return -1
}

// byID matches objects by a member with the name of an identity, where every
// element of both lists has another one and most are on both sides.
func (m *matcher) byID(x, y gap) (moved, ok bool) {
	c := m.c
	if m.x.t.nodes[m.node(&m.x, x.from)].typ != Object || m.y.t.nodes[m.node(&m.y, y.from)].typ != Object {
		return false, false
	}
	from := len(c.pairs)
	for _, name := range [...]string{"id", "_id", "uuid", "uid", "Id", "ID", "key", "name", "code", "sku", "slug"} {
		if m.x.t.child(m.node(&m.x, x.from), name) < 0 || m.y.t.child(m.node(&m.y, y.from), name) < 0 {
			continue
		}
		path := [...]string{name}
		of, ofY := m.keysOf(&m.x, path[:]), m.keysOf(&m.y, path[:])
		if m.repeated(x, of) || m.repeated(y, ofY) {
			continue
		}
		m.byKeys(x, y, of, ofY)
		if moved, ok = m.judgeIDs(from, x, y); ok {
			return moved, true
		}
		c.pairs = c.pairs[:from]
	}
	return false, false
}

// repeated reports whether two elements have one key, or one has none.
func (m *matcher) repeated(g gap, of func(int) uint64) bool {
	c := m.c
	s := m.sortedHashes(g, of)
	defer func() { c.hashed = c.hashed[:s.from] }()
	for k := s.from; k < s.to; k++ {
		if h := c.hashed[k].hash; h == 0 || k > s.from && h == c.hashed[k-1].hash {
			return true
		}
	}
	return false
}

// judgeIDs reports whether the pairs by id are worth to be kept: most elements
// have one, and not all stay where they are, which plain order finds as well.
func (m *matcher) judgeIDs(from int, x, y gap) (moved, ok bool) {
	m.sortPairs(from)
	both, inPlace := 0, true
	last := int32(-1)
	for _, p := range m.c.pairs[from:] {
		if p.a < 0 || p.b < 0 {
			continue
		}
		both++
		moved = moved || p.b < last
		last = p.b
		inPlace = inPlace && int(p.a)-x.from == int(p.b)-y.from
	}
	if both*2 < max(x.len(), y.len()) {
		return false, false
	}
	if inPlace && x.len() == y.len() {
		m.c.pairs = m.c.pairs[:from]
		m.inOrder(x, y)
	}
	return moved, true
}
