package compare

import "github.com/cespare/xxhash/v2"

// hash returns the same number for nodes between which the rules see no
// difference, whatever their white space and order of names; 0 never. What may
// vary by a rule counts by its type alone.
func (c *Comparer) hash(t *tree, i int32, st states, e *effect) uint64 {
	if len(t.hash) < len(t.nodes) {
		t.hash = append(t.hash, make([]uint64, len(t.nodes)-len(t.hash))...)
	}
	if h := t.hash[i]; h != 0 {
		return h
	}
	n := &t.nodes[i]
	h := uint64(n.typ) + 1
	switch n.typ {
	case Object:
		for x := i + 1; x < n.next; x = t.nodes[x].next {
			name := t.bytes(t.nodes[x].key)
			next, inner := c.name(st, name)
			if !inner.ignore {
				h += mix(xxhash.Sum64(name), c.hash(t, x, next, inner))
			}
			c.release(next)
		}
	case Array:
		h = c.hashElements(t, i, st, e)
	default:
		switch {
		case e.rule.typ != 0 || n.typ == Number && (e.rule.absolute != 0 || e.rule.relative != 0):
		case n.typ == Number:
			h = mix(h, hashNumber(t.bytes(n.text)))
		default:
			h = mix(h, xxhash.Sum64(t.bytes(n.text)))
		}
	}
	h = mix(h, uint64(n.typ)) | 1
	t.hash[i] = h
	return h
}

func (c *Comparer) hashElements(t *tree, i int32, st states, e *effect) uint64 {
	h := uint64(Array) + 1
	next, inner := c.index(st)
	for x := i + 1; x < t.nodes[i].next && !inner.ignore; x = t.nodes[x].next {
		one := c.hash(t, x, next, inner)
		if e.rule.array == ArrayIndex {
			h = mix(h, one)
		} else {
			h += mix(1, one)
		}
	}
	c.release(next)
	return h
}

// hashNumber is the same for equal numbers.
func hashNumber(b []byte) uint64 {
	d, ok := parseDecimal(b)
	if !ok {
		return xxhash.Sum64(b)
	}
	h := uint64(d.exp)
	if d.negative {
		h = ^h
	}
	for _, digit := range d.text {
		if digit != '.' {
			h = (h ^ uint64(digit)) * 0x100000001b3
		}
	}
	return h
}

// mix makes one number of two; their order matters.
func mix(a, b uint64) uint64 {
	h := (a ^ b>>29 ^ 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>31 ^ b) * 0x94d049bb133111eb
	return h ^ h>>30
}
