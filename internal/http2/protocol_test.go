package http2_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/traffic"
	xhttp2 "golang.org/x/net/http2"
)

// raw writes a frame whatever its rules.
func (p *peer) raw(kind xhttp2.FrameType, flags xhttp2.Flags, id uint32, payload ...byte) {
	p.t.Helper()
	p.do(p.WriteRawFrame(kind, flags, id, payload))
}

// broken is a peer that has sent something, and what comes of it: an error of
// the connection, or frames.
type broken struct {
	name   string
	send   func(p *peer)
	code   http2.ErrCode // of the connection
	reason string
	frames []string
}

func (b broken) run(t *testing.T, p *peer) {
	t.Helper()
	p.frames()
	b.send(p)
	p.feed()
	got := p.frames()
	if b.reason == "" {
		if p.err != nil {
			t.Fatalf("connection error %v", p.err)
		}
		if diff := cmp.Diff(b.frames, got); diff != "" {
			t.Errorf("frames (-want +got):\n%s", diff)
		}
		return
	}
	var ce *http2.ConnError
	if !errors.As(p.err, &ce) || ce.Code != b.code || ce.Reason != b.reason {
		t.Fatalf("error %v, want %v: %s", p.err, b.code, b.reason)
	}
	if len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "GOAWAY ") || !strings.HasSuffix(got[len(got)-1], b.code.String()) {
		t.Errorf("frames %q, want a GOAWAY at the end", got)
	}
	if used, err := p.conn.Feed([]byte("more")); used != 4 || !errors.Is(err, p.err) {
		t.Errorf("Feed after the error: %d, %v", used, err)
	}
	if !p.conn.Over() {
		t.Error("not over")
	}
	p.want()
}

// answered is a stream that is closed on both sides.
func answered(p *peer, id uint32) {
	p.t.Helper()
	p.get(id)
	p.feed()
	s := p.opened.last(p.t)
	s.SendHead(response(204), traffic.Framing{}, true)
	s.Release()
	p.frames()
}

const (
	protocol  = http2.ErrCodeProtocol
	frameSize = http2.ErrCodeFrameSize
	flow      = http2.ErrCodeFlowControl
	closed    = http2.ErrCodeStreamClosed
	calm      = http2.ErrCodeEnhanceYourCalm
)

// TestConnectionPreface is RFC 9113, section 3.4.
func TestConnectionPreface(t *testing.T) {
	for _, b := range []broken{
		{"HTTP/1", func(p *peer) { p.input.Reset(); p.input.WriteString("GET / HTTP/1.1\r\n") }, protocol, "not the preface of HTTP/2", nil},
		{"no SETTINGS", func(p *peer) { p.do(p.WritePing(false, [8]byte{})) }, protocol, "first frame is not SETTINGS", nil},
		{"only an acknowledgement", func(p *peer) { p.do(p.WriteSettingsAck()) }, protocol, "first frame is not SETTINGS", nil},
	} {
		t.Run(b.name, func(t *testing.T) { b.run(t, newPeer(t, false, http2.Options{})) })
	}
}

