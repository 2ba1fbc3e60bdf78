package compare

// state is how far a pattern has come along the path of the walk: steps[pos] is next.
type state struct{ pattern, pos int32 }

// states are the patterns that may still match below a node: a range of
// Comparer.states. Ranges are used like a stack, and effects with them.
type states struct {
	from, to int
	effects  int // how many there were before
}

// effect is what the rules say of one node.
type effect struct {
	ignore bool
	rule   merged
}

// merged is all rules of one node in one.
type merged struct {
	typ                Format
	absolute, relative float64
	array              ArrayMode
	key                []string
}

// start returns the patterns at the root of all paths.
func (c *Comparer) start() states {
	c.states, c.effects = c.states[:0], c.effects[:0]
	for i := range c.patterns {
		c.push(0, state{pattern: int32(i)})
	}
	return states{to: len(c.states)}
}

// push adds a state, and where ** stands next also the one behind it.
func (c *Comparer) push(from int, s state) {
	steps := c.patterns[s.pattern].steps
	for {
		for _, have := range c.states[from:] {
			if have == s {
				return
			}
		}
		c.states = append(c.states, s)
		if int(s.pos) >= len(steps) || steps[s.pos].kind != stepDeep {
			return
		}
		s.pos++
	}
}

// name follows a named step. The caller releases the states.
func (c *Comparer) name(in states, name []byte) (states, *effect) {
	if in.from == in.to {
		return states{}, &c.none
	}
	from := len(c.states)
	for i := in.from; i < in.to; i++ {
		s := c.states[i]
		steps := c.patterns[s.pattern].steps
		if int(s.pos) >= len(steps) {
			continue
		}
		switch step := &steps[s.pos]; {
		case step.kind == stepDeep:
			c.push(from, s)
		case step.kind == stepAny, step.kind == stepName && step.name == string(name):
			c.push(from, state{s.pattern, s.pos + 1})
		}
	}
	return c.effect(from)
}

// index follows a step into an array.
func (c *Comparer) index(in states) (states, *effect) {
	if in.from == in.to {
		return states{}, &c.none
	}
	from := len(c.states)
	for i := in.from; i < in.to; i++ {
		s := c.states[i]
		steps := c.patterns[s.pattern].steps
		if int(s.pos) >= len(steps) {
			continue
		}
		switch steps[s.pos].kind {
		case stepDeep:
			c.push(from, s)
		case stepIndex:
			c.push(from, state{s.pattern, s.pos + 1})
		}
	}
	return c.effect(from)
}

// effect merges the patterns that end here. They stand in the order of the
// rules, so the last one wins.
func (c *Comparer) effect(from int) (states, *effect) {
	st := states{from, len(c.states), len(c.effects)}
	e := &c.none
	for _, s := range c.states[from:] {
		p := &c.patterns[s.pattern]
		if int(s.pos) < len(p.steps) {
			continue
		}
		if e == &c.none {
			e = c.keep(effect{})
		}
		if p.ignore {
			e.ignore = true
		} else {
			e.rule.add(p)
		}
	}
	return st, e
}

// keep puts an effect where it stays until the states it belongs to are released.
func (c *Comparer) keep(e effect) *effect {
	c.effects = append(c.effects, e)
	return &c.effects[len(c.effects)-1]
}

func (m *merged) add(p *pattern) {
	r := p.rule
	if r.Type != 0 {
		m.typ = r.Type
	}
	if r.Absolute != 0 || r.Relative != 0 {
		m.absolute, m.relative = r.Absolute, r.Relative
	}
	if r.Array != ArrayIndex {
		m.array, m.key = r.Array, p.key
	}
}

// release gives the states back that a step has made.
func (c *Comparer) release(st states) {
	if st.from != st.to {
		c.states, c.effects = c.states[:st.from], c.effects[:st.effects]
	}
}
