package strict

import "strings"

// Places knows where the fields of a value stand, and nothing else of it. It
// takes a tenth of the memory of the Node, and has next to no pointers that the
// garbage collector follows, so that many can be kept.
type Places struct {
	all   []placed // the value itself is the first; what a value holds is side by side
	names string   // the keys of all, one after the other
}

type placed struct {
	line, column   int32
	name, nameLen  uint32 // the key of what a mapping holds, in names
	first, holding uint32 // in all
	list           bool
}

// Places are those of the Node and of all that it holds.
func (n *Node) Places() *Places {
	p := &Places{all: make([]placed, 1, n.size())}
	var names strings.Builder
	p.fill(0, n, &names)
	p.names = names.String()
	return p
}

// size is the number of values in n, itself included.
func (n *Node) size() int {
	total := 1
	for _, item := range n.items {
		total += item.size()
	}
	for _, e := range n.entries {
		total += e.value.size()
	}
	return total
}

// fill makes the place of n, whose name is there already, and what n holds.
func (p *Places) fill(at uint32, n *Node, names *strings.Builder) {
	first := uint32(len(p.all))
	v := &p.all[at]
	v.line, v.column, v.list = int32(n.Line), int32(n.Column), n.kind == list
	v.first, v.holding = first, uint32(len(n.items)+len(n.entries))
	for range n.items {
		p.all = append(p.all, placed{})
	}
	for _, e := range n.entries {
		p.all = append(p.all, placed{name: uint32(names.Len()), nameLen: uint32(len(e.key))})
		names.WriteString(e.key)
	}
	for i, item := range n.items {
		p.fill(first+uint32(i), item, names)
	}
	for i, e := range n.entries {
		p.fill(first+uint32(i), e.value, names)
	}
}

// At is the place of the field at a path, as Node's At has it.
func (p *Places) At(path string) Place {
	v := &p.all[0]
	for seg := range segments(path) {
		next := p.child(v, seg)
		if next == nil {
			break
		}
		v = next
	}
	return Place{int(v.line), int(v.column)}
}

func (p *Places) child(v *placed, seg segment) *placed {
	held := p.all[v.first:][:v.holding]
	if seg.index >= 0 {
		if v.list && seg.index < len(held) {
			return &held[seg.index]
		}
		return nil
	}
	if v.list {
		return nil
	}
	for i := len(held) - 1; i >= 0; i-- { // of a key that stands twice the last
		if p.name(&held[i]) == seg.name {
			return &held[i]
		}
	}
	for i := range held {
		if key := p.name(&held[i]); strings.Contains(key, "_") && camel(key) == seg.name {
			return &held[i]
		}
	}
	return nil
}

func (p *Places) name(v *placed) string { return p.names[v.name:][:v.nameLen] }
