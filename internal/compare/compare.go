package compare

import (
	"bytes"
	"cmp"
	"slices"
)

// Comparer compares messages. It keeps memory for the next comparison, so it
// is for one goroutine at a time.
type Comparer struct {
	opts     Options
	patterns []pattern

	states  []state
	effects []effect
	none    effect // of paths of which no rule says anything
	path    []pathStep
	order   []int32 // children, sorted or not; used as a stack
	pairs   []pair  // matched elements; used as a stack
	work    int     // how much may still be spent on finding out which elements belong together

	a, b   tree
	types  TypeResolver // nil where those of the options do not fit
	heads  headScratch
	bufA   []byte // decompressed
	bufB   []byte
	decode decoder
	shapes shapeBudget

	found  []Difference
	hashes map[uint64]int32 // of Field and Kind: index in found, or -1 for those beyond the limit
	more   int
	field  []byte
	hashed []hashed // elements by their hash; used as a stack
	scores []int32  // of alignTable
}

// New returns a Comparer. An error names the path and what is wrong with it.
func New(o Options) (*Comparer, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	patterns, err := o.compile()
	if err != nil {
		return nil, err
	}
	return &Comparer{opts: o, patterns: patterns, hashes: map[uint64]int32{}}, nil
}

// maxWork bounds what aligning arrays may cost in one comparison.
const maxWork = 1 << 24

// Compare compares two answers to one request. Neither is changed, and the
// result keeps nothing of them.
//
// Where the bodies have equal bytes nothing is parsed, and Shape is 0 but for
// a share of them: the bytes parsed for their shape alone stay below one in
// 32 of the bytes of equal bodies.
func (c *Comparer) Compare(r Request, a, b *Message) Result {
	c.found, c.more, c.path, c.work = nil, 0, c.path[:0], maxWork
	clear(c.hashes)
	root := c.start()

	c.status(root, a, b)
	c.headers(root, r, a, b)
	c.trailers(root, a, b)
	why, shape := c.body(root, r, a, b)
	c.forget()

	result := Result{Why: why, Differences: c.found, More: c.more, Shape: shape}
	c.found = nil
	slices.SortFunc(result.Differences, func(x, y Difference) int {
		return cmp.Or(cmp.Compare(x.Field, y.Field), cmp.Compare(x.Kind, y.Kind))
	})
	switch {
	case result.More > 0 || slices.ContainsFunc(result.Differences, func(d Difference) bool { return !d.Minor }):
		result.Outcome = Different
	case why.blocks():
		result.Outcome = NotComparable
	}
	return result
}

// What a Comparer keeps at most, of each sort, for the next comparison.
const (
	keptNodes = 1 << 15
	keptBytes = 1 << 20
)

// forget drops all that points into the messages, and memory that few comparisons need.
func (c *Comparer) forget() {
	c.states = c.states[:0]
	clear(c.path[:cap(c.path)])
	clear(c.heads.a[:cap(c.heads.a)])
	clear(c.heads.b[:cap(c.heads.b)])
	c.decode.in.Reset(nil)
	for _, t := range []*tree{&c.a, &c.b} {
		t.src = nil
		if cap(t.nodes) > keptNodes {
			t.nodes, t.hash = nil, nil
		}
		if cap(t.extra) > keptBytes {
			t.extra = nil
		}
	}
	if cap(c.bufA)+cap(c.bufB) > 2*keptBytes {
		c.bufA, c.bufB = nil, nil
	}
	if cap(c.order)+cap(c.pairs)+cap(c.hashed)+cap(c.scores) > 8*keptNodes {
		c.order, c.pairs, c.hashed, c.scores = nil, nil, nil, nil
	}
}

func (c *Comparer) status(root states, a, b *Message) {
	if a.Status == b.Status {
		return
	}
	st, e := c.name(root, []byte("status"))
	defer c.release(st)
	if e.ignore {
		return
	}
	c.enter("status")
	if d := c.record(Changed); d != nil {
		d.A, d.B = numberValue(int64(a.Status)), numberValue(int64(b.Status))
	}
	c.pop()
}

// body compares the bodies and returns what stood in the way, and the shape.
func (c *Comparer) body(root states, r Request, a, b *Message) (Reason, uint64) {
	if equalBody(a, b) {
		return "", c.equalShape(r, a)
	}
	st, e := c.name(root, []byte("body"))
	defer c.release(st)
	if e.ignore {
		return "", 0
	}
	c.enter("body")
	defer c.pop()
	if a.Cut || b.Cut {
		c.cut(a, b)
		return Cut, 0
	}
	return c.differing(r, st, e, a, b)
}

// cut compares bodies of which one is not whole.
func (c *Comparer) cut(a, b *Message) {
	n := min(len(a.Body), len(b.Body))
	if !bytes.Equal(a.Body[:n], b.Body[:n]) || !a.Cut && len(a.Body) < len(b.Body) || !b.Cut && len(b.Body) < len(a.Body) {
		c.opaque(a, b)
		return
	}
	if x, y := a.size(), b.size(); x >= 0 && y >= 0 && x != y {
		c.length(x, y)
	}
}

// opaque records bodies of which only their bytes are known.
func (c *Comparer) opaque(a, b *Message) {
	if d := c.record(Opaque); d != nil {
		d.A, d.B = bytesValue(a.Body, a.size()), bytesValue(b.Body, b.size())
	}
}

func (c *Comparer) length(a, b int64) {
	if d := c.record(Length); d != nil {
		d.A, d.B = numberValue(a), numberValue(b)
	}
}
