package compare

import (
	"bytes"
	"slices"
)

// walk compares two nodes at the path of the walk.
func (c *Comparer) walk(i, j int32, st states, e *effect) {
	x, y := &c.a.nodes[i], &c.b.nodes[j]
	if x.typ != y.typ {
		c.typeChanged(i, j)
		return
	}
	if same(&c.a, i, &c.b, j) {
		return
	}
	switch x.typ {
	case Object:
		c.objects(i, j, st)
	case Array:
		c.arrays(i, j, st, e)
	default:
		c.scalars(i, j, e)
	}
}

// typeChanged compares values of two types.
func (c *Comparer) typeChanged(i, j int32) {
	x, y := &c.a.nodes[i], &c.b.nodes[j]
	kind := TypeChanged
	if x.flags&guessed != 0 && y.flags&guessed != 0 && x.typ >= String && y.typ >= String {
		if bytes.Equal(c.a.bytes(x.text), c.b.bytes(y.text)) {
			return
		}
		kind = Changed // bytes that look like a message on one side only
	}
	c.differ(kind, i, j)
}

func (c *Comparer) differ(k Kind, i, j int32) {
	if d := c.record(k); d != nil {
		d.A, d.B = c.a.value(i), c.b.value(j)
	}
}

func (c *Comparer) scalars(i, j int32, e *effect) {
	x, y := c.a.bytes(c.a.nodes[i].text), c.b.bytes(c.b.nodes[j].text)
	if typ := c.a.nodes[i].typ; typ == Number && (equalNumbers(x, y) || e.rule.near(x, y)) {
		return
	}
	if e.rule.typ == 0 {
		if d := c.record(Changed); d != nil {
			skip := 0
			if c.a.nodes[i].typ == String {
				skip = alike(x, y)
			}
			d.A, d.B = c.a.valueFrom(i, skip), c.b.valueFrom(j, skip)
		}
		return
	}
	if !e.rule.typ.allows(c.a.value(i), c.b.value(j)) {
		c.differ(TypeChanged, i, j)
	}
}

// objects compares the members of two objects by name.
func (c *Comparer) objects(i, j int32, st states) {
	alike := c.sameNames(i, j)
	if alike && c.a.nodes[i].flags&asFields == 0 {
		m := c.isMap(i, j, int(c.a.nodes[i].count), 0)
		y := j + 1
		for x := i + 1; x < c.a.nodes[i].next; x = c.a.nodes[x].next {
			c.member(x, y, st, m)
			y = c.b.nodes[y].next
		}
		return
	}
	from := len(c.order)
	c.sorted(&c.a, i)
	middle := len(c.order)
	c.sorted(&c.b, j)
	end := len(c.order)
	m := c.isMapOf(i, j, from, middle, end)
	p, q := from, middle
	for p < middle || q < end {
		order := c.compareKeys(p, middle, q, end)
		pn, qn := p, q
		if order <= 0 {
			pn = c.run(&c.a, p, middle)
		}
		if order >= 0 {
			qn = c.run(&c.b, q, end)
		}
		if pn-p <= 1 && qn-q <= 1 {
			x, y := int32(-1), int32(-1)
			if pn > p {
				x = c.order[p]
			}
			if qn > q {
				y = c.order[q]
			}
			c.member(x, y, st, m)
		} else {
			c.group(p, pn, q, qn, st, m)
		}
		p, q = pn, qn
	}
	c.order = c.order[:from]
	if c.a.nodes[i].flags&ordered != 0 {
		c.sequence(i, j)
	}
}

func (c *Comparer) isMapOf(i, j int32, from, middle, end int) bool {
	names, lonely := c.countNames(from, middle, end)
	return c.isMap(i, j, names, lonely)
}

// countNames counts the different names of two sorted lists of children, and
// those that are in one of them only.
func (c *Comparer) countNames(p, middle, end int) (names, lonely int) {
	for q := middle; p < middle || q < end; names++ {
		order := c.compareKeys(p, middle, q, end)
		if order != 0 {
			lonely++
		}
		if order <= 0 {
			p = c.run(&c.a, p, middle)
		}
		if order >= 0 {
			q = c.run(&c.b, q, end)
		}
	}
	return names, lonely
}

