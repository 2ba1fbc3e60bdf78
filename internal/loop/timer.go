package loop

import (
	"math/bits"
	"time"
)

// A timer wheel of 4 levels with 64 slots each and a tick of 10 ms, which spans
// 46 hours; what lies beyond is filed at its edge and again from there.
//
// Deadlines move on with every request and hardly ever pass, so arming is lazy:
// a timer stays filed where it is unless its new deadline is earlier, and when
// its slot comes it is filed again if the deadline has moved.
const (
	tick   = Time(10 * time.Millisecond)
	levels = 4
	slots  = 64
)

type timer struct {
	task       *Task
	deadline   Time
	filed      int64 // tick; 0 when it is in no list
	prev, next *timer
	level      uint8
	slot       uint8
}

type wheel struct {
	now   int64 // ticks that have been handled
	lists [levels][slots]*timer
	used  [levels]uint64
}

func (w *wheel) init(now Time) { w.now = int64(now / tick) }

func (w *wheel) arm(t *timer) {
	at := int64((t.deadline + tick - 1) / tick)
	if at <= w.now {
		at = w.now + 1
	}
	if t.filed != 0 {
		if t.filed <= at {
			return
		}
		w.remove(t)
	}
	w.file(t, at)
}

func (w *wheel) file(t *timer, at int64) {
	delta := at - w.now
	level := 0
	for level < levels-1 && delta >= 1<<(6*(level+1)) {
		level++
	}
	if edge := int64(1)<<(6*levels) - 1; delta > edge {
		at = w.now + edge
	}
	t.filed, t.level, t.slot = at, uint8(level), uint8(at>>(6*level)&(slots-1))
	head := &w.lists[level][t.slot]
	t.prev, t.next = nil, *head
	if *head != nil {
		(*head).prev = t
	}
	*head = t
	w.used[level] |= 1 << t.slot
}

func (w *wheel) remove(t *timer) {
	if t.filed == 0 {
		return
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.lists[t.level][t.slot] = t.next
		if t.next == nil {
			w.used[t.level] &^= 1 << t.slot
		}
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.prev, t.next, t.filed = nil, nil, 0
}

// advance handles every tick up to the loop's time and wakes the tasks whose
// deadline has passed.
func (w *wheel) advance(l *Loop) {
	target := int64(l.now / tick)
	for w.now < target {
		next := w.nextTick()
		if next < 0 || next > target {
			w.now = target
			return
		}
		w.now = next
		for level := levels - 1; level >= 0; level-- {
			if level > 0 && w.now&(1<<(6*level)-1) != 0 {
				continue
			}
			w.expire(level, int(w.now>>(6*level)&(slots-1)))
		}
	}
}

func (w *wheel) expire(level, slot int) {
	t := w.lists[level][slot]
	w.lists[level][slot] = nil
	w.used[level] &^= 1 << slot
	for t != nil {
		next := t.next
		t.prev, t.next, t.filed = nil, nil, 0
		switch at := int64((t.deadline + tick - 1) / tick); {
		case t.deadline == 0:
		case at <= w.now:
			t.task.Wake()
		default:
			w.file(t, at)
		}
		t = next
	}
}

// nextTick is the next tick at which a list must be looked at, or -1.
func (w *wheel) nextTick() int64 {
	best := int64(-1)
	for level := range levels {
		if w.used[level] == 0 {
			continue
		}
		pos := w.now >> (6 * level)
		ahead := bits.RotateLeft64(w.used[level], -int((pos+1)&(slots-1)))
		at := (pos + 1 + int64(bits.TrailingZeros64(ahead))) << (6 * level)
		if best < 0 || at < best {
			best = at
		}
	}
	return best
}

// untilNext is how long the loop may sleep; negative is for ever.
func (w *wheel) untilNext(now Time) time.Duration {
	next := w.nextTick()
	if next < 0 {
		return -1
	}
	return max(0, time.Duration(Time(next)*tick-now))
}
