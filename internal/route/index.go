package route

import (
	"bytes"
	"hash/maphash"
	"sort"
)

// hashIndex finds the values that are stored under a key, in a table with
// open addressing.
type hashIndex struct {
	seed  maphash.Seed
	slots []hashSlot // a power of two, at most half full; nil when empty
}

type hashSlot struct {
	hash   uint64
	key    string
	values []int32 // ascending; nil marks a free slot
}

func newHashIndex(entries map[string][]int32) hashIndex {
	x := hashIndex{seed: maphash.MakeSeed()}
	if len(entries) == 0 {
		return x
	}
	size := 4
	for size < 2*len(entries) {
		size *= 2
	}
	x.slots = make([]hashSlot, size)
	for key, values := range entries {
		h := maphash.String(x.seed, key)
		i := h & uint64(size-1)
		for x.slots[i].values != nil {
			i = (i + 1) & uint64(size-1)
		}
		x.slots[i] = hashSlot{h, key, values}
	}
	return x
}

func (x *hashIndex) get(key []byte) []int32 {
	if x.slots == nil {
		return nil
	}
	h := maphash.Bytes(x.seed, key)
	mask := uint64(len(x.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		s := &x.slots[i]
		if s.values == nil || s.hash == h && s.key == string(key) {
			return s.values
		}
	}
}

// trie finds the keys that are prefixes of a string. It is a compact prefix
// tree without pointers, so that a look-up touches little memory: nodes in one
// slice, the children of each side by side, labels and values in two more.
type trie struct {
	nodes  []trieNode // the root is the first; empty when there is no key
	first  []byte     // first[i] is the first byte of the label of nodes[i]
	labels []byte
	values []int32
}

type trieNode struct {
	label, labelLen  uint32 // what the edge to this node adds, in labels
	child, children  uint32 // in nodes, by their first bytes
	values, valueLen uint32 // of the key that ends here; ascending
	// above is the nearest node on the way to the root with values; -1 none.
	above int32
}

func newTrie(entries map[string][]int32) trie {
	keys := make([]string, 0, len(entries))
	for k := range entries {
		keys = append(keys, k)
	}
	var t trie
	if len(keys) > 0 {
		sort.Strings(keys)
		t.nodes, t.first = make([]trieNode, 1), make([]byte, 1)
		t.fill(0, -1, keys, 0, entries)
	}
	return t
}

// fill makes the node and what is below it for the sorted keys, which agree
// in their first depth bytes.
func (t *trie) fill(at uint32, above int32, keys []string, depth int, entries map[string][]int32) {
	n := &t.nodes[at]
	n.above = above
	if len(keys[0]) == depth {
		n.values, n.valueLen = uint32(len(t.values)), uint32(len(entries[keys[0]]))
		t.values = append(t.values, entries[keys[0]]...)
		above, keys = int32(at), keys[1:]
	}
	var groups [][]string
	for len(keys) > 0 {
		c := keys[0][depth]
		k := sort.Search(len(keys), func(i int) bool { return keys[i][depth] > c })
		groups, keys = append(groups, keys[:k]), keys[k:]
	}
	child := uint32(len(t.nodes))
	n.child, n.children = child, uint32(len(groups))
	for _, g := range groups {
		label := commonPrefix(g[0], g[len(g)-1])[depth:] // sorted, so common to all
		t.nodes = append(t.nodes, trieNode{label: uint32(len(t.labels)), labelLen: uint32(len(label))})
		t.first = append(t.first, label[0])
		t.labels = append(t.labels, label...)
	}
	for i, g := range groups {
		i := child + uint32(i)
		t.fill(i, above, g, depth+int(t.nodes[i].labelLen), entries)
	}
}

func commonPrefix(a, b string) string {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return a[:i]
		}
	}
	return a[:n]
}

// find returns the node of the longest key that is a prefix of s, or -1. The
// shorter ones are above it.
func (t *trie) find(s []byte) int32 {
	best := int32(-1)
	if len(t.nodes) == 0 {
		return best
	}
	at := uint32(0)
	for {
		n := &t.nodes[at]
		if n.labelLen > 1 {
			if len(s) < int(n.labelLen) || !bytes.Equal(s[:n.labelLen], t.labels[n.label:n.label+n.labelLen]) {
				return best
			}
		}
		s = s[n.labelLen:]
		if n.valueLen > 0 {
			best = int32(at)
		}
		if len(s) == 0 {
			return best
		}
		i := bytes.IndexByte(t.first[n.child:n.child+n.children], s[0])
		if i < 0 {
			return best
		}
		at = n.child + uint32(i)
	}
}

func (t *trie) at(node int32) []int32 {
	n := &t.nodes[node]
	return t.values[n.values : n.values+n.valueLen]
}

// next returns the least of the ascending values that is above last, or -1.
func next(values []int32, last int32) int32 {
	lo, hi := 0, len(values)
	if hi == 0 || values[hi-1] <= last {
		return -1
	}
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if values[mid] <= last {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return values[lo]
}

// pathIndex yields, in order, the routes of a virtual host that a path can
// possibly match, so that only those are tried.
type pathIndex struct {
	exact    hashIndex // by path
	prefixes trie      // by prefix, or by the literal start of a regex; "" when there is none

	// The same for the routes that do not regard case, in lower case.
	foldExact    hashIndex
	foldPrefixes trie
}

// candidates is one walk over a pathIndex.
type candidates struct {
	index       *pathIndex
	exact, fold []int32
	node, foldN int32
}

// lookup starts a walk. path has no query; lower is path in lower case, and
// only needed where x.folds().
func (x *pathIndex) lookup(path, lower []byte) candidates {
	c := candidates{index: x, exact: x.exact.get(path), node: x.prefixes.find(path), foldN: -1}
	if x.folds() {
		c.fold, c.foldN = x.foldExact.get(lower), x.foldPrefixes.find(lower)
	}
	return c
}

func (x *pathIndex) folds() bool { return x.foldExact.slots != nil || len(x.foldPrefixes.nodes) > 0 }

// next is the first candidate above last, or -1.
func (c *candidates) next(last int32) int32 {
	best := lesser(next(c.exact, last), next(c.fold, last))
	for n := c.node; n >= 0; n = c.index.prefixes.nodes[n].above {
		best = lesser(best, next(c.index.prefixes.at(n), last))
	}
	for n := c.foldN; n >= 0; n = c.index.foldPrefixes.nodes[n].above {
		best = lesser(best, next(c.index.foldPrefixes.at(n), last))
	}
	return best
}

// lesser is the smaller of two route numbers, of which -1 is none.
func lesser(a, b int32) int32 {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}
