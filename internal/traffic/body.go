package traffic

// Body is the beginning of a message's body, kept to be looked at once the
// message is over. It keeps nothing until it is opened.
type Body struct {
	// Bytes are as they were sent, without the framing; compressed ones stay so.
	// They are valid until the body is closed, and must not be written to.
	Bytes []byte
	// Cut says that Bytes are not all of it: it is longer than what is kept, or
	// there was no memory for it.
	Cut bool

	store *BodyStore
	limit int
}

// Open has the body keep up to limit bytes, in memory that the store lends.
func (b *Body) Open(store *BodyStore, limit int64) {
	b.Close()
	b.store, b.limit = store, int(min(limit, maxKept))
}

// Append keeps what fits of p. Behind a gap nothing is kept.
func (b *Body) Append(p []byte) {
	if b.store == nil || b.Cut || len(p) == 0 {
		return
	}
	if room := b.limit - len(b.Bytes); len(p) > room {
		b.Cut = true
		p = p[:max(room, 0)]
	}
	if need := len(b.Bytes) + len(p); need > cap(b.Bytes) {
		grown := b.store.lend(need)
		if grown == nil {
			b.Cut = true
			return
		}
		grown = append(grown, b.Bytes...)
		b.store.takeBack(b.Bytes)
		b.Bytes = grown
	}
	b.Bytes = append(b.Bytes, p...)
}

// Close forgets the body and gives its memory back.
func (b *Body) Close() {
	if b.store != nil {
		b.store.takeBack(b.Bytes)
	}
	*b = Body{}
}

// Sizes of what a BodyStore lends.
const (
	minKept = 4 << 10
	maxKept = 4 << 20
	classes = 11 // 4 KiB, 8 KiB, ... 4 MiB
)

// BodyStore lends memory to the bodies of one event loop, and bounds it. It is
// not for concurrent use.
type BodyStore struct {
	room int64 // bytes that may still be lent
	free [classes][][]byte
	idle int64 // bytes in free
	most int64 // of idle
}

// NewBodyStore makes a store that lends so many bytes at most. A quarter of them
// may wait to be lent again.
func NewBodyStore(limit int64) *BodyStore { return &BodyStore{room: limit, most: limit / 4} }

// class is the smallest class with room for n bytes, and its size.
func class(n int) (i, size int) {
	for size = minKept; size < n; size *= 2 {
		i++
	}
	return i, size
}

func (s *BodyStore) lend(n int) []byte {
	i, size := class(n)
	if int64(size) > s.room {
		return nil
	}
	s.room -= int64(size)
	if l := len(s.free[i]); l > 0 {
		b := s.free[i][l-1]
		s.free[i] = s.free[i][:l-1]
		s.idle -= int64(size)
		return b
	}
	return make([]byte, 0, size)
}

func (s *BodyStore) takeBack(b []byte) {
	if cap(b) == 0 {
		return
	}
	i, size := class(cap(b))
	s.room += int64(size)
	if s.idle+int64(size) <= s.most {
		s.free[i] = append(s.free[i], b[:0])
		s.idle += int64(size)
	}
}