// TestBrokenRules are the rules of RFC 9113, sections 4 to 6 and 8, that a
// client can break, in the order of the sections.
func TestBrokenRules(t *testing.T) {
	word := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	tests := []broken{
		// 4.1 and 5.5
		{"4.1 unknown frame", func(p *peer) { p.raw(0x42, 0xff, 0, 1, 2, 3); p.raw(0x42, 0, 77) }, 0, "", nil},
		{"4.1 unknown flags and reserved bit", func(p *peer) { p.raw(6, 0xfe, 1<<31, make([]byte, 8)...) }, 0, "", []string{"PING ack=true 0000000000000000"}},
		// 4.2
		{"4.2 frame too large", func(p *peer) { p.raw(0, 0, 1, make([]byte, 16385)...) }, frameSize, "frame larger than 16,384 bytes", nil},
		{"4.2 largest frame", func(p *peer) { p.raw(0x42, 0, 1, make([]byte, 16384)...) }, 0, "", nil},
		// 4.3
		{"4.3 no header block", func(p *peer) { p.raw(1, 5, 1, 0xff, 0xff) }, http2.ErrCodeCompression, "bad header block: ends early", nil},
		{"4.3 another frame within a block", func(p *peer) { p.raw(1, 1, 1, p.block(getFields...)...); p.do(p.WritePing(false, [8]byte{})) }, protocol, "another frame within a header block", nil},
		{"4.3 another stream within a block", func(p *peer) { p.raw(1, 1, 1, p.block(getFields...)...); p.raw(9, 4, 3) }, protocol, "another frame within a header block", nil},
		{"4.3 DATA within a block", func(p *peer) { p.raw(1, 0, 1, p.block(getFields...)...); p.raw(0, 1, 1) }, protocol, "another frame within a header block", nil},
		// 5.1
		{"5.1 DATA, idle", func(p *peer) { p.do(p.WriteData(1, true, nil)) }, protocol, "DATA on an idle stream", nil},
		{"5.1 RST_STREAM, idle", func(p *peer) { p.do(p.WriteRSTStream(1, 0)) }, protocol, "RST_STREAM on an idle stream", nil},
		{"5.1 WINDOW_UPDATE, idle", func(p *peer) { p.do(p.WriteWindowUpdate(1, 1)) }, protocol, "WINDOW_UPDATE on an idle stream", nil},
		{"5.1 WINDOW_UPDATE, a stream of ours", func(p *peer) { p.get(3); p.do(p.WriteWindowUpdate(2, 1)) }, protocol, "WINDOW_UPDATE on an idle stream", nil},
		{"5.1 PRIORITY, idle", func(p *peer) { p.do(p.WritePriority(9, xhttp2.PriorityParam{StreamDep: 3})) }, 0, "", nil},
		{"5.1 CONTINUATION, idle", func(p *peer) { p.do(p.WriteContinuation(1, true, nil)) }, protocol, "CONTINUATION without HEADERS", nil},
		{"5.1 DATA, half-closed", func(p *peer) { p.get(1); p.do(p.WriteData(1, true, []byte("x"))) }, 0, "", []string{"RST_STREAM 1 STREAM_CLOSED"}},
		{"5.1 HEADERS, half-closed", func(p *peer) { p.get(1); p.get(1); p.get(3) }, 0, "", []string{"RST_STREAM 1 STREAM_CLOSED"}},
		{"5.1 CONTINUATION, half-closed", func(p *peer) { p.get(1); p.do(p.WriteContinuation(1, true, nil)) }, protocol, "CONTINUATION without HEADERS", nil},
		{"5.1 WINDOW_UPDATE and RST_STREAM, half-closed", func(p *peer) { p.get(1); p.do(p.WriteWindowUpdate(1, 1)); p.do(p.WriteRSTStream(1, 8)) }, 0, "", nil},
		{"5.1 DATA, closed", func(p *peer) { answered(p, 1); p.do(p.WriteData(1, true, []byte("x"))) }, 0, "", []string{"RST_STREAM 1 STREAM_CLOSED"}},
		{"5.1 HEADERS, closed", func(p *peer) { answered(p, 1); p.get(1) }, closed, "HEADERS on a closed stream", nil},
		{"5.1 WINDOW_UPDATE, RST_STREAM and PRIORITY, closed", func(p *peer) {
			answered(p, 1)
			p.do(p.WriteWindowUpdate(1, 1))
			p.do(p.WriteRSTStream(1, 8))
			p.do(p.WritePriority(1, xhttp2.PriorityParam{StreamDep: 3}))
		}, 0, "", nil},
		{"5.1 DATA after RST_STREAM", func(p *peer) { p.post(1); p.do(p.WriteRSTStream(1, 8)); p.do(p.WriteData(1, true, nil)) }, 0, "", []string{"RST_STREAM 1 STREAM_CLOSED"}},
		{"5.1 HEADERS after RST_STREAM", func(p *peer) { p.post(1); p.do(p.WriteRSTStream(1, 8)); p.get(1) }, closed, "HEADERS on a closed stream", nil},
		// 5.1.1
		{"5.1.1 even stream", func(p *peer) { p.get(2) }, protocol, "HEADERS on a stream that cannot be", nil},
		{"5.1.1 stream number falls", func(p *peer) { p.get(5); p.get(3) }, protocol, "stream with a number below that of another", nil},
		// 5.3 (RFC 7540)
		{"5.3.1 HEADERS depends on itself", func(p *peer) {
			p.do(p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(getFields...), EndStream: true, EndHeaders: true, Priority: xhttp2.PriorityParam{StreamDep: 1}}))
			p.get(3)
		}, 0, "", []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"5.3.1 PRIORITY depends on itself", func(p *peer) { p.do(p.WritePriority(1, xhttp2.PriorityParam{StreamDep: 1})) }, protocol, "stream that depends on itself", nil},
		// 6.1
		{"6.1 DATA on stream 0", func(p *peer) { p.raw(0, 0, 0, 1) }, protocol, "DATA on stream 0", nil},
		{"6.1 DATA with too much padding", func(p *peer) { p.post(1); p.raw(0, 8, 1, 3, 0, 0) }, protocol, "DATA with more padding than payload", nil},
		{"6.1 padded DATA of no byte", func(p *peer) { p.post(1); p.raw(0, 8, 1) }, protocol, "DATA with more padding than payload", nil},
		{"6.1 nothing but padding", func(p *peer) { p.post(1); p.raw(0, 9, 1, 2, 0, 0) }, 0, "", nil},
		// 6.2
		{"6.2 HEADERS on stream 0", func(p *peer) { p.raw(1, 5, 0, p.block(getFields...)...) }, protocol, "HEADERS on stream 0", nil},
		{"6.2 HEADERS with too much padding", func(p *peer) { p.raw(1, 13, 1, 200, 1) }, protocol, "HEADERS with more padding than payload", nil},
		{"6.2 padded HEADERS of no byte", func(p *peer) { p.raw(1, 13, 1) }, frameSize, "padded HEADERS without the length of the padding", nil},
		{"6.2 HEADERS without its priority", func(p *peer) { p.raw(1, 0x25, 1, 0, 0) }, frameSize, "HEADERS too short for its priority", nil},
		// 6.3
		{"6.3 PRIORITY on stream 0", func(p *peer) { p.raw(2, 0, 0, 0, 0, 0, 1, 1) }, protocol, "PRIORITY on stream 0", nil},
		{"6.3 PRIORITY of 4 bytes", func(p *peer) { p.post(1); p.raw(2, 0, 1, 0, 0, 0, 3) }, 0, "", []string{"RST_STREAM 1 FRAME_SIZE_ERROR"}},
		{"6.3 PRIORITY of 4 bytes, idle", func(p *peer) { p.raw(2, 0, 1, 0, 0, 0, 3) }, frameSize, "PRIORITY of a wrong size", nil},
		// 6.4
		{"6.4 RST_STREAM on stream 0", func(p *peer) { p.raw(3, 0, 0, 0, 0, 0, 8) }, protocol, "RST_STREAM on stream 0", nil},
		{"6.4 RST_STREAM of 3 bytes", func(p *peer) { p.post(1); p.raw(3, 0, 1, 0, 0, 8) }, frameSize, "RST_STREAM of a wrong size", nil},
		// 6.5
		{"6.5 SETTINGS on a stream", func(p *peer) { p.raw(4, 0, 1) }, protocol, "SETTINGS on a stream", nil},
		{"6.5 acknowledgement with a payload", func(p *peer) { p.raw(4, 1, 0, 0) }, frameSize, "acknowledgement of SETTINGS with a payload", nil},
		{"6.5 SETTINGS of 3 bytes", func(p *peer) { p.raw(4, 0, 0, 0, 3, 0) }, frameSize, "SETTINGS of a size that is no multiple of 6", nil},
		{"6.5.2 ENABLE_PUSH 2", func(p *peer) { p.do(p.WriteSettings(xhttp2.Setting{ID: 2, Val: 2})) }, protocol, "SETTINGS_ENABLE_PUSH with a value that it cannot have", nil},
		{"6.5.2 INITIAL_WINDOW_SIZE", func(p *peer) { p.do(p.WriteSettings(xhttp2.Setting{ID: 4, Val: 1 << 31})) }, flow, "SETTINGS_INITIAL_WINDOW_SIZE out of range", nil},
		{"6.5.2 MAX_FRAME_SIZE small", func(p *peer) { p.do(p.WriteSettings(xhttp2.Setting{ID: 5, Val: 16383})) }, protocol, "SETTINGS_MAX_FRAME_SIZE out of range", nil},
		{"6.5.2 MAX_FRAME_SIZE large", func(p *peer) { p.do(p.WriteSettings(xhttp2.Setting{ID: 5, Val: 1 << 24})) }, protocol, "SETTINGS_MAX_FRAME_SIZE out of range", nil},
		{"6.5.2 ENABLE_CONNECT_PROTOCOL 2", func(p *peer) { p.do(p.WriteSettings(xhttp2.Setting{ID: 8, Val: 2})) }, protocol, "SETTINGS_ENABLE_CONNECT_PROTOCOL with a value that it cannot have", nil},
		{"6.5.2 all that may be", func(p *peer) {
			p.do(p.WriteSettings(xhttp2.Setting{ID: 1, Val: 1 << 30}, xhttp2.Setting{ID: 2, Val: 1}, xhttp2.Setting{ID: 3}, xhttp2.Setting{ID: 4, Val: 1<<31 - 1},
				xhttp2.Setting{ID: 5, Val: 1<<24 - 1}, xhttp2.Setting{ID: 6, Val: 1}, xhttp2.Setting{ID: 8, Val: 1}, xhttp2.Setting{ID: 0xff, Val: 1}))
		}, 0, "", []string{"SETTINGS 0 ack=true"}},
		// 6.6
		{"6.6 PUSH_PROMISE", func(p *peer) { p.get(1); p.raw(5, 4, 1, 0, 0, 0, 2) }, protocol, "PUSH_PROMISE, which nobody may send here", nil},
		// 6.7
		{"6.7 PING", func(p *peer) { p.do(p.WritePing(false, [8]byte{1, 2, 3, 4, 5, 6, 7, 8})) }, 0, "", []string{"PING ack=true 0102030405060708"}},
		{"6.7 PING on a stream", func(p *peer) { p.raw(6, 0, 1, make([]byte, 8)...) }, protocol, "PING on a stream", nil},
		{"6.7 PING of 6 bytes", func(p *peer) { p.raw(6, 0, 0, make([]byte, 6)...) }, frameSize, "PING of a wrong size", nil},
		// 6.8
		{"6.8 GOAWAY on a stream", func(p *peer) { p.raw(7, 0, 1, make([]byte, 8)...) }, protocol, "GOAWAY on a stream", nil},
		{"6.8 GOAWAY of 7 bytes", func(p *peer) { p.raw(7, 0, 0, make([]byte, 7)...) }, frameSize, "GOAWAY of a wrong size", nil},
		{"6.8 GOAWAY rises", func(p *peer) { p.do(p.WriteGoAway(1, 0, nil)); p.do(p.WriteGoAway(3, 0, nil)) }, protocol, "GOAWAY with a later stream than before", nil},
		// 6.9
		{"6.9 WINDOW_UPDATE of 3 bytes", func(p *peer) { p.raw(8, 0, 0, 0, 0, 1) }, frameSize, "WINDOW_UPDATE of a wrong size", nil},
		{"6.9 WINDOW_UPDATE by 0", func(p *peer) { p.raw(8, 0, 0, word(0)...) }, protocol, "WINDOW_UPDATE by 0", nil},
		{"6.9 WINDOW_UPDATE by 0 on a stream", func(p *peer) { p.post(1); p.raw(8, 0, 1, word(1<<31)...) }, 0, "", []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"6.9.1 overflow", func(p *peer) { p.raw(8, 0, 0, word(1<<31-65535)...) }, flow, "WINDOW_UPDATE makes the connection's window overflow", nil},
		{"6.9.1 largest window", func(p *peer) { p.raw(8, 0, 0, word(1<<31-1-65535)...) }, 0, "", nil},
		{"6.9.1 overflow on a stream", func(p *peer) { p.post(1); p.raw(8, 0, 1, word(1<<31-65535)...) }, 0, "", []string{"RST_STREAM 1 FLOW_CONTROL_ERROR"}},
		{"6.9.2 overflow by SETTINGS", func(p *peer) {
			p.post(1)
			p.raw(8, 0, 1, word(1000)...)
			p.do(p.WriteSettings(xhttp2.Setting{ID: 4, Val: 1<<31 - 1}))
		}, flow, "SETTINGS_INITIAL_WINDOW_SIZE makes a window overflow", nil},
		// 6.10
		{"6.10 CONTINUATION on stream 0", func(p *peer) { p.raw(1, 0, 1, p.block(getFields...)...); p.raw(9, 4, 0) }, protocol, "another frame within a header block", nil},
		{"6.10 CONTINUATION after the end", func(p *peer) { p.post(1); p.raw(9, 4, 1) }, protocol, "CONTINUATION without HEADERS", nil},
		// 8.1
		{"8.1 a second head", func(p *peer) { p.post(1); p.headers(1, false, "a", "b"); p.get(3) }, 0, "", []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"8.1 pseudo field in trailers", func(p *peer) { p.post(1); p.headers(1, true, ":path", "/"); p.get(3) }, 0, "", []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"8.1.1 DATA beyond Content-Length", func(p *peer) { p.post(1, "content-length", "1"); p.do(p.WriteData(1, false, []byte("xx"))) }, 0, "", []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"8.1.1 DATA short of Content-Length", func(p *peer) { p.post(1, "content-length", "3"); p.do(p.WriteData(1, true, []byte("xx"))) }, 0, "", []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"8.1.1 trailers short of Content-Length", func(p *peer) { p.post(1, "content-length", "3"); p.headers(1, true, "a", "b") }, 0, "", []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"8.2 connection-specific field", func(p *peer) { p.headers(1, true, slices.Concat(getFields, []string{"connection", "close"})...) }, 0, "", []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
	}
	for _, b := range tests {
		t.Run(b.name, func(t *testing.T) { b.run(t, server(t, http2.Options{})) })
	}
}

