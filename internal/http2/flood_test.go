package http2_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/traffic"
	xhttp2 "golang.org/x/net/http2"
)

// drain throws away what the Conn has written.
func (p *peer) drain() { p.out.buf = p.out.buf[:0] }

// TestFloods repeats what costs a peer nothing until the Conn ends it.
func TestFloods(t *testing.T) {
	tests := []struct {
		name   string
		turn   func(p *peer, i int)
		reason string
	}{
		{"PING", func(p *peer, _ int) { p.do(p.WritePing(false, [8]byte{})) }, "too many frames that carry nothing"},
		{"acknowledged PING", func(p *peer, _ int) { p.do(p.WritePing(true, [8]byte{})) }, "too many frames that carry nothing"},
		{"SETTINGS", func(p *peer, _ int) { p.do(p.WriteSettings()) }, "too many frames that carry nothing"},
		{"large SETTINGS", func(p *peer, _ int) { p.raw(4, 0, 0, make([]byte, 6*2000)...) }, "too many frames that carry nothing"},
		{"WINDOW_UPDATE", func(p *peer, _ int) { p.do(p.WriteWindowUpdate(0, 1)) }, "too many frames that carry nothing"},
		{"PRIORITY", func(p *peer, i int) { p.do(p.WritePriority(uint32(2*i+1), xhttp2.PriorityParam{})) }, "too many frames that carry nothing"},
		{"unknown", func(p *peer, _ int) { p.raw(0x33, 0, 0) }, "too many frames that carry nothing"},
		{"empty DATA", func(p *peer, i int) {
			if i == 0 {
				p.post(1)
			}
			p.do(p.WriteData(1, false, nil))
		}, "too many frames that carry nothing"},
		{"DATA that is padding", func(p *peer, i int) {
			if i == 0 {
				p.post(1)
			}
			p.do(p.WriteDataPadded(1, false, nil, make([]byte, 200)))
		}, "too many frames that carry nothing"},
		{"DATA after the answer", func(p *peer, i int) {
			if i == 0 {
				answered(p, 1)
			}
			p.do(p.WriteData(1, true, []byte("x")))
		}, "too many frames that carry nothing"},
		{"window of one byte", func(p *peer, i int) { // and the answer in as many pieces
			if i == 0 {
				p.do(p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 0}))
				p.get(1)
				p.feed()
				s := p.opened.last(p.t)
				s.SendHead(response(200), chunked, false)
				s.Write(make([]byte, 60000))
			}
			p.do(p.WriteWindowUpdate(1, 1))
		}, "too many frames that carry nothing"},
		{"malformed requests", func(p *peer, i int) { p.headers(uint32(2*i+1), true, ":method", "GET") }, "too many frames that carry nothing"},
		{"refused requests", func(p *peer, i int) { p.post(uint32(2*i + 1)) }, "too many frames that carry nothing"},
		{"rapid reset", func(p *peer, i int) {
			p.get(uint32(2*i + 1))
			p.do(p.WriteRSTStream(uint32(2*i+1), xhttp2.ErrCodeCancel))
			p.feed()
			for _, s := range p.opened.streams {
				s.Release()
			}
			p.opened.streams = nil
		}, "too many streams were reset before they were answered"},
		{"CONTINUATION", func(p *peer, i int) {
			if i == 0 {
				p.raw(1, 0, 1, p.block(getFields...)...)
			}
			p.raw(9, 0, 1)
		}, "header block without an end"},
		{"CONTINUATION with fields", func(p *peer, i int) {
			b := p.block("x", strings.Repeat("x", 10000))
			if i == 0 {
				p.raw(1, 0, 1, b...)
			}
			p.raw(9, 0, 1, b...)
		}, "header block without an end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := server(t, http2.Options{})
			for i := 0; p.err == nil; i++ {
				if i > 20000 {
					t.Fatal("nothing ends it")
				}
				tt.turn(p, i)
				p.feed()
				p.drain()
				if p.conn.Held() > 2<<20 || p.conn.Streams() > 200 {
					t.Fatalf("%d bytes and %d streams are kept", p.conn.Held(), p.conn.Streams())
				}
			}
			var ce *http2.ConnError
			if !errors.As(p.err, &ce) || ce.Code != calm || ce.Reason != tt.reason {
				t.Errorf("error %v, want %s", p.err, tt.reason)
			}
		})
	}
}

