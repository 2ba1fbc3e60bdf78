package mirror

import (
	"net/netip"

	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/redact"
	"github.com/sundog-mesh/sundog/internal/traffic"
	"github.com/sundog-mesh/sundog/internal/upstream"
)

// Side is one loop's side of all mirrors: it sends the copies.
type Side struct {
	loop  *loop.Loop
	pool  *upstream.Pool
	local []byte // the proxy's own address, for x-forwarded-for
	head  traffic.Head
	tmp   []byte
	// scratch is what redaction works in.
	scratch redact.Scratch
	free    []*Copy

	readers readers
	live    int
}

// NewSide makes a loop's side. pool is for shadows alone; local is the proxy's
// own address.
func NewSide(l *loop.Loop, pool *upstream.Pool, local netip.Addr) *Side {
	return &Side{loop: l, pool: pool, local: []byte(local.String()), readers: readers{loop: l}}
}

// Live is how many copies are in flight on the loop.
func (s *Side) Live() int { return s.live }

// rewrite makes s.head what the shadow gets.
func (s *Side) rewrite(p *Policy, r Request) {
	h := &s.head
	h.CopyFrom(r.Head)
	if !p.Mirror.Rewrite(h, r.Context) && !p.Mirror.NoHostSuffix {
		s.tmp = AppendAuthority(s.tmp[:0], h.Authority())
		h.SetAuthority(s.tmp)
	}
	h.Set("x-envoy-internal", []byte("true"))
	h.Append("x-forwarded-for", s.local)
	p.Redactor.Head(&s.scratch, h)
}

// redactTrailers are the trailers as the shadow gets them, valid until the next
// copy is begun.
func (s *Side) redactTrailers(p *Policy, trailers *traffic.Head) *traffic.Head {
	if p.Redactor == nil || trailers == nil {
		return trailers
	}
	s.head.CopyFrom(trailers)
	p.Redactor.Head(&s.scratch, &s.head)
	return &s.head
}

func (s *Side) get() *Copy {
	if n := len(s.free); n > 0 {
		c := s.free[n-1]
		s.free = s.free[:n-1]
		return c
	}
	return &Copy{side: s}
}

const maxFree = 256
