package judge

import "sync"

// queue holds the exchanges that wait to be compared, and the accounts of all
// comparisons: an exchange and its place in the account move in one step, so
// accounts balance whenever one looks.
type queue struct {
	mu      sync.Mutex
	ring    []*item
	from, n int
	bytes   int64
	most    int64
	dropped uint64
	free    []*item
	kept    int // bytes that free retains

	wake chan struct{}
}

func (q *queue) init(items int, bytes int64) {
	q.ring, q.most = make([]*item, items), bytes
	q.wake = make(chan struct{}, 1)
}

// Reasons why an exchange is dropped.
const queueFull = "queue_full"

// account says what became of the exchanges of one comparison.
type account struct {
	Waiting       uint64            `json:"-"` // in this process
	Compared      uint64            `json:"compared"`
	Equal         uint64            `json:"equal"`
	Different     uint64            `json:"different"`
	WithBaseline  uint64            `json:"withBaseline"`
	NotComparable map[string]uint64 `json:"notComparable"`
	Dropped       map[string]uint64 `json:"dropped"`
}

// admit returns an empty item, or nil when there is certainly no room for
// another; then the exchange is accounted for as dropped.
func (q *queue) admit(of []*comparison) *item {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == len(q.ring) || q.bytes >= q.most {
		q.dropped++
		for _, c := range of {
			c.Totals.Dropped[queueFull]++
		}
		return nil
	}
	if n := len(q.free); n > 0 {
		it := q.free[n-1]
		q.free = q.free[:n-1]
		q.kept -= it.retained
		return it
	}
	return &item{}
}

// Bounds of the memory that waits to be used again.
const (
	mostFree = 128
	mostKept = 16 << 20 // bytes
)

// put gives an item back.
func (q *queue) put(it *item) {
	it.reset()
	it.retained = it.retains()
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.free) < mostFree && q.kept+it.retained <= mostKept {
		q.free = append(q.free, it)
		q.kept += it.retained
	}
}

// push takes the item in, or returns false; either way it is accounted for in
// its comparisons.
func (q *queue) push(it *item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == len(q.ring) || q.bytes+it.bytes > q.most {
		q.dropped++
		for i := range it.candidates {
			it.candidates[i].of.Totals.Dropped[queueFull]++
		}
		return false
	}
	for i := range it.candidates {
		it.candidates[i].of.Totals.Waiting++
	}
	q.ring[(q.from+q.n)%len(q.ring)] = it
	q.n++
	q.bytes += it.bytes
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

// pop returns the item that waits longest, or nil.
func (q *queue) pop() *item {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == 0 {
		return nil
	}
	it := q.ring[q.from]
	q.ring[q.from] = nil
	q.from = (q.from + 1) % len(q.ring)
	if q.n--; q.n > 0 { // for another worker
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return it
}

// notComparable accounts for an exchange that never waited.
func (q *queue) notComparable(c *comparison, why string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c.Totals.NotComparable[why]++
}

// settled accounts for one that did: compared, if why is empty.
func (q *queue) settled(c *comparison, why string, different, withBaseline bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &c.Totals
	t.Waiting--
	if why != "" {
		t.NotComparable[why]++
		return
	}
	t.Compared++
	if different {
		t.Different++
	} else {
		t.Equal++
	}
	if withBaseline {
		t.WithBaseline++
	}
}

// let gives back the room of an item that was popped.
func (q *queue) let(bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= bytes
}
