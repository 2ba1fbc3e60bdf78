package endpoint

import (
	"fmt"
	"strings"
)

// Other is the template of paths for which there is no room.
const Other = "/{other}"

// Options say how a Learner learns. The zero value is good.
type Options struct {
	// Templates are given: "/users/{id}/orders/{order}". A parameter may have text
	// around it in its segment, "{id}.json"; one with dots or a plus at its end,
	// "{path...}", stands for all that follows, and so does "**".
	Templates []string
	// Max is how many templates are learnt; 0: 1,000.
	Max int
	// Distinct is how many names may follow the same parent before they become a
	// parameter; 0: 50. A fifth of that is enough for names that look like values.
	Distinct int
	// Widened is told that a template stands for more paths from now on, and has a
	// new form; new may be in use already. nil: nobody is told.
	Widened func(old, new string)
}

// Learner finds templates for paths. It is not for concurrent use.
type Learner struct {
	given    *givenNode
	root     *node
	grpc     map[string]string
	max      int
	distinct int
	widened  func(old, new string)

	templates int // learnt ones
	nodes     int
	others    uint64
	segments  []string // scratch: of the path
	keys      []string // scratch: of the nodes on the way
}

// node is the parent of segments.
type node struct {
	children map[string]*node // by key
	names    int              // children that are names
	odd      int              // children that look odd
	// open says that names that are not children go to Param; openOdd, that odd
	// ones do.
	open, openOdd bool

	hits     uint64
	ends     bool
	template string   // where ends
	old      []string // templates that this one takes the place of, until settle
}

const (
	defaultMax      = 1000
	defaultDistinct = 50
	maxSegments     = 32
	// A child stays a name when its siblings become a parameter if it has so many
	// hits, and so many times those of the middle one of them.
	keptHits  = 16
	keptTimes = 8
)

// New makes a learner. An error names the template that is malformed.
func New(o Options) (*Learner, error) {
	l := &Learner{
		given: &givenNode{}, root: &node{}, grpc: map[string]string{},
		max: o.Max, distinct: o.Distinct, widened: o.Widened, nodes: 1,
	}
	if l.max <= 0 {
		l.max = defaultMax
	}
	if l.distinct <= 0 {
		l.distinct = defaultDistinct
	}
	for _, t := range o.Templates {
		if err := l.given.add(t); err != nil {
			return nil, fmt.Errorf("the template %q: %w", t, err)
		}
	}
	return l, nil
}

// Others is how many paths had no room.
func (l *Learner) Others() uint64 { return l.others }

// Len is how many templates are learnt, and Nodes how many nodes they take,
// which is what the memory depends on.
func (l *Learner) Len() int { return l.templates + len(l.grpc) }

// Nodes is the size of what is learnt.
func (l *Learner) Nodes() int { return l.nodes + len(l.grpc) }

// Template is the template of a request's path. For a path that is known it
// allocates nothing.
func (l *Learner) Template(method, path string) string {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	if path == "" || path[0] != '/' { // CONNECT and OPTIONS *
		if path == "*" {
			return "*"
		}
		return l.other()
	}
	l.split(path)
	if t, ok := l.given.find(l.segments); ok {
		return t
	}
	if len(l.segments) > maxSegments {
		return l.other()
	}
	if method == "POST" && len(l.segments) == 2 && isService(l.segments[0]) && isMethod(l.segments[1]) {
		return l.grpcTemplate(path)
	}
	return l.learn()
}

func (l *Learner) other() string {
	l.others++
	return Other
}

// split fills in the segments of a path that begins with a slash.
func (l *Learner) split(path string) {
	l.segments = l.segments[:0]
	for rest, more := path[1:], true; more; {
		var s string
		s, rest, more = strings.Cut(rest, "/")
		l.segments = append(l.segments, s)
	}
}

// grpcTemplate is the path itself: gRPC has no parameters in it.
func (l *Learner) grpcTemplate(path string) string {
	if t, ok := l.grpc[path]; ok {
		return t
	}
	if l.Len() >= l.max {
		return l.other()
	}
	path = strings.Clone(path)
	l.grpc[path] = path
	return path
}

// isService knows "pkg.v1.Service".
func isService(s string) bool {
	i := strings.LastIndexByte(s, '.')
	return i > 0 && isMethod(s[i+1:]) && isIdentifiers(s)
}

// isMethod knows "Method".
func isMethod(s string) bool {
	return len(s) > 0 && len(s) <= maxWord && isUpper(s[0]) && isIdentifiers(s)
}

func isIdentifiers(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLower(c) && !isUpper(c) && !isDigit(c) && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// learn finds the template of l.segments, and makes one where there is room.
func (l *Learner) learn() string {
	full := l.Len() >= l.max
	l.keys = l.keys[:0]
	n := l.root
	for depth, segment := range l.segments {
		k, c := l.child(n, segment, depth)
		if c == nil {
			if full {
				return l.other()
			}
			k, c = l.grow(n, segment, depth)
		}
		c.hits++
		l.keys = append(l.keys, k)
		n = c
	}
	if !n.ends {
		if full {
			return l.other()
		}
		n.ends, n.template = true, l.prefix()
		l.templates++
	}
	return n.template
}

// prefix is the template of the nodes that l.keys lead to.
func (l *Learner) prefix() string {
	if len(l.keys) == 0 {
		return ""
	}
	return "/" + strings.Join(l.keys, "/")
}

// child is where a segment leads, if it leads anywhere, and its key.
func (l *Learner) child(n *node, segment string, depth int) (string, *node) {
	if c := n.children[segment]; c != nil {
		return segment, c
	}
	k, look := l.key(segment, depth)
	if c := n.children[k]; c != nil {
		return k, c
	}
	if look == word && n.open || look == odd && (n.open || n.openOdd) {
		return Param, n.children[Param]
	}
	return k, nil
}

// key is the key of a segment; at the start of a path a short number or a date
// is a version of the API.
func (l *Learner) key(segment string, depth int) (string, look) {
	k, look := key(segment)
	if look == value && depth == 0 && isVersion(segment) {
		return segment, odd
	}
	return k, look
}

// isVersion knows "2", "1.1" and "2010-04-01".
func isVersion(s string) bool {
	if len(s) == 10 {
		return s[4] == '-' && s[7] == '-'
	}
	return len(s) <= 3 && isDigit(s[0])
}

// grow adds a child for the segment. Where that makes too many, they become a
// parameter.
func (l *Learner) grow(n *node, segment string, depth int) (string, *node) {
	k, _ := l.key(segment, depth)
	k = strings.Clone(k) // a path is the caller's
	c := &node{}
	l.nodes++
	n.put(k, c)
	prefix := l.prefix()
	switch {
	case n.names > l.distinct && !n.open:
		l.widen(n, prefix, true)
	case n.odd > max(l.distinct/5, 1) && !n.open && !n.openOdd:
		l.widen(n, prefix, false)
	default:
		return k, c
	}
	return l.child(n, segment, depth)
}

// put adds a child.
func (n *node) put(k string, c *node) {
	if n.children == nil {
		n.children = map[string]*node{}
	}
	n.children[k] = c
	n.count(k, 1)
}

// count counts a child among those of its look.
func (n *node) count(k string, by int) {
	switch looksLike(k) {
	case word:
		n.names += by
	case odd:
		n.odd += by
	}
}

// looksLike is the look of a key: that of Param is value.
func looksLike(k string) look {
	switch replaced, l := key(k); {
	case k == Param:
		return value
	case l == fixed:
		return fixed
	case replaced != k || l == value:
		return odd
	default:
		return l
	}
}
