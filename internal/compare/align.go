package compare

import (
	"cmp"
	"slices"
)

// matcher finds out which elements of two lists belong together, and appends
// them to Comparer.pairs. What it finds does not depend on which list is which.
type matcher struct {
	c       *Comparer
	x, y    side
	st      states
	e       *effect // of the elements
	flipped bool    // x is the list of the second message
}

// side is a list and the tree that its elements are in.
type side struct {
	t *tree
	l list
}

// gap is a range of positions in a list.
type gap struct{ from, to int }

func (g gap) len() int { return g.to - g.from }

// hashed is an element, by its hash.
type hashed struct {
	hash uint64
	pos  int32
}

func (m *matcher) node(s *side, k int) int32 { return m.c.order[s.l.from+k] }

func (m *matcher) hash(s *side, k int) uint64 { return m.c.hash(s.t, m.node(s, k), m.st, m.e) }

func (m *matcher) add(x, y int) {
	if m.flipped {
		x, y = y, x
	}
	m.c.pairs = append(m.c.pairs, pair{int32(x), int32(y)})
}

func (m *matcher) written(x, y int) bool {
	return same(m.x.t, m.node(&m.x, x), m.y.t, m.node(&m.y, y))
}

// index matches in order. Where the elements of both are the same in another
// order, or ids among them say so, it reports that they were reordered.
func (m *matcher) index() bool {
	x, y := gap{0, m.x.l.len()}, gap{0, m.y.l.len()}
	for x.from < x.to && y.from < y.to && m.written(x.from, y.from) {
		x.from++
		y.from++
	}
	for x.from < x.to && y.from < y.to && m.written(x.to-1, y.to-1) {
		x.to--
		y.to--
	}
	from := len(m.c.pairs)
	moved := m.middle(x, y)
	m.sortPairs(from)
	return moved
}

// middle matches what is between the elements that are written alike.
func (m *matcher) middle(x, y gap) bool {
	if x.len() == 0 || y.len() == 0 || x.len() == 1 && y.len() == 1 || m.inPlace(x, y) {
		m.inOrder(x, y)
		return false
	}
	if moved, ok := m.permutation(x, y); ok {
		return moved
	}
	if moved, ok := m.byID(x, y); ok {
		return moved
	}
	m.align(x, y)
	return false
}

// inPlace reports whether most elements are written alike where they stand,
// and none of the others is found at another place.
func (m *matcher) inPlace(x, y gap) bool {
	if x.len() != y.len() {
		return false
	}
	others := 0
	for k := range x.len() {
		if !m.written(x.from+k, y.from+k) {
			others++
		}
	}
	if others*2 > x.len() {
		return false
	}
	c := m.c
	begin := len(c.hashed)
	defer func() { c.hashed = c.hashed[:begin] }()
	for k := range x.len() {
		if !m.written(x.from+k, y.from+k) {
			p, q := m.hash(&m.x, x.from+k), m.hash(&m.y, y.from+k)
			if p != q {
				c.hashed = append(c.hashed, hashed{p, 0}, hashed{q, 1})
			}
		}
	}
	found := c.hashed[begin:]
	slices.SortFunc(found, func(a, b hashed) int { return cmp.Compare(a.hash, b.hash) })
	for k := 1; k < len(found); k++ {
		if found[k].hash == found[k-1].hash && found[k].pos != found[k-1].pos {
			return false
		}
	}
	return true
}

// inOrder matches the first with the first, and so on.
func (m *matcher) inOrder(x, y gap) {
	for ; x.from < x.to && y.from < y.to; x.from, y.from = x.from+1, y.from+1 {
		m.add(x.from, y.from)
	}
	for ; x.from < x.to; x.from++ {
		m.add(x.from, -1)
	}
	for ; y.from < y.to; y.from++ {
		m.add(-1, y.from)
	}
}

// sortedHashes pushes elements by their hash; those of the same hash in their order.
func (m *matcher) sortedHashes(g gap, of func(int) uint64) gap {
	c := m.c
	from := len(c.hashed)
	for k := g.from; k < g.to; k++ {
		h := of(k)
		c.hashed = append(c.hashed, hashed{h, int32(k)})
	}
	slices.SortFunc(c.hashed[from:], func(x, y hashed) int {
		return cmp.Or(cmp.Compare(x.hash, y.hash), cmp.Compare(x.pos, y.pos))
	})
	return gap{from, len(c.hashed)}
}

func (m *matcher) hashesOf(s *side) func(int) uint64 {
	return func(k int) uint64 { return m.hash(s, k) }
}

// permutation matches elements that are the same but for their order.
func (m *matcher) permutation(x, y gap) (moved, ok bool) {
	if x.len() != y.len() {
		return false, false
	}
	c := m.c
	a := m.sortedHashes(x, m.hashesOf(&m.x))
	b := m.sortedHashes(y, m.hashesOf(&m.y))
	defer func() { c.hashed = c.hashed[:a.from] }()
	for k := range a.len() {
		if c.hashed[a.from+k].hash != c.hashed[b.from+k].hash {
			return false, false
		}
	}
	for k := range a.len() {
		p, q := int(c.hashed[a.from+k].pos), int(c.hashed[b.from+k].pos)
		moved = moved || p-x.from != q-y.from
		m.add(p, q)
	}
	return moved, true
}

