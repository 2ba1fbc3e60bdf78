package redact

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// step is one step of a path: from a value to some of those within it.
type step struct {
	name  string // of a member; where isName
	index int    // of an element; where isIndex
	kind  stepKind
	deep  bool // at any depth below
	last  bool // what this step finds is redacted
}

type stepKind uint8

const (
	anyChild stepKind = iota
	isName
	isIndex
)

// jsonPaths are all paths of a policy as one automaton: a state is the step
// that is to be matched next.
type jsonPaths struct {
	steps  []step
	starts []int32
	all    bool // "$": everything is redacted
}

func (p *jsonPaths) empty() bool { return len(p.starts) == 0 && !p.all }

func (p *jsonPaths) compile(paths []string) error {
	for _, path := range paths {
		steps, err := parsePath(path)
		if err != nil {
			return fmt.Errorf("redact.json: %q: %w", path, err)
		}
		if len(steps) == 0 {
			p.all = true
			continue
		}
		steps[len(steps)-1].last = true
		p.starts = append(p.starts, int32(len(p.steps)))
		p.steps = append(p.steps, steps...)
	}
	return nil
}

// parsePath reads the part of JSONPath (RFC 9535) that names fields: $, .name,
// .*, ..name, [0], [*] and ['name'].
func parsePath(path string) ([]step, error) {
	rest, ok := strings.CutPrefix(path, "$")
	if !ok {
		return nil, errors.New("a path begins with $, the whole body, as in $.user.email")
	}
	var steps []step
	for rest != "" {
		var s step
		var err error
		switch {
		case strings.HasPrefix(rest, "..["):
			s.deep = true
			rest, err = s.parseBracket(rest[2:])
		case strings.HasPrefix(rest, ".."):
			s.deep = true
			rest, err = s.parseName(rest[2:])
		case rest[0] == '.':
			rest, err = s.parseName(rest[1:])
		case rest[0] == '[':
			rest, err = s.parseBracket(rest)
		default:
			err = fmt.Errorf("at %q: a step begins with a dot or a bracket", rest)
		}
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func (s *step) parseName(rest string) (string, error) {
	n := strings.IndexAny(rest, ".[")
	if n < 0 {
		n = len(rest)
	}
	name := rest[:n]
	switch {
	case name == "":
		return "", fmt.Errorf("at %q: a name is missing after the dot", rest)
	case name == "*":
		s.kind = anyChild
	case strings.ContainsAny(name, "]*?()'\"@, "):
		return "", fmt.Errorf("%q: write a name with special characters in brackets, ['%s']", name, name)
	default:
		s.kind, s.name = isName, name
	}
	return rest[n:], nil
}

func (s *step) parseBracket(rest string) (string, error) {
	rest = rest[1:]
	if rest != "" && (rest[0] == '\'' || rest[0] == '"') {
		quote := rest[:1]
		name, after, ok := strings.Cut(rest[1:], quote+"]")
		if !ok {
			return "", fmt.Errorf("at %q: the quote and the bracket are not closed", "["+rest)
		}
		s.kind, s.name = isName, name
		return after, nil
	}
	inside, after, ok := strings.Cut(rest, "]")
	if !ok {
		return "", fmt.Errorf("at %q: the bracket is not closed", "["+rest)
	}
	if inside == "*" {
		s.kind = anyChild
		return after, nil
	}
	n, err := strconv.Atoi(inside)
	if err != nil || n < 0 {
		return "", fmt.Errorf("[%s]: brackets hold an index from 0, * or a name in quotes", inside)
	}
	s.kind, s.index = isIndex, n
	return after, nil
}

// frame is the states that are active for a value, a piece of Scratch.states,
// and whether the value itself is redacted.
type frame struct {
	from, to int
	hit      bool
}

// open makes the frame of the whole body.
func (p *jsonPaths) open(s *Scratch) frame {
	s.states = append(s.states[:0], p.starts...)
	return frame{0, len(s.states), p.all}
}

// child makes the frame of a member (name) or an element (index, where it is
// 0 or more) of the value that f is for. Whoever is done with it cuts the
// states off again.
func (p *jsonPaths) child(s *Scratch, f frame, name []byte, index int) frame {
	c := frame{from: len(s.states), hit: f.hit}
	if f.hit {
		c.to = c.from
		return c
	}
	for i := f.from; i < f.to; i++ {
		at := s.states[i]
		st := &p.steps[at]
		if st.deep {
			s.activate(c.from, at)
		}
		switch st.kind {
		case isName:
			if index >= 0 || string(name) != st.name {
				continue
			}
		case isIndex:
			if index != st.index {
				continue
			}
		}
		if st.last {
			c.hit = true
		} else {
			s.activate(c.from, at+1)
		}
	}
	c.to = len(s.states)
	return c
}

// activate adds a state to the frame that begins at from, once: "$..*..*" must
// not have more states than steps.
func (s *Scratch) activate(from int, state int32) {
	if !slices.Contains(s.states[from:], state) {
		s.states = append(s.states, state)
	}
}