// TestRulesForServers are those that a server can break.
func TestRulesForServers(t *testing.T) {
	begun := func(then func(p *peer)) func(p *peer) {
		return func(p *peer) {
			p.begin("GET")
			p.frames()
			then(p)
		}
	}
	tests := []broken{
		{"push is on", func(p *peer) { p.do(p.WriteSettings(xhttp2.Setting{ID: 2, Val: 1})) }, protocol, "SETTINGS_ENABLE_PUSH with a value that it cannot have", nil},
		{"PUSH_PROMISE", begun(func(p *peer) { p.raw(5, 4, 1, 0, 0, 0, 2) }), protocol, "PUSH_PROMISE, which nobody may send here", nil},
		{"HEADERS, idle", func(p *peer) { p.headers(1, true, ":status", "200") }, protocol, "HEADERS on a stream that cannot be", nil},
		{"HEADERS, even", func(p *peer) { p.headers(2, true, ":status", "200") }, protocol, "HEADERS on a stream that cannot be", nil},
		{"DATA, even", func(p *peer) { p.do(p.WriteData(2, true, nil)) }, protocol, "DATA on an idle stream", nil},
		{"DATA before the head", begun(func(p *peer) { p.do(p.WriteData(1, true, nil)) }), 0, "", []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"body to HEAD", func(p *peer) {
			p.begin("HEAD")
			p.frames()
			p.headers(1, false, ":status", "200", "content-length", "1")
			p.do(p.WriteData(1, true, []byte("x")))
		}, 0, "", []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"request for an answer", begun(func(p *peer) { p.headers(1, true, getFields...) }), 0, "", []string{"RST_STREAM 1 PROTOCOL_ERROR"}},
		{"GOAWAY falls", func(p *peer) { p.do(p.WriteGoAway(1<<31-1, 0, nil)); p.do(p.WriteGoAway(1, 0, nil)) }, 0, "", nil},
		{"frames of a stream that was reset", func(p *peer) {
			p.begin("GET").Release()
			p.frames()
			p.headers(1, false, ":status", "200")
			p.do(p.WriteData(1, false, []byte("x")))
			p.do(p.WriteWindowUpdate(1, 1))
			p.headers(1, true, "a", "b")
		}, 0, "", nil},
	}
	for _, b := range tests {
		t.Run(b.name, func(t *testing.T) { b.run(t, client(t, http2.Options{})) })
	}
}

