package endpoint

import (
	"maps"
	"slices"
	"strings"
)

// State is what a Learner has learnt, to be kept or to be merged with that of
// another one.
type State struct {
	Templates []Learnt `json:"templates,omitempty"`
	// Open are the templates of parents whose names are parameters; OpenOdd, of
	// those of which only names that look like values are. "" is the root.
	Open    []string `json:"open,omitempty"`
	OpenOdd []string `json:"openOdd,omitempty"`
	GRPC    []string `json:"grpc,omitempty"`
	Others  uint64   `json:"others,omitempty"`
}

// Learnt is a template, and how many paths had it.
type Learnt struct {
	Template string `json:"template"`
	Hits     uint64 `json:"hits"`
}

// State returns what is learnt, in a fixed order.
func (l *Learner) State() State {
	s := State{GRPC: slices.Sorted(maps.Keys(l.grpc)), Others: l.others}
	s.add(l.root, "")
	return s
}

func (s *State) add(n *node, prefix string) {
	switch {
	case n.open:
		s.Open = append(s.Open, prefix)
	case n.openOdd:
		s.OpenOdd = append(s.OpenOdd, prefix)
	}
	own := n.hits
	for _, k := range slices.Sorted(maps.Keys(n.children)) {
		c := n.children[k]
		own -= min(own, c.hits)
		s.add(c, prefix+"/"+k)
	}
	if n.ends {
		s.Templates = append(s.Templates, Learnt{n.template, own})
	}
}

// Merge adds what another Learner, or this one in an earlier process, has
// learnt. Templates of either may widen: Widened is told of both.
func (l *Learner) Merge(s State) {
	l.others += s.Others
	for _, path := range s.GRPC {
		l.grpc[path] = path
	}
	src := &node{}
	l.nodes++
	for _, t := range s.Templates {
		n := l.path(src, t.Template, t.Hits)
		if n != src && !n.ends {
			n.ends, n.template = true, t.Template
			l.templates++
		}
	}
	for _, prefix := range s.Open {
		n := l.path(src, prefix, 0)
		n.open, n.openOdd = true, true
		l.param(n)
	}
	for _, prefix := range s.OpenOdd {
		n := l.path(src, prefix, 0)
		n.openOdd = true
		l.param(n)
	}
	l.merge(l.root, src)
	l.settle(l.root, "")
}

// path finds or makes the node of a template, and adds the hits on the way.
func (l *Learner) path(n *node, template string, hits uint64) *node {
	rest, ok := strings.CutPrefix(template, "/")
	if !ok {
		return n
	}
	for _, k := range strings.Split(rest, "/") {
		c := n.children[k]
		if c == nil {
			c = &node{}
			l.nodes++
			n.put(k, c)
		}
		c.hits += hits
		n = c
	}
	return n
}