// sortPairs puts pairs in the order of their elements.
func (m *matcher) sortPairs(from int) {
	slices.SortFunc(m.c.pairs[from:], func(x, y pair) int {
		return cmp.Or(cmp.Compare(x.position(), y.position()), cmp.Compare(y.a, x.a))
	})
}

// align matches in order, with elements inserted and removed. Short stretches
// are matched as well as can be; long ones are first cut at the elements that
// occur once on each side.
func (m *matcher) align(x, y gap) {
	for x.from < x.to && y.from < y.to && m.hash(&m.x, x.from) == m.hash(&m.y, y.from) {
		m.add(x.from, y.from)
		x.from++
		y.from++
	}
	for x.from < x.to && y.from < y.to && m.hash(&m.x, x.to-1) == m.hash(&m.y, y.to-1) {
		m.add(x.to-1, y.to-1)
		x.to--
		y.to--
	}
	if m.foreign(x, y) {
		f := matcher{m.c, m.y, m.x, m.st, m.e, !m.flipped}
		f.stretch(y, x, true)
		return
	}
	m.stretch(x, y, true)
}

// foreign reports whether the lists have to change sides, so that the result
// is the same whichever came first.
func (m *matcher) foreign(x, y gap) bool {
	if x.len() != y.len() {
		return x.len() > y.len()
	}
	for k := range x.len() {
		p, q := m.hash(&m.x, x.from+k), m.hash(&m.y, y.from+k)
		if p != q {
			return p > q
		}
	}
	return false
}

// maxTable is how many pairs of elements are weighed against each other at once.
const maxTable = 1 << 16

// stretch matches a part of the lists.
func (m *matcher) stretch(x, y gap, anchors bool) {
	switch {
	case x.len() == 0 || y.len() == 0 || x.len() == 1 && y.len() == 1:
		m.inOrder(x, y)
	case x.len()*y.len() <= maxTable && m.c.work > 0:
		m.table(x, y)
	case anchors:
		m.anchored(x, y)
	default:
		m.inOrder(x, y)
	}
}

// anchored cuts both stretches at the elements that occur exactly once on each
// side, as far as these are in the same order.
func (m *matcher) anchored(x, y gap) {
	c := m.c
	found := m.unique(x, y) // by position in x
	defer func() { c.hashed = c.hashed[:found.from] }()
	m.increasing(found)
	for k := found.from; k < len(c.hashed); k++ {
		p, q := int(c.hashed[k].hash), int(c.hashed[k].pos)
		m.stretch(gap{x.from, p}, gap{y.from, q}, false)
		m.add(p, q)
		x.from, y.from = p+1, q+1
	}
	m.stretch(x, y, false)
}

// unique pushes the elements that occur once on each side: the position in x as
// hash, that in y as pos, by the position in x.
func (m *matcher) unique(x, y gap) gap {
	c := m.c
	a := m.sortedHashes(x, m.hashesOf(&m.x))
	b := m.sortedHashes(y, m.hashesOf(&m.y))
	once := func(g gap, k int) bool {
		return (k == g.from || c.hashed[k-1].hash != c.hashed[k].hash) && (k+1 == g.to || c.hashed[k+1].hash != c.hashed[k].hash)
	}
	for p, q := a.from, b.from; p < a.to && q < b.to; {
		switch u, v := c.hashed[p], c.hashed[q]; {
		case u.hash < v.hash:
			p++
		case u.hash > v.hash:
			q++
		default:
			if once(a, p) && once(b, q) {
				c.hashed = append(c.hashed, hashed{uint64(u.pos), v.pos})
			}
			p++
			q++
		}
	}
	n := copy(c.hashed[a.from:], c.hashed[b.to:])
	c.hashed = c.hashed[:a.from+n]
	slices.SortFunc(c.hashed[a.from:], func(x, y hashed) int { return cmp.Compare(x.hash, y.hash) })
	return gap{a.from, len(c.hashed)}
}

// increasing keeps a longest part of the entries whose pos increases (patience sorting).
func (m *matcher) increasing(g gap) {
	c := m.c
	all := c.hashed[g.from:g.to]
	c.scores = c.scores[:0]
	for range 2 * len(all) {
		c.scores = append(c.scores, -1)
	}
	tails, before := c.scores[:len(all)], c.scores[len(all):]
	n := 0 // tails[:n]: the entry that ends the best run of each length
	for k := range all {
		at, _ := slices.BinarySearchFunc(tails[:n], all[k].pos, func(tail, pos int32) int {
			return cmp.Compare(all[tail].pos, pos)
		})
		if at > 0 {
			before[k] = tails[at-1]
		}
		tails[at] = int32(k)
		n = max(n, at+1)
	}
	if n == 0 {
		c.hashed = c.hashed[:g.from]
		return
	}
	for k, at := n-1, tails[n-1]; k >= 0; k, at = k-1, before[at] {
		tails[k] = at
	}
	for k := range n {
		all[k] = all[tails[k]] // tails[k] >= k
	}
	c.hashed = c.hashed[:g.from+n]
}