// TestWindowViolations has the peer send more than it may.
func TestWindowViolations(t *testing.T) {
	fill := func(n int) func(p *peer) {
		return func(p *peer) {
			for id := uint32(1); n > 0; id += 2 {
				p.post(id)
				for left := min(n, 50000); left > 0; {
					k := min(left, 16384)
					p.do(p.WriteData(id, false, make([]byte, k)))
					left -= k
					n -= k
				}
			}
		}
	}
	opt := http2.Options{StreamWindow: 50000, ConnWindow: 100000}
	for _, b := range []broken{
		{"all of both windows", fill(100000), 0, "", nil},
		{"beyond the connection's", fill(100001), flow, "DATA beyond the connection's window", nil},
		{"beyond the stream's", func(p *peer) { fill(50000)(p); p.do(p.WriteData(1, false, []byte("x"))) }, 0, "", []string{"RST_STREAM 1 FLOW_CONTROL_ERROR", "WINDOW_UPDATE 0 50000"}},
		{"padding counts", func(p *peer) { fill(49990)(p); p.do(p.WriteDataPadded(1, false, []byte("123456"), make([]byte, 4))) }, 0, "", []string{"RST_STREAM 1 FLOW_CONTROL_ERROR", "WINDOW_UPDATE 0 50001"}},
	} {
		t.Run(b.name, func(t *testing.T) { b.run(t, server(t, opt)) })
	}
	t.Run("before our settings are known", func(t *testing.T) {
		p := newPeer(t, false, http2.Options{StreamWindow: 1000})
		p.do(p.WriteSettings())
		p.post(1)
		p.do(p.WriteData(1, false, make([]byte, 10000)))
		p.do(p.WriteSettingsAck())
		p.feed()
		if p.err != nil || p.opened.last(t).Err() != nil {
			t.Fatalf("errors %v, %v", p.err, p.opened.last(t).Err())
		}
		p.opened.last(t).Consume(9500) // 9,000 of it are what the peer could not know
		p.frames()
		p.do(p.WriteData(1, false, make([]byte, 501)))
		p.feed()
		p.want("RST_STREAM 1 FLOW_CONTROL_ERROR")
	})
}
