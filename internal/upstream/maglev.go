package upstream

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// maglev is a look-up table filled as in the paper "Maglev: A Fast and
// Reliable Software Network Load Balancer", section 3.4, with the choices that
// Envoy made, so that both choose the same endpoint for a hash.
type maglev struct {
	size  uint64
	small []uint8  // indexes in table.hosts, where they fit
	large []uint32 // else
}

// newMaglev lets the hosts take turns at claiming the next free place of their
// permutation, hosts of less weight less often. The order is that of the keys.
func newMaglev(h *hashing, hosts []share) maglev {
	type claimant struct {
		key            string
		host           uint32
		place, skip    uint64
		part, required float64
	}
	m := maglev{size: h.maglev}
	most := 0.0
	all := make([]claimant, len(hosts))
	for i, s := range hosts {
		key := h.key(s.e)
		seeded := xxhash.NewWithSeed(1)
		_, _ = seeded.WriteString(key) // never fails
		all[i] = claimant{
			key: key, host: uint32(i), part: s.part,
			place: xxhash.Sum64String(key) % m.size,
			skip:  seeded.Sum64()%(m.size-1) + 1,
		}
		most = max(most, s.part)
	}
	slices.SortStableFunc(all, func(a, b claimant) int { return cmp.Compare(a.key, b.key) })
	const free = 1<<32 - 1
	owners := slices.Repeat([]uint32{free}, int(m.size))
	left := m.size
	for round := 1.0; left > 0; round++ {
		for i := range all {
			c := &all[i]
			if left == 0 || round*c.part < c.required {
				continue
			}
			c.required += most
			for owners[c.place] != free {
				if c.place += c.skip; c.place >= m.size {
					c.place -= m.size
				}
			}
			owners[c.place] = c.host
			left--
		}
	}
	if len(hosts) > 256 {
		m.large = owners
		return m
	}
	m.small = make([]uint8, m.size)
	for i, o := range owners {
		m.small[i] = uint8(o)
	}
	return m
}

// at is the owner of the hash's place; further attempts change the hash.
func (m *maglev) at(hash uint64, attempt int) int {
	if attempt > 0 {
		hash ^= -uint64(attempt)
	}
	if m.small != nil {
		return int(m.small[hash%m.size])
	}
	return int(m.large[hash%m.size])
}
