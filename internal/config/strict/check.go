package strict

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Fault is something in a text that does not fit.
type Fault struct {
	Place
	Warning bool   // it can be used all the same
	Path    string // of the field: "spec.http[0].mirror"; empty for the whole
	Message string
	Hint    string // what to do; may be empty
	Lines   bool   // the Message names a line of the text
}

// Options say how strict Check is.
type Options struct {
	QuotedNumbers bool // numbers may stand in quotes, as protobuf's JSON allows
}

// Check walks a value along a Shape. It reports everything that does not fit,
// and returns the rest as a JSON value in which a decoder has nothing left to
// refuse: nil if that is nothing. Lists keep a zero value in the place of an
// item that does not fit, so that indices stay those of the text.
func Check(n *Node, s *Shape, opt Options) (any, []Fault) {
	c := &checker{quotedNumbers: opt.QuotedNumbers}
	v, ok := c.value(n, s, "")
	if !ok {
		v = nil
	}
	return v, c.faults
}

type checker struct {
	quotedNumbers bool
	faults        []Fault
	parents       []parent
}

// parent is an object on the way down, for hints about wrong indentation.
type parent struct {
	path  string
	shape *Shape
}

func (c *checker) errorf(n *Node, path, hint, format string, args ...any) {
	c.faults = append(c.faults, Fault{Place: n.Place, Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// value returns the clean value, or false if nothing of it can be used.
func (c *checker) value(n *Node, s *Shape, path string) (any, bool) {
	switch s.form {
	case objectForm:
		return c.object(n, s, path)
	case mapForm:
		return c.mapping(n, s, path)
	case listForm:
		return c.list(n, s, path)
	case anyForm:
		return c.anything(n, path)
	}
	if n.kind != scalar {
		c.errorf(n, path, "", "must be %s, not %s", s.describe(), n.Describe())
		return nil, false
	}
	return c.scalar(n, s, path)
}

// describe names what a shape takes.
func (s *Shape) describe() string {
	return [...]string{
		"a value", "a mapping", "a mapping", "a list", "a string", "true or false", "a whole number", "a number",
		"one of " + strings.Join(s.enum, ", "), "base64 text", "a duration", "a time", "a whole number or a string", "a quantity",
	}[s.form]
}

func (c *checker) duplicates(n *Node, path func(key string) string) {
	for _, e := range n.entries {
		if e.first.Line != 0 {
			c.errorf(e.value, path(e.key), "keep one of the two", "the key %q is written twice; it is also on line %d", e.key, e.first.Line)
			c.faults[len(c.faults)-1].Lines = true
		}
	}
}

func (c *checker) object(n *Node, s *Shape, path string) (any, bool) {
	if n.kind != mapping {
		c.errorf(n, path, s.wrap(n), "must be a mapping, not %s", n.Describe())
		return nil, false
	}
	c.parents = append(c.parents, parent{path, s})
	defer func() { c.parents = c.parents[:len(c.parents)-1] }()
	c.duplicates(n, func(key string) string { return join(path, key, s) })
	out := map[string]any{}
	written := map[string]string{}
	oneofs := map[string]*entry{}
	for i := range n.entries {
		e := &n.entries[i]
		f := s.lookup(e.key)
		at := join(path, e.key, s)
		if f == nil {
			c.errorf(e.value, at, c.suggest(s, e), "unknown field")
			continue
		}
		if other, ok := written[f.name]; ok && other != e.key {
			c.errorf(e.value, at, "keep one of the two", "the field is written twice, as %s and as %s", other, e.key)
			continue
		}
		written[f.name] = e.key
		if e.value.IsNull() && f.shape().form != anyForm {
			if s.proto { // Kubernetes writes such fields itself
				c.faults = append(c.faults, Fault{
					Place: e.value.Place, Warning: true, Path: at, Message: "has no value, so it counts as left out",
					Hint: "give it a value or remove it, and check the indentation of the lines below",
				})
			}
			continue
		}
		if first := oneofs[f.oneof]; f.oneof != "" && first != nil && first.key != e.key {
			c.errorf(e.value, at, "keep one of the two", "%s and %s exclude each other; %s is on line %d", first.key, e.key, first.key, first.value.Line)
			c.faults[len(c.faults)-1].Lines = true
			continue
		}
		oneofs[f.oneof] = e
		if v, ok := c.value(e.value, f.shape(), at); ok {
			out[f.name] = v
		}
	}
	return out, true
}

// wrap says how a value that is no mapping becomes one of the shape: under its
// first field, or under any if it must have exactly one.
func (s *Shape) wrap(n *Node) string {
	switch {
	case n.kind == list:
		return `leave the "- " out: there is only one`
	case n.IsNull() || len(s.names) == 0:
		return ""
	}
	first := s.fields[s.names[0]]
	var ways []string
	for _, name := range s.names {
		if name == first.name || s.fields[name].oneof == first.oneof && first.oneof != "" {
			ways = append(ways, fmt.Sprintf("{%s: %s}", name, Shorten(n.value)))
		}
	}
	if len(ways) < len(s.names) && (first.shape().form != stringForm || len(s.names) > 4) {
		return ""
	}
	return "write " + strings.Join(ways, " or ")
}

// join is the path of a field, under its JSON name.
func join(path, key string, s *Shape) string {
	if s.proto && strings.Contains(key, "_") {
		key = camel(key)
	}
	if path == "" {
		return strings.TrimPrefix(KeyPath("", key), ".")
	}
	return KeyPath(path, key)
}

func (c *checker) mapping(n *Node, s *Shape, path string) (any, bool) {
	if n.kind != mapping {
		c.errorf(n, path, "", "must be a mapping, not %s", n.Describe())
		return nil, false
	}
	c.duplicates(n, func(key string) string { return KeyPath(path, key) })
	out := map[string]any{}
	for _, e := range n.entries {
		if e.value.IsNull() && !s.proto {
			out[e.key] = nil // encoding/json makes it the zero value
			continue
		}
		if v, ok := c.value(e.value, s.elem, KeyPath(path, e.key)); ok {
			out[e.key] = v
		}
	}
	return out, true
}

func (c *checker) list(n *Node, s *Shape, path string) (any, bool) {
	if n.kind != list {
		hint := `put "- " before it`
		if n.kind == scalar && !n.IsNull() && s.elem.form == stringForm {
			hint = fmt.Sprintf(`put "- " before it, or write [%s]`, Shorten(n.value))
		}
		c.errorf(n, path, hint, "must be a list, not %s", n.Describe())
		return nil, false
	}
	out := make([]any, 0, len(n.items))
	for i, item := range n.items {
		v, ok := c.value(item, s.elem, fmt.Sprintf("%s[%d]", path, i))
		if !ok {
			v = s.elem.zero()
		}
		out = append(out, v)
	}
	return out, true
}

// zero is a value of the shape that its decoder takes.
func (s *Shape) zero() any {
	switch s.form {
	case objectForm, mapForm:
		return map[string]any{}
	case listForm:
		return []any{}
	case stringForm, bytesForm:
		return ""
	case boolForm:
		return false
	case enumForm:
		return s.enum[0]
	case durationForm:
		return "0s"
	case intForm, floatForm, intOrStringForm, quantityForm:
		return json.Number("0")
	}
	return nil
}

// anything takes every value; only keys that stand twice are refused.
func (c *checker) anything(n *Node, path string) (any, bool) {
	switch n.kind {
	case mapping:
		return c.mapping(n, &Shape{form: mapForm, elem: &Shape{}}, path)
	case list:
		return c.list(n, &Shape{form: listForm, elem: &Shape{}}, path)
	}
	switch n.tag {
	case "!!null":
		return nil, true
	case "!!bool":
		return n.bool(), true
	case "!!int", "!!float":
		if v, ok := n.number(); ok {
			return v, true
		}
	}
	return n.value, true
}

// suggest finds what an unknown field was meant to be: a similar name, or a
// field of an object further out or one step in, which is wrong indentation.
func (c *checker) suggest(s *Shape, e *entry) string {
	if name := Nearest(e.key, s.names); name != "" {
		return fmt.Sprintf("did you mean %q?", name)
	}
	for i := len(c.parents) - 2; i >= 0; i-- {
		p := c.parents[i]
		if f := p.shape.lookup(e.key); f != nil && f.shape().form != anyForm && p.path != "" {
			return fmt.Sprintf("%s is a field of %s: indent it less", e.key, p.path)
		}
	}
	for _, name := range s.names {
		inner, in := s.fields[name].shape(), ""
		if inner.form == listForm {
			inner, in = inner.elem, "[]"
		}
		if inner.form == objectForm && inner.lookup(e.key) != nil {
			return fmt.Sprintf("%s is a field of %s%s: indent it more", e.key, name, in)
		}
	}
	if len(s.names) <= 8 && len(s.names) > 0 {
		return "the fields here are " + strings.Join(s.names, ", ")
	}
	return ""
}
