package endpoint

import (
	"errors"
	"slices"
	"strings"
)

// givenNode is a segment of the given templates.
type givenNode struct {
	template string // where one ends; empty: none does
	literal  map[string]*givenNode
	partial  []partial // "{id}.json", the longest text first
	param    *givenNode
	rest     string // the template whose last parameter stands for all that follows
}

// partial is a parameter with text around it.
type partial struct {
	prefix, suffix string
	node           *givenNode
}

// add adds a template.
func (n *givenNode) add(template string) error {
	rest, ok := strings.CutPrefix(template, "/")
	if !ok {
		return errors.New("it has to begin with a slash")
	}
	if strings.ContainsAny(template, "?#") {
		return errors.New("it may have no query and no fragment")
	}
	segments := strings.Split(rest, "/")
	for i, s := range segments {
		if isRest(s) {
			if i+1 < len(segments) {
				return errors.New(s + " stands for all that follows, so it has to come last")
			}
			if n.rest == "" {
				n.rest = template
			}
			return nil
		}
		next, err := n.step(s)
		if err != nil {
			return err
		}
		n = next
	}
	if n.template == "" {
		n.template = template
	}
	return nil
}

func isRest(s string) bool {
	return s == "**" || strings.HasPrefix(s, "{") && (strings.HasSuffix(s, "...}") || strings.HasSuffix(s, "+}") || strings.HasSuffix(s, "=**}"))
}

// step finds or makes the child for a segment of a template.
func (n *givenNode) step(s string) (*givenNode, error) {
	from, to := strings.IndexByte(s, '{'), strings.LastIndexByte(s, '}')
	switch {
	case from < 0 && to < 0 && s != "*":
		if n.literal == nil {
			n.literal = map[string]*givenNode{}
		}
		if n.literal[s] == nil {
			n.literal[s] = &givenNode{}
		}
		return n.literal[s], nil
	case s == "*", from == 0 && to == len(s)-1 && strings.Count(s, "{") == 1 && to > 1:
		if n.param == nil {
			n.param = &givenNode{}
		}
		return n.param, nil
	case from < 0 || to < from+2:
		return nil, errors.New("a parameter is a name in braces, as in /users/{id}")
	}
	// Of several parameters only the text around all of them counts.
	p := partial{s[:from], s[to+1:], &givenNode{}}
	for _, q := range n.partial {
		if q.prefix == p.prefix && q.suffix == p.suffix {
			return q.node, nil
		}
	}
	n.partial = append(n.partial, p)
	slices.SortStableFunc(n.partial, func(a, b partial) int {
		return len(b.prefix) + len(b.suffix) - len(a.prefix) - len(a.suffix)
	})
	return p.node, nil
}

// find is the template for the segments. At each of them, from the first on, a
// literal wins over a parameter with text around it, that over a parameter, and
// all over a parameter for the rest.
func (n *givenNode) find(segments []string) (string, bool) {
	if len(segments) == 0 {
		return n.template, n.template != ""
	}
	s := segments[0]
	if c := n.literal[s]; c != nil {
		if t, ok := c.find(segments[1:]); ok {
			return t, true
		}
	}
	for _, p := range n.partial {
		if len(s) > len(p.prefix)+len(p.suffix) && strings.HasPrefix(s, p.prefix) && strings.HasSuffix(s, p.suffix) {
			if t, ok := p.node.find(segments[1:]); ok {
				return t, true
			}
		}
	}
	if n.param != nil && s != "" {
		if t, ok := n.param.find(segments[1:]); ok {
			return t, true
		}
	}
	return n.rest, n.rest != ""
}