// sameNames reports whether two objects have the same names in the same order.
func (c *Comparer) sameNames(i, j int32) bool {
	x, y := &c.a.nodes[i], &c.b.nodes[j]
	if x.count != y.count {
		return false
	}
	q := j + 1
	for p := i + 1; p < x.next; p = c.a.nodes[p].next {
		if !bytes.Equal(c.a.bytes(c.a.nodes[p].key), c.b.bytes(c.b.nodes[q].key)) {
			return false
		}
		q = c.b.nodes[q].next
	}
	return true
}

// sorted pushes the children of an object, sorted by name; those of the same name in their order.
func (c *Comparer) sorted(t *tree, i int32) {
	from := len(c.order)
	for x := i + 1; x < t.nodes[i].next; x = t.nodes[x].next {
		c.order = append(c.order, x)
	}
	slices.SortStableFunc(c.order[from:], func(x, y int32) int {
		return bytes.Compare(t.bytes(t.nodes[x].key), t.bytes(t.nodes[y].key))
	})
}

func (c *Comparer) compareKeys(p, pEnd, q, qEnd int) int {
	switch {
	case p >= pEnd:
		return 1
	case q >= qEnd:
		return -1
	}
	return bytes.Compare(c.a.bytes(c.a.nodes[c.order[p]].key), c.b.bytes(c.b.nodes[c.order[q]].key))
}

// run returns where the children of the name at p end.
func (c *Comparer) run(t *tree, p, end int) int {
	n := p + 1
	for n < end && bytes.Equal(t.bytes(t.nodes[c.order[n]].key), t.bytes(t.nodes[c.order[p]].key)) {
		n++
	}
	return n
}

// member compares members of one name; x or y is -1 where it is not there.
func (c *Comparer) member(x, y int32, st states, isMap bool) {
	if x >= 0 && y >= 0 && same(&c.a, x, &c.b, y) {
		return
	}
	var name []byte
	if x >= 0 {
		name = c.a.bytes(c.a.nodes[x].key)
	} else {
		name = c.b.bytes(c.b.nodes[y].key)
	}
	next, e := c.name(st, name)
	if !e.ignore {
		c.path = append(c.path, pathStep{kind: nameKind(isMap), name: name})
		c.both(x, y, next, e)
		c.pop()
	}
	c.release(next)
}

// both compares what may be there on one side only.
func (c *Comparer) both(x, y int32, st states, e *effect) {
	switch {
	case y < 0:
		if d := c.record(Missing); d != nil {
			d.A = c.a.value(x)
		}
	case x < 0:
		if d := c.record(Added); d != nil {
			d.B = c.b.value(y)
		}
	default:
		c.walk(x, y, st, e)
	}
}

func nameKind(isMap bool) walkKind {
	if isMap {
		return walkKey
	}
	return walkName
}

// group compares several members of one name as the elements of an array.
func (c *Comparer) group(p, pEnd, q, qEnd int, st states, isMap bool) {
	var name []byte
	if p < pEnd {
		name = c.a.bytes(c.a.nodes[c.order[p]].key)
	} else {
		name = c.b.bytes(c.b.nodes[c.order[q]].key)
	}
	next, e := c.name(st, name)
	if !e.ignore {
		c.path = append(c.path, pathStep{kind: nameKind(isMap), name: name})
		c.elements(list{p, pEnd}, list{q, qEnd}, walkNth, next, e)
		c.pop()
	}
	c.release(next)
}

// sequence records that members which are all there stand in another order.
func (c *Comparer) sequence(i, j int32) {
	if c.a.nodes[i].count != c.b.nodes[j].count || c.sameNames(i, j) {
		return
	}
	from := len(c.order)
	defer func() { c.order = c.order[:from] }()
	c.sorted(&c.a, i)
	middle := len(c.order)
	c.sorted(&c.b, j)
	for k := from; k < middle; k++ {
		if c.compareKeys(k, middle, middle+k-from, len(c.order)) != 0 {
			return
		}
	}
	c.differ(Reordered, i, j)
}
