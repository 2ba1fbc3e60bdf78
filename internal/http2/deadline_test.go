package http2_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/http2"
	xhttp2 "golang.org/x/net/http2"
)

const second = int64(time.Second)

// late lets the peer's clock come to at, and asks.
func (p *peer) late(at int64) error {
	p.now = at
	return p.conn.Late()
}

// TestSettingsTimeout has peers that do not send SETTINGS, or do not
// acknowledge ours.
func TestSettingsTimeout(t *testing.T) {
	for _, side := range []string{"server", "client"} {
		for name, send := range map[string]func(p *peer){
			"nothing":         func(*peer) {},
			"SETTINGS only":   func(p *peer) { p.do(p.WriteSettings()) },
			"all but the ACK": func(p *peer) { p.do(p.WriteSettings()); p.do(p.WritePing(false, [8]byte{})) },
		} {
			t.Run(side+", "+name, func(t *testing.T) {
				p := newPeer(t, side == "client", http2.Options{SettingsTimeout: 10 * time.Second})
				if side == "client" {
					p.out.buf = p.out.buf[len(xhttp2.ClientPreface):]
				}
				p.now = 5 * second
				if at := p.conn.Deadline(); at != 15*second {
					t.Errorf("deadline %d: the time begins with the first question", at)
				}
				send(p)
				p.feed()
				if err := p.late(15*second - 1); err != nil {
					t.Fatalf("too early: %v", err)
				}
				p.frames()
				var err *http2.ConnError
				if !errors.As(p.late(15*second), &err) || err.Code != http2.ErrCodeSettingsTimeout {
					t.Fatalf("%v", err)
				}
				p.want("GOAWAY 0 SETTINGS_TIMEOUT")
				if at := p.conn.Deadline(); at != 0 || !p.conn.Over() {
					t.Errorf("deadline %d, over %t", at, p.conn.Over())
				}
			})
		}
	}
}

// TestSettingsInTime acknowledges, and has no deadline any more.
func TestSettingsInTime(t *testing.T) {
	p := newPeer(t, false, http2.Options{SettingsTimeout: time.Second, HeadTimeout: time.Second})
	p.conn.Deadline()
	p.do(p.WriteSettings())
	p.do(p.WriteSettingsAck())
	p.feed()
	if at := p.conn.Deadline(); at != 0 {
		t.Errorf("deadline %d", at)
	}
	if err := p.late(100 * second); err != nil {
		t.Error(err)
	}
}

// TestSettingsUnread has the acknowledgement wait behind output that the peer
// does not take.
func TestSettingsUnread(t *testing.T) {
	p := newPeer(t, false, http2.Options{SettingsTimeout: time.Second})
	p.do(p.WriteSettings())
	p.feed()
	p.conn.Deadline()
	p.out.block = true
	p.out.Write(make([]byte, 1<<20))
	if err := p.late(5 * second); err != nil {
		t.Fatalf("while congested: %v", err)
	}
	p.out.block = false
	p.out.take()
	if err := p.late(5*second + 1); err != nil {
		t.Fatalf("once it is not: %v", err)
	}
	if err := p.late(6 * second); err == nil {
		t.Error("no deadline any more")
	}
}

// TestHeadTimeout has frames and header blocks that do not come to their end.
func TestHeadTimeout(t *testing.T) {
	for name, c := range map[string]struct {
		begin func(p *peer, block []byte)
		head  bool
	}{
		"HEADERS without its end": {func(p *peer, b []byte) {
			p.do(p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:3], EndStream: true}))
		}, true},
		"CONTINUATION without its end": {func(p *peer, b []byte) {
			p.do(p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:1]}))
			p.do(p.WriteContinuation(1, false, b[1:2]))
		}, true},
		"a piece of HEADERS":          {func(p *peer, _ []byte) { p.input.Write([]byte{0, 0, 20, 1, 5, 0, 0, 0, 1, 0x82}) }, true},
		"a piece of a frame's header": {func(p *peer, _ []byte) { p.input.Write([]byte{0, 0}) }, false},
		"a piece of PING":             {func(p *peer, _ []byte) { p.input.Write([]byte{0, 0, 8, 6, 0, 0, 0, 0, 0, 1}) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := server(t, http2.Options{HeadTimeout: 10 * time.Second})
			p.now = 3 * second
			c.begin(p, p.block(getFields...))
			p.feed()
			if at := p.conn.Deadline(); at != 13*second {
				t.Errorf("deadline %d", at)
			}
			if err := p.late(13*second - 1); err != nil {
				t.Fatalf("too early: %v", err)
			}
			p.feed() // which changes nothing
			var err *http2.ConnError
			if !errors.As(p.late(13*second), &err) || err.Code != http2.ErrCodeEnhanceYourCalm {
				t.Fatalf("%v", err)
			}
			p.want("GOAWAY 0 ENHANCE_YOUR_CALM")
			if rejected := len(p.opened.rejected) == 1 && p.opened.rejected[0] == "408 request_header_timeout"; rejected != c.head {
				t.Errorf("rejected %v", p.opened.rejected)
			}
		})
	}
}

// TestHeadsInTime sends heads byte by byte, each in time, and a body that may
// take longer.
func TestHeadsInTime(t *testing.T) {
	p := server(t, http2.Options{HeadTimeout: 10 * time.Second})
	p.now = second
	for id := uint32(1); id < 9; id += 2 {
		p.post(id)
		all := append([]byte(nil), p.input.Bytes()...)
		p.input.Reset()
		for i := range all {
			p.input.Write(all[i : i+1])
			p.feed()
			p.now += 9 * second / int64(len(all))
			if err := p.conn.Late(); err != nil {
				t.Fatal(err)
			}
		}
		if at := p.conn.Deadline(); at != 0 {
			t.Fatalf("deadline %d after a head", at)
		}
	}
	p.input.Write([]byte{0, 0, 100, 0, 0, 0, 0, 0, 1, 'x'}) // DATA
	p.feed()
	if at := p.conn.Deadline(); at != 0 || len(p.opened.streams) != 4 {
		t.Errorf("deadline %d within DATA, %d streams", at, len(p.opened.streams))
	}
}
