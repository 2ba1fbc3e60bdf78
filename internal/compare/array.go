package compare

// list is a range of Comparer.order: the elements of an array.
type list struct{ from, to int }

func (l list) len() int { return l.to - l.from }

// pair are two elements that belong together, by their position in their
// lists; -1: the other side has nothing that does.
type pair struct{ a, b int32 }

func (p pair) position() int32 {
	if p.a >= 0 {
		return p.a
	}
	return p.b
}

// arrays compares two arrays.
func (c *Comparer) arrays(i, j int32, st states, e *effect) {
	from := len(c.order)
	x := c.children(&c.a, i)
	y := c.children(&c.b, j)
	c.elements(x, y, walkIndex, st, e)
	c.order = c.order[:from]
}

// children pushes the children of a node.
func (c *Comparer) children(t *tree, i int32) list {
	from := len(c.order)
	for x := i + 1; x < t.nodes[i].next; x = t.nodes[x].next {
		c.order = append(c.order, x)
	}
	return list{from, len(c.order)}
}

// elements compares two lists at the path of the walk.
func (c *Comparer) elements(x, y list, kind walkKind, st states, e *effect) {
	next, inner := st, e
	if kind == walkIndex {
		next, inner = c.index(st)
		defer c.release(next)
	} else if e.rule.array != ArrayIndex { // several members of one name: the mode is for them together
		before := len(c.effects)
		defer func() { c.effects = c.effects[:before] }()
		inner = c.keep(*e)
		inner.rule.array, inner.rule.key = ArrayIndex, nil
	}
	if inner.ignore {
		return
	}
	if x.len() != y.len() {
		c.length(int64(x.len()), int64(y.len()))
	}
	from := len(c.pairs)
	m := matcher{c: c, x: side{&c.a, x}, y: side{&c.b, y}, st: next, e: inner}
	switch e.rule.array {
	case ArraySet:
		m.set()
	case ArrayKey:
		m.key(e.rule.key)
	default:
		if m.index() {
			c.reordered(x, y)
		}
	}
	c.matched(x, y, list{from, len(c.pairs)}, kind, next, inner)
	c.pairs = c.pairs[:from]
}

// matched compares the elements that belong together.
func (c *Comparer) matched(x, y, pairs list, kind walkKind, st states, e *effect) {
	for k := pairs.from; k < pairs.to; k++ {
		p := c.pairs[k]
		a, b := int32(-1), int32(-1)
		if p.a >= 0 {
			a = c.order[x.from+int(p.a)]
		}
		if p.b >= 0 {
			b = c.order[y.from+int(p.b)]
		}
		if a >= 0 && b >= 0 && same(&c.a, a, &c.b, b) {
			continue
		}
		c.path = append(c.path, pathStep{kind: kind, index: p.position()})
		c.both(a, b, st, e)
		c.pop()
	}
}

// reordered records that elements stand in another order.
func (c *Comparer) reordered(x, y list) {
	if d := c.record(Reordered); d != nil {
		d.A, d.B = c.a.listValue(c.order[x.from:x.to]), c.b.listValue(c.order[y.from:y.to])
	}
}
