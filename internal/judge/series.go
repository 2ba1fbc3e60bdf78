package judge

import (
	"cmp"
	"slices"
	"time"
)

// minutes is how long a series goes back.
const minutes = 60

// series counts events of the last minutes, each by its own minute.
type series []minute

type minute struct {
	At int64  `json:"at"` // Unix time in minutes
	N  uint64 `json:"n"`
}

// add counts n events at that time.
func (s *series) add(now time.Time, n uint64) { s.addAt(now.Unix()/60, n) }

func (s *series) addAt(at int64, n uint64) {
	if l := len(*s); l > 0 && (*s)[l-1].At == at {
		(*s)[l-1].N += n
		return
	}
	i, ok := slices.BinarySearchFunc(*s, at, func(m minute, at int64) int { return cmp.Compare(m.At, at) })
	if ok {
		(*s)[i].N += n
		return
	}
	*s = slices.Insert(*s, i, minute{at, n})
	last := (*s)[len(*s)-1].At
	drop := 0
	for drop < len(*s) && (*s)[drop].At <= last-minutes {
		drop++
	}
	*s = slices.Delete(*s, 0, drop)
}

func (s *series) merge(o series) {
	for _, m := range o {
		s.addAt(m.At, m.N)
	}
}

// at is how many events the minute had.
func (s series) at(minute0 int64) uint64 {
	i, ok := slices.BinarySearchFunc(s, minute0, func(m minute, at int64) int { return cmp.Compare(m.At, at) })
	if !ok {
		return 0
	}
	return s[i].N
}
