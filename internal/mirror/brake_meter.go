package mirror

import "time"

// Meter notes how long the requests of one loop took. It belongs to its loop;
// what it has noted is taken away once a second. The zero value is ready.
type Meter struct {
	notes, spare []note
	dropped      uint64
}

// note is one request.
type note struct {
	brake *Brake
	what  uint32 // its duration's bucket, with mirroredFlag
}

const (
	mirroredFlag uint32 = 1 << 31
	// maxNotes bounds what a loop notes between two ticks, 256 KiB. A busier
	// loop is measured in the first part of each second.
	maxNotes = 1 << 14
)

// Observe notes a request of the route whose brake it is: how long it took
// from its head to the end of its answer, and whether it was mirrored, however
// the copy fared. Requests that could not have been mirrored whatever their
// number (an upgrade, a shadow that came back) are not to be noted: there
// would be no mirrored ones to compare them with. b may be nil.
func (m *Meter) Observe(b *Brake, mirrored bool, d time.Duration) {
	if b == nil || b.idle {
		return
	}
	if len(m.notes) >= maxNotes {
		m.dropped++
		return
	}
	what := bucketOf(d)
	if mirrored {
		what |= mirroredFlag
	}
	m.notes = append(m.notes, note{b, what})
}

// take returns the notes since the last take, valid until the next, and how
// many were dropped. It runs on the meter's loop.
func (m *Meter) take() (notes []note, dropped uint64) {
	clear(m.spare) // forget the brakes
	m.notes, m.spare = m.spare[:0], m.notes
	dropped, m.dropped = m.dropped, 0
	return m.spare, dropped
}
