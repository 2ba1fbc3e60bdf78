package loop

// The sizes of buffers: what a connection borrows while it holds bytes; what
// it gets when its output does not fit, up to HighWater and a little more; and
// what the backlog of a copy needs, whose bound is 1 MiB.
const (
	bufferSize = 16 << 10
	mediumSize = 128 << 10
	largeSize  = 1<<20 + mediumSize
)

// buffers lends byte slices to the connections of one loop, and keeps some of
// each size after a burst: 4, 8 and 9 MiB.
type buffers struct{ small, medium, large bufferList }

type bufferList struct{ free [][]byte }

const (
	keptSmall  = 256
	keptMedium = 64
	keptLarge  = 8
)

func (b *buffers) get() []byte { return b.small.get(bufferSize) }

// grow moves what is in p to a buffer with room for more bytes.
func (b *buffers) grow(p []byte, more int) []byte {
	var bigger []byte
	switch need := len(p) + more; {
	case need <= mediumSize:
		bigger = b.medium.get(mediumSize)
	case need <= largeSize:
		bigger = b.large.get(largeSize)
	default:
		bigger = make([]byte, 0, 2*need)
	}
	bigger = append(bigger, p...)
	b.put(p)
	return bigger
}

func (b *buffers) put(p []byte) {
	switch cap(p) {
	case bufferSize:
		b.small.put(p, keptSmall)
	case mediumSize:
		b.medium.put(p, keptMedium)
	case largeSize:
		b.large.put(p, keptLarge)
	}
}

func (l *bufferList) get(size int) []byte {
	n := len(l.free)
	if n == 0 {
		return make([]byte, 0, size)
	}
	p := l.free[n-1]
	l.free[n-1] = nil
	l.free = l.free[:n-1]
	return p
}

func (l *bufferList) put(p []byte, most int) {
	if len(l.free) < most {
		l.free = append(l.free, p[:0])
	}
}
