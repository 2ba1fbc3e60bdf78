package http2

// table finds the streams that are open on the wire: open addressing, linear
// probing. Identifiers follow one another, so they hardly ever collide.
type table struct {
	slots []*Stream // a power of two
	n     int
}

const minTable = 8

func (t *table) home(id uint32) int { return int(id>>1) & (len(t.slots) - 1) }

func (t *table) get(id uint32) *Stream {
	if t.n == 0 {
		return nil
	}
	mask := len(t.slots) - 1
	for i := t.home(id); ; i = (i + 1) & mask {
		s := t.slots[i]
		if s == nil || s.id == id {
			return s
		}
	}
}

func (t *table) put(s *Stream) {
	if 2*(t.n+1) > len(t.slots) {
		t.resize(max(minTable, 2*len(t.slots)))
	}
	t.insert(s)
	t.n++
}

func (t *table) insert(s *Stream) {
	i := t.home(s.id)
	for t.slots[i] != nil {
		i = (i + 1) & (len(t.slots) - 1)
	}
	t.slots[i] = s
}

func (t *table) resize(size int) {
	old := t.slots
	t.slots = make([]*Stream, size)
	for _, s := range old {
		if s != nil {
			t.insert(s)
		}
	}
}

// remove takes the stream with this identifier out and moves those that had
// to stand behind it.
func (t *table) remove(id uint32) {
	mask := len(t.slots) - 1
	i := t.home(id)
	for t.slots[i] == nil || t.slots[i].id != id {
		i = (i + 1) & mask
	}
	t.n--
	for {
		t.slots[i] = nil
		for j := (i + 1) & mask; ; j = (j + 1) & mask {
			s := t.slots[j]
			if s == nil {
				return
			}
			if (j-t.home(s.id))&mask >= (j-i)&mask {
				t.slots[i] = s
				i = j
				break
			}
		}
	}
}

// history remembers of the latest identifiers what became of them once their
// streams are closed: frames for a stream that this side has reset may still
// be on their way, others are an error.
type history struct {
	last   uint32 // the highest number so far; numbers are identifiers / 2
	opened [historyWords]uint64
	reset  [historyWords]uint64
}

const (
	historyWords = 16
	historySize  = historyWords * 64
)

// open adds an identifier, which is higher than all before.
func (h *history) open(id uint32) {
	n := id >> 1
	if n-h.last >= historySize {
		h.opened, h.reset = [historyWords]uint64{}, [historyWords]uint64{}
	} else {
		for i := h.last + 1; i <= n; i++ {
			h.opened[i/64%historyWords] &^= 1 << (i % 64)
			h.reset[i/64%historyWords] &^= 1 << (i % 64)
		}
	}
	h.last = n
	h.opened[n/64%historyWords] |= 1 << (n % 64)
}

func (h *history) remembers(n uint32) bool { return n <= h.last && h.last-n < historySize }

// markReset says that this side has reset the stream.
func (h *history) markReset(id uint32) {
	if n := id >> 1; h.remembers(n) {
		h.reset[n/64%historyWords] |= 1 << (n % 64)
	}
}

// fate is what is known of a closed stream.
type fate uint8

const (
	fateForgotten fate = iota
	fateSkipped        // never opened, its number was passed over
	fateReset          // by this side: the peer may not know yet
	fateClosed         // and the peer knows it
)

func (h *history) fate(id uint32) fate {
	n := id >> 1
	bit := uint64(1) << (n % 64)
	switch {
	case !h.remembers(n):
		return fateForgotten
	case h.opened[n/64%historyWords]&bit == 0:
		return fateSkipped
	case h.reset[n/64%historyWords]&bit != 0:
		return fateReset
	}
	return fateClosed
}
