package loop

// bufferSize is what a connection borrows while it holds bytes.
const bufferSize = 16 << 10

// buffers lends byte slices to the connections of one loop.
type buffers struct{ free [][]byte }

// maxFree bounds the memory that a loop keeps after a burst: 4 MiB.
const maxFree = 256

func (b *buffers) get() []byte {
	if n := len(b.free); n > 0 {
		p := b.free[n-1]
		b.free[n-1] = nil
		b.free = b.free[:n-1]
		return p
	}
	return make([]byte, 0, bufferSize)
}

func (b *buffers) put(p []byte) {
	if cap(p) == bufferSize && len(b.free) < maxFree {
		b.free = append(b.free, p[:0])
	}
}
