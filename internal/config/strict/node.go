package strict

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Bounds on one document, so that a small file cannot grow into a large one
// through aliases.
const (
	maxDepth   = 100
	maxAliased = 100_000 // nodes that aliases stand for
)

// Place is a line and column of a text, from 1; 0 is unknown.
type Place struct{ Line, Column int }

// Node is a YAML value with its place. Aliases and merge keys are resolved.
type Node struct {
	// Place is that of the key for what a mapping holds, so that of "mirror:"
	// and not of the line below.
	Place
	// Start is the place of the value itself.
	Start Place
	// Literal says that the value is text after "|", whose lines are those of
	// the file.
	Literal bool

	kind    kind
	tag     string // of scalars: !!str, !!int, !!float, !!bool, !!null
	plain   bool   // a scalar without quotes
	value   string
	entries []entry
	items   []*Node
}

type kind int

const (
	scalar kind = iota
	mapping
	list
)

type entry struct {
	key   string
	value *Node
	first Place // of the same key earlier in this mapping; zero if there is none
}

// Get returns what a mapping holds under the key, nil if nothing.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for i := len(n.entries) - 1; i >= 0; i-- {
		if n.entries[i].key == key {
			return n.entries[i].value
		}
	}
	return nil
}

// Without is a mapping less one key.
func (n *Node) Without(key string) *Node {
	m := *n
	m.entries = slices.DeleteFunc(slices.Clone(n.entries), func(e entry) bool { return e.key == key })
	return &m
}

// Items are the items of a list; false for what is none.
func (n *Node) Items() ([]*Node, bool) { return n.items, n.kind == list }

// Text is the value of a string; false for what is none.
func (n *Node) Text() (string, bool) {
	if n == nil || n.kind != scalar || n.tag != "!!str" {
		return "", false
	}
	return n.value, true
}

// Raw is a scalar as it is written, whatever its type.
func (n *Node) Raw() string { return n.value }

// IsMapping reports whether the value is a mapping.
func (n *Node) IsMapping() bool { return n.kind == mapping }

// IsNull reports whether there is no value: "key:" or "key: null".
func (n *Node) IsNull() bool { return n.kind == scalar && n.tag == "!!null" }

// Describe names a value's type the way a user would.
func (n *Node) Describe() string {
	switch n.kind {
	case mapping:
		return "a mapping"
	case list:
		return "a list"
	}
	switch n.tag {
	case "!!null":
		return "empty"
	case "!!bool":
		return "the boolean " + n.value
	case "!!int", "!!float":
		return "the number " + n.value
	}
	return fmt.Sprintf("the string %q", Shorten(n.value))
}

// Shorten cuts a long text of the user's, for messages.
func Shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// builder turns one parsed YAML document into nodes.
type builder struct {
	place   Mapper
	aliased int
	inAlias int
	open    map[*yaml.Node]bool // aliases on the way down, to see cycles
}

func (b *builder) fail(y *yaml.Node, message, hint string) *Fault {
	return &Fault{Place: b.place(y.Line, y.Column), Message: message, Hint: hint}
}

func (b *builder) build(y *yaml.Node, depth int) (*Node, *Fault) {
	if depth > maxDepth {
		return nil, b.fail(y, fmt.Sprintf("nested more than %d deep", maxDepth), "")
	}
	if b.inAlias > 0 {
		if b.aliased++; b.aliased > maxAliased {
			return nil, b.fail(y, fmt.Sprintf("the aliases of this document stand for more than %d values", maxAliased), "write out what is meant")
		}
	}
	pos := b.place(y.Line, y.Column)
	n := &Node{Place: pos, Start: pos}
	switch y.Kind {
	case yaml.AliasNode:
		return b.alias(y, depth)
	case yaml.MappingNode:
		n.kind = mapping
		return n, b.mapping(n, y, depth)
	case yaml.SequenceNode:
		n.kind = list
		b.open[y] = true
		defer delete(b.open, y)
		for _, c := range y.Content {
			item, err := b.build(c, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
		return n, nil
	case yaml.ScalarNode:
		return n, b.scalar(n, y)
	}
	n.tag = "!!null"
	return n, nil
}

func (b *builder) alias(y *yaml.Node, depth int) (*Node, *Fault) {
	if b.open[y.Alias] {
		return nil, b.fail(y, fmt.Sprintf("the alias *%s stands inside its own anchor", y.Value), "")
	}
	b.open[y.Alias] = true
	b.inAlias++
	n, err := b.build(y.Alias, depth+1)
	b.inAlias--
	delete(b.open, y.Alias)
	if err != nil {
		return nil, err
	}
	n.Place = b.place(y.Line, y.Column)
	return n, nil
}

func (b *builder) mapping(n *Node, y *yaml.Node, depth int) *Fault {
	b.open[y] = true
	defer delete(b.open, y)
	var merges []*Node
	where := map[string]Place{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return b.fail(k, "a key must be a plain word, not a mapping or a list", "")
		}
		value, err := b.build(v, depth+1)
		if err != nil {
			return err
		}
		if k.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		value.Place = b.place(k.Line, k.Column)
		n.entries = append(n.entries, entry{key: k.Value, value: value, first: where[k.Value]})
		if where[k.Value].Line == 0 {
			where[k.Value] = value.Place
		}
	}
	return b.merge(n, y, merges, where)
}

// merge adds what "<<" brings; the mapping's own keys win, then the earlier.
func (b *builder) merge(n *Node, y *yaml.Node, merges []*Node, where map[string]Place) *Fault {
	var sources []*Node
	for _, m := range merges {
		if m.kind == list {
			sources = append(sources, m.items...)
		} else {
			sources = append(sources, m)
		}
	}
	for _, m := range sources {
		if m.kind != mapping {
			return b.fail(y, `the merge key "<<" takes a mapping or a list of mappings`, "write \"<<: *name\" with the name of an anchored mapping")
		}
		for _, e := range m.entries {
			if where[e.key].Line == 0 {
				where[e.key] = e.value.Place
				n.entries = append(n.entries, entry{key: e.key, value: e.value})
			}
		}
	}
	return nil
}

func (b *builder) scalar(n *Node, y *yaml.Node) *Fault {
	n.value = y.Value
	n.Literal = y.Style&yaml.LiteralStyle != 0
	n.plain = y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	switch tag := y.ShortTag(); tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!null":
		n.tag = tag
	case "!!timestamp", "!!merge":
		n.tag = "!!str"
	default:
		return b.fail(y, fmt.Sprintf("the YAML tag %s means nothing here", tag), "leave it out")
	}
	if n.plain && n.tag == "!!str" && y.Style&yaml.TaggedStyle == 0 {
		switch y.Value { // booleans to kubectl, which reads YAML 1.1
		case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF":
			n.tag = "!!bool"
		}
	}
	return nil
}
