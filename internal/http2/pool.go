package http2

import "github.com/sundog-mesh/sundog/internal/traffic"

// Pool is the memory that the connections of one goroutine share: buffers and
// streams that are not in use. The zero value is ready.
type Pool struct {
	small, large [][]byte
	streams      []*Stream
	heads        []*traffic.Head
	encoded      []byte // a header block that is being written
}

// The sizes of buffers, and how many are kept after a burst: 1 and 4 MiB.
const (
	smallChunk = 2 << 10
	largeChunk = 16 << 10

	keptSmall   = 512
	keptLarge   = 256
	keptStreams = 1024
	keptHeads   = 16

	// keptHeadSize is how large a head may have been to be kept with its stream.
	keptHeadSize = 8 << 10
)

// chunk is an empty buffer, for n bytes if that is little.
func (p *Pool) chunk(n int) []byte {
	list, size := &p.large, largeChunk
	if n <= smallChunk {
		list, size = &p.small, smallChunk
	}
	last := len(*list) - 1
	if last < 0 {
		return make([]byte, 0, size)
	}
	b := (*list)[last]
	(*list)[last] = nil
	*list = (*list)[:last]
	return b
}

func (p *Pool) putChunk(b []byte) {
	switch {
	case cap(b) == smallChunk && len(p.small) < keptSmall:
		p.small = append(p.small, b[:0])
	case cap(b) == largeChunk && len(p.large) < keptLarge:
		p.large = append(p.large, b[:0])
	}
}

func (p *Pool) stream() *Stream {
	last := len(p.streams) - 1
	if last < 0 {
		return &Stream{}
	}
	s := p.streams[last]
	p.streams[last] = nil
	p.streams = p.streams[:last]
	return s
}

// putStream takes a stream back that nobody refers to.
func (p *Pool) putStream(s *Stream) {
	if len(p.streams) >= keptStreams {
		return
	}
	head, trailers, closing := s.head, s.trailers, s.closing
	in, out, early := s.in, s.out, s.early[:0]
	*s = Stream{early: early}
	s.in, s.out = in.empty(), out.empty()
	if head.Size() <= keptHeadSize {
		s.head = head
	}
	if trailers.Size() <= keptHeadSize {
		s.trailers = trailers
	}
	if closing.Size() <= keptHeadSize {
		s.closing = closing
	}
	p.streams = append(p.streams, s)
}

func (p *Pool) head() *traffic.Head {
	last := len(p.heads) - 1
	if last < 0 {
		return &traffic.Head{}
	}
	h := p.heads[last]
	p.heads = p.heads[:last]
	return h
}

func (p *Pool) putHead(h *traffic.Head) {
	if len(p.heads) < keptHeads && h.Size() <= keptHeadSize {
		p.heads = append(p.heads, h)
	}
}

// queue is payload that waits, in borrowed buffers.
type queue struct {
	chunks [][]byte // the first of them is chunks[first]
	first  int
	off    int // of the first one's bytes that are gone
	n      int // bytes that wait
}

func (q *queue) add(p []byte, pool *Pool) {
	q.n += len(p)
	for len(p) > 0 {
		last := len(q.chunks) - 1
		if last < q.first || len(q.chunks[last]) == cap(q.chunks[last]) {
			need := len(p)
			if last >= q.first {
				need = largeChunk
			}
			q.push(pool.chunk(need))
			last = len(q.chunks) - 1
		}
		b := q.chunks[last]
		n := min(len(p), cap(b)-len(b))
		q.chunks[last] = append(b, p[:n]...)
		p = p[n:]
	}
}

func (q *queue) push(b []byte) {
	if q.first > 0 && len(q.chunks) == cap(q.chunks) {
		n := copy(q.chunks, q.chunks[q.first:])
		clear(q.chunks[n:])
		q.chunks, q.first = q.chunks[:n], 0
	}
	q.chunks = append(q.chunks, b)
}

// front is the first piece of what waits; nil if nothing does.
func (q *queue) front() []byte {
	if q.n == 0 {
		return nil
	}
	b := q.chunks[q.first]
	return b[q.off:len(b):len(b)]
}

// drop removes the first n bytes.
func (q *queue) drop(n int, pool *Pool) {
	q.n -= n
	for n > 0 {
		b := q.chunks[q.first]
		k := min(n, len(b)-q.off)
		q.off += k
		n -= k
		if q.off < len(b) {
			return
		}
		pool.putChunk(b)
		q.chunks[q.first] = nil
		q.first++
		q.off = 0
	}
	if q.n == 0 {
		*q = q.empty()
	}
}

// empty is the queue without anything in it, and with its memory.
func (q *queue) empty() queue { return queue{chunks: q.chunks[:0]} }
