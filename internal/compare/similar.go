package compare

import "slices"

// How alike two elements are. Equal ones outweigh any number of others that are only similar.
const (
	alikeFully = 1000
	alikeParts = 98 // times the share of children that are equal
	alikeType  = 1
	alikeSet   = 20 // from here on elements of sets are taken for changed ones
)

// likeness tells how much two elements have in common. Both have been hashed.
func (m *matcher) likeness(p, q int) int32 {
	i, j := m.node(&m.x, p), m.node(&m.y, q)
	x, y := m.x.t, m.y.t
	m.c.work--
	switch a, b := &x.nodes[i], &y.nodes[j]; {
	case x.hash[i] == y.hash[j]:
		return alikeFully
	case a.typ != b.typ:
		return 0
	case a.typ != Object && a.typ != Array || a.count == 0 || b.count == 0:
		return alikeType
	default:
		m.c.work -= int(a.count + b.count)
		return alikeType + alikeParts*equalChildren(x, i, y, j)/max(a.count, b.count)
	}
}

// equalChildren counts equal members of the same name, or equal elements at the same index.
func equalChildren(x *tree, i int32, y *tree, j int32) int32 {
	n := int32(0)
	named := x.nodes[i].typ == Object
	q, end := j+1, y.nodes[j].next
	for p := i + 1; p < x.nodes[i].next && q < end; p = x.nodes[p].next {
		if named {
			name := x.bytes(x.nodes[p].key)
			back := q
			for q < end && string(y.bytes(y.nodes[q].key)) != string(name) {
				q = y.nodes[q].next
			}
			if q >= end {
				q = back // a name that the other lacks
				continue
			}
		}
		if x.hash[p] == y.hash[q] {
			n++
		}
		q = y.nodes[q].next
	}
	return n
}

// table finds the matching in order with the greatest likeness in all.
func (m *matcher) table(x, y gap) {
	c := m.c
	for k := x.from; k < x.to; k++ {
		m.hash(&m.x, k)
	}
	for k := y.from; k < y.to; k++ {
		m.hash(&m.y, k)
	}
	width := y.len() + 1
	size := (x.len() + 1) * width
	c.scores = slices.Grow(c.scores[:0], 2*size)[:2*size]
	best, like := c.scores[:size], c.scores[size:] // best of what stands behind; likeness
	clear(best)
	for p := x.len() - 1; p >= 0; p-- {
		for q := y.len() - 1; q >= 0; q-- {
			at := p*width + q
			like[at] = m.likeness(x.from+p, y.from+q)
			best[at] = max(best[at+width+1]+like[at], best[at+width], best[at+1])
		}
	}
	p, q := 0, 0
	for p < x.len() && q < y.len() {
		switch at := p*width + q; best[at] {
		case best[at+width+1] + like[at]:
			m.add(x.from+p, y.from+q)
			p, q = p+1, q+1
		case best[at+1]:
			m.add(-1, y.from+q)
			q++
		default:
			m.add(x.from+p, -1)
			p++
		}
	}
	m.inOrder(gap{x.from + p, x.to}, gap{y.from + q, y.to})
}
