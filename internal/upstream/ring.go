package upstream

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// ring is a ketama ring, made as Envoy makes it, so that both choose the same
// endpoint for a hash.
type ring struct {
	points []uint64 // sorted
	owners []uint32 // of points: indexes in table.hosts
}

// newRing puts every host on the ring, as many times as its part says: the
// one with the least part a whole number of times, and all together
// minimum_ring_size times or a little more, but maximum_ring_size at most.
// The n-th point of a host is the hash of its key, "_" and n.
func newRing(h *hashing, hosts []share) ring {
	least := 1.0
	for _, s := range hosts {
		least = min(least, s.part)
	}
	scale := min(math.Ceil(least*float64(h.ringMin))/least, float64(h.ringMax))
	type point struct {
		at    uint64
		owner uint32
	}
	all := make([]point, 0, int(math.Ceil(scale)))
	have, want := 0.0, 0.0
	var key []byte
	for i, s := range hosts {
		key = append(append(key[:0], h.key(s.e)...), '_')
		prefix := len(key)
		want += scale * s.part
		for n := uint64(0); have < want; n++ {
			key = strconv.AppendUint(key[:prefix], n, 10)
			p := point{owner: uint32(i)}
			if h.murmur {
				p.at = murmur2(key, murmurSeed)
			} else {
				p.at = xxhash.Sum64(key)
			}
			all = append(all, p)
			have++
		}
	}
	slices.SortStableFunc(all, func(a, b point) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	r := ring{points: make([]uint64, len(all)), owners: make([]uint32, len(all))}
	for i, p := range all {
		r.points[i], r.owners[i] = p.at, p.owner
	}
	return r
}

// at is the owner of the first point at or after the hash; further attempts
// take the points that follow.
func (r *ring) at(hash uint64, attempt int) int {
	i, _ := slices.BinarySearch(r.points, hash)
	return int(r.owners[(i+attempt)%len(r.points)])
}

// murmurSeed is the seed of std::hash in the C++ library that Envoy is made
// to agree with.
const murmurSeed = 0xc70f6907

// murmur2 is MurmurHash2 in its form for 64 bits (MurmurHash64A).
func murmur2(data []byte, seed uint64) uint64 {
	const mul = 0xc6a4a7935bd1e995
	h := seed ^ uint64(len(data))*mul
	for len(data) >= 8 {
		k := binary.LittleEndian.Uint64(data) * mul
		h = (h ^ (k^k>>47)*mul) * mul
		data = data[8:]
	}
	if len(data) > 0 {
		var tail [8]byte
		copy(tail[:], data)
		h = (h ^ binary.LittleEndian.Uint64(tail[:])) * mul
	}
	h = (h ^ h>>47) * mul
	return h ^ h>>47
}
