package http2_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/traffic"
	xhttp2 "golang.org/x/net/http2"
	xhpack "golang.org/x/net/http2/hpack"
)

// output is a connection's output that the test reads.
type output struct {
	buf   []byte
	block bool // nothing may be written
}

func (o *output) Write(p []byte) { o.buf = append(o.buf, p...) }
func (o *output) Pending() int   { return len(o.buf) }
func (o *output) Full() bool     { return o.block || len(o.buf) > 64<<10 }

func (o *output) take() []byte {
	b := o.buf
	o.buf = nil
	return b
}

// wakes counts.
type wakes int

func (w *wakes) Wake() { *w++ }

// opened is a Handler that keeps the streams.
type opened struct {
	streams  []*http2.Stream
	rejected []string
}

func (o *opened) Opened(s *http2.Stream) { o.streams = append(o.streams, s) }

func (o *opened) Rejected(status int, details string) {
	o.rejected = append(o.rejected, fmt.Sprint(status, " ", details))
}

// last is the stream that was opened last.
func (o *opened) last(t testing.TB) *http2.Stream {
	t.Helper()
	if len(o.streams) == 0 {
		t.Fatal("no stream was opened")
	}
	return o.streams[len(o.streams)-1]
}

// peer is the other side of a Conn, made of the stock Framer.
type peer struct {
	*xhttp2.Framer

	t      testing.TB
	conn   *http2.Conn
	opened opened
	out    *output
	input  bytes.Buffer // from the peer to conn
	rest   []byte       // that conn has not taken
	err    error

	hbuf   bytes.Buffer
	enc    *xhpack.Encoder
	output bytes.Buffer // from conn to the peer
	now    int64
}

// newPeer makes a Conn and its other side; of the first frames the SETTINGS
// are read and nothing is answered.
func newPeer(t testing.TB, client bool, opt http2.Options) *peer {
	t.Helper()
	p := &peer{t: t, out: &output{}}
	p.enc = xhpack.NewEncoder(&p.hbuf)
	p.Framer = xhttp2.NewFramer(&p.input, &p.output)
	p.AllowIllegalWrites = true
	p.ReadMetaHeaders = xhpack.NewDecoder(4096, nil)
	if opt.Now == nil {
		opt.Now = func() int64 { return p.now }
	}
	if client {
		p.conn = http2.NewClient(p.out, opt)
		return p
	}
	p.conn = http2.NewServer(p.out, &p.opened, opt)
	p.input.WriteString(xhttp2.ClientPreface)
	return p
}

// server is a server's Conn that has seen the preface and SETTINGS.
func server(t testing.TB, opt http2.Options) *peer {
	t.Helper()
	p := newPeer(t, false, opt)
	p.do(p.WriteSettings())
	p.do(p.WriteSettingsAck())
	p.feed()
	p.frames()
	return p
}

// client is a client's Conn that has seen SETTINGS.
func client(t testing.TB, opt http2.Options) *peer {
	t.Helper()
	p := newPeer(t, true, opt)
	p.do(p.WriteSettings())
	p.do(p.WriteSettingsAck())
	p.feed()
	if got := string(p.out.buf[:len(xhttp2.ClientPreface)]); got != xhttp2.ClientPreface {
		t.Fatalf("preface %q", got)
	}
	p.out.buf = p.out.buf[len(xhttp2.ClientPreface):]
	p.frames()
	return p
}

func (p *peer) do(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// feed gives to the Conn what was written.
func (p *peer) feed() {
	p.t.Helper()
	p.rest = append(p.rest, p.input.Bytes()...)
	p.input.Reset()
	used, err := p.conn.Feed(p.rest)
	if err != nil {
		p.err = err
	}
	p.rest = p.rest[used:]
}

// block encodes a header block.
func (p *peer) block(fields ...string) []byte {
	p.hbuf.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.do(p.enc.WriteField(xhpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	return bytes.Clone(p.hbuf.Bytes())
}

// headers writes a complete header block.
func (p *peer) headers(id uint32, end bool, fields ...string) {
	p.t.Helper()
	p.do(p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(fields...), EndStream: end, EndHeaders: true}))
}

var getFields = []string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"}

func (p *peer) get(id uint32) {
	p.t.Helper()
	p.headers(id, true, getFields...)
}

func (p *peer) post(id uint32, more ...string) {
	p.t.Helper()
	p.headers(id, false, append([]string{":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a"}, more...)...)
}

// frames is what the Conn has written, a line for each frame.
func (p *peer) frames() []string {
	p.t.Helper()
	p.output.Write(p.out.take())
	p.conn.Flush()
	p.output.Write(p.out.take())
	var lines []string
	for p.output.Len() > 0 {
		f, err := p.ReadFrame()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			p.t.Fatalf("the output ends within a frame: %v", err)
		}
		if err != nil {
			p.t.Fatalf("reading what the Conn wrote: %v", err)
		}
		lines = append(lines, describe(f))
	}
	return lines
}

func describe(f xhttp2.Frame) string {
	var b strings.Builder
	h := f.Header()
	fmt.Fprintf(&b, "%s %d", h.Type, h.StreamID)
	end := h.Flags.Has(xhttp2.FlagDataEndStream)
	switch f := f.(type) {
	case *xhttp2.DataFrame:
		fmt.Fprintf(&b, " %d", len(f.Data()))
	case *xhttp2.MetaHeadersFrame:
		for _, h := range f.Fields {
			fmt.Fprintf(&b, " %s=%s", h.Name, h.Value)
		}
	case *xhttp2.RSTStreamFrame:
		return fmt.Sprintf("%s %s", b.String(), f.ErrCode)
	case *xhttp2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %s", f.LastStreamID, f.ErrCode)
	case *xhttp2.WindowUpdateFrame:
		return fmt.Sprintf("%s %d", b.String(), f.Increment)
	case *xhttp2.PingFrame:
		return fmt.Sprintf("PING ack=%t %x", f.IsAck(), f.Data)
	case *xhttp2.SettingsFrame:
		fmt.Fprintf(&b, " ack=%t", f.IsAck())
		_ = f.ForeachSetting(func(s xhttp2.Setting) error {
			fmt.Fprintf(&b, " %s", s)
			return nil
		})
		return b.String()
	}
	if end {
		b.WriteString(" end")
	}
	return b.String()
}

// response is a head to be sent.
func response(status int, fields ...string) *traffic.Head {
	h := &traffic.Head{}
	h.Reset()
	h.Status = status
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], []byte(fields[i+1]))
	}
	return h
}

func request(method, path string, fields ...string) *traffic.Head {
	h := response(0, fields...)
	h.SetMethod([]byte(method))
	h.SetScheme([]byte("http"))
	h.SetAuthority([]byte("a"))
	h.SetPath([]byte(path))
	return h
}

func length(n int64) traffic.Framing {
	return traffic.Framing{Kind: traffic.FramingLength, Length: n}
}

var chunked = traffic.Framing{Kind: traffic.FramingChunked}

// readAll consumes what has come.
func readAll(s *http2.Stream) (body string, done bool, err error) {
	for {
		p, done, err := s.Next()
		if err != nil || done || len(p) == 0 {
			body += string(p)
			s.Consume(len(p))
			return body, done, err
		}
		body += string(p)
		s.Consume(len(p))
	}
}
