package judge

import (
	"slices"
	"strings"
)

// sets count exchanges by what of them differed on one side only. What a field
// is, noise or an instance's identity, is often known only later; then the
// exchanges that differed in nothing else are no longer counted as different.
// Each set is the names of its hypotheses: candidate's, baseline's.
type sets struct {
	Paired map[string]uint64 `json:"paired,omitempty"` // of exchanges with a baseline
	Alone  map[string]uint64 `json:"alone,omitempty"`  // of those without
	// Those whose set found no room.
	OtherCandidate uint64 `json:"otherCandidate,omitempty"`
	OtherBaseline  uint64 `json:"otherBaseline,omitempty"`
	OtherAlone     uint64 `json:"otherAlone,omitempty"`
}

// Separators of a set's key. Names of fields quote what is not printable.
const (
	sepSide  = "\x1d"
	sepField = "\x1e"
	sepName  = "\x1f"
)

// setKey makes a set's key of its hypotheses, which are sorted.
type setKey struct {
	candidate, baseline strings.Builder
}

func (k *setKey) reset() {
	k.candidate.Reset()
	k.baseline.Reset()
}

func (k *setKey) add(candidate bool, name string, a Aspect) {
	b := &k.baseline
	if candidate {
		b = &k.candidate
	}
	b.WriteString(name)
	b.WriteString(sepName)
	b.WriteByte('0' + byte(a))
	b.WriteString(sepField)
}

// paired counts an exchange with a baseline.
func (s *sets) paired(k *setKey, r room) {
	c, b := k.candidate.Len() > 0, k.baseline.Len() > 0
	if !c && !b {
		return
	}
	name := k.candidate.String() + sepSide + k.baseline.String()
	if r.count(&s.Paired, name, 1) {
		return
	}
	switch {
	case c && !b:
		s.OtherCandidate++
	case b && !c:
		s.OtherBaseline++
	}
}

// alone counts an exchange without one.
func (s *sets) alone(k *setKey, r room) {
	if k.candidate.Len() > 0 && !r.count(&s.Alone, k.candidate.String(), 1) {
		s.OtherAlone++
	}
}

// room is where sets of a comparison find theirs.
type room struct {
	c *comparison
	l *limits
}

// longestKey is for sets of some hundred hypotheses.
const longestKey = 8 << 10

// count counts exchanges in a set, if there is room for it.
func (r room) count(m *map[string]uint64, name string, n uint64) bool {
	if _, ok := (*m)[name]; !ok {
		if len(*m) >= r.l.sets || len(name) > longestKey || r.c.SetBytes+len(name) > r.l.setBytes {
			return false
		}
		r.c.SetBytes += len(name)
	}
	if *m == nil {
		*m = map[string]uint64{}
	}
	(*m)[name] += n
	return true
}

// bytes is how long all keys are.
func (s *sets) bytes() int {
	n := 0
	for name := range s.Paired {
		n += len(name)
	}
	for name := range s.Alone {
		n += len(name)
	}
	return n
}

// counts are how many exchanges differed in anything that is not excluded:
// only on the candidate's side, only on the baseline's; and without a baseline.
func (s *sets) counts(excluded func(name string, a Aspect) bool) (candidate, baseline, alone uint64) {
	candidate, baseline, alone = s.OtherCandidate, s.OtherBaseline, s.OtherAlone
	for name, n := range s.Paired {
		of, by, _ := strings.Cut(name, sepSide)
		c, b := remains(of, excluded), remains(by, excluded)
		switch {
		case c && !b:
			candidate += n
		case b && !c:
			baseline += n
		}
	}
	for name, n := range s.Alone {
		if remains(name, excluded) {
			alone += n
		}
	}
	return candidate, baseline, alone
}

// remains reports whether one of the hypotheses is not excluded.
func remains(set string, excluded func(name string, a Aspect) bool) bool {
	for one := range strings.SplitSeq(set, sepField) {
		if name, a, ok := strings.Cut(one, sepName); ok && len(a) == 1 && !excluded(name, Aspect(a[0]-'0')) {
			return true
		}
	}
	return false
}

// merge adds the other's counts. Sets that find no room are counted as
// differing, as they would have been.
func (s *sets) merge(o *sets, r room) {
	for _, name := range sortedKeys(o.Paired) {
		if n := o.Paired[name]; !r.count(&s.Paired, name, n) {
			of, by, _ := strings.Cut(name, sepSide)
			switch {
			case by == "":
				s.OtherCandidate += n
			case of == "":
				s.OtherBaseline += n
			}
		}
	}
	for _, name := range sortedKeys(o.Alone) {
		if n := o.Alone[name]; !r.count(&s.Alone, name, n) {
			s.OtherAlone += n
		}
	}
	s.OtherCandidate += o.OtherCandidate
	s.OtherBaseline += o.OtherBaseline
	s.OtherAlone += o.OtherAlone
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
