package hpack

// initialTable is the size of the dynamic table before any setting (RFC 9113,
// section 6.5.2).
const initialTable = 4096

// table is the dynamic table: a ring of entries whose bytes stand one after
// the other, from the oldest to the newest, in one buffer that is no larger
// than the table may be. Both grow as they are used.
type table struct {
	size, max int // as RFC 7541, section 4.1, counts

	entries  []entry // a power of two, or none
	first, n int     // the oldest one, and how many

	buf        []byte
	start, end int // of the bytes in use
}

// entry is name and value, in this order, from at on, where the first byte of
// buf is position 0 and an entry never moves but by table.shift.
type entry struct {
	at, name, value uint32
	tag             tag
	valid           bool
}

func (t *table) entry(i int) *entry { return &t.entries[(t.first+i)&(len(t.entries)-1)] }

// get returns the i-th newest entry; its bytes are valid until the next add.
func (t *table) get(i int) field {
	e := t.entry(t.n - 1 - i)
	mid := e.at + e.name
	end := mid + e.value
	return field{
		name: t.buf[e.at:mid:mid], value: t.buf[mid:end:end],
		size: int(e.name+e.value) + overhead, tag: e.tag, valid: e.valid,
	}
}

// resize evicts what does not fit any more.
func (t *table) resize(limit int) {
	t.max = limit
	t.evict(limit)
}

// evict makes the table no larger than limit.
func (t *table) evict(limit int) {
	for t.size > limit {
		e := t.entry(0)
		n := int(e.name + e.value)
		t.start += n
		t.size -= n + overhead
		t.first++
		t.n--
	}
	if t.n == 0 {
		t.first, t.start, t.end = 0, 0, 0
	}
}

// add makes f, whose bytes are not the table's, the newest entry. A field
// larger than the table empties it (RFC 7541, section 4.4).
func (t *table) add(f *field) {
	if f.size > t.max {
		t.evict(0)
		return
	}
	t.evict(t.max - f.size)
	need := f.size - overhead
	if t.end+need > len(t.buf) {
		t.shift(need)
	}
	if t.n == len(t.entries) {
		t.grow()
	}
	*t.entry(t.n) = entry{uint32(t.end), uint32(len(f.name)), uint32(len(f.value)), f.tag, f.valid}
	t.n++
	t.size += f.size
	t.end += copy(t.buf[t.end:], f.name)
	t.end += copy(t.buf[t.end:], f.value)
}

// shift moves all bytes to the start of the buffer, and makes it larger if
// there is still no room for need more.
func (t *table) shift(need int) {
	used := t.end - t.start
	to := t.buf
	if used+need > len(to) {
		to = make([]byte, max(used+need, min(2*len(to), t.max), min(512, t.max)))
	}
	copy(to, t.buf[t.start:t.end])
	for i := range t.n {
		t.entry(i).at -= uint32(t.start)
	}
	t.buf, t.start, t.end = to, 0, used
}

func (t *table) grow() {
	more := make([]entry, max(16, 2*len(t.entries)))
	for i := range t.n {
		more[i] = *t.entry(i)
	}
	t.entries, t.first = more, 0
}
