package loop

// bufferSize is what a connection borrows while it holds bytes; largeSize what
// it gets when its output does not fit: the backlog of a copy, as a rule, whose
// bound is 1 MiB.
const (
	bufferSize = 16 << 10
	largeSize  = 1<<20 + 128<<10
)

// buffers lends byte slices to the connections of one loop.
type buffers struct{ free, large [][]byte }

// What a loop keeps after a burst: 4 MiB and 9 MiB.
const (
	maxFree  = 256
	maxLarge = 8
)

func (b *buffers) get() []byte {
	if p := pop(&b.free); p != nil {
		return p
	}
	return make([]byte, 0, bufferSize)
}

// grow moves what is in p to a buffer with room for more bytes.
func (b *buffers) grow(p []byte, more int) []byte {
	need := len(p) + more
	var bigger []byte
	if need <= largeSize {
		if bigger = pop(&b.large); bigger == nil {
			bigger = make([]byte, 0, largeSize)
		}
	} else {
		bigger = make([]byte, 0, 2*need)
	}
	bigger = append(bigger, p...)
	b.put(p)
	return bigger
}

func (b *buffers) put(p []byte) {
	switch cap(p) {
	case bufferSize:
		push(&b.free, p, maxFree)
	case largeSize:
		push(&b.large, p, maxLarge)
	}
}

func pop(list *[][]byte) []byte {
	n := len(*list)
	if n == 0 {
		return nil
	}
	p := (*list)[n-1]
	(*list)[n-1] = nil
	*list = (*list)[:n-1]
	return p
}

func push(list *[][]byte, p []byte, most int) {
	if len(*list) < most {
		*list = append(*list, p[:0])
	}
}
