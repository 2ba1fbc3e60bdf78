package endpoint

import (
	"maps"
	"slices"
)

// widen makes a parameter of n's children: of all of them, or of those that
// look odd. Those that stand out stay.
func (l *Learner) widen(n *node, prefix string, all bool) {
	var merged []string
	var hits []uint64
	for k, c := range n.children {
		if look := looksLike(k); look == odd || look == word && all {
			merged = append(merged, k)
			hits = append(hits, c.hits)
		}
	}
	slices.Sort(merged)
	slices.Sort(hits)
	middle := hits[len(hits)/2]
	n.openOdd = true
	n.open = n.open || all
	for _, k := range merged {
		if c := n.children[k]; c.hits < max(keptHits, keptTimes*middle) {
			n.remove(k)
			l.merge(l.param(n), c)
		}
	}
	l.settle(l.param(n), prefix+"/"+Param)
}

// param is n's parameter, which it makes if there is none.
func (l *Learner) param(n *node) *node {
	c := n.children[Param]
	if c == nil {
		c = &node{}
		l.nodes++
		n.put(Param, c)
	}
	return c
}

func (n *node) remove(k string) {
	delete(n.children, k)
	n.count(k, -1)
}

// merge makes dst stand for all that src, which is no longer in the tree,
// stands for. Templates get their new form by settle.
func (l *Learner) merge(dst, src *node) {
	l.nodes--
	dst.hits += src.hits
	if src.ends {
		if dst.ends {
			l.templates--
		}
		dst.ends = true
		dst.old = append(append(dst.old, src.old...), src.template)
	}
	dst.open = dst.open || src.open
	dst.openOdd = dst.openOdd || src.openOdd
	l.mergeChildren(dst, src)
	switch {
	case dst.names > l.distinct && !dst.open:
		l.open(dst, true)
	case dst.odd > max(l.distinct/5, 1) && !dst.open && !dst.openOdd:
		l.open(dst, false)
	}
}

// mergeChildren merges src's children into dst's. A name that is a child of one
// of the two alone stands, in the other one, for its parameter if that one is
// open: so it becomes the parameter's in both, or a path would have a narrower
// template than before.
func (l *Learner) mergeChildren(dst, src *node) {
	isOpen := func(k string) bool {
		look := looksLike(k)
		return look == word && dst.open || look == odd && (dst.open || dst.openOdd)
	}
	for _, k := range slices.Sorted(maps.Keys(dst.children)) {
		if c := dst.children[k]; src.children[k] == nil && isOpen(k) {
			dst.remove(k)
			l.merge(l.param(dst), c)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(src.children)) {
		c := src.children[k]
		switch d := dst.children[k]; {
		case d != nil:
			l.merge(d, c)
		case isOpen(k):
			l.merge(l.param(dst), c)
		default:
			dst.put(k, c)
		}
	}
}

// open is widen within merge: all children go, and templates are settled later.
func (l *Learner) open(n *node, all bool) {
	n.openOdd = true
	n.open = n.open || all
	for _, k := range slices.Sorted(maps.Keys(n.children)) {
		if look := looksLike(k); look == odd || look == word && all {
			c := n.children[k]
			n.remove(k)
			l.merge(l.param(n), c)
		}
	}
}

// settle gives the templates from n on their form, and tells of it.
func (l *Learner) settle(n *node, prefix string) {
	if n.ends {
		if n.template != prefix {
			n.old = append(n.old, n.template)
		}
		n.template = prefix
		slices.Sort(n.old)
		for _, old := range slices.Compact(n.old) {
			if l.widened != nil && old != "" && old != prefix {
				l.widened(old, prefix)
			}
		}
		n.old = nil
	}
	for _, k := range slices.Sorted(maps.Keys(n.children)) {
		l.settle(n.children[k], prefix+"/"+k)
	}
}