// TestNoFlood is what may go on for ever.
func TestNoFlood(t *testing.T) {
	tests := []struct {
		name string
		step int64 // nanoseconds
		turn func(p *peer, i int)
	}{
		{"100 PINGs a second", 1e7, func(p *peer, _ int) { p.do(p.WritePing(false, [8]byte{})) }},
		{"half of the requests reset", 0, func(p *peer, i int) {
			p.get(uint32(4*i + 1))
			p.get(uint32(4*i + 3))
			p.feed()
			p.opened.streams[1].SendHead(response(204), traffic.Framing{}, true)
			p.do(p.WriteRSTStream(uint32(4*i+1), xhttp2.ErrCodeCancel))
			p.feed()
			for _, s := range p.opened.streams {
				s.Release()
			}
			p.opened.streams = nil
		}},
		{"two WINDOW_UPDATEs for each DATA", 0, func(p *peer, i int) {
			if i == 0 {
				p.get(1)
				p.feed()
				p.opened.last(p.t).SendHead(response(200), chunked, false)
			}
			p.opened.last(p.t).Write(make([]byte, 100))
			p.do(p.WriteWindowUpdate(0, 100))
			p.do(p.WriteWindowUpdate(1, 100))
			p.do(p.WritePing(false, [8]byte{}))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := server(t, http2.Options{})
			for i := range 10000 {
				p.now += tt.step
				tt.turn(p, i)
				p.feed()
				p.drain()
			}
			if p.err != nil {
				t.Error(p.err)
			}
		})
	}
}

// TestCongested is a peer that makes us answer and reads nothing.
func TestCongested(t *testing.T) {
	p := server(t, http2.Options{})
	for i := uint32(1); !p.conn.Congested(); i += 2 {
		if i > 1e5 {
			t.Fatal("never congested")
		}
		p.now += 1e9
		p.get(i)
		for range 100 {
			p.do(p.WritePing(false, [8]byte{}))
		}
		p.feed()
		for _, s := range p.opened.streams {
			s.SendHead(response(200, "x", strings.Repeat("x", 100)), chunked, false)
			s.End(nil)
			s.Release()
		}
		p.opened.streams = nil
	}
	p.do(p.WritePing(false, [8]byte{}))
	p.feed()
	if len(p.rest) == 0 || p.out.Pending() > 140<<10 {
		t.Errorf("%d bytes not read, %d bytes to be written", len(p.rest), p.out.Pending())
	}
	p.drain()
	p.feed()
	if len(p.rest) != 0 || p.conn.Congested() {
		t.Errorf("%d bytes not read although the output is written", len(p.rest))
	}
}

// TestPayloadDoesNotCongest: a client that loads down something large, and
// reads slowly, is still heard.
func TestPayloadDoesNotCongest(t *testing.T) {
	p := newPeer(t, false, http2.Options{})
	p.do(p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 30}))
	p.do(p.WriteWindowUpdate(0, 1<<30))
	p.get(1)
	p.feed()
	s := p.opened.last(t)
	s.SendHead(response(200), chunked, false)
	for !s.Full() {
		s.Write(make([]byte, 16<<10))
	}
	if p.conn.Congested() || p.out.Pending() > 96<<10 {
		t.Errorf("congested %t with %d bytes", p.conn.Congested(), p.out.Pending())
	}
	p.do(p.WriteRSTStream(1, xhttp2.ErrCodeCancel))
	p.feed()
	if s.Err() == nil {
		t.Error("the reset was not heard")
	}
}
